"""Who somebody at the desk is."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import select

from booking.db import db
from booking.staff.models import StaffMember


def names_of(hospital_id: int, actor_ids: Iterable[str]) -> dict[str, str]:
    """Return the names of a hospital's staff by the id that their actor carries; ids that are nobody's here are left out.

    One query, none when there is nobody to ask for.
    """
    wanted = {_id(one) for one in actor_ids} - {None}
    if not wanted:
        return {}
    rows = db.session.execute(
        select(StaffMember.id, StaffMember.name).where(
            StaffMember.hospital_id == hospital_id, StaffMember.id.in_(wanted)
        )
    )
    return {staff_id.hex: name for staff_id, name in rows}


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(hex=text)
    except ValueError:
        return None
