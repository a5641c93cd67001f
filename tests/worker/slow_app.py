"""A WSGI application behind the gate that takes as long as it is told to: `/slow/0.2`, `/book/0.2`. For the release minute."""

from __future__ import annotations

import os
import threading
import time

from booking.gate import BusyPage, Gate

ORDER: list[str] = []
_lock = threading.Lock()


def slow(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/healthz":
        return [b"ok"]
    with _lock:
        ORDER.append(f"{environ['REQUEST_METHOD']} {environ.get('QUERY_STRING', '')}")
    if path == "/order":
        return ["\n".join(ORDER).encode()]
    time.sleep(float(path.rsplit("/", 1)[1]))
    return [b"served"]


app = Gate(
    slow,
    wait_seconds=float(os.environ.get("WAIT_SECONDS", "1")),
    at_once=64,
    trusts_proxy=False,
    page=BusyPage(site="青梧就医", styles=(), retry_seconds=2),
)
