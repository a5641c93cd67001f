"""What a confirmation asks once its hold is locked, read at once: the clock, the rules, who books for whom."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, select
from sqlalchemy.orm import Session

from booking.appointments.models import Appointment
from booking.clock import instant, now_columns
from booking.db import core
from booking.directory.models import Hospital, Policy
from booking.people.models import Account, Patient, PatientLink

_Policy = namedtuple("_Policy", list(core(Policy).c.keys()))  # type: ignore[misc]  # as many as the table has
_Account = namedtuple("_Account", "id email_verified_at wechat_openid phone_hash last_patient_id")
_Patient = namedtuple("_Patient", "id phone phone_hash")


@dataclass(frozen=True)
class Booker:
    """Who books for whom, at `now` (read after the hold was locked), under the `policy` the hold was sold under.

    `patient` is None when the account is not linked to it. Of addresses only is said whether they are there: what they
    are is read when a letter is sent. `hears`: the hospital wants its own letter about each change.
    """

    now: datetime
    policy: Any
    account: Any
    patient: Any
    hears: bool


@cache
def _query(sqlite: bool) -> Select[*tuple[Any, ...]]:
    policy, account, patient, link = core(Policy), core(Account), core(Patient), core(PatientLink)
    hospital = core(Hospital)
    linked = and_(
        link.c.account_id == bindparam("account"),
        link.c.patient_id == bindparam("patient"),
        link.c.ended_at.is_(None),
    )
    return (
        select(
            *now_columns(sqlite),
            *policy.c,
            account.c.id.label("account_id"),
            account.c.email_verified_at.is_not(None).label("has_email"),
            account.c.wechat_openid.is_not(None).label("has_wechat"),
            account.c.phone_hash.label("account_phone"),
            account.c.last_patient_id,
            patient.c.id.label("patient_id"),
            patient.c.phone.is_not(None).label("has_phone"),
            patient.c.phone_hash.label("patient_phone"),
            hospital.c.webhook_url.is_not(None).label("hears"),
        )
        .select_from(
            policy.join(hospital, hospital.c.id == policy.c.hospital_id)
            .outerjoin(account, account.c.id == bindparam("account"))
            .outerjoin(link, linked)
            .outerjoin(patient, patient.c.id == link.c.patient_id)
        )
        .where(policy.c.hospital_id == bindparam("hospital"), policy.c.version == bindparam("version"))
    )


def booker(session: Session, row: Appointment, account_id: int | None, patient_id: int) -> Booker:
    """Read all of it in one statement; call with the appointment `row` locked."""
    asked = {"account": account_id, "patient": patient_id}
    asked |= {"hospital": row.hospital_id, "version": row.policy_version}
    query = _query(session.get_bind().dialect.name == "sqlite")
    found = session.connection().execute(query, asked).one()
    policy_ends = 2 + len(_Policy._fields)
    account_ends = policy_ends + len(_Account._fields)
    account, patient = found[policy_ends:account_ends], found[account_ends:-1]
    return Booker(
        instant(found[0], found[1]),
        _Policy._make(found[2:policy_ends]),
        _Account._make(account) if account[0] is not None else None,
        _Patient._make(patient) if patient[0] is not None else None,
        bool(found[-1]),
    )
