"""Rows to begin with: an invented hospital with a doctor, sessions with places, accounts with patients.

Plain functions that write rows directly (no verb is called), each in one transaction, and return them. Call them with
an application context (fixture `within`). Every name and number here is invented.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from booking.appointments.models import Appointment, AppointmentEvent, Chart
from booking.clock import db_now, local, utc
from booking.db import db, new_id, transaction
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
from booking.people.models import Account, Patient, PatientLink
from booking.schedule.channels import in_order, share
from booking.schedule.models import ClinicSession, Place, Slot
from booking.vault import blind_index

REMINDERS = [
    {"kind": "reminder_day", "days_before": 1, "at": "15:00"},
    {"kind": "reminder_hours", "minutes_before": 120},
]
_number = itertools.count(1)


@dataclass(frozen=True)
class Clinic:
    """One hospital with everything a session needs."""

    hospital: Hospital
    campus: Campus
    department: Department
    doctor: Doctor
    practice: Practice
    kind: ClinicKind
    parts: dict[str, DayPart]
    policy: Policy

    @property
    def id(self) -> int:
        """The hospital's id, the first argument of most verbs."""
        return self.hospital.id


@dataclass(frozen=True)
class OpenSession:
    """A session with its slots in order and the places of each slot."""

    session: ClinicSession
    slots: list[Slot]
    places: dict[uuid.UUID, list[Place]]

    @property
    def id(self) -> uuid.UUID:
        return self.session.id


@dataclass(frozen=True)
class Person:
    """An account and the patient it books for."""

    account: Account
    patient: Patient

    @property
    def id(self) -> int:
        """The account's id."""
        return self.account.id


def now() -> datetime:
    """Return the database's time."""
    return db_now(db.session())


def _keep(*rows: Any) -> None:
    """Write rows in the given order, those of one kind at once."""
    with transaction() as session:
        for row in rows:
            session.add(row)
            session.flush()
        session.expunge_all()


def invented_phone() -> str:
    """Return a phone number that no other row of this run has."""
    return f"+86138001{next(_number) % 100_000:05d}"


def specialty(slug: str = "", **columns: Any) -> Specialty:
    """Write a standard specialty."""
    number = next(_number)
    row = Specialty(**{"slug": slug or f"specialty-{number}", "name": f"测试专科{number}"} | columns)
    _keep(row)
    return row


def clinic(
    *,
    hospital: dict[str, Any] | None = None,
    department: dict[str, Any] | None = None,
    doctor: dict[str, Any] | None = None,
    policy: dict[str, Any] | None = None,
    specialty_id: int | None = None,
) -> Clinic:
    """Write a hospital with one campus, department, doctor, practice, clinic kind, three parts of day and a policy.

    The dictionaries replace single columns, e.g. `policy={"per_day": 5}`.
    """
    number = next(_number)
    with transaction() as session:
        at = db_now(session)
        house = Hospital(
            **{
                "slug": f"hospital-{number}",
                "name": "青梧市第一医院",
                "short_name": "市一医院",
                "level": "三级甲等",
                "city": "青梧市",
                "address": "青梧市梧桐路 1 号",
                "phone": "0571-000-0100",
                "zone": "Asia/Shanghai",
            }
            | (hospital or {})
        )
        session.add(house)
        session.flush()
        mine = {"hospital_id": house.id}
        place = Campus(
            **mine,
            id=new_id(),
            slug="main",
            name="东院区",
            address="青梧市梧桐路 1 号",
            desk="门诊楼 3 层分诊台",
        )
        unit = Department(
            **mine,
            **{"id": new_id(), "name": "呼吸内科", "specialty_id": specialty_id} | (department or {}),
        )
        person = Doctor(
            **mine,
            **{"id": new_id(), "slug": f"doctor-{number}", "name": "沈知远", "title": "主任医师"}
            | (doctor or {}),
        )
        kind = ClinicKind(**mine, id=new_id(), name="专家门诊", fee_name="挂号费", fee_cents=2500)
        parts = {
            name: DayPart(
                **mine, id=new_id(), name=name, starts_local=starts, ends_local=ends, position=position
            )
            for position, (name, starts, ends) in enumerate(
                (
                    ("上午", time(8), time(12)),
                    ("下午", time(13, 30), time(17, 30)),
                    ("夜间", time(18), time(21)),
                )
            )
        }
        rules = Policy(
            **mine,
            **{"id": new_id(), "version": 1, "created_at": at, "reminders": REMINDERS} | (policy or {}),
        )
        session.add_all([place, unit, person, kind, *parts.values(), rules])
        session.flush()
        post = Practice(**mine, id=new_id(), doctor_id=person.id, department_id=unit.id, campus_id=place.id)
        session.add(post)
        session.flush()
        session.expunge_all()
    return Clinic(house, place, unit, person, post, kind, parts, rules)


def another_doctor(at: Clinic, name: str = "陆明溪", **columns: Any) -> Clinic:
    """Write a second doctor of the same department and campus; return the clinic seen from that doctor."""
    mine = {"hospital_id": at.id}
    doctor = Doctor(
        **mine,
        **{"id": new_id(), "slug": f"doctor-{next(_number)}", "name": name, "title": "副主任医师"} | columns,
    )
    post = Practice(
        **mine, id=new_id(), doctor_id=doctor.id, department_id=at.department.id, campus_id=at.campus.id
    )
    _keep(doctor, post)
    return Clinic(at.hospital, at.campus, at.department, doctor, post, at.kind, at.parts, at.policy)


def another_department(at: Clinic, name: str = "心血管内科") -> Clinic:
    """Write a second department of the same campus with a doctor of its own; return the clinic seen from that doctor."""
    unit = Department(hospital_id=at.id, id=new_id(), name=name, position=1)
    _keep(unit)
    return another_doctor(replace(at, department=unit), "韩叙白")


def another_kind(at: Clinic, name: str = "普通门诊") -> Clinic:
    """Write a second clinic kind of the hospital; return the clinic whose sessions are of that kind."""
    kind = ClinicKind(hospital_id=at.id, id=new_id(), name=name, fee_name="挂号费", fee_cents=500, position=1)
    _keep(kind)
    return replace(at, kind=kind)


def open_session(
    at: Clinic,
    on: date | None = None,
    *,
    starts: time = time(8, 30),
    ends: time = time(10, 30),
    part: str = "上午",
    slot_minutes: int = 30,
    places: int = 3,
    status: str = "published",
    release_at: datetime | None = None,
    fee_cents: int = 2500,
    room: str = "302 诊室",
    channels: dict[str, int] | None = None,
    rolls_at: datetime | None = None,
) -> OpenSession:
    """Write a session (default: the day after tomorrow 08:30–10:30, released an hour ago) with slots and places.

    `channels` are the places of a slot kept from the web, until `rolls_at` (default: never).
    """
    mine = {"hospital_id": at.id}
    zone = at.hospital.zone
    day = on or local(now(), zone).date() + timedelta(days=2)
    row = ClinicSession(
        **mine,
        id=new_id(),
        practice_id=at.practice.id,
        doctor_id=at.doctor.id,
        day_part_id=at.parts[part].id,
        clinic_kind_id=at.kind.id,
        policy_version=at.policy.version,
        local_date=day,
        starts_local=starts,
        ends_local=ends,
        zone=zone,
        starts_at=utc(day, starts, zone),
        ends_at=utc(day, ends, zone),
        slot_minutes=slot_minutes,
        places_per_slot=places,
        channels=channels or {},
        rolls_at=rolls_at,
        fee_cents=fee_cents,
        room=room,
        status=status,
        release_at=release_at or now() - timedelta(hours=1),
        closing_minutes=at.policy.closing_minutes,
    )
    slots = [
        Slot(
            **mine,
            id=new_id(),
            session_id=row.id,
            starts_local=begin.time(),
            ends_local=(begin + timedelta(minutes=slot_minutes)).time(),
            starts_at=utc(day, begin.time(), zone),
            ends_at=utc(day, begin.time(), zone) + timedelta(minutes=slot_minutes),
            closes_at=utc(day, begin.time(), zone) - timedelta(minutes=at.policy.closing_minutes),
        )
        for begin in _cuts(day, starts, ends, slot_minutes)
    ]
    made = {
        slot.id: [
            Place(
                **mine,
                id=new_id(),
                session_id=row.id,
                slot_id=slot.id,
                position=position,
                channel=channel,
                rolls_at=None if channel == "web" else rolls_at,
                open=status in ("published", "running"),
            )
            for position, channel in enumerate(in_order(share(places, channels or {})), start=1)
        ]
        for slot in slots
    }
    with transaction() as session:
        session.add(row)
        session.flush()
        session.add_all(slots)
        session.flush()
        session.add_all([place for some in made.values() for place in some])
        session.flush()
        session.expunge_all()
    return OpenSession(row, slots, made)


def _cuts(day: date, starts: time, ends: time, minutes: int) -> Iterable[datetime]:
    begin, end = datetime.combine(day, starts), datetime.combine(day, ends)
    while begin + timedelta(minutes=minutes) <= end:
        yield begin
        begin += timedelta(minutes=minutes)


def account(phone: str = "", email: str | None = None, **columns: Any) -> Account:
    """Write an account with a verified phone (E.164) of its own."""
    phone = phone or invented_phone()
    row = Account(
        **{
            "phone": phone,
            "phone_hash": blind_index("phone", phone),
            "email": email,
            "email_verified_at": now() if email else None,
            "created_at": now(),
        }
        | columns
    )
    _keep(row)
    return row


def patient(
    of: Account,
    name: str = "李秋禾",
    *,
    phone: str | None = None,
    relation: str = "self",
    seat: int = 1,
    **columns: Any,
) -> Patient:
    """Write a patient and the link from the account to it."""
    at = now()
    row = Patient(
        **{
            "name": name,
            "id_type": "none",
            "birth_date": "1958-03-09",
            "sex": "f",
            "phone": phone,
            "phone_hash": blind_index("phone", phone) if phone else None,
            "created_at": at,
        }
        | columns
    )
    with transaction() as session:
        session.add(row)
        session.flush()
        session.add(
            PatientLink(account_id=of.id, patient_id=row.id, seat=seat, relation=relation, created_at=at)
        )
        session.flush()
        session.expunge_all()
    return row


def person(
    name: str = "李秋禾",
    *,
    email: str | None = None,
    own_phone: str | None = None,
    id_number: str | None = None,
) -> Person:
    """Write an account and one patient of it; `own_phone` is the patient's, beside the booker's."""
    booker = account(email=email)
    return Person(
        booker, patient(booker, name, phone=own_phone, **(identity(id_number) if id_number else {}))
    )


def identity(number: str = "") -> dict[str, Any]:
    """Return the columns of a patient with an ID number (an invented one of their own unless given)."""
    number = number or f"invented-{next(_number)}"
    return {
        "id_type": "resident",
        "id_number": number,
        "id_hash": blind_index("id:resident", number),
    }


def booked(
    at: Clinic,
    session_: OpenSession,
    who: Person,
    *,
    slot: int = 0,
    status: str = "booked",
    visit_code: str = "48271936",
    **columns: Any,
) -> Appointment:
    """Write an appointment on the first free place of a slot, with its event, as if a verb had booked it.

    No letters are put. A status that is not active leaves the place free.
    """
    active = status in ("held", "confirming", "booked", "arrived", "in_visit")
    chosen = session_.slots[slot]
    with transaction() as session:
        made = db_now(session)
        place = (
            session.query(Place)
            .filter_by(hospital_id=at.id, slot_id=chosen.id, appointment_id=None)
            .order_by(Place.position)
            .first()
        )
        assert place is not None, "the slot of this test is full"
        if session.get(Chart, (at.id, who.patient.id)) is None:
            session.add(Chart(hospital_id=at.id, patient_id=who.patient.id))
            session.flush()
        row = Appointment(
            **{
                "hospital_id": at.id,
                "id": new_id(),
                "status": status,
                "place_id": place.id,
                "holds_place_id": place.id if active else None,
                "slot_id": chosen.id,
                "session_id": session_.id,
                "doctor_id": at.doctor.id,
                "department_id": at.department.id,
                "policy_version": at.policy.version,
                "visit_date": session_.session.local_date,
                "starts_local": chosen.starts_local,
                "ends_local": chosen.ends_local,
                "zone": session_.session.zone,
                "starts_at": chosen.starts_at,
                "ends_at": chosen.ends_at,
                "account_id": who.account.id,
                "patient_id": who.patient.id,
                "visit_code": visit_code,
                "created_at": made,
                "booked_at": made,
                "cancelled_at": made if status == "cancelled" else None,
                "cancelled_by": "patient" if status == "cancelled" else None,
            }
            | columns
        )
        if active:
            place.appointment_id = row.id
        session.add(row)
        session.flush()
        session.add(
            AppointmentEvent(
                hospital_id=at.id,
                id=new_id(),
                appointment_id=row.id,
                version=row.version,
                at=made,
                verb="confirm",
                to_status=status,
                actor_kind="account",
                actor_id=str(who.account.id),
            )
        )
        session.flush()
        session.expunge_all()
    return row
