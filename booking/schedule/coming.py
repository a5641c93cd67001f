"""What is still to come of released sessions: numbers of later waves, and when they open."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    select,
)

from booking.db import Instant, db
from booking.schedule.models import ClinicSession, Place
from booking.schedule.waves import SEALED


def to_come(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """The free places of a later wave that are not open yet at `now`; sealed ones of a draw are not among them."""
    return and_(
        Place.open.is_(True),
        Place.channel == "web",
        Place.appointment_id.is_(None),
        Place.opens_at > now,
        Place.opens_at < SEALED,
    )


def next_waves(
    hospital_id: int, sessions: Collection[uuid.UUID], now: datetime
) -> dict[uuid.UUID, tuple[datetime, int]]:
    """Return for each session that has one when its next wave opens and with how many numbers; asks nothing for none."""
    if not sessions:
        return {}
    rows = db.session.execute(
        select(Place.session_id, Place.opens_at, func.count(Place.id))
        .where(Place.hospital_id == hospital_id, Place.session_id.in_(sessions), to_come(now))
        .group_by(Place.session_id, Place.opens_at)
        .order_by(Place.opens_at.desc())
    )
    return {session_id: (at, count) for session_id, at, count in rows if at is not None}


def slot_opens(hospital_id: int, slot_id: uuid.UUID, now: datetime) -> tuple[datetime, int] | None:
    """Return when the next numbers of a slot open by a later wave and how many, or None."""
    asked = {"hospital": hospital_id, "slot": slot_id, "now": now}
    row = db.session.connection().execute(_slot_opens_query(), asked).first()
    return (row[0], row[1]) if row and row[0] else None


@cache
def _slot_opens_query() -> Select[*tuple[Any, ...]]:
    return (
        select(Place.opens_at, func.count(Place.id))
        .where(
            Place.hospital_id == bindparam("hospital"),
            Place.slot_id == bindparam("slot"),
            to_come(bindparam("now", type_=Instant())),
        )
        .group_by(Place.opens_at)
        .order_by(Place.opens_at)
        .limit(literal_column("1"))
    )


def coming_of(hospital_id: int, doctor_id: uuid.UUID, at: datetime, now: datetime) -> int:
    """Return how many numbers of a doctor's later waves open at `at`."""
    count = (
        select(func.count(Place.id))
        .join(
            ClinicSession,
            and_(ClinicSession.hospital_id == Place.hospital_id, ClinicSession.id == Place.session_id),
        )
        .where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.doctor_id == doctor_id,
            ClinicSession.status.in_(("published", "running")),
            Place.opens_at == at,
            to_come(now),
        )
    )
    return db.session.scalar(count) or 0
