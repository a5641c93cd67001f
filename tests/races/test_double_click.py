"""One browser presses the same time many times at once: one hold, and every answer names it (R10)."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import func, select

from booking.appointments.models import Appointment
from booking.appointments.reserve import hold
from booking.db import db
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_reserve import as_account, browser

pytestmark = pytest.mark.usefixtures("within")


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("places", [1, 2, 6])
def test_every_press_gives_the_same_hold_also_on_the_last_place(app, places, signed_in):
    at = factory.clinic()
    for _ in range(4):
        opened = factory.open_session(factory.another_doctor(at), places=places)
        actor = as_account(factory.person()) if signed_in else browser(f"b{opened.id.hex}")
        press = partial(hold, at.id, opened.slots[0].id, holder=actor.id, actor=actor)
        rows = at_once(app, [press] * 8)
        assert not [row for row in rows if isinstance(row, Exception)]
        assert len({row.id for row in rows}) == 1
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 4
    assert not broken()
