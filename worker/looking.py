"""Each worker process looks for due work by itself: the broker only makes it faster, the beat only repeats it.

A few threads per process, each with jobs of its own, so that making next month's sessions delays no letter. What must
happen once per scheduled time is claimed in the database by the job itself; everything else may run anywhere, any number
of times.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_process_init

log = logging.getLogger(__name__)

QUICK = (("send_due",), ("send_slow",), ("draw_due", "offer_places"))
"""Jobs that people wait for, and which of them share a thread; all others have one together."""
KINDNESS = 5
"""How far worker processes stand behind those that answer people (nice)."""

Job = tuple[str, float, Callable[[], Any]]


class Looker:
    """Threads that run jobs at their intervals until `stop`."""

    def __init__(self, lanes: Iterable[list[Job]]) -> None:
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self._look, args=(jobs,), name=f"look-{jobs[0][0]}", daemon=True)
            for jobs in lanes
            if jobs
        ]
        for thread in self.threads:
            thread.start()

    def stop(self, seconds: float = 0.0) -> None:
        """Begin nothing more, and wait so long for what is in hand."""
        self.over.set()
        until = monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, until - monotonic()))

    def _look(self, jobs: list[Job]) -> None:
        due = {name: 0.0 for name, _every, _run in jobs}
        while not self.over.is_set():
            for name, every, run in jobs:
                if monotonic() < due[name] or self.over.is_set():
                    continue
                due[name] = monotonic() + every
                try:
                    run()
                except (
                    Exception
                ) as problem:  # the database is away, or one job is broken: the next look tries again
                    log.warning("%s: %s", name, type(problem).__name__)
            self.over.wait(max(0.05, min(due.values()) - monotonic()))


_running: list[Looker] = []


def start(celery: Celery) -> None:
    """Run every job of the schedule at its interval in threads of this process, starting now, until `stop`."""
    jobs = {
        entry["task"].rpartition(".")[2]: (entry["schedule"], celery.tasks[entry["task"]])
        for entry in celery.conf.beat_schedule.values()
    }
    quick: list[list[Job]] = [[(name, *jobs[name]) for name in lane] for lane in QUICK]
    known = {name for lane in QUICK for name in lane}
    _running.append(Looker([*quick, [(name, *job) for name, job in jobs.items() if name not in known]]))


def stop(seconds: float = 0.0) -> None:
    """Stop looking in this process; wait so long for what is in hand. A second call does nothing."""
    while _running:
        _running.pop().stop(seconds)


def look_in_workers(celery: Celery) -> None:
    """Have every process that `celery worker` runs tasks in look by itself, whether or not there is a broker to reach.

    In the children of a forking pool, and not in their parent: a process with threads must not fork.
    """

    @worker_process_init.connect(weak=False)
    def in_process(**_: Any) -> None:
        os.nice(KINDNESS)
        start(celery)

    @worker_init.connect(weak=False)
    def in_threads(sender: Any, **_: Any) -> None:
        pool = sender.pool_cls
        kind = pool if isinstance(pool, str) else pool.__module__
        if kind.rpartition(".")[2] not in ("prefork", "solo", "processes"):
            start(celery)
