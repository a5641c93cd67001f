"""The draw at the release instant: who gets which place, exactly once, with any number of workers and after any crash."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.appointments.announce import ways_to_accounts
from booking.appointments.book import book_place
from booking.appointments.draw_models import Draw, DrawEntry
from booking.appointments.draw_rules import choices, commitment_of, list_digest, order
from booking.appointments.facts import SlotFacts, slot_facts
from booking.appointments.models import Appointment
from booking.appointments.patient_rules import ensure_patient_may, lock_chart
from booking.clock import db_now
from booking.db import db, end_read, retried, transaction
from booking.directory.policy import current_policy
from booking.errors import Refusal
from booking.outbox import Letter, put
from booking.people.models import PatientLink
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.openings import assign_openings
from booking.staff.rules import SYSTEM, ensure_may

log = logging.getLogger(__name__)

BATCH = 20
TOLD_FOR = timedelta(days=1)
"""A result is worth telling for at least this long."""
LEFT_OUT = {"draw_entered": ("sms",)}
"""Ways that letters of a kind do not go."""


def draw_due() -> int:
    """Carry out every draw whose release has come, and call off those of stopped sessions; return how many ended.

    Any number of workers may run this at once: the draw's row is locked for every batch of turns, and a turn's result is
    written in the transaction that books it. A worker that dies leaves the rest to the next; the order was fixed before
    the first turn. A draw that cannot be carried out is logged and left as it is; the others go on.
    """
    session = db.session()
    now = db_now(session)
    due = (
        select(Draw.hospital_id, Draw.id)
        .join(
            ClinicSession,
            (ClinicSession.hospital_id == Draw.hospital_id) & (ClinicSession.id == Draw.session_id),
        )
        .where(
            Draw.status.in_(("waiting", "drawing")),
            or_(ClinicSession.release_at <= now, ClinicSession.status == "stopped"),
        )
        .order_by(ClinicSession.release_at, Draw.id)
    )
    found = [(hospital_id, draw_id) for hospital_id, draw_id in session.execute(due)]
    end_read()
    ended = 0
    for hospital_id, draw_id in found:
        try:
            ended += carry_out(hospital_id, draw_id)
        except Exception:
            log.exception("draw %s was not carried out", draw_id)
            end_read()
    return ended


def carry_out(hospital_id: int, draw_id: uuid.UUID) -> bool:
    """Carry out one draw whose release has come, or go on with one that was broken off; return whether it ended here.

    A repeat, and a second worker, change nothing that is done. Raises RuntimeError when the seed does not fit what was
    published: then nobody gets anything.
    """
    ensure_may(SYSTEM, "draw", hospital_id)
    if not _begin(hospital_id, draw_id):
        return False
    while True:
        step = _turns(hospital_id, draw_id)
        if step != "more":
            return step == "ended"


def _locked(session: Session, hospital_id: int, draw_id: uuid.UUID) -> Draw:
    # FOR NO KEY UPDATE: waits for people who are entering (they hold it FOR SHARE), not for rows that point here
    return session.get_one(
        Draw, (hospital_id, draw_id), with_for_update={"key_share": True}, populate_existing=True
    )


@retried
def _begin(hospital_id: int, draw_id: uuid.UUID) -> bool:
    """Close the list and fix the order; return whether there are turns to take. Whoever comes second finds it begun."""
    with transaction() as session:
        draw = _locked(session, hospital_id, draw_id)
        now = db_now(session)
        clinic = session.get_one(ClinicSession, (hospital_id, draw.session_id))
        if draw.status != "waiting":
            return draw.status == "drawing"
        if clinic.status == "stopped":
            return True
        if clinic.release_at > now or clinic.sale != "draw":
            return False
        if commitment_of(draw.seed) != draw.commitment:
            raise RuntimeError(f"the seed of draw {draw_id} is not the one that was published")
        entries = {
            entry.token: entry
            for entry in session.scalars(
                select(DrawEntry).where(
                    DrawEntry.hospital_id == hospital_id,
                    DrawEntry.draw_id == draw_id,
                    DrawEntry.status == "entered",
                )
            )
        }
        ranks = [
            {"hospital_id": hospital_id, "id": entries[token].id, "rank": rank}
            for rank, token in enumerate(order(draw.seed, entries), start=1)
        ]
        if ranks:
            session.execute(update(DrawEntry), ranks)
        draw.list_digest = list_digest(entries)
        draw.capacity = _capacity(session, draw, now)
        draw.status, draw.begun_at = "drawing", now
        session.flush()
    return True


def _capacity(session: Session, draw: Draw, now: datetime) -> dict[str, int]:
    """How many places each slot has to give at `now`, by slot id; the slots are read in time order elsewhere."""
    free = (
        select(Slot.id, func.count(Place.id))
        .join(Place, (Place.hospital_id == Slot.hospital_id) & (Place.slot_id == Slot.id))
        .where(
            Slot.hospital_id == draw.hospital_id,
            Slot.session_id == draw.session_id,
            Slot.closes_at > now,
            Place.channel == "web",
            Place.open.is_(True),
            Place.appointment_id.is_(None),
        )
        .group_by(Slot.id)
    )
    return {slot_id.hex: count for slot_id, count in session.execute(free)}


@retried
def _turns(hospital_id: int, draw_id: uuid.UUID) -> str:
    """Take the next turns in their order, or end the draw when none is left. Returns more, ended, or over (by another)."""
    with transaction() as session:
        draw = _locked(session, hospital_id, draw_id)
        now = db_now(session)
        clinic = session.get_one(ClinicSession, (hospital_id, draw.session_id), populate_existing=True)
        if draw.status not in ("waiting", "drawing"):
            return "over"
        if clinic.status in ("stopped", "draft"):
            _call_off(session, draw, clinic, now)
            return "ended"
        entries = session.scalars(
            select(DrawEntry)
            .where(
                DrawEntry.hospital_id == hospital_id,
                DrawEntry.draw_id == draw_id,
                DrawEntry.status == "entered",
            )
            .order_by(DrawEntry.rank)
            .limit(BATCH)
        ).all()
        if not entries:
            _end(session, draw, clinic, now)
            return "ended"
        left = _left(session, draw)
        for entry in entries:
            _turn(session, draw, clinic, entry, left, now)
    return "more"


def _left(session: Session, draw: Draw) -> dict[str, int]:
    """What is left of the capacity after the turns taken so far, in time order of the slots."""
    in_order = session.scalars(
        select(Slot.id)
        .where(Slot.hospital_id == draw.hospital_id, Slot.session_id == draw.session_id)
        .order_by(Slot.starts_at)
    )
    won: dict[uuid.UUID | None, int] = {
        slot_id: count
        for slot_id, count in session.execute(
            select(DrawEntry.slot_id, func.count())
            .where(
                DrawEntry.hospital_id == draw.hospital_id,
                DrawEntry.draw_id == draw.id,
                DrawEntry.status == "won",
            )
            .group_by(DrawEntry.slot_id)
        )
    }
    return {
        slot_id.hex: draw.capacity[slot_id.hex] - won.get(slot_id, 0)
        for slot_id in in_order
        if slot_id.hex in draw.capacity
    }


def _turn(
    session: Session,
    draw: Draw,
    clinic: ClinicSession,
    entry: DrawEntry,
    left: dict[str, int],
    now: datetime,
) -> None:
    """One entry takes its turn: the first wished slot that has a place and that its patient may have, or nothing."""
    refused: dict[str, str] = {}
    for slot in choices(entry.wishes, left):
        if left[slot] < 1:
            continue
        booked, why = _book(session, entry, uuid.UUID(slot), now)
        if booked is None:
            refused[slot] = why
            continue
        left[slot] -= 1
        entry.status, entry.slot_id, entry.appointment_id = "won", uuid.UUID(slot), booked.id
        break
    else:
        entry.status = "lost"
        tell_entrants(session, [entry], "draw_lost", clinic, now)
    entry.refused, entry.settled_at = refused, now
    session.flush()


def _book(
    session: Session, entry: DrawEntry, slot_id: uuid.UUID, now: datetime
) -> tuple[Appointment | None, str]:
    """Book a place of the slot for the entrant, or say in one word why not; a refusal leaves nothing behind."""
    link = session.get(PatientLink, (entry.account_id, entry.patient_id), populate_existing=True)
    if link is None or link.ended_at is not None:
        return None, "NotLinked"
    try:
        with session.begin_nested():
            facts: SlotFacts = slot_facts(session, entry.hospital_id, slot_id)
            policy = current_policy(session, entry.hospital_id)
            lock_chart(session, entry.hospital_id, entry.patient_id, entry.account_id)
            wanted = Appointment(hospital_id=entry.hospital_id, **facts.columns())
            ensure_patient_may(
                session, policy, wanted, entry.patient_id, now=now, account_id=entry.account_id
            )
            booked = book_place(
                session,
                facts,
                patient_id=entry.patient_id,
                account_id=entry.account_id,
                policy=policy,
                kind="draw",
                channel="draw",
                actor=SYSTEM,
                now=now,
                verb="draw",
                event_facts={"entry": entry.id.hex, "rank": entry.rank},
            )
    except Refusal as refusal:
        return None, type(refusal).__name__
    except IntegrityError:
        return None, "AlreadyBooked"
    return (booked, "") if booked else (None, "SlotFull")


def _end(session: Session, draw: Draw, clinic: ClinicSession, now: datetime) -> None:
    """Reveal the seed and let what is left be had by anybody."""
    draw.status, draw.drawn_at = "drawn", now
    clinic.drawn_at = now
    session.flush()
    assign_openings(session, clinic, now=now)


def _call_off(session: Session, draw: Draw, clinic: ClinicSession, now: datetime) -> None:
    """End a draw of a session that does not happen: whoever entered is told; reopened, it sells first come."""
    entries = session.scalars(
        select(DrawEntry).where(
            DrawEntry.hospital_id == draw.hospital_id,
            DrawEntry.draw_id == draw.id,
            DrawEntry.status == "entered",
        )
    ).all()
    for entry in entries:
        entry.status, entry.settled_at = "withdrawn", now
    tell_entrants(session, entries, "draw_off", clinic, now)
    draw.status = "off"
    clinic.sale, clinic.entries_from = "first_come", None
    session.flush()
    assign_openings(session, clinic, now=now)


def tell_entrants(
    session: Session, entries: Sequence[DrawEntry], kind: str, clinic: ClinicSession, now: datetime
) -> None:
    """Put the letters about entries over every way their accounts have; a receipt is worth no short message."""
    ways = ways_to_accounts(session, [entry.account_id for entry in entries])
    letters = [
        Letter(
            kind,
            way.channel,
            way.recipient,
            due_at=now,
            expires_at=max(clinic.starts_at, now + TOLD_FOR),
            account_id=way.account_id,
            facts={"entry": entry.id.hex},
            about=entry.id,
        )
        for entry in entries
        for way in ways.get(entry.account_id, ())
        if way.channel not in LEFT_OUT.get(kind, ())
    ]
    if letters:
        put(session, entries[0].hospital_id, letters, now=now)
