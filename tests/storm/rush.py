"""A thousand at once for one slot of twenty: who wins, what the others read, how long they wait."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.storm import asking
from tests.storm.town import Town
from tests.storm.wire import Lost, Wire


@dataclass
class Rush:
    """What came of it; `seconds` are the waits of everybody, sorted."""

    clients: int
    winners: int = 0
    said: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def within(self, share: float) -> float:
        return (
            self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * share))] if self.seconds else 0.0
        )

    @property
    def clear(self) -> bool:
        """Whether twenty won, all others read that it is full, nobody saw an error, within five seconds."""
        return (
            self.winners == min(20, self.clients)
            and self.said["full"] == self.clients - self.winners
            and not any(status >= 500 for status in self.statuses)
            and self.within(0.99) <= 5
        )


async def rush(town: Town, ask: asking.Asking, port: int, clients: int) -> Rush:
    """Let `clients` signed-in browsers, each over a connection of its own, ask for the same slot at one moment."""
    found = Rush(clients)
    people = town.browsers[-clients:]
    gate = asyncio.Event()

    async def one(number: int) -> None:
        wire, who = Wire(port, seconds=30), people[number]
        raw = who.post("/hold", slot=town.rush.ref)
        await gate.wait()
        began = time.time()
        again = 0
        while True:
            try:
                answer = await wire.ask(raw)
            except Lost:
                found.statuses[0] += 1
                again += 1
                if again < 20:
                    await asyncio.sleep(0.2)
                    continue
                return
            found.statuses[answer.status] += 1
            if (
                answer.status == 503 and again < 40
            ):  # asked to come back: that is no answer yet, and its time counts
                again += 1
                await asyncio.sleep(1)
                continue
            break
        end = time.time()
        result, said, name = asking.held(answer)
        found.said[said] += 1
        found.seconds.append(end - began)
        ask.history.write(
            op="hold", who=who.number, result=result, said=said, status=answer.status, at=began, end=end,
            appointment=name, slot=town.rush.ref, **({"unknown": again} if again else {}),
        )  # fmt: skip
        if name:
            found.winners += 1
            confirm = who.post(
                f"/book/{name}", request_key=f"rush{number}", patient=str(who.patient), reminders="y"
            )
            await ask.one(wire, who, "confirm", confirm, asking.confirmed, slot=town.rush.ref, of=name)
        wire.close()

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(one(number))
        await asyncio.sleep(0.2)
        gate.set()
    found.seconds.sort()
    return found
