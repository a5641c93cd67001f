"""Apply mutants to copies of the tree, run their tests there, and tell which of them were noticed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from tests import servers
from tests.mutants.mutant import Disarmed, Mutant

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("booking", "worker", "tests", "templates", "static", "migrations", "docs", "deploy")
FILES = ("config.py", "wsgi.py", "pyproject.toml", "gunicorn.conf.py", "Makefile")
ONE_RUN = 180  # seconds for the tests of one mutant; a mutant that hangs is a finding, not a success


def tree() -> list[Path]:
    """Return the files a copy needs, without what running leaves behind."""
    found = [ROOT / name for name in FILES if (ROOT / name).is_file()]
    for folder in FOLDERS:
        found += [
            path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        ]
    return sorted(found)


def digest_of(files: Iterable[Path]) -> str:
    """Return a name for the state of the tree."""
    total = hashlib.sha256()
    for path in files:
        if path.suffix in (".py", ".html", ".txt", ".toml"):
            total.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return total.hexdigest()[:16]


def copy_to(folder: Path) -> None:
    """Copy the tree to an empty folder."""
    for path in tree():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def red_tests(
    folder: Path,
    tests: Iterable[str],
    *,
    database_url: str = "",
    run_folder: str = "",
    seconds: int = ONE_RUN,
    at_once: int = 1,
    name: str = "main",
) -> dict[str, str]:
    """Run tests in a copy of the tree; return {node id without parameters: "red" | "green" | "not run"}.

    Red means that the test itself failed; an error while collecting or while making its fixtures is not red.
    `run_folder` lends the migrated databases of another run; whoever uses it at the same time has another `name`. Raises subprocess.TimeoutExpired.
    """
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("BOOKING_", "PYTEST"))
    }
    environment |= {"CI": "", "PYTHONDONTWRITEBYTECODE": "1"}
    if database_url:
        environment["TEST_DATABASE_URL"] = database_url
    if run_folder:
        environment |= {servers.RUN_FOLDER: run_folder, servers.RUN_NAME: name}
    files = sorted(set(tests))
    side_by_side = ["-n", str(at_once), "--dist", "loadgroup"] if at_once > 1 else []
    words = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", *side_by_side]
    asked = subprocess.Popen(
        [sys.executable, "-m", "pytest", *words, *files],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        asked.wait(seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):  # what hangs has children of its own: workers, gateways
            os.killpg(asked.pid, signal.SIGKILL)
        asked.wait()
    said = dict.fromkeys(files, "not run")
    if not report.exists():
        return said
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        place = case.get("classname", "").replace(".", "/") + ".py"
        function = case.get("name", "").partition("[")[0].partition("@")[0]  # xdist adds the group
        node = f"{place}::{function}"
        if node not in said:
            continue
        if case.find("failure") is not None:
            said[node] = "red"
        elif case.find("error") is None and case.find("skipped") is None and said[node] == "not run":
            said[node] = "green"
    return said


def survivors(
    mutant: Mutant, *, database_url: str = "", run_folder: str = "", name: str = "main"
) -> list[str]:
    """Take one guard away in a copy of the tree; return the named tests that did not turn red (none: it was killed).

    A mutant of a migration makes its own databases, the others may use those of `run_folder`.
    """
    if mutant.file.startswith("migrations/"):
        run_folder = ""
    try:
        changed = mutant.apply(ROOT)
    except Disarmed as problem:
        return [str(problem)]
    with tempfile.TemporaryDirectory(prefix="booking-mutant-") as made:
        folder = Path(made)
        copy_to(folder)
        (folder / mutant.file).write_text(changed)
        try:
            said = red_tests(
                folder, mutant.tests, database_url=database_url, run_folder=run_folder, name=name
            )
        except subprocess.TimeoutExpired:
            return [f"no answer within {ONE_RUN} s"]
    return [f"{test} is {state}" for test, state in said.items() if state != "red"]


class Ledger:
    """What is known from earlier runs on the same tree: killing a run loses nothing that was found."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = digest_of(tree())
        kept = json.loads(path.read_text()) if path.exists() else {}
        self.known: dict[str, list[str]] = kept.get("known", {}) if kept.get("tree") == self.state else {}

    def get(self, mutant: Mutant) -> list[str] | None:
        return self.known.get(mutant.digest())

    def keep(self, mutant: Mutant, survived: list[str]) -> None:
        self.known[mutant.digest()] = survived
        self.path.parent.mkdir(exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps({"tree": self.state, "known": self.known}, indent=1))
        partial.rename(self.path)


def clock() -> float:
    """Return seconds that only grow."""
    return time.monotonic()
