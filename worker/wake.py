"""The after-commit wake-up: tells a worker that letters are due or a place was freed, without making a web request wait.

The rows are the truth and the workers look every few seconds; this only makes the common case faster. A commit sets
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
REST_SECONDS = 1.0
"""While commits follow each other, so long may a letter, and a freed place, wait for the next wake-up; a single commit's
goes out at once.

In a release the letters of a second go out together: a batch costs nearly the same whether it has one letter or fifty, and
so does a look for who waits for the places of that second."""
REST_AFTER_FAILURE_SECONDS = 2.0

_wanted: dict[Callable[[], None], None] = {}
_any_wanted = threading.Event()
_starting = threading.Lock()
_publisher: threading.Thread | None = None


def _forget() -> None:
    """A fork copies the variables but not the thread."""
    global _wanted, _any_wanted, _starting, _publisher
    _wanted, _any_wanted, _starting, _publisher = {}, threading.Event(), threading.Lock(), None


os.register_at_fork(after_in_child=_forget)


def waker(publish: Callable[[], None]) -> Callable[[], None]:
    """Return a function that asks for `publish()` soon and returns at once; it never raises.

    `publish` runs in this process's own thread, at most once per `REST_SECONDS`; what it raises is logged and dropped.
    """

    def wake() -> None:
        _wanted[publish] = None
        _any_wanted.set()
        if _publisher is None or not _publisher.is_alive():
            _start()

    return wake


def _start() -> None:
    global _publisher
    with _starting:
        if _publisher is not None and _publisher.is_alive():
            return
        _publisher = threading.Thread(target=_publish_forever, name="wake", daemon=True)
        _publisher.start()


def _publish_forever() -> None:
    while threading.current_thread() is _publisher:  # a forgotten one ends: two would halve the rest
        _any_wanted.wait()
        _any_wanted.clear()
        rest = REST_SECONDS
        for publish in list(_wanted):
            _wanted.pop(publish, None)
            try:
                publish()
            except Exception as problem:  # whatever the broker does, the beat still finds the rows
                log.warning("wake-up not published: %s", problem)
                rest = REST_AFTER_FAILURE_SECONDS
        time.sleep(rest)
