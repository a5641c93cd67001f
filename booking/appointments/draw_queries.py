"""What is seen of a draw: its page, an account's entries, and the file that anybody can check."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import func, select

from booking.appointments.draw_models import Draw, DrawEntry
from booking.appointments.draw_rules import ALGORITHM, FORMAT, NoSuchDraw
from booking.clock import local
from booking.db import db
from booking.directory.models import Campus, DayPart, Department, Doctor, Hospital, Practice
from booking.people.models import Patient
from booking.people.rules import mask_name
from booking.refs import ref
from booking.schedule.models import ClinicSession, Place, Slot


@dataclass(frozen=True)
class EntryView:
    """An entry as its account sees it; `wishes` and `slot` are wall times, `rank` and `entries` known after the draw."""

    id: uuid.UUID
    patient_id: int
    patient_name: str
    masked_name: str
    token: str
    status: str
    wishes: tuple[time, ...]
    slot: time | None
    rank: int | None
    refused: tuple[str, ...]
    appointment_id: uuid.UUID | None


@dataclass(frozen=True)
class DrawView:
    """A draw with what it is of. `state`: before, open, closed (waits for its turn), drawing, drawn, off, by the given instant.

    `slots` are (id, wall time, places); the places are those at the draw once it has begun.
    """

    hospital_id: int
    id: uuid.UUID
    session_id: uuid.UUID
    state: str
    commitment: str
    seed: str
    list_digest: str
    entries: int
    winners: int
    entries_from: datetime
    draws_at: datetime
    drawn_at: datetime | None
    zone: str
    visit_date: date
    starts_local: time
    ends_local: time
    part: str
    doctor: str
    doctor_slug: str
    doctor_title: str
    hospital: str
    hospital_phone: str
    department: str
    campus: str
    room: str
    slots: list[tuple[uuid.UUID, time, int]] = field(default_factory=list)

    @property
    def places(self) -> int:
        """How many places are drawn for."""
        return sum(count for _, _, count in self.slots)


def draw_of_session(hospital_id: int, session_id: uuid.UUID) -> uuid.UUID | None:
    """Return the id of a session's standing draw, or None."""
    return db.session.scalar(
        select(Draw.id).where(
            Draw.hospital_id == hospital_id, Draw.session_id == session_id, Draw.status != "off"
        )
    )


def draws_of(hospital_id: int, session_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[uuid.UUID, int]]:
    """Return for sessions that are drawn the draw's id and how many have entered. One query."""
    entered = (
        select(func.count())
        .where(
            DrawEntry.hospital_id == Draw.hospital_id,
            DrawEntry.draw_id == Draw.id,
            DrawEntry.status != "withdrawn",
        )
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Draw.session_id, Draw.id, entered).where(
            Draw.hospital_id == hospital_id, Draw.session_id.in_(list(session_ids)), Draw.status != "off"
        )
    )
    return {session_id: (draw_id, count) for session_id, draw_id, count in rows}


def draw_view(hospital_id: int, draw_id: uuid.UUID, now: datetime) -> DrawView:
    """Return one draw as it stands at `now`; raises NoSuchDraw. The seed is "" until the draw is over."""
    found = db.session.execute(
        select(Draw, ClinicSession, Doctor, Hospital, Department.name, Campus.name, DayPart.name)
        .join(
            ClinicSession,
            (ClinicSession.hospital_id == Draw.hospital_id) & (ClinicSession.id == Draw.session_id),
        )
        .join(
            Practice,
            (Practice.hospital_id == Draw.hospital_id) & (Practice.id == ClinicSession.practice_id),
        )
        .join(Doctor, (Doctor.hospital_id == Draw.hospital_id) & (Doctor.id == Practice.doctor_id))
        .join(
            Department,
            (Department.hospital_id == Draw.hospital_id) & (Department.id == Practice.department_id),
        )
        .join(Campus, (Campus.hospital_id == Draw.hospital_id) & (Campus.id == Practice.campus_id))
        .join(Hospital, Hospital.id == Draw.hospital_id)
        .join(
            DayPart,
            (DayPart.hospital_id == Draw.hospital_id) & (DayPart.id == ClinicSession.day_part_id),
        )
        .where(Draw.hospital_id == hospital_id, Draw.id == draw_id)
    ).first()
    if found is None or (found[1].status == "draft" and found[0].status != "drawn"):
        raise NoSuchDraw()
    draw, clinic, doctor, hospital, department, campus, part = found
    counts = _counts(hospital_id, draw_id)
    return DrawView(
        hospital_id=hospital_id,
        id=draw_id,
        session_id=clinic.id,
        state=_state(draw, clinic, now),
        commitment=draw.commitment,
        seed=draw.seed if draw.status == "drawn" else "",
        list_digest=draw.list_digest,
        entries=sum(count for status, count in counts.items() if status != "withdrawn"),
        winners=counts.get("won", 0),
        entries_from=clinic.entries_from or draw.created_at,
        draws_at=clinic.release_at,
        drawn_at=draw.drawn_at,
        zone=clinic.zone,
        visit_date=clinic.local_date,
        starts_local=clinic.starts_local,
        ends_local=clinic.ends_local,
        part=part,
        doctor=doctor.name,
        doctor_slug=doctor.slug,
        doctor_title=doctor.title,
        hospital=hospital.name,
        hospital_phone=hospital.phone,
        department=department,
        campus=campus,
        room=clinic.room,
        slots=_slots(draw),
    )


def _counts(hospital_id: int, draw_id: uuid.UUID) -> dict[str, int]:
    rows = db.session.execute(
        select(DrawEntry.status, func.count())
        .where(DrawEntry.hospital_id == hospital_id, DrawEntry.draw_id == draw_id)
        .group_by(DrawEntry.status)
    )
    return {status: count for status, count in rows}


def _state(draw: Draw, clinic: ClinicSession, now: datetime) -> str:
    if draw.status != "waiting":
        return draw.status
    if clinic.status == "stopped" or clinic.entries_from is None:
        return "off"
    if now < clinic.entries_from:
        return "before"
    return "open" if now < clinic.release_at else "closed"


def _slots(draw: Draw) -> list[tuple[uuid.UUID, time, int]]:
    """The slots in time order with their places: those at the draw, before it those that are there now."""
    rows = db.session.execute(
        select(Slot.id, Slot.starts_local, func.count(Place.id))
        .outerjoin(
            Place,
            (Place.hospital_id == Slot.hospital_id)
            & (Place.slot_id == Slot.id)
            & Place.withdrawn.is_(False)
            & Place.appointment_id.is_(None)
            & (Place.channel == "web"),
        )
        .where(Slot.hospital_id == draw.hospital_id, Slot.session_id == draw.session_id)
        .group_by(Slot.hospital_id, Slot.id)
        .order_by(Slot.starts_at)
    ).all()
    if draw.begun_at is None:
        return [(slot_id, starts, count) for slot_id, starts, count in rows]
    return [
        (slot_id, starts, draw.capacity[slot_id.hex])
        for slot_id, starts, _ in rows
        if slot_id.hex in draw.capacity
    ]


def entries_of(hospital_id: int, draw_id: uuid.UUID, account_id: int) -> list[EntryView]:
    """Return an account's entries in a draw, in the order they were made."""
    rows = db.session.execute(
        select(DrawEntry, Patient)
        .join(Patient, Patient.id == DrawEntry.patient_id)
        .where(
            DrawEntry.hospital_id == hospital_id,
            DrawEntry.draw_id == draw_id,
            DrawEntry.account_id == account_id,
        )
        .order_by(DrawEntry.entered_at, DrawEntry.id)
    ).all()
    times = _times(hospital_id, draw_id) if rows else {}
    return [_entry(entry, patient, times) for entry, patient in rows]


def entry_view(hospital_id: int, entry_id: uuid.UUID) -> tuple[DrawEntry, EntryView] | None:
    """Return one entry by id, as a row and as its account sees it; for letters."""
    found = db.session.execute(
        select(DrawEntry, Patient)
        .join(Patient, Patient.id == DrawEntry.patient_id)
        .where(DrawEntry.hospital_id == hospital_id, DrawEntry.id == entry_id)
    ).first()
    if found is None:
        return None
    return found[0], _entry(found[0], found[1], _times(hospital_id, found[0].draw_id))


def _times(hospital_id: int, draw_id: uuid.UUID) -> dict[str, time]:
    rows = db.session.execute(
        select(Slot.id, Slot.starts_local)
        .join(Draw, (Draw.hospital_id == Slot.hospital_id) & (Draw.session_id == Slot.session_id))
        .where(Draw.hospital_id == hospital_id, Draw.id == draw_id)
        .order_by(Slot.starts_at)
    )
    return {slot_id.hex: starts for slot_id, starts in rows}


def _entry(row: DrawEntry, patient: Patient, times: dict[str, time]) -> EntryView:
    return EntryView(
        row.id,
        row.patient_id,
        patient.name,
        mask_name(patient.name),
        row.token,
        row.status,
        tuple(times[slot] for slot in row.wishes if slot in times),
        times.get(row.slot_id.hex) if row.slot_id else None,
        row.rank,
        tuple(f"{times[slot]:%H:%M}" for slot in row.refused if slot in times),
        row.appointment_id,
    )


def public_file(view: DrawView) -> dict[str, Any]:
    """Return what is published of a draw, enough to replay it: no name, no account; slots by wall time, instants in ISO 8601.

    Before the draw is over there is no seed and nobody's turn; before entries open there is no commitment either.
    """
    over = view.state == "drawn"
    rows = db.session.scalars(
        select(DrawEntry)
        .where(
            DrawEntry.hospital_id == view.hospital_id,
            DrawEntry.draw_id == view.id,
            DrawEntry.status != "withdrawn",
        )
        .order_by(DrawEntry.rank, DrawEntry.token)
    )
    times = {slot: f"{starts:%H:%M}" for slot, starts in _times(view.hospital_id, view.id).items()}
    entries: list[dict[str, Any]] = []
    for row in rows:
        entry: dict[str, Any] = {
            "token": row.token,
            "wishes": [times[slot] for slot in row.wishes if slot in times],
        }
        if over:
            entry |= {
                "rank": row.rank,
                # that a rule closed it, never which: the names of rules tell of somebody's other visits
                "refused": {times[slot]: "rule" for slot in row.refused if slot in times},
                "result": times.get(row.slot_id.hex, "") if row.slot_id else "",
            }
        entries.append(entry)
    return {
        "format": FORMAT,
        "algorithm": ALGORITHM,
        "draw": ref(view.hospital_id, view.id),
        "hospital": view.hospital,
        "doctor": view.doctor,
        "visit_date": view.visit_date.isoformat(),
        "part_of_day": view.part,
        "state": view.state,
        "entries_from": local(view.entries_from, view.zone).isoformat(),
        "draws_at": local(view.draws_at, view.zone).isoformat(),
        "drawn_at": local(view.drawn_at, view.zone).isoformat() if view.drawn_at else None,
        "commitment": None if view.state == "before" else view.commitment,
        "seed": view.seed or None,
        "list_digest": view.list_digest or None,
        "capacity": {f"{starts:%H:%M}": count for _, starts, count in view.slots},
        "entries": sorted(entries, key=lambda entry: entry["token"]) if not over else entries,
    }
