"""Finish a visit (看完了): the patient has been seen; its number is used up and is nobody else's any more."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from booking.appointments.announce import tell_hospital
from booking.appointments.cancel import own_appointment
from booking.appointments.models import Appointment
from booking.appointments.places import change_status, use_up_place
from booking.appointments.rules import HERE, STATUS_NAMES, NotActive, NotArrived
from booking.clock import db_now
from booking.db import constant, db, end_read, retried, transaction
from booking.schedule.models import ClinicSession
from booking.staff.rules import SYSTEM, Actor, ensure_may
from booking.staff.trail import record

BATCH = 100
AFTER = timedelta(hours=4)
"""Whoever was here and is not finished so long after the end of the session has been seen: a clinic may run late, not so late."""

_HERE = tuple(constant(status) for status in HERE)
"""Written into the text of a query, so that the partial index over visits that stand may answer it."""


@retried
def finish(hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor) -> Appointment:
    """Record that a patient who had arrived has been seen; return the appointment, now fulfilled.

    The patient is told nothing, the hospital's own system is. The number is used up: it does not come back on sale. A
    repeat changes nothing. Raises NotArrived, NotActive, NoSuchAppointment, NotAllowed.
    """
    ensure_may(actor, "finish", hospital_id)
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        if row.status == "fulfilled":
            return row
        if row.status == "booked":
            raise NotArrived()
        if row.status not in HERE:
            raise NotActive(status=STATUS_NAMES[row.status])
        now = db_now(session)
        finish_row(session, row, actor=actor, now=now)
        record(session, hospital_id, actor, "finish", "appointment", row.id, now=now)
    return row


def finish_row(session: Session, row: Appointment, *, actor: Actor, now: datetime) -> None:
    """Turn a locked visit of somebody who is here into a fulfilled one, in the caller's transaction."""
    place_id = row.place_id
    change_status(session, row, "finish", "fulfilled", actor=actor, now=now, holds_place_id=None)
    use_up_place(session, row.hospital_id, place_id, row.id)
    tell_hospital(session, row, "fulfilled", now=now)


def finish_visits() -> int:
    """Finish the visits that nobody finished by hand, `AFTER` their session has ended; return how many.

    Hospital by hospital, `BATCH` in a transaction; rows another worker has in hand are skipped, so any number of runs at
    once finish each visit once.
    """
    hospitals = sorted(
        db.session.scalars(select(Appointment.hospital_id).where(Appointment.status.in_(_HERE)).distinct())
    )
    end_read()
    finished = 0
    for hospital_id in hospitals:
        while (done := _finish_batch(hospital_id)) == BATCH:
            finished += done
        finished += done
    return finished


@retried
def _finish_batch(hospital_id: int) -> int:
    with transaction() as session:
        now = db_now(session)
        rows = session.scalars(
            select(Appointment)
            .join(
                ClinicSession,
                and_(
                    ClinicSession.hospital_id == Appointment.hospital_id,
                    ClinicSession.id == Appointment.session_id,
                ),
            )
            .where(
                Appointment.hospital_id == hospital_id,
                Appointment.status.in_(_HERE),
                ClinicSession.ends_at <= now - AFTER,
            )
            .order_by(Appointment.id)
            .limit(BATCH)
            .with_for_update(of=Appointment, skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()
        for row in rows:
            finish_row(session, row, actor=SYSTEM, now=now)
    return len(rows)
