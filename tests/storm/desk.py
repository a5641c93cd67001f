"""The desk during the storm: stops, reopenings, more and fewer places, bookings by telephone and added numbers, one at
a time in the order of the plan."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
import uuid
from functools import partial

from tests.storm import asking
from tests.storm.asking import Asking
from tests.storm.history import FAIL, OK
from tests.storm.plan import Order
from tests.storm.town import Browser, SessionOf, Town
from tests.storm.wire import Answer, Lost, Wire

_DONE = re.compile(r"/staff/appointment/([0-9a-f-]{32,36})/done")
_VERSION = re.compile(rb'name="version"[^>]*value="(\d+)"|value="(\d+)"[^>]*name="version"')
_PLACES = re.compile(rb'name="places"[^>]*value="(\d+)"|value="(\d+)"[^>]*name="places"')


def _booked(hospital: int, answer: Answer) -> tuple[str, str, str]:
    """Judge a booking at the desk, which leads to the page with the code."""
    found = _DONE.search(answer.location)
    if answer.status == 303 and found:
        return OK, "booked", f"{hospital}-{uuid.UUID(found[1]).hex}"
    return FAIL, asking.refusal(answer), ""


class Desk:
    """Carries out the orders; knows how many places each session has now."""

    def __init__(self, town: Town, ask: Asking, port: int, orders: list[Order], began: float) -> None:
        self.town, self.ask, self.orders, self.began = town, ask, orders, began
        self.wire = Wire(port)
        self.stoppable = [one for one in town.sessions if not one.release_after]
        self.places = {one.id: one.places for one in town.sessions}
        self.stopping = False
        self.booked: list[tuple[Browser, str]] = []

    async def run(self) -> None:
        """Wait for each order's time and carry it out; after `stopping` only what reopens."""
        stopped: set[int] = set()
        for order in self.orders:
            while not self.stopping and time.time() < self.began + order.at:
                await asyncio.sleep(0.05)
            at = self.stoppable[order.session % len(self.stoppable)]
            who = self.town.desks[at.hospital]
            if order.does == "reopen" and order.session in stopped:
                await self._say(who, "reopen", f"/staff/sessions/{at.id}/reopen", at)
            elif self.stopping:
                continue
            elif order.does == "stop":
                stopped.add(order.session)
                await self._say(
                    who, "stop", f"/staff/sessions/{at.id}/stop", at, reason_public="医生临时有手术"
                )
            elif order.does == "places":
                await self._change(who, at, order.luck)
            elif order.does in ("phone", "extra"):
                await self._book(who, at, order)
            elif order.does == "unbook" and self.booked:
                await self._unbook()

    async def _say(self, who: Browser, op: str, path: str, at: SessionOf, **form: str) -> None:
        raw = who.post(path, **form)
        await self.ask.one(self.wire, who, op, raw, asking.led_on, session=f"{at.hospital}-{at.id.hex}")

    async def _book(self, who: Browser, at: SessionOf, order: Order) -> None:
        """Book for somebody the hospital knows, by telephone or as an added number."""
        start = int(order.luck * len(self.town.browsers))
        known = (
            one
            for one in self.town.browsers[start:] + self.town.browsers[:start]
            if any(visit["slot"].hospital == at.hospital for visit in one.mine)
        )
        patient = next(known, None)
        if patient is None:
            return
        slot = at.slots[order.session % len(at.slots)]
        form = {"key": secrets.token_hex(12), "via": "phone", "complaint": "", "override": ""}
        if order.does == "extra":
            form |= {"owner": "staff", "reason": "医生同意加号"}
        path = f"/staff/slots/{slot.id}/{'book' if order.does == 'phone' else 'extra'}/{patient.patient}"
        raw = who.post(path, **form)
        result, _said, name = await self.ask.one(
            self.wire, who, order.does, raw, partial(_booked, at.hospital), slot=slot.ref
        )
        if result == OK:
            self.booked.append((who, name))

    async def _unbook(self) -> None:
        who, name = self.booked.pop(0)
        row = name.partition("-")[2]
        raw = who.post(f"/staff/appointment/{row}/cancel", reason="患者来电取消")
        await self.ask.one(self.wire, who, "cancel", raw, asking.led_on, of=name)

    async def _change(self, who: Browser, at: SessionOf, luck: float) -> None:
        read = await self._read(who, at)
        if read is None:
            return
        version, now = read
        want = now + 1 if luck < 0.55 or now == 1 else now - 1
        if want > 8:
            return
        form = {
            "version": str(version), "back": "/staff/", "starts": f"{at.starts:%H:%M}", "ends": f"{at.ends:%H:%M}",
            "minutes": "30", "places": str(want), "room": "302", "kind": at.kind.hex, "fee": "25",
            "release": "rule", "act": "save",
        }  # fmt: skip
        session = f"{at.hospital}-{at.id.hex}"
        began = time.time()
        result, said, _ = await self.ask.one(
            self.wire,
            who,
            "change",
            who.post(f"/staff/sessions/{at.id}", **form),
            asking.led_on,
            session=session,
        )
        after = await self._read(who, at)
        if after is None or after[1] == now:
            return
        # the change took place, whatever the answer was: that is when capacity was another
        self.places[at.id] = after[1]
        end = time.time()
        self.ask.history.write(
            op="places", who=who.number, result=OK, said=said if result == OK else f"after {said}",
            at=began, end=end, session=session, places=after[1],
        )  # fmt: skip

    async def _read(self, who: Browser, at: SessionOf) -> tuple[int, int] | None:
        for _ in range(60):
            try:
                answer = await self.wire.ask(who.get(f"/staff/sessions/{at.id}"))
            except Lost:
                await asyncio.sleep(0.5)
                continue
            if answer.status == 200:
                version, places = _VERSION.search(answer.body), _PLACES.search(answer.body)
                if version and places:
                    return int(version[1] or version[2]), int(places[1] or places[2])
                return None
            if answer.status < 500:
                return None
            await asyncio.sleep(0.5)
        return None
