"""Who on the waiting list can use a freed place: in which order they are asked, and what a pair needs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import Session

from booking.appointments.announce_wish import tell_wish
from booking.appointments.facts import SlotFacts, slot_facts
from booking.appointments.models import Appointment
from booking.appointments.patient_rules import ensure_patient_may
from booking.appointments.turns import close_wish, lock_wish
from booking.appointments.wish_models import WishOffer, WishPatient
from booking.appointments.wish_rules import ASKED_WHEN_ACCEPTED
from booking.directory.models import Policy, Practice
from booking.errors import Refusal
from booking.people.models import PatientLink
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.sellable import sellable
from booking.schedule.waiting_rules import LEAST_TO_ANSWER, accept_by
from booking.schedule.wanted import WAITING, Wish, covers, with_practice

SERVED = ("confirming", "booked", "arrived", "in_visit", "fulfilled")
"""Whoever has such a visit since they joined has what they waited for, to come or kept."""


@dataclass(frozen=True)
class Seat:
    """A place that one patient is offered, with what stands on it."""

    patient_id: int
    place_id: uuid.UUID
    facts: SlotFacts


def in_order(session: Session, place: Place, facts: SlotFacts, now: datetime) -> Iterator[Wish]:
    """Yield, locked, the wishes that may be asked about a place, in the order of joining.

    Only those who had joined when it came back (who joins afterwards must not be able to arrange it), who were not asked
    about it since, and who have not declined this time before.
    """
    mine = (WishOffer.hospital_id == Wish.hospital_id, WishOffer.wish_id == Wish.id)
    unsuited = or_(
        WishOffer.outcome.is_(None),
        and_(WishOffer.place_id == place.id, WishOffer.made_at >= place.freed_at),
        and_(WishOffer.slot_id == place.slot_id, WishOffer.outcome == "declined"),
    )
    ids = session.scalars(
        select(Wish.id)
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(Wish, covers())
        .where(
            ClinicSession.hospital_id == place.hospital_id,
            ClinicSession.id == facts.clinic.id,
            Wish.status == WAITING,
            Wish.ends_at > now,
            Wish.joined_at <= place.freed_at,
            ~exists().where(*mine, unsuited),
        )
        .order_by(Wish.turn_at, Wish.id)
    ).all()
    for wish_id in ids:
        wish = lock_wish(session, place.hospital_id, wish_id)
        if wish is not None and wish.status == "waiting":
            yield wish


def seats_for(
    session: Session, wish: Wish, place: Place, facts: SlotFacts, policy: Policy, now: datetime
) -> list[Seat] | None:
    """Return a place for every patient of a wish, [] when it cannot use this one, None when a pair lacks the second."""
    patients = session.scalars(
        select(WishPatient.patient_id)
        .where(WishPatient.hospital_id == wish.hospital_id, WishPatient.wish_id == wish.id)
        .order_by(WishPatient.seat)
    ).all()
    if _is_served(session, wish, patients, facts):
        close_wish(session, wish, "ended", "booked", now=now)
        zone, why = facts.clinic.zone, {"why": "booked"}
        tell_wish(session, wish, "wish_ended", policy=policy, zone=zone, now=now, facts=why)
        return []
    seats = [Seat(patients[0], place.id, facts)]
    if not all(_suits(session, wish, patient_id, facts, policy) for patient_id in patients):
        return []
    if wish.party == 2:
        second = _second_place(session, place, facts, now)
        if second is None:
            return None
        beside = slot_facts(session, place.hospital_id, second.slot_id)
        if not _suits(session, wish, patients[1], beside, policy):
            return []
        seats.append(Seat(patients[1], second.id, beside))
    return seats


def _is_served(session: Session, wish: Wish, patients: Sequence[int], facts: SlotFacts) -> bool:
    """Whether everybody has booked since joining what the wish is for: this doctor or department within its dates."""
    booked = session.scalars(
        select(Appointment.patient_id)
        .where(
            Appointment.hospital_id == wish.hospital_id,
            Appointment.patient_id.in_(patients),
            Appointment.status.in_(SERVED),
            Appointment.visit_date.between(wish.first_date, wish.last_date),
            or_(
                Appointment.doctor_id == facts.doctor.id,
                Appointment.department_id == facts.department.id,
            ),
            Appointment.booked_at >= wish.joined_at,
        )
        .distinct()
    ).all()
    return set(booked) == set(patients)


def _suits(session: Session, wish: Wish, patient_id: int, facts: SlotFacts, policy: Policy) -> bool:
    """Whether a patient could book this slot now; accepting asks again, under the lock of the patient's chart."""
    link = session.get(PatientLink, (wish.account_id, patient_id))
    if link is None or link.ended_at is not None:
        return False
    wanted = Appointment(hospital_id=wish.hospital_id, **facts.columns())
    try:
        ensure_patient_may(
            session, policy, wanted, patient_id, account_id=wish.account_id, referral=ASKED_WHEN_ACCEPTED
        )
    except Refusal:
        return False
    return True


def _second_place(session: Session, place: Place, facts: SlotFacts, now: datetime) -> Place | None:
    """Lock another free place of the same session, resting or on sale, in the same slot or as near as can be."""
    free = session.execute(
        select(Place, Slot.starts_at)
        .join(Slot, and_(Slot.hospital_id == Place.hospital_id, Slot.id == Place.slot_id))
        .where(
            Place.hospital_id == place.hospital_id,
            Place.session_id == place.session_id,
            Place.id != place.id,
            Place.appointment_id.is_(None),
            or_(sellable(now), sellable(now, resting=True)),
            Slot.closes_at >= now + LEAST_TO_ANSWER,
        )
        .with_for_update(of=Place, skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    near = sorted(free, key=lambda one: (abs(one.starts_at - facts.slot.starts_at), one.starts_at))
    return near[0][0] if near else None


def kept_for_a_pair(freed_at: datetime, facts: SlotFacts, policy: Policy) -> datetime:
    """Until when a place that a pair is first in line for waits for a second one, before others are asked about it."""
    latest = facts.slot.closes_at - 2 * timedelta(minutes=policy.offer_minutes)
    return accept_by(
        freed_at,
        policy.pair_minutes,
        quiet_from=policy.quiet_from,
        quiet_to=policy.quiet_to,
        zone=facts.clinic.zone,
        closes_at=latest,
    )
