"""Who an account is and whom it books for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm.util import identity_key

from booking.clock import db_now, local
from booking.db import core, db, read_once
from booking.people.models import Account, Consent, OneTimeCode, Patient, PatientLink
from booking.people.rules import ID_TYPES, RELATIONS, age, mask_name, mask_phone

HOME_ZONE = "Asia/Shanghai"


@dataclass(frozen=True)
class PatientView:
    """A patient as the booking account sees them; `age` in full years today, phones as E.164 and masked."""

    id: int
    name: str
    masked_name: str
    relation: str
    relation_name: str
    sex: str
    age: int
    birth_date: date
    id_type: str
    id_type_name: str
    id_number: str
    id_tail: str
    phone: str
    phone_masked: str
    guardian_name: str
    guardian_phone: str
    guardian_relation: str
    verified: bool
    reminders_on: bool
    is_last: bool
    consented_at: datetime | None


def account(account_id: int) -> Account | None:
    """Return an account by id."""
    return db.session.get(Account, account_id)


M = TypeVar("M", Account, Patient, OneTimeCode)


def by_ids(model: type[M], ids: Iterable[int | None]) -> dict[int, M]:
    """Return those of these accounts, patients or codes that there are, by id; those the session has are not read again."""
    session, asked = db.session(), {one for one in ids if one is not None}
    known = (session.identity_map.get(identity_key(model, one)) for one in asked)
    found = {one.id: one for one in known if one is not None}
    if missing := sorted(asked - set(found)):
        found |= {one.id: one for one in session.scalars(select(model).where(model.id.in_(missing)))}
    return found


_VERSION = select(core(Account).c.session_version).where(core(Account).c.id == bindparam("account"))


def is_reminded(patient_id: int) -> bool:
    """Whether reminders go to a patient's own phone."""
    return bool(db.session.scalar(select(Patient.reminders_on).where(Patient.id == patient_id)))


def sign_in_version(account_id: int) -> int | None:
    """Return which sign-ins of an account count (those that carry this number), or None when it is gone."""
    asked = {"account": account_id}
    session = db.session()
    if session.in_transaction():
        version: int | None = session.connection().execute(_VERSION, asked).scalar()
        return version
    rows = read_once(_VERSION, asked)
    return rows[0][0] if rows else None


@cache
def _patients_query() -> Select[*tuple[Any, ...]]:
    """The patients of `account` with their relation, the one last booked for, and when the consent was given."""
    given = (
        select(func.max(Consent.given_at))
        .where(
            Consent.account_id == PatientLink.account_id,
            Consent.patient_id == PatientLink.patient_id,
            Consent.kind == "health_data",
            Consent.withdrawn_at.is_(None),
        )
        .scalar_subquery()
    )
    return (
        select(Patient, PatientLink.relation, Account.last_patient_id, given)
        .join(PatientLink, PatientLink.patient_id == Patient.id)
        .join(Account, Account.id == PatientLink.account_id)
        .where(PatientLink.account_id == bindparam("account"), PatientLink.ended_at.is_(None))
        .order_by(PatientLink.created_at, Patient.id)
    )


def patients_of(account_id: int, now: datetime | None = None) -> list[PatientView]:
    """Return the patients of an account: the one last booked for first, then in the order they were added. One query."""
    today = local(now or db_now(db.session()), HOME_ZONE).date()
    views = [
        _view(patient, relation, today, patient.id == last, given_at)
        for patient, relation, last, given_at in db.session.execute(
            _patients_query(), {"account": account_id}
        )
    ]
    return sorted(views, key=lambda view: not view.is_last)


def _view(
    patient: Patient, relation: str, today: date, is_last: bool, consented_at: datetime | None
) -> PatientView:
    born = date.fromisoformat(patient.birth_date)
    return PatientView(
        patient.id,
        patient.name,
        mask_name(patient.name),
        relation,
        RELATIONS.get(relation, ""),
        patient.sex,
        age(born, today),
        born,
        patient.id_type,
        ID_TYPES.get(patient.id_type, ""),
        patient.id_number or "",
        (patient.id_number or "")[-4:],
        patient.phone or "",
        mask_phone(patient.phone) if patient.phone else "",
        patient.guardian_name or "",
        patient.guardian_phone or "",
        patient.guardian_relation or "",
        patient.verified_at is not None,
        patient.reminders_on,
        is_last,
        consented_at,
    )


def patient_of(account_id: int, patient_id: int) -> PatientView | None:
    """Return one patient of an account, or None when it is not linked."""
    return next((view for view in patients_of(account_id) if view.id == patient_id), None)
