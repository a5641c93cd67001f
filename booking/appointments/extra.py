"""加号: one more place in a session, for one named patient, because somebody answers for it."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from booking.appointments.at_desk import WAYS, known_patient
from booking.appointments.book import book_place
from booking.appointments.facts import SlotFacts, ensure_on_sale, slot_facts
from booking.appointments.keys import claim_key
from booking.appointments.models import Appointment
from booking.appointments.overrule import ensure_may_or_overrule
from booking.appointments.patient_rules import lock_chart
from booking.appointments.rules import ExtraFull
from booking.clock import db_now
from booking.db import new_id, retried, transaction
from booking.directory.policy import current_policy
from booking.errors import BadInput
from booking.people.at_desk import own_account
from booking.schedule.models import ClinicSession, ExtraGrant, Place
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

OWNERS = ("doctor", "staff")


@retried
def add_extra(
    hospital_id: int,
    slot_id: uuid.UUID,
    *,
    actor: Actor,
    patient_id: int,
    owner: str,
    reason: str,
    via: str = "desk",
    override: str = "",
    complaint: str = "",
    remind: bool = True,
    key: str | None = None,
) -> Appointment:
    """Add a place to a slot and book it for a patient known here, in one transaction (R19); the place is never sold on.

    `owner` says who answers for it: the session's doctor, or staff (the actor). A session has at most the policy's
    `extra_cap` such places at once; a cancelled one is withdrawn and leaves its number to another. `override` is the
    reason to go past the patient's limits. The same `key` gives the same appointment.

    Raises ExtraFull, BadInput without owner or reason, SessionStopped, BookingClosed, AlreadyBooked, Overlap, the
    patient's limits, NotFound, KeyReused, NotAllowed.
    """
    ensure_may(actor, "add_extra", hospital_id)
    errors = {}
    if owner not in OWNERS:
        errors["owner"] = "请选择是谁同意加号的"
    if not reason.strip():
        errors["reason"] = "请填写加号的原因"
    if via not in WAYS:
        errors["via"] = "请选择患者是来电还是在现场"
    if errors:
        raise BadInput("填写的内容有误，请检查。", errors=errors)
    appointment_id = new_id()
    body: dict[str, Any] = {"slot": slot_id, "patient": patient_id, "owner": owner, "reason": reason}
    body |= {"via": via, "override": override, "complaint": complaint, "remind": remind}
    with transaction() as session:
        now = db_now(session)
        known = claim_key(session, hospital_id, key, "add_extra", body, appointment_id, now)
        if known is not None:
            return session.get_one(Appointment, (hospital_id, known))
        facts = slot_facts(session, hospital_id, slot_id)
        # the session's row counts the added places: two requests for the last one take turns (and see each other)
        session.execute(
            select(ClinicSession.id)
            .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id == facts.clinic.id)
            .with_for_update(key_share=True)
        )
        facts = slot_facts(session, hospital_id, slot_id)
        now = db_now(session)
        ensure_on_sale(facts, now, staff=True)
        known_patient(session, hospital_id, patient_id)
        policy = current_policy(session, hospital_id)
        number = _number(session, facts, policy.extra_cap)
        lock_chart(session, hospital_id, patient_id)
        overruled = ensure_may_or_overrule(session, facts, policy, patient_id, override=override, now=now)
        who = _owner(owner, facts, actor)
        place_id = _add_place(session, facts, number)
        session.execute(
            insert(ExtraGrant).values(
                hospital_id=hospital_id,
                id=new_id(),
                place_id=place_id,
                session_id=facts.clinic.id,
                owner_kind=owner,
                owner_id=who[0],
                owner_name=who[1],
                reason=reason.strip(),
                granted_at=now,
                granted_by=actor.id[:40],
            )
        )
        row = book_place(
            session,
            facts,
            patient_id=patient_id,
            account_id=own_account(session, patient_id),
            policy=policy,
            kind="extra",
            channel="extra",
            actor=actor,
            now=now,
            verb="add_extra",
            reason=reason.strip(),
            complaint=complaint,
            remind=remind,
            appointment_id=appointment_id,
        )
        if row is None or row.place_id != place_id:
            raise RuntimeError(f"the place added to session {facts.clinic.id} was not the one booked")
        change = {"number": number, "owner": owner, "owner_id": who[0], "via": via}
        change |= {"overruled": overruled, "override": override.strip()} if overruled else {}
        record(
            session,
            hospital_id,
            actor,
            "add_extra",
            "appointment",
            row.id,
            now=now,
            change=change,
            reason=reason.strip(),
        )
    return row


def _number(session: Session, facts: SlotFacts, cap: int) -> int:
    """Return the lowest free number of an added place in the session; raises ExtraFull."""
    taken = set(
        session.scalars(
            select(Place.extra_number).where(
                Place.hospital_id == facts.slot.hospital_id,
                Place.session_id == facts.clinic.id,
                Place.extra_number.is_not(None),
                Place.withdrawn.is_(False),
            )
        )
    )
    free = next((one for one in range(1, cap + 1) if one not in taken), None)
    if free is None or len(taken) >= cap:
        raise ExtraFull(cap=cap)
    return free


def _owner(owner: str, facts: SlotFacts, actor: Actor) -> tuple[str, str]:
    if owner == "doctor":
        return facts.doctor.id.hex, facts.doctor.name
    return actor.id[:40], actor.name[:60]


def _add_place(session: Session, facts: SlotFacts, number: int) -> uuid.UUID:
    last = session.scalar(
        select(func.max(Place.position)).where(
            Place.hospital_id == facts.slot.hospital_id, Place.slot_id == facts.slot.id
        )
    )
    place_id = new_id()
    session.execute(
        insert(Place).values(
            hospital_id=facts.slot.hospital_id,
            id=place_id,
            session_id=facts.clinic.id,
            slot_id=facts.slot.id,
            position=(last or 0) + 1,
            channel="extra",
            open=True,
            extra_number=number,
        )
    )
    return place_id
