"""Sending a letter once more that failed or came too late, because a person at the desk says so."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, and_, text

from booking.clock import db_now
from booking.db import retried, transaction
from booking.errors import NotFound, Refusal
from booking.notices.writing import WANTED
from booking.outbox import Message, put_again
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

OVER = ("failed", "expired")


class NotFailed(Refusal):
    message = "这条通知没有失败，不需要重发。"


class NoLongerTrue(Refusal):
    message = "预约已经变了，这条通知说的不再是事实，不能重发。"


def worth_sending(now: datetime) -> ColumnElement[bool]:
    """SQL over `message`: it failed or expired, what it says is still so, and it is not too late to be of use."""
    return and_(Message.status.in_(OVER), Message.expires_at > now, text(f"({WANTED}) IS TRUE"))


@retried
def resend(hospital_id: int, message_id: uuid.UUID, *, actor: Actor) -> bool:
    """Put a failed or expired letter again, due at once; return False when that was done before (a repeat changes nothing).

    The new letter is another row with a reference and a dedupe key of its own; the old one stays as it ended. It is
    written from the newest rows and goes to the address that is kept now. Raises NotFailed, NoLongerTrue, NotFound,
    NotAllowed.
    """
    ensure_may(actor, "resend", hospital_id)
    with transaction() as session:
        letter = session.get(Message, (hospital_id, message_id), with_for_update=True)
        if letter is None:
            raise NotFound("没有找到这条通知。")
        if letter.status not in OVER:
            raise NotFailed
        now = db_now(session)
        still = session.query(Message.id).filter(
            Message.hospital_id == hospital_id, Message.id == message_id, worth_sending(now)
        )
        if still.first() is None:
            raise NoLongerTrue
        again = put_again(session, letter, now=now)
        if again is None:
            return False
        change = {
            "kind": letter.kind,
            "channel": letter.channel,
            "letter": letter.id.hex,
            "again": again.id.hex,
        }
        record(
            session,
            hospital_id,
            actor,
            "resend",
            "appointment" if letter.appointment_id else "message",
            letter.appointment_id or letter.id,
            now=now,
            change=change,
        )
    return True
