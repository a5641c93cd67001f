"""Sending what is due: claim, look again, write, send with no database connection held, settle."""

from __future__ import annotations

import logging
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from flask import current_app
from flask_babel import force_locale
from sqlalchemy import delete, update

from booking.appointments.queries import AppointmentView, appointment
from booking.appointments.wish_queries import wish
from booking.clock import db_now
from booking.db import db, transaction
from booking.notices import draw_letters, letters
from booking.notices.models import DemoLetter
from booking.notices.rules import next_try
from booking.notices.senders.choose import providers
from booking.notices.senders.provider import Outgoing, Permanent, Provider, Rendered, Temporary, where
from booking.notices.wish_letters import ABOUT_A_WISH, wish_letter
from booking.outbox import LEASE, Message, claim_due, due_channels, give_back, settle
from booking.people.models import Account, OneTimeCode, Patient
from booking.vault import short_code

log = logging.getLogger(__name__)

WANTED = """
CASE message.kind
  WHEN 'draw_entered' THEN TRUE WHEN 'draw_lost' THEN TRUE WHEN 'draw_off' THEN TRUE
  WHEN 'code' THEN EXISTS (
    SELECT 1 FROM one_time_code c WHERE c.id = message.code_id AND c.ended_at IS NULL)
  WHEN 'wish_joined' THEN EXISTS (
    SELECT 1 FROM wish w WHERE w.hospital_id = message.hospital_id AND w.id = message.wish_id
      AND w.status IN ('waiting', 'offered'))
  WHEN 'wish_missed' THEN EXISTS (
    SELECT 1 FROM wish w WHERE w.hospital_id = message.hospital_id AND w.id = message.wish_id
      AND w.status IN ('waiting', 'offered'))
  WHEN 'wish_ended' THEN EXISTS (
    SELECT 1 FROM wish w WHERE w.hospital_id = message.hospital_id AND w.id = message.wish_id
      AND w.status = 'ended')
  WHEN 'wish_offer' THEN EXISTS (
    SELECT 1 FROM appointment a WHERE a.hospital_id = message.hospital_id AND a.id = message.appointment_id
      AND a.status = 'held')
  ELSE EXISTS (
    SELECT 1 FROM appointment a
    WHERE a.hospital_id = message.hospital_id AND a.id = message.appointment_id
      AND CASE WHEN message.kind IN ('cancelled', 'stopped') THEN a.status = 'cancelled'
          WHEN message.kind IN ('no_show', 'appeal_declined') THEN a.status = 'no_show'
          WHEN message.kind = 'excused' THEN a.status = 'excused'
          ELSE a.status = 'booked' AND a.version = message.version END)
END
"""
"""SQL over `message`, true while it should still go out: the appointment, or the wish, stands as the letter says."""

STANDS_WHILE = {
    "cancelled": "cancelled",
    "stopped": "cancelled",
    "no_show": "no_show",
    "appeal_declined": "no_show",
    "excused": "excused",
}
"""Letters about how a visit ended, and the status in which they stay true; all others are about a booked visit."""
REMINDERS = ("reminder_day", "reminder_hours")
CHANNELS = ("app", "sms", "email")
BUDGET_SECONDS = 20.0
BATCH = 20
FAILURES_TO_REST = 2
"""After so many failed tries in a row a channel rests until the next run: its provider is away."""


class NotWanted(Exception):
    """What the letter tells stopped being true after it was claimed."""


class NoWay(Exception):
    """The letter cannot or must not reach its recipient; the text says why."""


@dataclass
class Run:
    """One call of `send_due`: its providers, and per channel how many tries in a row its provider has failed."""

    worker: str
    batch: int
    providers: dict[str, list[Provider]]
    ends_at: float
    failures: dict[str, int] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    sent: int = 0

    def has_time_for(self, channel: str) -> bool:
        """Whether to claim another batch: a slow provider uses up the time of its own channel, not of the others."""
        return not self.rests(channel) and (channel not in self.served or monotonic() < self.ends_at)

    def rests(self, channel: str) -> bool:
        return self.failures.get(channel, 0) >= FAILURES_TO_REST


def send_due(worker_name: str = "", limit: int = 100) -> int:
    """Send what is due, over every hospital and channel, until nothing is left or 20 s are over; return how many.

    `limit` caps how many letters are claimed at once. Any number of workers may run this at the same time; a repeat
    sends nothing twice. One letter's trouble stays its own: it ends as failed, or waits for its next try.
    """
    settings = current_app.config
    with ExitStack() as open_until, force_locale(settings["BABEL_DEFAULT_LOCALE"]):
        carriers = providers(settings, open_until)
        run = Run(worker_name, min(limit, BATCH), carriers, ends_at=monotonic() + BUDGET_SECONDS)
        tried = True
        while tried:
            tried = False
            for hospital_id, channel in sorted(_due(), key=lambda due: CHANNELS.index(due[1])):
                if run.has_time_for(channel):
                    tried |= _send_batch(run, hospital_id, channel)
                    run.served.add(channel)
    return run.sent


def mark_read(account_id: int) -> int:
    """Mark an account's in-app letters as seen; return how many were new. A repeat changes nothing."""
    with transaction() as session:
        done = session.execute(
            update(Message)
            .where(
                Message.account_id == account_id,
                Message.channel == "app",
                Message.status == "delivered",
                Message.read_at.is_(None),
            )
            .values(read_at=db_now(session))
            .execution_options(synchronize_session=False)
        )
        return int(getattr(done, "rowcount", 0))


def remove_old(days: int = 30) -> int:
    """Delete what the demo's outbox page kept longer than `days` (retention); return how many."""
    with transaction() as session:
        done = session.execute(
            delete(DemoLetter).where(DemoLetter.at < db_now(session) - timedelta(days=days))
        )
        return int(getattr(done, "rowcount", 0))


def _due() -> list[tuple[int, str]]:
    """What is due, one-time codes (which no hospital owns) before all other letters of their channel."""
    try:
        session = db.session()
        return due_channels(session, db_now(session))
    finally:
        db.session.remove()


def _send_batch(run: Run, hospital_id: int, channel: str) -> bool:
    """Claim one batch and send it; return whether there was anything to try.

    A letter is begun only while its lease outlasts the longest try; the others go back, for any worker to claim.
    """
    claimed_at = monotonic()
    claimed = claim_due(hospital_id, channel, run.worker, run.batch, wanted=WANTED)
    db.session.remove()
    enough = LEASE.total_seconds() - 3 * current_app.config["SEND_TIMEOUT_SECONDS"]
    for place, message in enumerate(claimed):
        if run.rests(channel) or (place and monotonic() - claimed_at > enough):
            give_back(claimed[place:])
            break
        try:
            _send_one(run, message)
        except Exception as problem:  # the lease is not settled: it runs out and somebody tries again
            log.error("letter %s not settled: %s", message.id, where(problem))
        finally:
            db.session.remove()
    return bool(claimed)


def _send_one(run: Run, message: Message) -> None:
    """Write one claimed letter, send it with no connection held, and settle it."""
    carriers = run.providers.get(message.channel)
    try:
        if not carriers:
            raise NoWay(f"no {message.channel} provider is set")
        address, letter = _prepare(message)
        db.session.remove()
        (went,) = carriers[0].send([Outgoing(address, letter, message.id.hex)])
        if isinstance(went, Exception):
            raise went
    except NotWanted as problem:
        settle(message, "superseded", error=str(problem))
    except NoWay as problem:
        settle(message, "suppressed", error=str(problem))
    except Permanent as problem:
        run.failures[message.channel] = 0
        settle(message, "failed", error=str(problem))
    except Temporary as problem:
        run.failures[message.channel] = run.failures.get(message.channel, 0) + 1
        _put_off(message, str(problem), problem.wait)
    except Exception as problem:
        log.error(
            "letter %s (%s, %s) not written: %s", message.id, message.kind, message.channel, where(problem)
        )
        _put_off(message, f"not written: {where(problem)}", 0)
    else:
        run.failures[message.channel] = 0
        run.sent += 1
        subject, body = (letter.subject, letter.text) if message.channel == "app" else (None, None)
        if not settle(message, went.status, provider_ref=went.provider_ref, subject=subject, body=body):
            log.warning("letter %s was sent after its lease had gone to another worker", message.id)


def _put_off(message: Message, why: str, wait: float) -> None:
    """Let a letter wait for its next try, or end it when that would be too late."""
    db.session.remove()
    now = db_now(db.session())
    again = next_try(
        message.attempts,
        now,
        due_at=message.due_at,
        expires_at=message.expires_at,
        asked_wait=wait,
        jitter=random.uniform(-1, 1),
    )
    if again is None:
        settle(message, "failed", error=f"{why}; given up after {message.attempts} tries")
    else:
        settle(message, "waiting", error=why, retry_at=again)


def _prepare(message: Message) -> tuple[str, Rendered]:
    """Return the address and the text, from the newest rows. Raises NotWanted and NoWay."""
    session = db.session()
    if message.kind == "code":
        code = session.get(OneTimeCode, message.code_id)
        if code is None or code.ended_at is not None or code.expires_at <= db_now(session):
            raise NotWanted("the code has ended")
        return code.phone, letters.code_letter(short_code(code.salt))
    if message.kind in draw_letters.ABOUT_A_DRAW:
        about_draw = draw_letters.draw_letter(message, db_now(session))
        if about_draw is None:
            raise NoWay("the entry or its account is no longer known")
        return about_draw
    if message.wish_id is not None and message.kind in ABOUT_A_WISH:
        return _prepare_wish(message, db_now(session))
    if message.appointment_id is None or message.kind not in letters.ABOUT_A_VISIT:
        raise NoWay(f"no text for the kind {message.kind}")
    view = appointment(message.hospital_id, message.appointment_id)
    if view is None or not _stands(message, view):
        raise NotWanted("the appointment changed after the claim")
    address = _address(message, view)
    letter = letters.visit_letter(
        message.kind, message.channel, view, message.facts, now=db_now(session), address=address
    )
    return address, letter


def _prepare_wish(message: Message, now: datetime) -> tuple[str, Rendered]:
    """Return the address and the text of a letter about a wish. Raises NotWanted and NoWay."""
    assert message.wish_id is not None
    view = wish(message.hospital_id, message.wish_id)
    if view is None or (view.status == "ended") != (message.kind == "wish_ended"):
        raise NotWanted("the wish changed after the claim")
    about: list[AppointmentView] = []
    if message.kind == "wish_offer":
        about = [one for one in view.offers if one.held_until and one.held_until > now]
        if message.appointment_id not in [one.id for one in about]:
            raise NotWanted("the offer is over")
    elif message.appointment_id is not None:
        one = appointment(message.hospital_id, message.appointment_id)
        about = [one] if one is not None else []
    person = db.session.get(Account, message.account_id)
    address = _address_of(message, person)
    return address, wish_letter(message.kind, message.channel, view, about, message.facts, now=now)


def _stands(message: Message, view: AppointmentView) -> bool:
    """The same question as WANTED, asked again of the rows the text is written from."""
    if message.kind in STANDS_WHILE:
        return view.status == STANDS_WHILE[message.kind]
    return view.status == "booked" and view.version == message.version


def _address(message: Message, view: AppointmentView) -> str:
    """Return where the letter goes now; raises NoWay when there is no address or a reminder is not wished for."""
    session = db.session()
    person: Account | Patient | None = (
        session.get(Account, message.account_id)
        if message.recipient == "account"
        else session.get(Patient, message.patient_id)
    )
    if person is None:
        raise NoWay("the recipient is no longer known")
    if message.kind in REMINDERS and not (view.remind and person.reminders_on):
        raise NoWay("reminders are switched off")
    address = _address_of(message, person)
    if message.recipient == "patient" and view.account_id:
        booker = session.get(Account, view.account_id)
        if booker is not None and booker.phone == address:
            raise NoWay("the booker has the same number")
    return address


def _address_of(message: Message, person: Account | Patient | None) -> str:
    """Return a recipient's address on the letter's channel; raises NoWay when there is none."""
    if person is None:
        raise NoWay("the recipient is no longer known")
    if message.channel == "app":
        return str(message.account_id)
    address = person.phone if message.channel == "sms" else getattr(person, "email", None)
    if not address:
        raise NoWay("no phone number" if message.channel == "sms" else "no e-mail address")
    return address
