"""The two pages of the documentation that say what is proved by what; written from the tables, never by hand."""

from __future__ import annotations

import re
from pathlib import Path

from tests.mutants.invariants import INVARIANTS, Invariant
from tests.mutants.ledger_invariants import LEDGER_INVARIANTS
from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS

ALL_INVARIANTS = INVARIANTS + LEDGER_INVARIANTS
DOCS = Path(__file__).resolve().parents[2] / "docs"


def mutants_of(name: str) -> list[Mutant]:
    """Return the mutants that break an invariant."""
    return [one for one in MUTANTS if name in re.split(r",\s*", one.breaks)]


def _tests(nodes: tuple[str, ...]) -> str:
    said = []
    for node in nodes:
        file, _, name = node.partition("::")
        said.append(f"`{file.removeprefix('tests/')}` {name.removeprefix('test_').replace('_', ' ')}")
    return "<br>".join(said)


def mutants_page() -> str:
    """Return docs/mutants.md."""
    rows = [f"| `{one.name}` | {one.guard} | {one.breaks} | {_tests(one.tests)} |" for one in MUTANTS]
    return "\n".join(
        [
            "# Guards taken away",
            "",
            "A test that has never been seen red proves nothing. Each row takes one guard of the core or of the ledger away —",
            "a constraint that is never made, a condition left out, a step written the careless way — in a copy of the",
            "tree, and demands that the tests named beside it turn red there.",
            "",
            f"`make mutants` runs all {len(MUTANTS)} (resumable; `make mutants NAME=move` runs those whose name contains it).",
            "The text each mutant replaces must stand exactly once in its file, which the ordinary suite checks, so that a",
            "refactoring cannot quietly disarm one. This page is written by `python -m tests.mutants --write` from the",
            "tables in `tests/mutants/`; a test compares the two.",
            "",
            "| Mutant | The guard it takes away | Breaks | Tests that turn red |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _held_by(one: Invariant) -> str:
    return "<br>".join([f"`{name}`" for name in one.constraints] + ([one.code] if one.code else []))


def invariants_page() -> str:
    """Return docs/invariants.md."""
    rows = []
    for one in ALL_INVARIANTS:
        mutants = "<br>".join(f"`{mutant.name}`" for mutant in mutants_of(one.name))
        missing = f"Not proved yet: {one.open}." if one.open else ""
        tests = "<br>".join(said for said in (_tests(one.tests), missing) if said)
        rows.append(f"| {one.name} | {one.says} | {_held_by(one)} | {tests} | {mutants} |")
    return "\n".join(
        [
            "# What always holds, and how we know",
            "",
            "The invariants of the reservation core (R) and of the ledger of letters (N), what holds each of them (constraints by",
            "name, then what the code does),",
            "the tests that would notice, and the [mutants](mutants.md) that showed that they do. Every test runs on SQLite",
            "and PostgreSQL. The state machine (`tests/model`) runs any order of verbs on the product and on a clinic in",
            "memory and compares answers, rows, letters and free places after each step; `MODEL_EXAMPLES`, `MODEL_STEPS` and",
            "`MODEL_SEED` make it longer or another. `make storm` looks at the same invariants from outside, under load and",
            "faults. This page is written by `python -m tests.mutants --write`; a test compares it with the tables.",
            "",
            "| | What always holds | Held by | Tests | Mutants |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


PAGES = {"mutants.md": mutants_page, "invariants.md": invariants_page}


def write() -> None:
    """Write both pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
