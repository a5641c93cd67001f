"""Accept an offer of the waiting list, or decline it: each one transaction, for a pair both halves or none.

By the account that waits, or by the desk for somebody who rings: the same rules, the same letters, and a line in the trail.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from booking.appointments.announce import tell
from booking.appointments.eligible import SERVED
from booking.appointments.keys import claim_key
from booking.appointments.models import Appointment
from booking.appointments.patient_rules import ensure_patient_may, lock_chart
from booking.appointments.places import change_status, end_hold
from booking.appointments.rules import NotLinked, SessionStopped
from booking.appointments.turns import close_wish, lock_offers, lock_wish
from booking.appointments.wish_models import WishOffer
from booking.appointments.wish_rules import NoSuchWish, OfferOver
from booking.clock import db_now
from booking.db import retried, transaction
from booking.directory.policy import policy_version
from booking.people.models import PatientLink
from booking.schedule.models import ClinicSession, Place
from booking.schedule.wanted import Wish
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

LET_GO = "这位就诊人已不在你的账号里，不能替他预约。"
LET_GO_AT_DESK = "这位就诊人已不在登记候补的账号里，不能用这个候补预约。"


@retried
def accept_offer(
    hospital_id: int,
    appointment_id: uuid.UUID,
    *,
    actor: Actor,
    remind: bool = True,
    referral: str = "",
    key: str | None = None,
) -> list[Appointment]:
    """Turn a standing offer into a booking; return the booked appointments, one or the two of a pair.

    `appointment_id` is any of the offer's appointments. An offer may be accepted after booking closed, as a hold may be
    confirmed. All checks of a confirmation are made with the charts locked; a refusal leaves the offer as it is. A repeat
    (double click, lost answer, same `key`) returns the same appointments. Letters are put in the same transaction.
    `referral` as for `confirm`.

    Raises OfferOver when the time is over or it was answered otherwise, SessionStopped, NotLinked, KeyReused, NoSuchWish,
    NotAllowed and the refusals of `ensure_patient_may`.
    """
    ensure_may(actor, "accept_offer", hospital_id)
    with transaction() as session:
        rows, wish, round_of = _own_offer(session, hospital_id, appointment_id, actor)
        now = db_now(session)
        body = {"appointment": appointment_id}
        if claim_key(session, hospital_id, key, "accept_offer", body, appointment_id, now) is not None:
            return rows
        if all(row.status in SERVED for row in rows) and wish.status == "served":
            return rows  # the second half of a double click, or a repeat when they have arrived
        _ensure_stands(session, rows, wish, round_of, now)
        _lock_patients(session, wish, [row.patient_id or 0 for row in rows], actor)
        for row in rows:
            _book(session, row, wish, actor, remind, referral, now)
        session.execute(
            update(WishOffer)
            .where(
                WishOffer.hospital_id == hospital_id,
                WishOffer.wish_id == wish.id,
                WishOffer.round == round_of,
            )
            .values(outcome="accepted", ended_at=now)
            .execution_options(synchronize_session=False)
        )
        close_wish(session, wish, "served", "accepted", now=now)
        _record(session, "accept_offer", wish, rows, actor, now)
    return rows


def _lock_patients(session: Session, wish: Wish, patient_ids: Sequence[int], actor: Actor) -> None:
    """Lock the patients' charts in one order, then the account. Raises NotLinked for one the account has let go."""
    for patient_id in sorted(patient_ids):
        link = session.get(PatientLink, (wish.account_id, patient_id))
        if link is None or link.ended_at is not None:
            raise NotLinked(LET_GO_AT_DESK if actor.is_staff else LET_GO)
        lock_chart(session, wish.hospital_id, patient_id)
    lock_chart(session, wish.hospital_id, max(patient_ids), wish.account_id)


def _book(
    session: Session, row: Appointment, wish: Wish, actor: Actor, remind: bool, referral: str, now: datetime
) -> None:
    policy = policy_version(session, row.hospital_id, row.policy_version)
    assert row.patient_id is not None  # an offer is made to a patient
    ensure_patient_may(
        session, policy, row, row.patient_id, now=now, account_id=wish.account_id, referral=referral
    )
    change_status(
        session,
        row,
        "accept",
        "booked",
        actor=actor,
        now=now,
        booked_at=now,
        remind=remind,
        referral=referral.strip() or None,
    )
    session.execute(
        update(Place)
        .where(Place.hospital_id == row.hospital_id, Place.id == row.place_id, Place.appointment_id == row.id)
        .values(held_until=None, rests_until=None, freed_at=None)
        .execution_options(synchronize_session=False)
    )
    tell(session, row, "confirmed", policy=policy, now=now)


@retried
def decline_offer(hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor) -> Wish:
    """Let a standing offer go to the next in line; return the wish, which keeps its turn once.

    For a pair both places go. A repeat, or an offer that has run out, changes nothing more. Raises NoSuchWish, NotAllowed.
    """
    ensure_may(actor, "decline_offer", hospital_id)
    with transaction() as session:
        rows, wish, _ = _own_offer(session, hospital_id, appointment_id, actor)
        now = db_now(session)
        stood = [row for row in rows if row.status == "held"]
        for row in stood:
            if row.status == "held" and row.held_until is not None:  # the other half may have ended it
                verb = "decline" if row.held_until > now else "expire"
                end_hold(session, row, verb, actor=actor, now=now)
        if stood:
            _record(session, "decline_offer", wish, stood, actor, now)
        session.refresh(wish)
    return wish


def _record(
    session: Session, verb: str, wish: Wish, rows: Sequence[Appointment], actor: Actor, now: datetime
) -> None:
    """Write into the trail what staff answered for somebody; people's own answers are in the events alone."""
    if actor.is_staff:
        change = {"appointments": [row.id.hex for row in rows]}
        record(session, wish.hospital_id, actor, verb, "wish", wish.id, now=now, change=change)


def _own_offer(
    session: Session, hospital_id: int, appointment_id: uuid.UUID, actor: Actor
) -> tuple[list[Appointment], Wish, int]:
    """Lock the appointments of an offer and its wish; to an account anybody else's does not exist."""
    offer = session.scalars(
        select(WishOffer).where(
            WishOffer.hospital_id == hospital_id, WishOffer.appointment_id == appointment_id
        )
    ).first()
    if offer is None:
        raise NoSuchWish()
    round_of, wish_id = offer.round, offer.wish_id
    rows = list(lock_offers(session, hospital_id, wish_id, round=round_of))
    wish = lock_wish(session, hospital_id, wish_id)
    if wish is None or (actor.kind == "account" and wish.account_id != actor.account_id):
        raise NoSuchWish()
    return rows, wish, round_of


def _ensure_stands(
    session: Session, rows: Sequence[Appointment], wish: Wish, round_of: int, now: datetime
) -> None:
    stands = all(row.status == "held" and row.held_until is not None and row.held_until > now for row in rows)
    if stands and wish.status == "offered" and wish.round == round_of:
        return
    clinic = session.get_one(ClinicSession, (rows[0].hospital_id, rows[0].session_id))
    if clinic.status == "stopped":
        raise SessionStopped(doctor_id=rows[0].doctor_id, local_date=rows[0].visit_date)
    raise OfferOver(wish_id=wish.id, slot_id=rows[0].slot_id, doctor_id=rows[0].doctor_id)
