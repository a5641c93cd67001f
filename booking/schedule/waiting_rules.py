"""Rules of the waiting list: when a list closes, until when an offer stands, at which minute a place comes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from booking.clock import utc

LEAST_TO_ANSWER = timedelta(minutes=10)
"""An offer that could be answered for less than this is not made."""
LAST_SALE = timedelta(hours=1)
"""A returned place is on sale again at least this long before booking its slot ends."""
NO_WINDOW = timedelta(hours=1)
"""Where no minute of the window is left, a random one of so much time is taken."""


def list_closes(days_before: int, at: time, local_date: date, zone: str) -> datetime:
    """When the list for a visit date closes: by default 23:00 the day before."""
    return utc(local_date - timedelta(days=days_before), at, zone)


def first_open_date(days_before: int, at: time, here: datetime) -> date:
    """The first visit date whose list has not closed at the wall time `here`."""
    first = here.date() + timedelta(days=days_before)
    return first if here.time() < at else first + timedelta(days=1)


def accept_by(
    now: datetime, minutes: int, *, quiet_from: time, quiet_to: time, zone: str, closes_at: datetime
) -> datetime:
    """Until when an offer made at `now` stands: so many minutes outside quiet hours, but not beyond the slot's closing.

    Quiet hours take nothing from the time to answer: they may span midnight, and none are meant when both ends agree.
    """
    wall, at, left = ZoneInfo(zone), now, timedelta(minutes=minutes)
    while at < closes_at and quiet_from != quiet_to:
        at = quiet_end(at, quiet_from, quiet_to, zone)
        here = at.astimezone(wall)
        sleeps = datetime.combine(here.date(), quiet_from, wall)
        if sleeps <= here:
            sleeps = datetime.combine(here.date() + timedelta(days=1), quiet_from, wall)
        awake = sleeps.astimezone(UTC) - at
        if left <= awake:
            break
        left -= awake
        at += awake
    return min(at + left, closes_at)


def quiet_end(at: datetime, quiet_from: time, quiet_to: time, zone: str) -> datetime:
    """Return the instant `at`, or the end of the quiet hours it falls into."""
    here = at.astimezone(ZoneInfo(zone))
    wall = here.time().replace(tzinfo=None)
    day = here.date()
    if quiet_from <= quiet_to:
        return utc(day, quiet_to, zone) if quiet_from <= wall < quiet_to else at
    if wall >= quiet_from:
        return utc(day + timedelta(days=1), quiet_to, zone)
    return utc(day, quiet_to, zone) if wall < quiet_to else at


def rest_until(
    now: datetime,
    *,
    window_from: time,
    window_to: time,
    zone: str,
    closes_at: datetime,
    pick: Callable[[int], int],
) -> datetime | None:
    """Return the random minute at which a returned place is for everybody again, or None when it must not rest.

    `pick(n)` chooses one of n. The minute lies in today's window or, when that is over, in tomorrow's; always early enough
    that the place can still be sold. Without such a minute it is one of the next hour; None when the slot closes too soon.
    """
    latest = closes_at - LAST_SALE
    today = now.astimezone(ZoneInfo(zone)).date()
    spans = []
    for day in (today, today + timedelta(days=1)):
        opens, shuts = utc(day, window_from, zone), utc(day, window_to, zone)
        spans.append((max(now, opens), min(shuts, latest)))
    spans.append((now, min(now + NO_WINDOW, latest)))
    for starts, ends in spans:
        minutes = int((ends - starts).total_seconds() // 60)
        if minutes >= 1:
            return starts + timedelta(minutes=1 + pick(minutes))
    return None
