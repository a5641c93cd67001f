"""How the gateway calls back: signed receipts in batches, some of them twice, late, or in the wrong order."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import random
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from booking.notices.callbacks import signature
from tests.far_ends.ledger import Ledger

AT_ONCE = 100


@dataclass
class Callbacks:
    """Receipts of one gateway. Without a `url` it tells nothing.

    `mode`: plain (one receipt, delivered), shuffled (what happened on the way too, in any order, some twice). `failing`:
    the share of letters that are never delivered. A receipt that was not taken is told again.
    """

    ledger: Ledger
    seed: int = 1
    url: str = ""
    key: str = ""
    mode: str = "plain"
    delay: float = 0.3
    failing: float = 0.0
    taken: int = 0
    _waiting: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    _number: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed + 1)

    @property
    def open(self) -> int:
        """How many receipts are still to be told."""
        return len(self._waiting)

    def delivered(self, reference: str, now: float) -> None:
        """Plan the receipts of a letter that was delivered, or could not be."""
        if not self.url:
            return
        dice = self.dice
        end = "failed" if dice.random() < self.failing else "delivered"
        story = [end]
        if self.mode == "shuffled":
            story += dice.sample(["unknown", "failed"] if end == "delivered" else ["unknown"], 1)
        for said in story:
            event = {"event": f"{reference}-{said}", "reference": reference, "status": said}
            for _ in range(2 if self.mode == "shuffled" and dice.random() < 0.3 else 1):
                at = now + self.delay * dice.uniform(0.02, 2.0)
                heapq.heappush(self._waiting, (at, next(self._number), event))

    async def tell(self) -> None:
        """Tell what is due, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = []
            while self._waiting and self._waiting[0][0] <= loop.time() and len(due) < AT_ONCE:
                due.append(heapq.heappop(self._waiting))
            if not due:
                await asyncio.sleep(0.02)
                continue
            if self.mode == "shuffled":
                self.dice.shuffle(due)
            if await self._post([event for _, _, event in due]):
                self.taken += len(due)
                for _, _, event in due:
                    self.ledger.told(event["event"], event["reference"], event["status"])
                continue
            for at, number, event in due:
                heapq.heappush(self._waiting, (max(at, loop.time() + 0.5), number, event))

    async def _post(self, events: list[dict[str, Any]]) -> bool:
        """POST one signed batch; whether the answer was 200."""
        to = urlsplit(self.url)
        body = json.dumps(events).encode()
        at = str(int(time.time()))
        head = (
            f"POST {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Type: application/json\r\n"
            f"X-Timestamp: {at}\r\nX-Signature: {signature(self.key, at, body)}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer = None
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(to.hostname, to.port)
                writer.write(head.encode() + body)
                return (await reader.readline()).split()[1:2] == [b"200"]
        if writer is not None:
            writer.transport.abort()
        return False
