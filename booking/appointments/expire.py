"""Tidy up holds that have run out. Expiry itself is a predicate on the database's clock; this only makes rows agree."""

from __future__ import annotations

from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.appointments.places import end_stale_holds
from booking.clock import db_now
from booking.db import db, end_read, retried, transaction


def sweep_holds() -> int:
    """End every hold whose time is over, hospital by hospital, 200 in a transaction; return how many."""
    now = db_now(db.session())
    late = select(Appointment.hospital_id).where(Appointment.status == "held", Appointment.held_until <= now)
    hospitals = list(db.session.scalars(late.group_by(Appointment.hospital_id)))
    end_read()
    ended = 0
    for hospital_id in hospitals:
        while True:
            batch = _sweep(hospital_id)
            ended += batch
            if batch < 200:
                break
    return ended


@retried
def _sweep(hospital_id: int) -> int:
    with transaction() as session:
        return end_stale_holds(session, hospital_id, db_now(session))
