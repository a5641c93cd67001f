"""The language a letter is written in: its dates, its small words, its sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app

from booking import wording

LANGUAGES = ("zh", "en")


@dataclass(frozen=True)
class Tongue:
    """One language. `dates` are its functions of `booking.wording`; the sentences stand in templates/notices/."""

    language: str

    @property
    def dates(self) -> Any:
        return wording.in_language(self.language)

    def sentences(self, kind: str) -> str:
        """Return under which name the sentences of a kind of letter stand in templates/notices/."""
        return f"en/{kind}" if self.language == "en" else kind

    def say(self, phrase: str, *places: Any) -> str:
        """Return one of the small words of `phrases.txt`, with its places filled."""
        words: Any = current_app.jinja_env.get_template(f"notices/{self.sentences('phrases')}.txt").module
        return str(getattr(words, phrase)(*places))


def tongue(language: str | None) -> Tongue:
    """Return the language somebody chose for letters; nobody's choice, or one we do not write, is Chinese."""
    return Tongue(language if language in LANGUAGES else LANGUAGES[0])
