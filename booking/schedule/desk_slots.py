"""What the desk sees of a session's free places: by slot and by channel."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from booking.db import Tenant, db
from booking.directory.models import Campus, ClinicKind, DayPart, Doctor, Practice
from booking.schedule.channels import KEPT
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.sellable import SELLING, given_out


@dataclass
class SlotFree:
    """A slot with its free places by channel; kept places that have rolled over count as the web's."""

    id: uuid.UUID
    starts_local: time
    ends_local: time
    ends_at: datetime
    free: dict[str, int] = field(default_factory=dict)
    taken: int = 0
    extra: int = 0

    @property
    def left(self) -> int:
        return sum(self.free.values())


@dataclass(frozen=True)
class DeskSlot:
    """A coming slot with places that staff can give out; `free` counts them by channel, those rolled over as the web's."""

    slot_id: uuid.UUID
    session_id: uuid.UUID
    doctor_id: uuid.UUID
    department_id: uuid.UUID
    local_date: date
    starts_local: time
    starts_at: datetime
    release_at: datetime
    fee_cents: int
    kind: str
    part: str
    campus: str
    room: str
    free: dict[str, int] = field(default_factory=dict)


def _rolled(now: datetime) -> ColumnElement[bool]:
    return and_(Place.channel.in_(KEPT), Place.rolls_at <= now)


def _ready(now: datetime) -> ColumnElement[bool]:
    """Places somebody may have: of whichever channel, but neither resting nor of a later wave."""
    return and_(
        Place.open.is_(True),
        or_(Place.appointment_id.is_(None), Place.held_until <= now),
        or_(Place.rests_until.is_(None), Place.rests_until <= now),
        or_(Place.opens_at.is_(None), Place.opens_at <= now),
    )


def free_by_channel(hospital_id: int, session_id: uuid.UUID, now: datetime) -> list[SlotFree]:
    """Return the slots of a session in time order with how many places of each channel are free at `now`.

    Resting places and those of later waves are neither free nor taken, since nobody may have them yet. One statement.
    """
    rolled, ready = _rolled(now), _ready(now)
    somebodys = and_(given_out(), or_(Place.held_until.is_(None), Place.held_until > now))
    rows = db.session.execute(
        select(
            Slot,
            Place.channel,
            rolled.label("rolled"),
            ready.label("ready"),
            somebodys.label("somebodys"),
            func.count(Place.id),
        )
        .outerjoin(
            Place,
            and_(Place.hospital_id == Slot.hospital_id, Place.slot_id == Slot.id, Place.withdrawn.is_(False)),
        )
        .where(Slot.hospital_id == hospital_id, Slot.session_id == session_id)
        .group_by(Slot.hospital_id, Slot.id, Place.channel, "rolled", "ready", "somebodys")
        .order_by(Slot.starts_at)
    )
    found: dict[uuid.UUID, SlotFree] = {}
    for slot, channel, has_rolled, is_ready, is_taken, count in rows:
        line = found.setdefault(slot.id, SlotFree(slot.id, slot.starts_local, slot.ends_local, slot.ends_at))
        if channel is None:
            continue
        if channel == "extra" and is_taken:
            line.extra += count
        if is_ready and channel != "extra":
            sold_as = "web" if has_rolled else channel
            line.free = dict(Counter(line.free) + Counter({sold_as: count}))
        elif is_taken:
            line.taken += count
    return list(found.values())


def desk_slots_of(
    hospital_id: int,
    now: datetime,
    *,
    doctor_id: uuid.UUID | None = None,
    department_id: uuid.UUID | None = None,
    but_doctor_id: uuid.UUID | None = None,
    limit: int = 60,
) -> list[DeskSlot]:
    """Return the first `limit` slots of a doctor or a department in which staff can still place somebody, in time order.

    `but_doctor_id` leaves one doctor out. As staff book: also before the release, and until the slot ends. One statement.
    """
    usable = and_(_ready(now), Place.channel != "extra", Place.withdrawn.is_(False))
    here = and_(Place.hospital_id == Slot.hospital_id, Place.slot_id == Slot.id)
    first = (
        select(Slot.id)
        .join(ClinicSession, _same(ClinicSession, Slot.session_id))
        .join(Practice, _same(Practice, ClinicSession.practice_id))
        .join(Doctor, _same(Doctor, ClinicSession.doctor_id))
        .where(
            Slot.hospital_id == hospital_id,
            ClinicSession.status.in_(SELLING),
            ClinicSession.ends_at > now,
            Slot.ends_at > now,
            Practice.active,
            Doctor.active,
            select(Place.id).where(here, usable).exists(),
        )
        .order_by(Slot.starts_at, Slot.id)
        .limit(limit)
    )
    if doctor_id is not None:
        first = first.where(ClinicSession.doctor_id == doctor_id)
    if but_doctor_id is not None:
        first = first.where(ClinicSession.doctor_id != but_doctor_id)
    if department_id is not None:
        first = first.where(Practice.department_id == department_id)
    rolled = _rolled(now).label("rolled")
    rows = db.session.execute(
        select(
            Slot.id,
            Slot.session_id,
            ClinicSession.doctor_id,
            Practice.department_id,
            ClinicSession.local_date,
            Slot.starts_local,
            Slot.starts_at,
            ClinicSession.release_at,
            ClinicSession.fee_cents,
            ClinicKind.name,
            DayPart.name,
            Campus.name,
            ClinicSession.room,
            Place.channel,
            rolled,
            func.count(Place.id),
        )
        .join(Place, here)
        .join(ClinicSession, _same(ClinicSession, Slot.session_id))
        .join(Practice, _same(Practice, ClinicSession.practice_id))
        .join(ClinicKind, _same(ClinicKind, ClinicSession.clinic_kind_id))
        .join(DayPart, _same(DayPart, ClinicSession.day_part_id))
        .join(Campus, _same(Campus, Practice.campus_id))
        .where(Slot.hospital_id == hospital_id, Slot.id.in_(first), usable)
        .group_by(
            *(model.hospital_id for model in (Slot, ClinicSession, Practice, ClinicKind, DayPart, Campus)),
            *(model.id for model in (Slot, ClinicSession, Practice, ClinicKind, DayPart, Campus)),
            Place.channel,
            rolled,
        )
        .order_by(Slot.starts_at, Slot.id)
    )
    found: dict[uuid.UUID, DeskSlot] = {}
    for *facts, channel, has_rolled, count in rows:
        slot = found.setdefault(facts[0], DeskSlot(*facts))
        sold_as = "web" if has_rolled else channel
        slot.free[sold_as] = slot.free.get(sold_as, 0) + count
    return list(found.values())


def _same(model: type[Tenant], key: Any) -> ColumnElement[bool]:
    """Join a table that a hospital owns by its key."""
    return and_(model.hospital_id == Slot.hospital_id, model.id == key)
