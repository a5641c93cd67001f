"""`python -m tests.chaos`: run a chaos, print it while it goes on, write its report; exit code 0 when nothing was lost,
doubled beyond the counted ambiguous tries, or sent after a cancellation.

CHAOS_SECONDS (480; SQLite 240), CHAOS_DATABASE (postgresql | sqlite), CHAOS_SEED (random), CHAOS_PER_SECOND (things people do:
14; SQLite 5), CHAOS_FAULTS (names of tests/chaos/plan.py, separated by commas), CHAOS_SABOTAGE=1 (must fail).
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from pathlib import Path

from tests.chaos.chaos import Wanted, chaos


def main() -> int:
    """Read the settings, run the chaos, return the exit code."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    kind = os.environ.get("CHAOS_DATABASE", "postgresql")
    if kind not in ("postgresql", "sqlite"):
        raise SystemExit("CHAOS_DATABASE is postgresql or sqlite.")
    large = kind == "postgresql"
    faults = tuple(name for name in os.environ.get("CHAOS_FAULTS", "").split(",") if name)
    wanted = Wanted(
        kind=kind,
        seconds=float(os.environ.get("CHAOS_SECONDS", "480" if large else "240")),
        seed=int(os.environ.get("CHAOS_SEED", "0")) or secrets.randbelow(900_000) + 100_000,
        per_second=float(os.environ.get("CHAOS_PER_SECOND", "14" if large else "5")),
        sabotage=os.environ.get("CHAOS_SABOTAGE") == "1",
        folder=Path("test-results/chaos") / kind,
        faults=faults or None,
    )
    return 0 if chaos(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
