"""What the desk sees of appointments: the day list, a visit by its code, whom a stop touches, and a visit's history."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time

from sqlalchemy import and_, select

from booking.appointments.models import ACTIVE, Appointment, AppointmentEvent
from booking.appointments.rules import HERE, STATUS_NAMES, is_visit_code, may_be_seen
from booking.db import db
from booking.people.models import Account, Patient
from booking.people.rules import age, mask_name, mask_phone, phone_tail, plain_digits, spells
from booking.schedule.models import ClinicSession


@dataclass(frozen=True)
class DayLine:
    """One line of the desk's day list; names masked, phones by their tail. `in_app`: an account reads it on the pages;
    `phone` is whole, for those who must be called."""

    id: uuid.UUID
    session_id: uuid.UUID
    status: str
    status_name: str
    starts_at: datetime
    starts_local: time
    ends_local: time
    part: str
    doctor: str
    doctor_id: uuid.UUID
    department: str
    room: str
    patient_masked: str
    patient_age: int | None
    patient_sex: str
    phone_tail: str
    phone_masked: str
    phone: str
    in_app: bool
    visit_code: str
    queue_number: int | None
    arrived_at: datetime | None
    arrived_late: bool
    coming: bool
    zone: str


def day_list(
    hospital_id: int,
    on_date: date,
    *,
    doctor_id: uuid.UUID | None = None,
    session_id: uuid.UUID | None = None,
    status: str | None = None,
    q: str = "",
) -> list[DayLine]:
    """Return the visits of a date with a patient, in time order; `q` is a visit code, a phone tail, a part of a name
    or the letters that spell it."""
    query = (
        select(Appointment, ClinicSession.room, Patient, Account)
        .join(
            ClinicSession,
            and_(
                ClinicSession.hospital_id == Appointment.hospital_id,
                ClinicSession.id == Appointment.session_id,
            ),
        )
        .join(Patient, Patient.id == Appointment.patient_id)
        .outerjoin(Account, Account.id == Appointment.account_id)
        .where(
            Appointment.hospital_id == hospital_id,
            Appointment.visit_date == on_date,
            Appointment.status.not_in(("held", "expired")),
        )
        .order_by(Appointment.starts_at, Appointment.id)
    )
    if doctor_id is not None:
        query = query.where(Appointment.doctor_id == doctor_id)
    if session_id is not None:
        query = query.where(Appointment.session_id == session_id)
    if status:
        query = query.where(Appointment.status == status)
    lines = []
    wanted = q.strip()
    digits = plain_digits(wanted)
    for row, room, patient, account in db.session.execute(query):
        phones = [phone for phone in (patient.phone, account.phone if account else None) if phone]
        if wanted and not (
            (digits and row.visit_code == digits)
            or (len(digits) == 4 and any(phone.endswith(digits) for phone in phones))
            or wanted in patient.name
            or spells(wanted, patient.name)
        ):
            continue
        lines.append(_day_line(row, room, patient, phones, on_date))
    return lines


def _day_line(row: Appointment, room: str, patient: Patient, phones: list[str], on_date: date) -> DayLine:
    return DayLine(
        row.id,
        row.session_id,
        row.status,
        STATUS_NAMES[row.status],
        row.starts_at,
        row.starts_local,
        row.ends_local,
        row.sold.get("part", ""),
        row.sold.get("doctor", ""),
        row.doctor_id,
        row.sold.get("department", ""),
        room,
        mask_name(patient.name),
        age(date.fromisoformat(patient.birth_date), on_date),
        patient.sex,
        phone_tail(phones[0]) if phones else "",
        mask_phone(phones[0]) if phones else "",
        phones[0] if phones else "",
        row.account_id is not None,
        row.visit_code or "",
        row.queue_number,
        row.arrived_at,
        row.arrived_late,
        row.coming_at is not None,
        row.zone,
    )


def by_code(hospital_id: int, code: str, on_date: date) -> uuid.UUID | None:
    """Return the id of the visit with this code in a hospital: that of the date first, else the nearest other date."""
    code = plain_digits(code)
    if not is_visit_code(code):
        return None
    rows = db.session.execute(
        select(Appointment.id, Appointment.visit_date).where(
            Appointment.hospital_id == hospital_id, Appointment.visit_code == code
        )
    ).all()
    near = sorted(rows, key=lambda row: abs((row.visit_date - on_date).days))
    return near[0].id if near else None


@dataclass(frozen=True)
class StopPreview:
    """Whom a stop would touch: `people` in time order, how many are 65 or older, how many have arrived, how many holds;
    and `seen`, those of whom the desk can say that they were seen before: here, and their time has begun."""

    people: list[DayLine]
    holds: int
    seen: list[DayLine]

    @property
    def count(self) -> int:
        return len(self.people)

    @property
    def elders(self) -> int:
        return sum((line.patient_age or 0) >= 65 for line in self.people)

    @property
    def arrived(self) -> int:
        return sum(line.status in HERE for line in self.people)

    @property
    def without_phone(self) -> int:
        return sum(not line.phone_tail for line in self.people)


def stop_preview(
    hospital_id: int, session_id: uuid.UUID, now: datetime, *, arrived_are_seen: bool = False
) -> StopPreview:
    """Return who would be told when a session stops at `now`; `arrived_are_seen` leaves out whom it would finish.

    `seen` are those of whom `stop_session` may be told that they were seen until `now`.
    """
    clinic = db.session.get_one(ClinicSession, (hospital_id, session_id))
    lines = day_list(hospital_id, clinic.local_date, session_id=session_id)
    people = [line for line in lines if line.status in ACTIVE]
    here = [line for line in people if line.status in HERE]
    seen = [line for line in here if may_be_seen(line.starts_at, line.arrived_at, now)]
    if arrived_are_seen:
        people = [line for line in people if line not in seen]
    held = db.session.scalars(
        select(Appointment.id).where(
            Appointment.hospital_id == hospital_id,
            Appointment.session_id == session_id,
            Appointment.status == "held",
        )
    ).all()
    return StopPreview(people, len(held), seen)


def stopped_people(hospital_id: int, session_id: uuid.UUID) -> list[DayLine]:
    """Return who was cancelled by the present stop of a session; those of an earlier stop, before it reopened, are not."""
    clinic = db.session.get_one(ClinicSession, (hospital_id, session_id))
    if clinic.stopped_at is None:
        return []
    lines = day_list(hospital_id, clinic.local_date, session_id=session_id, status="cancelled")
    stopped = set(
        db.session.scalars(
            select(AppointmentEvent.appointment_id).where(
                AppointmentEvent.hospital_id == hospital_id,
                AppointmentEvent.verb == "stop",
                AppointmentEvent.at >= clinic.stopped_at,
                AppointmentEvent.appointment_id.in_([line.id for line in lines]),
            )
        )
    )
    return [line for line in lines if line.id in stopped]


def events_of(hospital_id: int, appointment_ids: Iterable[uuid.UUID]) -> list[AppointmentEvent]:
    """Return the history of appointments, oldest first."""
    return list(
        db.session.scalars(
            select(AppointmentEvent)
            .where(
                AppointmentEvent.hospital_id == hospital_id,
                AppointmentEvent.appointment_id.in_(list(appointment_ids)),
            )
            .order_by(AppointmentEvent.at, AppointmentEvent.version)
        )
    )
