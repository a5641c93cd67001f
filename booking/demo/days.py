"""The demo's days: which sessions are full, half sold or stopped, who came, and what the demo's account has booked."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import and_, insert, select, update
from sqlalchemy.orm import Session

from booking.appointments.facts import SlotFacts
from booking.clock import db_now
from booking.db import new_id, transaction
from booking.demo.bookings import Book, People, Seat, Step, booking_steps, earlier
from booking.demo.files import Say
from booking.demo.house import House
from booking.demo.people import One
from booking.demo.sessions import desk, scheduler
from booking.directory.models import (
    Campus,
    ClinicKind,
    DayPart,
    Department,
    Doctor,
    Hospital,
    Practice,
    Specialty,
)
from booking.outbox import Letter, Message
from booking.people.models import Patient
from booking.schedule.models import ClinicSession, Place, Slot
from booking.staff.rules import SYSTEM, Actor
from booking.staff.trail import record

SOUGHT = {"主任医师": 0.85, "副主任医师": 0.7, "主治医师": 0.5, "住院医师": 0.32}
FULL_CHANCE = 0.2
SHOWN = "shenzhiwei"
SHOWN_FILLS = (1.0, 0.5, -1.0, 0.9, 1.0, 0.17)
"""How the coming sessions of the doctor of the first answer look: full, half, stopped, nearly full, full, open."""

STOPS = (
    ("医生外出会诊", 2),
    ("医生临时有急诊手术", 4),
    ("诊室设备检修", -2),
)
"""Reason, and the day from today of the session that is stopped in each hospital."""

CANCEL_REASONS = ("时间有冲突", "症状已经好转", "改到其他医院", "", "")


@dataclass(frozen=True)
class Line:
    """A session that has been on sale, with what a booking keeps of it."""

    session: ClinicSession
    practice: Practice
    doctor: Doctor
    specialty: str
    names: dict[str, Any]


def fill_days(house: House, crowd: list[One], today: date, say: Say) -> None:
    """Sell, attend, cancel and stop: one transaction for each hospital."""
    people = People(crowd, today)
    for number, (slug, hospital_id) in enumerate(house.hospitals.items()):
        say("预约", number / len(house.hospitals))
        chance = Random(f"{today.isoformat()} {slug}")
        at_desk, stopper = desk(hospital_id), scheduler(hospital_id)
        with transaction() as session:
            now = db_now(session)
            lines = _lines(session, hospital_id, now)
            seats = _seats(session, hospital_id, lines)
            stopped = _stopped(lines, today, now)
            plan = _fills(lines, stopped, today, chance)
            book = Book(hospital_id, chance)
            letters: list[dict[str, Any]] = []
            for line in lines:
                mine = seats[line.session.id]
                if line.session.id in stopped:
                    letters += _stop(
                        session, book, line, mine, people, stopped[line.session.id], now, at_desk, stopper
                    )
                else:
                    _sell(book, line, mine, plan[line.session.id], people, now, at_desk)
                _cancelled(book, line, mine, people, now, at_desk)
            book.write(session)
            _number(session, book)
            if letters:
                session.execute(insert(Message), letters)


def _lines(session: Session, hospital_id: int, now: datetime) -> list[Line]:
    rows = session.execute(
        select(ClinicSession, Practice, Doctor, Department, Campus, ClinicKind, DayPart, Specialty.slug)
        .join(
            Practice,
            and_(Practice.hospital_id == ClinicSession.hospital_id, Practice.id == ClinicSession.practice_id),
        )
        .join(Doctor, and_(Doctor.hospital_id == Practice.hospital_id, Doctor.id == Practice.doctor_id))
        .join(
            Department,
            and_(Department.hospital_id == Practice.hospital_id, Department.id == Practice.department_id),
        )
        .join(Campus, and_(Campus.hospital_id == Practice.hospital_id, Campus.id == Practice.campus_id))
        .join(
            ClinicKind,
            and_(
                ClinicKind.hospital_id == ClinicSession.hospital_id,
                ClinicKind.id == ClinicSession.clinic_kind_id,
            ),
        )
        .join(
            DayPart,
            and_(DayPart.hospital_id == ClinicSession.hospital_id, DayPart.id == ClinicSession.day_part_id),
        )
        .outerjoin(Specialty, Specialty.id == Department.specialty_id)
        .where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.status != "draft",
            ClinicSession.release_at <= now,
        )
        .order_by(ClinicSession.starts_at, Doctor.slug)
    ).all()
    hospital = session.get_one(Hospital, hospital_id)
    return [
        Line(
            row,
            practice,
            doctor,
            specialty or "",
            # what is promised is the same for every slot of a session
            SlotFacts(Slot(), row, doctor, department, campus, hospital, kind, part).sold(),
        )
        for row, practice, doctor, department, campus, kind, part, specialty in rows
    ]


def _seats(session: Session, hospital_id: int, lines: list[Line]) -> dict[uuid.UUID, list[Seat]]:
    by_session = {line.session.id: line for line in lines}
    seats: dict[uuid.UUID, list[Seat]] = {key: [] for key in by_session}
    rows = session.execute(
        select(Place.id, Slot)
        .join(Slot, and_(Slot.hospital_id == Place.hospital_id, Slot.id == Place.slot_id))
        .where(Place.hospital_id == hospital_id)
        .order_by(Slot.starts_at, Place.position)
    )
    for place_id, slot in rows:
        line = by_session.get(slot.session_id)
        if line is not None:
            seats[slot.session_id].append(
                Seat(place_id, slot, line.session, line.practice.department_id, line.names)
            )
    return seats


def _stopped(lines: list[Line], today: date, now: datetime) -> dict[uuid.UUID, str]:
    """Choose the sessions that do not happen: id to reason."""
    chosen: dict[uuid.UUID, str] = {}
    for reason, days in STOPS:
        wanted = today + timedelta(days=days)
        for line in lines:
            row = line.session
            if days > 0 and (row.starts_at <= now or row.release_at > now - timedelta(days=1)):
                continue
            others = [
                one for one in lines if one.doctor.id == line.doctor.id and one.session.local_date == wanted
            ]
            if (
                row.local_date == wanted
                and line.doctor.slug != SHOWN
                and len(others) == 1
                and row.id not in chosen
            ):
                chosen[row.id] = reason
                break
    ahead = [line for line in lines if line.doctor.slug == SHOWN and line.session.starts_at > now]
    for line, fill in zip(ahead, SHOWN_FILLS, strict=False):
        if fill < 0:
            chosen[line.session.id] = STOPS[0][0]
    return chosen


def _fills(
    lines: list[Line], stopped: dict[uuid.UUID, str], today: date, chance: Random
) -> dict[uuid.UUID, float]:
    """Which share of each session's places is sold, 0 to 1: fuller for seniors, emptier the further ahead."""
    plan: dict[uuid.UUID, float] = {}
    shown = iter(SHOWN_FILLS)
    for line in lines:
        days = (line.session.local_date - today).days
        sought = SOUGHT.get(line.doctor.title, 0.5)
        share = sought * max(0.12, 1 - 0.11 * max(days, 0)) + chance.uniform(-0.12, 0.12)
        if sought >= 0.7 and 0 <= days <= 4 and chance.random() < FULL_CHANCE:
            share = 1.0
        if line.doctor.slug == SHOWN and line.session.status == "published":
            share = next(shown, share)
        plan[line.session.id] = min(max(share, 0.0), 1.0)
    return plan


def _taken(seats: list[Seat], share: float, chance: Random) -> list[Seat]:
    """Choose the places that are sold; early slots fill first."""
    first = seats[0].slot.starts_at if seats else None
    wished = [
        ((seat.slot.starts_at - first).total_seconds() / 14400 + chance.random(), at)  # type: ignore[operator]
        for at, seat in enumerate(seats)
    ]
    chosen = sorted(at for _, at in sorted(wished)[: round(len(seats) * share)])
    return [seats[at] for at in chosen]


def _sell(
    book: Book, line: Line, seats: list[Seat], share: float, people: People, now: datetime, actor: Actor
) -> None:
    chance, row = book.chance, line.session
    arrivals = 0
    for seat in _taken(seats, share, chance):
        who = people.one_for(row.local_date, line.specialty, chance)
        if who is None:
            return
        latest = min(now, seat.slot.closes_at) - timedelta(minutes=chance.randint(1, 50))
        booked_at = max(earlier(latest, chance, row.release_at), row.release_at + timedelta(minutes=4))
        if booked_at >= min(now, seat.slot.starts_at):
            continue
        steps = booking_steps(booked_at, actor, chance)
        columns: dict[str, Any] = {}
        arrived_at = _arrival(seat, now, chance)
        if arrived_at == "no_show":
            judged_at = row.ends_at + timedelta(minutes=60)
            if judged_at <= now:
                steps.append(Step("no_show", "no_show", judged_at, SYSTEM))
        elif arrived_at is not None and arrived_at > booked_at:
            arrivals += 1
            steps.append(Step("check_in", "arrived", arrived_at, actor))
            late = arrived_at > seat.slot.starts_at + timedelta(minutes=30)
            columns = {"arrived_at": arrived_at, "arrived_late": late, "queue_number": arrivals}
            seen_at = max(arrived_at, seat.slot.starts_at) + timedelta(minutes=8 + arrivals % 9)
            if seen_at <= now:
                steps.append(Step("finish", "fulfilled", seen_at, actor))
        book.add(seat, who.id, steps, **columns)


def _arrival(seat: Seat, now: datetime, chance: Random) -> Any:
    """When the person arrived, "no_show" for one who did not come, None for one who is not there yet."""
    over = seat.slot.ends_at + timedelta(minutes=60) <= now
    if over and chance.random() < 0.06:
        return "no_show"
    at = seat.slot.starts_at - timedelta(
        minutes=chance.choices((chance.randint(5, 45), -chance.randint(3, 40)), (9, 1))[0]
    )
    if at > now or (not over and chance.random() < 0.12):
        return None
    return at


def _cancelled(
    book: Book, line: Line, seats: list[Seat], people: People, now: datetime, actor: Actor
) -> None:
    """Add somebody who booked and cancelled; the place went back on sale."""
    chance, row = book.chance, line.session
    last = min(now, row.starts_at) - timedelta(minutes=30)
    if chance.random() > 0.4 or last - row.release_at < timedelta(hours=3):
        return
    who = people.one_for(row.local_date, line.specialty, chance)
    if who is None:
        return
    seat = chance.choice(seats)
    booked_at = earlier(last - timedelta(hours=2), chance, row.release_at + timedelta(minutes=5))
    at = booked_at + (last - booked_at) * chance.random()
    reason = chance.choice(CANCEL_REASONS)
    steps = [*booking_steps(booked_at, actor, chance), Step("cancel", "cancelled", at, actor, reason)]
    book.add(seat, who.id, steps, cancelled_at=at, cancelled_by="patient", cancel_reason=reason)


def _stop(
    session: Session,
    book: Book,
    line: Line,
    seats: list[Seat],
    people: People,
    reason: str,
    now: datetime,
    at_desk: Actor,
    actor: Actor,
) -> list[dict[str, Any]]:
    """Stop a session as it was stopped then: everybody cancelled and told. Returns the rows of the letters."""
    chance, row = book.chance, line.session
    stopped_at = min(now, row.starts_at) - timedelta(hours=chance.randint(5, 20))
    letters, count = [], 0
    for seat in _taken(seats, 0.4, chance):
        who = people.one_for(row.local_date, line.specialty, chance)
        booked_at = earlier(stopped_at - timedelta(hours=1), chance, row.release_at + timedelta(minutes=5))
        if who is None or booked_at >= stopped_at:
            continue
        steps = [
            *booking_steps(booked_at, at_desk, chance),
            Step("stop", "cancelled", stopped_at, actor, reason),
        ]
        key = book.add(
            seat, who.id, steps, cancelled_at=stopped_at, cancelled_by="hospital", cancel_reason=reason
        )
        count += 1
        if session.scalar(select(Patient.phone_hash).where(Patient.id == who.id)):
            letters.append(_told(row.hospital_id, key, who.id, stopped_at, reason, max(row.starts_at, now)))
    mine = (ClinicSession.hospital_id == row.hospital_id, ClinicSession.id == row.id)
    session.execute(
        update(ClinicSession)
        .where(*mine)
        .values(
            status="stopped",
            stop_reason=reason,
            stopped_at=stopped_at,
            stopped_count=count,
            version=ClinicSession.version + 1,
            changed_at=stopped_at,
            changed_by=actor.name,
        )
        .execution_options(synchronize_session=False)
    )
    record(
        session,
        row.hospital_id,
        actor,
        "stop_session",
        "session",
        row.id,
        now=stopped_at,
        change={"cancelled": count, "letters": len(letters)},
        reason=reason,
    )
    places = (Place.hospital_id == row.hospital_id, Place.session_id == row.id)
    session.execute(
        update(Place).where(*places).values(open=False).execution_options(synchronize_session=False)
    )
    return letters


def _told(
    hospital_id: int,
    appointment_id: uuid.UUID,
    patient_id: int,
    at: datetime,
    reason: str,
    expires_at: datetime,
) -> dict[str, Any]:
    """The letter about a stop, long since accepted by the telephone company."""
    letter = Letter("stopped", "sms", "patient", at, expires_at, patient_id=patient_id)
    return {
        "hospital_id": hospital_id,
        "id": new_id(),
        "dedupe_key": letter.key(appointment_id, 3),
        "kind": letter.kind,
        "channel": letter.channel,
        "recipient": letter.recipient,
        "patient_id": patient_id,
        "appointment_id": appointment_id,
        "version": 3,
        "facts": {"reason": reason},
        "created_at": at,
        "due_at": at,
        "next_at": at,
        "expires_at": expires_at,
        "status": "accepted",
        "attempts": 1,
        "sent_at": at + timedelta(seconds=2),
    }


def _number(session: Session, book: Book) -> None:
    """Let each session go on counting where its queue numbers end."""
    last: dict[uuid.UUID, int] = {}
    for row in book.rows:
        if row["queue_number"]:
            last[row["session_id"]] = max(last.get(row["session_id"], 0), row["queue_number"])
    for session_id, number in last.items():
        of = (ClinicSession.hospital_id == book.hospital_id, ClinicSession.id == session_id)
        session.execute(
            update(ClinicSession)
            .where(*of)
            .values(last_queue_number=number)
            .execution_options(synchronize_session=False)
        )
