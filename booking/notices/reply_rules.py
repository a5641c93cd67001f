"""What a short message sent back means, and the code in it: pure."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import timedelta

from booking.vault import short_code

CODE_DIGITS = 4
WRONG_PER_DAY = 5
"""Wrong codes from one phone within a day; then even a right one is not taken: four digits must not be guessed."""
ANSWERS_PER_DAY = 10
"""Answers to one phone within a day: two machines must not talk to each other for ever."""
DAY = timedelta(days=1)
CODES_LIVE = timedelta(days=1)
"""How long after its start a visit is still found by its code, to say that it is too late."""

_CODE = re.compile(r"(?<![0-9])([0-9]{4})(?![0-9])")
_LETTERED = re.compile(r"(?<![A-Z0-9])([QT])[ -]?([0-9]{4})(?![0-9])")
_STOP = re.compile(r"TD|(?:.{0,4})?退订.{0,4}")
_WISHES = (("confirm", "确认"), ("cancel", "退号"), ("cancel", "取消"))
_NOT = ("不", "没", "别", "?")


@dataclass(frozen=True)
class Asked:
    """`does`: confirm, cancel, stop (no more reminders to this phone) or unclear; `code` for the first two."""

    does: str
    code: str = ""


def read_reply(text: str) -> Asked:
    """Return what somebody asks for. Q or 确认 with four digits confirms, T or 退号 cancels, TD or 退订 alone stops reminders.

    Full-width signs, small letters and words around do no harm; two different wishes in one message are unclear.
    """
    said = unicodedata.normalize("NFKC", text).upper().strip(" \t\n.,!。，！、“”\"'「」【】[]()（）")
    if _STOP.fullmatch(said):
        return Asked("stop")
    lettered = set(_LETTERED.findall(said))
    if len(lettered) == 1:
        ((letter, code),) = lettered
        return Asked("confirm" if letter == "Q" else "cancel", code)
    codes = set(_CODE.findall(said))
    wants = {does for does, word in _WISHES if word in said}
    if not lettered and len(codes) == len(wants) == 1 and not any(word in said for word in _NOT):
        return Asked(wants.pop(), codes.pop())
    return Asked("unclear")


def reply_code(appointment_id: uuid.UUID, phone_hash: str) -> str:
    """Return the four digits by which the owner of one phone answers about one visit; worth nothing from another phone."""
    return short_code(f"reply {appointment_id.hex} {phone_hash}", CODE_DIGITS)
