"""Which letters a wish puts into the outbox: joined, offered, missed, stopped, ended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from booking.appointments.announce import Way, ways_to_accounts
from booking.appointments.models import Appointment
from booking.directory.models import Policy
from booking.outbox import Letter, put, supersede
from booking.schedule.waiting_rules import quiet_end
from booking.schedule.wanted import Wish

WORTH_TELLING = timedelta(days=1)
AT_ONCE = ("wish_joined",)
"""The answer to what somebody has just done: it also goes in quiet hours."""


def tell_wish(
    session: Session,
    wish: Wish,
    kind: str,
    *,
    policy: Policy,
    zone: str,
    now: datetime,
    about: Appointment | None = None,
    expires_at: datetime | None = None,
    facts: dict[str, Any] | None = None,
    change: tuple[uuid.UUID, int] | None = None,
    ways: Sequence[Way] | None = None,
) -> int:
    """Put the letters of `kind` to the account that waits; return how many. `about` is the offer's appointment.

    They go over every way the account has, as those about a visit do; no switch for reminders keeps them back. `change` is
    the session whose change is told, with its version: a wish is told of each of them, whatever its own round.
    Letters about the same offer that have not left yet are superseded. In quiet hours only the app is told at once, unless
    the letter would be useless afterwards. `ways` are the account's, where the caller has asked for many at once.
    """
    if ways is None:
        ways = ways_to_accounts(session, [wish.account_id]).get(wish.account_id, ())
    if about is not None:
        supersede(session, wish.hospital_id, about.id)
    expires = expires_at or now + WORTH_TELLING
    awake = quiet_end(now, policy.quiet_from, policy.quiet_to, zone)
    later = now if kind in AT_ONCE or awake >= expires else awake
    letters = [
        Letter(
            kind,
            way.channel,
            way.recipient,
            due_at=now if way.channel == "app" else later,
            expires_at=expires,
            account_id=way.account_id,
            facts=facts,
            about=change[0] if change is not None else None,
        )
        for way in ways
    ]
    return put(
        session,
        wish.hospital_id,
        letters,
        now=now,
        appointment_id=about.id if about is not None else None,
        wish_id=wish.id,
        version=about.version if about is not None else change[1] if change is not None else wish.round,
    )
