"""Whatever was acknowledged survives the death of the process; whatever was not has left nothing (R11, R33)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from booking import clock
from booking.appointments.models import Appointment
from booking.db import db, transaction
from booking.outbox import Message
from tests import factory
from tests.faults.test_sending_killed import environment
from tests.invariants import broken
from tests.verbs.test_reserve import book

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def child(app, at, opened, people, *more: str) -> Iterator[subprocess.Popen]:
    pairs = [f"{who.id}:{who.patient.id}" for who in people]
    command = [
        sys.executable,
        str(ROOT / "tests/faults/booking_child.py"),
        str(at.id),
        str(opened.slots[0].id),
    ]
    with subprocess.Popen(
        [*command, *pairs, *more], cwd=ROOT, env=environment(app), stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_every_acknowledged_booking_survives_kill_9(app, within):
    at = factory.clinic()
    opened = factory.open_session(at, places=5)
    people = [factory.person() for _ in range(3)]
    db.session.rollback()
    with child(app, at, opened, people) as running:
        said = [running.stdout.readline().split() for _ in people]
        running.kill()  # at once after the last answer: nothing is tidied up
        running.wait()
    codes = {word[2] for word in said}
    kept = select(Appointment.visit_code).where(Appointment.status == "booked")
    assert set(db.session.scalars(kept)) == codes and len(codes) == 3
    assert (
        db.session.scalar(select(func.count()).where(Message.kind == "confirmed", Message.channel == "sms"))
        == 3
    )
    assert not broken()


def test_a_process_killed_before_its_commit_leaves_the_place_to_the_next(app, within):
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    first, dying, next_one = factory.person(), factory.person(), factory.person()
    db.session.rollback()
    with child(app, at, opened, [first, dying], "stops") as running:
        assert running.stdout.readline().startswith("booked")
        assert running.stdout.readline() == "inside\n"
        running.kill()
        running.wait()
    statuses = sorted(db.session.scalars(select(Appointment.status)))
    assert statuses == ["booked", "held"], "the confirmation never happened, the hold before it did"
    db.session.rollback()
    with transaction() as session:
        clock.shift(session, factory.timedelta(minutes=11))
    assert book(at, opened, next_one, holder="next").status == "booked"
    assert not broken()
