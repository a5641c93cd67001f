"""What the desk reads of the call list: whom to ring, at which number, what to say, and what came of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time

from flask_babel import gettext as _
from sqlalchemy import and_, func, select

from booking.appointments.models import Appointment
from booking.appointments.queries import AppointmentView, appointment
from booking.appointments.wish_queries import wish
from booking.clock import db_now
from booking.db import db
from booking.notices.letters import visit_letter
from booking.notices.models import PhoneCall
from booking.notices.queries import kind_label
from booking.notices.wish_letters import wish_letter
from booking.outbox import Message
from booking.people.models import Account, Patient
from booking.people.rules import mask_name
from booking.staff.models import StaffMember


@dataclass(frozen=True)
class Call:
    """One call. `phones` are (whose, whole number); `say` is the letter's own text; `by` is who rang last. Instants UTC.

    `wish_id`, `session_id` and `answer_by` for a call about an offer of the waiting list.
    """

    id: uuid.UUID
    appointment_id: uuid.UUID
    kind: str
    kind_label: str
    reason: str
    created_at: datetime
    tries: int
    done_at: datetime | None
    outcome: str
    note: str
    by: str
    patient_masked: str
    visit_date: date
    starts_local: time
    part: str
    doctor: str
    department: str
    phones: tuple[tuple[str, str], ...]
    say: str
    wish_id: uuid.UUID | None = None
    session_id: uuid.UUID | None = None
    answer_by: datetime | None = None


_SOONEST = (
    PhoneCall.kind != "wish_offer",
    Appointment.visit_date,
    PhoneCall.tries > 0,
    Appointment.starts_at,
    PhoneCall.created_at,
)


def calls_open(hospital_id: int) -> int:
    """Return how many calls wait."""
    waiting = select(func.count()).where(PhoneCall.hospital_id == hospital_id, PhoneCall.done_at.is_(None))
    return db.session.scalar(waiting) or 0


def calls(hospital_id: int, *, done: bool = False, limit: int = 100) -> list[Call]:
    """Return the open calls, or the ended ones, newest first.

    Of the open ones offers of the waiting list come first, because they last an hour; then the soonest day, in it those
    nobody tried yet.

    At most `limit`: `calls_open` says how many there are.
    """
    state = PhoneCall.done_at.is_not(None) if done else PhoneCall.done_at.is_(None)
    order = (PhoneCall.done_at.desc(),) if done else _SOONEST
    rows = db.session.execute(
        select(PhoneCall, Message.facts, Message.wish_id, Appointment, Patient, Account)
        .join(Message, and_(Message.hospital_id == PhoneCall.hospital_id, Message.id == PhoneCall.message_id))
        .join(
            Appointment,
            and_(
                Appointment.hospital_id == PhoneCall.hospital_id, Appointment.id == PhoneCall.appointment_id
            ),
        )
        .outerjoin(Patient, Patient.id == Appointment.patient_id)
        .outerjoin(Account, Account.id == Appointment.account_id)
        .where(PhoneCall.hospital_id == hospital_id, state)
        .order_by(*order, PhoneCall.id)
        .limit(limit)
    ).all()
    names = _names(hospital_id, [call.done_by for call, *_rest in rows])
    now = db_now(db.session())
    return [
        Call(
            id=call.id,
            appointment_id=row.id,
            kind=call.kind,
            kind_label=kind_label(call.kind),
            reason=call.reason,
            created_at=call.created_at,
            tries=call.tries,
            done_at=call.done_at,
            outcome=call.outcome,
            note=call.note,
            by=names.get(call.done_by, ""),
            patient_masked=mask_name(patient.name) if patient else "",
            visit_date=row.visit_date,
            starts_local=row.starts_local,
            part=row.sold.get("part", ""),
            doctor=row.sold.get("doctor", ""),
            department=row.sold.get("department", ""),
            phones=() if done else _phones(patient, account),
            say="" if done else _say(call.kind, facts, appointment(hospital_id, row.id, now), wish_id, now),
            wish_id=wish_id if call.kind == "wish_offer" else None,
            session_id=row.session_id,
            answer_by=row.held_until if call.kind == "wish_offer" else None,
        )
        for call, facts, wish_id, row, patient, account in rows
    ]


def calls_about(hospital_id: int, appointment_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return for each appointment that is or was on the call list how it stands: "open", or the outcome of the last call."""
    rows = db.session.execute(
        select(PhoneCall.appointment_id, PhoneCall.done_at, PhoneCall.outcome)
        .where(PhoneCall.hospital_id == hospital_id, PhoneCall.appointment_id.in_(list(appointment_ids)))
        .order_by(PhoneCall.created_at)
    )
    return {one: "open" if done_at is None else outcome for one, done_at, outcome in rows}


def _phones(patient: Patient | None, account: Account | None) -> tuple[tuple[str, str], ...]:
    known = [
        (_("就诊人"), patient.phone if patient else None),
        (_("预约人"), account.phone if account else None),
        (_("监护人"), patient.guardian_phone if patient else None),
    ]
    found: dict[str, str] = {}
    for whose, phone in known:
        if phone:
            found.setdefault(phone, whose)
    return tuple((whose, phone) for phone, whose in found.items())


def _say(
    kind: str,
    facts: dict[str, object],
    view: AppointmentView | None,
    wish_id: uuid.UUID | None,
    now: datetime,
) -> str:
    if kind == "wish_offer" and view is not None and wish_id is not None:
        wanted = wish(view.hospital_id, wish_id)
        return (
            wish_letter(kind, "sms", wanted, wanted.offers or [view], facts, now=now).text if wanted else ""
        )
    return visit_letter(kind, "sms", view, facts, now=now).text if view is not None else ""


def _names(hospital_id: int, ids: Iterable[str]) -> dict[str, str]:
    known = {uuid.UUID(one) for one in ids if one}
    if not known:
        return {}
    rows = db.session.execute(
        select(StaffMember.id, StaffMember.name).where(
            StaffMember.hospital_id == hospital_id, StaffMember.id.in_(known)
        )
    )
    return {member_id.hex: name for member_id, name in rows}
