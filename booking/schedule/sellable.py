"""Which places may be sold now, said in SQL once for everybody who asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    and_,
    bindparam,
    or_,
)

from booking.db import Instant
from booking.schedule.models import Place

VISIBLE = ("published", "running", "finished", "stopped")
SELLING = ("published", "running")
USED = datetime(9000, 1, 1, tzinfo=UTC)
"""Until when a place rests whose patient has been seen: it was the number of that visit, and is nobody else's."""
NOW: BindParameter[datetime] = bindparam("now", type_=Instant())


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
        rested = and_(Place.rests_until > now, Place.rests_until < USED)
    free = or_(Place.appointment_id.is_(None), Place.held_until <= now)
    conditions = [Place.open.is_(True), rested, free]
    if channel == "web":
        conditions.append(or_(Place.channel == "web", Place.rolls_at <= now))
        conditions.append(or_(Place.opens_at.is_(None), Place.opens_at <= now))
    elif channel is not None:
        conditions.append(Place.channel == ("web" if channel == "draw" else channel))
    return and_(*conditions)


def given_out() -> ColumnElement[bool]:
    """The places that count as taken: somebody has them, or their patient has been seen."""
    return or_(Place.appointment_id.is_not(None), Place.rests_until == USED)
