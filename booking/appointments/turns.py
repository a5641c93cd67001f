"""What ending an offer does to its wish: the turn it costs, the other half of a pair, and the end of a wish."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from booking.appointments.announce_wish import tell_wish
from booking.appointments.models import Appointment
from booking.appointments.wish_models import WishOffer, WishPatient
from booking.appointments.wish_rules import outcome_of, turn_after
from booking.directory.policy import current_policy
from booking.outbox import BY_PHONE, Message
from booking.schedule.wanted import Wish

FORGIVEN = 2
"""Rounds that cost nothing because no phone was told of them. A number that stays dead, or that turns our messages away,
must not keep every place from those behind for as long as it waits."""
TAKEN = ("sending", "accepted", "delivered")
"""How a letter stands that may have reached somebody."""


def lock_wish(session: Session, hospital_id: int, wish_id: uuid.UUID) -> Wish | None:
    """Load a wish and lock its row until the transaction ends. Lock appointments before their wish, never after."""
    return session.get(Wish, (hospital_id, wish_id), with_for_update=True, populate_existing=True)


def lock_offers(
    session: Session, hospital_id: int, wish_id: uuid.UUID, *, round: int | None = None, skip: bool = False
) -> Sequence[Appointment]:
    """Lock the appointments of a wish's offers, those of one round or all that stand, in the order of their ids."""
    query = (
        select(Appointment)
        .join(
            WishOffer,
            (WishOffer.hospital_id == Appointment.hospital_id) & (WishOffer.appointment_id == Appointment.id),
        )
        .where(WishOffer.hospital_id == hospital_id, WishOffer.wish_id == wish_id)
        .order_by(Appointment.id)
        .with_for_update(of=Appointment, skip_locked=skip)
        .execution_options(populate_existing=True)
    )
    mine = WishOffer.outcome.is_(None) if round is None else WishOffer.round == round
    return session.scalars(query.where(mine)).all()


def lose_turn(session: Session, row: Appointment, verb: str, *, now: datetime) -> list[Appointment]:
    """Note how the offer `row` ended and give its wish back to the line; return the other half of a pair, to end as well.

    One that ran out although no letter about it could reach a phone costs no turn: nobody was asked.
    Called by whatever ends a hold of kind offer, after its place went back. A second call for the same round finds the
    wish already waiting and costs nothing more.
    """
    offer = session.scalars(
        select(WishOffer)
        .where(
            WishOffer.hospital_id == row.hospital_id,
            WishOffer.appointment_id == row.id,
            WishOffer.outcome.is_(None),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()
    if offer is None:
        return []
    offer.outcome, offer.ended_at = _outcome(session, offer, verb), now
    session.flush()
    wish = lock_wish(session, row.hospital_id, offer.wish_id)
    assert wish is not None  # a foreign key says so
    if wish.status == "offered" and wish.round == offer.round:
        kept, to_the_end = turn_after(offer.outcome, wish.turns_kept)
        wish.status, wish.turns_kept = "waiting", kept
        if to_the_end:
            wish.turn_at = now
        session.flush()
        if offer.outcome != "declined":
            policy = current_policy(session, row.hospital_id)
            facts = {"why": "stopped" if verb == "stop" else "expired"}
            tell_wish(
                session, wish, "wish_missed", policy=policy, zone=row.zone, now=now, about=row, facts=facts
            )
    others = lock_offers(session, row.hospital_id, wish.id, skip=True)
    return [other for other in others if other.status == "held"]


def _outcome(session: Session, offer: WishOffer, verb: str) -> str:
    """How an offer ends by `verb`; of a pair the second as the first, because its letters are superseded by then."""
    of_round = (
        WishOffer.hospital_id == offer.hospital_id,
        WishOffer.wish_id == offer.wish_id,
        WishOffer.round == offer.round,
    )
    other = session.scalar(
        select(WishOffer.outcome).where(*of_round, WishOffer.outcome.is_not(None)).limit(1)
    )
    if other is not None:
        return other
    if verb == "expire":
        reached = select(Message.id).where(
            Message.hospital_id == offer.hospital_id,
            Message.appointment_id.in_(select(WishOffer.appointment_id).where(*of_round)),
            Message.kind == "wish_offer",
            Message.channel.in_(BY_PHONE),
            Message.status.in_(TAKEN),
        )
        if session.scalar(reached.limit(1)) is None and _forgiven(session, offer) < FORGIVEN:
            return "withdrawn"
    return outcome_of(verb)


def _forgiven(session: Session, offer: WishOffer) -> int:
    """How many rounds of this wish cost it nothing before."""
    rounds = select(func.count(WishOffer.round.distinct())).where(
        WishOffer.hospital_id == offer.hospital_id,
        WishOffer.wish_id == offer.wish_id,
        WishOffer.outcome == "withdrawn",
    )
    return session.scalar(rounds) or 0


def close_wish(session: Session, wish: Wish, status: str, reason: str, *, now: datetime) -> None:
    """End a locked wish as served or ended; its patients may wait for the same session again."""
    wish.status, wish.end_reason, wish.ended_at = status, reason, now
    session.flush()
    session.execute(
        update(WishPatient)
        .where(WishPatient.hospital_id == wish.hospital_id, WishPatient.wish_id == wish.id)
        .values(live=False)
        .execution_options(synchronize_session=False)
    )
