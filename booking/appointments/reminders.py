"""When reminders of a visit are due: a pure function of the policy's ladder."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo


def plan(
    ladder: Iterable[dict[str, Any]],
    *,
    booked_at: datetime,
    starts_at: datetime,
    zone: str,
    quiet_from: time,
    quiet_to: time,
) -> list[tuple[str, datetime]]:
    """Return (kind, due instant) of each reminder, in time order; instants in UTC, rules in the clinic's wall time.

    A step with `days_before` and `at` is due at that wall time; it is left out when the visit was booked after
    `booked_before` of the same day. A step with `minutes_before` is left out when less than `at_least` minutes remain.
    Whatever falls into quiet hours moves to their end. Nothing is due before the booking itself.
    """
    wall = ZoneInfo(zone)
    starts_at = starts_at.astimezone(UTC)  # two times of one zone would be subtracted as wall times
    visit = starts_at.astimezone(wall)
    due: list[tuple[str, datetime]] = []
    for step in ladder:
        if "days_before" in step:
            day = visit.date() - timedelta(days=step["days_before"])
            at = _after_quiet(datetime.combine(day, _time(step["at"]), wall), quiet_from, quiet_to)
            if booked_at >= datetime.combine(day, _time(step.get("booked_before", step["at"])), wall):
                continue
        else:
            at = (starts_at - timedelta(minutes=step["minutes_before"])).astimezone(wall)
            at = _after_quiet(at, quiet_from, quiet_to)
            if starts_at - at < timedelta(minutes=step.get("at_least", 0)):
                continue
        if booked_at < at < starts_at:
            due.append((step["kind"], at.astimezone(UTC)))
    return sorted(due, key=lambda one: one[1])


def after_quiet(at: datetime, zone: str, quiet_from: time, quiet_to: time) -> datetime:
    """Return the instant `at`, or the end of the quiet hours it falls into by the clinic's wall time: for what can wait."""
    return _after_quiet(at.astimezone(ZoneInfo(zone)), quiet_from, quiet_to).astimezone(UTC)


def _time(text: str) -> time:
    hour, minute = text.split(":")
    return time(int(hour), int(minute))


def _after_quiet(at: datetime, quiet_from: time, quiet_to: time) -> datetime:
    """Return `at`, or the end of the quiet hours it falls into (they may span midnight)."""
    now = at.time()
    if quiet_from <= quiet_to:
        return datetime.combine(at.date(), quiet_to, at.tzinfo) if quiet_from <= now < quiet_to else at
    if now >= quiet_from:
        return datetime.combine(at.date() + timedelta(days=1), quiet_to, at.tzinfo)
    if now < quiet_to:
        return datetime.combine(at.date(), quiet_to, at.tzinfo)
    return at
