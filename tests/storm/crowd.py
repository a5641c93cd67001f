"""The crowd: lanes of browsers that carry out the plan's steps over HTTP, each operation through `Asking`."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator

from tests.storm import asking
from tests.storm.asking import Asking
from tests.storm.history import OK
from tests.storm.plan import Step
from tests.storm.town import Browser, SlotOf, Town
from tests.storm.waiting import Waiting
from tests.storm.wire import Wire

LANES = 64
TRIES = 6
MOST_VISITS = 2
"""So many visits a browser keeps; one with more begins by cancelling."""


class Crowd:
    """Works through steps until told to stop."""

    def __init__(self, town: Town, ask: Asking, port: int, steps: Iterator[Step], lanes: int = LANES) -> None:
        self.town, self.ask, self.port, self.steps = town, ask, port, steps
        self.lanes = lanes
        self.stopping = False
        self.left: list[tuple[float, Browser, SlotOf, str]] = []
        self.requests: list[tuple[Browser, str, bytes, asking.Judge]] = []
        self.waiting = Waiting(town, ask, self._hold, self._confirm)

    async def run(self) -> None:
        """Run every lane until `stopping`; each finishes the step in hand."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.lanes):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        wire, second = Wire(self.port), Wire(self.port)
        while not self.stopping:
            step = next(self.steps)
            people = self.town.strangers if step.does == "stranger" else self.town.browsers
            who = next(
                (
                    one
                    for try_ in range(20)
                    if not (one := people[(step.browser + try_ * 7919) % len(people)]).busy
                ),
                None,
            )
            if who is None:
                await asyncio.sleep(0.01)
                continue
            who.busy = True
            try:
                await getattr(self, f"_{step.does}")(step, who, wire, second)
            finally:
                who.busy = False
        wire.close()
        second.close()

    # --- taking a time ---

    def _slot(self, step: Step, who: Browser, *, hot: bool = False) -> SlotOf:
        slots = self.town.hot if hot else self.town.slots
        return slots[step.slot % len(slots)]

    async def _hold(self, wire: Wire, who: Browser, slot: SlotOf) -> str:
        raw = who.post("/hold", slot=slot.ref)
        result, _said, name = await self.ask.one(wire, who, "hold", raw, asking.held, slot=slot.ref)
        return name if result == OK else ""

    async def _confirm(self, wire: Wire, who: Browser, name: str, slot: SlotOf, complaint: str = "") -> bool:
        who.key = key = secrets.token_hex(12)
        raw = who.post(
            f"/book/{name}", request_key=key, patient=str(who.patient), complaint=complaint, reminders="y"
        )
        result, said, other = await self.ask.one(
            wire, who, "confirm", raw, asking.confirmed, slot=slot.ref, of=name, key=key
        )
        self._remember(who, "confirm", raw, asking.confirmed)
        if result == OK or (said == "already" and other == name):
            who.mine.append({"name": name, "slot": slot, "day": slot.day})
            return True
        if said == "expired" and other and other != name:  # the same time was taken anew: give it back
            await self._release(wire, who, other)
        elif result != OK and said not in ("expired", "stopped"):
            await self._release(wire, who, name)
        return False

    async def _release(self, wire: Wire, who: Browser, name: str) -> None:
        await self.ask.one(wire, who, "release", who.post(f"/book/{name}/release"), asking.led_on, of=name)

    async def _book(self, step: Step, who: Browser, wire: Wire, second: Wire) -> None:
        if len(who.mine) >= MOST_VISITS:
            await self._cancel(step, who, wire, second)
            return
        slot = self._slot(step, who)
        if step.luck < 0.1:  # a double click
            one, two = await asyncio.gather(self._hold(wire, who, slot), self._hold(second, who, slot))
            name = one or two
            self.doubled(who, slot, one, two)
        else:
            name = await self._hold(wire, who, slot)
        if name and await self._confirm(wire, who, name, slot) and step.luck > 0.95:
            await self._misuse(wire, who, name)

    async def _misuse(self, wire: Wire, who: Browser, name: str) -> None:
        """Send the key of the last confirmation with another body: 422, and nothing happens."""
        form = {
            "request_key": who.key,
            "patient": str(who.patient),
            "complaint": "另一个问题",
            "reminders": "y",
        }
        raw = who.post(f"/book/{name}", **form)
        await self.ask.one(wire, who, "misuse", raw, asking.confirmed, of=name, key=who.key)

    def doubled(self, who: Browser, slot: SlotOf, one: str, two: str) -> None:
        """Write down what the two halves of a double click were answered."""
        now = time.time()
        result = "ok" if one == two or not (one and two) else "fail"
        self.ask.history.write(
            op="double", who=who.number, result=result, said="same" if result == "ok" else "two",
            at=now, end=now, slot=slot.ref, appointment=one, other=two,
        )  # fmt: skip

    async def _book_slowly(self, step: Step, who: Browser, wire: Wire, second: Wire) -> None:
        if len(who.mine) >= MOST_VISITS:
            await self._cancel(step, who, wire, second)
            return
        slot = self._slot(step, who)
        if name := await self._hold(wire, who, slot):
            raw = who.post(f"/book/{name}/extend")
            await self.ask.one(wire, who, "extend", raw, asking.led_on, of=name)
            await self._confirm(wire, who, name, slot)

    async def _hold_and_leave(self, step: Step, who: Browser, wire: Wire, _second: Wire) -> None:
        slot = self._slot(step, who)
        if name := await self._hold(wire, who, slot):
            self.left.append((time.time(), who, slot, name))

    async def _hold_and_release(self, step: Step, who: Browser, wire: Wire, _second: Wire) -> None:
        slot = self._slot(step, who, hot=step.luck < 0.3)
        if name := await self._hold(wire, who, slot):
            await self._release(wire, who, name)

    async def _come_back_late(self, step: Step, who: Browser, wire: Wire, _second: Wire) -> None:
        if not self.left:
            return
        _at, person, slot, name = self.left.pop(0)
        if person.busy and person is not who:
            return
        person.busy = True
        try:
            await self._confirm(wire, person, name, slot)
        finally:
            if person is not who:
                person.busy = False

    async def _crowd(self, step: Step, who: Browser, wire: Wire, second: Wire) -> None:
        """Want one of the few, press again while it is full, take it when it is not."""
        hot = self.town.hot
        for press in range(TRIES):
            slot = hot[(step.slot + press * (step.other % 3)) % len(hot)]
            name = await self._hold(wire, who, slot)
            if name and step.luck < 0.6 and len(who.mine) < MOST_VISITS:
                await self._confirm(wire, who, name, slot)
                return
            if name:
                await self._release(wire, who, name)
                return

    async def _stranger(self, step: Step, who: Browser, wire: Wire, _second: Wire) -> None:
        slot = self._slot(step, who)
        name = await self._hold(wire, who, slot)
        if name and step.luck < 0.9:
            await self._release(wire, who, name)

    # --- what stands already ---

    async def _cancel(self, step: Step, who: Browser, wire: Wire, second: Wire) -> None:
        if not who.mine:
            await self._book(step, who, wire, second) if step.luck >= 0.1 else await self._crowd(
                step, who, wire, second
            )
            return
        visit = who.mine.pop(step.other % len(who.mine))
        key = secrets.token_hex(12)
        raw = who.post(f"/me/appointments/{visit['name']}/cancel", request_key=key, reason="")
        await self.ask.one(wire, who, "cancel", raw, asking.led_on, of=visit["name"], key=key)
        self._remember(who, "cancel", raw, asking.led_on)
        here = visit["name"].partition("-")[0]  # a key belongs to its hospital: elsewhere it is another key
        others = [one["name"] for one in who.mine if one["name"].partition("-")[0] == here]
        if step.luck < 0.06 and others:  # the same key for another visit: 422, and nothing happens
            other = others[0]
            wrong = who.post(f"/me/appointments/{other}/cancel", request_key=key, reason="")
            await self.ask.one(wire, who, "misuse", wrong, asking.led_on, of=other, key=key)

    async def _move(self, step: Step, who: Browser, wire: Wire, second: Wire) -> None:
        if not who.mine:
            await self._book(step, who, wire, second)
            return
        visit = who.mine[step.other % len(who.mine)]
        own = [slot for slot in self.town.slots if slot.hospital == visit["slot"].hospital]
        slot = own[step.slot % len(own)]
        key = secrets.token_hex(12)
        raw = who.post(f"/me/appointments/{visit['name']}/change/{slot.ref}", request_key=key)
        result, said, _ = await self.ask.one(
            wire, who, "move", raw, asking.moved, of=visit["name"], to=slot.ref, key=key
        )
        if result == OK:
            visit["slot"], visit["day"] = slot, slot.day
        elif said in ("not active", "404", "303"):
            who.mine.remove(visit)

    async def _check_in(self, step: Step, who: Browser, wire: Wire, second: Wire) -> None:
        visit = next((one for one in who.mine if one["day"] == 0), None)
        if visit is None:
            await self._book(step, who, wire, second)
            return
        hospital, _, row = visit["name"].partition("-")
        desk = self.town.desks[int(hospital)]
        raw = desk.post(f"/staff/appointment/{row}/check-in", back="/staff/day")
        await self.ask.one(wire, who, "check_in", raw, asking.led_on, of=visit["name"])
        who.mine.remove(visit)

    async def _wait(self, step: Step, who: Browser, wire: Wire, _second: Wire) -> None:
        await self.waiting.wait(step, who, wire)

    async def _answer(self, step: Step, _who: Browser, wire: Wire, second: Wire) -> None:
        await self.waiting.answer(step, wire, second)

    async def _repeat(self, step: Step, who: Browser, wire: Wire, _second: Wire) -> None:
        if not self.requests:
            return
        person, op, raw, judge = self.requests[step.other % len(self.requests)]
        await self.ask.one(wire, person, f"repeated {op}", raw, judge)

    def _remember(self, who: Browser, op: str, raw: bytes, judge: asking.Judge) -> None:
        if len(self.requests) < 400:
            self.requests.append((who, op, raw, judge))
        else:
            self.requests[self.ask.history.number % 400] = (who, op, raw, judge)
