"""The release minute on a real gunicorn: bounded waiting, an answer for everybody, holders first, health always."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(**settings: str) -> Iterator[int]:
    port = servers.free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "tests/worker/slow_gunicorn.py"]
    process = subprocess.Popen(
        [*command, "-b", f"127.0.0.1:{port}", "tests.worker.slow_app:app"],
        cwd=ROOT,
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if ask(port, "/healthz")[0] == 200:
                    break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=30)[1]
        assert "Traceback" not in said, said


def ask(port, path, method="GET", cookie="", seconds=30.0):
    """Return (status, seconds it took, headers)."""
    began = time.monotonic()
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        wire.request(method, path, headers={"Cookie": cookie} if cookie else {})
        answer = wire.getresponse()
        answer.read()
        return answer.status, time.monotonic() - began, dict(answer.getheaders())
    finally:
        wire.close()


def crowd(port, count, path, method="GET", cookie=""):
    said: list[tuple[int, float, dict[str, str]]] = []
    threads = [
        threading.Thread(target=lambda: said.append(ask(port, path, method, cookie))) for _ in range(count)
    ]
    for one in threads:
        one.start()
    return threads, said


def joined(threads):
    for one in threads:
        one.join(30)


def test_sixty_at_once_are_all_answered_soon_some_with_what_they_wanted():
    """Two threads of 0.2 s each and room for five: seven or a few more are served, the others know at once."""
    with running() as port:
        threads, said = crowd(port, 60, "/slow/0.2")
        time.sleep(0.15)
        status, took, _ = ask(port, "/healthz")
        assert (status, took < 0.5) == (200, True), "health does not stand in the queue"
        joined(threads)
        counts = Counter(status for status, _took, _headers in said)
        assert set(counts) == {200, 503} and 7 <= counts[200] <= 20, counts
        assert max(took for _status, took, _headers in said) < 5
        turned = [(took, headers) for status, took, headers in said if status == 503]
        assert all(2 <= int(headers["Retry-After"]) <= 4 for _took, headers in turned)
        assert sorted(took for took, _ in turned)[len(turned) // 2] < 1.5, (
            "they are told at once, not at the end"
        )
        assert ask(port, "/slow/0")[0] == 200, "and afterwards everything is as before"


def test_whoever_waited_too_long_is_told_so_instead_of_served_for_nothing():
    with running(WAITING_AT_MOST="50", WAIT_SECONDS="0.5") as port:
        threads, said = crowd(port, 20, "/slow/0.2")
        joined(threads)
        counts = Counter(status for status, _took, _headers in said)
        assert counts[503] > 5 and counts[200] >= 4, counts
        assert max(took for status, took, _ in said if status == 503) < 2.5


def test_people_who_hold_a_place_overtake_the_crowd():
    with running(WAITING_AT_MOST="50", WAIT_SECONDS="20") as port:
        before, _ = crowd(port, 24, "/slow/0.1?crowd", "POST")
        time.sleep(0.3)
        mine, said = crowd(port, 2, "/book/0.1?mine", "POST", "qw=x")
        joined(before + mine)
        assert all(status == 200 for status, _took, _headers in said)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as wire:
            wire.request("GET", "/order")
            order = wire.getresponse().read().decode().split("\n")
        places = [at for at, line in enumerate(order) if "mine" in line]
        assert max(places) < 14, order


def test_connections_that_say_nothing_keep_no_thread_waiting():
    with running() as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
        try:
            status, took, _ = ask(port, "/slow/0")
            assert (status, took < 1.0) == (200, True)
        finally:
            for one in silent:
                one.close()


def test_a_request_that_comes_in_pieces_is_served():
    with running() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        for piece in (b"GE", b"T /slow/0 HTT", b"P/1.1\r\nHost: a\r\n", b"Connection: close\r\n\r\n"):
            wire.sendall(piece)
            time.sleep(0.05)
        assert b"200 OK" in wire.recv(4096)


def test_one_connection_may_ask_many_times():
    with running() as port, closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as wire:
        for path in ("/slow/0", "/healthz", "/book/0", "/slow/0.01"):
            wire.request("GET", path)
            answer = wire.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)
