"""Cancel an appointment: in time without trace, later recorded as late; the place is free at once."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from booking.appointments.announce import tell
from booking.appointments.keys import claim_key
from booking.appointments.models import Appointment
from booking.appointments.places import change_status, lock_appointment, return_place
from booking.appointments.rules import STATUS_NAMES, AlreadyStarted, NoSuchAppointment, NotActive, is_late
from booking.clock import db_now
from booking.db import retried, transaction
from booking.directory.policy import cancel_deadline, policy_version, regret_until
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record


def own_appointment(
    session: Session, hospital_id: int, appointment_id: uuid.UUID, actor: Actor
) -> Appointment:
    """Lock an appointment that `actor` may touch; for anybody else it does not exist.

    An account touches what it booked, a found visit code only its own appointment (`actor.id` is the id), staff
    whatever their hospital has.
    """
    row = lock_appointment(session, hospital_id, appointment_id)
    if row is None:
        raise NoSuchAppointment()
    if actor.kind == "account" and row.account_id != actor.account_id:
        raise NoSuchAppointment()
    if actor.kind == "code" and actor.id != row.id.hex:
        raise NoSuchAppointment()
    return row


@retried
def cancel(
    hospital_id: int,
    appointment_id: uuid.UUID,
    *,
    actor: Actor,
    by: Literal["patient", "hospital"] | None = None,
    reason: str = "",
    key: str | None = None,
) -> Appointment:
    """Cancel a booked visit and give its place back; return the appointment (`cancelled_late` says how it is recorded).

    People may cancel until the slot starts, staff also afterwards and for somebody who has arrived. Late means after
    the deadline of the policy it was sold under, and after the minutes to regret. A repeat returns the same row.
    `by` is at whose wish staff cancel (None: the hospital's); it decides what people are told and whether late counts.
    Anybody else cancels at the patient's wish, whatever `by` says. What staff cancel stands in the audit trail.
    Raises AlreadyStarted, NotActive, NoSuchAppointment, NotAllowed, KeyReused.
    """
    ensure_may(actor, "cancel", hospital_id)
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        now = db_now(session)
        body = {"appointment": appointment_id, "reason": reason} | ({"by": by} if by else {})
        if claim_key(session, hospital_id, key, "cancel", body, appointment_id, now):
            return row
        if row.status == "cancelled":
            return row
        ensure_cancellable(row, actor, now)
        policy = policy_version(session, hospital_id, row.policy_version)
        deadline = cancel_deadline(policy, row.visit_date, row.zone)
        regret = regret_until(policy, row.booked_at) if row.booked_at else None
        by = by or "hospital" if actor.is_staff else "patient"
        place_id, before = row.place_id, row.status
        change_status(
            session,
            row,
            "cancel",
            "cancelled",
            actor=actor,
            now=now,
            reason=reason,
            facts={"by": by},
            holds_place_id=None,
            cancelled_at=now,
            cancelled_by=by,
            cancel_reason=reason,
            cancelled_late=by == "patient" and is_late(now, deadline, regret),
        )
        return_place(session, hospital_id, place_id, row.id)
        tell(session, row, "cancelled", policy=policy, now=now, facts={"by": by})
        if actor.is_staff:
            change = {"by": by, "status": [before, "cancelled"], "place": [place_id.hex, None]}
            record(
                session,
                hospital_id,
                actor,
                "cancel",
                "appointment",
                row.id,
                now=now,
                change=change,
                reason=reason.strip(),
            )
    return row


def ensure_cancellable(row: Appointment, actor: Actor, now: datetime) -> None:
    """Raise NotActive or AlreadyStarted when this actor may not cancel or move this appointment any more."""
    allowed = ("booked", "arrived") if actor.is_staff else ("booked",)
    if row.status not in allowed:
        raise NotActive(status=STATUS_NAMES[row.status])
    if not actor.is_staff and row.starts_at <= now:
        raise AlreadyStarted()
