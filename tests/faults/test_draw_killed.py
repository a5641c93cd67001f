"""A worker is killed in the middle of a draw: what it committed stands, the next goes on, the order is the published one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import func, select

from booking import clock
from booking.appointments.draw import draw_due
from booking.appointments.draw_check import check
from booking.appointments.draw_models import DrawEntry
from booking.appointments.draw_queries import draw_view, public_file
from booking.appointments.models import Appointment
from booking.db import db, transaction
from booking.outbox import Message
from tests import factory
from tests.faults.test_sending_killed import environment
from tests.invariants import broken
from tests.verbs.test_draw import drawn_session, entrant, entries, fresh, put_in

ROOT = Path(__file__).resolve().parents[2]


def test_a_draw_killed_in_the_middle_is_finished_by_the_next_worker(app, within):
    at, _opened, draw = drawn_session(places=2)
    _forward(minutes=61)
    for _ in range(11):
        put_in(at, draw, entrant())
    _forward(hours=2)
    command = [sys.executable, str(ROOT / "tests/faults/draw_child.py"), "5"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(app), stdout=subprocess.PIPE, text=True
    ) as child:
        assert [child.stdout.readline() for _ in range(5)] == [f"turn {n}\n" for n in range(1, 6)]
        child.kill()  # inside the second batch of three: the first is committed, of the second nothing may be left
        child.wait()
    assert fresh(draw).status == "drawing"
    assert [entry.rank for entry in entries(draw, "won")] == [1, 2, 3]
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 3
    assert not broken()
    order = [entry.token for entry in entries(draw)]
    assert draw_due() == 1
    assert [entry.token for entry in entries(draw)] == order
    assert [entry.status for entry in entries(draw)] == ["won"] * 8 + ["lost"] * 3
    told = select(func.count()).where(Message.kind == "draw_lost", Message.channel == "sms")
    assert db.session.scalar(told) == 3
    assert check(public_file(draw_view(at.id, draw.id, factory.now()))).passed
    assert db.session.scalar(select(func.count()).where(DrawEntry.status == "entered")) == 0
    assert not broken()


def _forward(**by):
    with transaction() as session:
        clock.shift(session, factory.timedelta(**by))
