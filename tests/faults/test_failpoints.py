"""Failpoints: a switch strikes once, at its own point, and what it broke off leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from booking import failpoints
from booking.appointments.models import Appointment
from booking.appointments.reserve import hold
from booking.db import db
from tests import factory
from tests.invariants import broken
from tests.verbs.test_reserve import as_account


@pytest.fixture
def switches(tmp_path):
    failpoints.arm(str(tmp_path))
    yield tmp_path
    failpoints.arm("")


@pytest.mark.parametrize(("point", "left"), [("took_place", 0), ("before_commit", 0), ("after_commit", 1)])
def test_a_point_that_raises_rolls_back_unless_the_commit_was_made(within, switches, point, left):
    opened, who = factory.open_session(factory.clinic()), factory.person()
    mine = {"holder": "h" * 64, "actor": as_account(who)}
    (switches / f"{point}.1").write_text("raise")
    with pytest.raises(OperationalError, match=point):
        hold(opened.session.hospital_id, opened.slots[0].id, **mine)
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == left
    assert not broken()
    again = hold(opened.session.hospital_id, opened.slots[0].id, **mine)
    assert again.status == "held" and not list(switches.iterdir()), "one switch strikes once"
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1


def test_a_point_may_end_the_process(tmp_path):
    (tmp_path / "before_commit.1").write_text("kill")
    said = f"from booking import failpoints as f; f.arm({str(tmp_path)!r}); f.reach('took_place'); f.reach('before_commit')"
    done = subprocess.run([sys.executable, "-c", said], cwd=os.getcwd(), check=False)
    assert done.returncode == -9
    assert not list(tmp_path.iterdir())


def test_an_unknown_word_is_a_mistake_of_the_test(switches):
    (switches / "took_place.1").write_text("explode")
    with pytest.raises(ValueError, match="explode"):
        failpoints.reach("took_place")
