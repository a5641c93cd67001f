"""Worker and beat as threads of the one web process, so that one command runs the whole product."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from celery import Celery, beat
from celery.app import trace
from celery.worker import WorkController, state

from worker import looking

log = logging.getLogger(__name__)
STOP_SECONDS = 5.0


def start(celery: Celery) -> Callable[[], None]:
    """Start the worker and the beat of `celery` and return the function that stops them.

    Call it in the process that serves, after any fork: threads do not survive one. Stopping lets the task in hand
    finish (up to 5 s); a letter cut off later than that keeps its lease and goes out again after it.
    """
    hostname = "embedded@localhost"
    trace.setup_worker_optimizations(celery, hostname)  # without it tasks run without the Flask context
    state.should_stop = None
    worker = WorkController(
        app=celery,
        hostname=hostname,
        pool="threads",
        concurrency=2,  # making next month's sessions must not delay a letter
        loglevel=logging.WARNING,
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    )
    working = threading.Thread(target=worker.start, name="celery-worker", daemon=True)
    working.start()
    service = beat.Service(celery, scheduler_cls=celery.conf.beat_scheduler)
    beating = threading.Thread(target=service.start, name="celery-beat", daemon=True)
    beating.start()

    def stop() -> None:
        """Stop both; a second call does nothing."""
        if not working.is_alive():
            return
        service.stop()
        looking.stop(STOP_SECONDS)
        state.should_stop = 0  # type: ignore[assignment]  # an exit code ends the worker, None lets it run
        # The worker looks at the flag between two messages; with one to receive it looks at once.
        celery.send_task("worker.tasks.send_due", expires=10)
        working.join(STOP_SECONDS)
        if working.is_alive():
            log.warning("the embedded worker did not stop within %.0f s", STOP_SECONDS)

    return stop
