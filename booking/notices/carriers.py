"""Which provider takes a batch. How each does is a row that all workers share: its rest after failures, its rate.

A provider that failed `FAILURES_TO_REST` calls in a row rests, longer each time; when the rest is over exactly one
worker sends it one letter, and all others go on only when that one was taken. Meanwhile the next provider of the
channel carries everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, text, update
from sqlalchemy.orm import Session

from booking.appointments.reminders import OPTIONAL
from booking.claims import Claimed
from booking.clock import db_now
from booking.db import core, db, transaction
from booking.notices.models import ProviderState
from booking.notices.senders.provider import Provider

FAILURES_TO_REST = 2
FIRST_REST = timedelta(seconds=3)
LONGEST_REST = timedelta(seconds=60)
LONGEST_ASKED = timedelta(minutes=15)
"""A provider that asks to be left alone for longer is asked again after this."""
PROBE = timedelta(seconds=30)
"""A worker that asks a rested provider has so long to say what came of it; then another one asks."""
OK_IS_NOTED_EVERY = timedelta(seconds=10)
BURST_SECONDS = 0.25
URGENT_STAYS = timedelta(seconds=30)
"""An urgent letter that a provider may have taken stays with it for so long after it was due; an optional one for ever."""

_STATE = core(ProviderState)


@dataclass(frozen=True)
class State:
    """A provider's row, kept under `name`, as it was at `seen_at`; `tokens` are those of its rate at `tokens_at`."""

    name: str
    provider: Provider
    seen_at: datetime
    failures: int = 0
    rests_until: datetime | None = None
    tokens: float = 0.0
    tokens_at: datetime | None = None
    last_ok_at: datetime | None = None

    @property
    def rests(self) -> bool:
        return self.rests_until is not None and self.rests_until > self.seen_at

    @property
    def is_to_be_tried(self) -> bool:
        """Its rest is over and nobody has tried yet whether it works again."""
        return self.rests_until is not None and self.rests_until <= self.seen_at

    @property
    def trial_until(self) -> datetime:
        return self.seen_at + PROBE

    @property
    def rest_left_behind(self) -> datetime | None:
        """`rests_until` as it is in the row as long as nobody but the holder of this state has changed it."""
        return self.trial_until if self.is_to_be_tried else self.rests_until

    @property
    def most(self) -> int:
        """How many letters it may be given at once."""
        if self.rests:
            return 0
        if self.is_to_be_tried:
            return 1
        if self.provider.per_second <= 0:
            return 10**9
        return int(_tokens(self.provider, self.tokens, self.tokens_at, self.seen_at))


def states(providers: Sequence[Provider], hospital_id: int) -> list[State]:
    """Return how a channel's providers do, in their order of preference; one read.

    Each hospital has a webhook of its own: one that is away holds up nobody else's.
    """
    session = db.session()
    now = db_now(session)
    names = [one.name if one.channel != "webhook" else f"webhook-{hospital_id}" for one in providers]
    rows = {row.name: row for row in session.execute(select(_STATE).where(_STATE.c.name.in_(names)))}
    return [_state(name, one, rows.get(name), now) for name, one in zip(names, providers, strict=True)]


def _state(name: str, provider: Provider, row: Any, now: datetime) -> State:
    if row is None:
        return State(name, provider, now)
    return State(
        name, provider, now, row.failures, row.rests_until, row.tokens, row.tokens_at, row.last_ok_at
    )


def may_carry(state: State, letter: Claimed, all_of_them: Sequence[State], now: datetime) -> bool:
    """Whether this provider may be given a letter: not while another may have taken it, which alone knows it again.

    Nobody is kept waiting for a provider that the settings no longer name. What is urgent goes on after a short while:
    twice is better than not at all.
    """
    if not letter.ambiguous or letter.provider in ("", state.provider.name):
        return True
    if letter.provider not in [one.provider.name for one in all_of_them]:
        return True
    return letter.kind not in OPTIONAL and now >= letter.due_at + URGENT_STAYS


def admit(state: State, count: int) -> int:
    """Return how many of `count` letters this provider may be given now, and take them from its rate.

    Without a rate, and while it works, that needs no write. Of a provider whose rest is over, one letter goes to exactly
    one caller; the others get 0.
    """
    provider, count = state.provider, min(count, state.most)
    if count < 1 or (provider.per_second <= 0 and not state.is_to_be_tried):
        return count
    with transaction() as session:
        now = db_now(session)
        if state.is_to_be_tried and not _won_the_trial(session, state):
            return 0
        return _take_tokens(session, state, count, now) if provider.per_second > 0 else count


def _won_the_trial(session: Session, state: State) -> bool:
    """Compare-and-swap on the end of the rest: of all who saw it end, one goes on."""
    won = session.connection().execute(
        update(_STATE)
        .where(_STATE.c.name == state.name, _STATE.c.rests_until == state.rests_until)
        .values(rests_until=state.trial_until)
    )
    return won.rowcount == 1


def _take_tokens(session: Session, state: State, count: int, now: datetime) -> int:
    row = _locked(session, state)
    there = _tokens(state.provider, row.tokens, row.tokens_at, now)
    taken = min(count, int(there))
    session.connection().execute(
        update(_STATE)
        .where(
            _STATE.c.name == state.name,
            or_(_STATE.c.tokens_at.is_(None), _STATE.c.tokens_at == row.tokens_at),
        )
        .values(tokens=there - taken, tokens_at=now)
    )
    return taken


def _tokens(provider: Provider, tokens: float, at: datetime | None, now: datetime) -> float:
    """Tokens there are at `now`: they fill at the provider's rate, up to a burst (at least one letter)."""
    full = max(1.0, provider.per_second * BURST_SECONDS)
    if at is None:
        return full
    return min(full, tokens + max(0.0, (now - at).total_seconds()) * provider.per_second)


_MAKE = text("INSERT INTO provider_state (name) VALUES (:name) ON CONFLICT DO NOTHING")


def note_success(state: State) -> None:
    """Remember that the provider works: the rest that was seen ends. A repeat within ten seconds writes nothing.

    A success of before a rest that began meanwhile leaves that one as it is: whoever tries the provider ends it.
    """
    known = state.last_ok_at
    if not state.failures and known and known > state.seen_at - OK_IS_NOTED_EVERY and not state.rests_until:
        return
    with transaction() as session:
        row, now = _locked(session, state), db_now(session)
        better = {"failures": 0, "rests_until": None} if row.rests_until == state.rest_left_behind else {}
        _change(session, state, last_ok_at=now, **better)


def note_failures(state: State, failed: int, why: str, asked: float = 0.0, for_good: bool = False) -> None:
    """Add `failed` calls in a row that failed; after `FAILURES_TO_REST` of them the provider rests.

    `asked`: seconds it asked to be left alone, which count from the first time. `for_good`: no letter can pass until
    somebody mends the settings, so that it rests at once. Several workers that saw the same state and the same trouble
    count it once; what it asked for counts from each.
    """
    with transaction() as session:
        row, now = _locked(session, state), db_now(session)
        first = (row.failures, row.rests_until) == (state.failures, state.rest_left_behind)
        failures = row.failures + (failed if first else 0)
        _change(session, state, failures=failures, last_failure_at=now, last_error=why[:200])
        if for_good:
            failures = max(failures, FAILURES_TO_REST)
        rest = max(_rest(failures) if first else timedelta(), min(timedelta(seconds=asked), LONGEST_ASKED))
        if rest and (first or row.rests_until is None or now + rest > row.rests_until):
            _change(session, state, rests_until=now + rest)


def _locked(session: Session, state: State) -> Any:
    """Return the provider's row, which nobody else changes before this transaction ends."""
    session.connection().execute(_MAKE, {"name": state.name})
    return session.execute(select(_STATE).where(_STATE.c.name == state.name).with_for_update()).one()


def _change(session: Session, state: State, **columns: Any) -> None:
    session.connection().execute(update(_STATE).where(_STATE.c.name == state.name).values(**columns))


def _rest(failures: int) -> timedelta:
    """How long to rest after so many failures in a row: 0 at first, then 3 s, 6 s, 12 s … a minute."""
    over = failures - FAILURES_TO_REST
    return timedelta() if over < 0 else min(LONGEST_REST, FIRST_REST * 2 ** min(over, 10))
