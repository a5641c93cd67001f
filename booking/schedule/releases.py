"""When the numbers of coming sessions open: release, later waves, windows of a draw. Read by pages and calendars."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from sqlalchemy import exists, func, or_, select

from booking.db import db
from booking.directory.models import Campus, ClinicKind, DayPart, Department, Doctor, Practice
from booking.schedule.models import ClinicSession, Place
from booking.schedule.sellable import SELLING
from booking.schedule.waves import SEALED

KEPT = timedelta(days=1)
"""A release stays in the calendar for a day after it was, so that nobody's entry vanishes while they look."""
MOST_SESSIONS = 2000


@dataclass(frozen=True)
class Opening:
    """`places` numbers open at `at`. `name` is stable within its session: release, draw, wave-1, wave-2 …"""

    name: str
    at: datetime
    places: int


@dataclass(frozen=True)
class SessionRelease:
    """A session with everything of it that opens, in time order. `entries_from` is set while it is to be drawn."""

    hospital_id: int
    id: uuid.UUID
    version: int
    changed_at: datetime
    zone: str
    local_date: date
    starts_local: time
    ends_local: time
    part: str
    kind: str
    doctor: str
    doctor_title: str
    doctor_slug: str
    department: str
    campus: str
    sale: str
    release_at: datetime
    entries_from: datetime | None
    openings: list[Opening] = field(default_factory=list)


def releases(
    hospital_id: int,
    now: datetime,
    *,
    doctor_id: uuid.UUID | None = None,
    session_id: uuid.UUID | None = None,
) -> list[SessionRelease]:
    """Return the published sessions of a hospital (or of one doctor, or one session) of which something opens after `now`,
    or did within the last day; in order of their first opening. Drafts and stopped sessions are not named."""
    since = now - KEPT
    later = exists().where(
        Place.hospital_id == ClinicSession.hospital_id,
        Place.session_id == ClinicSession.id,
        Place.opens_at > since,
        Place.opens_at < SEALED,
    )
    query = (
        select(ClinicSession, Doctor, Department.name, Campus.name, DayPart.name, ClinicKind.name)
        .join(
            Practice,
            (Practice.hospital_id == ClinicSession.hospital_id) & (Practice.id == ClinicSession.practice_id),
        )
        .join(Doctor, (Doctor.hospital_id == Practice.hospital_id) & (Doctor.id == Practice.doctor_id))
        .join(
            Department,
            (Department.hospital_id == Practice.hospital_id) & (Department.id == Practice.department_id),
        )
        .join(Campus, (Campus.hospital_id == Practice.hospital_id) & (Campus.id == Practice.campus_id))
        .join(
            DayPart,
            (DayPart.hospital_id == ClinicSession.hospital_id) & (DayPart.id == ClinicSession.day_part_id),
        )
        .join(
            ClinicKind,
            (ClinicKind.hospital_id == ClinicSession.hospital_id)
            & (ClinicKind.id == ClinicSession.clinic_kind_id),
        )
        .where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.status.in_(SELLING),
            ClinicSession.ends_at > now,
            Doctor.active,
            Practice.active,
            or_(ClinicSession.release_at > since, later),
        )
        .order_by(ClinicSession.release_at, ClinicSession.id)
        .limit(MOST_SESSIONS)
    )
    if doctor_id is not None:
        query = query.where(ClinicSession.doctor_id == doctor_id)
    if session_id is not None:
        query = query.where(ClinicSession.id == session_id)
    rows = db.session.execute(query).all()
    counts = _counts(hospital_id, [row[0].id for row in rows])
    return [
        SessionRelease(
            hospital_id,
            row.id,
            row.version,
            row.changed_at or row.release_at - timedelta(days=1),
            row.zone,
            row.local_date,
            row.starts_local,
            row.ends_local,
            part,
            kind,
            doctor.name,
            doctor.title,
            doctor.slug,
            department,
            campus,
            row.sale,
            row.release_at,
            row.entries_from if row.sale == "draw" else None,
            _openings(row, counts.get(row.id, {})),
        )
        for row, doctor, department, campus, part, kind in rows
    ]


def _counts(hospital_id: int, sessions: Iterable[uuid.UUID]) -> dict[uuid.UUID, dict[datetime | None, int]]:
    found: dict[uuid.UUID, dict[datetime | None, int]] = {}
    rows = db.session.execute(
        select(Place.session_id, Place.opens_at, func.count())
        .where(
            Place.hospital_id == hospital_id,
            Place.session_id.in_(list(sessions)),
            Place.withdrawn.is_(False),
            Place.channel == "web",
        )
        .group_by(Place.session_id, Place.opens_at)
    )
    for session_id, opens_at, count in rows:
        found.setdefault(session_id, {})[opens_at] = count
    return found


def _openings(row: ClinicSession, counts: dict[datetime | None, int]) -> list[Opening]:
    if row.sale == "draw":
        return [Opening("draw", row.release_at, sum(counts.values()))]
    waves = sorted(at for at in counts if at is not None and row.release_at < at < SEALED)
    first = sum(count for at, count in counts.items() if at is None or at <= row.release_at)
    named = [Opening(f"wave-{number}", at, counts[at]) for number, at in enumerate(waves, start=1)]
    return [*([Opening("release", row.release_at, first)] if first else []), *named]
