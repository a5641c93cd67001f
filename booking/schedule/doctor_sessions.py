"""A doctor's sessions of a day with their slots, as pages show them. Counts are read now and decide nothing."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cache
from typing import Any

from sqlalchemy import (
    Select,
    and_,
    bindparam,
    case,
    func,
    select,
)

from booking.db import db
from booking.directory.models import Campus, ClinicKind, DayPart, Practice
from booking.schedule.channels import KEPT
from booking.schedule.coming import next_waves, to_come
from booking.schedule.desk_slots import free_by_channel
from booking.schedule.doctor_days import session_status
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.rules import is_few
from booking.schedule.sellable import NOW, SELLING, VISIBLE, sellable

# The statements below are built once and kept: building one costs more than the database needs to answer it.


@dataclass(frozen=True)
class SlotView:
    """A slot as a patient sees it; `state`: open, few, mine (held by this browser), full, rest, past.

    `rest`: nothing left now, more at `opens_at`.
    """

    hospital_id: int
    id: uuid.UUID
    starts_local: time
    ends_local: time
    state: str
    left: int
    capacity: int
    opens_at: datetime | None = None


@dataclass
class SessionView:
    """A session as a patient sees it; `status`: open, full, later, draw, stopped, closed (booking is over), past.

    `coming` numbers open at `opens_at`, the next later wave. `draw`: to be drawn at `release_at`, entries from
    `entries_from`; `sale` stays draw afterwards. `kept` are free numbers for other ways than the web, by channel; what is
    left of them goes online at `rolls_at`.
    """

    hospital_id: int
    id: uuid.UUID
    local_date: date
    part: str
    kind: str
    campus: str
    campus_address: str
    room: str
    fee_cents: int
    fee_name: str
    starts_local: time
    ends_local: time
    status: str
    release_at: datetime
    note: str
    department_id: uuid.UUID
    slots: list[SlotView] = field(default_factory=list)
    admits: dict[str, Any] | None = None
    sale: str = "first_come"
    entries_from: datetime | None = None
    opens_at: datetime | None = None
    coming: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    rolls_at: datetime | None = None

    @property
    def left(self) -> int:
        return sum(slot.left for slot in self.slots if slot.state in ("open", "few"))

    @property
    def capacity(self) -> int:
        return sum(slot.capacity for slot in self.slots)


@cache
def _sessions_query(at_campus: bool) -> Select[*tuple[Any, ...]]:
    """A doctor's sessions of the day `day` with their names."""
    query = (
        select(ClinicSession, DayPart.name, ClinicKind, Campus, Practice.department_id)
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
        .where(
            ClinicSession.hospital_id == bindparam("hospital"),
            ClinicSession.doctor_id == bindparam("doctor"),
            ClinicSession.local_date == bindparam("day"),
            ClinicSession.status.in_(VISIBLE),
        )
        .order_by(ClinicSession.starts_at)
    )
    if at_campus:
        query = query.where(Practice.campus_id == bindparam("campus"))
    return query


@cache
def _slots_query() -> Select[*tuple[Any, ...]]:
    """The slots of the sessions `sessions` with how many places they have left and at all."""
    return (
        select(
            Slot,
            func.sum(case((sellable(NOW), 1), else_=0)).label("left"),
            func.count(Place.id).label("capacity"),
            func.min(case((to_come(NOW), Place.opens_at))).label("opens_at"),
        )
        .join(Place, and_(Place.hospital_id == Slot.hospital_id, Place.slot_id == Slot.id))
        .where(
            Slot.hospital_id == bindparam("hospital"),
            Slot.session_id.in_(bindparam("sessions", expanding=True)),
            Place.withdrawn.is_(False),
        )
        .group_by(Slot.hospital_id, Slot.id)
        .order_by(Slot.starts_at)
    )


def _kept(row: ClinicSession, now: datetime) -> dict[str, Any]:
    """Return the free numbers of a session that are kept for other ways than the web, and until when; asked if it has any."""
    over = row.rolls_at is not None and row.rolls_at <= now
    if not row.channels or over or row.status not in SELLING:
        return {}
    free: Counter[str] = Counter()
    for line in free_by_channel(row.hospital_id, row.id, now):
        if line.ends_at > now:
            free.update({name: count for name, count in line.free.items() if name in KEPT})
    return {"kept": {name: free[name] for name in KEPT if free[name]}, "rolls_at": row.rolls_at}


def doctor_sessions(
    hospital_id: int,
    doctor_id: uuid.UUID,
    on_date: date,
    now: datetime,
    *,
    campus_id: uuid.UUID | None = None,
    held_slots: Iterable[uuid.UUID] = (),
) -> list[SessionView]:
    """Return a doctor's sessions of a date with every slot and its state; `held_slots` are this browser's live holds."""
    mine = set(held_slots)
    asked = {"hospital": hospital_id, "doctor": doctor_id, "day": on_date}
    query = _sessions_query(campus_id is not None)
    found = db.session.execute(query, asked | ({"campus": campus_id} if campus_id else {})).all()
    slots: dict[uuid.UUID, list[SlotView]] = {row[0].id: [] for row in found}
    still: dict[uuid.UUID, int] = dict.fromkeys(slots, 0)
    wanted = {"now": now, "hospital": hospital_id, "sessions": list(slots)}
    for slot, left, capacity, opens_at in db.session.execute(_slots_query(), wanted) if slots else ():
        state = "past" if slot.closes_at <= now else "full"
        if slot.id in mine:
            state = "mine"
        elif state != "past" and left:
            state = "few" if is_few(left, capacity) else "open"
        elif state == "full" and opens_at is not None:
            state = "rest"
        still[slot.session_id] += slot.closes_at > now
        view = SlotView(
            hospital_id, slot.id, slot.starts_local, slot.ends_local, state, left, capacity, opens_at
        )
        slots[slot.session_id].append(view)
    views = []
    waiting = [key for key, mine_too in slots.items() if any(slot.opens_at for slot in mine_too)]
    waves = next_waves(hospital_id, waiting, now)
    for row, part, kind, campus, department_id in found:
        bookable = sum(one.left for one in slots[row.id] if one.state in ("open", "few", "mine"))
        views.append(
            SessionView(
                hospital_id,
                row.id,
                row.local_date,
                part,
                kind.name,
                campus.name,
                campus.address,
                row.room,
                row.fee_cents,
                kind.fee_name,
                row.starts_local,
                row.ends_local,
                session_status(row, bookable, still[row.id], now),
                row.release_at,
                row.note,
                department_id,
                slots[row.id],
                row.admits,
                row.sale,
                row.entries_from,
                *waves.get(row.id, (None, 0)),
                **_kept(row, now),
            )
        )
    return views
