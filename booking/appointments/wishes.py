"""Join the waiting list (候补) and leave it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.appointments.announce_wish import tell_wish
from booking.appointments.models import ACTIVE, Appointment
from booking.appointments.patient_rules import lock_chart
from booking.appointments.places import end_hold
from booking.appointments.rules import AlreadyBooked, KeyReused, NotLinked, SessionStopped
from booking.appointments.turns import close_wish, lock_offers, lock_wish
from booking.appointments.wish_lines import line_of_session
from booking.appointments.wish_models import WishPatient
from booking.appointments.wish_rules import (
    AlreadyWaiting,
    ListClosed,
    NoSuchWish,
    NotFull,
    TooManyWishes,
    digest_of,
)
from booking.appointments.wish_suits import ensure_some_use
from booking.clock import db_now, local
from booking.db import broken_constraint, new_id, retried, transaction
from booking.directory.models import Campus, ClinicKind, DayPart, Department, Doctor, Practice
from booking.directory.policy import current_policy
from booking.errors import BadInput, NotFound
from booking.people.models import Patient, PatientLink
from booking.people.rules import mask_name
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.sellable import sellable
from booking.schedule.waiting_rules import list_closes
from booking.schedule.wanted import LIVE_WISH, SELLING, Wish, WishChoice
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

LONGEST_SPAN = timedelta(days=60)
KEPT = timedelta(days=400)
BATCH = 200
CHOICES = {
    "doctor_id": Doctor,
    "department_id": Department,
    "day_part_id": DayPart,
    "campus_id": Campus,
    "clinic_kind_id": ClinicKind,
}


def join(
    hospital_id: int,
    session_id: uuid.UUID,
    *,
    actor: Actor,
    patient_ids: Sequence[int],
    first_date: date | None = None,
    last_date: date | None = None,
    doctor_ids: Sequence[uuid.UUID] = (),
    department_ids: Sequence[uuid.UUID] = (),
    part_ids: Sequence[uuid.UUID] = (),
    campus_ids: Sequence[uuid.UUID] = (),
    kind_ids: Sequence[uuid.UUID] = (),
    key: str | None = None,
) -> Wish:
    """Wait for a place, beginning with a session that is full; return the wish, whose `line_at_join` is the place in line.

    For one patient or for two that belong together (both get a place or none). Dates default to the session's; without
    doctors and departments its doctor is meant, without parts, campuses or kinds any will do. The session itself must be
    among what is wanted. The same `key`, or the same patients and session again, give the same wish.

    Raises NotFull while a place of the session can simply be booked (R3), ListClosed, AlreadyBooked, AlreadyWaiting,
    TooManyWishes, NotLinked, BadInput, KeyReused, NotFound, NotAllowed and, for a patient who could never be offered
    anything of it, Blocked or the refusal of the session's rules, as at a booking (`ensure_some_use`).
    """
    ensure_may(actor, "join_wish", hospital_id)
    named = {
        "doctor_id": list(dict.fromkeys(doctor_ids)),
        "department_id": list(dict.fromkeys(department_ids)),
        "day_part_id": list(dict.fromkeys(part_ids)),
        "campus_id": list(dict.fromkeys(campus_ids)),
        "clinic_kind_id": list(dict.fromkeys(kind_ids)),
    }
    patients = list(dict.fromkeys(patient_ids))
    try:
        return _join(hospital_id, session_id, actor, patients, first_date, last_date, named, key)
    except IntegrityError as problem:
        rule = broken_constraint(problem)
        if rule not in ("uq_one_live_wish_per_patient_and_session", "uq_one_wish_per_request_key"):
            raise
        # the other half of a double click was faster: now its wish is found
        return _join(hospital_id, session_id, actor, patients, first_date, last_date, named, key)


@retried
def _join(
    hospital_id: int,
    session_id: uuid.UUID,
    actor: Actor,
    patients: list[int],
    first_date: date | None,
    last_date: date | None,
    named: dict[str, list[uuid.UUID]],
    key: str | None,
) -> Wish:
    with transaction() as session:
        clinic, practice = _session_of(session, hospital_id, session_id)
        first, last = first_date or clinic.local_date, last_date or clinic.local_date
        if not named["doctor_id"] and not named["department_id"]:
            named = named | {"doctor_id": [clinic.doctor_id]}
        digest = digest_of({"session": session_id, "patients": patients, "dates": [first, last], **named})
        known = _known(session, hospital_id, actor, key, digest)
        if known is not None:
            return known
        _ensure_linked(session, actor.account_id, patients)
        for patient_id in sorted(patients):
            lock_chart(session, hospital_id, patient_id)
        now = db_now(session)
        policy = current_policy(session, hospital_id)
        mine = _already(session, hospital_id, clinic, actor, patients, policy.wishes_per_patient, now)
        if mine is not None:
            return mine
        close = policy.wish_ends_days_before, policy.wish_ends_time
        _ensure_shape(session, clinic, practice, first, last, named, local(now, clinic.zone).date())
        until = list_closes(*close, clinic.local_date, clinic.zone)
        if until <= now:
            at = local(until, clinic.zone)
            raise ListClosed(until=f"{at.month} 月 {at.day} 日 {at:%H:%M}")
        ensure_full(session, clinic, now)
        wish_id = new_id()
        session.execute(
            insert(Wish).values(
                hospital_id=hospital_id,
                id=wish_id,
                account_id=actor.account_id,
                session_id=session_id,
                status="waiting",
                party=len(patients),
                first_date=first,
                last_date=last,
                joined_at=now,
                turn_at=now,
                turns_kept=policy.wish_turns_kept,
                round=0,
                line_at_join=line_of_session(session, hospital_id, session_id) + 1,
                ends_at=list_closes(*close, last, clinic.zone),
                request_key=key[:80] if key else None,
                request_digest=digest,
            )
        )
        mine_of = {"hospital_id": hospital_id, "wish_id": wish_id}
        session.execute(
            insert(WishChoice),
            [
                mine_of | {name: None for name in CHOICES} | {"id": new_id(), "last_date": last, name: value}
                for name, values in named.items()
                for value in values
            ],
        )
        session.execute(
            insert(WishPatient),
            [
                mine_of
                | {
                    "id": new_id(),
                    "session_id": session_id,
                    "account_id": actor.account_id,
                    "patient_id": patient_id,
                    "seat": seat,
                    "live": True,
                }
                for seat, patient_id in enumerate(patients, start=1)
            ],
        )
        wish = session.get_one(Wish, (hospital_id, wish_id))
        ensure_some_use(session, wish, patients, policy, zone=clinic.zone, now=now)
        expires = min(wish.ends_at, now + timedelta(days=1))
        tell_wish(session, wish, "wish_joined", policy=policy, zone=clinic.zone, now=now, expires_at=expires)
    return wish


def _session_of(session: Session, hospital_id: int, session_id: uuid.UUID) -> tuple[ClinicSession, Practice]:
    clinic = session.get(ClinicSession, (hospital_id, session_id), populate_existing=True)
    if clinic is not None and clinic.status == "stopped":
        raise SessionStopped(doctor_id=clinic.doctor_id, local_date=clinic.local_date)
    if clinic is None or clinic.status not in SELLING:
        raise NotFound("没有找到这个班次，请回到医生页面重新选择。")
    return clinic, session.get_one(Practice, (hospital_id, clinic.practice_id))


def _known(session: Session, hospital_id: int, actor: Actor, key: str | None, digest: str) -> Wish | None:
    """Return the wish an earlier request with this key made. Raises KeyReused when that request said something else."""
    if not key:
        return None
    known = session.scalars(
        select(Wish).where(
            Wish.hospital_id == hospital_id,
            Wish.account_id == actor.account_id,
            Wish.request_key == key[:80],
        )
    ).first()
    if known is not None and known.request_digest != digest:
        raise KeyReused()
    return known


def _ensure_linked(session: Session, account_id: int | None, patients: list[int]) -> None:
    if not 1 <= len(patients) <= 2:
        raise BadInput(
            "请选择一位就诊人，或必须一起看的两位。", errors={"patients": "请选择一位或两位就诊人"}
        )
    for patient_id in patients:
        link = session.get(PatientLink, (account_id, patient_id)) if account_id is not None else None
        if link is None or link.ended_at is not None:
            raise NotLinked()


def _already(
    session: Session,
    hospital_id: int,
    clinic: ClinicSession,
    actor: Actor,
    patients: list[int],
    most: int,
    now: datetime,
) -> Wish | None:
    """Return this account's wish for just these patients and this session, with their charts locked; or refuse."""
    live = session.execute(
        select(WishPatient, Wish)
        .join(Wish, (Wish.hospital_id == WishPatient.hospital_id) & (Wish.id == WishPatient.wish_id))
        .where(
            WishPatient.hospital_id == hospital_id,
            WishPatient.patient_id.in_(patients),
            WishPatient.live.is_(True),
        )
    ).all()
    here = [(one, wish) for one, wish in live if one.session_id == clinic.id]
    if here:
        wish = here[0][1]
        same = {one.patient_id for one, other in here if other.id == wish.id} == set(patients)
        if same and wish.party == len(patients) and wish.account_id == actor.account_id:
            return wish
        raise AlreadyWaiting(patient=_masked(session, here[0][0].patient_id), wish_id=wish.id)
    for patient_id in patients:
        count = sum(one.patient_id == patient_id for one, _ in live)
        if count >= most:
            raise TooManyWishes(patient=_masked(session, patient_id), count=count, limit=most)
    booked = session.execute(
        select(Appointment.id, Appointment.patient_id).where(
            Appointment.hospital_id == hospital_id,
            Appointment.session_id == clinic.id,
            Appointment.patient_id.in_(patients),
            Appointment.status.in_(ACTIVE),
            or_(Appointment.status != "held", Appointment.held_until > now),
        )
    ).first()
    if booked is not None:
        patient = _masked(session, booked.patient_id)
        raise AlreadyBooked(patient=patient, appointment_id=booked.id, hospital_id=hospital_id)
    return None


def _masked(session: Session, patient_id: int) -> str:
    return mask_name(session.get_one(Patient, patient_id).name)


def _ensure_shape(
    session: Session,
    clinic: ClinicSession,
    practice: Practice,
    first: date,
    last: date,
    named: dict[str, list[uuid.UUID]],
    today: date,
) -> None:
    if last < first or first < today or last - today > LONGEST_SPAN:
        wrong = "请选择从今天起 60 天以内的日期，先后不要颠倒"
        raise BadInput(wrong, errors={"dates": wrong})
    for name, values in named.items():
        if any(session.get(CHOICES[name], (clinic.hospital_id, value)) is None for value in values):
            raise BadInput("有的选项不属于本医院，请重新选择。", errors={name: "请重新选择这一项"})
    here = {
        "day_part_id": clinic.day_part_id,
        "campus_id": practice.campus_id,
        "clinic_kind_id": clinic.clinic_kind_id,
    }
    by_name = clinic.doctor_id in named["doctor_id"] or practice.department_id in named["department_id"]
    fits = all(not named[name] or value in named[name] for name, value in here.items())
    if not (by_name and fits and first <= clinic.local_date <= last):
        wrong = "候补要包含你刚才看的这个班次，请把它的医生、日期和时段都选上"
        raise BadInput(wrong, errors={"dates": wrong})


def ensure_full(session: Session, clinic: ClinicSession, now: datetime) -> None:
    """Raise NotFull before the release and while any place of the session could be taken by somebody at the pages."""
    free = session.scalar(
        select(Place.id)
        .join(Slot, (Slot.hospital_id == Place.hospital_id) & (Slot.id == Place.slot_id))
        .where(
            Place.hospital_id == clinic.hospital_id,
            Place.session_id == clinic.id,
            sellable(now),
            Slot.closes_at > now,
        )
        .limit(1)
    )
    later = select(Place.id).where(
        Place.hospital_id == clinic.hospital_id,
        Place.session_id == clinic.id,
        Place.open.is_(True),
        Place.appointment_id.is_(None),
        Place.channel == "web",
        Place.opens_at > now,
    )
    if clinic.release_at > now or session.scalar(later.limit(1)) is not None:
        raise NotFull("这个班次还有号没有放出来，放完约满了才需要候补。")
    if free is not None:
        raise NotFull(session_id=clinic.id)


@retried
def leave(hospital_id: int, wish_id: uuid.UUID, *, actor: Actor) -> Wish:
    """Leave the waiting list; a standing offer goes to the next. A repeat changes nothing. Raises NoSuchWish, NotAllowed.

    By the account that waits, or by the desk for somebody who rings.
    """
    ensure_may(actor, "leave_wish", hospital_id)
    with transaction() as session:
        offers = lock_offers(session, hospital_id, wish_id)
        wish = lock_wish(session, hospital_id, wish_id)
        if wish is None or (actor.kind == "account" and wish.account_id != actor.account_id):
            raise NoSuchWish()
        if wish.status in LIVE_WISH:
            # once more: an offer made while this waited for the wish was not there to be locked
            offers = lock_offers(session, hospital_id, wish_id, skip=True)
            now = db_now(session)
            close_wish(session, wish, "ended", "left", now=now)
            for row in offers:
                if row.status == "held":
                    end_hold(session, row, "leave", actor=actor, now=now)
            if actor.is_staff:
                record(session, hospital_id, actor, "leave_wish", "wish", wish.id, now=now)
    return wish
