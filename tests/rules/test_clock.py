"""Clinic wall time and UTC, over both changes of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from booking.clock import local, utc
from booking.db import Instant


@pytest.mark.parametrize(
    ("zone", "day", "at", "expected"),
    [
        ("Asia/Shanghai", date(2026, 11, 25), time(8, 30), "2026-11-25 00:30"),
        ("Asia/Shanghai", date(2026, 11, 25), time(7, 59), "2026-11-24 23:59"),
        ("Europe/Berlin", date(2026, 3, 28), time(8), "2026-03-28 07:00"),
        ("Europe/Berlin", date(2026, 3, 29), time(1, 59), "2026-03-29 00:59"),
        ("Europe/Berlin", date(2026, 3, 29), time(2, 30), "2026-03-29 01:30"),  # skipped: becomes 03:30
        ("Europe/Berlin", date(2026, 3, 29), time(3), "2026-03-29 01:00"),
        ("Europe/Berlin", date(2026, 3, 29), time(8), "2026-03-29 06:00"),
        ("Europe/Berlin", date(2026, 10, 25), time(2, 30), "2026-10-25 00:30"),  # twice: the first
        ("Europe/Berlin", date(2026, 10, 25), time(3), "2026-10-25 02:00"),
        ("America/New_York", date(2026, 3, 8), time(2, 30), "2026-03-08 07:30"),
        ("America/New_York", date(2026, 3, 8), time(8), "2026-03-08 12:00"),
        ("America/New_York", date(2026, 11, 1), time(1, 30), "2026-11-01 05:30"),
        ("America/New_York", date(2026, 11, 1), time(8), "2026-11-01 13:00"),
    ],
)
def test_wall_time_to_utc(zone, day, at, expected):
    found = utc(day, at, zone)
    assert found.tzinfo is UTC
    assert f"{found:%Y-%m-%d %H:%M}" == expected


@pytest.mark.parametrize(
    "zone", ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
)
def test_eight_in_the_morning_stays_eight_in_the_morning_all_year(zone):
    for step in range(366):
        day = date(2026, 1, 1) + timedelta(days=step)
        seen = local(utc(day, time(8), zone), zone)
        assert (seen.date(), seen.time()) == (day, time(8))


def test_an_instant_without_a_zone_is_never_stored():
    with pytest.raises(ValueError, match="zone"):
        Instant().process_bind_param(datetime(2026, 1, 1), None)
