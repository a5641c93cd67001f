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
_STOP = re.compile(r"TD|STOP|(.{0,4})退订.{0,4}")
_WISHES = (("confirm", "确认"), ("cancel", "退号"), ("cancel", "取消"))
_NOT = ("不", "没", "别", "?", "吗")
_UNWANTED = re.compile(r"(?:不要?|没|别|\bNOT|\bDON.?T) *$")
"""Stands directly before a letter and its code: 「不要T1234」; 「不来T1234」 is what the reminder asks for."""
_ASKING = re.compile(r" *(?:\?|.{0,4}吗)")
_AGAINST = re.compile(r"[不没].{0,2}[来去能]|[来去]不|取消|退号|CANCEL|\bCAN ?NOT|\bCAN.?T\b|\bNOT\b")
"""What nobody says who comes."""


@dataclass(frozen=True)
class Asked:
    """`does`: confirm, cancel, stop (no more reminders to this phone) or unclear; `code` for the first two."""

    does: str
    code: str = ""


def read_reply(text: str) -> Asked:
    """Return what somebody asks for. Q or 确认 with four digits confirms, T or 退号 cancels, TD, STOP or 退订 alone stops.

    Full-width signs, small letters and words around do no harm. Two different wishes in one message are unclear, and so is
    a wish that is denied or asked about: a place once given back is gone.
    """
    said = unicodedata.normalize("NFKC", text).upper().strip(" \t\n.,!。，！、“”\"'「」【】[]()（）")
    stop = _STOP.fullmatch(said)
    if stop:
        denied = any(word in (stop[1] or "") for word in _NOT)
        return Asked("unclear" if denied else "stop")
    found = list(_LETTERED.finditer(said))
    lettered = {one.groups() for one in found}
    if len(lettered) == 1:
        ((letter, code),) = lettered
        if any(_UNWANTED.search(said[: one.start()]) or _ASKING.match(said, one.end()) for one in found):
            return Asked("unclear")
        if letter == "Q" and _AGAINST.search(said):
            return Asked("unclear")
        return Asked("confirm" if letter == "Q" else "cancel", code)
    codes = set(_CODE.findall(said))
    wants = {does for does, word in _WISHES if word in said}
    if not lettered and len(codes) == len(wants) == 1 and not any(word in said for word in _NOT):
        return Asked(wants.pop(), codes.pop())
    return Asked("unclear")


def reply_code(appointment_id: uuid.UUID, phone_hash: str) -> str:
    """Return the four digits by which the owner of one phone answers about one visit; worth nothing from another phone."""
    return short_code(f"reply {appointment_id.hex} {phone_hash}", CODE_DIGITS)
