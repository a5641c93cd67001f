"""Tell those who wait for a session that it was stopped, when there is nothing else they could still get."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from booking.appointments.announce import ways_to_accounts
from booking.appointments.announce_wish import tell_wish
from booking.appointments.models import Appointment
from booking.appointments.wish_lines import who_may_still_get
from booking.appointments.wish_models import WishOffer
from booking.directory.models import Practice
from booking.directory.policy import current_policy
from booking.outbox import Message, supersede_letters
from booking.schedule.models import ClinicSession
from booking.schedule.wanted import WAITING, Wish, covers, with_practice

AT_ONCE = 500
"""Wishes that one question is asked about: a database takes a list of values of a certain length only."""


def tell_waiting(session: Session, clinic: ClinicSession, *, now: datetime) -> int:
    """Put the letters to whoever waits for a session that has just been stopped and for nothing else; return how many.

    At the end of the transaction that stops it. The wishes stay open: a session that is reopened asks them in the order
    it would have. Who had an offer of this session was told when it ended. Told once for each stop of a session.

    The wishes are locked in the order in which the list is asked, after the appointments: when two sessions are stopped
    at once, whichever comes second finds the other stopped, so that who waited for both is told.
    """
    waiting = session.scalars(
        select(Wish)
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(Wish, covers())
        .where(
            ClinicSession.hospital_id == clinic.hospital_id,
            ClinicSession.id == clinic.id,
            Wish.status == WAITING,
            Wish.ends_at > now,
        )
        .order_by(Wish.turn_at, Wish.id)
        .with_for_update(of=Wish, key_share=True)
        .execution_options(populate_existing=True)
    ).all()
    parts = (waiting[at : at + AT_ONCE] for at in range(0, len(waiting), AT_ONCE))
    return sum(_tell(session, clinic, some, now) for some in parts)


def _tell(session: Session, clinic: ClinicSession, wishes: Sequence[Wish], now: datetime) -> int:
    told_with_their_offer = session.scalars(
        select(WishOffer.wish_id)
        .join(
            Appointment,
            and_(
                Appointment.hospital_id == WishOffer.hospital_id, Appointment.id == WishOffer.appointment_id
            ),
        )
        .where(
            WishOffer.hospital_id == clinic.hospital_id,
            WishOffer.wish_id.in_([one.id for one in wishes]),
            WishOffer.ended_at == now,
            Appointment.session_id == clinic.id,
        )
    ).all()
    may_still_get = who_may_still_get(session, clinic.hospital_id, wishes, now)
    told = [one for one in wishes if one.id not in may_still_get and one.id not in told_with_their_offer]
    _end_earlier(session, clinic.hospital_id, told)
    policy, change = current_policy(session, clinic.hospital_id), (clinic.id, clinic.version)
    ways = ways_to_accounts(session, [one.account_id for one in told])
    return sum(
        tell_wish(
            session,
            one,
            "wish_stopped",
            policy=policy,
            zone=clinic.zone,
            now=now,
            change=change,
            ways=ways.get(one.account_id, ()),
        )
        for one in told
    )


def _end_earlier(session: Session, hospital_id: int, told: Sequence[Wish]) -> None:
    """End what earlier stops put for these wishes and has not left (a night, a carrier that is away): one letter says it."""
    rows = session.execute(
        select(Message.id, Message.kind, Message.facts).where(
            Message.hospital_id == hospital_id,
            Message.account_id.in_({one.account_id for one in told}),
            Message.wish_id.in_([one.id for one in told]),
            Message.kind.in_(("wish_stopped", "wish_missed")),
            Message.status == "waiting",
        )
    )
    stale = [id for id, kind, facts in rows if kind == "wish_stopped" or facts.get("why") == "stopped"]
    if stale:
        supersede_letters(session, hospital_id, stale)
