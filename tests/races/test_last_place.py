"""The last place is under a hold that ran out, and somebody else has that hold in hand: whoever asks must get it (R3)."""

from __future__ import annotations

import threading

import pytest

from booking.appointments.places import lock_appointment
from booking.appointments.reserve import hold
from booking.db import transaction
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_reserve import as_account, browser

pytestmark = pytest.mark.usefixtures("within")


def test_full_is_not_said_while_somebody_looks_at_the_hold_that_ran_out(app, now):
    """As a confirmation does that comes too late: it locks the hold, sees that it ran out, and lets it go."""
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    gone = hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    gone_id, asker = gone.id, as_account(factory.person())
    now.shift(minutes=11)
    locked, let_go = threading.Event(), threading.Event()

    def looks_at_it():
        with transaction() as session:
            lock_appointment(session, at.id, gone_id)
            locked.set()
            let_go.wait(0.7)
        return "seen"

    def asks():
        locked.wait(10)
        return hold(at.id, opened.slots[0].id, holder="asks", actor=asker)

    _, row = at_once(app, [looks_at_it, asks], threads=2)
    assert not isinstance(row, Exception), row
    assert (row.status, row.slot_id) == ("held", opened.slots[0].id)
    assert not broken()
