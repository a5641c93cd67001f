"""The outbox: letters as rows, written in the transaction of the change they tell about (`claims` sends them on)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    CompoundSelect,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    case,
    column,
    delete,
    false,
    insert,
    literal,
    or_,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from booking.clock import db_now
from booking.db import (
    Instant,
    Json,
    Model,
    Sealed,
    Serial,
    Tenant,
    after_commit,
    core,
    end_read,
    first_id_of,
    new_id,
    transaction,
)

PLATFORM = 0
"""The owner of letters that belong to no hospital (one-time codes)."""

REMOVED_AT_ONCE = 1000
"""Rows that retention deletes in one transaction: it is in nobody's way for long."""
LIVE = ("waiting", "sending")
CHANNELS = ("app", "sms", "email", "wechat", "voice", "webhook")
BY_PHONE = ("sms", "voice", "wechat")
"""What rings or lights up in somebody's pocket. An in-app letter or an e-mail alone may go unread until it is too late."""
ENDED = ("delivered", "accepted", "failed", "expired", "superseded", "suppressed")


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
        Index(
            "ix_message_channel_due",
            "hospital_id",
            "channel",
            "next_at",
            sqlite_where=text("status IN ('waiting', 'sending')"),
            postgresql_where=text("status IN ('waiting', 'sending')"),
        ),
        Index("ix_message_appointment", "hospital_id", "appointment_id"),
        Index("ix_message_account", "account_id", "sent_at"),
        Index("ix_message_to", "hospital_id", "to_hash", "sent_at"),
        Index("ix_message_sent", "hospital_id", "sent_at"),
        Index(
            "ix_message_failed",
            "hospital_id",
            "next_at",
            sqlite_where=text("status IN ('failed', 'expired', 'suppressed')"),
            postgresql_where=text("status IN ('failed', 'expired', 'suppressed')"),
        ),
        Index(
            "ix_message_repaired",
            "hospital_id",
            sqlite_where=text("repaired"),
            postgresql_where=text("repaired"),
        ),
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


class DemoClock(Model):
    """How far the demo's clock is moved; one row, read only where the configuration allows it."""

    __tablename__ = "demo_clock"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    offset_seconds: Mapped[float] = mapped_column(default=0)


@dataclass(frozen=True)
class Letter:
    """One letter to be put: to whom (`recipient` account, patient or code, with its id) over which channel, and when.

    `due_at`/`expires_at`: it is sent in [due_at, expires_at]; afterwards it would be useless and ends as `expired`.
    `about` names for its dedupe key what a letter is about that is about no appointment, or beside the wish it is about.
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
        """The dedupe key: about what (an appointment or a wish, and `about`), kind, version, channel and recipient."""
        who = self.account_id if self.recipient == "account" else self.patient_id or self.code_id or ""
        about = "-".join(one.hex for one in (about_id, self.about) if one)
        return f"{about or '-'}:{self.kind}:{version}:{self.channel}:{self.recipient}{who}"


_INSERT = insert(core(Message))
_REFERENCE = re.compile(r"(0|[1-9][0-9]{0,17})-([0-9a-f]{32})")
_wake: list[Callable[[], None]] = []
_offered = {"app", "sms", "email"}
_receipts: list[str] = []


def offer(channels: Iterable[str]) -> None:
    """Set the channels beyond app, SMS and e-mail (wechat, voice) that letters are put for: those with a provider."""
    _offered.clear()
    _offered.update(("app", "sms", "email"), channels)


def offers(channel: str) -> bool:
    """Whether letters are put for this channel."""
    return channel in _offered


def expect_receipts(providers: Iterable[str]) -> None:
    """Set the providers that give receipts: what they accepted has not arrived before they say so."""
    _receipts[:] = providers


def receipts_from() -> tuple[str, ...]:
    """Return the providers whose silence means something, because they give receipts (setting RECEIPTS_FROM)."""
    return tuple(_receipts)


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
    about_id = appointment_id or wish_id
    rows = [
        _row(letter, hospital_id, letter.key(about_id, version), now)
        | {"appointment_id": appointment_id, "wish_id": wish_id, "version": version}
        for letter in letters
    ]
    if rows:
        session.connection().execute(_INSERT, rows)
        wake_after(session)
    return len(rows)


def put_missing(
    session: Session,
    hospital_id: int,
    letters: Iterable[Letter],
    *,
    now: datetime,
    appointment_id: uuid.UUID,
    version: int,
) -> int:
    """Write those letters about an appointment that the ledger lacks, marked as repaired; return how many.

    They have the same dedupe keys as when their verb puts them: one that is there, whatever became of it, stays alone.
    """
    rows = [
        _row(letter, hospital_id, letter.key(appointment_id, version), now)
        | {"appointment_id": appointment_id, "version": version, "repaired": True}
        for letter in letters
    ]
    return sum(_insert_once(session, row) for row in rows)


def put_again(session: Session, message: Message, *, now: datetime) -> Message | None:
    """Write a letter that failed or expired once more, due at once; return it, or None when that was done before.

    A letter of its own: it has its own id and reference, and a dedupe key that names the one it repeats.
    """
    again = {
        column.name: getattr(message, column.name)
        for column in core(Message).columns
        if column.name in _REPEATED
    }
    again |= {
        "id": new_id(),
        "dedupe_key": f"{message.dedupe_key}:again",
        "created_at": now,
        "due_at": now,
        "next_at": now,
    }
    if not _insert_once(session, again):
        return None
    return session.get_one(Message, (message.hospital_id, again["id"]))


_REPEATED = {
    "hospital_id",
    "kind",
    "channel",
    "recipient",
    "account_id",
    "patient_id",
    "appointment_id",
    "wish_id",
    "version",
    "facts",
    "expires_at",
}


def _row(letter: Letter, hospital_id: int, key: str, now: datetime) -> dict[str, Any]:
    return {
        "hospital_id": hospital_id,
        "id": new_id(),
        "dedupe_key": key,
        "kind": letter.kind,
        "channel": letter.channel,
        "recipient": letter.recipient,
        "account_id": letter.account_id,
        "patient_id": letter.patient_id,
        "code_id": letter.code_id,
        "facts": letter.facts or {},
        "created_at": now,
        "due_at": letter.due_at,
        "next_at": letter.due_at,
        "expires_at": letter.expires_at,
    }


def _insert_once(session: Session, row: dict[str, Any]) -> bool:
    """Insert a row unless its dedupe key is taken, also by a transaction that commits meanwhile."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    made = (insert_sqlite if sqlite else insert_postgresql)(core(Message)).on_conflict_do_nothing()
    done = session.connection().execute(made.returning(core(Message).c.id), row).first() is not None
    if done:
        wake_after(session)
    return done


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
        .values(
            status="superseded",
            lease_until=None,
            # nobody knows how far the worker came whose lease ran out
            ambiguous=Message.ambiguous + case((Message.status == "sending", 1), else_=0),
        )
    )
    return int(getattr(done, "rowcount", 0))


def supersede_letters(session: Session, hospital_id: int, letter_ids: Collection[uuid.UUID]) -> int:
    """End those of these letters that nobody is sending, in the transaction that puts newer ones; return how many."""
    done = session.execute(
        update(Message)
        .where(Message.hospital_id == hospital_id, Message.id.in_(letter_ids), Message.status == "waiting")
        .values(status="superseded")
        .execution_options(synchronize_session=False)
    )
    return int(getattr(done, "rowcount", 0))


class Named(Protocol):
    """Anything that has a letter's key."""

    @property
    def hospital_id(self) -> int: ...

    @property
    def id(self) -> uuid.UUID: ...


def reference(message: Named) -> str:
    """Return the name a letter goes by outside: the same at every try, and enough to find its row again."""
    return f"{message.hospital_id}-{message.id.hex}"


def from_reference(text: str) -> tuple[int, uuid.UUID] | None:
    """Return (hospital_id, id) of the letter that goes by this name; None for anything that is no such name."""
    found = _REFERENCE.fullmatch(text)
    return (int(found[1]), uuid.UUID(found[2])) if found else None


def owners() -> CompoundSelect[int]:
    """Return the query for everybody who owns letters: the hospitals and PLATFORM."""
    hospital = table("hospital", column("id", Serial))
    return select(hospital.c.id).union_all(select(literal(PLATFORM, Serial)))


def remove_old(days: int = 400) -> int:
    """Delete letters that ended and were due `days` ago; return how many. No letter is due before it is made."""
    letter = core(Message)
    return remove_rows(letter, letter.c.due_at, days, letter.c.status.in_(ENDED))


def remove_rows(rows: Table, since: ColumnElement[Any], days: int, *more: ColumnElement[bool]) -> int:
    """Delete the rows of every owner whose moment `since` lies `days` back and of which `more` is true; return how many.

    `REMOVED_AT_ONCE` in a transaction. Ids are made in the order of time, and none later than its `since`: the primary key
    finds the old ones.
    """
    removed = 0
    for owner in end_read().scalars(owners()).all():
        count = REMOVED_AT_ONCE
        while count == REMOVED_AT_ONCE:
            with transaction() as session:
                before = db_now(session) - timedelta(days=days)
                count = _remove_first(session, rows, owner, before, since < before, *more)
            removed += count
    return removed


def _remove_first(
    session: Session, rows: Table, owner: int, before: datetime, *old: ColumnElement[bool]
) -> int:
    found = session.connection().execute(
        select(rows.c.id)
        .where(rows.c.hospital_id == owner, rows.c.id < first_id_of(before), *old)
        .order_by(rows.c.id)
        .limit(REMOVED_AT_ONCE)
    )
    ids = [row.id for row in found]
    if ids:
        session.connection().execute(delete(rows).where(rows.c.hospital_id == owner, rows.c.id.in_(ids)))
    return len(ids)
