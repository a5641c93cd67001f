"""What people, letters and the desk see of wishes: who waits for what, where in line, and what is offered."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import and_, select

from booking.appointments.models import Appointment
from booking.appointments.queries import AppointmentView, appointment
from booking.appointments.wish_lines import line_of_session, may_still_get, odds_of
from booking.appointments.wish_models import WishOffer, WishPatient
from booking.appointments.wish_rules import Odds
from booking.clock import db_now
from booking.db import db
from booking.directory.models import Campus, ClinicKind, DayPart, Department, Doctor, Hospital, Practice
from booking.people.models import Account, Patient
from booking.people.rules import mask_name, mask_phone
from booking.refs import Key, read_link_code
from booking.schedule.models import ClinicSession
from booking.schedule.wanted import LIVE_WISH, LIVING, Wish, WishChoice, covers, with_practice

WISH_STATUS = {
    "waiting": "候补中",
    "offered": "有号，等你确认",
    "served": "已约到",
    "ended": "已结束",
}


@dataclass
class WishView:
    """A wish with what its pages and letters say. `line` is the place in line now (from 1, 0 when it no longer waits).

    The names of doctors, departments, parts, campuses and kinds are those it asks for; empty parts, campuses or kinds mean
    any. `doctor`, `department`, `part` and `session_date` are those of the full session it was joined from. `offers` are
    the appointments it may accept now; `needs_referral` when their session asks for one. `hopeless` while it lives and no
    session that it names can have a number for it, all being stopped or their lists closed; `stopped` when its own is
    stopped then.
    """

    hospital_id: int
    id: uuid.UUID
    ref: str
    account_id: int
    status: str
    status_name: str
    party: int
    patients: list[str]
    patient_names: list[str]
    hospital: str
    hospital_slug: str
    hospital_phone: str
    zone: str
    session_id: uuid.UUID
    session_date: date
    doctor: str
    doctor_title: str
    doctor_slug: str
    department: str
    department_id: uuid.UUID
    sensitive: bool
    part: str
    first_date: date
    last_date: date
    joined_at: datetime
    ends_at: datetime
    line: int
    turns_kept: int
    end_reason: str
    doctors: list[str] = field(default_factory=list)
    departments: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    campuses: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    offers: list[AppointmentView] = field(default_factory=list)
    needs_referral: bool = False
    hopeless: bool = False
    stopped: bool = False

    @property
    def accept_by(self) -> datetime | None:
        """Until when the standing offer may be accepted."""
        return min((one.held_until for one in self.offers if one.held_until), default=None)


def wish(hospital_id: int, wish_id: uuid.UUID) -> WishView | None:
    """Return one wish as it stands, or None."""
    return next(iter(_views(Wish.hospital_id == hospital_id, Wish.id == wish_id)), None)


def wishes_by_code(code: str) -> list[Key]:
    """Return the wish that the code of a link names, [] for a code we did not make; of two in a second it may be both.

    Raises NotFound for what has not the shape of a code.
    """
    sought = read_link_code(code)
    near = Wish.hospital_id == sought.hospital_id, Wish.id >= sought.first, Wish.id < sought.end
    ids = db.session.scalars(select(Wish.id).where(*near))
    return [(sought.hospital_id, one) for one in ids if sought.is_it(one)]


def wishes_of(account_id: int, *, ended: bool = False, limit: int = 30) -> list[WishView]:
    """Return an account's live wishes, offers first, or (`ended`) those that are over, newest first."""
    mine = Wish.account_id == account_id
    if ended:
        return _views(mine, Wish.status.not_in(LIVE_WISH), order=Wish.ended_at.desc(), limit=limit)
    return _views(mine, Wish.status.in_(LIVING), order=(Wish.status, Wish.joined_at), limit=limit)


def odds(view: WishView) -> Odds:
    """Return the honest odds of a wish at its place in line, from the hospital's own history."""
    session = db.session()
    return odds_of(session, view.hospital_id, view.session_id, view.line, db_now(session))


def _views(*conditions: Any, order: Any = (), limit: int = 30) -> list[WishView]:
    rows = db.session.execute(
        select(Wish, ClinicSession, Practice, Doctor, Department, DayPart, Hospital, Campus)
        .join(
            ClinicSession,
            and_(ClinicSession.hospital_id == Wish.hospital_id, ClinicSession.id == Wish.session_id),
        )
        .join(Practice, with_practice())
        .join(Doctor, and_(Doctor.hospital_id == Wish.hospital_id, Doctor.id == Practice.doctor_id))
        .join(
            Department,
            and_(Department.hospital_id == Wish.hospital_id, Department.id == Practice.department_id),
        )
        .join(DayPart, and_(DayPart.hospital_id == Wish.hospital_id, DayPart.id == ClinicSession.day_part_id))
        .join(Campus, and_(Campus.hospital_id == Wish.hospital_id, Campus.id == Practice.campus_id))
        .join(Hospital, Hospital.id == Wish.hospital_id)
        .where(*conditions)
        .order_by(*(order if isinstance(order, tuple) else (order,)))
        .limit(limit)
        .execution_options(populate_existing=True)
    ).all()
    views = []
    for row, clinic, practice, doctor, department, part, hospital, campus in rows:
        people = _patients(row)
        view = WishView(
            hospital_id=row.hospital_id,
            id=row.id,
            ref=f"{row.hospital_id}-{row.id.hex}",
            account_id=row.account_id,
            status=row.status,
            status_name=WISH_STATUS[row.status],
            party=row.party,
            patients=[mask_name(one.name) for one in people],
            patient_names=[one.name for one in people],
            hospital=hospital.name,
            hospital_slug=hospital.slug,
            hospital_phone=campus.phone or hospital.phone,
            zone=clinic.zone,
            session_id=clinic.id,
            session_date=clinic.local_date,
            doctor=doctor.name,
            doctor_title=doctor.title,
            doctor_slug=doctor.slug,
            department=department.name,
            department_id=practice.department_id,
            sensitive=department.sensitive,
            part=part.name,
            first_date=row.first_date,
            last_date=row.last_date,
            joined_at=row.joined_at,
            ends_at=row.ends_at,
            line=0,
            turns_kept=row.turns_kept,
            end_reason=row.end_reason,
        )
        asked = _choices(row.hospital_id, [row.id]).get(row.id, Choices())
        view.doctors, view.departments, view.parts = asked.doctors, asked.departments, asked.parts
        view.campuses, view.kinds = asked.campuses, asked.kinds
        if row.status in LIVE_WISH:
            ahead = line_of_session(db.session(), row.hospital_id, row.session_id, before=row)
            view.line = ahead + 1
            now = db_now(db.session())
            view.hopeless = not may_still_get(db.session(), row, now)
            view.stopped = view.hopeless and clinic.status == "stopped"
        if row.status == "offered":
            view.offers, view.needs_referral = _offers(row)
        views.append(view)
    return views


def _patients(row: Wish) -> Sequence[Patient]:
    return db.session.scalars(
        select(Patient)
        .join(WishPatient, WishPatient.patient_id == Patient.id)
        .where(WishPatient.hospital_id == row.hospital_id, WishPatient.wish_id == row.id)
        .order_by(WishPatient.seat)
    ).all()


@dataclass
class Choices:
    """The names of what a wish asks for; of parts, campuses and kinds none means any."""

    doctors: list[str] = field(default_factory=list)
    departments: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    campuses: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


def _choices(hospital_id: int, wish_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Choices]:
    """Return what each of these wishes asks for. One statement."""
    named = db.session.execute(
        select(WishChoice.wish_id, Doctor.name, Department.name, DayPart.name, Campus.name, ClinicKind.name)
        .select_from(WishChoice)
        .outerjoin(
            Doctor, and_(Doctor.hospital_id == WishChoice.hospital_id, Doctor.id == WishChoice.doctor_id)
        )
        .outerjoin(
            Department,
            and_(Department.hospital_id == WishChoice.hospital_id, Department.id == WishChoice.department_id),
        )
        .outerjoin(
            DayPart,
            and_(DayPart.hospital_id == WishChoice.hospital_id, DayPart.id == WishChoice.day_part_id),
        )
        .outerjoin(
            Campus, and_(Campus.hospital_id == WishChoice.hospital_id, Campus.id == WishChoice.campus_id)
        )
        .outerjoin(
            ClinicKind,
            and_(
                ClinicKind.hospital_id == WishChoice.hospital_id, ClinicKind.id == WishChoice.clinic_kind_id
            ),
        )
        .where(WishChoice.hospital_id == hospital_id, WishChoice.wish_id.in_(list(wish_ids)))
        .order_by(DayPart.position, ClinicKind.position, WishChoice.id)
    )
    found: dict[uuid.UUID, Choices] = {}
    for wish_id, *names in named:
        one = found.setdefault(wish_id, Choices())
        lists = (one.doctors, one.departments, one.parts, one.campuses, one.kinds)
        for into, name in zip(lists, names, strict=True):
            if name is not None:
                into.append(name)
    return found


def _offers(row: Wish) -> tuple[list[AppointmentView], bool]:
    """Return the appointments of a wish's present offer, and whether the session asks for a referral."""
    rows = db.session.execute(
        select(Appointment.id, Appointment.sold)
        .join(
            WishOffer,
            and_(
                WishOffer.hospital_id == Appointment.hospital_id,
                WishOffer.appointment_id == Appointment.id,
            ),
        )
        .where(
            WishOffer.hospital_id == row.hospital_id,
            WishOffer.wish_id == row.id,
            WishOffer.round == row.round,
            Appointment.status == "held",
        )
        .order_by(Appointment.starts_at, Appointment.id)
    ).all()
    found = (appointment(row.hospital_id, one_id) for one_id, _sold in rows)
    referral = any((sold.get("admits") or {}).get("referral") for _id, sold in rows)
    return [one for one in found if one is not None], referral


def is_stopped(hospital_id: int, session_id: uuid.UUID) -> bool:
    """Whether a session is stopped now."""
    mine = ClinicSession.hospital_id == hospital_id, ClinicSession.id == session_id
    return db.session.scalar(select(ClinicSession.status).where(*mine)) == "stopped"


@dataclass(frozen=True)
class Waiting:
    """One line of a session's waiting list as the desk sees it; names and the account's phone masked.

    `joined_at` is when they joined; `offer_id` one of the appointments they may accept now.
    """

    id: uuid.UUID
    line: int
    status: str
    status_name: str
    patients: list[str]
    phone: str
    joined_at: datetime
    accept_by: datetime | None
    offer_id: uuid.UUID | None
    turns_kept: int
    first_date: date
    last_date: date
    choices: Choices


def waiting_list(hospital_id: int, session_id: uuid.UUID) -> list[Waiting]:
    """Return those who wait for a session, in the order in which they are asked."""
    rows = db.session.execute(
        select(Wish, Account.phone)
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(Wish, covers())
        .join(Account, Account.id == Wish.account_id)
        .where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.id == session_id,
            Wish.status.in_(LIVING),
        )
        .order_by(Wish.turn_at, Wish.id)
        .limit(200)
    ).all()
    now = db_now(db.session())
    asked = _choices(hospital_id, [row.id for row, _phone in rows])
    return [
        _waiting(row, phone, line, asked.get(row.id, Choices()), now)
        for line, (row, phone) in enumerate(rows, start=1)
    ]


def _waiting(row: Wish, phone: str, line: int, asked: Choices, now: datetime) -> Waiting:
    """An offer that has run out may not have been tidied away yet: then they wait."""
    offers = _offers(row)[0] if row.status == "offered" else []
    standing = [one for one in offers if one.held_until and one.held_until > now]
    status = "waiting" if row.status == "offered" and not standing else row.status
    return Waiting(
        row.id,
        line,
        status,
        WISH_STATUS[status],
        [mask_name(one.name) for one in _patients(row)],
        mask_phone(phone),
        row.joined_at,
        min((one.held_until for one in standing if one.held_until), default=None),
        standing[0].id if standing else None,
        row.turns_kept,
        row.first_date,
        row.last_date,
        asked,
    )
