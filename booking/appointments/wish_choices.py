"""What a wish may name beside the full session it begins with, for the form of joining."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from booking.clock import db_now
from booking.db import db
from booking.directory.models import Campus, ClinicKind, DayPart, Department, Doctor, Hospital, Practice
from booking.schedule.models import ClinicSession
from booking.schedule.wanted import SELLING, with_practice


@dataclass(frozen=True)
class Offered:
    """What a wish may name, for the form: pairs of id and words.

    `doctors` are those of the session's department, its own first; `departments` the hospital's others; parts, campuses and
    kinds are those of all of them.
    """

    doctors: list[tuple[uuid.UUID, str]]
    departments: list[tuple[uuid.UUID, str]]
    parts: list[tuple[uuid.UUID, str]]
    campuses: list[tuple[uuid.UUID, str]]
    kinds: list[tuple[uuid.UUID, str]]
    dates: list[date]
    clinic: ClinicSession
    practice: Practice
    doctor: Doctor
    department: Department
    part: DayPart
    hospital: Hospital


def what_to_offer(hospital_id: int, session_id: uuid.UUID, until: date) -> Offered | None:
    """Return what the form of joining offers beside a session: what has sessions on sale from today to `until`, the dates
    being those of the session's department. None when there is no such session."""
    row = db.session.execute(
        select(ClinicSession, Practice, Doctor, Department, DayPart, Hospital)
        .join(Practice, with_practice())
        .join(Doctor, _mine(Doctor, Practice.doctor_id))
        .join(Department, _mine(Department, Practice.department_id))
        .join(DayPart, _mine(DayPart, ClinicSession.day_part_id))
        .join(Hospital, Hospital.id == ClinicSession.hospital_id)
        .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id == session_id)
    ).first()
    if row is None:
        return None
    clinic, practice, doctor, department, part, hospital = row
    now = db_now(db.session())
    on_sale = (
        ClinicSession.hospital_id == hospital_id,
        Doctor.active,
        Practice.active,
        ClinicSession.local_date <= until,
        ClinicSession.release_at <= now,
        ClinicSession.starts_at > now,
        ClinicSession.status.in_(SELLING),
    )
    near = db.session.execute(
        select(Doctor.id, Doctor.name, Doctor.title, ClinicSession.local_date)
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(Doctor, _mine(Doctor, Practice.doctor_id))
        .where(*on_sale, Practice.department_id == practice.department_id)
        .order_by(ClinicSession.local_date, ClinicSession.starts_at)
    ).all()
    anywhere: Sequence[Any] = db.session.execute(
        select(
            *(Department.id, Department.name, Department.position),
            *(DayPart.id, DayPart.name, DayPart.position),
            *(Campus.id, Campus.name),
            *(ClinicKind.id, ClinicKind.name, ClinicKind.position),
        )
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(Doctor, _mine(Doctor, Practice.doctor_id))
        .join(Department, _mine(Department, Practice.department_id))
        .join(DayPart, _mine(DayPart, ClinicSession.day_part_id))
        .join(Campus, _mine(Campus, Practice.campus_id))
        .join(ClinicKind, _mine(ClinicKind, ClinicSession.clinic_kind_id))
        .where(or_(and_(*on_sale), ClinicSession.id == session_id), ClinicSession.hospital_id == hospital_id)
        .distinct()
    ).all()
    doctors = _unique((one[0], f"{one[1]} {one[2]}".strip()) for one in near)
    first = (doctor.id, f"{doctor.name} {doctor.title}".strip())
    departments = _unique((one[0], one[1]) for one in sorted(anywhere, key=lambda one: one[2]))
    return Offered(
        doctors=[first, *(one for one in doctors if one[0] != doctor.id)],
        departments=[one for one in departments if one[0] != department.id],
        parts=_unique((one[3], one[4]) for one in sorted(anywhere, key=lambda one: one[5])),
        campuses=_unique((one[6], one[7]) for one in anywhere),
        kinds=_unique((one[8], one[9]) for one in sorted(anywhere, key=lambda one: one[10])),
        dates=sorted({one[3] for one in near} | {clinic.local_date}),
        clinic=clinic,
        practice=practice,
        doctor=doctor,
        department=department,
        part=part,
        hospital=hospital,
    )


def _mine(table: Any, key: Any) -> ColumnElement[bool]:
    """How a table of the session's hospital is joined."""
    return and_(table.hospital_id == ClinicSession.hospital_id, table.id == key)


def _unique(pairs: Iterable[tuple[uuid.UUID, str]]) -> list[tuple[uuid.UUID, str]]:
    return list(dict(pairs).items())
