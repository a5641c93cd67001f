"""The plan of a chaos: what people do and what breaks when; the same seed gives the same plan."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

WEIGHTS = {"book": 58, "cancel": 20, "move": 14, "coming": 6, "stop": 0.25}
"""How often each thing is done, of about 100."""
LEASE = 8.0
"""Seconds of a lease in a chaos (60 in earnest): what a dead worker had is taken up within one run."""
ON_POSTGRESQL = (
    "kill_claimed", "kill_sent", "freeze", "gw_500", "kill_worker", "flush", "gw_slow", "kill_sent", "crash_database",
    "gw_hang", "no_beat", "gw_429", "kill_claimed", "gw_drop", "hang_broker", "mail_451", "gw_odd", "kill_broker",
    "gw_partly", "skew", "receipts", "dead", "clock_on", "full_broker", "gw_error", "freeze", "forgets", "mail_hang",
    "crash_database", "clock_back", "gw_refuse", "mail_drop",
)  # fmt: skip
"""Every kind of fault, some of them more often."""
ON_SQLITE = (
    "kill_claimed", "kill_sent", "gw_500", "freeze", "kill_worker", "gw_slow", "gw_drop", "gw_hang", "mail_451", "gw_odd",
    "gw_429", "receipts", "kill_sent", "dead", "clock_on", "gw_error", "gw_partly", "clock_back", "forgets", "gw_refuse",
)  # fmt: skip
LONG = {
    "dead": float(os.environ.get("CHAOS_DEAD", "60")),
    "no_beat": 60.0,
    "freeze": 1.8 * LEASE,
    "receipts": 25.0,
    "forgets": 15.0,
    "skew": 20.0,
}
"""Seconds a fault lasts in a run of eight minutes; others last eight."""
AT_ONCE = {"kill_claimed", "kill_sent", "kill_worker", "flush", "clock_on", "clock_back"}
TITLES = {
    "kill_claimed": "kill -9 after the claim",
    "kill_sent": "kill -9 after the provider accepted",
    "kill_worker": "kill -9 at any moment",
    "freeze": "SIGSTOP beyond the lease, then SIGCONT",
    "no_beat": "no beat",
    "flush": "FLUSHALL",
    "kill_broker": "Valkey killed",
    "hang_broker": "Valkey stopped (SIGSTOP)",
    "full_broker": "Valkey full",
    "crash_database": "PostgreSQL stopped at once",
    "dead": "provider dead, the second takes over",
    "gw_slow": "gateway slow",
    "gw_500": "gateway 500",
    "gw_429": "gateway 429, Retry-After",
    "gw_hang": "gateway accepts, then hangs",
    "gw_drop": "gateway accepts, then hangs up",
    "gw_error": "gateway 200 with an error",
    "gw_odd": "gateway answers no JSON",
    "gw_partly": "gateway takes half of a batch",
    "gw_refuse": "gateway refuses connections",
    "forgets": "gateway forgets references",
    "receipts": "receipts twice and in any order",
    "mail_451": "mail server 451",
    "mail_hang": "mail server accepts, then hangs",
    "mail_drop": "mail server accepts, then hangs up",
    "clock_on": "the clock 75 s on",
    "clock_back": "the clock 30 s back",
    "skew": "a worker's clock an hour wrong",
}


@dataclass(frozen=True)
class Blow:
    """What breaks at `at` seconds after the start, for how long; `luck` in [0, 1) decides the rest."""

    at: float
    does: str
    lasts: float
    luck: float


def blows(seed: int, seconds: float, kinds: tuple[str, ...]) -> Iterator[Blow]:
    """Return the faults in order of time. Each kind comes once before any comes again, as far as the time allows; the last
    tenth of the run is left alone, so that everything has broken before it ends."""
    dice = random.Random(f"{seed} blows")
    order: list[str] = []
    until: dict[str, float] = {}
    gap = min(13.0, seconds * 0.85 / len(kinds))
    for number in itertools.count():
        at = seconds * 0.03 + gap * (number + dice.uniform(0.0, 0.5))
        if at > seconds * 0.9:
            return
        if not order:
            order = list(kinds)
            dice.shuffle(order)
        does = order.pop()
        if at < until.get(does, 0.0):
            continue  # what is dead cannot die
        lasts = 0.0 if does in AT_ONCE else LONG.get(does, 8.0)
        if does != "freeze":  # a freeze is nothing unless it outlasts the lease
            lasts = min(max(3.0, lasts * min(1.0, seconds / 240)), seconds - at) if lasts else 0.0
        until[does] = at + lasts
        yield Blow(at, does, lasts, dice.random())


@dataclass(frozen=True)
class Step:
    """One thing a lane sets out to do; `luck` values choose among what there is."""

    does: str
    luck: tuple[float, float, float]


def steps(seed: int, lane: int) -> Iterator[Step]:
    """Return what one lane of the load does, for ever."""
    dice = random.Random(f"{seed} lane {lane}")
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    while True:
        yield Step(dice.choices(names, weights)[0], (dice.random(), dice.random(), dice.random()))
