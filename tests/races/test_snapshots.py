"""An outside observer looks on while verbs run: no snapshot ever shows half of a change (R1, R2, R20)."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from booking.appointments.move import move
from booking.db import db
from booking.errors import Refusal
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")

PLACES_OF_EACH = text(
    "SELECT a.id, (SELECT count(*) FROM place p WHERE p.hospital_id = a.hospital_id AND p.appointment_id = a.id),"
    " (SELECT count(*) FROM place p WHERE p.hospital_id = a.hospital_id AND p.id = a.holds_place_id"
    " AND p.appointment_id = a.id) FROM appointment a WHERE a.status = 'booked'"
)


def test_whoever_moves_has_exactly_one_place_in_every_snapshot(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    people = [factory.person() for _ in range(3)]
    rows = [book(at, opened, who, slot=number, holder=f"h{number}") for number, who in enumerate(people)]
    ids = [row.id for row in rows]
    over = threading.Event()
    moved, still = [], [len(people)]

    def wanders(number):
        def run():
            for step in range(12):
                try:
                    slot = opened.slots[(number + step) % 4].id
                    moved.append(move(at.id, ids[number], slot, actor=as_account(people[number])).version)
                except Refusal:
                    continue
            still[0] -= 1
            if not still[0]:
                over.set()

        return run

    def observes():
        seen = []
        while not over.wait(0.002):
            with db.engine.connect() as connection:  # one statement is one snapshot
                seen += [tuple(row) for row in connection.execute(PLACES_OF_EACH)]
        return seen

    *_, seen = at_once(app, [*(wanders(number) for number in range(3)), observes], threads=4)
    assert not isinstance(seen, Exception), seen
    assert len(moved) > 6 and len(seen) > 30, "there was something to see"
    assert {row[1:] for row in seen} == {(1, 1)}
    assert not broken()
