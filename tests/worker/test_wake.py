"""The wake-up after a commit neither waits nor fails, whatever the broker does."""

from __future__ import annotations

import itertools
import socket
import threading
import time

import pytest

from tests.conftest import new_app
from worker import wake as module
from worker.app import make_celery


@pytest.fixture(autouse=True)
def own_publisher():
    """Each test starts its own publishing thread."""
    module._forget()
    yield
    module._forget()


def seconds(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def test_a_commit_does_not_wait_for_a_publisher_that_hangs():
    hang = threading.Event()
    wake = module.waker(lambda: hang.wait(30) and None)
    assert max(seconds(wake) for _ in range(20)) < 0.2
    hang.set()


def test_a_publisher_that_fails_is_asked_again_later(monkeypatch):
    monkeypatch.setattr(module, "REST_AFTER_FAILURE_SECONDS", 0.01)
    asked = []
    done = threading.Event()

    def publish():
        asked.append(1)
        if len(asked) == 1:
            raise ConnectionError("no broker")
        done.set()

    wake = module.waker(publish)
    wake()
    time.sleep(0.2)
    wake()
    assert done.wait(5)


def test_a_burst_of_commits_becomes_a_few_messages():
    asked = []
    wake = module.waker(lambda: asked.append(1))
    for _ in range(1000):
        wake()
    time.sleep(0.3)
    assert 1 <= len(asked) <= 5


def test_while_commits_follow_each_other_one_wake_up_a_second_goes_out():
    went: list[float] = []
    wake = module.waker(lambda: went.append(time.monotonic()))
    began = time.monotonic()
    while time.monotonic() < began + 2.3:
        wake()
        time.sleep(0.02)
    assert went[0] - began < 0.5, "the first at once"
    assert len(went) >= 2 and min(b - a for a, b in itertools.pairwise(went)) > 0.9


def test_a_broker_that_accepts_and_never_answers_costs_a_commit_nothing():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        celery = make_celery(new_app("sqlite://", REDIS_URL=address, BROKER_URL=address))
        wake = module.waker(
            lambda: celery.send_task("worker.tasks.send_due", expires=10, retry=False) and None
        )
        assert max(seconds(wake) for _ in range(5)) < 0.2
