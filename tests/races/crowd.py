"""Many at once: run calls in threads that start together, each with its own application context."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask


def at_once(app: Flask, calls: Sequence[Callable[[], Any]], threads: int = 16) -> list[Any]:
    """Run every call, `threads` at a time from a common start; return results or the exceptions, in order."""
    ready = threading.Barrier(min(threads, len(calls)))
    waited = threading.local()

    def one(call: Callable[[], Any]) -> Any:
        if not getattr(waited, "done", False):
            waited.done = True
            ready.wait(20)
        with app.app_context():
            try:
                return call()
            except Exception as problem:
                return problem

    with ThreadPoolExecutor(min(threads, len(calls))) as pool:
        return [future.result(60) for future in [pool.submit(one, call) for call in calls]]
