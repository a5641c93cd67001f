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
from booking.schedule.open_slots import open_slots_of
from booking.staff.rules import Actor

Accounts = dict[str, tuple[int, dict[str, int]]]

COMING = (
    (
        "陈静",
        "lisuzhen",
        "linlan-1",
        ("心血管内科", "内分泌科", "神经内科", "消化内科"),
        1,
        "爬楼梯胸口有点闷，想复查血压",
    ),
    ("陈静", "chenjing", "linlan-1", ("风湿免疫科",), 2, "早上手指发僵半个多小时，两个月了"),
    ("陈静", "chenxiaoman", "linlan-1", ("儿科",), 4, ""),
    ("周明", "zhouming", "linlan-univ", ("骨科", "手外科"), 1, "打球崴脚两周，走路还疼"),
)
"""Account, patient, hospital, departments, how many days ahead at least, what troubles them.

Somebody has a visit tomorrow, whatever the day: moving the clock by a day then shows a reminder.
"""

PAST = (
    ("陈静", "lisuzhen", "linlan-1", "内分泌科", 1, "fulfilled"),
    ("陈静", "chenjing", "linlan-1", "消化内科", 2, "cancelled"),
    ("陈静", "chenjing", "linlan-1", "眼科", 4, "fulfilled"),
)
"""Account, patient, hospital, department, how many days ago at least, how it ended."""


def add_visits(house: House, accounts: Accounts, today: date) -> None:
    """Book for the demo's accounts; whom the limits of the day refuse stays without."""
    for name, patient, slug, departments, days, complaint in COMING:
        account_id, of = accounts[name]
        hospital_id = house.hospitals[slug]
        of_departments = [house.departments[slug, one] for one in departments]
        _book(hospital_id, account_id, of[patient], of_departments, today + timedelta(days=days), complaint)
    _add_past(house, accounts, today)
    with transaction() as session:  # the person who signs in is offered first, not the one booked for last
        for name, patient in (("陈静", "chenjing"), ("周明", "zhouming")):
            account_id, of = accounts[name]
            session.execute(
                update(Account).where(Account.id == account_id).values(last_patient_id=of[patient])
            )


def _book(
    hospital_id: int,
    account_id: int,
    patient_id: int,
    departments: list[uuid.UUID],
    first: date,
    complaint: str,
) -> None:
    """Book on the first day from `first` on, in the first of the departments that has a place that day."""
    actor = Actor("account", str(account_id), account_id=account_id)
    now = db_now(db.session())
    offered = [
        (slot.local_date, order, slot)
        for order, department in enumerate(departments)
        for slot in open_slots_of(hospital_id, now, department_id=department, limit=2000)
        if slot.local_date >= first
    ]
    for _day, _order, slot in sorted(offered, key=lambda one: (one[0], one[1], one[2].starts_at)):
        holder = uuid.uuid5(slot.slot_id, "demo").hex
        try:
            held = hold(hospital_id, slot.slot_id, holder=holder, actor=actor)
            confirm(
                hospital_id, held.id, holder=holder, actor=actor, patient_id=patient_id, complaint=complaint
            )
        except Refusal:  # taken, or not allowed on this day: the next one
            continue
        return


def _add_past(house: House, accounts: Accounts, today: date) -> None:
    """Write visits of the past week that the verbs cannot make any more."""
    chance = Random(f"{today.isoformat()} visits")
    for name, patient, slug, department, days, outcome in PAST:
        account_id, of = accounts[name]
        hospital_id = house.hospitals[slug]
        with transaction() as session:
            seat = _past_seat(
                session, hospital_id, house.departments[slug, department], today - timedelta(days=days)
            )
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
    seat.session.last_queue_number += 1
    return steps, {"arrived_at": arrived_at, "queue_number": seat.session.last_queue_number}


def _past_seat(session: Session, hospital_id: int, department_id: uuid.UUID, last: date) -> Seat | None:
    """A place nobody had in that department, on the newest day up to `last`."""
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
            Place.rests_until.is_(None),
            Practice.department_id == department_id,
            ClinicSession.status == "finished",
            ClinicSession.local_date <= last,
        )
        .order_by(ClinicSession.local_date.desc(), Slot.starts_at, Place.position)
        .limit(1)
    ).first()
    if found is None:
        return None
    place_id, slot, row = found
    return Seat(place_id, slot, row, department_id, slot_facts(session, hospital_id, slot.id).sold())
