"""Taking letters that are due: lease, fence, order; nothing here knows what a letter says (`settling`: what became of them).

Whole batches at a time and as plain rows: a backlog of a hundred thousand letters is a matter of minutes, and each
statement less is time for the bookings beside it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    ScalarSelect,
    String,
    bindparam,
    case,
    column,
    exists,
    literal_column,
    not_,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from booking.clock import db_now
from booking.db import Instant, constant, core, db, transaction
from booking.outbox import CHANNELS, LIVE, Message, owners

LEASE = timedelta(seconds=60)
BATCH = 100
USELESS = 1000

_MESSAGE = core(Message)
_HOSPITAL = bindparam("hospital", type_=BigInteger())
_CHANNEL = bindparam("its_channel", type_=String())
_NOW, _UNTIL = bindparam("now", type_=Instant()), bindparam("until", type_=Instant())


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter that one worker has for the time of a lease, as its row was when it was taken.

    `provider`: who was asked last, and may have taken it `ambiguous` times.
    """

    hospital_id: int
    id: uuid.UUID
    kind: str
    channel: str
    recipient: str
    account_id: int | None
    patient_id: int | None
    code_id: int | None
    appointment_id: uuid.UUID | None
    wish_id: uuid.UUID | None
    version: int
    facts: dict[str, Any]
    created_at: datetime
    due_at: datetime
    expires_at: datetime
    attempts: int
    fence: int
    provider: str
    ambiguous: int


_COLUMNS = [_MESSAGE.c[name] for name in Claimed.__dataclass_fields__]


def due_channels(session: Session, now: datetime) -> list[tuple[int, str]]:
    """Return the (owner, channel) pairs that have something due, PLATFORM among them; a plain read without locks.

    Each pair is asked for one letter by itself: a long row of due letters costs no more than a short one. (A condition
    `EXISTS` may be turned into a join over all of them.)
    """
    owner = owners().cte("owner")
    asked = [
        select(owner.c.id, constant(channel)).where(_first_due(owner.c.id, channel, now).is_not(None))
        for channel in CHANNELS
    ]
    return sorted((hospital_id, channel) for hospital_id, channel in session.execute(union_all(*asked)))


def _first_due(owner: ColumnElement[int], channel: str, now: datetime) -> ScalarSelect[Any]:
    """When the first due letter of one owner and channel is due: in order, because a scan of all looks cheap for any one."""
    return (
        select(_MESSAGE.c.next_at)
        .where(
            _MESSAGE.c.hospital_id == owner,
            _MESSAGE.c.channel == constant(channel),
            _is_live(),
            _MESSAGE.c.next_at <= now,
        )
        .order_by(_MESSAGE.c.next_at)
        .limit(1)
        .scalar_subquery()
    )


def claim_due(
    hospital_id: int,
    channel: str,
    worker: str,
    limit: int,
    *,
    wanted: str,
    waits: str = "FALSE",
    newest_first: bool = False,
) -> list[Claimed]:
    """Take up to `limit` due letters of one hospital and channel for `LEASE`; return them, the longest due first.

    `wanted` is SQL over `message`, true while the letter should still go out; it is evaluated by the statement that
    claims, so a letter about a visit cancelled before the claim ends as `superseded` and is not returned. A letter
    waits while an older version about the same visit is being sent over the same channel, and while `waits` (SQL too)
    is true of it. A letter whose worker died is claimable again when its lease ends; as nobody knows how far that worker
    came, its try counts as ambiguous.
    Useless ones end as `expired`, and others are looked at in their place until a quarter of `limit` is claimed.
    `newest_first` looks at those that have become due last, so that what somebody waits for does not stand behind a long
    row of reminders. An empty list means: nothing is left to do here now.
    """
    claimed: list[Claimed] = []
    while True:
        asked = limit - len(claimed)
        with transaction() as session:
            looked_at, taken = _claim_batch(
                session, hospital_id, channel, worker, asked, wanted, waits, newest_first
            )
        claimed += taken
        if looked_at < asked or is_good_part(claimed, limit):
            return sorted(claimed, key=attrgetter("due_at", "version"))


def is_good_part(claimed: Sequence[Claimed], limit: int) -> bool:
    """Whether more may stand where so many were claimed: `claim_due` returns fewer only when it has seen all."""
    return 4 * len(claimed) >= limit


def _claim_batch(
    session: Session,
    hospital_id: int,
    channel: str,
    worker: str,
    limit: int,
    wanted: str,
    waits: str = "FALSE",
    newest_first: bool = False,
) -> tuple[int, list[Claimed]]:
    """Look at one batch in the caller's transaction; return how many were looked at, and the claimed ones.

    One statement locks, judges and takes. Rows another worker has locked are skipped (SQLite has one writer at a time
    and needs no lock); a row that was changed meanwhile is judged as it is now.
    """
    now = db_now(session)
    sqlite = session.get_bind().dialect.name == "sqlite"
    asked = {
        "hospital": hospital_id,
        "its_channel": channel,
        "by": worker[:80],
        "now": now,
        "until": now + LEASE,
        "most": limit,
    }
    rows = session.connection().execute(_claim(sqlite, wanted, waits, newest_first), asked).all()
    claimed = [Claimed(*row[:-1]) for row in rows if row[-1] == "sending"]
    return len(rows), claimed


@cache
def _claim(sqlite: bool, wanted: str, waits: str, newest_first: bool) -> ReturningUpdate[Any]:
    """The statement that claims; built once, as building it takes longer than the database needs for it."""
    at, row = _MESSAGE.c.next_at, _row_address(sqlite)
    looked = (
        select(
            row.label("row"),
            (_MESSAGE.c.expires_at < _NOW).label("late"),
            literal_column(f"({wanted}) IS TRUE", Boolean()).label("wanted"),
        )
        .where(
            _MESSAGE.c.hospital_id == _HOSPITAL,
            _MESSAGE.c.channel == _CHANNEL,
            _is_live(),
            at <= _NOW,
            not_(_older_is_being_sent()),
            literal_column(f"({waits}) IS NOT TRUE", Boolean()),
        )
        .order_by(at.desc() if newest_first else at)
        .limit(bindparam("most", type_=Integer()))
        .with_for_update(skip_locked=True, of=_MESSAGE)
        .cte("looked")
    )
    taken = looked.c.wanted & not_(looked.c.late)
    return (
        update(_MESSAGE)
        .where(_MESSAGE.c.hospital_id == _HOSPITAL, row == looked.c.row)
        .values(
            status=case(
                (looked.c.late, constant("expired")),
                (looked.c.wanted, constant("sending")),
                else_=constant("superseded"),
            ),
            worker=case((taken, bindparam("by", type_=String())), else_=_MESSAGE.c.worker),
            attempts=_MESSAGE.c.attempts + case((taken, 1), else_=0),
            fence=_MESSAGE.c.fence + case((taken, 1), else_=0),
            ambiguous=_MESSAGE.c.ambiguous + case((_MESSAGE.c.status == constant("sending"), 1), else_=0),
            lease_until=case((taken, _UNTIL), else_=null()),
            next_at=case((taken, _UNTIL), else_=_NOW),
        )
        .returning(*_COLUMNS, _MESSAGE.c.status)
    )


def end_useless(hospital_id: int, channel: str) -> int:
    """End due letters of one hospital and channel whose time is over as `expired`; return how many, at most `USELESS`.

    For a channel whose providers all rest: nobody claims its letters, and the call list looks at what has ended. A letter
    another worker has, or has locked, stays its own. A repeat ends what was left over.
    """
    reading = db.session()
    now = db_now(reading)
    over = select(_MESSAGE.c.id).where(
        _MESSAGE.c.hospital_id == hospital_id,
        _MESSAGE.c.channel == channel,
        _is_live(),
        _MESSAGE.c.next_at <= now,
        _MESSAGE.c.expires_at < now,
    )
    if reading.execute(over.limit(1)).first() is None:
        return 0
    with transaction() as session:
        ended = over.limit(USELESS).with_for_update(skip_locked=True).cte("ended")
        done = session.connection().execute(
            update(_MESSAGE)
            .where(_MESSAGE.c.hospital_id == hospital_id, _MESSAGE.c.id == ended.c.id)
            .values(
                status=constant("expired"),
                ambiguous=_MESSAGE.c.ambiguous + case((_MESSAGE.c.status == constant("waiting"), 0), else_=1),
                lease_until=null(),
                next_at=now,
            )
        )
        return done.rowcount


def _is_live() -> ColumnElement[bool]:
    """Waiting or being sent, in the very words of the index over what is due."""
    return _MESSAGE.c.status.in_([constant(status) for status in LIVE])


def _row_address(sqlite: bool) -> ColumnElement[Any]:
    """Where a row lies. It has just been locked: to look it up by its key would leave the database a choice of indexes, and
    one that has not counted a new hospital's rows yet takes a bad one."""
    return column("rowid" if sqlite else "ctid", _selectable=_MESSAGE)


def _older_is_being_sent() -> ColumnElement[bool]:
    """An older letter about the same visit is on its way over the same channel: the newer must not overtake it.

    What is on its way is read once, as a short range of the index over what is due: there a lease is the next instant.
    """
    sending = _MESSAGE.alias("sending")
    on_its_way = (
        select(sending.c.appointment_id, sending.c.version)
        .where(
            sending.c.hospital_id == _HOSPITAL,
            sending.c.channel == _CHANNEL,
            sending.c.status == constant("sending"),
            sending.c.next_at > _NOW,
            sending.c.next_at <= _UNTIL,
        )
        .cte("on_its_way")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    return exists().where(
        on_its_way.c.appointment_id == _MESSAGE.c.appointment_id, on_its_way.c.version < _MESSAGE.c.version
    )
