"""A verb that the database ended for a deadlock or a lock wait runs again by itself; everything else passes."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from booking.db import db, retried, transaction
from booking.errors import Refusal
from tests import factory
from tests.races.crowd import at_once

pytestmark = pytest.mark.usefixtures("within")


def test_two_transactions_that_wait_for_each_other_both_end_well(app):
    """PostgreSQL ends one of two that lock two rows in opposite orders; SQLite refuses a writer that has read."""
    one, two = factory.clinic(), factory.clinic()
    both = threading.Barrier(2)
    tries: Counter[int] = Counter()

    def verb(first, second):
        @retried
        def run():
            tries[first] += 1
            with transaction() as session:
                rename = text("UPDATE hospital SET short_name = short_name || '!' WHERE id = :id")
                if session.get_bind().dialect.name == "sqlite":
                    session.rollback()  # what a verb would be without BEGIN IMMEDIATE
                    session.execute(text("SELECT count(*) FROM hospital"))
                else:
                    session.execute(rename, {"id": first})
                if tries[first] == 1:
                    both.wait(30)
                session.execute(rename, {"id": second})
            return "done"

        return run

    results = at_once(app, [verb(one.id, two.id), verb(two.id, one.id)], threads=2)
    assert results == ["done", "done"]
    assert sum(tries.values()) > 2, "one of the two ran twice"


@pytest.mark.usefixtures("app")
def test_no_verb_is_tried_for_ever_and_a_refusal_is_not_tried_again():
    calls = []

    @retried
    def locked():
        calls.append(1)
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    with pytest.raises(OperationalError):
        locked()
    assert len(calls) == 4

    @retried
    def refused():
        calls.append(1)
        raise Refusal

    with pytest.raises(Refusal):
        refused()
    assert len(calls) == 5
    db.session.rollback()
