"""A doctor's days as pages list them. Counts are read now and decide nothing."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
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

from booking.clock import local
from booking.db import db
from booking.directory.models import DayPart, Hospital, Policy, Practice
from booking.directory.policy import current_policy, release_instant
from booking.schedule.coming import to_come
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.rules import is_few
from booking.schedule.sellable import NOW, SELLING, VISIBLE, sellable

# The statements below are built once and kept: building one costs more than the database needs to answer it.


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


def session_status(row: ClinicSession, left: int, still: int, now: datetime) -> str:
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
        status, at = session_status(row, left, still, now), row.release_at
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
