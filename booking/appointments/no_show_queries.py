"""What people and the desk read of no-shows: the facts that count, the evidence, appeals."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select

from booking.appointments.models import Appeal, Appointment, AppointmentEvent
from booking.appointments.no_show_rules import Block, Kept, block
from booking.clock import db_now, local
from booking.db import db
from booking.directory.models import Hospital, Policy
from booking.directory.policy import current_policy
from booking.people.models import Account, Patient, PatientLink
from booking.people.rules import mask_name, mask_phone


@dataclass(frozen=True)
class Fact:
    """One visit that a patient may want to know about: a no-show, an excused one, or a late cancellation.

    `mine`: booked by the account that asks; of others only hospital and date are shown. `counts`: weighed today.
    """

    id: uuid.UUID
    status: str
    on: date
    doctor: str
    department: str
    mine: bool
    counts: bool
    appeal: str


@dataclass(frozen=True)
class Standing:
    """How a patient stands at a hospital: the facts of the policy's window, newest first, and the block they lead to."""

    hospital_id: int
    hospital: str
    phone: str
    patient: str
    limit: int
    days: int
    block_days: int
    facts: list[Fact] = field(default_factory=list)
    block: Block | None = None

    @property
    def count(self) -> int:
        return sum(one.counts for one in self.facts)


@dataclass(frozen=True)
class Judgement:
    """Why a visit counts as a no-show, and what was said about it. Instants are UTC.

    `told` are the letters that were accepted: kind, channel, status, at (ISO). `appeal` is "", open, accepted, declined or
    cleared.
    """

    at: datetime
    after_minutes: int
    told: list[dict[str, str]]
    appeal: str
    reason: str
    made_at: datetime | None
    answer: str
    decided_at: datetime | None


@dataclass(frozen=True)
class DeskAppeal:
    """One appeal as the desk reads it, with the visit it is about."""

    appointment_id: uuid.UUID
    status: str
    reason: str
    made_at: datetime
    decided_at: datetime | None
    decided_by: str
    answer: str
    visit_date: date
    starts_local: Any
    part: str
    doctor: str
    department: str
    patient: str
    phone: str


def standings_of(account_id: int) -> list[Standing]:
    """Return how each patient linked to an account stands where anything is known, blocked ones first."""
    now = db_now(db.session())
    rows = db.session.execute(
        select(Appointment, Patient, Hospital, Appeal.status)
        .join(PatientLink, PatientLink.patient_id == Appointment.patient_id)
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(Hospital, Hospital.id == Appointment.hospital_id)
        .outerjoin(
            Appeal,
            and_(Appeal.hospital_id == Appointment.hospital_id, Appeal.appointment_id == Appointment.id),
        )
        .where(
            PatientLink.account_id == account_id,
            PatientLink.ended_at.is_(None),
            Appointment.visit_date >= (now - timedelta(days=400)).date(),
            or_(
                Appointment.status.in_(("no_show", "excused")),
                and_(Appointment.status == "cancelled", Appointment.cancelled_late),
            ),
        )
        .order_by(Appointment.visit_date.desc(), Appointment.id)
    ).all()
    groups: dict[tuple[int, int], list[Any]] = {}
    for row in rows:
        groups.setdefault((row[2].id, row[1].id), []).append(row)
    policies = {hospital_id: current_policy(db.session(), hospital_id) for hospital_id, _ in groups}
    found = [_standing(group, policies[key[0]], account_id, now) for key, group in groups.items()]
    found = [one for one in found if one.facts]
    return sorted(found, key=lambda one: (one.block is None, -one.count, one.hospital))


def _standing(group: list[Any], policy: Policy, account_id: int, now: datetime) -> Standing:
    _, patient, hospital, _ = group[0]
    today = local(now, hospital.zone).date()
    standing = block((Kept(row.status, row.visit_date) for row, *_ in group), policy, today)
    since = today - timedelta(days=policy.no_show_days)
    weighed = set(standing.dates) if standing else set()
    return Standing(
        hospital_id=hospital.id,
        hospital=hospital.name,
        phone=hospital.phone,
        patient=mask_name(patient.name),
        limit=policy.no_show_count,
        days=policy.no_show_days,
        block_days=policy.no_show_block_days,
        facts=[
            Fact(
                row.id,
                row.status,
                row.visit_date,
                row.sold.get("doctor", ""),
                row.sold.get("department", ""),
                row.account_id == account_id,
                row.status == "no_show" and (row.visit_date > since or row.visit_date in weighed),
                said or "",
            )
            for row, _, _, said in group
            if row.visit_date > since or row.visit_date in weighed
        ],
        block=standing,
    )


def judgement(hospital_id: int, appointment_id: uuid.UUID) -> Judgement | None:
    """Return why a visit was recorded as a no-show and what was said about it; None when it never was."""
    event = db.session.scalars(
        select(AppointmentEvent)
        .where(
            AppointmentEvent.hospital_id == hospital_id,
            AppointmentEvent.appointment_id == appointment_id,
            AppointmentEvent.to_status == "no_show",
        )
        .order_by(AppointmentEvent.version.desc())
    ).first()
    if event is None:
        return None
    said = db.session.scalars(
        select(Appeal).where(Appeal.hospital_id == hospital_id, Appeal.appointment_id == appointment_id)
    ).first()
    return Judgement(
        at=event.at,
        after_minutes=int(event.facts.get("after_minutes", 0)),
        told=list(event.facts.get("told", [])),
        appeal=said.status if said else "",
        reason=said.reason if said else "",
        made_at=said.made_at if said else None,
        answer=said.answer if said else "",
        decided_at=said.decided_at if said else None,
    )


def open_appeals(hospital_id: int) -> int:
    """Return how many appeals of a hospital wait for an answer."""
    waiting = select(func.count()).where(Appeal.hospital_id == hospital_id, Appeal.status == "open")
    return db.session.scalar(waiting) or 0


def appeals(hospital_id: int, *, answered: bool = False, limit: int = 50) -> list[DeskAppeal]:
    """Return the appeals that wait, the oldest first; or those `answered`, the newest first."""
    query = (
        select(Appeal, Appointment, Patient, Account)
        .join(
            Appointment,
            and_(Appointment.hospital_id == Appeal.hospital_id, Appointment.id == Appeal.appointment_id),
        )
        .join(Patient, Patient.id == Appointment.patient_id)
        .outerjoin(Account, Account.id == Appointment.account_id)
        .where(Appeal.hospital_id == hospital_id)
        .limit(limit)
    )
    if answered:
        query = query.where(Appeal.status != "open").order_by(Appeal.decided_at.desc())
    else:
        query = query.where(Appeal.status == "open").order_by(Appeal.made_at)
    return [_desk_appeal(*row) for row in db.session.execute(query)]


def _desk_appeal(said: Appeal, row: Appointment, patient: Patient, account: Account | None) -> DeskAppeal:
    phone = patient.phone or (account.phone if account else "")
    return DeskAppeal(
        appointment_id=row.id,
        status=said.status,
        reason=said.reason,
        made_at=said.made_at,
        decided_at=said.decided_at,
        decided_by=said.decided_by,
        answer=said.answer,
        visit_date=row.visit_date,
        starts_local=row.starts_local,
        part=row.sold.get("part", ""),
        doctor=row.sold.get("doctor", ""),
        department=row.sold.get("department", ""),
        patient=mask_name(patient.name),
        phone=mask_phone(phone) if phone else "",
    )


def told_about(hospital_id: int, appointment_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return how many letters were accepted before each of these no-shows was recorded, as its event keeps it."""
    events = db.session.scalars(
        select(AppointmentEvent).where(
            AppointmentEvent.hospital_id == hospital_id,
            AppointmentEvent.appointment_id.in_(list(appointment_ids)),
            AppointmentEvent.to_status == "no_show",
        )
    )
    return {event.appointment_id: len(event.facts.get("told", [])) for event in events}
