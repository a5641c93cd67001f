"""The plan of a storm: who does what, and what breaks when; the same seed gives the same plan."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

WEIGHTS = {
    "crowd": 68,  # everybody wants the same few slots, and presses again
    "book": 10,  # hold, sometimes doubled, confirm
    "cancel": 8,
    "move": 2,
    "hold_and_release": 2,
    "hold_and_leave": 2,  # the hold runs out
    "come_back_late": 1.5,  # confirm a hold that has run out
    "book_slowly": 1,  # hold, extend, confirm
    "check_in": 1,
    "stranger": 1,  # a hold without sign-in
    "repeat": 1.5,  # an old request once more
    "wait": 1,  # a scarce place or the waiting list, and somebody who gives a scarce one back
    "answer": 1,  # accept, decline or leave
}
"""How often each thing is set out to do, of 100. Most of a release is people who come too late: of a thousand for a slot of
twenty, 98 in a hundred."""
FAULTS_ON_POSTGRESQL = (
    "kill_web", "crash_database", "kill_web", "kill_broker", "failpoint", "flush", "kill_web", "failpoint",
    "clock",
)  # fmt: skip
FAULTS_ON_SQLITE = ("kill_web", "failpoint", "clock", "failpoint")
FAILPOINTS = (
    ("before_commit", "kill"), ("after_commit", "kill"), ("took_place", "kill"), ("before_commit", "raise"),
    ("after_commit", "raise"), ("took_place", "sleep 0.4"), ("before_commit", "sleep 0.3"),
    ("returned_place", "kill"), ("returned_place", "raise"), ("took_place", "raise"),
)  # fmt: skip
"""Every way a verb is broken off; taken in turn."""


@dataclass(frozen=True)
class Step:
    """One thing a browser sets out to do. `browser`, `slot`, `other` choose by remainder; `luck` in [0, 1) decides the rest."""

    number: int
    does: str
    browser: int
    slot: int
    other: int
    luck: float


@dataclass(frozen=True)
class Blow:
    """What breaks at `at` seconds after the start; `luck` decides how."""

    at: float
    does: str
    number: int
    luck: float


@dataclass(frozen=True)
class Order:
    """What the desk does at `at` seconds: stop a session, reopen it, change its places, book by telephone, add a number,
    or cancel what it booked."""

    at: float
    does: str
    session: int
    luck: float


def steps(seed: int) -> Iterator[Step]:
    """Everything the browsers do, in order, without end."""
    dice = random.Random(f"{seed} steps")
    names, weights = list(WEIGHTS), list(itertools.accumulate(WEIGHTS.values()))
    for number in itertools.count():
        does = dice.choices(names, cum_weights=weights)[0]
        numbers = (dice.getrandbits(30), dice.getrandbits(30), dice.getrandbits(30))
        yield Step(number, does, *numbers, dice.random())


def blows(seed: int, seconds: float, kinds: tuple[str, ...]) -> list[Blow]:
    """What breaks: every kind within the first two thirds and again as time allows, about one each ten seconds."""
    dice = random.Random(f"{seed} blows")
    count = max(len(kinds), int(seconds / 10))
    every = seconds * 0.92 / count
    return [
        Blow(every * (step + 0.3 + 0.4 * dice.random()), kinds[step % len(kinds)], step, dice.random())
        for step in range(count)
    ]


def orders(seed: int, seconds: float) -> list[Order]:
    """What the desk does: a stop each 6 seconds with its reopening 2 to 4 later, a change of places each 3, and beside
    them a booking by telephone, an added number, and a cancellation of one of these."""
    dice = random.Random(f"{seed} orders")
    made: list[Order] = []
    at = 1.5
    while at < seconds * 0.93:
        session = dice.getrandbits(20)
        made += [
            Order(at, "stop", session, dice.random()),
            Order(at + 2 + 2 * dice.random(), "reopen", session, dice.random()),
            Order(at + 1, "places", dice.getrandbits(20), dice.random()),
            Order(at + 4, "places", dice.getrandbits(20), dice.random()),
            Order(at + 0.5, "phone", dice.getrandbits(20), dice.random()),
            Order(at + 2.5, "extra", dice.getrandbits(20), dice.random()),
            Order(at + 5, "unbook", dice.getrandbits(20), dice.random()),
        ]
        at += max(1.0, min(6.0, seconds / 4))
    return sorted(made, key=lambda one: one.at)


def releases(seconds: float) -> list[float]:
    """When sessions are released during the storm, seconds after its start."""
    return [seconds * share for share in (0.15, 0.3, 0.45, 0.6, 0.75, 0.85)]
