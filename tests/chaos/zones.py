"""Nights on which the clocks change, and when a reminder around them is due: asked of the instants themselves, minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago")
"""Two hemispheres; changes of an hour and (Lord Howe) of half an hour; at 02:00, 03:00 and midnight."""


def next_change(zone: str, after: datetime) -> date:
    """Return the local date of the next change of the clocks in `zone`."""
    wall = ZoneInfo(zone)
    at = after.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while at.astimezone(wall).utcoffset() == (at + timedelta(minutes=30)).astimezone(wall).utcoffset():
        at += timedelta(minutes=30)
        if at - after > timedelta(days=400):
            raise ValueError(f"no change of the clocks in {zone} within a year")
    return (at + timedelta(minutes=30)).astimezone(wall).date()


def instant_of(day: date, at: time, zone: str) -> datetime:
    """Return the first instant at which a clock on the wall in `zone` shows `at` or, where that is skipped, later, on `day`."""
    wall = ZoneInfo(zone)
    begin = datetime.combine(day, time(0), UTC) - timedelta(hours=15)
    for minute in range(45 * 60):
        here = (begin + timedelta(minutes=minute)).astimezone(wall).replace(tzinfo=None)
        if here.date() == day and here.time() >= at:
            return begin + timedelta(minutes=minute)
    raise ValueError(f"{day} {at} does not come in {zone}")
