"""When a letter that could not be sent is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

LADDER = (0, 5, 30, 120, 300, 600, 900)
"""Seconds to wait after the first, second, … failed try; the last one repeats."""
LONGEST = timedelta(hours=24)
MOST_UNKNOWN = 2
"""A provider that knows no reference may deliver each such try: after so many a letter ends."""


def next_try(
    attempts: int,
    now: datetime,
    *,
    due_at: datetime,
    expires_at: datetime,
    asked_wait: float = 0,
    jitter: float = 0,
) -> datetime | None:
    """Return when to try again after `attempts` failed tries, or None when that would be too late.

    `jitter` between -1 and 1 moves the step by up to a fifth, so that a provider that comes back is not met by
    everybody at once. `asked_wait` (seconds, from Retry-After) is never undercut.
    """
    step = LADDER[min(max(attempts, 1), len(LADDER)) - 1] * (1 + jitter / 5)
    seconds = max(step, asked_wait)
    latest = min(expires_at, due_at + LONGEST)
    if seconds > LONGEST.total_seconds():
        return None
    at = now + timedelta(seconds=seconds)
    return at if at <= latest else None
