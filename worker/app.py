"""The Celery application, the same behind Redis and inside the embedded default: `celery -A worker.app worker`."""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery, Task
from celery.signals import beat_init
from flask import Flask

from booking.app import create_app
from booking.outbox import on_commit
from booking.schedule.wanted import on_kept_back
from worker import tasks
from worker.looking import look_in_workers
from worker.wake import waker

log = logging.getLogger(__name__)


def make_celery(flask_app: Flask) -> Celery:
    """Return a Celery whose every task runs inside `flask_app`'s context.

    The queue carries no business: tasks have no arguments and no results, and every entry expires when its next turn
    comes, so a broker that was away for an hour holds nothing old. Times are rows, never `eta`.
    """

    class TaskInContext(Task):
        """A task with the application's context around it, as the web has around a request."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            with flask_app.app_context():
                return self.run(*args, **kwargs)

    celery: Celery = Celery("booking", task_cls=TaskInContext, set_as_current=True)
    celery.conf.update(
        broker_url=flask_app.config["BROKER_URL"],
        timezone="UTC",
        enable_utc=True,
        task_ignore_result=True,
        task_default_queue="booking",
        task_create_missing_queues=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_timeout=2,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=(
            {"socket_connect_timeout": 2, "socket_timeout": 30, "socket_keepalive": True}
            if flask_app.config["REDIS_URL"]
            else {"polling_interval": 0.1}
        ),
        beat_scheduler="celery.beat:Scheduler",  # in memory: the default one writes a file
        beat_max_loop_interval=1,
        beat_schedule=tasks.SCHEDULE,
    )
    return celery


def send_letters_soon() -> None:
    """Put a wake-up for letters that somebody waits for on the queue; raises what the broker raises.

    E-mails and webhooks leave at the next look, two seconds later at most: they must not fill the queue's workers.
    """
    app.send_task("worker.tasks.send_due", expires=10, retry=False)


def offer_places_soon() -> None:
    """Put a wake-up for freed places on the queue; the letters that tell of an offer wake their own."""
    app.send_task("worker.tasks.offer_places", expires=5, retry=False)


@beat_init.connect
def _run_everything_once(**_: Any) -> None:
    """At the start of a beat each job gets a turn at once; a run that was already made is refused by its claim."""
    for name, entry in tasks.SCHEDULE.items():
        try:
            app.send_task(entry["task"], expires=entry["options"]["expires"], retry=False)
        except Exception as problem:  # the broker is away; the schedule itself tries again
            log.warning("first run of %s not published: %s", name, problem)


def wake_after_commits() -> None:
    """Have every commit that put letters, and every one that kept a place back for the waiting list, wake a worker."""
    on_commit(waker(send_letters_soon))
    on_kept_back(waker(offer_places_soon))


flask_app = create_app()
app = make_celery(flask_app)
look_in_workers(app)
wake_after_commits()
