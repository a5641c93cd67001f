"""A short message as text, and as the approved template it stands for.

Mainland carriers send a text only as a template they have approved (模板报备): fixed words, places for variables, a signature
before them. The words stay in templates/notices/; here each text is taken apart into fixed words and variables while it is
filled, so that what is filed and what is sent are one thing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app
from flask_babel import get_locale
from jinja2 import Environment

from booking.notices.approved import described
from booking.notices.filling import fill, one_line
from booking.notices.senders.provider import Rendered

CONSTANTS = ("site", "host")
"""Words that are the same in every message of one installation; they are filed as they are: who signs, and where our links
lead (carriers take no address of a site as a variable)."""
LONGEST_HOST = 30
"""Signs that our links may have before their path; the lengths of the described texts leave room for so many."""
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}([a-z_0-9]+){_CLOSE}")
_BLANKS = re.compile(r" {2,}")
_RUN = re.compile(f"{_OPEN}[a-z_0-9]+{_CLOSE}(?: *{_OPEN}[a-z_0-9]+{_CLOSE})*")


class _Marked(str):
    """A word that is there, and prints as the mark of its place."""

    mark: str

    def __new__(cls, name: str) -> _Marked:
        made = super().__new__(cls, name)
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


def link_host(settings: Mapping[str, Any]) -> str:
    """Return what stands before the path in the links of short messages: PUBLIC_URL without its scheme."""
    host: str = settings["PUBLIC_URL"].partition("://")[2]
    return host


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
    The sentences may ask of a word whether it is there, and nothing else (template_check sees to that): so they are filled
    once for each set of words present, not for each letter.
    """
    there = frozenset(name for name, value in words.items() if value or type(value) is int)
    env = current_app.jinja_env
    shape = _shape(env, kind, str(get_locale()), there, frozenset(words))
    values = {name: str(value) for name, value in words.items()}
    variables = tuple((name, _said(parts, values)) for name, parts in shape.variables)
    return Taken(_said(shape.parts, values), shape.filed, variables)


@dataclass(frozen=True)
class _Shape:
    """What all letters with the same fixed words and the same words present have in common. Parts are fixed words and names
    of places in turn, beginning with fixed words."""

    filed: str
    parts: tuple[str, ...]
    variables: tuple[tuple[str, tuple[str, ...]], ...]


@functools.lru_cache(maxsize=2048)
def _shape(
    _env: Environment, kind: str, _language: str, there: frozenset[str], known: frozenset[str]
) -> _Shape:
    """Return the shape of the text that `kind` becomes with the words `there`, of all that are `known`."""
    filled = one_line(
        fill(f"{kind}.sms.txt", {name: _Marked(name) if name in there else "" for name in known})
    )
    variables: list[tuple[str, tuple[str, ...]]] = []

    def file(match: re.Match[str]) -> str:
        parts = tuple(_MARK.split(match[0]))
        name = parts[-2]
        if name in CONSTANTS:
            return f"{{{name}}}"
        again = sum(1 for known, _ in variables if known.rstrip("0123456789") == name)
        variables.append((f"{name}{again + 1}" if again else name, parts))
        return f"${{{variables[-1][0]}}}"

    filed = _RUN.sub(file, filled)
    return _Shape(re.sub(r"^【\{site\}】", "", filed), tuple(_MARK.split(filled)), tuple(variables))


def _said(parts: tuple[str, ...], values: Mapping[str, str]) -> str:
    """Return what was said: the parts with the values in their places."""
    text = "".join(values[part] if at % 2 else part for at, part in enumerate(parts))
    return (_BLANKS.sub(" ", text) if "  " in text else text).strip()
