"""What the carriers were told about our short messages: the described texts, their variables, the approved ids."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from booking.notices.senders.provider import Rendered, Temporary

DESCRIBED = Path(__file__).resolve().parents[2] / "templates" / "notices" / "sms_templates.toml"


@dataclass(frozen=True)
class Word:
    """What may stand in a place: an example, the most signs it can have, of what sort the carriers take it to be, and whether
    it must not be cut (half a preparation is a wrong one)."""

    example: str
    longest: int
    sort: str
    whole: bool = False


@dataclass(frozen=True)
class Template:
    """One text as it is filed: `name` (kind.sms, and which of its optional parts it has), the most messages it may take."""

    name: str
    text: str
    segments: int


@dataclass(frozen=True)
class Description:
    """templates/notices/sms_templates.toml. `names` finds a template by its text."""

    words: dict[str, Word]
    templates: tuple[Template, ...]
    names: dict[str, str]

    def word(self, kind: str, name: str) -> Word | None:
        """Return what is described about a word in letters of `kind` (`en/…` in English), or None.

        A word that stands in a text again is numbered there.
        """
        tongue = kind.partition("/")[0] if "/" in kind else ""
        plain = name.rstrip("0123456789")
        known = (self.words.get(one) for one in (f"{kind}.{plain}", f"{tongue}.{plain}", plain))
        return next((word for word in known if word), None)


class Unreadable(Exception):
    """A file about templates cannot be used; the text is one sentence for whoever starts the program."""


@functools.cache
def described(path: Path = DESCRIBED) -> Description:
    """Return the description, read once. Raises Unreadable."""
    return read(path.read_text(encoding="utf-8"))


def read(text: str) -> Description:
    """Return the description in `text` (TOML). Raises Unreadable."""
    try:
        said = tomllib.loads(text)
        words = {
            name: Word(str(one["example"]), int(one["longest"]), str(one["sort"]), bool(one.get("whole")))
            for name, one in said["words"].items()
        }
        templates = tuple(
            Template(str(one["name"]), str(one["text"]), int(one["segments"]))
            for one in said.get("template", [])
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as problem:
        raise Unreadable(
            f"templates/notices/sms_templates.toml cannot be read ({type(problem).__name__}: {problem})."
        ) from problem
    return Description(words, templates, {one.text: one.name for one in templates})


def approved_ids(path: str) -> dict[str, dict[str, str]]:
    """Return carrier → template's name → approved id, from the TOML file at `path`; nothing for "". Raises Unreadable."""
    if not path:
        return {}
    try:
        said = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return {carrier: {name: str(one) for name, one in ids.items()} for carrier, ids in said.items()}
    except (OSError, UnicodeError, tomllib.TOMLDecodeError, AttributeError) as problem:
        raise Unreadable(f"SMS_TEMPLATE_IDS cannot be read ({type(problem).__name__}: {path}).") from problem


@dataclass(frozen=True)
class Approved:
    """The ids a carrier gave our templates."""

    ids: Mapping[str, Mapping[str, str]]
    longest: int = 35

    def id_of(self, carrier: str, name: str) -> str:
        """Return the approved id of the template `name`. Raises Temporary: filing it is up to us, another way may carry it."""
        found = self.ids.get(carrier, {}).get(name, "")
        if not found:
            raise Temporary(f"no approved template for {name}", ours=True, this_letter=True)
        return found

    def values(self, letter: Rendered) -> list[tuple[str, str]]:
        """Return the variables as a carrier takes them: a longer one is cut, as it would be refused. Raises Temporary for one
        that must not be cut."""
        kind = letter.template.partition(".")[0]
        for name, value in letter.variables:
            word = described().word(kind, name)
            if len(value) > self.longest and (word is None or word.whole):
                raise Temporary(
                    f"{name} is longer than the {self.longest} signs carriers take",
                    ours=True,
                    this_letter=True,
                )
        return [(name, cut(value, self.longest)) for name, value in letter.variables]


@dataclass(frozen=True)
class WechatTemplate:
    """A template of a WeChat account: its id, and which word of our letters stands in which of its fields."""

    id: str
    fields: dict[str, str]


WECHAT_WORDS = (
    "time",
    "when",
    "latest",
    "place",
    "department",
    "doctor",
    "name",
    "room",
    "code",
    "phone",
    "reason",
)
"""What may stand in the fields of a WeChat template, as far as the letter has it."""


def wechat_templates(path: str) -> dict[str, WechatTemplate]:
    """Return kind → template from the TOML file at `path`; nothing for "". Raises Unreadable."""
    if not path:
        return {}
    try:
        said = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        found = {
            kind: WechatTemplate(str(one["id"]), {name: str(word) for name, word in one["fields"].items()})
            for kind, one in said.items()
        }
    except (OSError, UnicodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as problem:
        raise Unreadable(f"WECHAT_TEMPLATES cannot be read ({type(problem).__name__}: {path}).") from problem
    for kind, one in found.items():
        for name, word in one.fields.items():
            if word not in WECHAT_WORDS:
                raise Unreadable(
                    f"WECHAT_TEMPLATES: {kind}.{name} names the word {word}; letters have {', '.join(WECHAT_WORDS)}."
                )
    return found


def approved(settings: Mapping[str, Any]) -> Approved:
    """Return what `SMS_TEMPLATE_IDS` names. Raises Unreadable."""
    return Approved(approved_ids(settings["SMS_TEMPLATE_IDS"]), settings["SMS_LONGEST_VARIABLE"])


def cut(value: str, longest: int) -> str:
    """Return `value` with at most `longest` signs, the last of them an ellipsis where something was lost."""
    return value if len(value) <= longest else f"{value[: longest - 1]}…"
