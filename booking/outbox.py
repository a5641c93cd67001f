"""The outbox: letters as rows, written in the transaction of the change they tell about, claimed by workers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Index,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    bindparam,
    delete,
    exists,
    false,
    insert,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from booking.clock import db_now
from booking.db import Instant, Json, Model, Sealed, Serial, Tenant, after_commit, core, new_id, transaction

PLATFORM = 0
"""The owner of letters that belong to no hospital (one-time codes)."""

LIVE = ("waiting", "sending")
ENDED = ("delivered", "accepted", "failed", "expired", "superseded", "suppressed")
LEASE = timedelta(seconds=60)


class Message(Tenant, Model):
    """One letter to one recipient over one channel. What it says is rendered when it is sent, from the newest rows.

    `fence` rises with every claim: a worker that lost its lease cannot settle with the old number. `subject` and
    `body` are stored for in-app letters only, because there the stored text is the letter. `ambiguous` counts the
    attempts of which nobody knows whether the provider took the letter. `to_hash` is the keyed hash of the address it
    went to; `merged_into`, the letter that also tells what this one would have told; `repaired`, that the reconciler
    put it because a booking lacked it.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("hospital_id", "dedupe_key", name="uq_one_message_per_dedupe_key"),
        CheckConstraint(
            "status IN ('waiting', 'sending', 'delivered', 'accepted', 'failed', 'expired', 'superseded',"
            " 'suppressed')",
            name="status",
        ),
        CheckConstraint("channel IN ('app', 'sms', 'email', 'wechat', 'voice', 'webhook')", name="channel"),
        CheckConstraint("status <> 'sending' OR lease_until IS NOT NULL", name="sending_has_a_lease"),
        Index(
            "ix_message_due",
            "hospital_id",
            "next_at",
            sqlite_where=text("status IN ('waiting', 'sending')"),
            postgresql_where=text("status IN ('waiting', 'sending')"),
        ),
        Index("ix_message_appointment", "hospital_id", "appointment_id"),
        Index("ix_message_account", "account_id", "sent_at"),
        Index("ix_message_to", "hospital_id", "to_hash", "sent_at"),
        Index("ix_message_sent", "hospital_id", "sent_at"),
    )
    dedupe_key: Mapped[str] = mapped_column(String(160))
    kind: Mapped[str] = mapped_column(String(20))
    channel: Mapped[str] = mapped_column(String(8))
    recipient: Mapped[str] = mapped_column(String(10))
    account_id: Mapped[int | None] = mapped_column(Serial)
    patient_id: Mapped[int | None] = mapped_column(Serial)
    code_id: Mapped[int | None] = mapped_column(Serial)
    appointment_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    wish_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    version: Mapped[int] = mapped_column(default=0)
    facts: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(Instant)
    due_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    next_at: Mapped[datetime] = mapped_column(Instant)
    status: Mapped[str] = mapped_column(String(10), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(Instant)
    worker: Mapped[str] = mapped_column(String(80), default="")
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    provider_ref: Mapped[str] = mapped_column(String(120), default="")
    last_error: Mapped[str] = mapped_column(Text, default="")
    subject: Mapped[str | None] = mapped_column(Sealed)
    body: Mapped[str | None] = mapped_column(Sealed)
    read_at: Mapped[datetime | None] = mapped_column(Instant)
    provider: Mapped[str] = mapped_column(String(20), default="", server_default="")
    ambiguous: Mapped[int] = mapped_column(default=0, server_default="0")
    segments: Mapped[int] = mapped_column(default=0, server_default="0")
    to_hash: Mapped[str | None] = mapped_column(String(64))
    merged_into: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    delivered_at: Mapped[datetime | None] = mapped_column(Instant)
    repaired: Mapped[bool] = mapped_column(default=False, server_default=false())


class PeriodicRun(Model):
    """A periodic job ran for one scheduled time; the key makes its effect happen once with any number of beats."""

    __tablename__ = "periodic_run"
    job: Mapped[str] = mapped_column(String(40), primary_key=True)
    scheduled_for: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(Instant)


class DemoClock(Model):
    """How far the demo's clock is moved; one row, read only where the configuration allows it."""

    __tablename__ = "demo_clock"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    offset_seconds: Mapped[float] = mapped_column(default=0)


@dataclass(frozen=True)
class Letter:
    """One letter to be put: to whom (`recipient` account, patient or code, with its id) over which channel, and when.

    `due_at`/`expires_at`: it is sent in [due_at, expires_at]; afterwards it would be useless and ends as `expired`.
    `about` names what a letter without an appointment is about, for its dedupe key.
    """

    kind: str
    channel: str
    recipient: str
    due_at: datetime
    expires_at: datetime
    account_id: int | None = None
    patient_id: int | None = None
    code_id: int | None = None
    facts: dict[str, Any] | None = None
    about: uuid.UUID | None = None

    def key(self, about_id: uuid.UUID | None, version: int) -> str:
        """The dedupe key: about what (an appointment, or a wish), kind, version, channel and recipient."""
        who = self.account_id if self.recipient == "account" else self.patient_id or self.code_id
        about = about_id or self.about
        return f"{about.hex if about else '-'}:{self.kind}:{version}:{self.channel}:{self.recipient}{who}"


_INSERT = insert(core(Message))
_wake: list[Callable[[], None]] = []


def on_commit(wake: Callable[[], None]) -> None:
    """Set the call made after a transaction that put letters has committed; it must neither raise nor wait."""
    _wake[:] = [wake]


def _call_wake() -> None:
    for wake in _wake:
        wake()


def wake_after(session: Session) -> None:
    """Ask for the workers' wake-up once the present transaction has committed."""
    after_commit(session, "wake", _call_wake)


def put(
    session: Session,
    hospital_id: int,
    letters: Iterable[Letter],
    *,
    now: datetime,
    appointment_id: uuid.UUID | None = None,
    wish_id: uuid.UUID | None = None,
    version: int = 0,
) -> int:
    """Write letters in the caller's transaction; return how many.

    The dedupe key (appointment or wish, kind, version, channel, recipient) is unique: putting one twice is an error of the
    caller and rolls its transaction back.
    """
    rows = [
        {
            "hospital_id": hospital_id,
            "id": new_id(),
            "dedupe_key": letter.key(appointment_id or wish_id, version),
            "kind": letter.kind,
            "channel": letter.channel,
            "recipient": letter.recipient,
            "account_id": letter.account_id,
            "patient_id": letter.patient_id,
            "code_id": letter.code_id,
            "appointment_id": appointment_id,
            "wish_id": wish_id,
            "version": version,
            "facts": letter.facts or {},
            "created_at": now,
            "due_at": letter.due_at,
            "next_at": letter.due_at,
            "expires_at": letter.expires_at,
        }
        for letter in letters
    ]
    if rows:
        session.connection().execute(_INSERT, rows)
        wake_after(session)
    return len(rows)


def supersede(
    session: Session, hospital_id: int, appointment_id: uuid.UUID, now: datetime | None = None
) -> int:
    """End every unsent letter about an appointment, in the transaction that changes it; return how many.

    A letter a worker is sending at this moment is left to that worker: it was claimed before this change committed.
    One whose worker let its lease run out is ended like a waiting one, so that nobody claims it beside the change.
    """
    done = session.execute(
        update(Message)
        .where(
            Message.hospital_id == hospital_id,
            Message.appointment_id == appointment_id,
            or_(
                Message.status == "waiting",
                and_(Message.status == "sending", Message.lease_until <= (now or db_now(session))),
            ),
        )
        .values(status="superseded", lease_until=None)
    )
    return int(getattr(done, "rowcount", 0))


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


def claim_run(job: str, every: timedelta) -> bool:
    """Return True once per scheduled time of `job` (the clock rounded down to `every`), False ever after."""
    with transaction() as session:
        now = db_now(session)
        seconds = int(every.total_seconds())
        scheduled = datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, tz=now.tzinfo)
        taken = select(PeriodicRun.job).where(PeriodicRun.job == job, PeriodicRun.scheduled_for == scheduled)
        if session.scalar(taken):
            return False
        done = session.execute(
            text(
                "INSERT INTO periodic_run (job, scheduled_for, started_at) VALUES (:job, :at, :now)"
                " ON CONFLICT DO NOTHING"
            ).bindparams(bindparam("at", type_=Instant()), bindparam("now", type_=Instant())),
            {"job": job, "at": scheduled, "now": now},
        )
        return getattr(done, "rowcount", 0) == 1


def remove_old(days: int = 400) -> int:
    """Delete letters that ended `days` ago and marks of periodic runs older than 7 days; return how many letters."""
    with transaction() as session:
        now = db_now(session)
        session.execute(delete(PeriodicRun).where(PeriodicRun.scheduled_for < now - timedelta(days=7)))
        old = (Message.status.in_(ENDED), Message.due_at < now - timedelta(days=days))
        done = session.execute(delete(Message).where(*old))
        return int(getattr(done, "rowcount", 0))
