"""The fixtures themselves: an empty database for every test, a clock that moves, no network."""

import socket

import pytest
import redis
from sqlalchemy import text

from booking import clock
from booking.db import db, transaction
from tests.conftest import NetworkUsed


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_starts_with_an_empty_database(within, turn):
    with transaction() as session:
        before = session.execute(text("SELECT count(*) FROM periodic_run")).scalar()
        session.execute(text("INSERT INTO periodic_run VALUES ('guard', '2026-01-01', '2026-01-01')"))
    assert before == 0
    assert db.session.execute(text("SELECT count(*) FROM periodic_run")).scalar() == 1


def test_the_clock_moves_and_goes_back(now):
    start = now()
    moved = now.shift(hours=23)
    assert 23 * 3600 <= (moved - start).total_seconds() < 23 * 3600 + 5


@pytest.mark.parametrize("turn", [1, 2])
def test_the_clock_of_the_next_test_is_not_moved(within, now, turn):
    assert clock.offset(db.session()).total_seconds() == 0
    now.shift(hours=1)


@pytest.mark.parametrize("address", [("198.51.100.1", 80), ("example.org", 80)])
def test_no_test_reaches_another_machine(address):
    with pytest.raises(NetworkUsed):
        socket.create_connection(address, timeout=1)


def test_a_real_broker_answers(broker):
    assert redis.Redis.from_url(broker).ping()
