"""Tidy up holds that have run out. Expiry itself is a predicate on the database's clock; this only makes rows agree."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, or_, select

from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.places import end_stale_holds
from booking.appointments.wish_models import WishOffer
from booking.clock import db_now
from booking.db import constant, db, end_read, retried, transaction

KEPT = timedelta(days=30)
BATCH = 500


def sweep_holds() -> int:
    """End every hold whose time is over, hospital by hospital, 200 in a transaction; return how many."""
    now = db_now(db.session())
    late = select(Appointment.hospital_id).where(
        Appointment.status == constant("held"), Appointment.held_until <= now
    )
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


def remove_old_holds() -> int:
    """Delete holds and offers that ran out 30 days ago and never became a visit, with their history; return how many.

    Request keys live seven days, so none names such a hold any more. A repeat finds nothing left.
    """
    late = and_(
        Appointment.status == "expired",
        or_(Appointment.patient_id.is_(None), Appointment.kind == "offer"),
        Appointment.held_until < db_now(db.session()) - KEPT,
    )
    hospitals = list(db.session.scalars(select(Appointment.hospital_id).where(late).distinct()))
    end_read()
    removed = 0
    for hospital_id in hospitals:
        while batch := _remove(hospital_id, late):
            removed += batch
    return removed


@retried
def _remove(hospital_id: int, late: ColumnElement[bool]) -> int:
    with transaction() as session:
        ids = session.scalars(
            select(Appointment.id).where(Appointment.hospital_id == hospital_id, late).limit(BATCH)
        ).all()
        for table, key in (
            (AppointmentEvent, AppointmentEvent.appointment_id),
            (WishOffer, WishOffer.appointment_id),
            (Appointment, Appointment.id),
        ):
            session.execute(delete(table).where(table.hospital_id == hospital_id, key.in_(ids)))
    return len(ids)
