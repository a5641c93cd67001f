"""Persistent HTTP/1.1 connections on asyncio, small enough that a hundred of them cost little; no HTML is read."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nlocation: *([^\r]+)", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after: *\d+", re.IGNORECASE)


class Lost(Exception):
    """No whole answer came: refused, reset, cut short or too late. Whether the request had an effect is not known."""


@dataclass(frozen=True)
class Answer:
    """One answer; `head` holds the status line and the headers as they came."""

    status: int
    head: bytes
    body: bytes

    @property
    def location(self) -> str:
        """The path and query it leads to, or ""."""
        found = _LOCATION.search(self.head)
        if not found:
            return ""
        parts = urlsplit(found[1].decode())
        return parts.path + (f"?{parts.query}" if parts.query else "")

    @property
    def says_when_to_retry(self) -> bool:
        return _RETRY.search(self.head) is not None


KEPT_FOR = 50
"""Requests until a connection is opened anew: when one web process is killed, all of its go to the other and would stay there."""


class Wire(asyncio.Protocol):
    """One connection, one request at a time; opened when it is needed, and anew after the server closed it."""

    def __init__(self, port: int, seconds: float = 15.0) -> None:
        self.port, self.seconds = port, seconds
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[Answer] | None = None
        self.got = b""
        self.asked = 0

    async def ask(self, request: bytes) -> Answer:
        """Send a request and return its answer. Raises Lost."""
        loop = asyncio.get_running_loop()
        self.asked += 1
        if self.asked % KEPT_FOR == 0:
            self.close()
        if self.transport is None or self.transport.is_closing():
            try:
                async with asyncio.timeout(self.seconds):
                    await loop.create_connection(lambda: self, "127.0.0.1", self.port)
            except OSError as problem:  # TimeoutError is one
                raise Lost(f"connect: {problem}") from problem
        assert self.transport is not None
        self.got, self.waiting = b"", loop.create_future()
        timer = loop.call_later(self.seconds, self._fail, "no answer in time")
        self.transport.write(request)
        try:
            answer = await self.waiting
        finally:
            timer.cancel()
            self.waiting = None
        if _CLOSE.search(answer.head):
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = None

    def _fail(self, why: str) -> None:
        waiting = self.waiting
        self.close()
        if waiting is not None and not waiting.done():
            waiting.set_exception(Lost(why))

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        if end < 0 or self.waiting is None or self.waiting.done():
            return
        head = self.got[:end]
        length = _LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self.got) >= whole:
            self.waiting.set_result(Answer(int(head[9:12]), head, self.got[end + 4 : whole]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(Lost(f"closed: {exc}"))


def request(method: str, path: str, cookie: str, address: str, form: dict[str, str] | None = None) -> bytes:
    """Return the bytes of one request of a browser with this cookie, seen from this address."""
    body = urlencode(form).encode() if form is not None else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: storm.invalid", f"Cookie: qw={cookie}"]
    lines.append(f"X-Forwarded-For: {address}")
    if form is not None:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
