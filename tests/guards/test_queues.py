"""Guards over the queue: everything the beat sends has a task, and every task hands over to a slice."""

from __future__ import annotations

import ast
import inspect

from booking.outbox import _wake
from worker import tasks
from worker.app import app as celery


def test_every_entry_of_the_beat_has_a_task_on_the_queue_that_workers_read():
    celery.loader.import_default_modules()
    read = set(celery.amqp.queues.consume_from)
    for name, entry in celery.conf.beat_schedule.items():
        assert entry["task"] in celery.tasks, f"beat entry {name!r} names {entry['task']}, which is no task"
        route = celery.amqp.router.route({}, entry["task"])
        assert route.get("queue", celery.amqp.queues["booking"]).name in read, name


def test_every_task_is_in_the_beat_or_a_wake_up():
    ours = {name for name in celery.tasks if name.startswith("worker.")}
    assert ours == {entry["task"] for entry in tasks.SCHEDULE.values()}


def test_nothing_old_waits_on_the_queue():
    for name, entry in tasks.SCHEDULE.items():
        assert entry["options"]["expires"] <= entry["schedule"], name
    assert (
        celery.conf.task_ignore_result
        and not celery.conf.task_publish_retry
        and celery.conf.timezone == "UTC"
    )


def test_tasks_are_one_line():
    tree = ast.parse(inspect.getsource(tasks))
    for function in [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]:
        assert len(function.body) <= 2, (
            f"{function.name} does more than hand over (docstring and one statement)"
        )


def test_the_wake_up_after_a_commit_is_set():
    assert len(_wake) == 1
