"""Staff book for a patient who calls or stands at the counter."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.appointments.book import book_place
from booking.appointments.facts import SlotFacts, ensure_on_sale, slot_facts
from booking.appointments.keys import claim_key
from booking.appointments.models import Appointment, Chart
from booking.appointments.overrule import ensure_may_or_overrule
from booking.appointments.patient_rules import SEEN, lock_chart
from booking.appointments.rules import AlreadyBooked, SlotFull
from booking.clock import db_now
from booking.db import broken_constraint, db, new_id, retried, transaction
from booking.directory.policy import current_policy
from booking.errors import BadInput, NotFound
from booking.people.at_desk import own_account
from booking.people.models import Patient
from booking.people.rules import age
from booking.schedule.channels import ELDER_AGE, KEPT
from booking.schedule.models import Place
from booking.schedule.open_slots import nearest
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

WAYS = ("phone", "desk")


def book_at_desk(
    hospital_id: int,
    slot_id: uuid.UUID,
    *,
    actor: Actor,
    patient_id: int,
    via: str,
    referral: str = "",
    override: str = "",
    complaint: str = "",
    remind: bool = True,
    key: str | None = None,
) -> Appointment:
    """Book a place of a slot for a patient known here, who calls (`via` phone) or stands at the counter (desk).

    Before the release and until the slot ends. Places are looked for in this order: those kept for people like this one
    (elder, return, referral), those of `via`, and once released those of the web. `override` is the reason to go past
    the patient's limits and into the places kept for others; it is written into the audit trail. `referral` is the
    number of a referral that was shown. The same `key` gives the same appointment.

    Raises SlotFull (`alternatives`), SessionStopped, BookingClosed, AlreadyBooked, Overlap, SameDepartment, DayLimit,
    WeekLimit, NotAdmitted, BadInput, NotFound, KeyReused, NotAllowed.
    """
    ensure_may(actor, "book_at_desk", hospital_id)
    if via not in WAYS:
        raise BadInput("请选择患者是来电还是在现场。", errors={"via": "请选择患者是来电还是在现场"})
    try:
        return _book(hospital_id, slot_id, actor, patient_id, via, referral, override, complaint, remind, key)
    except SlotFull as full:
        around, doctor_id = full.facts["starts_at"], full.facts["doctor_id"]
        now = db_now(db.session())
        full.facts["alternatives"] = nearest(hospital_id, now, around=around, doctor_id=doctor_id)
        raise
    except IntegrityError as problem:
        # somebody whose booking does not lock this chart was faster in the same session
        if broken_constraint(problem) != "uq_one_active_appointment_per_patient_and_session":
            raise
        raise AlreadyBooked(patient="这位患者") from problem


@retried
def _book(
    hospital_id: int,
    slot_id: uuid.UUID,
    actor: Actor,
    patient_id: int,
    via: str,
    referral: str,
    override: str,
    complaint: str,
    remind: bool,
    key: str | None,
) -> Appointment:
    appointment_id = new_id()
    body: dict[str, Any] = {"slot": slot_id, "patient": patient_id, "via": via, "referral": referral}
    body |= {"override": override, "complaint": complaint, "remind": remind}
    with transaction() as session:
        now = db_now(session)
        known = claim_key(session, hospital_id, key, "book_at_desk", body, appointment_id, now)
        if known is not None:
            return session.get_one(Appointment, (hospital_id, known))
        facts = slot_facts(session, hospital_id, slot_id)
        ensure_on_sale(facts, now, staff=True)
        patient = known_patient(session, hospital_id, patient_id)
        lock_chart(session, hospital_id, patient_id)
        policy = current_policy(session, hospital_id)
        overruled = ensure_may_or_overrule(session, facts, policy, patient_id, override=override, now=now)
        fits = qualifies(session, facts, patient, referral)
        for channel in pools([via], fits, released=facts.clinic.release_at <= now, override=override):
            row = book_place(
                session,
                facts,
                patient_id=patient_id,
                account_id=own_account(session, patient_id),
                policy=policy,
                kind=via,
                channel=channel,
                actor=actor,
                now=now,
                verb="book_at_desk",
                reason=override.strip(),
                complaint=complaint,
                remind=remind,
                referral=referral,
                appointment_id=appointment_id,
            )
            if row is not None:
                break
        else:
            raise full(facts)
        place = session.get_one(Place, (hospital_id, row.place_id))
        change = {"via": via, "channel": place.channel} | ({"overruled": overruled} if overruled else {})
        record(
            session,
            hospital_id,
            actor,
            "book_at_desk",
            "appointment",
            row.id,
            now=now,
            change=change,
            reason=override.strip(),
        )
    return row


def known_patient(session: Session, hospital_id: int, patient_id: int) -> Patient:
    """Return a patient this hospital knows; anybody else does not exist for it. Raises NotFound."""
    if session.get(Chart, (hospital_id, patient_id)) is None:
        raise NotFound("没有找到这位患者。")
    return session.get_one(Patient, patient_id)


def full(facts: SlotFacts) -> SlotFull:
    """Return the refusal for a slot without a place for this patient."""
    return SlotFull(
        "%(time)s 没有可以给这位患者的号了。可以换一个时间，或由医生同意后加号。",
        time=f"{facts.slot.starts_local:%H:%M}",
        slot_id=facts.slot.id,
        doctor_id=facts.doctor.id,
        starts_at=facts.slot.starts_at,
        local_date=facts.clinic.local_date,
    )


def qualifies(session: Session, facts: SlotFacts, patient: Patient, referral: str = "") -> list[str]:
    """Return the channels whose kept places are for this patient at this slot: elder, return, referral.

    Elder: full years on the day of the visit. Return: a kept visit in the department before. Referral: its number.
    """
    department = facts.department.id
    since = seen_since(session, facts.slot.hospital_id, patient.id, {department}).get(department)
    returns = since is not None and since < facts.slot.starts_at
    return fitting(patient, facts.clinic.local_date, returns=returns, referral=referral)


def fitting(patient: Patient, on: date, *, returns: bool, referral: str) -> list[str]:
    """Return the channels kept for a patient on a day, who `returns` or not, with the number of a referral or none."""
    elder = age(date.fromisoformat(patient.birth_date), on) >= ELDER_AGE
    holds = {"elder": elder, "return": returns, "referral": bool(referral.strip())}
    return [channel for channel, fits in holds.items() if fits]


def seen_since(
    session: Session, hospital_id: int, patient_id: int, departments: Collection[uuid.UUID]
) -> dict[uuid.UUID, datetime]:
    """Return when a patient's first kept visit in each of these departments was; those without one are left out."""
    rows = session.execute(
        select(Appointment.department_id, func.min(Appointment.starts_at))
        .where(
            Appointment.hospital_id == hospital_id,
            Appointment.patient_id == patient_id,
            Appointment.department_id.in_(departments),
            Appointment.status.in_(SEEN),
        )
        .group_by(Appointment.department_id)
    )
    return {department_id: first for department_id, first in rows}


def pools(ways: Iterable[str], fits: Iterable[str], *, released: bool, override: str = "") -> list[str]:
    """Return the channels staff may take a place from, in order; a reason opens all of them.

    `ways` are those of WAYS that the patient came, or could come; `fits` the channels whose kept places are for people
    like this one.

    >>> pools(["phone"], ["elder"], released=False)
    ['elder', 'phone']
    """
    order = [*fits, *ways, *(["web"] if released else [])]
    if override.strip():
        order += [name for name in ("web", *KEPT) if name not in order]
    return order
