"""Hospitals, departments and doctors from rows: checking a row, and storing a batch of checked ones."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import clock
from booking.content import rules
from booking.content.import_names import Directory, hospital_problem
from booking.content.reading import Row
from booking.content.report import Refused
from booking.db import Model
from booking.directory import entries
from booking.directory.models import Campus, Department, Doctor, Hospital, Specialty
from booking.directory.rules import parent_specialty, phone_list, specialty_name

HOSPITAL_COLUMNS = (
    "id", "source", "name", "hospital", "short_name", "level", "province", "city", "district", "address", "phone",
    "about", "transport", "departments",
)  # fmt: skip
DEPARTMENT_COLUMNS = ("source", "hospital", "name", "department", "code", "parent", "about")
DOCTOR_COLUMNS = (
    "hospital", "name", "doctor", "title", "department", "campus", "skill", "licence_no", "pinyin", "sex", "about",
    "training",
)  # fmt: skip

HOSPITAL_FACTS = (
    "name", "short_name", "level", "province", "city", "district", "address", "phone", "about", "transport"
)  # fmt: skip
DOCTOR_FACTS = ("name", "title", "skill", "licence_no", "pinyin", "sex", "about", "training")

SEX = {"男": "m", "女": "f", "m": "m", "f": "f", "male": "m", "female": "f"}


@dataclass(frozen=True)
class Entry:
    """One checked row: its number and its cleaned cells."""

    number: int
    values: dict[str, str]


def _checked(row: Row, model: type[Model], source: str) -> Entry | Refused:
    values: dict[str, str] = {"source": source}
    for column, text in row.values.items():
        try:
            values[column] = rules.cleaned(text)
        except ValueError:
            return Refused(row.number, column, "有无法识别的字符", "检查文件的编码，另存为 UTF-8")
        stored = model.__table__.columns.get(column)
        limit = getattr(stored.type, "length", None) if stored is not None else None
        if limit and len(values[column]) > limit and column != "phone":
            return Refused(row.number, column, f"有 {len(values[column])} 个字，最多 {limit} 个", "缩短")
    return Entry(row.number, values)


def check_hospital(row: Row, source: str) -> Entry | Refused:
    """Return a row as a hospital, or why it is refused."""
    entry = _checked(row, Hospital, source)
    if isinstance(entry, Refused):
        return entry
    values = entry.values
    values["name"] = name = values.get("name") or values.get("hospital", "")
    if problem := hospital_problem(name):
        if name:
            problem = f"「{' '.join(name.split())[:40]}」{problem}"
        return Refused(
            row.number, "name", problem, "写一家医疗机构的全称，例如某某医院、某某卫生院；或删去这一行"
        )
    values["phone"] = phone_list(values.get("phone", ""))
    if any(len(department) > 60 for department in _departments(values)):
        return Refused(row.number, "departments", "有科室名称超过 60 个字", "用分号隔开各科室")
    return entry


def _departments(values: dict[str, str]) -> list[str]:
    names = re.split(r"[;；、,，|\n]+", values.get("departments", ""))
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def store_hospitals(session: Session, known: Directory, batch: Sequence[Entry]) -> list[str | Refused]:
    """Add or bring up to date one hospital per row; an empty cell changes nothing."""
    now = clock.db_now(session)
    return [_store_hospital(session, known, now, entry.values) for entry in batch]


def _store_hospital(session: Session, known: Directory, now: datetime, values: dict[str, str]) -> str:
    facts: dict[str, Any] = {name: values[name] for name in HOSPITAL_FACTS if values.get(name)}
    if values.get("id"):
        facts |= {"external_system": values["source"], "external_id": values["id"]}
    hospital = _same_hospital(session, values)
    outcome = "unchanged"
    if hospital is None:
        hospital = entries.new_hospital(session, now, facts)
        outcome = "created"
    elif entries.apply(hospital, facts):
        outcome = "changed"
    for name in _departments(values):
        stored = session.scalar(
            select(Department.id).where(Department.hospital_id == hospital.id, Department.name == name)
        )
        known.department(session, hospital.id, name)
        if stored is None and outcome == "unchanged":
            outcome = "changed"
    session.flush()
    return outcome


def _same_hospital(session: Session, values: dict[str, str]) -> Hospital | None:
    """The stored hospital with the row's id, else with its name and no other city."""
    if values.get("id"):
        found = session.scalars(
            select(Hospital).where(
                Hospital.external_system == values["source"], Hospital.external_id == values["id"]
            )
        ).first()
        if found:
            return found
    city = values.get("city", "")
    alike = session.scalars(
        select(Hospital).where(Hospital.name == values["name"]).order_by(Hospital.id)
    ).all()
    return next((each for each in alike if not city or not each.city or each.city == city), None)


def check_department(row: Row, source: str) -> Entry | Refused:
    """Return a row as a department (with a hospital) or as a standard specialty (without), or why it is refused."""
    entry = _checked(row, Department, source)
    if isinstance(entry, Refused):
        return entry
    values = entry.values
    values["name"] = name = "".join((values.get("name") or values.get("department", "")).split())
    if not any(letter.isalnum() for letter in name):
        return Refused(row.number, "name", "科室名称是空的", "填写科室名称")
    if name in ("其他", "其它") and not values.get("parent") and not values.get("hospital"):
        return Refused(row.number, "name", "「其他」不能单独成为一个科目", "写明上级科目")
    return entry


def store_departments(session: Session, known: Directory, batch: Sequence[Entry]) -> list[str | Refused]:
    """Add departments of hospitals, and standard specialties in a tree of two levels under their codes or names."""
    return [
        _store_department(session, known, entry)
        if entry.values.get("hospital")
        else _store_specialty(session, known, entry)
        for entry in batch
    ]


def _store_department(session: Session, known: Directory, entry: Entry) -> str | Refused:
    values = entry.values
    hospital_id = _hospital_id(session, values["hospital"])
    if hospital_id is None:
        return _no_hospital(entry)
    stored = session.scalars(
        select(Department).where(Department.hospital_id == hospital_id, Department.name == values["name"])
    ).first()
    facts: dict[str, Any] = {"about": values["about"]} if values.get("about") else {}
    if stored:
        return "changed" if entries.apply(stored, facts) else "unchanged"
    facts |= {"name": values["name"], "specialty_id": known.specialty(session, values["name"])}
    if values.get("parent"):
        facts["parent_id"] = known.department(session, hospital_id, values["parent"])
    entries.new_department(session, hospital_id, facts)
    return "created"


def _store_specialty(session: Session, known: Directory, entry: Entry) -> str | Refused:
    values = entry.values
    parent = values.get("parent", "")
    group = known.codes.get((values["source"], parent)) or (
        specialty_name(parent) if parent and not re.fullmatch(r"[\d.]+", parent) else ""
    )
    if parent and not group:
        return Refused(entry.number, "parent", f"没有上级「{parent}」", "上级要排在前面")
    name = specialty_name(values["name"])
    if name in ("其他", "其它"):
        name = f"{group}其他"
    if not known.specialties:
        known.specialties = entries.specialty_index(session)
    key = entries.find_specialty(known.specialties, name)
    if values.get("code"):
        known.codes[values["source"], values["code"]] = name
    group_id = entries.find_specialty(known.specialties, group or parent_specialty(name) or "")
    facts: dict[str, Any] = {"about": values["about"]} if values.get("about") else {}
    if key is None:
        specialty = entries.new_specialty(session, {"name": name, "parent_id": group_id, **facts})
        known.specialties[name] = specialty.id
        return "created"
    stored = session.get_one(Specialty, key)
    if (
        group
        and stored.parent_id is None
        and group_id not in (None, key)
        and not _has_parent(session, group_id)
    ):
        facts["parent_id"] = group_id
    return "changed" if entries.apply(stored, facts) else "unchanged"


def _has_parent(session: Session, specialty_id: int | None) -> bool:
    return session.scalar(select(Specialty.parent_id).where(Specialty.id == specialty_id)) is not None


def check_doctor(row: Row, source: str) -> Entry | Refused:
    """Return a row as a doctor of a hospital, or why it is refused."""
    entry = _checked(row, Doctor, source)
    if isinstance(entry, Refused):
        return entry
    values = entry.values
    values["name"] = name = values.get("name") or values.get("doctor", "")
    if not any(letter.isalnum() for letter in name):
        return Refused(row.number, "name", "医生姓名是空的", "填写姓名")
    if not values.get("hospital"):
        return Refused(row.number, "hospital", "医院是空的", "写医院的全称")
    if values.get("sex"):
        values["sex"] = SEX.get(values["sex"].lower(), "")
        if not values["sex"]:
            return Refused(row.number, "sex", "性别只能是男或女", "改正或留空")
    if len(values.get("department", "")) > 60 or len(values.get("campus", "")) > 60:
        return Refused(row.number, "department", "科室或院区名称超过 60 个字", "缩短")
    return entry


def store_doctors(session: Session, known: Directory, batch: Sequence[Entry]) -> list[str | Refused]:
    """Add or bring up to date one doctor per row, with the practice the row names; nobody becomes verified by it."""
    return [_store_doctor(session, known, entry) for entry in batch]


def _store_doctor(session: Session, known: Directory, entry: Entry) -> str | Refused:
    values = entry.values
    hospital_id = _hospital_id(session, values["hospital"])
    if hospital_id is None:
        return _no_hospital(entry)
    facts: dict[str, Any] = {name: values[name] for name in DOCTOR_FACTS if values.get(name)}
    doctor = _same_doctor(session, hospital_id, values)
    outcome = "unchanged"
    if doctor is None:
        doctor = entries.new_doctor(session, hospital_id, {**facts, "imported": True})
        outcome = "created"
    elif entries.apply(doctor, facts):
        outcome = "changed"
    if values.get("department"):
        department_id = known.department(session, hospital_id, values["department"])
        campus_id = _campus_id(session, known, hospital_id, values.get("campus", ""))
        _, new = entries.practice_of(session, hospital_id, doctor.id, department_id, campus_id)
        if new and outcome == "unchanged":
            outcome = "changed"
    session.flush()
    return outcome


def _same_doctor(session: Session, hospital_id: int, values: dict[str, str]) -> Doctor | None:
    """The stored doctor of this name: two of one name are told apart by their licence numbers."""
    alike = session.scalars(
        select(Doctor)
        .where(Doctor.hospital_id == hospital_id, Doctor.name == values["name"])
        .order_by(Doctor.id)
    ).all()
    licence = values.get("licence_no", "")
    exact = next((each for each in alike if licence and each.licence_no == licence), None)
    return exact or next((each for each in alike if not licence or not each.licence_no), None)


def _campus_id(session: Session, known: Directory, hospital_id: int, name: str) -> uuid.UUID:
    if not name:
        return known.campus(session, hospital_id)
    found = session.scalar(select(Campus.id).where(Campus.hospital_id == hospital_id, Campus.name == name))
    return found or entries.new_campus(session, hospital_id, {"name": name}).id


def _hospital_id(session: Session, name: str) -> int | None:
    return session.scalar(select(Hospital.id).where(Hospital.name == name).order_by(Hospital.id).limit(1))


def _no_hospital(entry: Entry) -> Refused:
    return Refused(
        entry.number, "hospital", f"没有医院「{entry.values['hospital']}」", "先导入这家医院，或核对全称"
    )
