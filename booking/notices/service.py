"""Sending what is due: claim, look again, write, send with no database connection held, settle."""

from __future__ import annotations

import logging
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from flask import current_app
from flask_babel import force_locale
from sqlalchemy import delete, update

from booking.claims import LEASE, claim_due, due_channels, give_back, settle
from booking.clock import db_now
from booking.db import db, transaction
from booking.notices.models import DemoLetter
from booking.notices.rules import next_try
from booking.notices.senders.choose import providers
from booking.notices.senders.provider import Outgoing, Permanent, Provider, Temporary, where
from booking.notices.writing import WANTED, NotWanted, NoWay, write
from booking.outbox import Message, reference

log = logging.getLogger(__name__)

CHANNELS = ("app", "sms", "voice", "wechat", "webhook", "email")
BUDGET_SECONDS = 20.0
BATCH = 20
FAILURES_TO_REST = 2
"""After so many failed tries in a row a channel rests until the next run: its provider is away."""


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
        address, letter = write(message)
        db.session.remove()
        (went,) = carriers[0].send([Outgoing(address, letter, reference(message))])
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
