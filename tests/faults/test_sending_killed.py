"""Workers are killed while they send: nothing is lost, and only a letter whose answer nobody heard goes out again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import select

from booking.claims import LEASE
from booking.clock import db_now
from booking.db import db
from booking.notices.models import DemoLetter
from booking.notices.service import send_due
from booking.outbox import Message, reference
from booking.periodic import PeriodicRun
from tests import far_ends, servers
from tests.notices.posting import booked, letters, post, post_code, states, wait_until

ROOT = Path(__file__).resolve().parents[2]
LETTERS = 8


@pytest.fixture
def gateway(app):
    with far_ends.sms_gateway() as gateway:
        app.config.update(
            SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="key-of-a-test", SEND_TIMEOUT_SECONDS=5
        )
        yield gateway


def environment(app, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "APP_ENV": "testing",
        "DATABASE_URL": app.config["SQLALCHEMY_DATABASE_URI"],
        "SMS_GATEWAY_URL": app.config["SMS_GATEWAY_URL"],
        "SMS_GATEWAY_KEY": app.config["SMS_GATEWAY_KEY"],
        **more,
    }


@contextlib.contextmanager
def child(app, moment: str) -> Iterator[subprocess.Popen]:
    """Run a worker process that stops at `moment`; it is dead when the block ends."""
    command = [sys.executable, str(ROOT / "tests/faults/sending_child.py"), moment]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(app), stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def nothing_is_overdue_without_a_lease() -> bool:
    """N4 at this moment: what is due is waiting its first turn or held by a live lease."""
    session = db.session()
    now = db_now(session)
    lost = select(Message.id).where(Message.status == "sending", Message.lease_until < now - LEASE)
    return session.scalar(lost) is None


def assert_every_repeat_was_counted(gateway) -> None:
    """N5: the provider accepted a letter at most once more than there were attempts nobody knows the end of."""
    ambiguous = {reference(letter): letter.ambiguous for letter in letters(channel="sms")}
    times = gateway.times()
    assert {one: times[one] for one in times if times[one] > 1 + ambiguous[one]} == {}


@pytest.mark.parametrize(("moment", "asked_before"), [("claimed", 0), ("written", 0), ("sent", LETTERS)])
def test_a_worker_killed_at_any_moment_loses_nothing(app, within, gateway, now, moment, asked_before):
    for row in booked(LETTERS):
        post(row, channels=("sms",))
    with child(app, moment) as worker:
        assert worker.stdout.readline() == "here\n"
        worker.send_signal(signal.SIGKILL)
        assert worker.wait(10) == -signal.SIGKILL
    assert sum(gateway.times().values()) == asked_before
    assert states() == {"sending": LETTERS}
    assert send_due("second") == 0, "the dead worker's leases still count"
    assert nothing_is_overdue_without_a_lease()
    now.shift(seconds=61)
    assert send_due("second") == LETTERS
    assert states() == {"accepted": LETTERS}
    assert sum(times > 1 for times in gateway.times().values()) == asked_before
    assert_every_repeat_was_counted(gateway)
    assert len(gateway.phones) == LETTERS, "the gateway knows a repeat by its reference"


def test_a_worker_killed_while_the_gateway_thinks_repeats_only_what_it_had_handed_over(
    app, within, gateway, now
):
    for row in booked(LETTERS):
        post(row, channels=("sms",))
    asked = threading.Event()

    gateway.mode, gateway.on_call = "slow", asked.set
    with child(app, "never") as worker:
        assert asked.wait(60)
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    gateway.on_call, gateway.mode = (lambda: None), "ok"
    in_question = set(gateway.times())
    now.shift(seconds=61)
    send_due("second")
    assert states() == {"accepted": LETTERS}
    assert {reference for reference, times in gateway.times().items() if times > 1} == in_question
    assert_every_repeat_was_counted(gateway)


def test_a_worker_that_was_only_frozen_cannot_settle_over_its_successor(app, within, gateway, now):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode, gateway.delay = "slow", 1.0
    with child(app, "never") as worker:
        wait_until(lambda: len(gateway.calls) == 1, 60)
        worker.send_signal(signal.SIGSTOP)  # while the gateway thinks
        gateway.mode = "ok"
        now.shift(seconds=61)
        assert send_due("second") == 1
        worker.send_signal(signal.SIGCONT)
        assert worker.wait(60) == 0
    (letter,) = letters()
    assert (letter.status, letter.worker, letter.fence, letter.attempts) == ("accepted", "second", 2, 2)
    assert len(gateway.phones) == 1


# --- the real engine room: Celery, beat and a broker -----------------------------------------------------------------


@contextlib.contextmanager
def celery(app, broker: str, role: str, log: Path) -> Iterator[subprocess.Popen]:
    """Run `celery -A worker.app worker` or `beat`; the whole group is dead when the block ends."""
    extra = ["-c", "1"] if role == "worker" else []
    command = [sys.executable, "-m", "celery", "-A", "worker.app", role, "--loglevel", "INFO", *extra]
    with log.open("a") as out:
        running = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(app, REDIS_URL=broker),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait(10)


def test_a_killed_celery_worker_and_an_emptied_broker_lose_nothing(
    app, within, gateway, broker, now, tmp_path
):
    gateway.mode, gateway.delay = "slow", 0.3
    for row in booked(20):
        post(row)
    db.session.remove()
    log = tmp_path / "celery.log"
    with celery(app, broker, "beat", log):
        with celery(app, broker, "worker", log):
            # what is read in the app is another run's, which may still be at it
            wait_until(
                lambda: len(gateway.calls) >= 4 and states(kind="confirmed").get("delivered") == 20, 90
            )
        before = states(kind="confirmed")  # the reconciler runs as well and puts the reminders
        assert before["sending"] and before["delivered"] == 20, log.read_text()
        redis.Redis.from_url(broker).flushall()
        gateway.mode = "ok"
        now.shift(seconds=61)
        with celery(app, broker, "worker", log):
            wait_until(lambda: states(channel="sms", kind="confirmed") == {"accepted": 20}, 90)
    assert states(kind="confirmed") == {"delivered": 20, "accepted": 20}, log.read_text()
    assert_every_repeat_was_counted(gateway)
    assert len(gateway.phones) == 20


def test_workers_send_and_do_their_jobs_with_no_broker_and_no_beat(app, within, gateway, tmp_path):
    """They look by themselves, from their very start on: what is due now, and what becomes due later."""
    post_code("+8613800130771")  # about no visit: the reconciler, which runs as well, has nothing to add
    db.session.remove()
    log, nowhere = tmp_path / "celery.log", f"redis://127.0.0.1:{servers.free_port()}/0"
    with celery(app, nowhere, "worker", log), celery(app, nowhere, "worker", log):
        wait_until(lambda: states() == {"accepted": 1}, 60)
        post_code("+8613800130772")
        wait_until(lambda: states() == {"accepted": 2}, 15)
        wait_until(lambda: jobs_run() >= {"advance_sessions", "mark_no_shows", "remove_old"}, 30)
    assert set(gateway.times().values()) == {1}, log.read_text()


def jobs_run() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(select(PeriodicRun.job)))


def test_the_demo_shows_each_letter_once_although_its_worker_was_killed(app, within, now):
    app.config.update(SMS_GATEWAY_URL="", SMS_GATEWAY_KEY="")
    for row in booked(4):
        post(row, channels=("sms",))
    with child(app, "sent") as worker:
        assert worker.stdout.readline() == "here\n"
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    now.shift(seconds=61)
    assert send_due("second") == 4
    assert db.session.query(DemoLetter).count() == 4
