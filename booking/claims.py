"""Taking letters that are due, and what became of them: lease, fence, order; nothing here knows what a letter says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, not_, select, text, update
from sqlalchemy.orm import Session, aliased

from booking.clock import db_now
from booking.db import transaction
from booking.outbox import LIVE, Message

LEASE = timedelta(seconds=60)


def due_channels(session: Session, now: datetime) -> list[tuple[int, str]]:
    """Return the (owner, channel) pairs that have something due, PLATFORM among them; a plain read without locks."""
    due = (
        select(Message.hospital_id, Message.channel)
        .where(Message.status.in_(LIVE), Message.next_at <= now)
        .distinct()
        .order_by(Message.hospital_id)
    )
    return [(hospital_id, channel) for hospital_id, channel in session.execute(due)]


def claim_due(hospital_id: int, channel: str, worker: str, limit: int, *, wanted: str) -> list[Message]:
    """Take up to `limit` due letters of one hospital and channel for `LEASE`; return them, the longest due first.

    `wanted` is SQL over `message`, true while the letter should still go out; it is evaluated by the statement that
    claims, so a letter about a visit cancelled before the claim ends as `superseded` and is not returned. A letter
    waits while an older version about the same visit is being sent over the same channel. A letter whose worker
    died is claimable again when its lease ends. Useless ones end as `expired`. An empty list means: nothing is left
    to do here now.
    """
    while True:
        with transaction() as session:
            looked_at, claimed = _claim_batch(session, hospital_id, channel, worker, limit, wanted)
        if claimed or not looked_at:
            return claimed


def _claim_batch(
    session: Session, hospital_id: int, channel: str, worker: str, limit: int, wanted: str
) -> tuple[int, list[Message]]:
    """Look at one batch in the caller's transaction; return how many were looked at, and the claimed ones.

    The rows are locked first and judged by later statements, each with a fresh view of what others committed
    meanwhile. Rows another worker has locked are skipped (SQLite has one writer at a time and needs no lock).
    """
    now = db_now(session)
    due = (Message.status.in_(LIVE), Message.next_at <= now)
    ahead = _older_is_being_sent(now)
    chosen = session.scalars(
        select(Message.id)
        .where(
            Message.hospital_id == hospital_id,
            Message.channel == channel,
            *due,
            not_(ahead),
        )
        .order_by(Message.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not chosen:
        return 0, []
    claimed = session.scalars(
        update(Message)
        .where(
            Message.hospital_id == hospital_id,
            Message.id.in_(chosen),
            *due,
            Message.expires_at >= now,
            not_(ahead),
            text(f"({wanted}) IS TRUE"),
        )
        .values(
            status="sending",
            worker=worker[:80],
            attempts=Message.attempts + 1,
            fence=Message.fence + 1,
            lease_until=now + LEASE,
            next_at=now + LEASE,
        )
        .returning(Message)
        .execution_options(synchronize_session=False)
    ).all()
    rest = set(chosen) - {message.id for message in claimed}
    if rest:
        left = (Message.hospital_id == hospital_id, Message.id.in_(rest), Message.status.in_(LIVE))
        for status, why in (
            ("expired", Message.expires_at < now),
            ("superseded", and_(text(f"({wanted}) IS NOT TRUE"), not_(ahead))),
        ):
            session.execute(
                update(Message)
                .where(*left, why)
                .values(status=status, lease_until=None)
                .execution_options(synchronize_session=False)
            )
    return len(chosen), sorted(claimed, key=lambda message: (message.due_at, message.version))


def _older_is_being_sent(now: datetime) -> ColumnElement[bool]:
    """An older letter about the same visit is on its way over the same channel: the newer must not overtake it."""
    older = aliased(Message)
    return exists().where(
        older.hospital_id == Message.hospital_id,
        older.appointment_id == Message.appointment_id,
        older.channel == Message.channel,
        older.version < Message.version,
        older.status == "sending",
        older.lease_until > now,
    )


def give_back(messages: Iterable[Message]) -> None:
    """Return claimed letters that were not tried, at once due again; those whose lease went to another stay there."""
    with transaction() as session:
        for message in messages:
            session.execute(
                update(Message)
                .where(*_still_ours(message))
                .values(
                    status="waiting",
                    lease_until=None,
                    next_at=db_now(session),
                    attempts=Message.attempts - 1,
                )
            )


def _still_ours(message: Message) -> tuple[ColumnElement[bool], ...]:
    return (
        Message.hospital_id == message.hospital_id,
        Message.id == message.id,
        Message.status == "sending",
        Message.fence == message.fence,
    )


def settle(
    message: Message,
    status: str,
    *,
    error: str = "",
    provider_ref: str = "",
    retry_at: datetime | None = None,
    subject: str | None = None,
    body: str | None = None,
) -> bool:
    """Record how a claimed letter ended, or when it is tried again (`status` waiting with `retry_at`).

    Compare-and-swap on the fence: returns False and changes nothing when the lease was lost to another claim.
    """
    with transaction() as session:
        now = db_now(session)
        values: dict[str, Any] = {"status": status, "lease_until": None, "last_error": error[:500]}
        if retry_at is not None:
            values["next_at"] = retry_at
        if status in ("delivered", "accepted"):
            values |= {"sent_at": now, "provider_ref": provider_ref[:120], "subject": subject, "body": body}
        done = session.execute(
            update(Message)
            .where(*_still_ours(message))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        return getattr(done, "rowcount", 0) == 1
