"""A patient entered by staff: the same facts and consents as on the patients' pages, in the caller's transaction."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.people.models import Account, Patient, PatientLink
from booking.people.rules import ID_TYPES, PatientFacts, check_id, plain_digits, read_phone
from booking.people.service import _columns, _with_consents
from booking.vault import blind_index


def check_at_desk(
    *,
    name: str,
    id_type: str,
    id_number: str,
    birth_date: date | None,
    sex: str,
    phone: str,
    guardian_name: str,
    guardian_phone: str,
    guardian_relation: str,
    consent_id: bool,
    consent_health: bool,
    consent_guardian: bool,
) -> tuple[PatientFacts, list[str]]:
    """Return the checked facts and the kinds of consent given; raises BadInput with one sentence per field.

    A child's letters go to the guardian when it has no phone of its own.
    """
    given = {
        "name": name,
        "id_type": id_type,
        "id_number": id_number,
        "birth_date": birth_date,
        "sex": sex,
        "phone": phone or guardian_phone,
        "relation": "other",
        "guardian_name": guardian_name,
        "guardian_phone": guardian_phone,
        "guardian_relation": guardian_relation,
    }
    return _with_consents(given, consent_id, consent_health, consent_guardian)


def patient_at_desk(session: Session, facts: PatientFacts, *, seen: bool, now: datetime) -> Patient:
    """Return the patient of these facts: a new row, or the verified one of the same ID number, name and phone.

    `seen`: staff compared the document itself, so the number is verified, unless it already is somebody's of another
    name or phone: then nothing of theirs is shown or changed, and the new row stays unverified (R7).
    """
    columns = _columns(facts)
    known = None
    if seen and columns["id_hash"]:
        known = session.scalars(
            select(Patient).where(Patient.id_hash == columns["id_hash"], Patient.verified_at.is_not(None))
        ).first()
        if known is not None and known.name == facts.name and _same_phone(known, columns["phone_hash"]):
            return known
    verified = now if seen and columns["id_hash"] and known is None else None
    row = Patient(created_at=now, verified_at=verified, **columns)
    session.add(row)
    session.flush()
    return row


def _same_phone(patient: Patient, phone_hash: str | None) -> bool:
    return None in (patient.phone_hash, phone_hash) or patient.phone_hash == phone_hash


def id_hashes(typed: str) -> list[str]:
    """Return what an ID number may be kept as, by each type of document it could be; nothing when it is none.

    Letters alone are a name, not a passport.
    """
    found: list[str] = []
    if not any(one.isdecimal() for one in typed):
        return found
    for id_type in ID_TYPES:
        number, wrong = check_id(id_type, typed)
        if number and not wrong:
            found.append(blind_index(f"id:{id_type}", number))
    return found


def phone_hash(typed: str) -> str | None:
    """Return what a telephone number is found by, or None when it is none."""
    number, _ = read_phone(plain_digits(typed))
    return blind_index("phone", number) if number else None


def own_account(session: Session, patient_id: int) -> int | None:
    """Return the account of the patient themself (relation self), or None when there is none or more than one."""
    found = session.scalars(
        select(Account.id)
        .join(PatientLink, PatientLink.account_id == Account.id)
        .where(
            PatientLink.patient_id == patient_id,
            PatientLink.relation == "self",
            PatientLink.ended_at.is_(None),
        )
        .limit(2)
    ).all()
    return found[0] if len(found) == 1 else None
