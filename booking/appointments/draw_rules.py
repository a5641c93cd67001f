"""How a draw is decided: the published algorithm as plain functions, used by the draw and by whoever checks it.

1. The seed is 64 hex digits, chosen at random when the draw is set up. Its commitment is the SHA-256 of those digits,
   published before anybody can enter.
2. The list is every token that stands when the entries close, sorted; its digest is the SHA-256 of the tokens joined by
   line feeds. So nobody, not even the server, can know the order before the list is final.
3. Each entry's key is the SHA-256 of `seed|list digest|token`. Entries go in the order of their keys.
4. Each in turn gets the first slot of their wishes (no wishes: every slot, earliest first) that has a place left and is
   not closed to them by a rule about the patient. Who finds none has not been drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from booking.errors import NotFound, Refusal

ALGORITHM = "draw-1"
FORMAT = "qingwu-draw/1"


class DrawFirst(Refusal):
    """A place of a session that is drawn: it cannot be held before the draw is over."""

    message = "这个班次用抽签放号：%(entries)s 起报名，%(release)s 开签，抽签前任何人都约不到。"


class EntriesClosed(Refusal):
    message = "现在不在报名时间内：%(entries)s 到 %(release)s 可以报名或撤回。"


class EntryNeedsId(Refusal):
    status = 422
    message = "抽签按证件一人一签，请先给%(patient)s补上证件号码。"


class PersonEntered(Refusal):
    message = "这个证件已经报过名，一人只能报一次。如果不是你本人报的，请打电话给医院。"


class SlotNotThere(Refusal):
    status = 422
    message = "选的时间不在这个班次里，请重新选择。"


class NoSuchDraw(NotFound):
    message = "没有找到这次抽签。"


@dataclass(frozen=True)
class Turn:
    """One entry in its turn: the anonymous token, wished slots by name, slots closed to it, and what it got ("": nothing)."""

    token: str
    wishes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    result: str = ""


def commitment_of(seed: str) -> str:
    """Return what is published of a seed before the draw: the SHA-256 of its digits."""
    return hashlib.sha256(seed.encode()).hexdigest()


def list_digest(tokens: Iterable[str]) -> str:
    """Return the digest that names a list of entries, whatever order they are given in."""
    return hashlib.sha256("\n".join(sorted(tokens)).encode()).hexdigest()


def key_of(seed: str, digest: str, token: str) -> str:
    """Return the number that decides an entry's turn; smaller comes first."""
    return hashlib.sha256(f"{seed}|{digest}|{token}".encode()).hexdigest()


def order(seed: str, tokens: Iterable[str]) -> list[str]:
    """Return the tokens in the order in which they take their turn."""
    known = list(tokens)
    digest = list_digest(known)
    return sorted(known, key=lambda token: (key_of(seed, digest, token), token))


def choices(wishes: Sequence[str], slots: Iterable[str], refused: Collection[str] = ()) -> list[str]:
    """Return the slots one turn tries, in order; `slots` are those of the session in time order."""
    there = list(slots)
    wanted = [slot for slot in wishes if slot in there] if wishes else there
    return [slot for slot in wanted if slot not in refused]


def replay(capacity: Mapping[str, int], turns: Iterable[Turn]) -> dict[str, str]:
    """Give the places out again in the given order; return what each token gets, "" for nothing.

    `capacity` is how many places each slot had, in time order.
    """
    left = dict(capacity)
    got: dict[str, str] = {}
    for turn in turns:
        free = [slot for slot in choices(turn.wishes, capacity, turn.refused) if left[slot] > 0]
        got[turn.token] = free[0] if free else ""
        if free:
            left[free[0]] -= 1
    return got
