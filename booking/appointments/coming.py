"""Somebody says that they will come (确认到诊): the desk sees it, and the reminders go on."""

from __future__ import annotations

import uuid

from booking.appointments.announce import tell
from booking.appointments.cancel import own_appointment
from booking.appointments.models import Appointment
from booking.appointments.places import change_status
from booking.appointments.rules import STATUS_NAMES, NotActive, TooLateToSay
from booking.clock import db_now
from booking.db import retried, transaction
from booking.directory.policy import policy_version
from booking.staff.rules import Actor, ensure_may


@retried
def confirm_coming(hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor) -> Appointment:
    """Record that the people of a booked visit mean to come; return the appointment with `coming_at`.

    Nobody gets a letter of its own about this; reminders that are still to come are put again for the new version. A
    repeat changes nothing; moving the visit takes the word back, since it was about another time. Raises TooLateToSay from
    the slot's start on, NotActive, NoSuchAppointment, NotAllowed.
    """
    ensure_may(actor, "confirm_coming", hospital_id)
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        now = db_now(session)
        if row.status != "booked":
            raise NotActive(status=STATUS_NAMES[row.status])
        if row.coming_at is not None:
            return row
        if row.starts_at <= now:
            raise TooLateToSay()
        change_status(session, row, "confirm_coming", "booked", actor=actor, now=now, coming_at=now)
        policy = policy_version(session, hospital_id, row.policy_version)
        tell(session, row, "coming", policy=policy, now=now)
    return row
