"""Hold a place, extend or release the hold, confirm it: each one transaction, decided by the database."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.appointments.announce import tell
from booking.appointments.booker import booker
from booking.appointments.facts import ensure_on_sale
from booking.appointments.keys import claim_key
from booking.appointments.models import Appointment
from booking.appointments.patient_rules import SEEN, ensure_patient_may, lock_chart
from booking.appointments.places import (
    add_event,
    change_status,
    end_hold,
    insert_appointment,
    keep_until,
    lock_appointment,
    take_place,
)
from booking.appointments.rules import (
    STATUS_NAMES,
    HoldExpired,
    NoSuchAppointment,
    NotActive,
    NotLinked,
    SessionStopped,
    SignInFirst,
    SlotFull,
    TooManyHolds,
    extensions_allowed,
    hold_ends,
    new_visit_code,
)
from booking.appointments.seats import choose_seats, look
from booking.clock import db_now
from booking.db import broken_constraint, constant, db, new_id, retried, transaction
from booking.directory.policy import policy_version
from booking.people.models import Account
from booking.schedule.models import ClinicSession
from booking.schedule.open_slots import nearest
from booking.staff.rules import Actor, ensure_may

_SEAT_RULES = {
    "uq_one_hold_per_holder_seat",
    "uq_one_hold_per_account_seat",
    "uq_one_open_hold_per_session_seat",
}


def hold(
    hospital_id: int,
    slot_id: uuid.UUID,
    *,
    holder: str,
    actor: Actor,
    answer_id: int | None = None,
    generous: bool = False,
    key: str | None = None,
) -> Appointment:
    """Hold a place of a slot for the browser `holder` (hash of its key) and return the appointment in status held.

    The hold lasts the policy's minutes; ten for a first-time holder and when `generous` (large print). It has no patient
    until it is confirmed. The same holder and slot again, and the same `key`, give the same hold. `answer_id` is the
    answer the person came from.

    Raises SlotFull (facts: `alternatives`, three nearest open slots), NotReleased, BookingClosed, SessionStopped,
    SignInFirst, TooManyHolds, KeyReused, NotFound, NotAllowed.
    """
    ensure_may(actor, "hold", hospital_id)
    for left in (4, 3, 2, 1, 0):
        try:
            return _hold(hospital_id, slot_id, holder, actor, answer_id, generous, key)
        except IntegrityError as problem:
            rule = broken_constraint(problem)
            if (
                rule == "uq_one_hold_per_holder_and_slot"
            ):  # the other half of a double click was faster: its hold is ours
                mine = _live_hold(db.session(), hospital_id, holder, slot_id)
                if mine is not None and not (key and left):
                    return mine
            elif rule not in _SEAT_RULES:
                raise
            if not left:
                raise TooManyHolds() from problem
        except (SlotFull, TooManyHolds, SignInFirst) as refusal:
            # it may be the other half of a double click that took the seat or the last place: then its hold is ours
            mine = _live_hold(db.session(), hospital_id, holder, slot_id)
            if mine is not None:
                if key and left:
                    continue  # once more, so that the key is kept with the hold it led to
                return mine
            if isinstance(refusal, SlotFull):
                refusal.facts["alternatives"] = nearest(
                    hospital_id,
                    db_now(db.session()),
                    around=refusal.facts["starts_at"],
                    doctor_id=refusal.facts["doctor_id"],
                )
            raise
    raise AssertionError("unreachable")


@retried
def _hold(
    hospital_id: int,
    slot_id: uuid.UUID,
    holder: str,
    actor: Actor,
    answer_id: int | None,
    generous: bool,
    key: str | None,
) -> Appointment:
    appointment_id = new_id()
    with transaction() as session:
        seen = look(session, hospital_id, slot_id, holder, actor.account_id)
        now, facts, rules = seen.now, seen.facts, seen.rules
        mine = seen.live()
        body = {"slot": slot_id, "holder": holder}
        # the key comes first, also for a hold we have: it must not mean one appointment today and another tomorrow
        known = claim_key(session, hospital_id, key, "hold", body, mine or appointment_id, now)
        if known is not None:
            return session.get_one(Appointment, (hospital_id, known))
        if mine is not None:
            return session.get_one(Appointment, (hospital_id, mine))
        ensure_on_sale(facts, now)
        opening = facts.clinic.release_at + timedelta(minutes=rules.sign_in_first_minutes)
        if actor.account_id is None and now < opening:
            raise SignInFirst(slot_id=slot_id)
        seat, open_seat = choose_seats(session, seen, actor)
        first_time = generous or not seen.booked_before
        until = hold_ends(now, rules.hold_minutes_first if first_time else rules.hold_minutes)
        place_id = take_place(session, hospital_id, slot_id, appointment_id, now=now, held_until=until)
        if place_id is None:
            raise SlotFull(
                time=f"{facts.slot.starts_local:%H:%M}",
                slot_id=slot_id,
                doctor_id=facts.doctor.id,
                starts_at=facts.slot.starts_at,
                local_date=facts.clinic.local_date,
            )
        row = insert_appointment(
            session,
            hospital_id=hospital_id,
            id=appointment_id,
            status="held",
            place_id=place_id,
            holder=holder,
            holder_account_id=actor.account_id,
            holder_seat=seat,
            open_seat=open_seat,
            held_until=until,
            source_answer_id=answer_id,
            created_at=now,
            **facts.columns() | {"policy_version": rules.version},
        )
        add_event(session, row, "hold", None, "held", 1, actor=actor, now=now)
    return row


def _live_hold(
    session: Session, hospital_id: int, holder: str, slot_id: uuid.UUID, now: datetime | None = None
) -> Appointment | None:
    now = now or db_now(session)
    return session.scalars(
        select(Appointment).where(
            Appointment.hospital_id == hospital_id,
            Appointment.holder == holder,
            Appointment.slot_id == slot_id,
            Appointment.status == constant("held"),
            Appointment.held_until > now,
        )
    ).first()


def _own_hold(
    session: Session, hospital_id: int, appointment_id: uuid.UUID, holder: str, actor: Actor
) -> Appointment:
    """Lock a hold that belongs to this browser or this account; anybody else's does not exist for them.

    An offer of the waiting list is no hold: it is accepted or declined, for its own patient, until its own end.
    """
    row = lock_appointment(session, hospital_id, appointment_id)
    theirs = row is not None and (
        row.holder == holder
        or (actor.account_id is not None and actor.account_id in (row.holder_account_id, row.account_id))
    )
    if row is None or not theirs or (row.kind == "offer" and row.status in ("held", "expired")):
        raise NoSuchAppointment()
    return row


@retried
def extend_hold(hospital_id: int, appointment_id: uuid.UUID, *, holder: str, actor: Actor) -> Appointment:
    """Give a live hold its minutes again (WCAG 2.2.1); as often as the policy says, at least once.

    A repeat after that changes nothing and returns the hold. Raises HoldExpired, NoSuchAppointment.
    """
    ensure_may(actor, "extend_hold", hospital_id)
    with transaction() as session:
        row = _own_hold(session, hospital_id, appointment_id, holder, actor)
        now = db_now(session)
        if row.status != "held" or row.held_until is None or row.held_until <= now:
            raise HoldExpired(slot_id=row.slot_id)
        policy = policy_version(session, hospital_id, row.policy_version)
        if row.extensions < extensions_allowed(policy.hold_extensions):
            until = max(row.held_until, now) + timedelta(minutes=policy.hold_minutes)
            session.execute(
                update(Appointment)
                .where(
                    Appointment.hospital_id == hospital_id,
                    Appointment.id == row.id,
                    Appointment.status == "held",
                )
                .values(held_until=until, extensions=row.extensions + 1)
            )
            keep_until(session, row, until)
            session.refresh(row)
    return row


@retried
def release_hold(hospital_id: int, appointment_id: uuid.UUID, *, holder: str, actor: Actor) -> Appointment:
    """Give a hold back at once and return it; a repeat, or a hold that has run out, changes nothing."""
    ensure_may(actor, "release_hold", hospital_id)
    with transaction() as session:
        row = _own_hold(session, hospital_id, appointment_id, holder, actor)
        if row.status == "held":
            end_hold(session, row, "release", actor=actor, now=db_now(session))
    return row


def confirm(
    hospital_id: int,
    appointment_id: uuid.UUID,
    *,
    holder: str,
    actor: Actor,
    patient_id: int,
    complaint: str = "",
    remind: bool = True,
    referral: str = "",
    key: str | None = None,
) -> Appointment:
    """Turn a live hold into a booking for one of the account's patients; return the appointment in status booked.

    A live hold may be confirmed after booking closed. A repeat (double click, lost answer, same `key`) returns the same
    appointment. Letters are put in the same transaction. `referral` is the number and issuer of a referral, where the
    session asks for one.

    Raises HoldExpired (facts: slot_id), SessionStopped, NotLinked, KeyReused, NoSuchAppointment, NotAllowed and the
    refusals of `ensure_patient_may`.
    """
    ensure_may(actor, "confirm", hospital_id)
    for left in (4, 3, 2, 1, 0):
        try:
            return _confirm(
                hospital_id, appointment_id, holder, actor, patient_id, complaint, remind, referral, key
            )
        except IntegrityError as problem:
            if broken_constraint(problem) != "uq_one_visit_code_per_day" or not left:
                raise
    raise AssertionError("unreachable")


@retried
def _confirm(
    hospital_id: int,
    appointment_id: uuid.UUID,
    holder: str,
    actor: Actor,
    patient_id: int,
    complaint: str,
    remind: bool,
    referral: str,
    key: str | None,
) -> Appointment:
    body: dict[str, Any] = {"appointment": appointment_id, "patient": patient_id}
    body |= {"complaint": complaint, "remind": remind, "referral": referral}
    with transaction() as session:
        row = _own_hold(session, hospital_id, appointment_id, holder, actor)
        who = booker(session, row, actor.account_id, patient_id)
        now, policy = who.now, who.policy
        if claim_key(session, hospital_id, key, "confirm", body, appointment_id, now) is not None:
            return row
        if row.status in ("booked", *SEEN) and row.account_id == actor.account_id:
            return row  # the second half of a double click
        _ensure_live(session, row, now)
        if who.patient is None:
            raise NotLinked()
        lock_chart(session, hospital_id, patient_id, actor.account_id)
        ensure_patient_may(
            session, policy, row, patient_id, now=now, account_id=actor.account_id, referral=referral
        )
        fresh = row.kind != "offer"
        change_status(
            session,
            row,
            "confirm",
            "booked",
            actor=actor,
            now=now,
            patient_id=patient_id,
            account_id=actor.account_id,
            visit_code=new_visit_code(),
            booked_at=now,
            complaint=complaint.strip() or None,
            referral=referral.strip() or None,
            remind=remind,
            holder_seat=None,
            open_seat=None,
        )
        keep_until(session, row, None)
        if who.account.last_patient_id != patient_id:
            session.execute(
                update(Account).where(Account.id == actor.account_id).values(last_patient_id=patient_id)
            )
        people = (who.account, who.patient)
        tell(session, row, "confirmed", policy=policy, now=now, people=people, hears=who.hears, first=fresh)
    return row


def _ensure_live(session: Session, row: Appointment, now: datetime) -> None:
    if row.status == "held" and row.held_until is not None and row.held_until > now:
        return
    clinic = session.get_one(ClinicSession, (row.hospital_id, row.session_id))
    if clinic.status == "stopped":
        raise SessionStopped(doctor_id=row.doctor_id, local_date=row.visit_date)
    if row.status in ("held", "expired"):
        raise HoldExpired(slot_id=row.slot_id, doctor_id=row.doctor_id, local_date=row.visit_date)
    raise NotActive(status=STATUS_NAMES[row.status], appointment_id=row.id)
