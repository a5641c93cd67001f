"""What a session looks like: its hours cut into slots, and the rows of its slots and places."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from booking.clock import local, utc
from booking.db import new_id
from booking.schedule.admission import Admits, make_admits
from booking.schedule.channels import KEPT, tidy
from booking.schedule.rules import (
    cut,
    ensure_shape,
)


@dataclass(frozen=True)
class Shape:
    """What a session looks like: wall-clock hours, slot length in minutes, numbers per slot, kind, fee in cents, room.

    `admits` says whom it is for (`admission.make_admits`); None is everybody.
    `channels` says how many of a slot's numbers are kept for phone, desk, elder, return, referral; the rest are online.
    """

    starts_local: time
    ends_local: time
    slot_minutes: int
    places_per_slot: int
    clinic_kind_id: uuid.UUID
    fee_cents: int
    room: str
    admits: Admits | None = None
    channels: dict[str, int] = field(default_factory=dict)


def slot_times(day: date, starts: time, ends: time, minutes: int, zone: str) -> list[tuple[time, time]]:
    """Cut working hours of a date into slots; a wall time that a daylight-saving change skips does not happen."""
    return [one for one in cut(starts, ends, minutes) if local(utc(day, one[0], zone), zone).time() == one[0]]


def ensure_whole(shape: Shape, note: str) -> None:
    ensure_shape(
        shape.starts_local,
        shape.ends_local,
        shape.slot_minutes,
        shape.places_per_slot,
        shape.fee_cents,
        shape.room,
        note,
    )
    make_admits(**(shape.admits or {}))
    tidy(shape.channels, shape.places_per_slot)


def slot_row(
    hospital_id: int,
    session_id: uuid.UUID,
    day: date,
    zone: str,
    closing_minutes: int,
    starts: time,
    ends: time,
) -> dict[str, Any]:
    starts_at = utc(day, starts, zone)
    return {
        "hospital_id": hospital_id,
        "id": new_id(),
        "session_id": session_id,
        "starts_local": starts,
        "ends_local": ends,
        "starts_at": starts_at,
        "ends_at": utc(day, ends, zone),
        "closes_at": starts_at - timedelta(minutes=closing_minutes),
    }


def place_row(
    hospital_id: int,
    session_id: uuid.UUID,
    slot_id: uuid.UUID,
    position: int,
    is_open: bool,
    channel: str,
    rolls_at: datetime | None,
) -> dict[str, Any]:
    return {
        "hospital_id": hospital_id,
        "id": new_id(),
        "session_id": session_id,
        "slot_id": slot_id,
        "position": position,
        "open": is_open,
        "channel": channel,
        "rolls_at": rolls_at if channel in KEPT else None,
    }
