"""What the demo's own accounts have booked: visits to come, through the verbs, and a few of the past."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from random import Random
from typing import Any

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from booking.appointments.facts import slot_facts
from booking.appointments.models import Appointment
from booking.appointments.reserve import confirm, hold
from booking.clock import db_now
from booking.db import db, transaction
from booking.demo.bookings import Book, Seat, Step, booking_steps
from booking.demo.house import House
from booking.demo.sessions import desk
from booking.directory.models import Practice
from booking.errors import Refusal
from booking.people.models import Account, PatientLink
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.queries import open_slots_of
from booking.staff.rules import Actor

Accounts = dict[str, tuple[int, dict[str, int]]]

COMING = (
    ("陈静", "lisuzhen", "linlan-1", "心血管内科", 1, "最近爬楼梯胸口有点闷，想复查血压"),
    ("陈静", "chenjing", "linlan-1", "风湿免疫科", 2, "早上手指发僵半个多小时，两个月了"),
    ("陈静", "chenxiaoman", "linlan-1", "儿科", 4, ""),
    ("周明", "zhouming", "linlan-univ", "骨科", 2, "打球崴脚两周，走路还疼"),
)
"""Account, patient, hospital, department, from how many days ahead, what troubles them."""

PAST = (
    ("陈静", "chenjing", "linlan-1", "眼科", "fulfilled"),
    ("陈静", "lisuzhen", "linlan-1", "内分泌科", "fulfilled"),
    ("陈静", "chenjing", "linlan-1", "消化内科", "cancelled"),
)


def add_visits(house: House, accounts: Accounts, today: date) -> None:
    """Book for the demo's accounts; whom the limits of the day refuse stays without."""
    for name, patient, slug, department, days, complaint in COMING:
        account_id, of = accounts[name]
        _book(house, account_id, of[patient], slug, department, today + timedelta(days=days), complaint)
    _add_past(house, accounts, today)
    with transaction() as session:  # the person who signs in is offered first, not the one booked for last
        for name, patient in (("陈静", "chenjing"), ("周明", "zhouming")):
            account_id, of = accounts[name]
            session.execute(
                update(Account).where(Account.id == account_id).values(last_patient_id=of[patient])
            )


def _book(
    house: House, account_id: int, patient_id: int, slug: str, department: str, first: date, complaint: str
) -> None:
    hospital_id = house.hospitals[slug]
    now = db_now(db.session())
    actor = Actor("account", str(account_id), account_id=account_id)
    of = house.departments[slug, department]
    slots = [
        one
        for one in open_slots_of(hospital_id, now, department_id=of, limit=2000)
        if one.local_date >= first
    ]
    for slot in slots[3:13:3] + slots[:3]:
        holder = uuid.uuid5(slot.slot_id, "demo").hex
        try:
            held = hold(hospital_id, slot.slot_id, holder=holder, actor=actor)
            confirm(
                hospital_id, held.id, holder=holder, actor=actor, patient_id=patient_id, complaint=complaint
            )
        except Refusal:  # taken or not allowed on this day: the next one
            continue
        return


def _add_past(house: House, accounts: Accounts, today: date) -> None:
    """Write visits of the past week that the verbs cannot make any more."""
    chance = Random(f"{today.isoformat()} visits")
    for name, patient, slug, department, outcome in PAST:
        account_id, of = accounts[name]
        hospital_id = house.hospitals[slug]
        with transaction() as session:
            seat = _past_seat(session, hospital_id, house.departments[slug, department], today)
            if seat is None:
                continue
            book = Book(hospital_id, chance, codes={seat.session.local_date: _codes(session, seat)})
            actor = Actor("account", str(account_id), account_id=account_id)
            steps, columns = _history(seat, outcome, actor, desk(hospital_id), chance)
            book.add(seat, of[patient], steps, account_id=account_id, **columns)
            book.write(session)
            since = seat.session.release_at - timedelta(days=20)
            session.execute(update(Account).where(Account.id == account_id).values(created_at=since))
            link = update(PatientLink).where(PatientLink.account_id == account_id)
            session.execute(link.values(created_at=since))


def _codes(session: Session, seat: Seat) -> set[str]:
    given = select(Appointment.visit_code).where(
        Appointment.hospital_id == seat.session.hospital_id,
        Appointment.visit_date == seat.session.local_date,
        Appointment.visit_code.is_not(None),
    )
    return {code for code in session.scalars(given) if code}


def _history(
    seat: Seat, outcome: str, actor: Actor, at_desk: Actor, chance: Random
) -> tuple[list[Step], dict[str, Any]]:
    """The events of a visit that was kept, or cancelled in time."""
    booked_at = seat.session.release_at + timedelta(hours=2, minutes=chance.randint(1, 300))
    steps = booking_steps(booked_at, actor, chance)
    if outcome == "cancelled":
        at = booked_at + timedelta(hours=5)
        steps.append(Step("cancel", "cancelled", at, actor, "时间有冲突"))
        return steps, {"cancelled_at": at, "cancelled_by": "patient", "cancel_reason": "时间有冲突"}
    arrived_at = seat.slot.starts_at - timedelta(minutes=chance.randint(12, 30))
    steps.append(Step("check_in", "arrived", arrived_at, at_desk))
    steps.append(Step("call", "in_visit", seat.slot.starts_at + timedelta(minutes=6), at_desk))
    steps.append(Step("finish", "fulfilled", seat.slot.starts_at + timedelta(minutes=19), at_desk))
    number = seat.session.last_queue_number + 1
    return steps, {"arrived_at": arrived_at, "queue_number": number}


def _past_seat(session: Session, hospital_id: int, department_id: uuid.UUID, today: date) -> Seat | None:
    """A place of the past week in that department that nobody had."""
    found = session.execute(
        select(Place.id, Slot, ClinicSession)
        .join(Slot, and_(Slot.hospital_id == Place.hospital_id, Slot.id == Place.slot_id))
        .join(
            ClinicSession,
            and_(ClinicSession.hospital_id == Place.hospital_id, ClinicSession.id == Place.session_id),
        )
        .join(
            Practice,
            and_(Practice.hospital_id == ClinicSession.hospital_id, Practice.id == ClinicSession.practice_id),
        )
        .where(
            Place.hospital_id == hospital_id,
            Place.appointment_id.is_(None),
            Practice.department_id == department_id,
            ClinicSession.status == "finished",
            ClinicSession.local_date < today,
        )
        .order_by(Slot.starts_at.desc(), Place.position)
        .limit(1)
    ).first()
    if found is None:
        return None
    place_id, slot, row = found
    return Seat(place_id, slot, row, department_id, slot_facts(session, hospital_id, slot.id).sold())
