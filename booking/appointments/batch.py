"""Many appointments of one hospital at once, for whoever writes letters by the hundred."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import and_, case, select

from booking.appointments.models import Appointment
from booking.appointments.queries import AppointmentView, last_verb, view_of
from booking.db import core, db
from booking.directory.models import Campus, ClinicKind, Doctor, Hospital, Policy, Practice
from booking.people.models import Account, Patient
from booking.people.queries import by_ids
from booking.schedule.models import ClinicSession

_APPOINTMENT = core(Appointment)


def appointments(
    hospital_id: int, ids: Iterable[uuid.UUID], now: datetime
) -> dict[uuid.UUID, AppointmentView]:
    """Return those of one hospital's appointments that there are, as they stand at `now`, by id.

    A handful of queries, whatever their number: what many share (doctor, campus, session, policy) is read once, and the
    appointments as plain rows.
    """
    asked = sorted(set(ids))
    if not asked:
        return {}
    session = db.session()
    rows = session.execute(
        select(
            *_APPOINTMENT.c, case((Appointment.status == "cancelled", last_verb())).label("ended_by")
        ).where(_APPOINTMENT.c.hospital_id == hospital_id, _APPOINTMENT.c.id.in_(asked))
    ).all()
    if not rows:
        return {}
    doctors = {
        doctor.id: doctor
        for doctor in session.scalars(
            select(Doctor).where(
                Doctor.hospital_id == hospital_id, Doctor.id.in_({row.doctor_id for row in rows})
            )
        )
    }
    places = _places(hospital_id, {row.session_id for row in rows})
    policies = {
        policy.version: policy
        for policy in session.scalars(
            select(Policy).where(
                Policy.hospital_id == hospital_id, Policy.version.in_({row.policy_version for row in rows})
            )
        )
    }
    patients = by_ids(Patient, (row.patient_id for row in rows))
    accounts = by_ids(Account, (row.account_id for row in rows))
    hospital = session.get_one(Hospital, hospital_id)
    found: dict[uuid.UUID, AppointmentView] = {}
    for row in rows:
        clinic, kind, campus = places[row.session_id]
        found[row.id] = view_of(
            now,
            row,
            doctors[row.doctor_id],
            hospital,
            campus,
            clinic,
            kind,
            policies[row.policy_version],
            patients.get(row.patient_id),
            accounts.get(row.account_id),
            row.ended_by,
        )
    return found


def _places(
    hospital_id: int, sessions: set[uuid.UUID]
) -> dict[uuid.UUID, tuple[ClinicSession, ClinicKind, Campus]]:
    """Read where and as what each session takes place, by the session's id."""
    found = (
        select(ClinicSession, ClinicKind, Campus)
        .join(
            ClinicKind,
            and_(ClinicKind.hospital_id == hospital_id, ClinicKind.id == ClinicSession.clinic_kind_id),
        )
        .join(Practice, and_(Practice.hospital_id == hospital_id, Practice.id == ClinicSession.practice_id))
        .join(Campus, and_(Campus.hospital_id == hospital_id, Campus.id == Practice.campus_id))
        .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id.in_(sessions))
    )
    return {clinic.id: (clinic, kind, campus) for clinic, kind, campus in db.session.execute(found)}
