"""The product's engine room as a chaos runs it: shorter leases, switches at two moments, a clock that may be wrong.

`celery -A tests.chaos.engine worker`, or `gunicorn tests.chaos.engine:flask_app` for the embedded default.
CHAOS_LEASE: seconds of a lease. CHAOS_SKEW: by how many seconds this process's clock is wrong. CHAOS_SABOTAGE=1, the positive
control: letters are marked as sent before they are handed over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

if os.environ.get("APP_ENV") != "testing":
    raise SystemExit("An engine room with switches is for the chaos only.")

from booking import claims

claims.LEASE = timedelta(
    seconds=float(os.environ.get("CHAOS_LEASE", "60"))
)  # before anybody else has read it

_skew, _real_time = float(os.environ.get("CHAOS_SKEW", "0")), time.time
if _skew:
    time.time = lambda: _real_time() + _skew

from booking import failpoints  # noqa: E402
from booking.notices import service  # noqa: E402
from booking.settling import Ended, settle  # noqa: E402
from worker.app import app, flask_app  # noqa: E402

_claim_due, _hand_over = service.claim_due, service.hand_over


def claim_due(*args: Any, **more: Any) -> Any:
    """Pass the point `claimed` when there is something that would be lost with this process."""
    claimed = _claim_due(*args, **more)
    if claimed:
        failpoints.reach("claimed")
    return claimed


def hand_over(*args: Any) -> Iterator[Any]:
    """Pass the point `sent` after the provider has answered and before anything is written down."""
    if os.environ.get("CHAOS_SABOTAGE") == "1":
        settle([Ended(one.message, "accepted") for one in args[1]])
    for outcomes in _hand_over(*args):
        failpoints.reach("sent")
        yield outcomes


service.claim_due, service.hand_over = claim_due, hand_over
__all__ = ["app", "flask_app"]
