"""Handing written letters to a provider while a heartbeat keeps their leases, with no database connection held."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from types import TracebackType
from typing import Any

from flask import current_app
from sqlalchemy.exc import OperationalError

from booking.claims import LEASE, Claimed
from booking.db import db
from booking.errors import where
from booking.notices.carriers import FAILURES_TO_REST, State, note_failures, note_success
from booking.notices.senders.provider import Outcome, Outgoing, Provider, Rendered, Temporary
from booking.outbox import reference
from booking.settling import extend
from booking.vault import blind_index

log = logging.getLogger(__name__)

BEATS_PER_LEASE = 3
LONGEST_BATCH = 300.0
"""Seconds after which the heart stops: a call that never returns must not keep its letters from everybody for ever."""
SETTLE_EVERY = 1.0
"""Seconds of outcomes that may be known to nobody else; so many letters go out twice when a worker is killed."""
CALLS_AT_ONCE = 4
"""So many calls run side by side to a provider that takes letters singly."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A claimed letter with its text and its address."""

    message: Claimed
    address: str
    letter: Rendered

    @property
    def to_hash(self) -> str | None:
        """Return under what the address is kept: enough to count and to find by, not to read."""
        what = {"sms": "phone", "voice": "phone", "email": "email", "wechat": "wechat"}
        channel = self.message.channel
        return blind_index(what[channel], self.address) if channel in what else None


class Heart:
    """`with Heart(claimed, since):` extends the leases of a batch while it is being sent.

    Until `LONGEST_BATCH` is over; so a slow provider loses no lease, and a process that was stopped loses all of them.
    `since` (monotonic) is a moment before the claim.
    """

    def __init__(self, claimed: Sequence[Claimed], since: float) -> None:
        self.claimed, self.since = claimed, since
        self.until = since + LEASE.total_seconds()
        self.lost: set[uuid.UUID] = set()
        self.over = threading.Event()
        self.app: Any = current_app._get_current_object()  # type: ignore[attr-defined]
        self.margin = min(self.app.config["SEND_TIMEOUT_SECONDS"], LEASE.total_seconds() / 2)

    def __enter__(self) -> Heart:
        self.thread = threading.Thread(target=self._beat, name="heart", daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()

    def has(self, letter: Claimed) -> bool:
        """Whether a try may be begun: the lease is ours and outlasts it, even if the heart stopped now."""
        return letter.id not in self.lost and monotonic() + self.margin < self.until

    def now(self, state: State) -> datetime:
        """Return the database's time without asking it: what is known of letters must not be lost while it is away."""
        return state.seen_at + timedelta(seconds=monotonic() - self.since)

    def _beat(self) -> None:
        while not self.over.wait(LEASE.total_seconds() / BEATS_PER_LEASE):
            if monotonic() - self.since > LONGEST_BATCH:
                return
            before = monotonic()
            try:
                with self.app.app_context():
                    mine = extend(self.claimed)
                    db.session.remove()
            except Exception as problem:  # the database is away: until it is back, the leases run
                log.warning("leases not extended: %s", where(problem))
                continue
            self.lost = {one.id for one in self.claimed} - mine
            self.until = before + LEASE.total_seconds()


def hand_over(state: State, ready: Sequence[Ready], heart: Heart) -> Iterator[list[tuple[Ready, Outcome]]]:
    """Give letters to one provider; yield outcomes, about a second's worth at a time, for the caller to settle.

    Ends early when the provider keeps failing or a lease would not outlast the next call; letters that never appear
    among the outcomes were not begun. How the provider did is noted for all workers, after the caller settled them.
    """
    provider = state.provider
    width = CALLS_AT_ONCE if provider.at_once == 1 else 1
    calls = [ready[at : at + provider.at_once] for at in range(0, len(ready), provider.at_once)]
    failed, pending, since = Failing(), list[tuple[Ready, Outcome]](), monotonic()
    with ThreadPoolExecutor(width) if width > 1 and len(calls) > 1 else nullcontext() as pool:
        for at in range(0, len(calls), width):
            wave = [[one for one in call if heart.has(one.message)] for call in calls[at : at + width]]
            if failed.calls >= FAILURES_TO_REST or not any(wave):
                break
            begin = [(heart.app if pool else None, provider, call) for call in wave if call]
            answers = list(pool.map(_call, begin) if pool else map(_call, begin))
            for call, outcomes in zip([call for call in wave if call], answers, strict=True):
                pending += zip(call, outcomes, strict=True)
                failed.note(outcomes)
            if monotonic() - since > SETTLE_EVERY:
                yield pending
                pending, since = [], monotonic()
    if pending:
        yield pending
    _note(state, failed)


class Failing:
    """How many calls in a row failed, and what the last of them said; a call failed when no letter of it was taken
    or refused for its own sake."""

    def __init__(self) -> None:
        self.calls, self.worked = 0, False
        self.why, self.asked, self.ours = "", 0.0, False

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Count one call."""
        said = [one for one in outcomes if isinstance(one, Temporary) and not one.this_letter]
        if len(said) < len(outcomes):
            self.calls, self.worked, self.asked, self.ours = 0, True, 0.0, False
            return
        self.calls += 1
        self.why, self.ours = said[0].why, all(one.ours for one in said)
        # one letter alone may have been put off for its own sake, by a provider that does not say so
        if len(said) > 1 or self.calls >= FAILURES_TO_REST:
            self.asked = min(one.wait for one in said)


def _note(state: State, failed: Failing) -> None:
    """Tell the other workers how the provider did; a database that is away costs no more than this."""
    try:
        if failed.worked:
            note_success(state)
            state = replace(state, failures=0, rests_until=None)
        if failed.calls:
            note_failures(state, failed.calls, failed.why, failed.asked, failed.ours)
    except OperationalError as problem:
        log.warning("not noted how provider %s did: %s", state.name, where(problem))
    finally:
        db.session.remove()


def _call(begin: tuple[Any, Provider, Sequence[Ready]]) -> list[Outcome]:
    """Make one call. A provider that raises, or answers for too few letters, may have taken all of them."""
    app, provider, call = begin
    batch = [Outgoing(one.address, one.letter, reference(one.message)) for one in call]
    try:
        with app.app_context() if app else nullcontext():
            outcomes = provider.send(batch)
        if len(outcomes) == len(batch):
            return outcomes
        why = f"{len(outcomes)} outcomes for {len(batch)} letters"
    except Exception as problem:
        why = f"unforeseen: {where(problem)}"
    log.error("provider %s: %s", provider.name, why)
    return [Temporary(why, ambiguous=True) for _ in batch]
