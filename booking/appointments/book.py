"""The private step that books a place at once, without a hold: staff booking, 加号 and the fair draw share it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import exists, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.appointments.announce import tell
from booking.appointments.facts import SlotFacts
from booking.appointments.models import Appointment
from booking.appointments.patient_rules import lock_chart
from booking.appointments.places import add_event, take_place
from booking.appointments.rules import new_visit_code
from booking.db import broken_constraint, new_id
from booking.directory.models import Policy
from booking.staff.rules import Actor

CODE_TRIES = 5


def book_place(
    session: Session,
    facts: SlotFacts,
    *,
    patient_id: int,
    account_id: int | None,
    policy: Policy,
    kind: str,
    channel: str | None,
    actor: Actor,
    now: datetime,
    verb: str = "book",
    reason: str = "",
    complaint: str = "",
    remind: bool = True,
    referral: str = "",
    source_answer_id: int | None = None,
    event_facts: dict[str, Any] | None = None,
    appointment_id: uuid.UUID | None = None,
) -> Appointment | None:
    """Take a sellable place of the slot and book it for a patient, in the caller's transaction; None when none is free.

    The place is found by `take_place` with `channel` (None: of any channel); the appointment is booked from its first
    version, with a visit code of its own on that day, its event row (`verb`, `reason`, `event_facts`) and its letters.
    `account_id` must be linked to the patient (a constraint says so) or None: then only the patient's own phone is told.
    The patient's chart is locked here. What this step does not ask is the caller's: whether the slot is on sale, whether
    `actor` may, whether the patient may have one more (`ensure_patient_may`, with the chart locked before), the request
    key. Raises IntegrityError when the patient already has an active appointment in the session.
    """
    slot = facts.slot
    lock_chart(session, slot.hospital_id, patient_id)
    appointment_id = appointment_id or new_id()
    place_id = take_place(
        session, slot.hospital_id, slot.id, appointment_id, now=now, held_until=None, channel=channel
    )
    if place_id is None:
        return None
    values: dict[str, Any] = {
        "hospital_id": slot.hospital_id,
        "id": appointment_id,
        "status": "booked",
        "version": 1,
        "kind": kind,
        "place_id": place_id,
        "holds_place_id": place_id,
        "patient_id": patient_id,
        "account_id": account_id,
        "complaint": complaint.strip() or None,
        "remind": remind,
        "referral": referral.strip() or None,
        "channel": channel if channel not in ("web", "draw") else None,
        "source_answer_id": source_answer_id,
        "created_at": now,
        "booked_at": now,
        **facts.columns() | {"policy_version": policy.version},
    }
    insert_with_code(session, values)
    row = session.get_one(Appointment, (slot.hospital_id, appointment_id))
    add_event(session, row, verb, None, "booked", 1, actor=actor, now=now, reason=reason, facts=event_facts)
    tell(session, row, "confirmed", policy=policy, now=now)
    return row


def insert_with_code(session: Session, values: dict[str, Any]) -> None:
    """Insert the appointment with a visit code nobody has on that day.

    A code that is known to be taken is not tried. One that another transaction takes at this moment breaks the unique
    index: only the insert is rolled back, so the caller's transaction goes on.
    """
    for left in range(CODE_TRIES - 1, -1, -1):
        code = new_visit_code()
        taken = exists().where(
            Appointment.hospital_id == values["hospital_id"],
            Appointment.visit_date == values["visit_date"],
            Appointment.visit_code == code,
        )
        if left and session.scalar(select(taken)):
            continue
        try:
            with session.begin_nested():
                session.execute(insert(Appointment).values(**values, visit_code=code))
            return
        except IntegrityError as problem:
            if not left or broken_constraint(problem) != "uq_one_visit_code_per_day":
                raise
