"""Give the places of a session their opening: with the release, in a later wave, or by draw; and change the waves."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from booking.clock import db_now
from booking.db import retried, transaction
from booking.directory.policy import policy_version
from booking.errors import NotFound
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.rules import SessionOver
from booking.schedule.waves import SEALED, Wave, opening, read_waves, spread, stored_waves
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record


def assign_openings(
    session: Session, row: ClinicSession, *, now: datetime, fresh: Collection[uuid.UUID] = ()
) -> None:
    """Set `opens_at` of the session's places by its waves, else its policy's; call after places were made or changed.

    A place somebody has keeps what it was sold under (only the seal of a draw comes off, so that it can be sold again),
    and one that was open already stays open: after the release only the `fresh` places and those still closed move.
    Waves are of the web's places; until a draw is over every place is sealed to the public. A repeat with the same rows
    changes nothing.
    """
    draws = row.sale == "draw" and row.drawn_at is None
    stored: Sequence[Mapping[str, Any]] | None = row.release_waves
    if stored is None:
        stored = policy_version(session, row.hospital_id, row.policy_version).release_waves
    waves = [] if row.sale == "draw" else read_waves(stored)
    places = session.execute(
        select(Place.id, Place.slot_id, Place.appointment_id, Place.opens_at, Place.channel, Slot.closes_at)
        .join(Slot, (Slot.hospital_id == Place.hospital_id) & (Slot.id == Place.slot_id))
        .where(
            Place.hospital_id == row.hospital_id,
            Place.session_id == row.id,
            Place.withdrawn.is_(False),
        )
        .order_by(Slot.starts_at, Place.position)
    ).all()
    counts: dict[uuid.UUID, int] = {}
    for place in places:
        counts[place.slot_id] = counts.get(place.slot_id, 0) + (place.channel == "web")
    parts = iter(
        part for slot in spread(list(counts.values()), [wave.percent for wave in waves]) for part in slot
    )
    instants = [None, *(wave.opens_at(row.local_date, row.zone) for wave in waves)]
    wanted: dict[datetime | None, list[uuid.UUID]] = {}
    for place in places:
        part = next(parts) if place.channel == "web" else 0
        at = SEALED if draws else opening(instants[part], row.release_at, place.closes_at)
        closed = row.release_at > now or (place.opens_at is not None and place.opens_at > now)
        free = place.appointment_id is None or place.opens_at == SEALED
        if free and (closed or place.id in fresh) and at != place.opens_at:
            wanted.setdefault(at, []).append(place.id)
    for at, ids in wanted.items():
        unsold = or_(Place.appointment_id.is_(None), Place.opens_at == SEALED)
        session.execute(
            update(Place)
            .where(Place.hospital_id == row.hospital_id, Place.id.in_(ids), unsold)
            .values(opens_at=at)
            .execution_options(synchronize_session=False)
        )


@retried
def set_waves(
    hospital_id: int, session_id: uuid.UUID, *, actor: Actor, waves: Sequence[Wave] | None
) -> ClinicSession:
    """Set a session's own later parts of the release; none means all at once, None by the hospital's policy.

    What is open stays open. A repeat changes nothing but the version. Raises BadInput, SessionOver, NotFound, NotAllowed.
    """
    ensure_may(actor, "change_session", hospital_id)
    stored = None if waves is None else stored_waves(waves)
    read_waves(stored)
    with transaction() as session:
        row = session.get(ClinicSession, (hospital_id, session_id), with_for_update={"key_share": True})
        if row is None:
            raise NotFound("没有找到这个班次。")
        now = db_now(session)
        if row.status not in ("draft", "published", "running") or row.ends_at <= now:
            raise SessionOver()
        change = {"release_waves": [row.release_waves, stored]}
        row.release_waves, row.version = stored, row.version + 1
        row.changed_at, row.changed_by = now, actor.name
        session.flush()
        assign_openings(session, row, now=now)
        record(session, hospital_id, actor, "set_waves", "session", session_id, now=now, change=change)
    return row
