"""Ticking off the call list: what came of ringing somebody."""

from __future__ import annotations

import uuid

from booking.clock import db_now
from booking.db import retried, transaction
from booking.errors import BadInput, NotFound, Refusal
from booking.notices.models import PhoneCall
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

OUTCOMES = ("reached", "no_answer", "wrong_number", "not_needed")


class CallDone(Refusal):
    message = "这个电话已经有同事处理过了，没有重复记录。"


@retried
def tick_off(
    hospital_id: int, call_id: uuid.UUID, *, actor: Actor, outcome: str, tries: int, note: str = ""
) -> PhoneCall:
    """Record what came of ringing; return the call. `no_answer` leaves it on the list with one try more.

    `tries` is how many the caller saw on the page: a repeat of the same click changes nothing. Raises CallDone when
    somebody else has ended the call otherwise, BadInput, NotFound, NotAllowed.
    """
    ensure_may(actor, "make_calls", hospital_id)
    if outcome not in OUTCOMES:
        raise BadInput("请选择打电话的结果。")
    with transaction() as session:
        call = session.get(PhoneCall, (hospital_id, call_id), with_for_update=True)
        if call is None:
            raise NotFound("没有找到这个电话。")
        if call.done_at is not None:
            if call.outcome == outcome:
                return call
            raise CallDone
        if outcome == "no_answer" and call.tries != tries:
            return call
        now = db_now(session)
        call.tries += outcome != "not_needed"
        call.outcome, call.note, call.done_by = outcome, note.strip()[:200], actor.id[:40]
        call.done_at = None if outcome == "no_answer" else now
        session.flush()
        record(
            session,
            hospital_id,
            actor,
            "make_calls",
            "appointment",
            call.appointment_id,
            now=now,
            change={"outcome": outcome, "tries": call.tries},
            reason=call.note,
        )
    return call
