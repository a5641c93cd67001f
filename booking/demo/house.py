"""The demo's hospitals: campuses, departments, doctors, where they see patients, and their weekly patterns."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any

from sqlalchemy import select

from booking.clock import utc
from booking.db import db
from booking.demo.files import Say, read
from booking.directory import service as directory
from booking.directory.models import ClinicKind, DayPart
from booking.directory.policy import LADDER
from booking.refs import Key
from booking.schedule.service import save_template
from booking.staff.rules import SYSTEM

ZONE = "Asia/Shanghai"
PARTS = {"am": "上午", "pm": "下午", "eve": "夜间"}
KIND_ORDER = ("普通门诊", "专家门诊", "专病门诊", "特需门诊", "便民门诊")
FEE_NAMES = {"linlan-1": "挂号费", "linlan-univ": "医事服务费", "chengjiang": "诊查费"}
SEX = {"女": "f", "男": "m"}
PREPARATIONS = {
    "专病门诊": "带上最近半年的检查报告和正在吃的药。",
    "特需门诊": "空腹来，当天可能要抽血；可以喝少量白开水。",
}
POLICIES: dict[str, dict[str, Any]] = {
    "linlan-1": {},
    "linlan-univ": {"horizon_days": 10, "release_time": time(8, 0)},
    "chengjiang": {"horizon_days": 14, "release_time": time(7, 0), "cancel_time": time(18, 0)},
}
GENERATE_DAYS = 21


@dataclass
class House:
    """Where the rows of the directory are found, by the names the files use."""

    specialties: dict[str, int] = field(default_factory=dict)
    hospitals: dict[str, int] = field(default_factory=dict)
    campuses: dict[tuple[str, str], uuid.UUID] = field(default_factory=dict)
    departments: dict[tuple[str, str], uuid.UUID] = field(default_factory=dict)
    doctors: dict[str, Key] = field(default_factory=dict)
    practices: dict[tuple[str, str, str], uuid.UUID] = field(default_factory=dict)


def build_house(today: date, say: Say) -> House:
    """Add specialties, hospitals and doctors with their practices; return where they are."""
    house = House()
    has_clinic = _add_specialties(house)
    doctors = read("doctors")
    for row in read("hospitals"):
        _add_hospital(house, row, has_clinic, [one for one in doctors if one["hospital"] == row["slug"]])
    for number, row in enumerate(doctors):
        say("医生", number / len(doctors))
        _add_doctor(house, row, today)
    return house


def _add_specialties(house: House) -> dict[str, bool]:
    rows = read("specialties")
    for position, row in enumerate(rows):
        made = directory.add_specialty(
            name=row["name"],
            slug=row["slug"],
            parent_id=house.specialties[row["parent"]] if row["parent"] else None,
            about=row["about"],
            position=position,
            has_clinic=row["has_clinic"],
            sensitive=row.get("sensitive", False),
            red_flags=row["red_flags"],
            lay_words=row["lay_words"],
        )
        house.specialties[row["slug"]] = made.id
    return {row["slug"]: row["has_clinic"] for row in rows}


def _kinds(slug: str, doctors: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """The clinic kinds this hospital's doctors use, each with its most frequent fee."""
    fees: dict[str, Counter[int]] = {}
    for clinic in (clinic for row in doctors for clinic in row["clinics"]):
        fees.setdefault(clinic["kind"], Counter())[clinic["fee_yuan"] * 100] += 1
    order = sorted(fees, key=lambda name: KIND_ORDER.index(name) if name in KIND_ORDER else 99)
    return [(name, FEE_NAMES.get(slug, "挂号费"), fees[name].most_common(1)[0][0]) for name in order]


def _add_hospital(
    house: House, row: dict[str, Any], has_clinic: dict[str, bool], doctors: list[dict[str, Any]]
) -> None:
    columns = (
        "slug",
        "name",
        "short_name",
        "level",
        "province",
        "city",
        "district",
        "address",
        "phone",
        "zone",
    )
    hospital = directory.add_hospital(
        **{name: row[name] for name in columns},
        about=row["about"],
        transport=row["transport"],
        campus=None,
        kinds=_kinds(row["slug"], doctors),
        policy={"generate_days": GENERATE_DAYS, "reminders": LADDER, **POLICIES.get(row["slug"], {})},
    )
    house.hospitals[row["slug"]] = hospital.id
    for kind in {clinic["kind"] for doctor in doctors for clinic in doctor["clinics"]} & PREPARATIONS.keys():
        directory.set_preparation(hospital.id, kind, PREPARATIONS[kind])
    for position, campus in enumerate(row["campuses"]):
        made = directory.add_campus(hospital.id, position=position, **campus)
        house.campuses[row["slug"], campus["slug"]] = made.id
    for position, department in enumerate(row["departments"]):
        house.departments[row["slug"], department["name"]] = directory.add_department(
            hospital.id,
            name=department["name"],
            specialty_id=house.specialties[department["specialty"]],
            about=department["about"],
            sensitive=department["sensitive"],
            has_clinic=has_clinic[department["specialty"]],
            position=position,
        ).id


def _add_doctor(house: House, row: dict[str, Any], today: date) -> None:
    slug, hospital_id = row["hospital"], house.hospitals[row["hospital"]]
    checked = today - timedelta(days=row["verified_on_days_ago"] or 0)
    doctor = directory.add_doctor(
        hospital_id,
        name=row["name"],
        slug=row["slug"],
        pinyin=row["pinyin"],
        title=row["title"],
        sex=SEX[row["sex"]],
        skill=row["skill"],
        about=row["about"],
        training=row["training"],
        licence_no=row["licence_no"],
        verified_at=utc(checked, time(10), ZONE) if row["verified"] else None,
    )
    house.doctors[row["slug"]] = (hospital_id, doctor.id)
    pairs = [(clinic["department"], clinic["campus"]) for clinic in row["clinics"]]
    pairs = pairs or [(row["departments"][0], row["campuses"][0])]
    for position, (department, campus) in enumerate(dict.fromkeys(pairs)):
        house.practices[row["slug"], department, campus] = directory.add_practice(
            hospital_id,
            doctor_id=doctor.id,
            department_id=house.departments[slug, department],
            campus_id=house.campuses[slug, campus],
            position=position,
        ).id


def add_templates(house: House, say: Say) -> None:
    """Turn every doctor's clinics into weekly patterns."""
    session = db.session()
    kinds = {(row.hospital_id, row.name): row.id for row in session.scalars(select(ClinicKind))}
    parts = {(row.hospital_id, row.name): row.id for row in session.scalars(select(DayPart))}
    rows = [(doctor, clinic) for doctor in read("doctors") for clinic in doctor["clinics"]]
    for number, (doctor, clinic) in enumerate(rows):
        say("排班模板", number / len(rows))
        hospital_id = house.hospitals[doctor["hospital"]]
        save_template(
            hospital_id,
            actor=SYSTEM,
            practice_id=house.practices[doctor["slug"], clinic["department"], clinic["campus"]],
            weekday=clinic["weekday"],
            day_part_id=parts[hospital_id, PARTS[clinic["part"]]],
            starts_local=time.fromisoformat(clinic["start"]),
            ends_local=time.fromisoformat(clinic["end"]),
            slot_minutes=clinic["slot_minutes"],
            places_per_slot=clinic["places_per_slot"],
            clinic_kind_id=kinds[hospital_id, clinic["kind"]],
            fee_cents=clinic["fee_yuan"] * 100,
            room=clinic["room"],
            weeks=clinic["weeks"],
        )
