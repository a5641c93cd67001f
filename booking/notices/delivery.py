"""How letters went, in figures: today, the last days, how long they took, by channel, and what waits. Reads indexes only.

Three partial views of the ledger make every figure: what left (ix_message_sent, by when it left), what waits
(ix_message_due, by when it is next tried), and what did not arrive (ix_message_failed, by the end of its last try).
Superseded letters belong to none: the change that ended them put others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, extract, func, literal, literal_column, select

from booking.clock import utc
from booking.db import db
from booking.notices.models import ProviderState
from booking.outbox import LIVE, Message

SENT = ("delivered", "accepted")
NOT_SENT = ("failed", "expired", "suppressed")
ALARM = 0.02
"""The share of failures among what was tried that raises the alarm."""
ALARM_WINDOW = timedelta(minutes=15)


def in_words(statuses: Iterable[str]) -> Any:
    """Return the condition of a partial index in its own words: a bound value would keep the index away."""
    return literal_column(f"message.status IN ({', '.join(repr(one) for one in statuses)})")


Tally = dict[tuple[int, str, str], int]
"""(number of the span, status, channel) -> letters."""


@dataclass(frozen=True)
class Today:
    """The letters of one day: `planned` is all of them, the others how they stand."""

    sent: int
    delivered: int
    failed: int
    waiting: int
    not_sent: int

    @property
    def planned(self) -> int:
        return self.sent + self.delivered + self.failed + self.waiting + self.not_sent


@dataclass(frozen=True)
class Alarm:
    """The last quarter of an hour: how many were tried, how many of them failed."""

    tried: int
    failed: int

    @property
    def share(self) -> float:
        return self.failed / self.tried if self.tried else 0.0

    @property
    def rings(self) -> bool:
        return self.share > ALARM


@dataclass(frozen=True)
class Backlog:
    """What is due and has not left: how many, and since when the oldest waits (None: nothing does)."""

    due: int
    oldest: datetime | None


def day_bounds(day: date, zone: str, days: int = 1) -> list[datetime]:
    """Return the instants at which `days` days of the hospital begin, and the one at which the last of them ends."""
    return [utc(day + timedelta(days=n), time(0), zone) for n in range(days + 1)]


def _span(column: Any, bounds: Sequence[datetime]) -> ColumnElement[int]:
    """The number of the span between two bounds that an instant falls into."""
    return case(
        *[(column < end, literal_column(str(n))) for n, end in enumerate(bounds[1:])], else_=len(bounds)
    )


def tally(hospital_id: int, bounds: Sequence[datetime]) -> Tally:
    """Count the letters that left or failed between the bounds by span, status and channel."""
    found: Tally = {}
    for at, statuses in ((Message.sent_at, SENT), (Message.next_at, NOT_SENT)):
        span = _span(at, bounds).label("span")
        where = (
            Message.hospital_id == hospital_id,
            at >= bounds[0],
            at < bounds[-1],
            in_words(statuses),
        )
        rows = db.session.execute(
            select(span, Message.status, Message.channel, func.count())
            .where(*where)
            .group_by(span, Message.status, Message.channel)
        )
        for number, status, channel, count in rows:
            found[int(number), status, channel] = count
    return found


def waiting(hospital_id: int, end: datetime) -> int:
    """Return how many letters wait for a try before an instant; those that are overdue count too."""
    return (
        db.session.scalar(
            select(func.count()).where(
                Message.hospital_id == hospital_id, in_words(LIVE), Message.next_at < end
            )
        )
        or 0
    )


def today(hospital_id: int, day: date, zone: str, counted: Tally | None = None) -> Today:
    """Return how the letters of a day stand; `counted` is that day's tally where the caller has it."""
    bounds = day_bounds(day, zone)
    counts = tally(hospital_id, bounds) if counted is None else counted
    by: dict[str, int] = {}
    for (_span_number, status, _channel), count in counts.items():
        by[status] = by.get(status, 0) + count
    return Today(
        sent=by.get("accepted", 0),
        delivered=by.get("delivered", 0),
        failed=by.get("failed", 0),
        waiting=waiting(hospital_id, bounds[1]),
        not_sent=by.get("expired", 0) + by.get("suppressed", 0),
    )


def delays(hospital_id: int, bounds: Sequence[datetime]) -> dict[int, tuple[float, float, int]]:
    """Return for each span with letters that left the building: seconds from due to sent, median and 95th percentile,
    and how many there were."""
    sqlite = db.engine.dialect.name == "sqlite"
    seconds: Any = (
        (func.julianday(Message.sent_at) - func.julianday(Message.due_at)) * 86400
        if sqlite
        else extract("epoch", Message.sent_at - Message.due_at)
    )
    span = _span(Message.sent_at, bounds)
    each = (
        select(
            span.label("span"),
            seconds.label("seconds"),
            func.row_number().over(partition_by=span, order_by=seconds).label("place"),
            func.count().over(partition_by=span).label("n"),
        )
        .where(
            Message.hospital_id == hospital_id,
            Message.sent_at >= bounds[0],
            Message.sent_at < bounds[-1],
            Message.channel != "app",
        )
        .subquery()
    )

    def at(share: float) -> Any:
        """The smallest delay that at least so many of the letters do not exceed (nearest rank)."""
        reached = each.c.place >= each.c.n * literal(share)
        return func.min(case((reached, each.c.seconds)))

    rows = db.session.execute(
        select(each.c.span, at(0.5), at(0.95), func.max(each.c.n)).group_by(each.c.span)
    )
    return {int(n): (max(0.0, float(p50)), max(0.0, float(p95)), int(count)) for n, p50, p95, count in rows}


def alarm(hospital_id: int, now: datetime) -> Alarm:
    """Return how the last quarter of an hour went."""
    counts = tally(hospital_id, [now - ALARM_WINDOW, now + timedelta(minutes=5)])
    sent = sum(count for (_n, status, _c), count in counts.items() if status in SENT)
    failed = sum(count for (_n, status, _c), count in counts.items() if status == "failed")
    return Alarm(tried=sent + failed, failed=failed)


def backlog(hospital_id: int, now: datetime) -> Backlog:
    """Return what should have left by now and has not."""
    count, oldest = db.session.execute(
        select(func.count(), func.min(Message.due_at)).where(
            Message.hospital_id == hospital_id, in_words(LIVE), Message.next_at <= now
        )
    ).one()
    return Backlog(count, oldest)


def providers_in_trouble(now: datetime) -> list[ProviderState]:
    """Return the providers that rest now, or whose last try failed."""
    states = db.session.scalars(select(ProviderState).order_by(ProviderState.name))
    return [one for one in states if one.failures or (one.rests_until is not None and one.rests_until > now)]
