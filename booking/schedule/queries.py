"""What a schedule looks like: open slots, a doctor's days and sessions. Counts are read now and decide nothing."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    tuple_,
    union_all,
)

from booking.clock import local
from booking.db import Instant, db
from booking.directory.models import Campus, ClinicKind, DayPart, Hospital, Policy, Practice
from booking.directory.policy import current_policy, release_instant
from booking.schedule.channels import KEPT
from booking.schedule.coming import coming_of, next_waves, to_come
from booking.schedule.desk_slots import free_by_channel
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.rules import is_few

DoctorKey = tuple[int, uuid.UUID]
VISIBLE = ("published", "running", "finished", "stopped")
SELLING = ("published", "running")

# The statements below are built once and kept: building one costs more than the database needs to answer it.
NOW: BindParameter[datetime] = bindparam("now", type_=Instant())


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


@dataclass(frozen=True)
class DaySession:
    """One session on a day of the strip; `status`: open, few, full, later, rest, draw, stopped, closed.

    `rest`: sold out for now, but a later wave opens at `release_at`. `draw`: given out by draw at `release_at`.
    """

    part: str
    left: int
    status: str
    release_at: datetime


@dataclass
class Day:
    day: date
    parts: list[DaySession] = field(default_factory=list)


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


def sellable(
    now: datetime | ColumnElement[Any], channel: str | None = "web", *, resting: bool = False
) -> ColumnElement[bool]:
    """The places that could be taken at `now`: open, not resting, and free or under a hold that has run out.

    `channel` web also has the kept places of other channels once they have rolled over, and asks that a place is opened:
    not part of a later wave, nor sealed until a draw (which itself takes web places as channel "draw"). Any other channel
    has its own places only. None means every place. With `resting` those that could be taken if they did not rest: what
    the waiting list may be offered.
    """
    rested = or_(Place.rests_until.is_(None), Place.rests_until <= now)
    if resting:
        rested = Place.rests_until > now
    free = or_(Place.appointment_id.is_(None), Place.held_until <= now)
    conditions = [Place.open.is_(True), rested, free]
    if channel == "web":
        conditions.append(or_(Place.channel == "web", Place.rolls_at <= now))
        conditions.append(or_(Place.opens_at.is_(None), Place.opens_at <= now))
    elif channel is not None:
        conditions.append(Place.channel == ("web" if channel == "draw" else channel))
    return and_(*conditions)


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


@cache
def _day_query(at_campus: bool) -> Select[*tuple[Any, ...]]:
    """A doctor's sessions from `first` to `last` with how many numbers are left, still on sale, and there at all."""
    free = func.sum(case((and_(sellable(NOW), Slot.closes_at > NOW), 1), else_=0))
    query = (
        select(
            ClinicSession,
            DayPart.name.label("part"),
            free.label("left"),
            func.sum(case((and_(Slot.closes_at > NOW, Place.id.is_not(None)), 1), else_=0)).label("still"),
            func.count(Place.id).label("capacity"),
            func.min(case((to_come(NOW), Place.opens_at))).label("opens_at"),
        )
        .join(
            DayPart,
            and_(DayPart.hospital_id == ClinicSession.hospital_id, DayPart.id == ClinicSession.day_part_id),
        )
        .join(Slot, and_(Slot.hospital_id == ClinicSession.hospital_id, Slot.session_id == ClinicSession.id))
        .outerjoin(
            Place,
            and_(Place.hospital_id == Slot.hospital_id, Place.slot_id == Slot.id, Place.withdrawn.is_(False)),
        )
        .where(
            ClinicSession.hospital_id == bindparam("hospital"),
            ClinicSession.doctor_id == bindparam("doctor"),
            ClinicSession.local_date.between(bindparam("first"), bindparam("last")),
            ClinicSession.status.in_(VISIBLE),
        )
        .group_by(ClinicSession.hospital_id, ClinicSession.id, DayPart.name)
        .order_by(ClinicSession.starts_at)
    )
    if at_campus:
        there = select(Practice.id).where(
            Practice.hospital_id == bindparam("hospital"), Practice.campus_id == bindparam("campus")
        )
        query = query.where(ClinicSession.practice_id.in_(there))
    return query


def _session_status(row: ClinicSession, left: int, still: int, now: datetime) -> str:
    if row.status == "stopped":
        return "stopped"
    if row.ends_at <= now or row.status == "finished":
        return "past"
    if row.sale == "draw" and row.drawn_at is None:
        return "draw"
    if row.release_at > now:
        return "later"
    if not still:
        return "closed"
    return "open" if left else "full"


def doctor_days(
    hospital_id: int,
    doctor_id: uuid.UUID,
    now: datetime,
    campus_id: uuid.UUID | None = None,
    *,
    zone: str = "",
    policy: Policy | None = None,
) -> list[Day]:
    """Return the strip: today to the last released date, and the next date that is not released yet.

    Today is left out when nothing of it can be booked any more. `zone` and `policy` are the hospital's, read when not
    given.
    """
    zone = zone or db.session.get_one(Hospital, hospital_id).zone
    policy = policy or current_policy(db.session(), hospital_id)
    today = local(now, zone).date()
    released = [
        today + timedelta(days=step)
        for step in range(policy.horizon_days + 1)
        if release_instant(policy, today + timedelta(days=step), zone) <= now
    ]
    last = (released[-1] if released else today) + timedelta(days=1)
    days = {
        today + timedelta(days=step): Day(today + timedelta(days=step))
        for step in range((last - today).days + 1)
    }
    asked = {"hospital": hospital_id, "doctor": doctor_id, "first": today, "last": last, "now": now}
    rows = db.session.execute(
        _day_query(campus_id is not None), asked | ({"campus": campus_id} if campus_id else {})
    )
    for row, part, left, still, capacity, opens_at in rows:
        status, at = _session_status(row, left, still, now), row.release_at
        if status == "open" and is_few(left, capacity):
            status = "few"
        elif status == "full" and opens_at is not None:
            status, at = "rest", opens_at
        if status != "past":
            days[row.local_date].parts.append(DaySession(part, left, status, at))
    if not any(part.status != "closed" for part in days[today].parts):
        days.pop(today)
    return list(days.values())


def next_visible(hospital_id: int, doctor_id: uuid.UUID, after: date) -> tuple[date, str, datetime] | None:
    """Return (date, part of day, release instant) of the first session after a date, or None."""
    row = db.session.execute(
        select(ClinicSession.local_date, DayPart.name, ClinicSession.release_at)
        .join(
            DayPart,
            and_(DayPart.hospital_id == ClinicSession.hospital_id, DayPart.id == ClinicSession.day_part_id),
        )
        .where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.doctor_id == doctor_id,
            ClinicSession.local_date > after,
            ClinicSession.status.in_(SELLING),
        )
        .order_by(ClinicSession.starts_at)
        .limit(1)
    ).first()
    return (row[0], row[1], row[2]) if row else None


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
                _session_status(row, bookable, still[row.id], now),
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
