"""`python -m tests.storm`: run a storm, print it while it goes on, write its report; exit code 0 when nothing broke.

STORM_SECONDS (560; SQLite 240), STORM_DATABASE (postgresql | sqlite), STORM_SEED (random), STORM_OPERATIONS (0: until the time is
over), STORM_RUSH (1000 clients), STORM_SABOTAGE=1 (take a guard away: it must fail).
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from pathlib import Path

from tests.storm.storm import Wanted, storm


def main() -> int:
    """Read the settings, run the storm, return the exit code."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    kind = os.environ.get("STORM_DATABASE", "postgresql")
    if kind not in ("postgresql", "sqlite"):
        raise SystemExit("STORM_DATABASE is postgresql or sqlite.")
    wanted = Wanted(
        kind=kind,
        seconds=float(os.environ.get("STORM_SECONDS", "560" if kind == "postgresql" else "240")),
        operations=int(os.environ.get("STORM_OPERATIONS", "0")),
        seed=int(os.environ.get("STORM_SEED", "0")) or secrets.randbelow(900_000) + 100_000,
        rush=int(os.environ.get("STORM_RUSH", "1000")),
        sabotage=os.environ.get("STORM_SABOTAGE") == "1",
        folder=Path("test-results/storm") / kind,
    )
    return 0 if storm(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
