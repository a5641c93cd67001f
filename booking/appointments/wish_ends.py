"""End the wishes whose time is over, and forget old ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from booking.appointments.announce_wish import tell_wish
from booking.appointments.turns import close_wish
from booking.appointments.wish_models import WishOffer, WishPatient
from booking.clock import db_now
from booking.db import db, end_read, retried, transaction
from booking.directory.models import Hospital
from booking.directory.policy import current_policy
from booking.schedule.wanted import WAITING, Wish, WishChoice
from booking.staff.rules import SYSTEM, ensure_may

KEPT = timedelta(days=400)
BATCH = 200


def end_wishes() -> int:
    """End every waiting wish whose time is over (23:00 before its last date), and tell; return how many.

    A wish that is being offered a place ends after the offer. A repeat finds nothing left.
    """
    now = db_now(db.session())
    late = (Wish.status == WAITING, Wish.ends_at <= now)
    hospitals = list(db.session.scalars(select(Wish.hospital_id).where(*late).distinct()))
    end_read()
    ended = 0
    for hospital_id in hospitals:
        while batch := _end_batch(hospital_id):
            ended += batch
    return ended


@retried
def _end_batch(hospital_id: int) -> int:
    ensure_may(SYSTEM, "end_wishes", hospital_id)
    with transaction() as session:
        now = db_now(session)
        rows = session.scalars(
            select(Wish)
            .where(Wish.hospital_id == hospital_id, Wish.status == WAITING, Wish.ends_at <= now)
            .order_by(Wish.turn_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()
        policy, zone = current_policy(session, hospital_id), session.get_one(Hospital, hospital_id).zone
        for wish in rows:
            close_wish(session, wish, "ended", "rule", now=now)
            facts = {"why": "rule"}
            tell_wish(session, wish, "wish_ended", policy=policy, zone=zone, now=now, facts=facts)
    return len(rows)


def remove_old_wishes() -> int:
    """Delete wishes that ended 400 days ago, with what belongs to them (retention); return how many."""
    late = (Wish.ended_at < db_now(db.session()) - KEPT,)
    hospitals = list(db.session.scalars(select(Wish.hospital_id).where(*late).distinct()))
    end_read()
    removed = 0
    for hospital_id in hospitals:
        while batch := _remove(hospital_id, late):
            removed += batch
    return removed


@retried
def _remove(hospital_id: int, late: tuple[Any, ...]) -> int:
    with transaction() as session:
        ids = session.scalars(
            select(Wish.id).where(Wish.hospital_id == hospital_id, *late).limit(BATCH)
        ).all()
        for table in (WishOffer, WishPatient, WishChoice):
            session.execute(delete(table).where(table.hospital_id == hospital_id, table.wish_id.in_(ids)))
        session.execute(delete(Wish).where(Wish.hospital_id == hospital_id, Wish.id.in_(ids)))
    return len(ids)
