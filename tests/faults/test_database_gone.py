"""A connection that dies between the last statement and the end of a request: the answer that was made is given."""

from __future__ import annotations

import os
import socket

import pytest
from sqlalchemy import text

from booking.db import db


def ended_by_the_server():
    backend = db.session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with db.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        while other.execute(
            text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid"), {"pid": backend}
        ).first():
            other.rollback()


def cut_off():
    db.session.execute(text("SELECT 1"))
    raw = db.session.connection().connection.driver_connection
    with socket.socket(fileno=os.dup(raw.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("dies", [ended_by_the_server, cut_off])
def test_ending_a_read_on_a_dead_connection_is_no_error(within, dies):
    dies()
    db.session.remove()  # what the end of every request does
    assert db.session.execute(text("SELECT 1")).scalar_one() == 1, "the pool notices and opens another"
