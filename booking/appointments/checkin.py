"""Check a patient in at the desk: a queue number that is never given twice; and take back a check-in that was a mistake."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from booking.appointments.announce import tell, tell_hospital
from booking.appointments.cancel import own_appointment
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.places import change_status
from booking.appointments.rules import STATUS_NAMES, NotActive, NotArrived, NotCheckedIn, TooEarly, WrongDay
from booking.clock import db_now, local
from booking.db import retried, transaction
from booking.directory.policy import policy_version
from booking.errors import BadInput
from booking.outbox import Letter, Message, put, supersede
from booking.schedule.models import ClinicSession
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record


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
        change = {"queue_number": number}
        record(session, hospital_id, actor, "check_in", "appointment", row.id, now=now, change=change)
    assert number is not None
    return CheckedIn(row, number, late, False)


@retried
def undo_check_in(hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor, reason: str) -> Appointment:
    """Take back a check-in made by mistake, for the wrong patient: the visit is booked as before; return it.

    The queue number is not given again. Nobody gets a letter of its own about this; what the check-in ended comes back:
    reminders that are still to come or came due since, and word of a move that had not left. A repeat changes nothing.
    Raises BadInput without a reason, NotArrived, NotCheckedIn for somebody whom the desk noted down afterwards,
    NotActive, NoSuchAppointment, NotAllowed.
    """
    ensure_may(actor, "undo_check_in", hospital_id)
    reason = reason.strip()
    if not reason:
        raise BadInput("请填写撤销报到的原因", errors={"reason": "请填写撤销报到的原因"})
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        if row.status == "booked":
            if _was_undone(session, row):
                return row
            raise NotArrived()
        if row.status != "arrived":
            raise NotActive(status=STATUS_NAMES[row.status])
        if row.queue_number is None:
            raise NotCheckedIn()
        now = db_now(session)
        number, before, arrived_at = row.queue_number, row.version - 1, row.arrived_at
        change_status(
            session,
            row,
            "undo_check_in",
            "booked",
            actor=actor,
            now=now,
            reason=reason[:200],
            facts={"queue_number": number},
            arrived_at=None,
            arrived_late=False,
            queue_number=None,
        )
        policy = policy_version(session, hospital_id, row.policy_version)
        tell(session, row, "check_in_undone", policy=policy, now=now, reminded_until=arrived_at)
        _tell_of_the_move(session, row, before, now)
        record(
            session,
            hospital_id,
            actor,
            "undo_check_in",
            "appointment",
            row.id,
            now=now,
            change={"queue_number": [number, None]},
            reason=reason[:200],
        )
    return row


def _was_undone(session: Session, row: Appointment) -> bool:
    last = select(AppointmentEvent.verb).where(
        AppointmentEvent.hospital_id == row.hospital_id,
        AppointmentEvent.appointment_id == row.id,
        AppointmentEvent.version == row.version,
    )
    return session.scalar(last) == "undo_check_in"


def _tell_of_the_move(session: Session, row: Appointment, before: int, now: datetime) -> None:
    """Put again what the version before the check-in would have told of a move, as far as nobody has told it."""
    unsent = session.scalars(
        select(Message).where(
            Message.hospital_id == row.hospital_id,
            Message.appointment_id == row.id,
            Message.version == before,
            Message.kind == "moved",
            Message.status == "superseded",
            Message.channel.not_in(("webhook", "voice")),
            Message.expires_at > now,
        )
    )
    letters = [
        Letter(
            one.kind,
            one.channel,
            one.recipient,
            due_at=now,
            expires_at=one.expires_at,
            account_id=one.account_id,
            patient_id=one.patient_id,
            facts=one.facts,
        )
        for one in unsent
    ]
    put(session, row.hospital_id, letters, now=now, appointment_id=row.id, version=row.version)
