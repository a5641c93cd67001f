"""Finish a visit (看完了): the patient has been seen; its number is used up and is nobody else's any more."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session

from booking.appointments.announce import hospital_hears, tell_hospital
from booking.appointments.cancel import own_appointment
from booking.appointments.models import Appointment
from booking.appointments.places import change_status, use_up_place
from booking.appointments.rules import HERE, STATUS_NAMES, JustArrived, NotActive, NotArrived
from booking.clock import db_now
from booking.db import constant, db, end_read, retried, transaction
from booking.errors import where
from booking.schedule.models import ClinicSession
from booking.staff.rules import SYSTEM, Actor, ensure_may
from booking.staff.trail import record

log = logging.getLogger(__name__)

BATCH = 100
AT_LEAST = timedelta(seconds=60)
"""Nobody is seen within so short a time: the button of who has been seen stands where the one of checking in stood, and an
impatient second press there would end the visit for good."""
LOOK_BACK = timedelta(days=14)
"""Visits of older sessions are left as they are: no hospital's system wants to hear of them, and the scan stays short."""
AFTER = timedelta(hours=4)
"""Whoever was here and is not finished so long after the end of the session has been seen: a clinic may run late, not so late."""

_HERE = tuple(constant(status) for status in HERE)
"""Written into the text of a query, so that the partial index over visits that stand may answer it."""


@retried
def finish(hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor) -> Appointment:
    """Record that a patient who had arrived has been seen; return the appointment, now fulfilled.

    The patient is told nothing, the hospital's own system is. The number is used up: it does not come back on sale. A
    repeat changes nothing. Raises NotArrived, JustArrived within `AT_LEAST` of the check-in, NotActive, NoSuchAppointment,
    NotAllowed.
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
        if row.arrived_at is not None and now < row.arrived_at + AT_LEAST:
            raise JustArrived()
        finish_row(session, row, actor=actor, now=now)
        record(session, hospital_id, actor, "finish", "appointment", row.id, now=now)
    return row


def finish_row(
    session: Session, row: Appointment, *, actor: Actor, now: datetime, hears: bool | None = None
) -> None:
    """Turn a locked visit of somebody who is here into a fulfilled one, in the caller's transaction.

    `hears` whether the hospital has an address for changes, where the caller has read it.
    """
    place_id = row.place_id
    change_status(session, row, "finish", "fulfilled", actor=actor, now=now, holds_place_id=None)
    use_up_place(session, row.hospital_id, place_id, row.id)
    tell_hospital(session, row, "fulfilled", now=now, hears=hears)


def finish_visits() -> int:
    """Finish the visits that nobody finished by hand, `AFTER` their session has ended; return how many.

    Hospital by hospital, `BATCH` in a transaction; rows another worker has in hand are skipped, so any number of runs at
    once finish each visit once. What goes wrong in one hospital is logged and keeps no other one waiting.
    """
    here = _over(db_now(db.session())).with_only_columns(Appointment.hospital_id)
    hospitals = sorted(db.session.scalars(here.distinct()))
    end_read()
    finished = 0
    for hospital_id in hospitals:
        try:
            while done := _finish_batch(hospital_id):
                finished += done
        except Exception as problem:  # of whatever kind: the others' visits are finished all the same
            log.error("visits of hospital %d not finished: %s", hospital_id, where(problem))
    return finished


def _over(now: datetime) -> Select[Appointment]:
    """The visits of those who are here `AFTER` their session has ended, of the days within `LOOK_BACK`."""
    return (
        select(Appointment)
        .join(
            ClinicSession,
            and_(
                ClinicSession.hospital_id == Appointment.hospital_id,
                ClinicSession.id == Appointment.session_id,
            ),
        )
        .where(
            Appointment.status.in_(_HERE),
            ClinicSession.local_date >= (now - LOOK_BACK).date(),
            ClinicSession.ends_at <= now - AFTER,
        )
    )


@retried
def _finish_batch(hospital_id: int) -> int:
    with transaction() as session:
        now = db_now(session)
        rows = session.scalars(
            _over(now)
            .where(Appointment.hospital_id == hospital_id)
            .order_by(Appointment.id)
            .limit(BATCH)
            .with_for_update(of=Appointment, skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()
        hears = hospital_hears(session, hospital_id)
        for row in rows:
            finish_row(session, row, actor=SYSTEM, now=now, hears=hears)
    return len(rows)
