"""What a far end accepted and what it told of it afterwards: lines of JSON, only ever added."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Ledger:
    """An append-only file (or, without a path, a list in memory). Any thread may write; a line is written whole."""

    def __init__(self, path: Path | None = None) -> None:
        self.lines: list[dict[str, Any]] = []
        self._known: set[str] = set()
        self._file = path.open("ab", buffering=0) if path else None
        self._lock = threading.Lock()
        if path:
            self._known = {line["reference"] for line in read(path) if line["did"] == "accepted"}

    def accept(self, reference: str, address: str, text: str, **more: Any) -> bool:
        """Write an acceptance; return whether it is the first of its reference."""
        with self._lock:
            first = reference not in self._known
            self._known.add(reference)
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            self._add(
                {"did": "accepted", "reference": reference, "to": address, "digest": digest, "first": first}
                | more
            )
        return first

    def told(self, event: str, reference: str, said: str) -> None:
        """Write that a receipt was taken by the product."""
        with self._lock:
            self._add({"did": "told", "reference": reference, "event": event, "said": said})

    def _add(self, line: dict[str, Any]) -> None:
        line["at"] = time.time()
        if self._file is None:
            self.lines.append(line)
        else:
            self._file.write(json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Return the lines of a ledger; a last one that is still being written is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
