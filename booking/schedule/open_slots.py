"""Open slots: a doctor's next ones, and the nearest to a time. Counts are read now and decide nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cache
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    func,
    select,
    tuple_,
    union_all,
)

from booking.db import Instant, db
from booking.directory.models import Campus, ClinicKind, DayPart, Practice
from booking.schedule.coming import coming_of, to_come
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.sellable import NOW, SELLING, sellable

DoctorKey = tuple[int, uuid.UUID]

# The statements below are built once and kept: building one costs more than the database needs to answer it.


@dataclass(frozen=True)
class OpenSlot:
    """A slot with free places: `left` of them; the fee in cents."""

    hospital_id: int
    slot_id: uuid.UUID
    session_id: uuid.UUID
    doctor_id: uuid.UUID
    local_date: date
    starts_local: time
    ends_local: time
    starts_at: datetime
    left: int
    fee_cents: int
    kind: str
    part: str
    campus: str
    room: str


@dataclass
class NextOpen:
    """A doctor's nearest open slots. `state`: bookable, full, later (numbers come at `release_at`), or none.

    `coming` counts the numbers of a later wave that open then; 0 when whole sessions are released.
    """

    slots: list[OpenSlot] = field(default_factory=list)
    state: str = "none"
    release_at: datetime | None = None
    session_left: int = 0
    coming: int = 0


def _open_slots() -> Select[*tuple[Any, ...]]:
    left = func.count(Place.id)
    return (
        select(
            Slot.hospital_id,
            Slot.id.label("slot_id"),
            Slot.session_id,
            ClinicSession.doctor_id,
            ClinicSession.practice_id,
            ClinicSession.local_date,
            Slot.starts_local,
            Slot.ends_local,
            Slot.starts_at,
            left.label("left"),
            ClinicSession.fee_cents,
            ClinicSession.clinic_kind_id,
            ClinicSession.day_part_id,
            ClinicSession.room,
        )
        .join(
            ClinicSession,
            and_(ClinicSession.hospital_id == Slot.hospital_id, ClinicSession.id == Slot.session_id),
        )
        .join(Place, and_(Place.hospital_id == Slot.hospital_id, Place.slot_id == Slot.id))
        .where(
            ClinicSession.status.in_(SELLING),
            ClinicSession.release_at <= NOW,
            ClinicSession.ends_at > NOW,
            Slot.closes_at > NOW,
            sellable(NOW),
        )
        .group_by(Slot.hospital_id, Slot.id, ClinicSession.hospital_id, ClinicSession.id)
    )


def _with_names(found: Subquery) -> Select[*tuple[Any, ...]]:
    """Put the names of kind, part of day and campus to rows that came from `_open_slots`, in the same statement."""
    return (
        select(
            found,
            ClinicKind.name.label("kind"),
            DayPart.name.label("part"),
            Campus.name.label("campus"),
        )
        .join(
            ClinicKind,
            and_(ClinicKind.hospital_id == found.c.hospital_id, ClinicKind.id == found.c.clinic_kind_id),
        )
        .join(DayPart, and_(DayPart.hospital_id == found.c.hospital_id, DayPart.id == found.c.day_part_id))
        .join(Practice, and_(Practice.hospital_id == found.c.hospital_id, Practice.id == found.c.practice_id))
        .join(Campus, and_(Campus.hospital_id == Practice.hospital_id, Campus.id == Practice.campus_id))
    )


def _open_slot(row: Any) -> OpenSlot:
    return OpenSlot(
        row.hospital_id,
        row.slot_id,
        row.session_id,
        row.doctor_id,
        row.local_date,
        row.starts_local,
        row.ends_local,
        row.starts_at,
        row.left,
        row.fee_cents,
        row.kind,
        row.part,
        row.campus,
        row.room,
    )


@cache
def _next_open_query() -> Select[*tuple[Any, ...]]:
    """Of the doctors `doctors` the first `most` open slots each, those of other sessions before a session's third."""
    mine = tuple_(ClinicSession.hospital_id, ClinicSession.doctor_id).in_(
        bindparam("doctors", expanding=True)
    )
    free = _open_slots().where(mine).subquery()
    by_session = func.row_number().over(
        partition_by=(free.c.hospital_id, free.c.session_id), order_by=free.c.starts_at
    )
    in_session = func.sum(free.c.left).over(partition_by=(free.c.hospital_id, free.c.session_id))
    ranked = select(free, by_session.label("turn"), in_session.label("session_left")).subquery()
    order = func.row_number().over(
        partition_by=(ranked.c.hospital_id, ranked.c.doctor_id),
        order_by=(case((ranked.c.turn > 2, 1), else_=0), ranked.c.starts_at),
    )
    placed = select(ranked, order.label("place")).subquery()
    return _with_names(placed).where(placed.c.place <= bindparam("most")).order_by(placed.c.starts_at)


@cache
def _why_query() -> Select[*tuple[Any, ...]]:
    """Of the doctors `doctors` whether released sessions are ahead, and when the next ones are released."""
    released = func.max(case((ClinicSession.release_at <= NOW, 1), else_=0))
    later = func.min(case((ClinicSession.release_at > NOW, ClinicSession.release_at)))
    waves = (
        select(func.min(Place.opens_at))
        .where(
            Place.hospital_id == ClinicSession.hospital_id,
            Place.session_id == ClinicSession.id,
            ClinicSession.release_at <= NOW,
            to_come(NOW),
        )
        .correlate(ClinicSession)
        .scalar_subquery()
    )
    return (
        select(ClinicSession.hospital_id, ClinicSession.doctor_id, released, later, func.min(waves))
        .where(
            tuple_(ClinicSession.hospital_id, ClinicSession.doctor_id).in_(
                bindparam("doctors", expanding=True)
            ),
            ClinicSession.status.in_(SELLING),
            ClinicSession.starts_at > NOW,
        )
        .group_by(ClinicSession.hospital_id, ClinicSession.doctor_id)
    )


def next_open(doctors: Iterable[DoctorKey], now: datetime, limit: int = 3) -> dict[DoctorKey, NextOpen]:
    """Return for each doctor the first `limit` open slots, one per session first, and the honest state when there is none."""
    keys = list(dict.fromkeys(doctors))
    result = {key: NextOpen() for key in keys}
    if not keys:
        return result
    asked = {"now": now, "doctors": keys, "most": limit}
    for row in db.session.execute(_next_open_query(), asked):
        slot = _open_slot(row)
        found = result[(slot.hospital_id, slot.doctor_id)]
        if not found.slots:
            found.session_left = row.session_left
        found.slots.append(slot)
        found.state = "bookable"
    waiting = [key for key in keys if result[key].state == "none"]
    if waiting:
        _say_why(waiting, result, now)
    return result


def _say_why(keys: list[DoctorKey], result: dict[DoctorKey, NextOpen], now: datetime) -> None:
    asked = {"now": now, "doctors": keys}
    for hospital_id, doctor_id, is_released, release_at, wave_at in db.session.execute(_why_query(), asked):
        found = result[(hospital_id, doctor_id)]
        found.release_at = min((at for at in (release_at, wave_at) if at is not None), default=None)
        found.state = "full" if is_released and wave_at is None else "later"
        if wave_at is not None and wave_at == found.release_at:
            found.coming = coming_of(hospital_id, doctor_id, wave_at, now)


@cache
def _nearest_query(of_doctor: bool, of_department: bool) -> CompoundSelect[*tuple[Any, ...]]:
    """The first `most` open slots from `around` on, and the last `most` before it."""
    query = _open_slots().where(ClinicSession.hospital_id == bindparam("hospital"))
    if of_doctor:
        query = query.where(ClinicSession.doctor_id == bindparam("doctor"))
    if of_department:
        in_department = select(Practice.id).where(
            Practice.hospital_id == bindparam("hospital"), Practice.department_id == bindparam("department")
        )
        query = query.where(ClinicSession.practice_id.in_(in_department))
    around, most = bindparam("around", type_=Instant()), bindparam("most", type_=Integer())
    after = query.where(Slot.starts_at >= around).order_by(Slot.starts_at).limit(most).subquery()
    before = query.where(Slot.starts_at < around).order_by(Slot.starts_at.desc()).limit(most).subquery()
    return union_all(_with_names(after), _with_names(before))


def nearest(
    hospital_id: int,
    now: datetime,
    *,
    around: datetime,
    doctor_id: uuid.UUID | None = None,
    department_id: uuid.UUID | None = None,
    limit: int = 3,
) -> list[OpenSlot]:
    """Return the open slots nearest in time to `around`, of one doctor or one department of a hospital."""
    asked: dict[str, Any] = {"now": now, "hospital": hospital_id, "around": around, "most": limit}
    narrowed = {"doctor": doctor_id, "department": department_id}
    asked |= {name: value for name, value in narrowed.items() if value is not None}
    query = _nearest_query("doctor" in asked, "department" in asked)
    found = [_open_slot(row) for row in db.session.execute(query, asked)]
    close = sorted(found, key=lambda slot: (abs(slot.starts_at - around), slot.starts_at < around))[:limit]
    return sorted(close, key=lambda slot: slot.starts_at)


def open_slots_of(
    hospital_id: int,
    now: datetime,
    *,
    doctor_id: uuid.UUID | None = None,
    department_id: uuid.UUID | None = None,
    limit: int = 60,
) -> list[OpenSlot]:
    """Return the coming open slots of a doctor or a department, in time order."""
    return nearest(
        hospital_id, now, around=now, doctor_id=doctor_id, department_id=department_id, limit=limit
    )
