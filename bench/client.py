"""The load: some connections on one thread, each working through flows of requests; raw sockets, so that it costs little."""

from __future__ import annotations

import heapq
import re
import select
import socket
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nlocation: *([^\r]+)", re.IGNORECASE)
ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `head` holds the status line and the headers as they came."""

    status: int
    head: bytes
    body: bytes

    @property
    def location(self) -> str:
        """The address the answer leads to, or ""."""
        found = _LOCATION.search(self.head)
        return found[1].decode() if found else ""


Flow = Generator[bytes, Answer, bool]
"""One unit of work: yields requests, is sent their answers, returns whether all went as it should."""


@dataclass
class Load:
    """What a load measured: flows done, how many of them were wrong, the seconds of each, and the time it took."""

    seconds: float = 0.0
    done: int = 0
    wrong: int = 0
    took: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Right flows per second."""
        return (self.done - self.wrong) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the flows was over."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class _Wire:
    """One connection and the flow it is working through."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.flow: Flow | None = None
        self.began = 0.0
        self.got = b""
        self.socket = self._open()

    def _open(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def send(self, request: bytes) -> None:
        self.got = b""
        self.socket.sendall(request)

    def reopen(self) -> None:
        self.socket.close()
        self.socket = self._open()

    def answer(self) -> Answer | None:
        """Read what has come; return the answer once it is whole. Raises ConnectionError."""
        some = self.socket.recv(262144)
        if not some:
            raise ConnectionResetError
        self.got += some
        end = self.got.find(HEAD_END)
        if end < 0:
            return None
        head = self.got[:end]
        length = _LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self.got) < whole:
            return None
        return Answer(int(head[9:12]), head, self.got[end + 4 : whole])


def run(
    port: int, flows: Iterator[Flow], seconds: float, *, connections: int = 16, per_second: float = 0.0
) -> Load:
    """Work through `flows` for `seconds` (or until there are no more) and return what was measured.

    With `per_second` flows begin at that pace whatever the answers do, and each is timed from when it should have
    begun; without it every connection begins its next flow when the last one is over.
    """
    load, poll, wires = Load(), select.epoll(), {}
    for _ in range(connections):
        wire = _Wire(port)
        wires[wire.socket.fileno()] = wire
        poll.register(wire.socket, select.EPOLLIN)
    begin = time.perf_counter()
    end = begin + seconds
    idle: list[_Wire] = list(wires.values())
    due = [begin + step / per_second for step in range(int(seconds * per_second))] if per_second else []
    heapq.heapify(due)
    busy, last, more = 0, begin, True

    def start(wire: _Wire, at: float) -> bool:
        flow = next(flows, None)
        if flow is None:
            return False
        wire.flow, wire.began = flow, at
        wire.send(next(flow))
        return True

    while True:
        now = time.perf_counter()
        while more and idle and now < end:
            if per_second and (not due or due[0] > now):
                break
            wire = idle.pop()
            if not start(wire, heapq.heappop(due) if per_second else now):
                more, due = False, []
                idle.append(wire)
                break
            busy += 1
        if not busy and (not more or now >= end or (per_second and not due)):
            break
        wait = max(0.0, min(due[0] - now, 0.05)) if due and idle else 0.5
        for number, _event in poll.poll(wait):
            wire = wires[number]
            over: bool | None = None
            try:
                answer = wire.answer()
                if answer is None:
                    continue
                flow = wire.flow
                if flow is None:
                    raise ConnectionResetError
                if _CLOSE.search(answer.head):
                    _again(wire, wires, poll)
                wire.send(flow.send(answer))
            except StopIteration as finished:
                over = bool(finished.value)
            except OSError:
                _again(wire, wires, poll)
                over = False
            if over is None or wire.flow is None:
                continue
            last = time.perf_counter()
            load.done += 1
            load.wrong += not over
            load.took.append(last - wire.began)
            wire.flow = None
            busy -= 1
            idle.append(wire)
        if time.perf_counter() > end + ANSWER_SECONDS:
            load.wrong += busy
            load.done += busy
            break
    load.seconds = max(last - begin, 1e-9)
    for wire in wires.values():
        wire.socket.close()
    poll.close()
    return load


def _again(wire: _Wire, wires: dict[int, _Wire], poll: select.epoll) -> None:
    """Open the connection anew: the server has closed it, as it may between two requests."""
    wires.pop(wire.socket.fileno(), None)
    wire.reopen()
    wires[wire.socket.fileno()] = wire
    poll.register(wire.socket, select.EPOLLIN)


def get(path: str, **headers: str) -> bytes:
    """Return a GET request; header names with underscores for hyphens."""
    return _request("GET", path, headers, b"")


def post(path: str, body: bytes, **headers: str) -> bytes:
    """Return a POST request of a form."""
    sent = {"Content_Type": "application/x-www-form-urlencoded", "Content_Length": str(len(body))} | headers
    return _request("POST", path, sent, body)


def _request(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: bench.invalid"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def one(request: bytes, status: int) -> Flow:
    """Return the flow of one request that should be answered with `status`."""
    answer = yield request
    return answer.status == status
