"""The call list (电话名单): who was not reached by any letter that mattered and must be rung."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import and_, exists, select, update
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite
from sqlalchemy.orm import Session, aliased

from booking.appointments.announce import is_urgent
from booking.appointments.models import Appointment, AppointmentEvent
from booking.clock import db_now
from booking.db import core, end_read, new_id, retried, transaction
from booking.directory.models import Hospital, Policy
from booking.notices.models import PhoneCall
from booking.outbox import BY_PHONE, Message, receipts_from
from booking.staff.rules import ROLES

MUST_REACH = ("stopped", "cancelled", "moved", "confirmed", "wish_offer")
BY_THE_HOSPITAL = ("draw",)
"""Bookings that happened while nobody was there to see it: their confirmation is the only word of them."""
LOOK_BACK = timedelta(days=7)
LONGEST_PAUSE = timedelta(minutes=20)
"""No letter rests longer between two tries (`rules.LADDER`), unless its provider asked for more."""
SOON = timedelta(hours=24)
BATCH = 200


class AsSent(Protocol):
    """What the question "was this person reached" needs of a letter: a Message or a page's view of one."""

    @property
    def channel(self) -> str: ...
    @property
    def status(self) -> str: ...


@dataclass(frozen=True)
class Listed:
    """What one look changed: calls put on the list, and open ones that are no longer needed."""

    opened: int = 0
    closed: int = 0


def reach(letters: Iterable[AsSent]) -> str:
    """Return what became of one change's letters to one visit's people: reached, accepted, leaving or call.

    The best of the phone's channels counts, to whomever it went; without any of those, somebody has to call.
    """
    states = {one.status for one in letters if one.channel in BY_PHONE}
    if "delivered" in states:
        return "reached"
    if "accepted" in states:
        return "accepted"
    return "leaving" if states & {"waiting", "sending"} else "call"


def list_calls() -> Listed:
    """Put every visit on the call list that the hospital changed and whose people no letter reached; close what is over.

    Listed is a letter that must arrive (a stop, a cancellation or a move by the hospital, a place won in a draw, an offer
    of the waiting list while it stands) when all its ways to a phone failed, expired or were not possible; and a stop or
    a change of the same day whose message no receipt confirmed `policy.call_after_minutes` after it was accepted, if its
    provider is one that gives receipts (RECEIPTS_FROM), or whose message has not left by then although the visit is
    within a day. One open call per appointment; a change that was on the list once does not come back. An open call closes
    as not needed when the letter was delivered after all or the visit changed again. A repeat changes nothing; any number
    of workers may run this.
    """
    opened = closed = 0
    session = end_read()
    for hospital_id in session.scalars(select(Hospital.id).order_by(Hospital.id)).all():
        done = list_calls_of(hospital_id)
        opened, closed = opened + done.opened, closed + done.closed
    return Listed(opened, closed)


@retried
def list_calls_of(hospital_id: int) -> Listed:
    """As `list_calls`, for one hospital."""
    session = end_read()
    now = db_now(session)
    changed = sorted(
        {
            *_with_failures(session, hospital_id, now),
            *_unconfirmed(session, hospital_id, now),
            *_stuck(session, hospital_id, now),
        }
    )
    opened = 0
    for start in range(0, len(changed), BATCH):
        with transaction() as session:
            opened += _open(session, hospital_id, changed[start : start + BATCH], db_now(session))
    with transaction() as session:
        closed = _close(session, hospital_id, db_now(session))
    return Listed(opened, closed)


def _about_now(message: Any) -> Any:
    """The letter tells of the visit as it is: nothing has changed since."""
    return and_(
        Appointment.hospital_id == message.hospital_id,
        Appointment.id == message.appointment_id,
        Appointment.version == message.version,
    )


def _never_listed(message: Any) -> Any:
    """No call, open or done, was about this change of the visit."""
    about = aliased(Message)
    return ~exists().where(
        PhoneCall.hospital_id == message.hospital_id,
        PhoneCall.appointment_id == message.appointment_id,
        about.hospital_id == PhoneCall.hospital_id,
        about.id == PhoneCall.message_id,
        about.version == message.version,
    )


def _with_failures(session: Session, hospital_id: int, now: datetime) -> list[uuid.UUID]:
    """Visits some of whose letters of the present version did not arrive (reads ix_message_failed)."""
    query = (
        select(Message.appointment_id)
        .join(Appointment, _about_now(Message))
        .where(
            Message.hospital_id == hospital_id,
            Message.status.in_(("failed", "expired", "suppressed")),
            Message.next_at > now - LOOK_BACK,
            Message.kind.in_(MUST_REACH),
            _never_listed(Message),
        )
        .distinct()
    )
    return [one for one in session.scalars(query) if one is not None]


def _unconfirmed(session: Session, hospital_id: int, now: datetime) -> list[uuid.UUID]:
    """Visits with an accepted letter that no receipt has confirmed for a while (reads ix_message_sent)."""
    known = receipts_from()
    if not known:
        return []
    query = (
        select(Message.appointment_id)
        .join(Appointment, _about_now(Message))
        .where(
            Message.hospital_id == hospital_id,
            Message.sent_at > now - timedelta(days=1),
            Message.status == "accepted",
            Message.provider.in_(known),
            Message.channel.in_(BY_PHONE),
            Message.kind.in_(("stopped", "cancelled", "moved")),
            _never_listed(Message),
        )
        .distinct()
    )
    return [one for one in session.scalars(query) if one is not None]


def _stuck(session: Session, hospital_id: int, now: datetime) -> list[uuid.UUID]:
    """Visits of the coming day with a letter that is due and has not left, tried or not (reads ix_message_due)."""
    query = (
        select(Message.appointment_id)
        .join(Appointment, _about_now(Message))
        .where(
            Message.hospital_id == hospital_id,
            Message.status.in_(("waiting", "sending")),
            Message.next_at < now + LONGEST_PAUSE,
            Message.due_at <= now,
            Message.channel.in_(BY_PHONE),
            Message.kind.in_(("stopped", "cancelled", "moved")),
            Appointment.starts_at < now + SOON,
            _never_listed(Message),
        )
        .distinct()
    )
    return [one for one in session.scalars(query) if one is not None]


def _open(session: Session, hospital_id: int, ids: Sequence[uuid.UUID], now: datetime) -> int:
    opened = 0
    letters = _letters_about(session, hospital_id, ids)
    for row, verb, actor_kind, after in _changes(session, hospital_id, ids):
        mine = [
            one for one in letters.get(row.id, []) if one.version == row.version and one.kind in MUST_REACH
        ]
        if not mine or not (_hospital_did(row, verb, actor_kind) or _is_offered(row, now)):
            continue
        state, reason = reach(mine), "failed"
        if state in ("accepted", "leaving"):
            late = _silent if state == "accepted" else _late
            if not late(row, mine, after, now):
                continue
            reason = "no_receipt"
        elif state != "call":
            continue
        told = next((one for one in mine if one.channel in BY_PHONE), mine[0])
        opened += _put_call(session, row, told, reason, now)
    return opened


def _changes(session: Session, hospital_id: int, ids: Sequence[uuid.UUID]) -> list[Any]:
    """The visits with what made them what they are: verb and kind of actor; and their policy's minutes to wait."""
    return list(
        session.execute(
            select(Appointment, AppointmentEvent.verb, AppointmentEvent.actor_kind, Policy.call_after_minutes)
            .join(
                AppointmentEvent,
                and_(
                    AppointmentEvent.hospital_id == Appointment.hospital_id,
                    AppointmentEvent.appointment_id == Appointment.id,
                    AppointmentEvent.version == Appointment.version,
                ),
            )
            .join(
                Policy,
                and_(
                    Policy.hospital_id == Appointment.hospital_id,
                    Policy.version == Appointment.policy_version,
                ),
            )
            .where(Appointment.hospital_id == hospital_id, Appointment.id.in_(ids))
        )
    )


def _letters_about(
    session: Session, hospital_id: int, ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, list[Message]]:
    found: dict[uuid.UUID, list[Message]] = {}
    for one in session.scalars(
        select(Message)
        .where(Message.hospital_id == hospital_id, Message.appointment_id.in_(list(ids)))
        .order_by(Message.id)
    ):
        if one.appointment_id is not None:
            found.setdefault(one.appointment_id, []).append(one)
    return found


def _hospital_did(row: Appointment, verb: str, actor_kind: str) -> bool:
    """Whether the people may not know: it was not they who cancelled, moved or booked."""
    if row.status == "cancelled":
        return verb == "stop" or row.cancelled_by == "hospital"
    return row.status == "booked" and ((verb == "move" and actor_kind in ROLES) or verb in BY_THE_HOSPITAL)


def _is_offered(row: Appointment, now: datetime) -> bool:
    """Whether somebody on the waiting list may still answer; the next version of the row ends the call."""
    return (
        row.kind == "offer" and row.status == "held" and row.held_until is not None and row.held_until > now
    )


def _silent(row: Appointment, letters: list[Message], after: int, now: datetime) -> bool:
    """Whether a stop, or a change of the same day, was accepted `after` minutes ago and nobody has confirmed it since."""
    accepted = [one for one in letters if one.status == "accepted" and one.channel in BY_PHONE]
    # a voice call is itself what follows a silent SMS: taken by its provider, it does not mean that anybody answered
    accepted = [one for one in accepted if one.channel != "voice"] or accepted
    if not all(one.provider in receipts_from() and one.sent_at for one in accepted):
        return False
    sent = max(one.sent_at for one in accepted if one.sent_at)
    if now < sent + timedelta(minutes=after):
        return False
    return is_urgent(row, letters[0].kind, letters[0].facts, sent)


def _late(row: Appointment, letters: list[Message], after: int, now: datetime) -> bool:
    """Whether a stop, or a change of the same day, of a visit that is near has not left `after` minutes after it was due."""
    due = min(one.due_at for one in letters if one.channel in BY_PHONE)
    return (
        now >= due + timedelta(minutes=after)
        and row.starts_at < now + SOON
        and is_urgent(row, letters[0].kind, letters[0].facts, due)
    )


def _put_call(session: Session, row: Appointment, letter: Message, reason: str, now: datetime) -> int:
    sqlite = session.get_bind().dialect.name == "sqlite"
    made = (insert_sqlite if sqlite else insert_postgresql)(core(PhoneCall)).on_conflict_do_nothing()
    once = made.returning(core(PhoneCall).c.id)
    values = {
        "hospital_id": row.hospital_id,
        "id": new_id(),
        "appointment_id": row.id,
        "message_id": letter.id,
        "kind": letter.kind,
        "reason": reason,
        "created_at": now,
    }
    return int(session.connection().execute(once, values).first() is not None)


def _close(session: Session, hospital_id: int, now: datetime) -> int:
    """Close the open calls whose letter was delivered after all, or whose visit has changed since."""
    rows = session.execute(
        select(PhoneCall, Message.version, Appointment.version)
        .join(Message, and_(Message.hospital_id == PhoneCall.hospital_id, Message.id == PhoneCall.message_id))
        .join(
            Appointment,
            and_(
                Appointment.hospital_id == PhoneCall.hospital_id, Appointment.id == PhoneCall.appointment_id
            ),
        )
        .where(PhoneCall.hospital_id == hospital_id, PhoneCall.done_at.is_(None))
    ).all()
    letters = _letters_about(session, hospital_id, [call.appointment_id for call, _, _ in rows])
    over = [
        call.id
        for call, told, stands in rows
        if told != stands
        or reach(
            one
            for one in letters.get(call.appointment_id, [])
            if one.version == told and one.kind == call.kind
        )
        == "reached"
    ]
    if not over:
        return 0
    done = session.execute(
        update(PhoneCall)
        .where(PhoneCall.hospital_id == hospital_id, PhoneCall.id.in_(over), PhoneCall.done_at.is_(None))
        .values(done_at=now, done_by="", outcome="not_needed")
        .execution_options(synchronize_session=False)
    )
    return int(getattr(done, "rowcount", 0))
