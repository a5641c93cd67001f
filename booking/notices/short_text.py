"""A short message as text, and as the approved template it stands for.

Mainland carriers send a text only as a template they have approved (模板报备): fixed words, places for variables, a signature
before them. The words stay in templates/notices/; here each text is taken apart into fixed words and variables while it is
filled, so that what is filed and what is sent are one thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from booking.notices.approved import described
from booking.notices.filling import fill, one_line
from booking.notices.senders.provider import Rendered

CONSTANTS = ("site",)
"""Words that are the same in every message of one installation; they are filed as they are."""
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}([a-z_0-9]+){_CLOSE}")
_RUN = re.compile(f"{_OPEN}[a-z_0-9]+{_CLOSE}(?: *{_OPEN}[a-z_0-9]+{_CLOSE})*")


class _Marked(str):
    """A word that answers questions as itself and prints as the mark of its place."""

    mark: str

    def __new__(cls, name: str, value: str) -> _Marked:
        made = super().__new__(cls, value)
        made.mark = f"{_OPEN}{name}{_CLOSE}"
        return made

    def __str__(self) -> str:
        return self.mark

    def __format__(self, spec: str) -> str:
        return self.mark


class _MarkedNumber(int):
    """The same for a number."""

    mark: str

    def __new__(cls, name: str, value: int) -> _MarkedNumber:
        made = super().__new__(cls, value)
        made.mark = f"{_OPEN}{name}{_CLOSE}"
        return made

    def __str__(self) -> str:
        return self.mark

    def __format__(self, spec: str) -> str:
        return self.mark


@dataclass(frozen=True)
class Taken:
    """A filled text taken apart: what was said, the text as it is filed, and what stood in its places, in order."""

    text: str
    filed: str
    variables: tuple[tuple[str, str], ...]


def short_message(subject: str, kind: str, words: Mapping[str, Any]) -> Rendered:
    """Return the short message of `kind`, filled from `<kind>.sms.txt`, with its approved template's name and variables.

    A text nobody described goes by its kind alone: a carrier of templates refuses it, a plain gateway sends it.
    """
    taken = take_apart(kind, words)
    name = described().names.get(taken.filed, f"{kind}.sms")
    return Rendered(subject, taken.text, template=name, variables=taken.variables)


def take_apart(kind: str, words: Mapping[str, Any]) -> Taken:
    """Fill `<kind>.sms.txt` and tell fixed words and variables apart.

    Words that stand beside each other are one variable, named after the last: carriers refuse two without a word between.
    """
    marked = {name: _mark(name, value) for name, value in words.items()}
    filled = one_line(fill(f"{kind}.sms.txt", marked))
    variables: list[tuple[str, str]] = []

    def said(match: re.Match[str]) -> str:
        return str.__str__(words[match[1]]) if isinstance(words[match[1]], str) else str(words[match[1]])

    def file(match: re.Match[str]) -> str:
        names = _MARK.findall(match[0])
        if names[-1] in CONSTANTS:
            return f"{{{names[-1]}}}"
        name, again = names[-1], sum(1 for known, _ in variables if known.rstrip("0123456789") == names[-1])
        name = f"{name}{again + 1}" if again else name
        variables.append((name, re.sub(r" {2,}", " ", _MARK.sub(said, match[0])).strip()))
        return f"${{{name}}}"

    filed = _RUN.sub(file, filled)
    text = re.sub(r" {2,}", " ", _MARK.sub(said, filled)).strip()
    return Taken(text, re.sub(r"^【\{site\}】", "", filed), tuple(variables))


def _mark(name: str, value: Any) -> Any:
    if isinstance(value, str) and value:
        return _Marked(name, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _MarkedNumber(name, value)
    return value
