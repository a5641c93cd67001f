"""Offer freed places to the waiting list: each to one wish at a time, in the order of joining (R21–R24)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, tuple_, update
from sqlalchemy.orm import Session

from booking.appointments.announce_wish import tell_wish
from booking.appointments.book import insert_with_code
from booking.appointments.eligible import Seat, in_order, kept_for_a_pair, seats_for
from booking.appointments.facts import SlotFacts, ensure_on_sale, slot_facts
from booking.appointments.models import Appointment
from booking.appointments.places import add_event, end_stale_holds, take_kept_place
from booking.appointments.wish_models import WishOffer
from booking.clock import db_now
from booking.db import constant, db, end_read, new_id, retried, transaction
from booking.directory.models import Hospital, Policy
from booking.directory.policy import current_policy
from booking.errors import Refusal
from booking.schedule.models import Place
from booking.schedule.sellable import sellable
from booking.schedule.waiting_rules import LEAST_TO_ANSWER, accept_by, list_closes, rest_until
from booking.schedule.wanted import Wish
from booking.staff.rules import SYSTEM, ensure_may

Cursor = tuple[datetime, uuid.UUID]


def offer_places() -> int:
    """Offer every place that came back and is wanted; return how many offers were made.

    Hospital by hospital. Any number of workers may run this at once: one at a time asks in a hospital, the others go on,
    so the order of joining is kept. Offers that ran out are ended first, so that the next in line is asked. A repeat finds
    nothing new. What nobody on the list can use rests until its minute has come.
    """
    ensure_may(SYSTEM, "offer_places", 0)
    session = db.session()
    now = db_now(session)
    to_ask = select(Place.hospital_id).where(
        Place.freed_at.is_not(None), Place.appointment_id.is_(None), Place.rests_until > now
    )
    run_out = select(Appointment.hospital_id).where(
        Appointment.status == constant("held"), Appointment.held_until <= now, Appointment.kind == "offer"
    )
    hospitals = {*session.scalars(to_ask.distinct()), *session.scalars(run_out.distinct())}
    end_read()
    made = 0
    for hospital_id in sorted(hospitals):
        _end_run_out(hospital_id)
        after: Cursor | None = None
        while (step := _offer_next(hospital_id, after)) is not None:
            after, offered = step
            made += offered
    return made


@retried
def _end_run_out(hospital_id: int) -> int:
    with transaction() as session:
        return end_stale_holds(session, hospital_id, db_now(session))


@retried
def _offer_next(hospital_id: int, after: Cursor | None) -> tuple[Cursor, int] | None:
    """Ask the list about the next place after `after`; None when there is none, or somebody else is asking here."""
    with transaction() as session:
        if not _has_the_word(session, hospital_id):
            return None
        now = db_now(session)
        place = _next_place(session, hospital_id, after, now)
        if place is None:
            return None
        assert place.freed_at is not None  # the query asks for it
        cursor = (place.freed_at, place.id)
        policy = current_policy(session, hospital_id)
        facts = _may_be_offered(session, place, policy, now)
        if facts is not None:
            for wish in in_order(session, place, facts, now):
                seats = seats_for(session, wish, place, facts, policy, now)
                if seats:
                    _make_offer(session, wish, seats, policy, now)
                    return cursor, len(seats)
                kept = kept_for_a_pair(place.freed_at, facts, policy)
                if seats is None and now < kept:
                    _rest_beyond(session, place, kept, facts, policy)
                    return cursor, 0
        session.execute(
            update(Place)
            .where(Place.hospital_id == hospital_id, Place.id == place.id)
            .values(freed_at=None)
            .execution_options(synchronize_session=False)
        )
    return cursor, 0


def _has_the_word(session: Session, hospital_id: int) -> bool:
    """Whether this worker asks in the hospital now: it locks the hospital's row, which no booking waits for."""
    mine = select(Hospital.id).where(Hospital.id == hospital_id)
    return session.scalar(mine.with_for_update(key_share=True, skip_locked=True)) is not None


def _next_place(session: Session, hospital_id: int, after: Cursor | None, now: datetime) -> Place | None:
    query = select(Place).where(
        Place.hospital_id == hospital_id,
        Place.freed_at.is_not(None),
        Place.appointment_id.is_(None),
        Place.rests_until > now,
    )
    if after is not None:
        query = query.where(tuple_(Place.freed_at, Place.id) > after)
    return session.scalars(
        query.order_by(Place.freed_at, Place.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).first()


def _may_be_offered(session: Session, place: Place, policy: Policy, now: datetime) -> SlotFacts | None:
    """Return what stands on a place the list may be asked about at `now`: on sale, and time enough to answer (R24)."""
    still = select(Place.id).where(
        Place.hospital_id == place.hospital_id, Place.id == place.id, sellable(now, resting=True)
    )
    if session.scalar(still) is None:
        return None
    try:
        facts = slot_facts(session, place.hospital_id, place.slot_id)
        ensure_on_sale(facts, now)
    except Refusal:
        return None
    clinic = facts.clinic
    closes = list_closes(policy.wish_ends_days_before, policy.wish_ends_time, clinic.local_date, clinic.zone)
    return facts if now < closes and facts.slot.closes_at - now >= LEAST_TO_ANSWER else None


def _rest_beyond(session: Session, place: Place, kept: datetime, facts: SlotFacts, policy: Policy) -> None:
    """See that a place kept for a pair does not come back to everybody before those behind the pair were asked."""
    asked_by = kept + LEAST_TO_ANSWER
    assert place.rests_until is not None  # it was found resting
    if place.rests_until > asked_by:
        return
    until = rest_until(
        asked_by,
        window_from=policy.return_from,
        window_to=policy.return_to,
        zone=facts.clinic.zone,
        closes_at=facts.slot.closes_at,
        pick=random.randrange,
    )
    if until is not None:
        place.rests_until = until
        session.flush()


def _make_offer(session: Session, wish: Wish, seats: Sequence[Seat], policy: Policy, now: datetime) -> None:
    """Hold the places for the wish until `accept_by`: one appointment of kind offer for each patient."""
    until = accept_by(
        now,
        policy.offer_minutes,
        quiet_from=policy.quiet_from,
        quiet_to=policy.quiet_to,
        zone=seats[0].facts.clinic.zone,
        closes_at=min(seat.facts.slot.closes_at for seat in seats),
    )
    wish.status, wish.round = "offered", wish.round + 1
    session.flush()
    rows = []
    for seat in seats:
        appointment_id = new_id()
        take_kept_place(session, wish.hospital_id, seat.place_id, appointment_id, held_until=until, now=now)
        insert_with_code(
            session,
            {
                "hospital_id": wish.hospital_id,
                "id": appointment_id,
                "status": "held",
                "version": 1,
                "kind": "offer",
                "place_id": seat.place_id,
                "holds_place_id": seat.place_id,
                "patient_id": seat.patient_id,
                "account_id": wish.account_id,
                "holder_account_id": wish.account_id,
                "held_until": until,
                "created_at": now,
                **seat.facts.columns() | {"policy_version": policy.version},
            },
        )
        row = session.get_one(Appointment, (wish.hospital_id, appointment_id))
        about = {"wish": wish.id.hex}
        add_event(session, row, "offer", None, "held", 1, actor=SYSTEM, now=now, facts=about)
        session.add(
            WishOffer(
                hospital_id=wish.hospital_id,
                id=new_id(),
                wish_id=wish.id,
                appointment_id=appointment_id,
                patient_id=seat.patient_id,
                place_id=seat.place_id,
                slot_id=seat.facts.slot.id,
                round=wish.round,
                made_at=now,
                accept_by=until,
            )
        )
        rows.append(row)
    session.flush()
    zone = seats[0].facts.clinic.zone
    tell_wish(session, wish, "wish_offer", policy=policy, zone=zone, now=now, about=rows[0], expires_at=until)
