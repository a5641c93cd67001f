"""Finding, or making, the specialty, hospital, department and doctor that an imported row names."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.directory import entries
from booking.directory.models import Campus, Department, Doctor, Hospital
from booking.directory.rules import is_medical, parent_specialty, specialty_name


@dataclass
class Directory:
    """Ids by name, kept between the batches of one run so that a name is looked up once."""

    specialties: dict[str, int] = field(default_factory=dict)
    hospitals: dict[str, int] = field(default_factory=dict)
    campuses: dict[int, uuid.UUID] = field(default_factory=dict)
    departments: dict[tuple[int, str], uuid.UUID] = field(default_factory=dict)
    doctors: dict[tuple[int, str], Doctor] = field(default_factory=dict)
    codes: dict[tuple[str, str], str] = field(default_factory=dict)
    practices: set[tuple[int, uuid.UUID, uuid.UUID]] = field(default_factory=set)

    def specialty(self, session: Session, name: str) -> int | None:
        """Return the standard specialty of a department's name; one that reads like a department is added."""
        if not name:
            return None
        if not self.specialties:
            self.specialties = entries.specialty_index(session)
        found = entries.find_specialty(self.specialties, name)
        standard = specialty_name(name)
        if found is None and len(standard) <= 12 and standard.endswith(("科", "中心", "门诊", "学")):
            group = parent_specialty(standard)
            if group and group not in self.specialties:
                self.specialties[group] = entries.new_specialty(
                    session, {"name": group, "parent_id": None}
                ).id
            found = self.specialties[standard] = entries.new_specialty(session, {"name": standard}).id
        return found

    def hospital(self, session: Session, now: datetime, name: str) -> int:
        """Return the hospital of this name, added with its defaults when there is none."""
        if name not in self.hospitals:
            found = session.scalar(
                select(Hospital.id).where(Hospital.name == name).order_by(Hospital.id).limit(1)
            )
            self.hospitals[name] = found or entries.new_hospital(session, now, {"name": name}).id
        return self.hospitals[name]

    def campus(self, session: Session, hospital_id: int) -> uuid.UUID:
        """Return a hospital's first campus, added when there is none."""
        if hospital_id not in self.campuses:
            found = session.scalar(
                select(Campus.id)
                .where(Campus.hospital_id == hospital_id)
                .order_by(Campus.position, Campus.id)
                .limit(1)
            )
            self.campuses[hospital_id] = (
                found or entries.new_campus(session, hospital_id, {"name": entries.MAIN_CAMPUS}).id
            )
        return self.campuses[hospital_id]

    def department(self, session: Session, hospital_id: int, name: str) -> uuid.UUID:
        """Return a hospital's department of this name, added and linked to its specialty when there is none."""
        key = (hospital_id, name)
        if key not in self.departments:
            found = session.scalar(
                select(Department.id).where(Department.hospital_id == hospital_id, Department.name == name)
            )
            if found is None:
                specialty = self.specialty(session, name)
                found = entries.new_department(
                    session, hospital_id, {"name": name, "specialty_id": specialty}
                ).id
            self.departments[key] = found
        return self.departments[key]

    def doctor(
        self, session: Session, now: datetime, hospital: str, name: str, title: str, department: str
    ) -> Doctor:
        """Return the doctor of this name and hospital, added as imported and never as verified."""
        hospital_id = self.hospital(session, now, hospital)
        key = (hospital_id, name)
        if key not in self.doctors:
            found = session.scalars(
                select(Doctor)
                .where(Doctor.hospital_id == hospital_id, Doctor.name == name)
                .order_by(Doctor.active.desc(), Doctor.id)
                .limit(1)
            ).first()
            self.doctors[key] = found or entries.new_doctor(
                session, hospital_id, {"name": name, "title": title, "imported": True}
            )
        doctor = self.doctors[key]
        if department:
            self.practice(session, hospital_id, doctor, department)
        return doctor

    def practice(self, session: Session, hospital_id: int, doctor: Doctor, department: str) -> None:
        """Let an imported doctor see patients in a department of the first campus; others keep what they have."""
        department_id = self.department(session, hospital_id, department)
        key = (hospital_id, doctor.id, department_id)
        if doctor.imported and key not in self.practices:
            entries.practice_of(
                session, hospital_id, doctor.id, department_id, self.campus(session, hospital_id)
            )
            self.practices.add(key)


def hospital_problem(name: str) -> str:
    """Return why a name cannot be a hospital's, or an empty text."""
    if not name:
        return "医院名称是空的"
    if "\n" in name:
        return "一格里有几个名称"
    if len(name) > 120:
        return "名称太长，最多 120 个字"
    if not is_medical(name):
        return "看起来不是医疗机构"
    return ""
