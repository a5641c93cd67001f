"""Check a patient in at the desk: a queue number that is never given twice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import update

from booking.appointments.announce import tell_hospital
from booking.appointments.cancel import own_appointment
from booking.appointments.models import Appointment
from booking.appointments.places import change_status
from booking.appointments.rules import STATUS_NAMES, NotActive, TooEarly, WrongDay
from booking.clock import db_now, local
from booking.db import retried, transaction
from booking.directory.policy import policy_version
from booking.outbox import supersede
from booking.schedule.models import ClinicSession
from booking.staff.rules import Actor, ensure_may


@dataclass(frozen=True)
class CheckedIn:
    """The result for the desk's big line; `again` when this patient was checked in before, `late` moves them to the end."""

    appointment: Appointment
    queue_number: int
    late: bool
    again: bool


@retried
def check_in(hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor) -> CheckedIn:
    """Mark a booked patient as arrived and give a queue number, counted up in the session under its row lock.

    A repeat returns the same number. Raises WrongDay, TooEarly, NotActive, NoSuchAppointment, NotAllowed.
    """
    ensure_may(actor, "check_in", hospital_id)
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        now = db_now(session)
        if row.status == "arrived" and row.queue_number is not None:
            return CheckedIn(row, row.queue_number, row.arrived_late, True)
        if row.status != "booked":
            raise NotActive(status=STATUS_NAMES[row.status])
        today = local(now, row.zone).date()
        if row.visit_date != today:
            raise WrongDay(date=f"{row.visit_date.month} 月 {row.visit_date.day} 日")
        policy = policy_version(session, hospital_id, row.policy_version)
        clinic = session.get_one(ClinicSession, (hospital_id, row.session_id))
        opens = clinic.starts_at - timedelta(minutes=policy.checkin_opens_minutes)
        if now < opens:
            raise TooEarly(time=f"{local(opens, row.zone):%H:%M}")
        number = session.scalar(
            update(ClinicSession)
            .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id == row.session_id)
            .values(last_queue_number=ClinicSession.last_queue_number + 1)
            .returning(ClinicSession.last_queue_number)
            .execution_options(synchronize_session=False)
        )
        late = now > row.starts_at + timedelta(minutes=policy.late_minutes)
        change_status(
            session,
            row,
            "check_in",
            "arrived",
            actor=actor,
            now=now,
            arrived_at=now,
            arrived_late=late,
            queue_number=number,
        )
        supersede(session, hospital_id, row.id)
        tell_hospital(session, row, "arrived", now=now)
    assert number is not None
    return CheckedIn(row, number, late, False)
