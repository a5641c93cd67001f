"""The waiting list in the storm: people who give up a scarce place, join the list of its session, and answer offers."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.storm import asking
from tests.storm.asking import Asking
from tests.storm.history import OK
from tests.storm.plan import Step
from tests.storm.town import Browser, Scarce, SlotOf, Town
from tests.storm.wire import Answer, Wire

_OFFER = re.compile(rb'name="offer" value="([0-9]+-[0-9a-f]{32})"')
_WISH = re.compile(r"/me/wishes/([0-9]+-[0-9a-f]{32})")
Hold = Callable[[Wire, Browser, SlotOf], Awaitable[str]]
Confirm = Callable[[Wire, Browser, str, SlotOf], Awaitable[bool]]


@dataclass
class Wished:
    """A wish somebody joined with, and for what."""

    who: Browser
    name: str
    scarce: Scarce


def joined(answer: Answer) -> tuple[str, str, str]:
    """Judge who asked to wait."""
    found = _WISH.search(answer.location)
    if answer.status == 303 and found:
        return "ok", "joined", found[1]
    return "fail", asking.refusal(answer), ""


def accepted(answer: Answer) -> tuple[str, str, str]:
    """Judge the acceptance of an offer."""
    if answer.status == 303 and "done=booked" in answer.location:
        return "ok", "booked", asking.ref_in(answer.location)
    return "fail", "over" if answer.status == 410 else asking.refusal(answer), ""


class Waiting:
    """Keeps who has a scarce place and who waits for one, so that each step finds somebody it concerns."""

    def __init__(self, town: Town, ask: Asking, hold: Hold, confirm: Confirm) -> None:
        self.town, self.ask, self.hold, self.confirm = town, ask, hold, confirm
        self.owners: deque[tuple[Browser, dict[str, Any]]] = deque()
        self.wished: deque[Wished] = deque(maxlen=3000)

    async def wait(self, step: Step, who: Browser, wire: Wire) -> None:
        """Take a scarce place if there is one; else join the list. Now and then somebody who has one gives it back."""
        if step.luck < 0.45 and self.owners:
            await self._give_back(wire)
        scarce = self.town.scarce[step.slot % len(self.town.scarce)]
        name = await self.hold(wire, who, scarce.slot)
        if name:
            if await self.confirm(wire, who, name, scarce.slot):
                self.owners.append((who, who.mine[-1]))
            return
        form = {
            "request_key": secrets.token_hex(12), "patients": str(who.patient), "first": scarce.date,
            "last": scarce.date, "doctors": scarce.doctor.hex, "parts": scarce.part.hex, "campuses": scarce.campus.hex,
        }  # fmt: skip
        session = f"{scarce.slot.hospital}-{scarce.slot.session.hex}"
        raw = who.post(f"/wait/{session}", **form)
        result, _said, wish = await self.ask.one(wire, who, "join", raw, joined, session=session)
        if result == OK:
            self.wished.append(Wished(who, wish, scarce))

    async def _give_back(self, wire: Wire) -> None:
        who, visit = self.owners.popleft()
        if who.busy or visit not in who.mine:
            return
        who.mine.remove(visit)
        raw = who.post(
            f"/me/appointments/{visit['name']}/cancel", request_key=secrets.token_hex(12), reason=""
        )
        await self.ask.one(wire, who, "cancel", raw, asking.led_on, of=visit["name"])

    async def answer(self, step: Step, wire: Wire, second: Wire) -> None:
        """Look at the wishes in the order of joining until one has an offer, and answer it; now and then leave instead."""
        for _ in range(min(6, len(self.wished))):
            wish = self.wished.popleft()
            if wish.who.busy:
                self.wished.append(wish)
                continue
            wish.who.busy = True
            try:
                if not await self._looked(step, wish, wire, second):
                    return
            finally:
                wish.who.busy = False

    async def _looked(self, step: Step, wish: Wished, wire: Wire, second: Wire) -> bool:
        """Look at one wish and do what there is to do; return whether to look at the next one."""
        read: list[Answer] = []

        def seen(answer: Answer) -> tuple[str, str, str]:
            read.append(answer)
            return asking.shown(answer)

        await self.ask.one(
            wire, wish.who, "look", wish.who.get(f"/me/wishes/{wish.name}"), seen, wish=wish.name
        )
        if not read:
            self.wished.append(wish)
            return False
        page = read[-1]
        offered = _OFFER.search(page.body) if page.status == 200 else None
        if offered is not None:
            await self._answer(step, wish, offered[1].decode(), wire, second)
            return False
        if page.status == 200 and b"/leave" not in page.body:
            return True  # it has ended
        if step.luck > 0.97:
            raw = wish.who.post(f"/me/wishes/{wish.name}/leave")
            await self.ask.one(wire, wish.who, "leave", raw, asking.led_on, wish=wish.name)
            return False
        self.wished.append(wish)
        return True

    async def _answer(self, step: Step, wish: Wished, offer: str, wire: Wire, second: Wire) -> None:
        who, slot = wish.who, wish.scarce.slot
        if step.luck < 0.25:
            raw = who.post(f"/me/wishes/{wish.name}/decline", offer=offer)
            await self.ask.one(wire, who, "decline", raw, asking.led_on, of=offer)
            self.wished.append(wish)  # its turn is kept once
            return
        if step.luck < 0.35:
            self.wished.append(wish)  # it is left unanswered until somebody looks again, or it has run out
            return
        raw = who.post(
            f"/me/wishes/{wish.name}/accept", offer=offer, request_key=secrets.token_hex(12), reason=""
        )
        about = {"of": offer, "slot": slot.ref, "wish": wish.name}
        if step.luck < 0.5:  # a double click
            began = time.time()
            one, two = await asyncio.gather(
                self.ask.one(wire, who, "accept", raw, accepted, **about),
                self.ask.one(second, who, "accept", raw, accepted, **about),
            )
            result, name = one[0], one[2]
            same = one[2] == two[2] or not (one[2] and two[2])
            self.ask.history.write(
                op="double", who=who.number, result="ok" if same else "fail", said="same" if same else "two",
                at=began, end=time.time(), slot=slot.ref, appointment=one[2], other=two[2],
            )  # fmt: skip
        else:
            result, _said, name = await self.ask.one(wire, who, "accept", raw, accepted, **about)
        if result == OK:
            visit = {"name": name, "slot": slot, "day": slot.day}
            who.mine.append(visit)
            self.owners.append((who, visit))
