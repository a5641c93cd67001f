"""When reminders of a visit are due: each line of the conventions, in clinic wall time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from booking.appointments.reminders import OPTIONAL, plan
from booking.clock import utc
from booking.directory.policy import LADDER

HOME = "Asia/Shanghai"


def wall(text: str, zone: str = HOME) -> datetime:
    at = datetime.fromisoformat(text)
    return utc(at.date(), at.time(), zone)


def due(booked: str, visit: str, *, zone: str = HOME, ladder=LADDER, quiet=(time(22), time(7))):
    found = planned(booked, visit, zone=zone, ladder=ladder, quiet=quiet)
    assert all(one.at.tzinfo is UTC and one.until.tzinfo is UTC for one in found)
    return [(one.kind, there(one.at, zone)) for one in found]


def planned(booked, visit, *, zone=HOME, ladder=LADDER, quiet=(time(22), time(7)), prepare_at=None):
    return plan(
        ladder,
        booked_at=wall(booked, zone),
        starts_at=wall(visit, zone),
        zone=zone,
        quiet_from=quiet[0],
        quiet_to=quiet[1],
        prepare_at=prepare_at,
    )


def there(at: datetime, zone: str = HOME) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("booked", "visit", "expected"),
    [
        # booked in good time: the day before at 15:00, and two hours before
        ("2026-11-20 10:00", "2026-11-25 10:00", ["D 11-24 15:00", "H 11-25 08:00"]),
        ("2026-11-24 12:59", "2026-11-25 10:00", ["D 11-24 15:00", "H 11-25 08:00"]),
        # booked after 13:00 of the day before: only two hours before
        ("2026-11-24 13:00", "2026-11-25 10:00", ["H 11-25 08:00"]),
        ("2026-11-24 14:00", "2026-11-25 10:00", ["H 11-25 08:00"]),
        ("2026-11-24 23:30", "2026-11-25 10:00", ["H 11-25 08:00"]),
        # two hours before falls in quiet hours: moved to 07:00
        ("2026-11-20 10:00", "2026-11-25 08:30", ["D 11-24 15:00", "H 11-25 07:00"]),
        ("2026-11-20 10:00", "2026-11-25 08:59", ["D 11-24 15:00", "H 11-25 07:00"]),
        ("2026-11-20 10:00", "2026-11-25 09:00", ["D 11-24 15:00", "H 11-25 07:00"]),
        ("2026-11-20 10:00", "2026-11-25 07:45", ["D 11-24 15:00", "H 11-25 07:00"]),
        # … and skipped when less than 45 minutes remain
        ("2026-11-20 10:00", "2026-11-25 07:44", ["D 11-24 15:00"]),
        ("2026-11-20 10:00", "2026-11-25 07:00", ["D 11-24 15:00"]),
        ("2026-11-20 10:00", "2026-11-26 00:15", ["D 11-25 15:00"]),
        # the evening: 21:59 is not quiet, 22:00 is
        ("2026-11-20 10:00", "2026-11-25 23:59", ["D 11-24 15:00", "H 11-25 21:59"]),
        ("2026-11-20 10:00", "2026-11-26 00:00", ["D 11-25 15:00"]),
        # never before the booking, and never at a time already past
        ("2026-11-25 08:30", "2026-11-25 10:00", []),
        ("2026-11-25 08:00", "2026-11-25 10:00", []),
        ("2026-11-25 07:59", "2026-11-25 10:00", ["H 11-25 08:00"]),
        ("2026-11-25 07:10", "2026-11-25 08:30", []),
        ("2026-11-25 05:00", "2026-11-25 08:30", ["H 11-25 07:00"]),
    ],
)
def test_the_ladder_of_the_conventions(booked, visit, expected):
    names = {"D": "reminder_day", "H": "reminder_hours"}
    assert due(booked, visit) == [(names[line[0]], line[2:]) for line in expected]


def test_the_day_reminder_leaves_two_hours_until_the_cancel_deadline():
    (_, at), _ = due("2026-11-20 10:00", "2026-11-25 10:00")
    assert at == "11-24 15:00"  # the deadline is 17:00


def test_no_reminder_of_any_kind_goes_out_in_quiet_hours():
    ladder = [
        {"kind": "late", "days_before": 1, "at": "23:30"},
        {"kind": "early", "days_before": 1, "at": "06:00"},
    ]
    assert due("2026-11-20 10:00", "2026-11-25 10:00", ladder=ladder) == [
        ("early", "11-24 07:00"),
        ("late", "11-25 07:00"),
    ]


def test_quiet_hours_may_lie_inside_a_day_or_be_none():
    assert due("2026-11-20 10:00", "2026-11-25 15:00", quiet=(time(12), time(14)))[-1] == (
        "reminder_hours",
        "11-25 14:00",
    )
    assert due("2026-11-20 10:00", "2026-11-25 08:30", quiet=(time(0), time(0)))[-1][1] == "11-25 06:30"


ZONES = [
    # zone, a visit on the day of each change and on the day after it
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
]


@pytest.mark.parametrize(("zone", "change"), ZONES)
@pytest.mark.parametrize("after", [0, 1])
def test_reminders_keep_clinic_wall_time_over_a_change_of_the_clocks(zone, change, after):
    visit = change + timedelta(days=after)
    before = visit - timedelta(days=1)
    booked = visit - timedelta(days=5)
    assert due(f"{booked} 10:00", f"{visit} 10:00", zone=zone) == [
        ("reminder_day", f"{before:%m-%d} 15:00"),
        ("reminder_hours", f"{visit:%m-%d} 08:00"),
    ]
    assert due(f"{before} 13:00", f"{visit} 08:30", zone=zone) == [("reminder_hours", f"{visit:%m-%d} 07:00")]


@pytest.mark.parametrize(("zone", "change"), ZONES)
def test_two_hours_before_are_real_hours_on_the_night_of_a_change(zone, change):
    starts = utc(change, time(4, 30), zone)
    found = plan(
        LADDER[1:],
        booked_at=starts - timedelta(days=3),
        starts_at=starts,
        zone=zone,
        quiet_from=time(0),
        quiet_to=time(0),
    )
    assert found == [("reminder_hours", starts - timedelta(hours=2), starts)]


def test_an_instant_given_in_another_zone_means_the_same():
    starts = wall("2026-11-25 10:00")
    words = {"booked_at": wall("2026-11-20 10:00"), "zone": HOME, "quiet_from": time(22), "quiet_to": time(7)}
    here = plan(LADDER, starts_at=starts.astimezone(ZoneInfo(HOME)), **words)
    assert here == plan(LADDER, starts_at=starts, **words)
    night = datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    berlin = words | {
        "booked_at": night - timedelta(days=5),
        "zone": "Europe/Berlin",
        "quiet_from": time(0),
        "quiet_to": time(0),
    }
    assert plan(LADDER[1:], starts_at=night, **berlin)
    assert plan(LADDER[1:], starts_at=night, **berlin) == plan(
        LADDER[1:], starts_at=night.astimezone(UTC), **berlin
    )


# --- how long each is worth sending, and how to prepare --------------------------------------------------------------


@pytest.mark.parametrize(
    ("booked", "visit", "until"),
    [
        # yesterday's reminder is useless once today's is due; the last one is worth sending until the visit
        ("2026-11-20 10:00", "2026-11-25 10:00", ["11-25 08:00", "11-25 10:00"]),
        ("2026-11-20 10:00", "2026-11-25 08:30", ["11-25 07:00", "11-25 08:30"]),
        ("2026-11-20 10:00", "2026-11-25 07:30", ["11-25 07:30"]),
        ("2026-11-24 14:00", "2026-11-25 10:00", ["11-25 10:00"]),
    ],
)
def test_a_reminder_is_worth_sending_until_the_next_one_is_due(booked, visit, until):
    assert [there(one.until) for one in planned(booked, visit)] == until


EVENING = time(18)


@pytest.mark.parametrize(
    ("booked", "visit", "quiet", "expected"),
    [
        ("2026-11-20 10:00", "2026-11-25 10:00", (time(22), time(7)), "11-24 18:00"),
        ("2026-11-24 17:59", "2026-11-25 08:00", (time(22), time(7)), "11-24 18:00"),
        # booked in the evening: the confirmation has said it
        ("2026-11-24 18:00", "2026-11-25 08:00", (time(22), time(7)), None),
        ("2026-11-25 07:00", "2026-11-25 10:00", (time(22), time(7)), None),
        # a house whose quiet hours begin before its evening tells at their end, and not after the visit has begun
        ("2026-11-20 10:00", "2026-11-25 10:00", (time(17), time(7)), "11-25 07:00"),
        ("2026-11-20 10:00", "2026-11-25 06:30", (time(17), time(7)), None),
    ],
)
def test_how_to_prepare_is_told_the_evening_before(booked, visit, quiet, expected):
    found = planned(booked, visit, quiet=quiet, prepare_at=EVENING)
    told = [one for one in found if one.kind == "preparation"]
    assert [there(one.at) for one in told] == ([expected] if expected else [])
    assert all(one.until == wall(visit) for one in told)
    assert [one for one in found if one.kind != "preparation"] == planned(booked, visit, quiet=quiet)


@pytest.mark.parametrize(("zone", "change"), ZONES)
@pytest.mark.parametrize("after", [0, 1])
def test_the_evening_before_is_the_clinics_own_over_a_change_of_the_clocks(zone, change, after):
    visit = change + timedelta(days=after)
    found = planned(f"{visit - timedelta(days=4)} 10:00", f"{visit} 10:00", zone=zone, prepare_at=EVENING)
    (told,) = [one for one in found if one.kind == "preparation"]
    assert there(told.at, zone) == f"{visit - timedelta(days=1):%m-%d} 18:00"
    assert [one.kind for one in found] == ["reminder_day", "preparation", "reminder_hours"]


def test_the_three_optional_kinds_are_the_ones_a_person_may_switch_off():
    assert OPTIONAL == ("reminder_day", "reminder_hours", "preparation")
