"""Verbs of the directory: a hospital ready for a schedule, and clear refusals for what cannot be."""

from __future__ import annotations

import uuid
from datetime import time

import pytest
from sqlalchemy import func, select

from booking.db import db
from booking.directory import service
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
from booking.errors import BadInput, NotFound
from tests import factory

pytestmark = pytest.mark.usefixtures("within")

TABLES = (Hospital, Campus, Department, Doctor, Practice, ClinicKind, DayPart, Policy, Specialty)


def everything():
    db.session.rollback()
    return {
        model.__tablename__: sorted(map(repr, db.session.execute(select(model.__table__))))
        for model in TABLES
    }


def count(model, **only):
    return db.session.scalar(select(func.count()).select_from(model).filter_by(**only))


@pytest.fixture
def house(within):
    """A hospital with a campus, a department and a doctor, made by the verbs; their ids."""
    hospital = service.add_hospital(name="青梧市第一医院")
    campus = service.add_campus(hospital.id, name="东院区")
    department = service.add_department(hospital.id, name="呼吸内科")
    doctor = service.add_doctor(hospital.id, name="沈知远")
    return {"hospital": hospital.id, "campus": campus.id, "department": department.id, "doctor": doctor.id}


def test_a_new_hospital_is_ready_for_a_schedule():
    hospital = service.add_hospital(
        name=" 青梧市中医院 ",
        zone="Asia/Urumqi",
        parts=[("上午", time(10), time(14))],
        kinds=[("专家门诊", "诊查费", 5000)],
        policy={"horizon_days": 14, "release_time": time(20)},
    )
    assert (hospital.name, hospital.zone, hospital.numbers_owner) == ("青梧市中医院", "Asia/Urumqi", "ours")
    assert [part.starts_local for part in db.session.scalars(select(DayPart))] == [time(10)]
    kind = db.session.scalars(select(ClinicKind)).one()
    assert (kind.name, kind.fee_name, kind.fee_cents) == ("专家门诊", "诊查费", 5000)
    policy = db.session.scalars(select(Policy)).one()
    assert (policy.version, policy.horizon_days, policy.release_time, policy.closing_minutes) == (
        1,
        14,
        time(20),
        30,
    )
    assert [step["kind"] for step in policy.reminders] == ["reminder_day", "reminder_hours"]


def test_two_of_one_name_get_two_slugs():
    first, second = service.add_hospital(name="人民医院"), service.add_hospital(name="人民医院")
    assert first.slug != second.slug
    doctors = [service.add_doctor(hospital.id, name="张伟") for hospital in (first, first, second)]
    assert len({doctor.slug for doctor in doctors}) == 3


@pytest.mark.parametrize(
    ("verb", "field"),
    [
        (lambda ids: service.add_hospital(name=""), "name"),
        (lambda ids: service.add_hospital(name="\u3000 "), "name"),
        (lambda ids: service.add_hospital(name="长" * 121), "name"),
        (lambda ids: service.add_hospital(name="某医院", phone="1" * 61), "phone"),
        (lambda ids: service.add_hospital(name="某医院", zone="Mars/Phobos"), "zone"),
        (lambda ids: service.add_hospital(name="某医院", zone="../etc/passwd"), "zone"),
        (lambda ids: service.add_hospital(name="某医院", zone=""), "zone"),
        (lambda ids: service.change_hospital(ids["hospital"], name=" "), "name"),
        (lambda ids: service.change_hospital(ids["hospital"], zone="Beijing"), "zone"),
        (lambda ids: service.add_campus(ids["hospital"], name=""), "name"),
        (lambda ids: service.change_campus(ids["hospital"], ids["campus"], name=""), "name"),
        (lambda ids: service.add_department(ids["hospital"], name=""), "name"),
        (lambda ids: service.change_department(ids["hospital"], ids["department"], name=""), "name"),
        (lambda ids: service.add_doctor(ids["hospital"], name=""), "name"),
        (lambda ids: service.add_doctor(ids["hospital"], name="沈", title="长" * 41), "title"),
        (lambda ids: service.change_doctor(ids["hospital"], ids["doctor"], name=""), "name"),
        (lambda ids: service.add_specialty(name=" "), "name"),
    ],
)
def test_what_cannot_be_meant_is_refused_on_its_field(house, verb, field):
    before = everything()
    with pytest.raises(BadInput) as refused:
        verb(house)
    assert refused.value.facts["field"] == field
    assert refused.value.text
    assert everything() == before


@pytest.mark.parametrize(
    ("verb", "field"),
    [
        (lambda ids: service.add_hospital(name="另一家", slug="first"), "slug"),
        (lambda ids: service.add_department(ids["hospital"], name="呼吸内科"), "name"),
        (lambda ids: service.add_campus(ids["hospital"], name="北院区", slug="east"), "slug"),
        (lambda ids: service.add_doctor(ids["hospital"], name="沈某", slug="shen"), "slug"),
        (lambda ids: service.add_specialty(name="呼吸内科"), "name"),
        (lambda ids: service.add_specialty(name="心内科", slug="huxi"), "slug"),
    ],
)
def test_doubles_are_refused_with_a_sentence(house, verb, field):
    service.change_hospital(house["hospital"], slug="first")
    service.change_campus(house["hospital"], house["campus"], slug="east")
    service.change_doctor(house["hospital"], house["doctor"], slug="shen")
    service.add_specialty(name="呼吸内科", slug="huxi")
    before = everything()
    with pytest.raises(BadInput) as refused:
        verb(house)
    assert refused.value.facts["field"] == field
    assert everything() == before


def test_changing_into_a_double_is_refused_too(house):
    other = service.add_department(house["hospital"], name="心内科")
    with pytest.raises(BadInput) as refused:
        service.change_department(house["hospital"], other.id, name="呼吸内科")
    assert refused.value.text == "本院已经有同名的科室。"


@pytest.mark.parametrize(
    "verb",
    [
        lambda ids, no: service.change_hospital(999_999, name="x"),
        lambda ids, no: service.add_campus(999_999, name="x"),
        lambda ids, no: service.add_department(999_999, name="x"),
        lambda ids, no: service.add_doctor(999_999, name="x"),
        lambda ids, no: service.change_campus(ids["hospital"], no, name="x"),
        lambda ids, no: service.change_department(ids["hospital"], no, name="x"),
        lambda ids, no: service.change_doctor(ids["hospital"], no, name="x"),
        lambda ids, no: service.change_practice(ids["hospital"], no, active=False),
        lambda ids, no: service.change_specialty(999_999, name="x"),
    ],
)
def test_what_is_not_there_is_not_found(house, verb):
    before = everything()
    with pytest.raises(NotFound):
        verb(house, uuid.uuid4())
    assert everything() == before


def test_rows_of_another_hospital_are_not_there(house):
    other = service.add_hospital(name="另一家医院").id
    before = everything()
    for verb, key in (
        (service.change_campus, "campus"),
        (service.change_department, "department"),
        (service.change_doctor, "doctor"),
    ):
        with pytest.raises(NotFound):
            verb(other, house[key], name="被改名")
    ours = {"department_id": house["department"], "campus_id": house["campus"]}
    stranger = uuid.uuid4()
    for hospital_id, doctor_id in ((other, house["doctor"]), (house["hospital"], stranger)):
        with pytest.raises(BadInput) as refused:
            service.add_practice(hospital_id, doctor_id=doctor_id, **ours)
        assert refused.value.text == "有的选项不属于本医院，请重新选择。"
    assert everything() == before


def test_a_practice_ends_and_comes_back_as_the_same(house):
    where = {"doctor_id": house["doctor"], "department_id": house["department"], "campus_id": house["campus"]}
    practice = service.add_practice(house["hospital"], **where)
    service.change_practice(house["hospital"], practice.id, active=False)
    again = service.add_practice(house["hospital"], **where, position=3)
    assert (again.id, again.active, again.position) == (practice.id, True, 3)
    assert count(Practice) == 1


def test_a_department_finds_its_specialty_and_knows_whether_it_has_clinics(house):
    standard = service.add_specialty(name="心内科")
    heart = service.add_department(house["hospital"], name="心血管内科")
    lab = service.add_department(house["hospital"], name="病理科")
    assert (heart.specialty_id, heart.has_clinic) == (standard.id, True)
    assert (lab.specialty_id, lab.has_clinic) == (None, False)
    assert service.specialty_for("心脏内科") == standard.id
    assert service.specialty_for(" ") is None


def test_a_doctor_is_verified_only_by_somebodys_word(house):
    doctor = db.session.get(Doctor, (house["hospital"], house["doctor"]))
    assert (doctor.verified_at, doctor.pinyin != "", doctor.active) == (None, True, True)


def test_changing_nothing_changes_nothing(house):
    before = everything()
    service.change_hospital(house["hospital"], name=" 青梧市第一医院 ")
    service.change_doctor(house["hospital"], house["doctor"])
    assert everything() == before


def test_what_to_prepare_is_kept_for_a_kind_and_not_too_long(within):
    clinic = factory.clinic()
    service.set_preparation(clinic.id, "专家门诊", "  空腹来，\n可以喝水。 ")
    row = db.session.get(ClinicKind, (clinic.id, clinic.kind.id), populate_existing=True)
    assert row.preparation == "空腹来， 可以喝水。"
    with pytest.raises(BadInput):
        service.set_preparation(clinic.id, "专家门诊", "长" * 81)
    with pytest.raises(NotFound):
        service.set_preparation(clinic.id, "没有的门诊", "空腹来")
    row = db.session.get(ClinicKind, (clinic.id, clinic.kind.id), populate_existing=True)
    assert row.preparation == "空腹来， 可以喝水。"
