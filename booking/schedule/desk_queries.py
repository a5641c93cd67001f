"""What the desk sees of the schedule: the week grid, one session in full, templates, and the lists a form offers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, time, timedelta

from sqlalchemy import and_, case, exists, func, or_, select

from booking.db import db
from booking.directory.models import Campus, ClinicKind, DayPart, Department, Doctor, Practice
from booking.errors import NotFound
from booking.schedule.models import ClinicSession, Place, Slot, Template
from booking.schedule.sellable import given_out


@dataclass(frozen=True)
class Unit:
    """One session in the grid. `taken` counts the places held, booked and used up, `capacity` all that are not withdrawn."""

    id: uuid.UUID
    practice_id: uuid.UUID
    doctor_id: uuid.UUID
    local_date: date
    day_part_id: uuid.UUID
    part: str
    status: str
    taken: int
    capacity: int
    room: str
    campus: str
    kind: str
    starts_local: time
    ends_local: time
    stopped_count: int
    stop_reason: str
    version: int


@dataclass
class DoctorRow:
    """A doctor's row in the grid; `cells[(date, day_part_id)]` lists the units there."""

    doctor_id: uuid.UUID
    name: str
    title: str
    cells: dict[tuple[date, uuid.UUID], list[Unit]] = field(default_factory=dict)
    practices: list[PracticeView] = field(default_factory=list)


@dataclass(frozen=True)
class PracticeView:
    id: uuid.UUID
    doctor_id: uuid.UUID
    doctor: str
    title: str
    department_id: uuid.UUID
    department: str
    campus_id: uuid.UUID
    campus: str


def practices(hospital_id: int) -> list[PracticeView]:
    """Return every active practice of a hospital, by department and doctor.

    A department without clinics (病理科) is left out, unless sessions of it exist.
    """
    has_sessions = exists().where(
        ClinicSession.hospital_id == Practice.hospital_id, ClinicSession.practice_id == Practice.id
    )
    rows = db.session.execute(
        select(Practice, Doctor, Department, Campus)
        .join(Doctor, and_(Doctor.hospital_id == Practice.hospital_id, Doctor.id == Practice.doctor_id))
        .join(
            Department,
            and_(Department.hospital_id == Practice.hospital_id, Department.id == Practice.department_id),
        )
        .join(Campus, and_(Campus.hospital_id == Practice.hospital_id, Campus.id == Practice.campus_id))
        .where(
            Practice.hospital_id == hospital_id,
            Practice.active.is_(True),
            Doctor.active.is_(True),
            or_(Department.has_clinic, has_sessions),
        )
        .order_by(Department.position, Department.name, Practice.position, Doctor.pinyin, Campus.position)
    )
    return [
        PracticeView(
            practice.id,
            doctor.id,
            doctor.name,
            doctor.title,
            department.id,
            department.name,
            campus.id,
            campus.name,
        )
        for practice, doctor, department, campus in rows
    ]


def day_parts(hospital_id: int) -> list[DayPart]:
    """Return the hospital's parts of day in order."""
    return list(
        db.session.scalars(
            select(DayPart)
            .where(DayPart.hospital_id == hospital_id)
            .order_by(DayPart.position, DayPart.starts_local)
        )
    )


def clinic_kinds(hospital_id: int) -> list[ClinicKind]:
    """Return the hospital's clinic kinds in order."""
    return list(
        db.session.scalars(
            select(ClinicKind)
            .where(ClinicKind.hospital_id == hospital_id)
            .order_by(ClinicKind.position, ClinicKind.name)
        )
    )


def units(
    hospital_id: int,
    first: date,
    last: date,
    *,
    department_id: uuid.UUID | None = None,
    campus_id: uuid.UUID | None = None,
    doctor_id: uuid.UUID | None = None,
    statuses: tuple[str, ...] | None = None,
) -> list[Unit]:
    """Return the sessions of a span of dates (both included) with how many of their places are taken."""
    counts = (
        select(
            Place.session_id,
            func.sum(case((given_out(), 1), else_=0)).label("taken"),
            func.count(Place.id).label("capacity"),
        )
        .join(
            ClinicSession,
            and_(ClinicSession.hospital_id == Place.hospital_id, ClinicSession.id == Place.session_id),
        )
        .where(
            Place.hospital_id == hospital_id,
            Place.withdrawn.is_(False),
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.local_date.between(first, last),
        )
        .group_by(Place.session_id)
        .subquery()
    )
    query = (
        select(ClinicSession, DayPart.name, ClinicKind.name, Campus.name, counts.c.taken, counts.c.capacity)
        .join(
            DayPart,
            and_(DayPart.hospital_id == ClinicSession.hospital_id, DayPart.id == ClinicSession.day_part_id),
        )
        .join(
            ClinicKind,
            and_(
                ClinicKind.hospital_id == ClinicSession.hospital_id,
                ClinicKind.id == ClinicSession.clinic_kind_id,
            ),
        )
        .join(
            Practice,
            and_(Practice.hospital_id == ClinicSession.hospital_id, Practice.id == ClinicSession.practice_id),
        )
        .join(Campus, and_(Campus.hospital_id == Practice.hospital_id, Campus.id == Practice.campus_id))
        .outerjoin(counts, counts.c.session_id == ClinicSession.id)
        .where(ClinicSession.hospital_id == hospital_id, ClinicSession.local_date.between(first, last))
        .order_by(ClinicSession.starts_at)
    )
    if department_id is not None:
        query = query.where(Practice.department_id == department_id)
    if campus_id is not None:
        query = query.where(Practice.campus_id == campus_id)
    if doctor_id is not None:
        query = query.where(ClinicSession.doctor_id == doctor_id)
    if statuses is not None:
        query = query.where(ClinicSession.status.in_(statuses))
    return [
        Unit(
            row.id,
            row.practice_id,
            row.doctor_id,
            row.local_date,
            row.day_part_id,
            part,
            row.status,
            taken or 0,
            capacity or 0,
            row.room,
            campus,
            kind,
            row.starts_local,
            row.ends_local,
            row.stopped_count,
            row.stop_reason,
            row.version,
        )
        for row, part, kind, campus, taken, capacity in db.session.execute(query)
    ]


def week(
    hospital_id: int,
    monday: date,
    *,
    department_id: uuid.UUID | None = None,
    campus_id: uuid.UUID | None = None,
    doctor_id: uuid.UUID | None = None,
) -> list[DoctorRow]:
    """Return a row for every doctor who practises there, seven days from `monday`, with the units in their cells."""
    rows: dict[uuid.UUID, DoctorRow] = {}
    for practice in practices(hospital_id):
        if department_id not in (None, practice.department_id) or campus_id not in (None, practice.campus_id):
            continue
        if doctor_id not in (None, practice.doctor_id):
            continue
        row = rows.setdefault(
            practice.doctor_id, DoctorRow(practice.doctor_id, practice.doctor, practice.title)
        )
        row.practices.append(practice)
    span = units(
        hospital_id,
        monday,
        monday + timedelta(days=6),
        department_id=department_id,
        campus_id=campus_id,
        doctor_id=doctor_id,
    )
    for unit in span:
        if unit.doctor_id in rows:
            rows[unit.doctor_id].cells.setdefault((unit.local_date, unit.day_part_id), []).append(unit)
    return list(rows.values())


@dataclass(frozen=True)
class SlotLine:
    starts_local: time
    ends_local: time
    taken: int
    capacity: int


@dataclass(frozen=True)
class SessionDetail:
    """A session with its row, names and slots, for the editor."""

    session: ClinicSession
    practice: PracticeView
    part: str
    kind: str
    slots: list[SlotLine]

    @property
    def taken(self) -> int:
        return sum(slot.taken for slot in self.slots)

    @property
    def capacity(self) -> int:
        return sum(slot.capacity for slot in self.slots)


def session_detail(hospital_id: int, session_id: uuid.UUID) -> SessionDetail:
    """Return one session of this hospital; raises NotFound for any other id."""
    found = db.session.execute(
        select(ClinicSession, Practice, Doctor, Department, Campus, DayPart.name, ClinicKind.name)
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
            DayPart,
            and_(DayPart.hospital_id == ClinicSession.hospital_id, DayPart.id == ClinicSession.day_part_id),
        )
        .join(
            ClinicKind,
            and_(
                ClinicKind.hospital_id == ClinicSession.hospital_id,
                ClinicKind.id == ClinicSession.clinic_kind_id,
            ),
        )
        .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id == session_id)
    ).first()
    if found is None:
        raise NotFound("没有找到这个班次。")
    row, practice, doctor, department, campus, part, kind = found
    counted = (
        select(
            Slot.starts_local,
            Slot.ends_local,
            func.sum(case((given_out(), 1), else_=0)),
            func.count(Place.id),
        )
        .join(Place, and_(Place.hospital_id == Slot.hospital_id, Place.slot_id == Slot.id))
        .where(Slot.hospital_id == hospital_id, Slot.session_id == session_id, Place.withdrawn.is_(False))
        .group_by(Slot.hospital_id, Slot.id)
        .order_by(Slot.starts_at)
    )
    view = PracticeView(
        practice.id,
        doctor.id,
        doctor.name,
        doctor.title,
        department.id,
        department.name,
        campus.id,
        campus.name,
    )
    return SessionDetail(row, view, part, kind, [SlotLine(*line) for line in db.session.execute(counted)])


def templates(
    hospital_id: int, *, department_id: uuid.UUID | None = None, active: bool = True
) -> list[tuple[Template, PracticeView]]:
    """Return the weekly patterns in use (or those that ended) with whose they are, by department, doctor, weekday and start."""
    views = {
        view.id: (order, view)
        for order, view in enumerate(practices(hospital_id))
        if department_id in (None, view.department_id)
    }
    rows = db.session.scalars(
        select(Template).where(Template.hospital_id == hospital_id, Template.active.is_(active))
    )
    mine = [(row, *views[row.practice_id]) for row in rows if row.practice_id in views]
    mine.sort(key=lambda one: (one[1], one[0].weekday, one[0].starts_local))
    return [(row, view) for row, _, view in mine]


def template(hospital_id: int, template_id: uuid.UUID) -> Template:
    """Return one weekly pattern of this hospital; raises NotFound for any other id."""
    row = db.session.get(Template, (hospital_id, template_id))
    if row is None:
        raise NotFound("没有找到这个模板。")
    return row
