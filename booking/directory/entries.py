"""Rows of the directory made inside the caller's transaction; the verbs and the import both build on these."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import String, select
from sqlalchemy.orm import Session

from booking.db import Model
from booking.directory import rules
from booking.directory.models import (
    Campus,
    ClinicKind,
    DayPart,
    Department,
    Doctor,
    Hospital,
    Policy,
    Practice,
    Specialty,
)
from booking.directory.policy import LADDER
from booking.errors import BadInput

MAIN_CAMPUS = "本部"
LAST_POSITION = 1000
DAY_PARTS: tuple[tuple[str, time, time], ...] = (
    ("上午", time(8), time(12)),
    ("下午", time(13, 30), time(17, 30)),
    ("夜间", time(18), time(21)),
)
CLINIC_KINDS: tuple[tuple[str, str, int], ...] = (
    ("普通门诊", "挂号费", 1000),
    ("专家门诊", "挂号费", 2500),
    ("特需门诊", "特需服务费", 10000),
)

LABELS = {
    "name": "名称",
    "slug": "网址短名",
    "phone": "电话",
    "address": "地址",
    "title": "职称",
    "licence_no": "执业证号",
}


def fitting(model: type[Model], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as they may be stored: text trimmed.

    Raises BadInput for a text longer than its column and for a time zone nobody knows.
    """
    checked: dict[str, Any] = {}
    for field, value in values.items():
        if isinstance(value, str):
            value = value.strip()
            kind = model.__table__.columns[field].type
            if isinstance(kind, String) and kind.length and len(value) > kind.length:
                raise BadInput(
                    "%(label)s太长，最多 %(limit)s 个字。",
                    field=field,
                    label=LABELS.get(field, field),
                    limit=kind.length,
                )
        checked[field] = value
    if "zone" in checked:
        _ensure_zone(checked["zone"])
    return checked


def _ensure_zone(zone: str) -> None:
    """Every instant of a hospital is derived with its zone: an unknown one would break each page later."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise BadInput("没有这个时区，例如 Asia/Shanghai。", field="zone") from problem


def named(values: Mapping[str, Any]) -> str:
    """Return the name among the values. Raises BadInput when it is empty."""
    name = str(values.get("name", "")).strip()
    if not name:
        raise BadInput("请填写名称。", field="name")
    return name


def apply(row: Model, values: Mapping[str, Any]) -> bool:
    """Set the values that differ on a stored row; say whether any did. Raises BadInput when a name would be emptied."""
    changed = False
    if "name" in values:
        named(values)
    for field, value in fitting(type(row), values).items():
        if getattr(row, field) != value:
            setattr(row, field, value)
            changed = True
    return changed


def free_slug(session: Session, model: type[Hospital] | type[Doctor] | type[Specialty], name: str) -> str:
    """Return a short slug for `name` that no row of `model` uses; two at once are stopped by the unique constraint."""
    slug = rules.slug_of(name)
    taken = set(session.scalars(select(model.slug).where(model.slug.startswith(slug, autoescape=True))))
    return rules.numbered(slug, taken, 60)


def new_hospital(
    session: Session,
    now: datetime,
    values: Mapping[str, Any],
    *,
    campus: str | None = MAIN_CAMPUS,
    parts: Sequence[tuple[str, time, time]] = DAY_PARTS,
    kinds: Sequence[tuple[str, str, int]] = CLINIC_KINDS,
    policy: Mapping[str, Any] | None = None,
) -> Hospital:
    """Add a hospital with everything a schedule needs: first campus, parts of day, clinic kinds, first policy.

    `kinds` are (name, name of the fee, fee in cents); `campus=None` adds none.
    """
    values = fitting(Hospital, values)
    hospital = Hospital(**values)
    hospital.name = named(values)
    hospital.slug = values.get("slug") or free_slug(session, Hospital, hospital.short_name or hospital.name)
    session.add(hospital)
    session.flush()
    if campus:
        new_campus(
            session,
            hospital.id,
            {
                "name": campus,
                "address": hospital.address,
                "phone": hospital.phone,
                "transport": hospital.transport,
            },
        )
    for position, (name, starts, ends) in enumerate(parts):
        session.add(
            DayPart(
                hospital_id=hospital.id, name=name, starts_local=starts, ends_local=ends, position=position
            )
        )
    for position, (name, fee_name, fee) in enumerate(kinds):
        session.add(
            ClinicKind(
                hospital_id=hospital.id, name=name, fee_name=fee_name, fee_cents=fee, position=position
            )
        )
    rules_of = {"reminders": LADDER, **(policy or {})}
    session.add(Policy(hospital_id=hospital.id, version=1, created_at=now, **rules_of))
    session.flush()
    return hospital


def new_campus(session: Session, hospital_id: int, values: Mapping[str, Any]) -> Campus:
    """Add a campus; its slug is unique in the hospital."""
    values = fitting(Campus, values)
    campus = Campus(hospital_id=hospital_id, **values)
    campus.name = named(values)
    taken = set(session.scalars(select(Campus.slug).where(Campus.hospital_id == hospital_id)))
    campus.slug = values.get("slug") or rules.numbered(rules.slug_of(campus.name), taken, 60)
    session.add(campus)
    session.flush()
    return campus


def new_department(session: Session, hospital_id: int, values: Mapping[str, Any]) -> Department:
    """Add a department; without a word about its specialty or its clinics its name decides both."""
    values = fitting(Department, values)
    department = Department(hospital_id=hospital_id, **values)
    department.name = named(values)
    if "specialty_id" not in values:
        department.specialty_id = find_specialty(specialty_index(session), department.name)
    if "has_clinic" not in values:
        department.has_clinic = rules.sees_patients(department.name)
    session.add(department)
    session.flush()
    return department


def new_doctor(session: Session, hospital_id: int, values: Mapping[str, Any]) -> Doctor:
    """Add a doctor; slug and pinyin are made from the name unless given. Never verified unless the caller says when."""
    values = fitting(Doctor, values)
    doctor = Doctor(hospital_id=hospital_id, **values)
    doctor.name = named(values)
    doctor.pinyin = values.get("pinyin") or rules.pinyin_of(doctor.name)
    doctor.slug = values.get("slug") or free_slug(session, Doctor, doctor.name)
    session.add(doctor)
    session.flush()
    return doctor


def practice_of(
    session: Session, hospital_id: int, doctor_id: uuid.UUID, department_id: uuid.UUID, campus_id: uuid.UUID
) -> tuple[Practice, bool]:
    """Return the practice of a doctor in a department on a campus, and whether it is new; an ended one is revived."""
    practice = session.scalars(
        select(Practice).where(
            Practice.hospital_id == hospital_id,
            Practice.doctor_id == doctor_id,
            Practice.department_id == department_id,
            Practice.campus_id == campus_id,
        )
    ).one_or_none()
    if practice:
        revived = not practice.active
        practice.active = True
        return practice, revived
    practice = Practice(
        hospital_id=hospital_id, doctor_id=doctor_id, department_id=department_id, campus_id=campus_id
    )
    session.add(practice)
    session.flush()
    return practice, True


def specialty_index(session: Session) -> dict[str, int]:
    """Return the id of every standard specialty by name."""
    return {name: key for key, name in session.execute(select(Specialty.id, Specialty.name))}


def find_specialty(index: Mapping[str, int], name: str) -> int | None:
    """Return the id of the specialty a department's name means, through the table of like names; None if unknown."""
    return (
        next((index[like] for like in rules.specialty_names(name) if like in index), None)
        if name.strip()
        else None
    )


def new_specialty(session: Session, values: Mapping[str, Any]) -> Specialty:
    """Add a standard specialty; slug, group and clinics follow from the name unless given."""
    values = fitting(Specialty, values)
    specialty = Specialty(**values)
    specialty.name = named(values)
    specialty.slug = values.get("slug") or free_slug(session, Specialty, specialty.name)
    specialty.position = values.get("position", LAST_POSITION)
    if "has_clinic" not in values:
        specialty.has_clinic = rules.sees_patients(specialty.name)
    if "parent_id" not in values and (group := rules.parent_specialty(specialty.name)):
        specialty.parent_id = session.scalar(select(Specialty.id).where(Specialty.name == group))
    session.add(specialty)
    session.flush()
    return specialty
