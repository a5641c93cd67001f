"""The list of the desk's delivery page: letters of a day by status, channel and kind, a page at a time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, select, union_all

from booking.appointments.models import Appointment
from booking.db import db
from booking.notices.delivery import NOT_SENT, SENT, in_words
from booking.notices.resend import OVER, worth_sending
from booking.outbox import LIVE, Message
from booking.people.models import Account, Patient
from booking.people.rules import mask_name, mask_phone

GROUPS: dict[str, tuple[str, ...]] = {
    "waiting": LIVE,
    "accepted": ("accepted",),
    "delivered": ("delivered",),
    "failed": ("failed",),
    "not_sent": ("expired", "suppressed"),
}
"""What the page calls a state, and the ledger's states it covers."""
DEEPEST = 5000
"""So many letters one can turn pages through; whoever looks for one further back narrows the filter."""


@dataclass(frozen=True)
class Line:
    """One letter of the list; names and addresses masked. `at` is when it left, failed, or is tried next (UTC)."""

    id: uuid.UUID
    at: datetime
    due_at: datetime
    kind: str
    channel: str
    recipient: str
    status: str
    attempts: int
    error: str
    patient_masked: str
    address_masked: str
    appointment_id: uuid.UUID | None
    again: bool
    repaired: bool
    may_resend: bool


def letters_of_day(
    hospital_id: int,
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    group: str = "",
    channel: str = "",
    kind: str = "",
    limit: int = 50,
    offset: int = 0,
) -> list[Line]:
    """Return the letters that left, failed or are next tried in [start, end), newest first; `group` is a key of GROUPS.

    An empty filter means all. Each part of the ledger is read by its own index and cut to what the page can need.
    """
    wanted = GROUPS.get(group)
    depth = min(limit + offset, DEEPEST)
    parts: list[Select[Any]] = []
    for at, statuses in ((Message.sent_at, SENT), (Message.next_at, LIVE), (Message.next_at, NOT_SENT)):
        mine = tuple(one for one in statuses if wanted is None or one in wanted)
        if not mine:
            continue
        part = select(Message.id.label("id"), at.label("at")).where(
            Message.hospital_id == hospital_id,
            at >= start,
            at < end,
            in_words(statuses),
            Message.status.in_(mine),
        )
        if channel:
            part = part.where(Message.channel == channel)
        if kind:
            part = part.where(Message.kind == kind)
        cut = part.order_by(at.desc(), Message.id.desc()).limit(depth).subquery()
        parts.append(select(cut.c.id, cut.c.at))
    if not parts or offset >= DEEPEST:
        return []
    every = union_all(*parts).subquery()
    page = (
        select(every.c.id, every.c.at)
        .order_by(every.c.at.desc(), every.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    times = {letter_id: at for letter_id, at in db.session.execute(page)}
    return _lines(hospital_id, times, now)


def _lines(hospital_id: int, times: dict[uuid.UUID, datetime], now: datetime) -> list[Line]:
    if not times:
        return []
    rows = db.session.execute(
        select(Message, Patient, Account)
        .outerjoin(
            Appointment,
            and_(Appointment.hospital_id == Message.hospital_id, Appointment.id == Message.appointment_id),
        )
        .outerjoin(Patient, Patient.id == Appointment.patient_id)
        .outerjoin(Account, Account.id == Message.account_id)
        .where(Message.hospital_id == hospital_id, Message.id.in_(list(times)))
    ).all()
    over = [message.id for message, _p, _a in rows if message.status in OVER]
    useful = set(
        db.session.scalars(
            select(Message.id).where(
                Message.hospital_id == hospital_id, Message.id.in_(over), worth_sending(now)
            )
        )
        if over
        else ()
    )
    repeated = set(
        db.session.scalars(
            select(Message.dedupe_key).where(
                Message.hospital_id == hospital_id,
                Message.dedupe_key.in_([f"{message.dedupe_key}:again" for message, _p, _a in rows]),
            )
        )
        if over
        else ()
    )
    lines = [
        Line(
            id=message.id,
            at=times[message.id],
            due_at=message.due_at,
            kind=message.kind,
            channel=message.channel,
            recipient=message.recipient,
            status=message.status,
            attempts=message.attempts,
            error=message.last_error,
            patient_masked=mask_name(patient.name) if patient else "",
            address_masked=_address(message, patient, account),
            appointment_id=message.appointment_id,
            again=message.dedupe_key.endswith(":again"),
            repaired=message.repaired,
            may_resend=message.id in useful and f"{message.dedupe_key}:again" not in repeated,
        )
        for message, patient, account in rows
    ]
    return sorted(lines, key=lambda one: (one.at, one.id), reverse=True)


def _address(message: Message, patient: Patient | None, account: Account | None) -> str:
    if message.channel in ("sms", "voice"):
        phone = (
            patient.phone if message.recipient == "patient" and patient else account.phone if account else ""
        )
        return mask_phone(phone) if phone else ""
    if message.channel == "email" and account and account.email:
        name, _at, domain = account.email.rpartition("@")
        return f"{name[:1]}***@{domain}"
    return ""
