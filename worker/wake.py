"""The after-commit wake-up: tells a worker that letters are due, without ever making a web request wait.

The rows are the truth and the beat looks every two seconds; this only makes the common case faster. A commit sets
a flag; one thread per process publishes. So a dead or silent Redis costs the request nothing, and a burst of commits
becomes a few messages.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
REST_SECONDS = 0.05
REST_AFTER_FAILURE_SECONDS = 2.0

_wanted = threading.Event()
_starting = threading.Lock()
_publisher: threading.Thread | None = None


def _forget() -> None:
    """A fork copies the variables but not the thread."""
    global _wanted, _starting, _publisher
    _wanted, _starting, _publisher = threading.Event(), threading.Lock(), None


os.register_at_fork(after_in_child=_forget)


def waker(publish: Callable[[], None]) -> Callable[[], None]:
    """Return a function that asks for `publish()` soon and returns at once; it never raises.

    `publish` runs in this process's own thread, at most once per 50 ms; what it raises is logged and dropped.
    """

    def wake() -> None:
        _wanted.set()
        if _publisher is None or not _publisher.is_alive():
            _start(publish)

    return wake


def _start(publish: Callable[[], None]) -> None:
    global _publisher
    with _starting:
        if _publisher is not None and _publisher.is_alive():
            return
        _publisher = threading.Thread(target=_publish_forever, args=(publish,), name="wake", daemon=True)
        _publisher.start()


def _publish_forever(publish: Callable[[], None]) -> None:
    while True:
        _wanted.wait()
        _wanted.clear()
        try:
            publish()
            time.sleep(REST_SECONDS)
        except Exception as problem:  # whatever the broker does, the beat still finds the rows
            log.warning("wake-up not published: %s", problem)
            time.sleep(REST_AFTER_FAILURE_SECONDS)
