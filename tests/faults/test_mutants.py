"""The tables of mutants and invariants stay true: anchors stand once, tests exist, pages agree, and the runner can tell."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from booking.db import Model
from tests.mutants.mutant import Disarmed, Mutant
from tests.mutants.pages import ALL_INVARIANTS, DOCS, PAGES, mutants_of
from tests.mutants.running import ROOT, survivors
from tests.mutants.table import MUTANTS

names = [one.name for one in MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS, ids=names)
def test_what_a_mutant_takes_away_stands_exactly_once(mutant):
    changed = mutant.apply(ROOT)  # raises Disarmed and says what to do
    assert changed != (ROOT / mutant.file).read_text()
    ast.parse(changed)


def test_a_mutant_whose_text_moved_is_noticed():
    for before in ("this text stands nowhere", "import"):
        with pytest.raises(Disarmed, match="must be once"):
            Mutant("m", "", "", "booking/db.py", ((before, ""),), ()).apply(ROOT)


def test_there_are_enough_mutants_and_each_has_a_name_of_its_own():
    assert len(set(names)) == len(names) >= 24
    assert all(one.tests and one.guard for one in MUTANTS)


def defined(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_a_table_names_exists():
    named = {node for one in (*MUTANTS, *ALL_INVARIANTS) for node in one.tests}
    missing = []
    for node in sorted(named):
        file, _, name = node.partition("::")
        if not (ROOT / file).is_file() or name not in defined(file):
            missing.append(node)
    assert not missing


def test_every_invariant_has_its_row_with_constraints_tests_and_mutants():
    numbered = [f"R{number}" for number in range(1, 35)] + [f"N{number}" for number in range(1, 23)]
    assert [one.name for one in ALL_INVARIANTS] == numbered
    assert [one.name for one in ALL_INVARIANTS if not one.tests and not one.open] == []
    known = {str(rule.name) for table in Model.metadata.sorted_tables for rule in table.constraints}
    known |= {str(index.name) for table in Model.metadata.sorted_tables for index in table.indexes}
    named = {name for one in ALL_INVARIANTS for name in one.constraints}
    assert sorted(named - known) == []
    without = [one.name for one in ALL_INVARIANTS if one.tests and not mutants_of(one.name)]
    assert set(without) <= WITHOUT_MUTANT
    broken = {
        name for one in MUTANTS for name in re.split(r",\s*", one.breaks) if re.fullmatch(r"[RN]\d+", name)
    }
    assert broken <= {one.name for one in ALL_INVARIANTS}


WITHOUT_MUTANT = {"R11", "R28", "R32", "R34", "N18", "N20"}
"""Held by no single line: durability is the database's, tenancy every key's, freshness the absence of a store, and
migrations are judged as they are. The address is read with the text, and what a code may is asked in several places."""


@pytest.mark.parametrize("name", PAGES)
def test_the_page_says_what_the_table_says(name):
    there = (DOCS / name).read_text()
    assert there == PAGES[name](), "write it again: python -m tests.mutants --write"


def test_the_runner_tells_a_killed_mutant_from_one_that_lives():
    """One real guard taken away, and one change that harms nothing."""
    file = "booking/appointments/rules.py"
    test = "tests/rules/test_visit_code.py::test_every_single_wrong_digit_is_caught"
    guard = "mod_11_10.is_valid(code)"
    killed = Mutant("killed", "", "", file, ((guard, "True"),), (test,))
    lives = Mutant("lives", "", "", file, ((guard, f"{guard} and True"),), (test,))
    assert survivors(killed) == []
    assert survivors(lives) == [f"{test} is green"]
    absent = f"{Path(test).parent}/test_nothing.py::test_nothing"
    assert survivors(Mutant("none", "", "", file, ((guard, guard + " "),), (absent,))) == [
        f"{absent} is not run"
    ]
