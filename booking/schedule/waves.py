"""Waves of a release (分批放号) as plain values: what may be meant, when each opens, and which place belongs to which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from booking.clock import utc
from booking.errors import BadInput

MOST_WAVES = 5
MOST_DAYS_BEFORE = 90
SEALED = datetime(9000, 1, 1, tzinfo=UTC)
"""`opens_at` of a place that nobody may take before the draw of its session; the draw takes it off."""


@dataclass(frozen=True)
class Wave:
    """A later part of a session's numbers: `percent` of them open `days_before` the visit at the wall time `at`."""

    percent: int
    days_before: int
    at: time

    def opens_at(self, local_date: date, zone: str) -> datetime:
        """Return the instant at which this part opens for a session on `local_date`."""
        return utc(local_date - timedelta(days=self.days_before), self.at, zone)


def read_waves(stored: Sequence[Mapping[str, Any]] | None) -> list[Wave]:
    """Return stored waves (`[{"percent": 30, "days_before": 1, "at": "20:00"}]`) as values. Raises BadInput.

    Together they are at most the whole; what no wave names opens at the release.
    """
    waves: list[Wave] = []
    for one in stored or ():
        try:
            at = time.fromisoformat(str(one["at"]))
            waves.append(Wave(int(one["percent"]), int(one["days_before"]), at.replace(tzinfo=None)))
        except (KeyError, TypeError, ValueError) as problem:
            raise _wrong("分批放号看不懂，请写成：30% 提前 1 天 20:00") from problem
    if len(waves) > MOST_WAVES:
        raise _wrong(f"最多分 {MOST_WAVES} 批")
    if any(not 1 <= wave.percent <= 100 for wave in waves) or sum(wave.percent for wave in waves) > 100:
        raise _wrong("每批占 1%–100%，各批合计不能超过 100%")
    if any(not 0 <= wave.days_before <= MOST_DAYS_BEFORE for wave in waves):
        raise _wrong(f"每批应在就诊前 0–{MOST_DAYS_BEFORE} 天")
    return waves


def _wrong(sentence: str) -> BadInput:
    return BadInput(sentence, errors={"release_waves": sentence})


def stored_waves(waves: Sequence[Wave]) -> list[dict[str, Any]]:
    """Return waves as they are kept in a policy or on a session."""
    return [
        {"percent": wave.percent, "days_before": wave.days_before, "at": wave.at.strftime("%H:%M")}
        for wave in waves
    ]


def spread(counts: Sequence[int], percents: Sequence[int]) -> list[list[int]]:
    """Say for every place of every slot which part it belongs to: 0 opens at the release, n with `percents[n - 1]`.

    Fair over the slots: walking through the places in time order, each goes to the part that is furthest behind its
    share so far (the earlier part when two are level), so no part of the session is all early or all late.

    >>> spread([2, 2, 2], [50])
    [[0, 1], [0, 1], [0, 1]]
    """
    shares = [100 - sum(percents), *percents]
    given = [0] * len(shares)
    seen = 0
    parts: list[list[int]] = []
    for count in counts:
        mine = []
        for _ in range(count):
            seen += 1
            behind = [share * seen - 100 * had for share, had in zip(shares, given, strict=True)]
            part = behind.index(max(behind))
            given[part] += 1
            mine.append(part)
        parts.append(mine)
    return parts


def opening(part_opens_at: datetime | None, release_at: datetime, closes_at: datetime) -> datetime | None:
    """Return a place's own opening, or None when it opens with the release.

    A part that would open before the release opens with it, and one that would open only when its slot is closed does
    too: no number is kept back until nobody can take it.
    """
    if part_opens_at is None or not release_at < part_opens_at < closes_at:
        return None
    return part_opens_at
