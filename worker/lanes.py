"""How requests wait inside a web process: in lanes, each with room for so many, looked at before they are read.

gunicorn's threads take requests in the order of arrival from a queue without end. In the minute of a release that queue
grows by thousands; a person who already holds a place and only has to confirm it stands behind all of them. Here the
first bytes of a request decide its lane while it waits on its socket:

- FIRST: the steps of people who hold a place (confirm page, confirm, extend, give back). Three of four turns are theirs.
- WRITE and READ: every other form, every other page; they take turns, so that pages stay readable under a rush of forms
  and the other way round.
- NOW: static files, health, and requests that found their lane full: two threads of their own, so that they are
  answered while all others work or wait for a database that does not answer.

A request whose turn would come later than `WAIT_SECONDS` at the pace of the last turns, one that finds its lane full, and
one that has become older than that after all, are answered by the gate (booking/gate.py) without touching the
application. So at most three lanes × `WAITING_AT_MOST` requests wait in a process; connections beyond gunicorn's
`worker_connections` wait in the kernel's list of `backlog`, and come out of it quickly, because shedding is quick.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from booking import gate

FIRST, WRITE, READ, NOW = range(4)
PEEKED = 2048
EXPRESS_THREADS = 2
FIRST_IN_A_ROW = 3
FIRST_WORDS_SECONDS = 15.0
LEARNING_SECONDS = 1.0
"""So long a queue is only looked at: nobody is turned away by a pace that was read from its first moment."""
ENOUGH, KEPT, LEFT_OUT = 16, 64, 2
"""Turns before there is a pace, turns it is read from, and how many of the slowest say nothing: what is done for the first
time in a process, or a database that stood still for a moment, is no pace."""
SLOWEST = 2.0
"""Seconds between two turns; no more is counted."""


def lane_of(head: bytes) -> int:
    """Return the lane of a request by its first bytes: the request line, and whether a cookie of ours came with it."""
    method, _space, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path.startswith(_EXEMPT):
        return (
            NOW if b"\r\n\r\n" in head else READ
        )  # one that is not whole yet could keep an express thread waiting
    if path.startswith(b"/book/") and b"qw=" in head:
        return FIRST
    return READ if method in (b"GET", b"HEAD") else WRITE


_EXEMPT = tuple(one.encode() for one in gate.NEVER_SHED)


class Lanes:
    """The waiting requests of one process. `most` is the room of each lane; `seconds`, how long one may have to wait.

    How long that will be is reckoned from the pace of the last turns of this queue, since somebody began to wait: what was
    slow before, with other requests or in a process that had just started, says nothing about it.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self.lock = threading.Lock()
        self.waiting: tuple[deque[Any], ...] = (deque(), deque(), deque())
        self.in_a_row = 0
        self.last = READ
        self.since = self.taken_at = 0.0
        self.gaps: deque[float] = deque(maxlen=KEPT)

    def put(self, lane: int, one: Any) -> bool:
        """Let one wait in its lane; False when there is no room, or its turn would come too late."""
        now = time.monotonic()
        with self.lock:
            ahead = len(self.waiting[FIRST])
            others = len(self.waiting[WRITE]) + len(self.waiting[READ])
            if not ahead + others:
                self.since, self.taken_at = now, 0.0
                self.gaps.clear()
            if lane != FIRST:
                ahead += others
            if len(self.waiting[lane]) >= self.most or (ahead and ahead * self.pace(now) > self.seconds):
                return False
            self.waiting[lane].append((now, one))
        return True

    def pace(self, now: float) -> float:
        """Return the seconds from one turn of this queue to the next, 0 while that is not known."""
        if now - self.since < LEARNING_SECONDS or len(self.gaps) < ENOUGH:
            return 0.0
        counted = sorted(self.gaps)[:-LEFT_OUT]
        return sum(counted) / len(counted)

    def take(self) -> Any:
        """Return the one whose turn it is. Call it as often as `put` said True."""
        now = time.monotonic()
        with self.lock:
            since, one = self._turn().popleft()
            if now - since <= self.seconds:  # a late one is only turned away, which takes no time
                if self.taken_at:
                    self.gaps.append(min(now - self.taken_at, SLOWEST))
                self.taken_at = now
            return one

    def _turn(self) -> deque[Any]:
        first, write, read = self.waiting
        if first and (self.in_a_row < FIRST_IN_A_ROW or not (write or read)):
            self.in_a_row += 1
            return first
        self.in_a_row = 0
        self.last = (READ if read else WRITE) if self.last == WRITE else (WRITE if write else READ)
        return self.waiting[self.last]


class _Done:
    """What gunicorn asks of a request that is over."""

    def __init__(self, result: Any) -> None:
        self.kept = result

    def result(self) -> Any:
        return self.kept

    def cancelled(self) -> bool:
        return False


class Worker(ThreadWorker):
    """gunicorn's threaded worker with lanes instead of one queue, and no thread for a connection that says nothing."""

    def init_process(self) -> None:
        self.lanes = Lanes(1000, 5.0)  # the start sets both from the settings
        self.express = ThreadPoolExecutor(EXPRESS_THREADS, "express")
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Put a request in its lane; a new connection first waits in the poller until it says something."""
        if not conn.initialized and not conn.data_ready:
            self._wait_for_words(conn)
            return
        conn.arrived = time.monotonic()
        lane = lane_of(_peek(conn.sock))
        if lane == NOW:
            self.express.submit(self._serve, conn, True)
        elif self.lanes.put(lane, conn):
            self.tpool.submit(self._next)
        else:
            self.express.submit(self._serve, conn, False)

    def _wait_for_words(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        # by the time a busy process looks, the words may have come long ago: to close then would reset a request unread
        conn.timeout = time.monotonic() + max(self.cfg.keepalive, FIRST_WORDS_SECONDS)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _next(self) -> None:
        self._serve(self.lanes.take(), True)

    def _serve(self, conn: TConn, room: bool) -> None:
        gate.came(conn.arrived, room=room)
        result: Any = False
        try:
            result = self.handle(conn)
        finally:
            self.method_queue.defer(self.finish_request, conn, _Done(result))

    def handle_quit(self, sig: int, frame: Any) -> None:
        self.express.shutdown(wait=False)
        super().handle_quit(sig, frame)


def _peek(sock: socket.socket) -> bytes:
    """Return what waits on a socket without taking it; nothing when it has already been read ahead."""
    try:
        return sock.recv(PEEKED, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return b""
