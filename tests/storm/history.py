"""The history of a storm: one JSON line for each operation, with what came of it."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OK, FAIL, UNKNOWN = "ok", "fail", "unknown"


class History:
    """Written while the storm goes on. An operation is unknown until an answer says what came of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("w")
        self.began = time.time()
        self.counts: Counter[str] = Counter()
        self.said: Counter[tuple[str, str]] = Counter()
        self.took: list[tuple[float, float]] = []
        self.lately: deque[float] = deque(maxlen=4000)
        self.five_hundreds: list[dict[str, Any]] = []
        self.bare_503 = 0
        self.number = 0

    def write(self, **record: Any) -> None:
        """Keep one operation: op, result (ok, fail, unknown), at and end (wall seconds), and whatever names it."""
        self.number += 1
        self.file.write(json.dumps({"n": self.number, **record}, separators=(",", ":")) + "\n")
        self.counts[record["result"]] += 1
        self.counts["all"] += 1
        if record.get("unknown"):
            self.counts["was unknown"] += 1
        self.said[record["op"], record["said"]] += 1
        self.lately.append(record["end"])
        if not record.get("unknown"):
            self.took.append((record["end"] - self.began, record["end"] - record["at"]))

    def rate(self) -> float:
        """Operations per second over the last five seconds."""
        now = time.time()
        recent = [at for at in self.lately if at > now - 5]
        if len(recent) == self.lately.maxlen:
            return len(recent) / max(0.001, now - recent[0])
        return len(recent) / 5

    def close(self) -> None:
        self.file.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Return the operations of a history."""
    with path.open() as file:
        for line in file:
            yield json.loads(line)
