"""Sending what is due: claim a batch, write it, send it with no database connection held, settle it."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from flask import current_app
from flask_babel import force_locale
from sqlalchemy import delete, update
from sqlalchemy.exc import OperationalError

from booking.appointments.reminders import OPTIONAL
from booking.claims import BATCH, Claimed, claim_due, due_channels, end_useless, is_good_part
from booking.clock import db_now
from booking.db import db, transaction
from booking.errors import where
from booking.notices import pace
from booking.notices.carriers import State, admit, may_carry, states
from booking.notices.handing import Heart, Ready, hand_over
from booking.notices.merging import WAITS
from booking.notices.models import DemoLetter
from booking.notices.outcomes import became, unwritten
from booking.notices.senders.choose import providers
from booking.notices.senders.provider import Provider, Temporary
from booking.notices.writing import WANTED, Written, write
from booking.outbox import Message
from booking.settling import SENT, Ended, settle

log = logging.getLogger(__name__)

QUICK = ("app", "sms", "voice", "wechat")
SLOW = ("webhook", "email")
"""What goes to servers of others, which may take their time: they are looked at apart from what somebody waits for."""
CHANNELS = (*QUICK, *SLOW)
"""Their order when all are due at once; others come after them."""
CLAIMED_AT_ONCE = {"email": 20}
"""Letters of a channel that go one after the other: none is held for long by a server that is slow."""
BUDGET_SECONDS = 20.0
LOOK_AGAIN = 1.0
"""Seconds from one look at all that is due to the next; in between a run goes on where more may stand.

While people book, letters come one by one. Whoever takes each as it comes pays a whole batch's statements for it."""
LOOK_FOR_ITS_OWN = timedelta(seconds=5)
"""Until a letter that waits for the one provider that may have taken it is looked at again."""
SETTLE_AGAIN = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between tries to settle while the database is away: what was sent must not go out again for want of a note."""


_newest_first: defaultdict[tuple[int, str], bool] = defaultdict(lambda: random.random() < 0.5)
"""From which end this process took the last batch; kept between runs, as a run may have time for a single batch."""


@dataclass
class Run:
    """One call of `send_due`: the providers of each channel, until when it claims, what it has done so far.

    `more`: where the last batch was a good part of what it might have been, so that more may stand there.
    """

    worker: str
    batch: int
    providers: dict[str, list[Provider]]
    ends_at: float
    served: set[tuple[int, str]] = field(default_factory=set)
    more: set[tuple[int, str]] = field(default_factory=set)
    slowed: bool = False
    pace: pace.Pace = field(default_factory=pace.Pace)
    sent: int = 0

    def has_time_for(self, due: tuple[int, str]) -> bool:
        """Whether to claim another batch: a slow provider uses up the time of its own letters, not of the others."""
        return due not in self.served or monotonic() < self.ends_at


def send_due(worker_name: str = "", limit: int = BATCH, channels: Iterable[str] = ()) -> int:
    """Send what is due, over every hospital and channel, until nothing is left or 20 s are over; return how many.

    Where letters come one by one it waits up to a second for more of them; a code that comes meanwhile leaves with them.
    `limit` caps how many letters are claimed at once; `channels` names those to look at (default: all). Any number of
    workers may run this at the same time; a repeat sends nothing twice. One letter's trouble stays its own: it ends as
    failed, or waits for its next try.
    """
    settings, only = current_app.config, frozenset(channels)
    due = _due(only)
    if not due:
        return 0
    with ExitStack() as open_until, force_locale(settings["BABEL_DEFAULT_LOCALE"]):
        run = Run(worker_name, limit, providers(settings, open_until), ends_at=monotonic() + BUDGET_SECONDS)
        looked, whole = monotonic(), True
        while due:
            run.slowed = False
            run.more.clear()
            tried = [one for one in due if run.has_time_for(one) and _attempt(run, *one)]
            if not tried and run.slowed and monotonic() < run.ends_at:
                time.sleep(pace.RATE_PAUSE)
            elif not tried and whole:
                break
            due = [one for one in tried if one in run.more]
            since, whole = monotonic() - looked, False
            if not due or since > LOOK_AGAIN:
                thin = bool(tried) and not due
                whole, due = True, _due(only)
                if due and thin:
                    if monotonic() >= run.ends_at:
                        break
                    _rest(run, since)
                    due = _due(only)
                looked = monotonic()
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


def _due(only: frozenset[str]) -> list[tuple[int, str]]:
    """What is due, one-time codes (which no hospital owns) before all other letters of their channel."""
    order = {channel: place for place, channel in enumerate(CHANNELS)}
    try:
        session = db.session()
        due = due_channels(session, db_now(session))
    finally:
        db.session.remove()
    wanted = [one for one in due if not only or one[1] in only]
    return sorted(wanted, key=lambda one: order.get(one[1], len(order)))


def _rest(run: Run, since: float) -> None:
    """Let letters gather for a moment, `since` seconds after the last look; not beyond the run's time."""
    pause = pace.RATE_PAUSE if run.slowed else LOOK_AGAIN - since
    time.sleep(max(0.0, min(pause, run.ends_at - monotonic())))


def _attempt(run: Run, hospital_id: int, channel: str) -> bool:
    """Send one batch; what goes wrong with it stops no other hospital's and no other channel's."""
    try:
        return _send_batch(run, hospital_id, channel)
    except Exception as problem:
        log.error("a batch of hospital %d over %s ended: %s", hospital_id, channel, where(problem))
        db.session.remove()
        return False


def _send_batch(run: Run, hospital_id: int, channel: str) -> bool:
    """Claim one batch, write it, send it, settle it; return whether anything came of it.

    Batches are taken from both ends in turn: a confirmation that somebody waits for does not stand behind a hundred
    thousand reminders, and the oldest still leave.
    """
    began, limit = monotonic(), min(run.batch, CLAIMED_AT_ONCE.get(channel, run.batch))
    carriers = run.providers.get(channel, [])
    known = _states(run, carriers, hospital_id) if carriers else []
    if known:
        limit = min(limit, max(one.most for one in known))
        if limit < 1:
            if all(one.rests for one in known):
                end_useless(hospital_id, channel)
                db.session.remove()
            return False
    run.served.add((hospital_id, channel))
    newest_first = _newest_first[hospital_id, channel] = not _newest_first[hospital_id, channel]
    claimed = claim_due(
        hospital_id, channel, run.worker, limit, wanted=WANTED, waits=WAITS, newest_first=newest_first
    )
    db.session.remove()
    if not claimed:
        return False
    if is_good_part(claimed, limit):
        run.more.add((hospital_id, channel))
    with Heart(claimed, began) as heart:
        try:
            moved = _send_claimed(run, claimed, known, heart)
        finally:
            db.session.remove()
    if len(claimed) == run.batch:
        run.pace.yield_to_bookings(hospital_id, monotonic() - began)
    return moved


def _states(run: Run, carriers: list[Provider], hospital_id: int) -> list[State]:
    """How the channel's providers do; a run that only a rate holds up comes back for more."""
    found = states(carriers, hospital_id)
    db.session.remove()
    run.slowed |= any(one.most < 1 and not one.rests for one in found)
    return found


def _send_claimed(run: Run, claimed: list[Claimed], carriers: list[State], heart: Heart) -> bool:
    """Send what can be sent and settle all of it; return whether anything moved on."""
    ready, ended = _written(claimed, carriers)
    ready, held = pace.within_rates(ready)
    db.session.remove()
    _settle(run, ended + held)
    moved = bool(ended or held)
    passed_on: dict[uuid.UUID, Ended] = {}
    for place, state in enumerate(carriers if ready else (), 1):
        now = heart.now(state)
        others = [one for one in ready if not may_carry(state, one.message, carriers, now)]
        ready = [one for one in ready if may_carry(state, one.message, carriers, now)]
        ready, fit = _fit_for(state, ready, any(not one.rests for one in carriers[place:]))
        count = admit(state, fit)
        db.session.remove()
        if count < 1:
            ready += others
            continue
        begun: set[uuid.UUID] = set()
        going, ready = ready[:count], ready[count:] + others
        for outcomes in hand_over(state, going, heart):
            begun |= {one.message.id for one, _ in outcomes}
            done = []
            for (one, outcome), ended_as in zip(
                outcomes, became(outcomes, state.provider, heart.now(state)), strict=True
            ):
                if place < len(carriers) and isinstance(outcome, Temporary) and not outcome.ambiguous:
                    passed_on[one.message.id] = ended_as
                    ready.append(one)
                else:
                    done.append(ended_as)
            _settle(run, done)
            moved |= bool(done)
        ready += [one for one in going if one.message.id not in begun]
        if not ready:
            break
    tried = [passed_on[one.message.id] for one in ready if one.message.id in passed_on]
    _settle(run, tried)
    _settle(run, [_given_back(one, carriers, heart) for one in ready if one.message.id not in passed_on])
    return moved or bool(tried)


def _given_back(one: Ready, carriers: list[State], heart: Heart) -> Ended:
    """Let a letter go that was not tried: at once due again, or soon when it waits for one provider while others work."""
    now = heart.now(carriers[0])
    waits = not all(may_carry(state, one.message, carriers, now) for state in carriers)
    return Ended(one.message, "waiting", untried=True, retry_at=now + LOOK_FOR_ITS_OWN if waits else None)


def _fit_for(state: State, ready: list[Ready], has_next: bool) -> tuple[list[Ready], int]:
    """Return the letters with those first that this provider may be given, and how many these are.

    Whether a provider works again is tried with a letter that has not suffered yet, when another can carry the others:
    the same letter must not be the unlucky one every time. With none of these, one that waits for this provider alone.
    """
    if not (state.is_to_be_tried and has_next):
        return ready, len(ready)
    first = [one for one in ready if one.message.attempts == 1]
    if not first:
        first = [one for one in ready if one.message.ambiguous and one.message.kind in OPTIONAL]
    chosen = {one.message.id for one in first}
    return [*first, *(one for one in ready if one.message.id not in chosen)], len(first)


def _written(claimed: list[Claimed], carriers: list[State]) -> tuple[list[Ready], list[Ended]]:
    """Write a batch; return what can go out, and what became of the others."""
    if not carriers:
        why = f"no {claimed[0].channel} provider is set"
        return [], [Ended(one, "suppressed", why) for one in claimed]
    ready: list[Ready] = []
    ended: list[Ended] = []
    for message, written in zip(claimed, write(claimed), strict=True):
        if isinstance(written, Written):
            ready.append(Ready(message, written.address, written.letter))
        else:
            ended.append(unwritten(message, written))
    return ready, ended


def _settle(run: Run, ended: Sequence[Ended]) -> None:
    """Write down what became of letters; while the database is away, try again for as long as the leases last."""
    db.session.remove()
    if not ended:
        return
    for pause in (*SETTLE_AGAIN, None):
        try:
            late = settle(ended)
            break
        except OperationalError as problem:
            db.session.remove()
            if pause is None:  # the leases run out and somebody tries again
                log.error("%d letters not settled: %s", len(ended), where(problem))
                return
            time.sleep(pause)
    db.session.remove()
    for one in ended:
        if one.letter.id in late:
            log.warning("letter %s was sent after its lease had gone to another worker", one.letter.id)
        elif one.status in SENT:
            run.sent += 1
