"""The private steps every verb shares: take a place, give one back, use one up. Nothing else marks a place."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from booking import failpoints
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.rules import is_legal
from booking.appointments.turns import lose_turn
from booking.db import Instant, constant, core, new_id
from booking.schedule.models import Place
from booking.schedule.sellable import NOW, USED, sellable
from booking.schedule.wanted import keep_back_if_wanted
from booking.staff.rules import SYSTEM, Actor

LOOKS: tuple[str, ...] = ("skip", "skip", "wait")
"""How each look for a free place treats rows that others have locked: skips them twice, then waits for them once."""


@cache
def _take(channel: str | None, locks: str) -> Update:
    """The statement that marks the first free place of a slot; built once for each way of looking."""
    place = core(Place)
    free = (
        select(place.c.id)
        .where(
            place.c.hospital_id == bindparam("hospital"),
            place.c.slot_id == bindparam("slot"),
            sellable(NOW, channel),
            place.c.appointment_id.is_(None),
        )
        .order_by(place.c.position)
        .limit(literal_column("1"))
        .with_for_update(skip_locked=locks == "skip")
    )
    return (
        update(place)
        .where(
            place.c.hospital_id == bindparam("hospital"),
            place.c.id == free.scalar_subquery(),
            place.c.appointment_id.is_(None),
            place.c.open.is_(True),
        )
        .values(appointment_id=bindparam("appointment"), held_until=bindparam("until"))
        .returning(place.c.id)
    )


@cache
def _any(channel: str | None) -> Select[Any]:
    """Whether a slot has a place that could be sold, a hold that has run out counting as none."""
    place = core(Place)
    one = exists().where(
        place.c.hospital_id == bindparam("hospital"),
        place.c.slot_id == bindparam("slot"),
        sellable(NOW, channel),
    )
    return select(one)


def take_place(
    session: Session,
    hospital_id: int,
    slot_id: uuid.UUID,
    appointment_id: uuid.UUID,
    *,
    now: datetime,
    held_until: datetime | None,
    channel: str | None = "web",
) -> uuid.UUID | None:
    """Mark a free place of the slot as taken by `appointment_id` and return its id, or None when there is none.

    PostgreSQL: rows locked by others are skipped, so a hot slot spreads over its places. When nothing is left, a plain
    read asks whether the committed state has a place that could be sold: if not, "full" is true at this instant and is
    said at once, without a lock. If it has, it is under a hold that ran out (ended first) or locked by somebody who may
    yet roll back, and is waited for; so is a hold that ran out and that somebody else has in hand. SQLite has one writer,
    so the same statements need no locks.
    """
    looks = LOOKS if session.get_bind().dialect.name == "postgresql" else LOOKS[:2]
    link = session.connection()
    where = {"hospital": hospital_id, "slot": slot_id, "now": now}
    mark = where | {"appointment": appointment_id, "until": held_until}
    for attempt, locks in enumerate(looks):
        if attempt == 1 and not link.execute(_any(channel), where).scalar():
            return None
        if attempt:
            end_stale_holds(session, hospital_id, now, slot_id=slot_id, wait=locks == "wait")
        place_id: uuid.UUID | None = link.execute(_take(channel, locks), mark).scalar()
        if place_id is not None:
            failpoints.reach("took_place")
            return place_id
    return None


_PLACE = core(Place)
_MARKED = update(_PLACE).where(
    _PLACE.c.hospital_id == bindparam("its_hospital"),
    _PLACE.c.id == bindparam("its_id"),
    _PLACE.c.appointment_id == bindparam("its_appointment"),
)


_RETURN = _MARKED.values(
    appointment_id=None,
    held_until=None,
    rests_until=None,
    freed_at=case((bindparam("asked", type_=Boolean()), _PLACE.c.freed_at)),
    open=and_(_PLACE.c.open, _PLACE.c.channel != "extra"),
    withdrawn=or_(_PLACE.c.withdrawn, _PLACE.c.channel == "extra"),
)


def take_kept_place(
    session: Session,
    hospital_id: int,
    place_id: uuid.UUID,
    appointment_id: uuid.UUID,
    *,
    held_until: datetime,
    now: datetime,
) -> None:
    """Mark a place that is kept back for the waiting list as taken by an offer; the caller has its row locked and free.

    One from the public sale, the second of a pair, is asked about from `now` on, so that it goes on if the offer ends.
    """
    done = session.execute(
        update(Place)
        .where(
            Place.hospital_id == hospital_id,
            Place.id == place_id,
            Place.appointment_id.is_(None),
            Place.open.is_(True),
        )
        .values(
            appointment_id=appointment_id,
            held_until=held_until,
            freed_at=func.coalesce(Place.freed_at, literal(now, Instant())),
        )
        .execution_options(synchronize_session=False)
    )
    if getattr(done, "rowcount", 0) != 1:
        raise RuntimeError(f"place {place_id} was taken under its lock")


def return_place(
    session: Session,
    hospital_id: int,
    place_id: uuid.UUID,
    appointment_id: uuid.UUID,
    *,
    asked: bool = False,
) -> None:
    """Give a place back, once: the mark must still be ours, otherwise the transaction is wrong and must not commit.

    A place that somebody waits for rests, so that nobody takes it before the list was asked; `asked` says that it comes
    back from an offer: the list goes on being asked about it. One that was added for one patient (加号) is not sold on: it is
    withdrawn.
    """
    given: dict[str, Any] = {
        "its_hospital": hospital_id,
        "its_id": place_id,
        "its_appointment": appointment_id,
        "asked": asked,
    }
    if session.connection().execute(_RETURN, given).rowcount != 1:
        raise RuntimeError(f"place {place_id} is not taken by {appointment_id}")
    if not keep_back_if_wanted(session, hospital_id, [place_id], asked=asked) and asked:
        session.execute(
            update(Place)
            .where(Place.hospital_id == hospital_id, Place.id == place_id)
            .values(freed_at=None)
            .execution_options(synchronize_session=False)
        )
    failpoints.reach("returned_place")


_USE_UP = _MARKED.values(appointment_id=None, held_until=None, rests_until=USED, freed_at=None)


def use_up_place(session: Session, hospital_id: int, place_id: uuid.UUID, appointment_id: uuid.UUID) -> None:
    """Take the mark off a place whose patient has been seen, once; it rests for good instead of going back on sale.

    An added one (加号) goes on counting towards the cap of its session: the doctor has seen one more.
    """
    mine = {"its_hospital": hospital_id, "its_id": place_id, "its_appointment": appointment_id}
    if session.connection().execute(_USE_UP, mine).rowcount != 1:
        raise RuntimeError(f"place {place_id} is not taken by {appointment_id}")


def keep_until(session: Session, row: Appointment, until: datetime | None) -> None:
    """Repeat the end of a hold, or None once it is booked, on its place; the mark must be ours."""
    mine = {"its_hospital": row.hospital_id, "its_id": row.place_id, "its_appointment": row.id}
    if session.connection().execute(_MARKED, mine | {"held_until": until}).rowcount != 1:
        raise RuntimeError(f"place {row.place_id} is not taken by {row.id}")


_APPOINTMENT = core(Appointment)
_LOCK = (
    select(_APPOINTMENT)
    .where(_APPOINTMENT.c.hospital_id == bindparam("hospital"), _APPOINTMENT.c.id == bindparam("id"))
    .with_for_update()
)


def lock_appointment(session: Session, hospital_id: int, appointment_id: uuid.UUID) -> Appointment | None:
    """Load an appointment and lock its row until the transaction ends."""
    found = session.connection().execute(_LOCK, {"hospital": hospital_id, "id": appointment_id}).first()
    return None if found is None else _known(session, dict(found._mapping))


def _known(session: Session, values: dict[str, Any]) -> Appointment:
    """Return the appointment with these columns as the session's own, as if it had loaded it."""
    key = identity_key(Appointment, (values["hospital_id"], values["id"]))
    row = session.identity_map.get(key)
    if row is not None:
        for name, value in values.items():
            set_committed_value(row, name, value)
        return row
    row = Appointment(**values)
    make_transient_to_detached(row)
    session.add(row)
    return row


_SWAP = update(_APPOINTMENT).where(
    _APPOINTMENT.c.hospital_id == bindparam("its_hospital"),
    _APPOINTMENT.c.id == bindparam("its_id"),
    _APPOINTMENT.c.status == bindparam("before"),
    _APPOINTMENT.c.version == bindparam("its_version"),
)


def change_status(
    session: Session,
    row: Appointment,
    verb: str,
    after: str,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    facts: dict[str, Any] | None = None,
    **values: Any,
) -> None:
    """Compare-and-swap an appointment to another status, version + 1, and add the event row that says who and why.

    Raises RuntimeError for a move that is not legal or a row that changed under the lock: both are faults of the caller.
    """
    before, version = row.status, row.version
    if not is_legal(before, after):
        raise RuntimeError(f"{before} to {after} is not a legal move")
    done = session.connection().execute(
        _SWAP,
        values
        | {"status": after, "version": version + 1}
        | {"its_hospital": row.hospital_id, "its_id": row.id, "before": before, "its_version": version},
    )
    if done.rowcount != 1:
        raise RuntimeError(f"appointment {row.id} changed under its lock")
    add_event(
        session, row, verb, before, after, version + 1, actor=actor, now=now, reason=reason, facts=facts
    )
    for name, value in (values | {"status": after, "version": version + 1}).items():
        set_committed_value(row, name, value)


_INSERT = insert(_APPOINTMENT)
_NAMES = tuple(_APPOINTMENT.c.keys())
_DEFAULTS: dict[str, Any] = {
    "version": 1,
    "kind": "web",
    "extensions": 0,
    "remind": True,
    "cancel_reason": "",
    "cancelled_late": False,
    "arrived_late": False,
}


def insert_appointment(session: Session, **values: Any) -> Appointment:
    """Write a new appointment that holds the place it names, and return it; it is known to the session as if loaded.

    `values` are columns; those left out keep their default. What is returned says exactly what was written, so that
    nobody has to read it again.
    """
    values = _DEFAULTS | values | {"holds_place_id": values["place_id"]}
    session.connection().execute(_INSERT, values)
    return _known(session, {name: values.get(name) for name in _NAMES})


_EVENT = insert(core(AppointmentEvent))


def add_event(
    session: Session,
    row: Appointment,
    verb: str,
    before: str | None,
    after: str,
    version: int,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    facts: dict[str, Any] | None = None,
) -> None:
    """Add the event row of one version."""
    session.connection().execute(
        _EVENT,
        {
            "hospital_id": row.hospital_id,
            "id": new_id(),
            "appointment_id": row.id,
            "version": version,
            "at": now,
            "verb": verb,
            "from_status": before,
            "to_status": after,
            "actor_kind": actor.kind,
            "actor_id": actor.id[:64],
            "reason": reason,
            "facts": facts or {},
        },
    )


def end_hold(
    session: Session, row: Appointment, verb: str, *, actor: Actor, now: datetime, reason: str = ""
) -> None:
    """End a hold and give its place back; of an offer to a pair both halves, and its wish is told."""
    place_id, offered = row.place_id, row.kind == "offer"
    change_status(session, row, verb, "expired", actor=actor, now=now, reason=reason, holds_place_id=None)
    return_place(session, row.hospital_id, place_id, row.id, asked=offered)
    for other in lose_turn(session, row, verb, now=now) if offered else ():
        end_hold(session, other, verb, actor=actor, now=now, reason=reason)


def end_stale_holds(
    session: Session,
    hospital_id: int,
    now: datetime,
    *,
    slot_id: uuid.UUID | None = None,
    session_id: uuid.UUID | None = None,
    holder: str | None = None,
    account_id: int | None = None,
    limit: int = 200,
    wait: bool = False,
) -> int:
    """End holds whose time is over, of a slot, a session, a holder or the whole hospital; return how many.

    A hold past its end still occupies the unique indexes (time is not allowed in an index), so whoever needs the place
    or the seat ends it first. One that another transaction is working on is skipped, or with `wait` waited for: somebody
    who comes too late to confirm has it in hand and lets it go.
    """
    stale = (
        select(Appointment)
        .where(
            Appointment.hospital_id == hospital_id,
            Appointment.status == constant("held"),
            Appointment.held_until <= now,
        )
        .order_by(Appointment.id)
        .limit(limit)
        .with_for_update(skip_locked=not wait)
        .execution_options(populate_existing=True)
    )
    if slot_id is not None:
        stale = stale.where(Appointment.slot_id == slot_id)
    if session_id is not None:
        stale = stale.where(Appointment.session_id == session_id)
    if holder is not None:
        mine = Appointment.holder == holder
        if account_id is not None:
            mine = mine | (Appointment.holder_account_id == account_id)
        stale = stale.where(mine)
    rows = list(session.scalars(stale))
    for row in rows:
        if row.status == "held":  # the other half of a pair's offer may have ended it
            end_hold(session, row, "expire", actor=SYSTEM, now=now, reason="hold ran out")
    return len(rows)
