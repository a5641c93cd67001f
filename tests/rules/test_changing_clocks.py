"""Reminders around the nights on which clocks change, in four zones: due when the clock on the wall says so, once."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from booking.appointments.reminders import plan
from booking.clock import utc
from tests.chaos.zones import ZONES, instant_of, next_change

LADDER = [
    {"kind": "reminder_day", "days_before": 1, "at": "15:00", "booked_before": "13:00"},
    {"kind": "reminder_hours", "minutes_before": 120, "at_least": 45},
]
NEVER = {"quiet_from": time(3), "quiet_to": time(3)}
CHANGES = {
    "Europe/Berlin": [date(2026, 10, 25), date(2027, 3, 28)],
    "America/New_York": [date(2026, 11, 1), date(2027, 3, 14)],
    "Australia/Lord_Howe": [date(2026, 10, 4), date(2027, 4, 4)],
    "America/Santiago": [date(2026, 9, 6), date(2027, 4, 4)],
}
CASES = [(zone, day) for zone, days in CHANGES.items() for day in days]


def due(zone: str, day: date, starts: time, **more) -> dict[str, datetime]:
    booked_at = datetime.combine(day - timedelta(days=5), time(9), UTC)
    starts_at = utc(day, starts, zone)
    steps = plan(LADDER, booked_at=booked_at, starts_at=starts_at, zone=zone, **(NEVER | more))
    return {step.kind: step.at for step in steps}


@pytest.mark.parametrize("zone", ZONES)
def test_the_changes_are_where_the_almanac_has_them(zone):
    first, second = CHANGES[zone]
    assert next_change(zone, datetime(2026, 8, 1, tzinfo=UTC)) in (first, first - timedelta(days=1))
    assert next_change(zone, datetime(2027, 1, 1, tzinfo=UTC)) in (second, second - timedelta(days=1))


@pytest.mark.parametrize(("zone", "day"), CASES)
@pytest.mark.parametrize("starts", [time(1, 20), time(4, 20), time(9, 20), time(16)])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_the_day_before_at_three_by_the_wall_and_two_hours_before_by_the_hourglass(zone, day, starts, offset):
    visit = day + timedelta(days=offset)
    found = due(zone, visit, starts)
    starts_at = instant_of(visit, starts, zone)
    assert found["reminder_day"] == instant_of(visit - timedelta(days=1), time(15), zone)
    assert found["reminder_hours"] == starts_at - timedelta(hours=2)
    wall = found["reminder_day"].astimezone(ZoneInfo(zone))
    assert (wall.date(), wall.time()) == (visit - timedelta(days=1), time(15))


@pytest.mark.parametrize(("zone", "day"), CASES)
def test_quiet_hours_end_by_the_wall_on_such_a_morning(zone, day):
    found = due(zone, day, time(8, 30), quiet_from=time(22), quiet_to=time(7))
    assert found["reminder_hours"] == instant_of(day, time(7), zone)
