"""The positive control: the product with one guard taken away. A storm over this must report violations."""

from __future__ import annotations

import os
import sys
import time
import uuid
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

if os.environ.get("APP_ENV") != "testing":
    raise SystemExit("A sabotaged server is for the storm's own test only.")

from booking.appointments import places
from booking.schedule.models import Place
from booking.schedule.sellable import sellable
from wsgi import app


def look_then_take(
    session: Session,
    hospital_id: int,
    slot_id: uuid.UUID,
    appointment_id: uuid.UUID,
    *,
    now: Any,
    held_until: Any,
    **_: Any,
) -> uuid.UUID | None:
    """Read a free place, think, then take it: what everybody writes first."""
    free = select(Place.id).where(Place.hospital_id == hospital_id, Place.slot_id == slot_id, sellable(now))
    place_id = session.scalar(free.order_by(Place.position).limit(1))
    if place_id is None:
        return None
    time.sleep(0.02)
    session.execute(
        update(Place)
        .where(Place.hospital_id == hospital_id, Place.id == place_id)
        .values(appointment_id=appointment_id, held_until=held_until)
    )
    return place_id


for module in list(sys.modules.values()):
    if getattr(module, "take_place", None) is places.take_place and module is not places:
        module.take_place = look_then_take  # type: ignore[attr-defined]
places.take_place = look_then_take
__all__ = ["app"]
