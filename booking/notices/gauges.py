"""What a monitor reads of the letters: how long they wait, how they went, and whether anybody was forgotten.

Every question reads an index, hospital by hospital, whatever the ledger has kept from the years before.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select

from booking.clock import db_now
from booking.db import db, new_id
from booking.directory.models import Hospital
from booking.notices.delivery import NOT_SENT, SENT, in_words
from booking.notices.models import PhoneCall, ProviderState, Receipt
from booking.notices.reconcile import without_letters
from booking.outbox import LIVE, PLATFORM, Message

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Gauge:
    """One measure: its name, what it says, and its values with their labels."""

    name: str
    says: str
    values: tuple[tuple[tuple[tuple[str, str], ...], float], ...]


def letter_gauges() -> list[Gauge]:
    """Return every gauge of the letters, read now; codes, which no hospital owns, are among them."""
    session = db.session()
    now = db_now(session)
    hospitals = list(session.scalars(select(Hospital.id).order_by(Hospital.id)))
    owners = [PLATFORM, *hospitals]
    oldest, backlog = _waiting(owners, now)
    return [
        _one(
            "booking_letters_oldest_due_seconds",
            "For how long the oldest letter that is due has waited; 0 when none is. More than 60 is late.",
            max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        ),
        Gauge(
            "booking_letters_backlog",
            "Letters that are due and have not left.",
            _labelled(backlog, "channel"),
        ),
        Gauge(
            "booking_letters_last_hour",
            "Letters that left or failed within the last hour, by channel and state.",
            _labelled(_last_hour(owners, now), "channel", "state"),
        ),
        _one(
            "booking_visits_without_letters",
            "Visits changed within the last minutes of which no letter tells; should be 0.",
            sum(without_letters(one) for one in hospitals),
        ),
        _one(
            "booking_letters_repaired",
            "Letters in the ledger that the reconciler had to put; should not rise.",
            sum(_count(Message.hospital_id == one, Message.repaired) for one in hospitals),
        ),
        *_providers(now),
        Gauge(
            "booking_receipts_last_hour",
            "Receipts that came within the last hour, by provider and what they said.",
            _labelled(_receipts(owners), "provider", "said"),
        ),
        _one(
            "booking_calls_open",
            "People whom no letter reached and whom a desk has still to ring.",
            sum(_count(PhoneCall.hospital_id == one, PhoneCall.done_at.is_(None)) for one in hospitals),
        ),
    ]


def _one(name: str, says: str, value: float) -> Gauge:
    return Gauge(name, says, (((), value),))


def _labelled(counts: dict[tuple[str, ...], int], *labels: str) -> Any:
    return tuple(
        (tuple(zip(labels, key, strict=True)), float(count)) for key, count in sorted(counts.items())
    )


def _add(into: dict[tuple[str, ...], int], rows: Iterable[Any]) -> None:
    for *key, count in rows:
        into[tuple(key)] = into.get(tuple(key), 0) + count


def _count(*where: Any) -> int:
    return db.session.scalar(select(func.count()).where(*where)) or 0


def _waiting(owners: list[int], now: datetime) -> tuple[datetime | None, dict[tuple[str, ...], int]]:
    oldest: datetime | None = None
    backlog: dict[tuple[str, ...], int] = {}
    for owner in owners:
        due = Message.hospital_id == owner, in_words(LIVE), Message.next_at <= now
        _add(
            backlog,
            db.session.execute(select(Message.channel, func.count()).where(*due).group_by(Message.channel)),
        )
        # a letter that is being sent, or waits for its next try, is as old as it was when it fell due
        first = db.session.scalar(select(func.min(Message.due_at)).where(*due))
        oldest = min((one for one in (oldest, first) if one is not None), default=None)
    return oldest, backlog


def _last_hour(owners: list[int], now: datetime) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for owner in owners:
        for at, statuses in ((Message.sent_at, SENT), (Message.next_at, NOT_SENT)):
            query = (
                select(Message.channel, Message.status, func.count())
                .where(Message.hospital_id == owner, at > now - HOUR, in_words(statuses))
                .group_by(Message.channel, Message.status)
            )
            _add(found, db.session.execute(query))
    return found


def _receipts(owners: list[int]) -> dict[tuple[str, ...], int]:
    """By the primary key: ids are made in the order of time (RFC 9562)."""
    since = uuid.UUID(int=new_id().int - (int(HOUR.total_seconds() * 1000) << 80))
    found: dict[tuple[str, ...], int] = {}
    for owner in owners:
        query = (
            select(Receipt.provider, Receipt.said, func.count())
            .where(Receipt.hospital_id == owner, Receipt.id >= since)
            .group_by(Receipt.provider, Receipt.said)
        )
        _add(found, db.session.execute(query))
    return found


def _providers(now: datetime) -> list[Gauge]:
    resting = case((ProviderState.rests_until > now, 1), else_=0)
    rows = db.session.execute(
        select(ProviderState.name, resting, ProviderState.failures).order_by(ProviderState.name)
    ).all()
    return [
        Gauge(
            "booking_provider_resting",
            "1 while a provider is left alone because its last tries failed.",
            tuple(((("provider", name),), float(rests)) for name, rests, _failures in rows),
        ),
        Gauge(
            "booking_provider_failures",
            "How many tries in a row a provider has failed.",
            tuple(((("provider", name),), float(failures)) for name, _rests, failures in rows),
        ),
    ]
