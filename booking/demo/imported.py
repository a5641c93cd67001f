"""Clinics for doctors that came with an import, so that imported answers lead to something that can be booked."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time, timedelta
from random import Random

from sqlalchemy import and_, exists, select

from booking.clock import db_now, local
from booking.db import db
from booking.demo.files import Say
from booking.directory.models import ClinicKind, DayPart, Department, Doctor, Hospital, Practice
from booking.directory.rules import sees_patients
from booking.schedule.models import Template
from booking.schedule.service import generate, save_template
from booking.staff.rules import SYSTEM

AHEAD = timedelta(days=21)
MORNING, AFTERNOON = (time(8), time(11, 30)), (time(14), time(17))
SENIOR = "主任医师"


@dataclass(frozen=True)
class Done:
    """How many doctors got clinics, how many sessions that made, whose department has none, how many are left."""

    doctors: int
    sessions: int
    without: int
    left: int


def _waiting() -> Sequence[tuple[Doctor, Practice, Department]]:
    """The imported doctors without a weekly pattern, each with the first practice."""
    has_template = exists().where(
        Template.hospital_id == Practice.hospital_id,
        Template.practice_id == Practice.id,
        Template.active.is_(True),
    )
    rows = db.session.execute(
        select(Doctor, Practice, Department)
        .join(Practice, and_(Practice.hospital_id == Doctor.hospital_id, Practice.doctor_id == Doctor.id))
        .join(
            Department,
            and_(Department.hospital_id == Practice.hospital_id, Department.id == Practice.department_id),
        )
        .where(Doctor.imported.is_(True), Doctor.active.is_(True), Practice.active.is_(True), ~has_template)
        .order_by(Doctor.hospital_id, Doctor.slug, Practice.position)
    ).all()
    first: dict[tuple[int, uuid.UUID], tuple[Doctor, Practice, Department]] = {}
    for doctor, practice, department in rows:
        first.setdefault((doctor.hospital_id, doctor.id), (doctor, practice, department))
    return list(first.values())


def give_clinics(limit: int, say: Say) -> Done:
    """Give up to `limit` imported doctors two half-days a week and make their coming three weeks.

    The same doctor always gets the same half-days. Doctors of departments that see no patients (病理科, 检验科 …) get
    none. A repeat goes on with those left over.
    """
    waiting = _waiting()
    clinical = [one for one in waiting if one[2].has_clinic and sees_patients(one[2].name)]
    chosen = clinical[:limit]
    templates: dict[int, list[uuid.UUID]] = {}
    for number, (doctor, practice, _department) in enumerate(chosen):
        say("排班", 0.5 * number / len(chosen))
        templates.setdefault(doctor.hospital_id, []).extend(_patterns(doctor, practice))
    sessions = 0
    for number, (hospital_id, template_ids) in enumerate(templates.items()):
        zone = db.session.get_one(Hospital, hospital_id).zone
        today = local(db_now(db.session()), zone).date()
        sessions += generate(
            hospital_id, today, today + AHEAD, actor=SYSTEM, template_ids=template_ids
        ).created
        say("班次", 0.5 + 0.5 * (number + 1) / len(templates))
    return Done(len(chosen), sessions, len(waiting) - len(clinical), len(clinical) - len(chosen))


def _patterns(doctor: Doctor, practice: Practice) -> list[uuid.UUID]:
    chance = Random(doctor.slug)
    hospital_id = doctor.hospital_id
    kinds = db.session.scalars(
        select(ClinicKind).where(ClinicKind.hospital_id == hospital_id).order_by(ClinicKind.position)
    ).all()
    parts = db.session.scalars(
        select(DayPart).where(DayPart.hospital_id == hospital_id).order_by(DayPart.starts_local)
    ).all()
    if not kinds or not parts:
        return []
    kind = next(
        (one for one in kinds if doctor.title.endswith(SENIOR) and one.name.startswith("专家")), kinds[0]
    )
    made = []
    for weekday in sorted(chance.sample(range(5), 2)):
        starts, ends = chance.choice((MORNING, MORNING, AFTERNOON))
        part = next((one for one in reversed(parts) if one.starts_local <= starts), parts[0])
        template = save_template(
            hospital_id,
            actor=SYSTEM,
            practice_id=practice.id,
            weekday=weekday,
            day_part_id=part.id,
            starts_local=starts,
            ends_local=ends,
            slot_minutes=30,
            places_per_slot=3,
            clinic_kind_id=kind.id,
            fee_cents=kind.fee_cents,
            room="",
        )
        made.append(template.id)
    return made
