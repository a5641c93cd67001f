"""The chaos itself, small: it passes over the product, and it fails over an engine room that marks letters before it sends them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import servers
from tests.chaos import judge, plan

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
import sys
from pathlib import Path
from tests.chaos.chaos import Wanted, chaos

kind, folder, seconds, guard, faults = sys.argv[1:]
wanted = Wanted(
    kind, float(seconds), 4711, Path(folder), per_second=6, small=True, sabotage=guard == "sabotage",
    faults=tuple(faults.split(",")),
)
sys.exit(0 if chaos(wanted) else 1)
"""


def small_chaos(
    kind: str, folder: Path, seconds: int, faults: str, guard: str = "guarded"
) -> tuple[int, str, str]:
    """Run a chaos of seconds in a process of its own; return exit code, output and report."""
    if kind == "postgresql":
        try:
            servers.postgresql()
        except servers.NotHere as problem:
            pytest.skip(str(problem))
    done = subprocess.run(
        [sys.executable, "-c", SMALL, kind, str(folder), str(seconds), guard, faults],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")},
        capture_output=True,
        text=True,
        timeout=400,
    )
    page = folder / "report.md"
    return (
        done.returncode,
        done.stdout[-3000:] + done.stderr[-3000:],
        page.read_text() if page.exists() else "",
    )


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        ("sqlite", "kill_sent,gw_500,receipts,gw_drop"),
        ("postgresql", "kill_sent,freeze,gw_500,kill_claimed,flush,gw_hang,receipts,crash_database"),
    ],
)
def test_a_small_chaos_passes(kind, faults, tmp_path):
    code, said, page = small_chaos(kind, tmp_path, 22, faults)
    assert code == 0, said + page
    assert "# Chaos: PASSED" in page and "kill -9 after the provider accepted" in page
    assert "not as planned" not in said
    assert "<polyline" in (tmp_path / "chaos.svg").read_text()


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_chaos_over_letters_marked_before_they_are_sent_fails(kind, tmp_path):
    code, said, page = small_chaos(kind, tmp_path, 12, "mail_451,gw_500,kill_claimed", "sabotage")
    assert code == 1, said
    assert "no far end has it" in page, page


@pytest.mark.parametrize(
    ("ambiguous", "taken", "lost"), [(2, 2, 0), (2, 1, 0), (2, 0, 1), (0, 1, 1), (1, 1, 1), (2, 3, 1)]
)
def test_a_letter_that_was_given_up_is_lost_unless_an_unknown_try_has_arrived(ambiguous, taken, lost):
    now = datetime.now(UTC)
    letter = SimpleNamespace(
        id=uuid.uuid4(), appointment_id=None, status="failed", channel="email", kind="confirmed", version=1,
        attempts=2, ambiguous=ambiguous, last_error="no answer; it may have arrived, given up", due_at=now, created_at=now, merged_into=None,
    )  # fmt: skip
    accepted = {letter.id: [{"at": now.timestamp()}] * taken} if taken else {}
    wall = judge.Wall([(0.0, 0.0)])
    seen = judge.Evidence({letter.id: letter}, {}, {}, {}, accepted, [], {}, [], wall, now, now.timestamp())
    verdict = judge.Verdict()
    assert len(list(judge._lost(seen, verdict))) == lost
    assert verdict.arrived_anyway == 1 - lost


def test_what_is_dead_does_not_die_again_before_it_is_back():
    planned = list(plan.blows(4711, 660, ("dead",)))
    assert len(planned) > 2
    for before, after in itertools.pairwise(planned):
        assert before.at + before.lasts <= after.at
