"""A connection that dies between the last statement and the end of a request: the answer that was made is given."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from booking.db import db


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_ending_a_read_on_a_dead_connection_is_no_error(within):
    backend = db.session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with db.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        while other.execute(
            text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid"), {"pid": backend}
        ).first():
            other.rollback()
    db.session.remove()  # what the end of every request does
    assert db.session.execute(text("SELECT 1")).scalar_one() == 1, "the pool notices and opens another"
