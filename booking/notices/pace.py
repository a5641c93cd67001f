"""How fast letters leave: not too many for one phone, and slower while people are booking."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic, sleep

from sqlalchemy import select

from booking.appointments.reminders import OPTIONAL
from booking.clock import db_now
from booking.db import core, db, new_id
from booking.notices.handing import Ready
from booking.outbox import Message
from booking.settling import Ended

RATE_PAUSE = 0.25
"""Seconds until a provider's rate is asked again."""
PER_PHONE: dict[bool, tuple[tuple[timedelta, int], ...]] = {
    False: ((timedelta(hours=1), 10), (timedelta(days=1), 20)),
    True: ((timedelta(minutes=10), 5), (timedelta(days=1), 20)),
}
"""How many letters one phone may have got within a span before an optional one waits (False) or a code is not sent (True)."""
PHONES = ("sms", "voice")
BOOKINGS_ARE_GOING_ON = timedelta(seconds=2)
ASKED_EVERY = 1.0
YIELD = 3.0
LONGEST_YIELD = 1.5
"""After a full batch the worker rests `YIELD` times as long as the batch took, at most so many seconds."""

_MESSAGE = core(Message)


def within_rates(ready: Sequence[Ready]) -> tuple[list[Ready], list[Ended]]:
    """Part one hospital's letters into those that may go and what becomes of the others.

    A phone that got many letters lately gets no further optional one until there is room again, and no code. What
    somebody did or a hospital decided (booked, moved, cancelled, stopped) always goes.
    """
    asked = [one for one in ready if _is_limited(one)]
    if not asked:
        return list(ready), []
    now, got = _got([one.to_hash or "" for one in asked], asked[0].message.hospital_id)
    go: list[Ready] = []
    held: list[Ended] = []
    for one in ready:
        if not _is_limited(one):
            go.append(one)
            continue
        times = got.setdefault(one.to_hash or "", [])
        is_code = one.message.kind == "code"
        free_at = _room_at(times, PER_PHONE[is_code], now)
        if free_at is None:
            times.append(now)
            go.append(one)
        elif is_code or free_at >= one.message.expires_at:
            held.append(Ended(one.message, "suppressed", "this phone has had enough letters", untried=True))
        else:
            why = "this phone has had enough letters for now"
            held.append(Ended(one.message, "waiting", why, retry_at=free_at, untried=True))
    return go, held


def _is_limited(one: Ready) -> bool:
    return one.message.channel in PHONES and (one.message.kind == "code" or one.message.kind in OPTIONAL)


def _got(hashes: Sequence[str], hospital_id: int) -> tuple[datetime, dict[str, list[datetime]]]:
    """Return the present and when each phone got a letter within the last day, oldest first."""
    session = db.session()
    now = db_now(session)
    longest = max(span for spans in PER_PHONE.values() for span, _ in spans)
    rows = session.execute(
        select(_MESSAGE.c.to_hash, _MESSAGE.c.sent_at)
        .where(
            _MESSAGE.c.hospital_id == hospital_id,
            _MESSAGE.c.to_hash.in_(sorted(set(hashes))),
            _MESSAGE.c.sent_at > now - longest,
        )
        .order_by(_MESSAGE.c.sent_at)
    )
    got: dict[str, list[datetime]] = {}
    for to_hash, sent_at in rows:
        got.setdefault(to_hash, []).append(sent_at)
    return now, got


def _room_at(
    times: Sequence[datetime], limits: Sequence[tuple[timedelta, int]], now: datetime
) -> datetime | None:
    """Return when a phone may get the next letter; None: now."""
    full = [times[-most] + span for span, most in limits if len(times) >= most and times[-most] > now - span]
    return max(full, default=None)


class Pace:
    """How one run of sending yields to people who are booking."""

    def __init__(self) -> None:
        self.asked: dict[int, tuple[float, bool]] = {}

    def yield_to_bookings(self, hospital_id: int, took: float) -> None:
        """Rest after a full batch while people are booking at that hospital: letters can wait a minute, they cannot."""
        if self._busy(hospital_id):
            sleep(min(YIELD * took, LONGEST_YIELD))

    def _busy(self, hospital_id: int) -> bool:
        """Whether a letter was put within the last two seconds; asked once a second. Ids carry their time."""
        at, busy = self.asked.get(hospital_id, (0.0, False))
        if not at or monotonic() - at > ASKED_EVERY:
            newest = select(_MESSAGE.c.id).where(_MESSAGE.c.hospital_id == hospital_id)
            found = db.session.execute(newest.order_by(_MESSAGE.c.id.desc()).limit(1)).scalar()
            db.session.remove()
            busy = found is not None and _age(found) < BOOKINGS_ARE_GOING_ON
            self.asked[hospital_id] = monotonic(), busy
        return busy


def _age(made: uuid.UUID) -> timedelta:
    """How long ago an id was made (either way, when clocks differ): its first 48 bits are milliseconds (RFC 9562)."""
    return timedelta(milliseconds=abs((new_id().int >> 80) - (made.int >> 80)))
