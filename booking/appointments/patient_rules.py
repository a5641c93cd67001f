"""What stands between a patient and one more appointment: overlap and the limits per day and department (R4–R6)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from booking.appointments.models import ACTIVE, Appointment, Chart
from booking.appointments.rules import AlreadyBooked, DayLimit, Overlap, SameDepartment, overlaps
from booking.directory.models import Policy
from booking.people.models import Patient
from booking.people.rules import mask_name

NOBODY = uuid.UUID(int=0)
COUNTED = (*ACTIVE, "fulfilled", "no_show", "excused")


def lock_chart(session: Session, hospital_id: int, patient_id: int) -> None:
    """Make the patient's chart at this hospital when there is none, and lock it until the transaction ends.

    Two bookings for one patient therefore see each other: limits and overlaps cannot be passed in parallel.
    """
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    session.execute(
        insert(Chart).values(hospital_id=hospital_id, patient_id=patient_id).on_conflict_do_nothing()
    )
    session.execute(
        select(Chart.patient_id)
        .where(Chart.hospital_id == hospital_id, Chart.patient_id == patient_id)
        .with_for_update()
    )


def ensure_patient_may(
    session: Session, policy: Policy, wanted: Appointment | Any, patient_id: int, *, except_id: Any = None
) -> None:
    """Raise AlreadyBooked, Overlap, SameDepartment or DayLimit; `wanted` has hospital, session, department, date, times.

    Call with the chart locked. `except_id` is the appointment being moved.
    """
    others: Sequence[Appointment] = session.scalars(
        select(Appointment).where(
            Appointment.hospital_id == wanted.hospital_id,
            Appointment.patient_id == patient_id,
            Appointment.visit_date == wanted.visit_date,
            Appointment.status.in_(COUNTED),
            Appointment.id != (except_id or NOBODY),
        )
    ).all()
    if not others:
        return
    patient = mask_name(session.get_one(Patient, patient_id).name)
    for other in others:
        if other.session_id == wanted.session_id and other.status in ACTIVE:
            raise AlreadyBooked(patient=patient, appointment_id=other.id, hospital_id=other.hospital_id)
    in_department = [other for other in others if other.department_id == wanted.department_id]
    if len(in_department) >= policy.per_department_day:
        first = in_department[0]
        raise SameDepartment(
            patient=patient,
            department=first.sold.get("department", ""),
            limit=policy.per_department_day,
            appointment_id=first.id,
            hospital_id=first.hospital_id,
        )
    for other in others:
        if not policy.refuse_overlap or other.status not in ACTIVE:
            continue
        if overlaps(other.starts_at, other.ends_at, wanted.starts_at, wanted.ends_at):
            raise Overlap(
                patient=patient,
                time=f"{other.starts_local:%H:%M}",
                doctor=other.sold.get("doctor", ""),
                appointment_id=other.id,
                hospital_id=other.hospital_id,
            )
    if len(others) >= policy.per_day:
        raise DayLimit(patient=patient, count=len(others), limit=policy.per_day)
