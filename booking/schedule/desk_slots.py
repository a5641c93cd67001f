"""What the desk sees of a session's free places: by slot and by channel."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time

from sqlalchemy import and_, func, or_, select

from booking.db import db
from booking.schedule.channels import KEPT
from booking.schedule.models import Place, Slot
from booking.schedule.sellable import given_out


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


def free_by_channel(hospital_id: int, session_id: uuid.UUID, now: datetime) -> list[SlotFree]:
    """Return the slots of a session in time order with how many places of each channel are free at `now`.

    Resting places and those of later waves are neither free nor taken, since nobody may have them yet. One statement.
    """
    rolled = and_(Place.channel.in_(KEPT), Place.rolls_at <= now)
    ready = and_(
        Place.open.is_(True),
        or_(Place.appointment_id.is_(None), Place.held_until <= now),
        or_(Place.rests_until.is_(None), Place.rests_until <= now),
        or_(Place.opens_at.is_(None), Place.opens_at <= now),
    )
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
