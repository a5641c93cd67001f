"""Move an appointment to another place: one transaction, so that the patient always has exactly one of the two."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.appointments.announce import tell
from booking.appointments.at_desk import WAYS, full, pools, qualifies
from booking.appointments.cancel import ensure_cancellable, own_appointment
from booking.appointments.facts import SlotFacts, ensure_on_sale, slot_facts
from booking.appointments.keys import claim_key
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.overrule import ensure_may_or_overrule
from booking.appointments.patient_rules import ensure_patient_may, lock_chart
from booking.appointments.places import change_status, return_place, take_place
from booking.appointments.rules import (
    STATUS_NAMES,
    MoveTooLate,
    NotActive,
    SameTime,
    SlotFull,
    is_late,
    new_visit_code,
)
from booking.clock import db_now, local
from booking.db import broken_constraint, db, retried, transaction
from booking.directory.models import Policy
from booking.directory.policy import cancel_deadline, current_policy, policy_version, regret_until
from booking.people.models import Patient
from booking.schedule.models import Place
from booking.schedule.open_slots import nearest
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record


def move(
    hospital_id: int,
    appointment_id: uuid.UUID,
    slot_id: uuid.UUID,
    *,
    actor: Actor,
    by: Literal["patient", "hospital"] | None = None,
    reason: str = "",
    override: str = "",
    key: str | None = None,
) -> Appointment:
    """Give a booked visit a place in another slot of the same hospital: same id, version + 1, the old place is free.

    People may move until the deadline of the policy (and within the minutes to regret); staff until the visit is over.
    `by` is at whose wish staff move (None: the hospital's), which is what people are told, with the reason when it is the
    hospital's; anybody else moves at the patient's wish. What staff move stands in the audit trail. The visit code stays.
    A repeat of the same move returns the same appointment.

    People get places of the web; staff look in the order in which they book (`at_desk.pools`), whichever of the two ways
    the patient came. `override` is the reason of staff to go past the patient's limits and into the places kept for
    others, written into the audit trail; anybody else's counts for nothing.

    Raises SlotFull (`alternatives`), SameTime, MoveTooLate, NotActive, AlreadyStarted, the refusals of `ensure_on_sale`
    and of the patient's limits (facts: `overridable`), NoSuchAppointment, NotAllowed, KeyReused.
    """
    ensure_may(actor, "move", hospital_id)
    override = override.strip() if actor.is_staff else ""
    try:
        return _move(hospital_id, appointment_id, slot_id, actor, by, reason, override, key)
    except IntegrityError as problem:
        if broken_constraint(problem) != "uq_one_visit_code_per_day":
            raise
        return _move(hospital_id, appointment_id, slot_id, actor, by, reason, override, key, fresh_code=True)
    except SlotFull as full:
        now = db_now(db.session())
        around, doctor_id = full.facts["starts_at"], full.facts["doctor_id"]
        full.facts["alternatives"] = nearest(hospital_id, now, around=around, doctor_id=doctor_id)
        raise


@retried
def _move(
    hospital_id: int,
    appointment_id: uuid.UUID,
    slot_id: uuid.UUID,
    actor: Actor,
    by: str | None,
    reason: str,
    override: str,
    key: str | None,
    fresh_code: bool = False,
) -> Appointment:
    body = {"appointment": appointment_id, "slot": slot_id, "reason": reason} | ({"by": by} if by else {})
    body |= {"override": override} if override else {}
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        now = db_now(session)
        if claim_key(session, hospital_id, key, "move", body, appointment_id, now):
            return row
        if row.status == "booked" and row.slot_id == slot_id:
            if _came_by_move(session, row):
                return row  # the second half of a double click
            raise SameTime()
        ensure_cancellable(row, actor, now)
        if row.status != "booked":
            raise NotActive(status=STATUS_NAMES[row.status])
        sold_under = policy_version(session, hospital_id, row.policy_version)
        deadline = cancel_deadline(sold_under, row.visit_date, row.zone)
        regret = regret_until(sold_under, row.booked_at) if row.booked_at else None
        if not actor.is_staff and is_late(now, deadline, regret):
            at = local(deadline, row.zone)
            raise MoveTooLate(deadline=f"{at.month} 月 {at.day} 日 {at:%H:%M}")
        facts = slot_facts(session, hospital_id, slot_id)
        ensure_on_sale(facts, now, staff=actor.is_staff)
        policy = current_policy(session, hospital_id)
        assert row.patient_id is not None  # a booked appointment has a patient: a check constraint says so
        lock_chart(session, hospital_id, row.patient_id)
        overruled = _ensure_patient_may(session, facts, policy, row, actor=actor, override=override, now=now)
        old_place, old = row.place_id, _as_told(row)
        new_place, channel = _take(session, facts, row, actor=actor, override=override, now=now)
        values = facts.columns() | {"place_id": new_place, "holds_place_id": new_place}
        values["channel"] = channel if channel != "web" else None
        values["policy_version"] = policy.version
        values["coming_at"] = None  # that was said of the other time
        if fresh_code:
            values["visit_code"] = new_visit_code()
        whose = by or "hospital" if actor.is_staff else "patient"
        told = {"from": old, "by": whose}
        change_status(
            session, row, "move", "booked", actor=actor, now=now, reason=reason, facts=told, **values
        )
        return_place(session, hospital_id, old_place, row.id)
        why = {"reason": reason} if whose == "hospital" and reason else {}
        tell(session, row, "moved", policy=policy, now=now, facts=told | why)
        if actor.is_staff:
            change = {"by": whose, "place": [old_place.hex, new_place.hex]} | _changed(old, _as_told(row))
            change["channel"] = _channels(session, hospital_id, old_place, new_place)
            change |= {"overruled": overruled} if overruled else {}
            change |= {"override": override} if override else {}
            record(
                session,
                hospital_id,
                actor,
                "move",
                "appointment",
                row.id,
                now=now,
                change=change,
                reason=reason.strip(),
            )
    return row


def _ensure_patient_may(
    session: Session,
    facts: SlotFacts,
    policy: Policy,
    row: Appointment,
    *,
    actor: Actor,
    override: str,
    now: datetime,
) -> str:
    """Raise what stands between the patient and the new time; return the sentence that a reason of staff overruled."""
    assert row.patient_id is not None  # a booked appointment has a patient: a check constraint says so
    asked: dict[str, Any] = {"except_id": row.id, "now": now, "referral": row.referral or ""}
    if actor.is_staff:
        return ensure_may_or_overrule(session, facts, policy, row.patient_id, override=override, **asked)
    wanted = Appointment(hospital_id=row.hospital_id, **facts.columns())
    ensure_patient_may(session, policy, wanted, row.patient_id, **asked)
    return ""


def _take(
    session: Session, facts: SlotFacts, row: Appointment, *, actor: Actor, override: str, now: datetime
) -> tuple[uuid.UUID, str]:
    """Mark a place of the slot for the visit; return it and the channel in which it was found. Raises SlotFull."""
    channels = ["web"]
    if actor.is_staff:
        patient = session.get_one(Patient, row.patient_id)
        fits = qualifies(session, facts, patient, row.referral or "")
        channels = pools(WAYS, fits, released=facts.clinic.release_at <= now, override=override)
    for channel in channels:
        place_id = take_place(
            session, row.hospital_id, facts.slot.id, row.id, now=now, held_until=None, channel=channel
        )
        if place_id is not None:
            return place_id, channel
    if actor.is_staff:
        raise full(facts)
    raise SlotFull(
        time=f"{facts.slot.starts_local:%H:%M}",
        slot_id=facts.slot.id,
        doctor_id=facts.doctor.id,
        starts_at=facts.slot.starts_at,
        local_date=facts.clinic.local_date,
    )


def _channels(session: Session, hospital_id: int, *places: uuid.UUID) -> list[str]:
    """The channels of these places, in their order."""
    asked = select(Place.id, Place.channel).where(Place.hospital_id == hospital_id, Place.id.in_(places))
    found = {place_id: channel for place_id, channel in session.execute(asked)}
    return [found[place_id] for place_id in places]


def _came_by_move(session: Session, row: Appointment) -> bool:
    """Whether the newest version of the appointment is a move: then it stands where it was asked to go."""
    event = AppointmentEvent
    newest = (
        event.hospital_id == row.hospital_id,
        event.appointment_id == row.id,
        event.version == row.version,
    )
    return bool(session.scalar(select(exists().where(*newest, event.verb == "move"))))


def _changed(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str]]:
    """What a move changed of the time and the doctor, as the audit trail keeps it: before and after."""
    return {name: [before[name], after[name]] for name in before if before[name] != after[name]}


def _as_told(row: Appointment) -> dict[str, str]:
    return {
        "visit_date": row.visit_date.isoformat(),
        "starts_local": f"{row.starts_local:%H:%M}",
        "doctor": row.sold.get("doctor", ""),
        "part": row.sold.get("part", ""),
    }
