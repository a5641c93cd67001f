"""An SMS gateway on a real port that can misbehave in every way gateways do, and calls back with receipts when asked to.

It speaks the generic gateway's protocol (docs/gateway.md) and, one letter a request, Alibaba Cloud's SendSms.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.far_ends.callbacks import Callbacks
from tests.far_ends.ledger import Ledger

MODES = {
    "ok": "accepts",
    "slow": "accepts and answers after `delay` seconds",
    "hang": "accepts and never answers",
    "drop": "accepts and hangs up without an answer",
    "odd": "accepts with an answer that is no JSON",
    "unkept": "accepts under a name that no database keeps",
    "error": "answers 200 with a body that says no",
    "partly": "of a batch accepts every other letter and puts the rest off",
    "refuse": "does not listen",
}
"""Beside these a mode is a status number: 500, 429 (with Retry-After), 400, 401."""
NOT_NOW = {"Code": "isp.SYSTEM_ERROR", "Message": "come back later"}
TAKES = ("ok", "slow", "hang", "drop", "odd", "unkept")


class Gateway:
    """Run it with `sms_gateway()`. Everything may be changed while it runs.

    `calls` are the letters of all requests (when `keeps_calls`), `phones` what arrived, once per reference. `honours`: a
    repeated reference is known and delivered once; else every acceptance is a delivery. `share`: how many of the requests
    suffer the mode. `had_enough`: phones whose letters are put off, whatever the mode.
    """

    def __init__(self, ledger: Ledger | None = None, *, port: int = 0, seed: int = 1) -> None:
        self.ledger = ledger or Ledger()
        self.delay, self.retry_after, self.share, self.honours = 3.0, "120", 1.0, True
        self.keeps_calls = True
        self.had_enough: set[str] = set()
        self.calls: list[dict[str, Any]] = []
        self.phones: dict[str, dict[str, Any]] = {}
        self.deliveries: Counter[str] = Counter()
        self.on_call: Callable[[], None] = lambda: None
        self.callbacks = Callbacks(self.ledger, seed)
        self.lock = threading.Lock()
        self.loop = asyncio.new_event_loop()
        self._mode = "ok"
        self._port = port
        self._dice = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()

    # --- from any thread ---

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/sms"

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES and not mode.isdigit():
            raise ValueError(f"a gateway has no mode {mode!r}")
        before, self._mode = self._mode, mode
        if "refuse" in (before, mode) and before != mode:
            asyncio.run_coroutine_threadsafe(self._listen(mode != "refuse"), self.loop).result(10)

    def times(self) -> Counter[str]:
        """How often each reference was asked for."""
        with self.lock:
            return Counter(call["reference"] for call in self.calls)

    # --- in the loop ---

    async def _listen(self, wanted: bool) -> None:
        if wanted:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=512)
            self._port = self._server.sockets[0].getsockname()[1]
            return
        if self._server is not None:
            self._server.close()
            for line in list(self._lines):
                line.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; a caller that was killed hangs up in the middle, and that is what some tests are about."""
        self._lines.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
                length = int({name.lower(): value for name, value in headers.items()}["content-length"])
                raw = await reader.readexactly(length)
                asked = dict(parse_qsl(urlsplit(head[0].split()[1]).query))
                if not await self._receive(writer, headers, asked, raw):
                    break
        self._lines.discard(writer)
        writer.transport.abort()

    async def _receive(
        self, writer: asyncio.StreamWriter, headers: dict[str, str], asked: dict[str, str], raw: bytes
    ) -> bool:
        """Take one request; return whether the connection goes on."""
        alibaba = "OutId" in asked
        said = _from_alibaba(asked) if alibaba else json.loads(raw)
        letters = said if isinstance(said, list) else [said]
        mode = self._mode if self._dice.random() < self.share else "ok"
        results = [self._take(one, mode, place, raw, headers) for place, one in enumerate(letters)]
        self.on_call()
        if mode == "drop":
            return False
        if mode == "hang":
            await asyncio.sleep(3600)
        if mode == "slow":
            await asyncio.sleep(self.delay)
        status = int(mode) if mode.isdigit() else 200
        body = json.dumps(results if isinstance(said, list) else results[0]).encode()
        if alibaba:
            fine = status == 200 and results[0]["status"] == "accepted"
            body = json.dumps({"Code": "OK", "BizId": results[0]["id"]} if fine else NOT_NOW).encode()
        body = {"odd": b"thanks", "unkept": b'{"id": "g-\\u0000\\ud8007"}'}.get(mode, body)
        if mode == "error":
            body = json.dumps(NOT_NOW if alibaba else {"error": "come back later"}).encode()
        wait = f"Retry-After: {self.retry_after}\r\n" if status == 429 else ""
        writer.write(f"HTTP/1.1 {status} said\r\n{wait}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True

    def _take(
        self, one: dict[str, Any], mode: str, place: int, raw: bytes, headers: dict[str, str]
    ) -> dict[str, Any]:
        """Look at one letter of a request; return what is said about it."""
        reference = one["reference"]
        takes = mode in TAKES or (mode == "partly" and place % 2 == 0)
        takes = takes and one["to"] not in self.had_enough
        with self.lock:
            if self.keeps_calls:
                self.calls.append({"raw": raw, "headers": headers, "mode": mode, **one})
            if not takes:
                return {"reference": reference, "status": "later"}
            first = self.ledger.accept(reference, one["to"], one["text"], mode=mode)
            if first or not self.honours:
                self.deliveries[reference] += 1
                self.callbacks.delivered(reference, self.loop.time())
            if self.keeps_calls:
                self.phones.setdefault(reference, one)
        return {"reference": reference, "status": "accepted", "id": f"g-{reference[:8]}"}

    # --- life ---

    async def _run(self, ready: threading.Event) -> None:
        await self._listen(True)
        telling = asyncio.create_task(self.callbacks.tell())
        ready.set()
        self._over = asyncio.Event()
        await self._over.wait()
        telling.cancel()
        await self._listen(False)

    def run(self, ready: threading.Event) -> None:
        """Serve until `stop()`, in the calling thread."""
        with contextlib.suppress(asyncio.CancelledError):
            self.loop.run_until_complete(self._run(ready))
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def stop(self) -> None:
        """End `run()`."""
        self.loop.call_soon_threadsafe(self._over.set)


def _from_alibaba(asked: dict[str, str]) -> dict[str, Any]:
    return {"to": asked["PhoneNumbers"], "text": asked["TemplateParam"], "reference": asked["OutId"]}


@contextlib.contextmanager
def sms_gateway(ledger: Ledger | None = None, *, port: int = 0, seed: int = 1) -> Iterator[Gateway]:
    """Run an SMS gateway in a thread of its own, on a free port unless one is named."""
    gateway = Gateway(ledger, port=port, seed=seed)
    ready = threading.Event()
    thread = threading.Thread(target=gateway.run, args=(ready,), name="gateway", daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield gateway
    finally:
        gateway.stop()
        thread.join(10)
