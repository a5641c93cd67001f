"""Receipts (回执): what a provider says later about a letter it took. Any order, any number of times, one truth."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Update,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from booking.clock import db_now
from booking.db import Instant, constant, core, new_id, retried, transaction
from booking.directory.models import Hospital
from booking.notices.callbacks import Event
from booking.notices.models import Receipt
from booking.outbox import LIVE, PLATFORM, Message, from_reference, remove_rows
from booking.vault import blind_index

log = logging.getLogger(__name__)

NAMES_KNOWN_AFTER = timedelta(minutes=10)
NO_LETTER = uuid.UUID(int=0)
"""A receipt about no letter of ours is kept under this id, owned by the platform, so that somebody sees how many there are."""

_MESSAGE, _RECEIPT = core(Message), core(Receipt)
_INSERT = [
    insert(_RECEIPT).on_conflict_do_nothing().returning(_RECEIPT.c.id)
    for insert in (postgresql_insert, sqlite_insert)
]


def _is(statuses: tuple[str, ...]) -> ColumnElement[bool]:
    # words of the statement's text: a list of bound values cannot be sent for many rows at once
    return _MESSAGE.c.status.in_([constant(status) for status in statuses])


def _apply(status: str, outranked: tuple[str, ...]) -> Update:
    """The statement that carries a receipt into its letter: forward only.

    A letter that is being sent, or waits for another try, was taken by the provider in an earlier or this very try of
    which we have not heard: what the provider says ends it, and the try in hand can no longer settle.
    """
    tried = and_(_is(LIVE), _MESSAGE.c.attempts > 0)
    at = bindparam("at", type_=Instant())
    return (
        update(_MESSAGE)
        .where(
            _MESSAGE.c.hospital_id == bindparam("hospital"),
            _MESSAGE.c.id == bindparam("letter"),
            or_(tried, _is(outranked)),
        )
        .values(
            status=status,
            lease_until=None,
            sent_at=func.coalesce(_MESSAGE.c.sent_at, at),
            delivered_at=at if status == "delivered" else None,
            last_error=bindparam("detail") if status == "failed" else _MESSAGE.c.last_error,
            provider=case((_MESSAGE.c.provider == "", bindparam("said_by")), else_=_MESSAGE.c.provider),
            provider_ref=case(
                (_MESSAGE.c.provider_ref == "", bindparam("its_ref")), else_=_MESSAGE.c.provider_ref
            ),
        )
    )


_APPLY = {
    "delivered": _apply("delivered", ("accepted", "failed")),
    "failed": _apply("failed", ("accepted",)),
}
"""Delivered outranks failed, whichever comes first; other ends (superseded, suppressed, expired) stay what they are."""


@dataclass(frozen=True)
class Taken:
    """What became of a call: receipts that were new, that were known, and (of the new) that are about no letter of ours.

    `early`: not kept, because nobody can tell yet which letter they are about; the provider must tell them again.
    """

    kept: int
    repeated: int
    unknown: int
    early: int = 0


@retried
def record_receipts(provider: str, events: Iterable[Event]) -> Taken:
    """Keep receipts and carry them into their letters, all or none.

    Idempotent by the provider's event id and monotone: accepted → failed → delivered, never back, in whatever order they
    come. A receipt may come before the sender has settled: the letter is then ended by it. About no letter of ours, or
    one that has ended otherwise, it is kept and changes nothing.
    """
    by_id = {event.id: event for event in events}
    with transaction() as session:
        now = db_now(session)
        letters = _letters(session, by_id.values())
        early = [event.id for event in by_id.values() if event.id not in letters and _is_early(event, now)]
        for event_id in early:
            del by_id[event_id]
        rows = [
            {
                "hospital_id": letters[event.id].hospital_id if event.id in letters else PLATFORM,
                "id": new_id(),
                "provider": provider,
                "event_id": event.id,
                "message_id": letters[event.id].id if event.id in letters else NO_LETTER,
                "said": event.said,
                "detail": event.detail,
                "said_at": event.said_at,
                "received_at": now,
            }
            for event in by_id.values()
        ]
        if not rows:
            return Taken(0, 0, 0, len(early))
        insert = _INSERT[session.get_bind().dialect.name == "sqlite"]
        kept = {row.id for row in session.connection().execute(insert, rows)}
        for status, statement in _APPLY.items():
            said = [
                _told(event, letters[event.id], now)
                for event in by_id.values()
                if event.said == status and event.id in letters
            ]
            if said:
                # in one order, so that two calls about the same letters wait for each other instead of locking up
                said.sort(key=lambda told: (told["hospital"], told["letter"]))
                session.connection().execute(statement, [told | {"said_by": provider} for told in said])
    unknown = sum(row["message_id"] == NO_LETTER for row in rows if row["id"] in kept)
    if unknown:
        log.warning("%s: %d receipts about no letter of ours", provider, unknown)
    return Taken(len(kept), len(rows) - len(kept), unknown, len(early))


@dataclass(frozen=True)
class _Letter:
    hospital_id: int
    id: uuid.UUID
    since: datetime


def _told(event: Event, letter: _Letter, now: datetime) -> dict[str, Any]:
    # the provider's clock is its own: a letter arrives after it was written and before we hear of it
    at = max(letter.since, min(event.said_at or now, now))
    return {
        "hospital": letter.hospital_id,
        "letter": letter.id,
        "at": at,
        "detail": f"receipt: {event.detail}"[:500],
        "its_ref": event.provider_ref,
    }


def _is_early(event: Event, now: datetime) -> bool:
    """Whether a receipt without our reference may be about a letter whose sender has not noted the provider's name yet."""
    return not event.reference and event.said_at is not None and now - event.said_at < NAMES_KNOWN_AFTER


def _letters(session: Session, events: Iterable[Event]) -> dict[str, _Letter]:
    """Return the letter of each event that is about one of ours, by event id."""
    named: dict[int, dict[uuid.UUID, list[str]]] = {}
    letters: dict[str, _Letter] = {}
    for event in events:
        if not event.reference:
            found_by_name = _by_its_name(session, event)
            if found_by_name is not None:
                letters[event.id] = found_by_name
            continue
        found = from_reference(event.reference)
        if found is not None:
            named.setdefault(found[0], {}).setdefault(found[1], []).append(event.id)
    for hospital_id, ids in named.items():
        asked = select(_MESSAGE.c.id, _MESSAGE.c.sent_at, _MESSAGE.c.created_at).where(
            _MESSAGE.c.hospital_id == hospital_id, _MESSAGE.c.id.in_(ids)
        )
        for row in session.execute(asked):
            for event_id in ids[row.id]:
                letters[event_id] = _Letter(hospital_id, row.id, row.sent_at or row.created_at)
    return letters


def _by_its_name(session: Session, event: Event) -> _Letter | None:
    """Return the letter that a provider names by its own name and the phone (Tencent returns no reference of ours)."""
    at = _MESSAGE.c
    asked = (
        select(at.hospital_id, at.id, func.coalesce(at.sent_at, at.created_at).label("since"))
        .where(
            at.hospital_id.in_(select(core(Hospital).c.id).union_all(select(literal(PLATFORM)))),
            at.to_hash == blind_index("phone", event.phone),
            at.provider_ref == event.provider_ref,
        )
        .order_by(at.sent_at.desc())
        .limit(1)
    )
    row = session.execute(asked).first()
    return _Letter(row.hospital_id, row.id, row.since) if row else None


def unknown_receipts(session: Session) -> int:
    """Return how many kept receipts are about no letter of ours: a wrong callback address, or letters long removed."""
    asked = select(func.count()).where(_RECEIPT.c.hospital_id == PLATFORM, _RECEIPT.c.message_id == NO_LETTER)
    return int(session.scalar(asked) or 0)


def remove_old(days: int = 400) -> int:
    """Delete receipts that came `days` ago: they are kept as long as their letters. Return how many.

    A receipt's id is made when it comes.
    """
    return remove_rows(_RECEIPT, _RECEIPT.c.received_at, days)
