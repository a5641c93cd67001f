"""What a mutant is: one guard taken away by an exact change of source text, and the tests that must notice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


class Disarmed(Exception):
    """The text a mutant changes does not stand in its file exactly once: it would prove nothing."""


@dataclass(frozen=True)
class Mutant:
    """`edits` are (before, after) pairs of `file`; each `before` must stand there exactly once.

    `tests` are node ids without parameters; each must fail on at least one database.
    """

    name: str
    guard: str
    breaks: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    def apply(self, root: Path) -> str:
        """Return the file's text with the guard taken away. Raises Disarmed."""
        text = (root / self.file).read_text()
        for before, after in self.edits:
            found = text.count(before)
            if found != 1:
                raise Disarmed(
                    f"mutant {self.name}: {found} times in {self.file}, must be once:\n{before}\n"
                    "The guarded line moved or changed; give the mutant its new text in tests/mutants/."
                )
            text = text.replace(before, after)
        return text

    def digest(self) -> str:
        """Return a name for exactly this change and these tests."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]
