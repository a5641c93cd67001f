"""What an outcome makes of its letter: an end, or another try."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from booking.claims import Claimed
from booking.clock import db_now
from booking.db import db
from booking.errors import where
from booking.notices.handing import Ready
from booking.notices.reaching import NotYet, NoWay
from booking.notices.rules import MOST_UNKNOWN, next_try
from booking.notices.senders.provider import NoText, Outcome, Permanent, Provider, Sent
from booking.notices.writing import Failure, NotWanted
from booking.settling import Ended

log = logging.getLogger(__name__)


def became(outcomes: Sequence[tuple[Ready, Outcome]], provider: Provider, now: datetime) -> list[Ended]:
    """Return for each letter of one call to `provider` what it makes of it, in order; asks no database."""
    return [
        replace(_became(one, outcome, provider, now), provider=provider.name, to_hash=one.to_hash)
        for one, outcome in outcomes
    ]


def _became(one: Ready, outcome: Outcome, provider: Provider, now: datetime) -> Ended:
    if isinstance(outcome, NoText):
        return Ended(one.message, "suppressed", str(outcome))
    if isinstance(outcome, Permanent):
        return Ended(one.message, "failed", str(outcome))
    if not isinstance(outcome, Sent):
        if outcome.ambiguous and not provider.keeps_reference and one.message.ambiguous + 1 >= MOST_UNKNOWN:
            why = (
                f"{outcome}; it may have arrived, given up after {MOST_UNKNOWN} tries nobody knows the end of"
            )
            return Ended(one.message, "failed", why, ambiguous=True)
        return replace(_put_off(one.message, now, str(outcome), outcome.wait), ambiguous=outcome.ambiguous)
    kept = one.letter if one.message.channel == "app" else None
    return Ended(
        one.message,
        outcome.status,
        provider_ref=outcome.provider_ref,
        segments=outcome.segments,
        subject=kept.subject if kept else None,
        text=kept.text if kept else None,
    )


def unwritten(message: Claimed, why: Failure) -> Ended:
    """Return what becomes of a letter that could not be written."""
    if isinstance(why, NotWanted):
        return Ended(message, "superseded", str(why))
    if isinstance(why, NotYet):
        if why.at >= message.expires_at:
            return Ended(message, "expired", str(why), untried=True)
        return Ended(message, "waiting", str(why), retry_at=why.at, untried=True)
    if isinstance(why, NoWay):
        return Ended(message, "suppressed", str(why))
    log.error("letter %s (%s, %s) not written: %s", message.id, message.kind, message.channel, where(why))
    now = db_now(db.session())
    return _put_off(message, now, f"not written: {where(why)}")


def _put_off(message: Claimed, now: datetime, why: str, wait: float = 0.0) -> Ended:
    """Let a letter wait for its next try, or end it when that would be too late."""
    again = next_try(
        message.attempts,
        now,
        due_at=message.due_at,
        expires_at=message.expires_at,
        asked_wait=wait,
        jitter=random.uniform(-1, 1),
    )
    if again is None:
        return Ended(message, "failed", f"{why}; given up after {message.attempts} tries")
    return Ended(message, "waiting", why, retry_at=again)
