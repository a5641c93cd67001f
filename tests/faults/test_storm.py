"""The storm itself, small: it passes over the product, and it fails over the product with a guard taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
import sys
from pathlib import Path
from tests.storm.storm import Wanted, storm

wanted = Wanted(
    sys.argv[1], float(sys.argv[3]), 4711, Path(sys.argv[2]), rush=40, small=True, sabotage=sys.argv[4] == "sabotage",
    faults=("kill_web", "clock", "failpoint"),
)
sys.exit(0 if storm(wanted) else 1)
"""


def small_storm(kind: str, folder: Path, seconds: int, guard: str) -> tuple[int, str, str]:
    """Run a storm of seconds in a process of its own; return exit code, output and report."""
    if kind == "postgresql":
        try:
            servers.postgresql()
        except servers.NotHere as problem:
            pytest.skip(str(problem))
    done = subprocess.run(
        [sys.executable, "-c", SMALL, kind, str(folder), str(seconds), guard],
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


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_small_storm_passes(kind, tmp_path):
    code, said, page = small_storm(kind, tmp_path, 12, "guarded")
    assert code == 0, said + page
    assert "# Storm: PASSED" in page and "kill -9 web process" in page
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert {"hold", "confirm"} <= {one["op"] for one in history if one["result"] == "ok"}
    assert all(one["result"] in ("ok", "fail") for one in history), "nothing stays unknown"
    assert "<polyline" in (tmp_path / "storm.svg").read_text()


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_storm_over_a_lost_guard_fails(kind, tmp_path):
    code, said, page = small_storm(kind, tmp_path, 10, "sabotage")
    assert code == 1, said
    assert "**R1**" in page or "two active appointments on a place" in page, page
