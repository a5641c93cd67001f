"""Publish drafts: from then on patients see a session."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from booking.clock import db_now
from booking.db import retried, transaction
from booking.schedule.models import ClinicSession, Place
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record


@retried
def publish(hospital_id: int, session_ids: Iterable[uuid.UUID], *, actor: Actor) -> int:
    """Publish drafts; return how many became visible. Those already published are left alone."""
    ensure_may(actor, "publish", hospital_id)
    with transaction() as session:
        now = db_now(session)
        drafts = select(ClinicSession.id).where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.id.in_(list(session_ids)),
            ClinicSession.status == "draft",
        )
        ready = list(session.scalars(drafts.order_by(ClinicSession.id).with_for_update(key_share=True)))
        if not ready:
            return 0
        session.execute(
            update(ClinicSession)
            .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id.in_(ready))
            .values(
                status="published", version=ClinicSession.version + 1, changed_at=now, changed_by=actor.name
            )
        )
        open_places(session, hospital_id, ready)
        for session_id in ready:
            record(session, hospital_id, actor, "publish", "session", session_id, now=now)
    return len(ready)


def open_places(session: Session, hospital_id: int, session_ids: list[uuid.UUID]) -> None:
    session.execute(
        update(Place)
        .where(
            Place.hospital_id == hospital_id,
            Place.session_id.in_(session_ids),
            Place.withdrawn.is_(False),
            Place.open.is_(False),
        )
        .values(open=True)
    )
