"""Patients at the desk: find those this hospital knows, and enter a new one with the consent given to staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import ColumnElement, exists, insert, or_, select
from sqlalchemy.exc import IntegrityError

from booking.appointments.models import Appointment, Chart, DeskConsent
from booking.appointments.patient_rules import lock_chart
from booking.clock import db_now
from booking.db import broken_constraint, db, new_id, retried, transaction
from booking.people.at_desk import check_at_desk, id_hashes, patient_at_desk, phone_hash
from booking.people.models import Account, Patient, PatientLink
from booking.people.rules import PatientFacts, age, mask_name, phone_tail, plain_digits, spells
from booking.people.service import WORDING, PatientKnown
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

NEAR = timedelta(days=60)
"""A name is looked for among the visits this long before and after today; older ones are found by number only."""
MOST_NAMES = 3000
SHOWN = 20


@dataclass(frozen=True)
class FoundPatient:
    """A patient as the search shows one: enough to choose between two, no more. `age` in full years on the given date."""

    id: int
    masked_name: str
    sex: str
    age: int
    id_tail: str
    phone_tail: str


def find_patients(hospital_id: int, typed: str, on: date) -> list[FoundPatient]:
    """Return the patients this hospital knows by an ID number, a telephone number (their own or a booker's) or a name.

    Only patients who have booked or were entered here: those of other hospitals are not found, whatever is typed.
    Names (two characters, or the letters that spell them) are looked for among the visits near the date.
    """
    typed = typed.strip()
    if len(typed) < 2:
        return []
    here = select(Patient).join(Chart, Chart.patient_id == Patient.id).where(Chart.hospital_id == hospital_id)
    by_number = _by_number(hospital_id, typed)
    if by_number is not None:
        rows = list(db.session.scalars(here.where(by_number).order_by(Patient.id).limit(SHOWN)))
    elif any(one.isdecimal() for one in plain_digits(typed)):
        rows = []
    else:
        seen_near = exists().where(
            Appointment.hospital_id == hospital_id,
            Appointment.patient_id == Patient.id,
            Appointment.visit_date.between(on - NEAR, on + NEAR),
        )
        near = db.session.scalars(here.where(seen_near).order_by(Patient.id.desc()).limit(MOST_NAMES))
        rows = [row for row in near if typed in row.name or spells(typed, row.name)][:SHOWN]
    return [_found(row, on) for row in rows]


def _by_number(hospital_id: int, typed: str) -> ColumnElement[bool] | None:
    ids, phone = id_hashes(typed), phone_hash(typed)
    if not ids and phone is None:
        return None
    conditions: list[ColumnElement[bool]] = [Patient.id_hash.in_(ids)]
    if phone is not None:
        booked_by = (
            exists()
            .where(
                PatientLink.patient_id == Patient.id,
                PatientLink.ended_at.is_(None),
                PatientLink.account_id == Account.id,
                Account.phone_hash == phone,
                # an account shows here whom it has booked for here, not whom it books for elsewhere
                Appointment.hospital_id == hospital_id,
                Appointment.patient_id == Patient.id,
                Appointment.account_id == Account.id,
            )
            .correlate(Patient)
        )
        conditions += [Patient.phone_hash == phone, booked_by]
    return or_(*conditions)


def _found(row: Patient, on: date) -> FoundPatient:
    return FoundPatient(
        row.id,
        mask_name(row.name),
        row.sex,
        age(date.fromisoformat(row.birth_date), on),
        (row.id_number or "")[-4:],
        phone_tail(row.phone) if row.phone else "",
    )


def patient_here(hospital_id: int, patient_id: int) -> Patient | None:
    """Return a patient this hospital knows, or None for anybody else."""
    return db.session.scalars(
        select(Patient)
        .join(Chart, Chart.patient_id == Patient.id)
        .where(Chart.hospital_id == hospital_id, Patient.id == patient_id)
    ).first()


def register_patient(
    hospital_id: int,
    *,
    actor: Actor,
    name: str,
    id_type: str,
    id_number: str = "",
    birth_date: date | None = None,
    sex: str = "",
    phone: str = "",
    guardian_name: str = "",
    guardian_phone: str = "",
    guardian_relation: str = "",
    consent_id: bool = False,
    consent_health: bool = False,
    consent_guardian: bool = False,
    id_seen: bool = False,
) -> Patient:
    """Enter a patient who stands at the counter or calls, with the consents given to `actor`; return the patient.

    `id_seen`: the document itself was compared, so the number counts as verified. A child without a phone of its own is
    told on the guardian's. Raises BadInput(errors), NotAllowed, and PatientKnown (facts: `patient_id`) when this
    hospital already has a patient of that ID number; a repeat with an ID number is therefore refused, never doubled.
    """
    ensure_may(actor, "register_patient", hospital_id)
    facts, kinds = check_at_desk(
        name=name,
        id_type=id_type,
        id_number=id_number,
        birth_date=birth_date,
        sex=sex,
        phone=phone,
        guardian_name=guardian_name,
        guardian_phone=guardian_phone,
        guardian_relation=guardian_relation,
        consent_id=consent_id,
        consent_health=consent_health,
        consent_guardian=consent_guardian,
    )
    for left in (1, 0):
        try:
            return _register(hospital_id, actor, facts, kinds, id_seen)
        except IntegrityError as problem:  # the same document was verified elsewhere at this moment
            if broken_constraint(problem) != "uq_one_patient_per_verified_id" or not left:
                raise
    raise AssertionError("unreachable")


@retried
def _register(
    hospital_id: int, actor: Actor, facts: PatientFacts, kinds: list[str], id_seen: bool
) -> Patient:
    with transaction() as session:
        now = db_now(session)
        hashes = id_hashes(facts.id_number) if facts.id_number else []
        here = (
            select(Patient.id)
            .join(Chart, Chart.patient_id == Patient.id)
            .where(
                Chart.hospital_id == hospital_id,
                Patient.id_type == facts.id_type,
                Patient.id_hash.in_(hashes),
            )
        )
        known = session.scalars(here).first()
        if known is not None:
            wrong = "本院已有这位患者，请直接选用"
            raise PatientKnown(wrong, patient_id=known, errors={"id_number": wrong})
        patient = patient_at_desk(session, facts, seen=id_seen, now=now)
        lock_chart(session, hospital_id, patient.id)
        session.execute(
            insert(DeskConsent),
            [
                {
                    "hospital_id": hospital_id,
                    "id": new_id(),
                    "patient_id": patient.id,
                    "kind": kind,
                    "wording": WORDING,
                    "given_at": now,
                    "recorded_by": actor.id[:40],
                }
                for kind in kinds
            ],
        )
        change = {"consents": kinds, "id_seen": id_seen, "patient": patient.id}
        record(session, hospital_id, actor, "register_patient", "patient", None, now=now, change=change)
    return patient
