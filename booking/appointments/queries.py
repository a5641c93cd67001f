"""What people and letters see of appointments; what the desk sees stands in `desk_queries`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ScalarSelect, Select, and_, bindparam, case, or_, select

from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.reminders import preparing
from booking.appointments.rules import STATUS_NAMES, extensions_allowed, is_late, is_visit_code
from booking.clock import db_now, local
from booking.db import Instant, core, db
from booking.directory.models import Campus, ClinicKind, Doctor, Hospital, Policy, Practice
from booking.directory.policy import cancel_deadline, regret_until
from booking.people.models import Account, Patient
from booking.people.rules import age, mask_name, phone_tail, plain_digits
from booking.schedule.models import ClinicSession

UPCOMING = ("booked", "arrived", "in_visit", "confirming")


@dataclass(frozen=True)
class AppointmentView:
    """An appointment with what its pages and letters say. Names, fee and time are as sold; room, desk and
    `preparation` (what to do before the visit, or "") are as they are now; from `prepares_at` on
    everybody concerned should know it.

    Fees in cents; instants aware UTC; `starts_local` is wall time in `zone`. `patient_*` are empty for a hold.
    `stop_reason` is what patients are told when a stop cancelled this visit; `cancel_reason` may be a note of the desk.
    """

    hospital_id: int
    id: uuid.UUID
    ref: str
    status: str
    status_name: str
    version: int
    kind: str
    visit_code: str
    visit_date: date
    starts_local: time
    ends_local: time
    zone: str
    starts_at: datetime
    ends_at: datetime
    part: str
    slot_id: uuid.UUID
    session_id: uuid.UUID
    doctor_id: uuid.UUID
    department_id: uuid.UUID
    campus_id: uuid.UUID
    doctor: str
    doctor_title: str
    doctor_pinyin: str
    doctor_slug: str
    hospital: str
    hospital_slug: str
    hospital_phone: str
    campus: str
    address: str
    transport: str
    department: str
    sensitive: bool
    room: str
    desk: str
    kind_name: str
    fee_name: str
    fee_cents: int
    preparation: str
    prepares_at: datetime
    account_id: int | None
    patient_id: int | None
    patient_name: str
    patient_masked: str
    patient_age: int | None
    patient_sex: str
    patient_phone: str
    id_tail: str
    booker_phone: str
    complaint: str
    referral: str
    admits: dict[str, Any] | None
    remind: bool
    holder: str | None
    holder_account_id: int | None
    source_answer_id: int | None
    held_until: datetime | None
    extensions: int
    may_extend: bool
    created_at: datetime
    booked_at: datetime | None
    cancelled_at: datetime | None
    cancelled_by: str
    cancel_reason: str
    cancelled_late: bool
    arrived_at: datetime | None
    arrived_late: bool
    queue_number: int | None
    stop_reason: str
    cancel_deadline: datetime
    deadline_passed: bool
    regret_until: datetime | None
    can_cancel: bool
    can_move: bool
    cancel_is_late: bool
    arrive_minutes: int
    late_minutes: int
    quiet_from: time
    quiet_to: time


def last_verb() -> ScalarSelect[str]:
    """What made an appointment what it is: the verb of its newest version."""
    return (
        select(AppointmentEvent.verb)
        .where(
            AppointmentEvent.hospital_id == Appointment.hospital_id,
            AppointmentEvent.appointment_id == Appointment.id,
            AppointmentEvent.version == Appointment.version,
        )
        .scalar_subquery()
    )


@cache
def _whole() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Appointment,
            Doctor,
            Hospital,
            Campus,
            ClinicSession,
            ClinicKind,
            Policy,
            Patient,
            Account,
            case((Appointment.status == "cancelled", last_verb())),
        )
        .join(Doctor, and_(Doctor.hospital_id == Appointment.hospital_id, Doctor.id == Appointment.doctor_id))
        .join(Hospital, Hospital.id == Appointment.hospital_id)
        .join(
            ClinicSession,
            and_(
                ClinicSession.hospital_id == Appointment.hospital_id,
                ClinicSession.id == Appointment.session_id,
            ),
        )
        .join(
            ClinicKind,
            and_(
                ClinicKind.hospital_id == Appointment.hospital_id,
                ClinicKind.id == ClinicSession.clinic_kind_id,
            ),
        )
        .join(
            Practice,
            and_(Practice.hospital_id == Appointment.hospital_id, Practice.id == ClinicSession.practice_id),
        )
        .join(Campus, and_(Campus.hospital_id == Practice.hospital_id, Campus.id == Practice.campus_id))
        .join(
            Policy,
            and_(Policy.hospital_id == Appointment.hospital_id, Policy.version == Appointment.policy_version),
        )
        .outerjoin(Patient, Patient.id == Appointment.patient_id)
        .outerjoin(Account, Account.id == Appointment.account_id)
        .execution_options(populate_existing=True)
    )


@cache
def _one_query() -> Select[*tuple[Any, ...]]:
    return _whole().where(
        Appointment.hospital_id == bindparam("hospital"), Appointment.id == bindparam("appointment")
    )


def _views(
    query: Select[*tuple[Any, ...]], now: datetime | None = None, asked: dict[str, Any] | None = None
) -> list[AppointmentView]:
    now = now or db_now(db.session())
    return [view_of(now, *row) for row in db.session.execute(query, asked)]


def view_of(
    now: datetime,
    row: Any,
    doctor: Doctor,
    hospital: Hospital,
    campus: Campus,
    clinic: ClinicSession,
    kind: ClinicKind,
    policy: Policy,
    patient: Patient | None,
    account: Account | None,
    ended_by: str | None,
) -> AppointmentView:
    """Make a view of an appointment (object or plain row) and what it hangs on."""
    sold = row.sold
    deadline = cancel_deadline(policy, row.visit_date, row.zone)
    regret = regret_until(policy, row.booked_at) if row.booked_at else None
    standing = row.status == "booked" and row.starts_at > now
    late = is_late(now, deadline, regret)
    born = date.fromisoformat(patient.birth_date) if patient else None
    return AppointmentView(
        hospital_id=row.hospital_id,
        id=row.id,
        ref=f"{row.hospital_id}-{row.id.hex}",
        status=row.status,
        status_name=STATUS_NAMES[row.status],
        version=row.version,
        kind=row.kind,
        visit_code=row.visit_code or "",
        visit_date=row.visit_date,
        starts_local=row.starts_local,
        ends_local=row.ends_local,
        zone=row.zone,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        part=sold.get("part", ""),
        slot_id=row.slot_id,
        session_id=row.session_id,
        doctor_id=row.doctor_id,
        department_id=row.department_id,
        campus_id=campus.id,
        doctor=sold.get("doctor", doctor.name),
        doctor_title=sold.get("title", doctor.title),
        doctor_pinyin=doctor.pinyin,
        doctor_slug=doctor.slug,
        hospital=sold.get("hospital", hospital.name),
        hospital_slug=hospital.slug,
        hospital_phone=campus.phone or hospital.phone,
        campus=sold.get("campus", campus.name),
        address=sold.get("address", campus.address),
        transport=campus.transport or hospital.transport,
        department=sold.get("department", ""),
        sensitive=bool(sold.get("sensitive")),
        room=clinic.room,
        desk=campus.desk,
        kind_name=sold.get("kind", ""),
        fee_name=sold.get("fee_name", ""),
        fee_cents=int(sold.get("fee_cents", 0)),
        preparation=kind.preparation.strip(),
        prepares_at=preparing(row.starts_at, row.zone, policy.prepare_time),
        account_id=row.account_id,
        patient_id=row.patient_id,
        patient_name=patient.name if patient else "",
        patient_masked=mask_name(patient.name) if patient else "",
        patient_age=age(born, local(now, row.zone).date()) if born else None,
        patient_sex=patient.sex if patient else "",
        patient_phone=(patient.phone or "") if patient else "",
        id_tail=(patient.id_number or "")[-4:] if patient else "",
        booker_phone=account.phone if account else "",
        complaint=row.complaint or "",
        referral=row.referral or "",
        admits=sold.get("admits"),
        remind=row.remind,
        holder=row.holder,
        holder_account_id=row.holder_account_id,
        source_answer_id=row.source_answer_id,
        held_until=row.held_until,
        extensions=row.extensions,
        may_extend=row.status == "held" and row.extensions < extensions_allowed(policy.hold_extensions),
        created_at=row.created_at,
        booked_at=row.booked_at,
        cancelled_at=row.cancelled_at,
        cancelled_by=row.cancelled_by or "",
        cancel_reason=row.cancel_reason,
        cancelled_late=row.cancelled_late,
        arrived_at=row.arrived_at,
        arrived_late=row.arrived_late,
        queue_number=row.queue_number,
        stop_reason=row.cancel_reason if ended_by == "stop" else "",
        cancel_deadline=deadline,
        deadline_passed=now > deadline,
        regret_until=regret,
        can_cancel=standing,
        can_move=standing and not late,
        cancel_is_late=late,
        arrive_minutes=policy.arrive_minutes,
        late_minutes=policy.late_minutes,
        quiet_from=policy.quiet_from,
        quiet_to=policy.quiet_to,
    )


def appointment(
    hospital_id: int, appointment_id: uuid.UUID, now: datetime | None = None
) -> AppointmentView | None:
    """Return one appointment as it stands at `now` (default: the database's present), or None."""
    found = _views(_one_query(), now, {"hospital": hospital_id, "appointment": appointment_id})
    return found[0] if found else None


TABS: dict[str, tuple[str, ...]] = {
    "coming": UPCOMING,
    "past": ("fulfilled", "no_show", "excused"),
    "cancelled": ("cancelled",),
}


def of_account(account_id: int, tab: str = "coming") -> list[AppointmentView]:
    """Return what an account booked: `coming` (soonest first), `past` or `cancelled` (newest first).

    A visit whose time is over counts as past even when nobody has marked it.
    """
    now = db_now(db.session())
    over = Appointment.ends_at <= now - timedelta(hours=6)
    query = _whole().where(Appointment.account_id == account_id)
    if tab == "past":
        query = query.where(
            or_(Appointment.status.in_(TABS["past"]), and_(Appointment.status.in_(UPCOMING), over))
        )
    else:
        query = query.where(Appointment.status.in_(TABS.get(tab, UPCOMING)))
        if tab == "coming":
            query = query.where(~over)
    order = Appointment.starts_at if tab == "coming" else Appointment.starts_at.desc()
    return _views(query.order_by(order).limit(100), now)


@dataclass(frozen=True)
class Elsewhere:
    """A visit of the same account at another hospital."""

    visit_date: date
    starts_local: time
    part: str
    hospital: str


@cache
def _elsewhere_query() -> Select[*tuple[Any, ...]]:
    a, hospital = core(Appointment).c, core(Hospital)
    return (
        select(a.visit_date, a.starts_local, a.sold, hospital.c.name)
        .join(hospital, hospital.c.id == a.hospital_id)
        .where(
            a.account_id == bindparam("account"),
            a.starts_at > bindparam("after", type_=Instant()),
            a.starts_at < bindparam("before", type_=Instant()),
            a.hospital_id != bindparam("hospital"),
            a.status.in_(UPCOMING),
        )
        .order_by(a.starts_at)
        .limit(1)
    )


def elsewhere(account_id: int, hospital_id: int, starts_at: datetime, within: timedelta) -> Elsewhere | None:
    """Return a standing visit of the account at another hospital that begins nearer than `within`, or None."""
    asked: dict[str, Any] = {"account": account_id, "hospital": hospital_id}
    asked |= {"after": starts_at - within, "before": starts_at + within}
    found = db.session.connection().execute(_elsewhere_query(), asked).first()
    if found is None:
        return None
    return Elsewhere(found[0], found[1], found[2].get("part", ""), found[3])


def next_of_account(account_id: int) -> AppointmentView | None:
    """Return the account's next standing visit, or None."""
    now = db_now(db.session())
    query = _whole().where(
        Appointment.account_id == account_id, Appointment.status.in_(UPCOMING), Appointment.ends_at > now
    )
    found = _views(query.order_by(Appointment.starts_at).limit(1), now)
    return found[0] if found else None


def live_holds(
    holder: str, account_id: int | None = None, now: datetime | None = None
) -> list[AppointmentView]:
    """Return the live holds of a browser (and of the account signed in there), the one that ends first ahead.

    Offers of the waiting list are not among them: they have pages of their own.
    """
    now = now or db_now(db.session())
    mine = Appointment.holder == holder
    if account_id is not None:
        mine = or_(mine, Appointment.holder_account_id == account_id)
    query = _whole().where(
        mine, Appointment.status == "held", Appointment.kind != "offer", Appointment.held_until > now
    )
    return _views(query.order_by(Appointment.held_until), now)


def find(code: str, tail: str) -> tuple[int, uuid.UUID] | None:
    """Return (hospital_id, id) of the visit with this code and these last four digits of the booker's or patient's phone.

    Visits up to seven days back are found; every mismatch is the same None.
    """
    code, tail = plain_digits(code), plain_digits(tail)
    if not is_visit_code(code) or len(tail) != 4:
        return None
    since = local(db_now(db.session()), "Asia/Shanghai").date() - timedelta(days=7)
    rows = db.session.execute(
        select(Appointment, Patient, Account)
        .outerjoin(Patient, Patient.id == Appointment.patient_id)
        .outerjoin(Account, Account.id == Appointment.account_id)
        .where(Appointment.visit_code == code, Appointment.visit_date >= since)
        .order_by(Appointment.visit_date.desc())
    )
    for row, patient, account in rows:
        phones = [one.phone for one in (patient, account) if one is not None and one.phone]
        if any(phone_tail(phone) == tail for phone in phones):
            return row.hospital_id, row.id
    return None
