"""What each refusal of the waiting list says, what happens to a turn, and how odds are read from history."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from booking.errors import NotFound, Refusal

ASKED_WHEN_ACCEPTED = "?"
"""Where a session asks for a referral, its number is given with the acceptance."""
LEAST_HISTORY = 20
"""With fewer wishes that ended in the past, odds are not known."""
LINES = ((1, 3), (4, 10), (11, 30), (31, 10**6))
"""Places in line that count as about the same."""
OUTCOMES = {"expire": "expired", "decline": "declined", "release": "declined"}


class NotFull(Refusal):
    message = "这个班次还有号，直接选时间预约就行，不用候补。"


class ListClosed(Refusal):
    status = 410
    message = "这个班次的候补已在 %(until)s 截止，请选别的日期或医生。"


class AlreadyWaiting(Refusal):
    message = "%(patient)s已经在候补这个班次，不用再登记。"


class TooManyWishes(Refusal):
    message = "%(patient)s已有 %(count)s 个候补，最多 %(limit)s 个。请先退出一个，再登记新的。"


class OfferOver(Refusal):
    status = 410
    message = "这个号已让给下一位。"


class NoSuchWish(NotFound):
    message = "没有找到这个候补。"


@dataclass(frozen=True)
class Odds:
    """Of `known` earlier wishes about as far in line, `served` got a place; not `is_known` when they are too few."""

    served: int
    known: int

    @property
    def is_known(self) -> bool:
        return self.known >= LEAST_HISTORY


def about_the_same(line: int) -> tuple[int, int]:
    """Return (first, last) of the places in line that count as about the same as `line` (from 1)."""
    return next(span for span in LINES if span[0] <= max(line, 1) <= span[1])


def outcome_of(verb: str) -> str:
    """How an offer ended by `verb`: what its wish did, or withdrawn when something else ended it."""
    return OUTCOMES.get(verb, "withdrawn")


def turn_after(outcome: str, turns_kept: int) -> tuple[int, bool]:
    """Return (turns still kept, whether the wish goes to the end of the line) after an offer that was not accepted.

    Declining or letting it run out keeps the place in line once; an offer that was withdrawn costs nothing.
    """
    if outcome == "withdrawn":
        return turns_kept, False
    return max(turns_kept - 1, 0), turns_kept == 0


def digest_of(body: dict[str, Any]) -> str:
    """Return the digest by which a repeated request is told from another one with the same key."""
    said = json.dumps(body, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()
