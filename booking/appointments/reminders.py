"""When reminders of a visit are due: a pure function of the policy's ladder."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

PREPARATION = "preparation"
OPTIONAL = ("reminder_day", "reminder_hours", PREPARATION)
"""The kinds a person may switch off; they never go out in quiet hours. All others always go."""


class Due(NamedTuple):
    """A reminder: its kind, when it is due and until when it is worth sending; instants in UTC."""

    kind: str
    at: datetime
    until: datetime


def plan(
    ladder: Iterable[dict[str, Any]],
    *,
    booked_at: datetime,
    starts_at: datetime,
    zone: str,
    quiet_from: time,
    quiet_to: time,
    prepare_at: time | None = None,
) -> list[Due]:
    """Return the reminders of a visit, in time order; instants in UTC, rules in the clinic's wall time.

    A step with `days_before` and `at` is due at that wall time; it is left out when the visit was booked after
    `booked_before` of the same day. A step with `minutes_before` is left out when less than `at_least` minutes remain.
    `prepare_at` is when the evening before tells how to prepare (None: there is nothing to prepare); who books later than
    that reads it in the confirmation. Whatever falls into quiet hours moves to their end. Nothing is due before the
    booking itself. A reminder is worth sending until the next of the ladder is due, the last one until the visit.
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
    due.sort(key=lambda one: one[1])
    until = [at for _, at in due[1:]] + [starts_at]
    found = [Due(kind, at, end) for (kind, at), end in zip(due, until, strict=False)]
    if prepare_at is not None:
        evening = preparing(starts_at, zone, prepare_at)
        at = _after_quiet(evening.astimezone(wall), quiet_from, quiet_to).astimezone(UTC)
        if booked_at < evening and at < starts_at:
            found.append(Due(PREPARATION, at, starts_at))
    return sorted(found, key=lambda one: one.at)


def preparing(starts_at: datetime, zone: str, prepare_at: time) -> datetime:
    """Return the instant of the evening before a visit, by the clinic's wall time, at which its preparation is told."""
    wall = ZoneInfo(zone)
    day = starts_at.astimezone(wall).date() - timedelta(days=1)
    return datetime.combine(day, prepare_at, wall).astimezone(UTC)


def when_to_ring(
    now: datetime, starts_at: datetime, *, zone: str, after: timedelta, quiet_from: time, quiet_to: time
) -> datetime:
    """Return when a phone rings about something urgent that no receipt confirms: `after` a while, at night in the morning.

    The night is kept when its end still leaves an hour before the visit; otherwise the phone rings at night.
    """
    at = now + after
    awake = after_quiet(at, zone, quiet_from, quiet_to)
    return awake if awake + timedelta(hours=1) <= starts_at else at


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
