"""The two private steps every verb shares: take a place, and give one back. Nothing else marks a place."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import and_, insert, or_, select, update
from sqlalchemy.orm import Session

from booking import failpoints
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.rules import is_legal
from booking.db import new_id
from booking.schedule.models import Place
from booking.schedule.queries import sellable
from booking.staff.rules import SYSTEM, Actor

LOOKS: tuple[dict[str, Any], ...] = ({"skip_locked": True}, {"skip_locked": True}, {})
"""How each look for a free place treats locked rows: skip them twice, then wait for them once."""


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

    PostgreSQL: rows locked by others are skipped, so a hot slot spreads over its places; only when nothing is left are
    they waited for, because the one who holds the lock may yet roll back (an answer "full" must have been true at some
    instant). SQLite has one writer, so the same statement needs no locks. Holds that have run out are ended first.
    """
    looks = LOOKS if session.get_bind().dialect.name == "postgresql" else LOOKS[:2]
    for attempt, lock in enumerate(looks):
        if attempt == 1:
            end_stale_holds(session, hospital_id, now, slot_id=slot_id)
        free = (
            select(Place.id)
            .where(
                Place.hospital_id == hospital_id,
                Place.slot_id == slot_id,
                sellable(now, channel),
                Place.appointment_id.is_(None),
            )
            .order_by(Place.position)
            .limit(1)
            .with_for_update(**lock)
        )
        place_id = session.scalar(
            update(Place)
            .where(
                Place.hospital_id == hospital_id,
                Place.id == free.scalar_subquery(),
                Place.appointment_id.is_(None),
                Place.open.is_(True),
            )
            .values(appointment_id=appointment_id, held_until=held_until)
            .returning(Place.id)
            .execution_options(synchronize_session=False)
        )
        if place_id is not None:
            failpoints.reach("took_place")
            return place_id
    return None


def return_place(session: Session, hospital_id: int, place_id: uuid.UUID, appointment_id: uuid.UUID) -> None:
    """Give a place back, once: the mark must still be ours, otherwise the transaction is wrong and must not commit.

    A place that was added for one patient (加号) is not sold on: it is withdrawn.
    """
    done = session.execute(
        update(Place)
        .where(Place.hospital_id == hospital_id, Place.id == place_id, Place.appointment_id == appointment_id)
        .values(
            appointment_id=None,
            held_until=None,
            open=and_(Place.open, Place.channel != "extra"),
            withdrawn=or_(Place.withdrawn, Place.channel == "extra"),
        )
        .execution_options(synchronize_session=False)
    )
    if getattr(done, "rowcount", 0) != 1:
        raise RuntimeError(f"place {place_id} is not taken by {appointment_id}")
    failpoints.reach("returned_place")


def lock_appointment(session: Session, hospital_id: int, appointment_id: uuid.UUID) -> Appointment | None:
    """Load an appointment and lock its row until the transaction ends."""
    return session.get(
        Appointment, (hospital_id, appointment_id), with_for_update=True, populate_existing=True
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
    done = session.execute(
        update(Appointment)
        .where(
            Appointment.hospital_id == row.hospital_id,
            Appointment.id == row.id,
            Appointment.status == before,
            Appointment.version == version,
        )
        .values(status=after, version=version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    if getattr(done, "rowcount", 0) != 1:
        raise RuntimeError(f"appointment {row.id} changed under its lock")
    add_event(
        session, row, verb, before, after, version + 1, actor=actor, now=now, reason=reason, facts=facts
    )
    session.refresh(row)


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
    session.execute(
        insert(AppointmentEvent).values(
            hospital_id=row.hospital_id,
            id=new_id(),
            appointment_id=row.id,
            version=version,
            at=now,
            verb=verb,
            from_status=before,
            to_status=after,
            actor_kind=actor.kind,
            actor_id=actor.id[:64],
            reason=reason,
            facts=facts or {},
        )
    )


def end_hold(
    session: Session, row: Appointment, verb: str, *, actor: Actor, now: datetime, reason: str = ""
) -> None:
    """End a hold and give its place back."""
    place_id = row.place_id
    change_status(session, row, verb, "expired", actor=actor, now=now, reason=reason, holds_place_id=None)
    return_place(session, row.hospital_id, place_id, row.id)


def end_stale_holds(
    session: Session,
    hospital_id: int,
    now: datetime,
    *,
    slot_id: uuid.UUID | None = None,
    holder: str | None = None,
    account_id: int | None = None,
    limit: int = 200,
) -> int:
    """End holds whose time is over, of a slot, of a holder or of the whole hospital; return how many.

    A hold past its end still occupies the unique indexes (time is not allowed in an index), so whoever needs the place
    or the seat ends it first. One that another transaction is working on is skipped.
    """
    stale = (
        select(Appointment)
        .where(
            Appointment.hospital_id == hospital_id,
            Appointment.status == "held",
            Appointment.held_until <= now,
        )
        .order_by(Appointment.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if slot_id is not None:
        stale = stale.where(Appointment.slot_id == slot_id)
    if holder is not None:
        mine = Appointment.holder == holder
        if account_id is not None:
            mine = mine | (Appointment.holder_account_id == account_id)
        stale = stale.where(mine)
    rows = list(session.scalars(stale))
    for row in rows:
        end_hold(session, row, "expire", actor=SYSTEM, now=now, reason="hold ran out")
    return len(rows)
