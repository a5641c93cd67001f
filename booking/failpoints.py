"""Named points inside the verbs' transactions where the storm may make something go wrong; they exist in tests only.

A failpoint is switched by a file: `<point>.<anything>` in the armed folder, holding `kill`, `raise` or `sleep SECONDS`.
Whoever passes the point first takes the file away and suffers what it says, so each file strikes exactly once, in
whichever process comes by. Without a folder a point is the call of an empty function.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import OperationalError

POINTS = ("took_place", "returned_place", "before_commit", "after_commit")
"""Inside `take_place` and `return_place`; before a verb's transaction commits; after that and before anybody is told."""


def _nothing(_point: str) -> None:
    """The point of every ordinary run."""


_pass: Callable[[str], None] = _nothing


def reach(point: str) -> None:
    """Pass one of POINTS; in an armed test process it may sleep, raise OperationalError or end the process."""
    _pass(point)


def arm(folder: str) -> None:
    """Look for switches in `folder` from now on; an empty name disarms. `config` lets only the tests name one."""
    global _pass
    if not folder:
        _pass = _nothing
        return
    there = Path(folder)

    def look(point: str) -> None:
        for name in os.listdir(there):
            if name.partition(".")[0] == point:
                _strike(there / name)

    _pass = look


def _strike(switch: Path) -> None:
    try:
        said = switch.read_text().split()
        switch.unlink()  # only one process succeeds: the switch is its own
    except FileNotFoundError:
        return
    match said:
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["raise"]:
            # what a lost connection looks like: the verb must leave nothing behind, the door must say "later"
            raise OperationalError("failpoint", {}, RuntimeError(switch.name))
        case _:
            raise ValueError(f"a failpoint says kill, raise or sleep SECONDS, not {said}")
