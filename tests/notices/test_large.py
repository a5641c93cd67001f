"""What looks and retention read of a large ledger: by the index that leads to it, and a thousand rows at a time."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from booking import outbox
from booking.claims import due_channels
from booking.db import core, db, first_id_of, new_id, transaction
from booking.notices import receipts, replies
from booking.notices.models import Receipt, Reply
from booking.outbox import Message
from tests import factory
from tests.notices.posting import booked, letters, only, post

BACKLOG = 20_000


def fill(row, count, status, channel="sms", age=timedelta()):
    """Write letters of one hospital that were made so long ago, a millisecond apart."""
    first = first_id_of(factory.now() - age).int
    like = {column.name: getattr(row, column.name) for column in core(Message).columns}
    at = factory.now() - age
    like |= {"channel": channel, "status": status, "due_at": at, "next_at": at, "created_at": at}
    with transaction() as session:
        session.connection().execute(
            core(Message).insert(),
            [
                like | {"id": uuid.UUID(int=first + (n << 80)), "dedupe_key": f"{channel}{status}{n}"}
                for n in range(count)
            ],
        )
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


@contextmanager
def plans(words):
    """Collect the plans of the statements that contain these words."""
    seen = []
    ask = "EXPLAIN QUERY PLAN " if db.engine.dialect.name == "sqlite" else "EXPLAIN (ANALYZE, COSTS OFF) "

    def explain(connection, cursor, statement, parameters, context, many):
        if statement.lstrip().startswith(("SELECT", "WITH")) and words in statement:
            cursor.execute(ask + statement, parameters)
            seen.append("\n".join(str(line[-1]) for line in cursor.fetchall()))

    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)


def test_a_look_reads_one_letter_of_each_channel_however_many_are_due(within):
    (row,) = booked()
    post(row, channels=("app",))
    fill(only(), BACKLOG, "waiting", age=timedelta(hours=1))
    now = factory.now()
    with plans("message.channel =") as seen:
        assert sorted(due_channels(db.session(), now)) == [(row.hospital_id, "app"), (row.hospital_id, "sms")]
    (plan,) = seen
    assert "ix_message_channel_due" in plan
    assert "Seq Scan on message" not in plan and "SCAN message" not in plan
    assert "20000" not in plan, "no more than one letter of each is read"


def test_retention_finds_old_letters_by_the_primary_key_and_takes_a_thousand_at_a_time(within):
    (row,) = booked()
    post(row, channels=("app",))
    kept = only()
    fill(kept, BACKLOG, "delivered", "email", age=timedelta(days=390))
    fill(kept, 2500, "delivered", age=timedelta(days=401))
    with plans("message.id <") as seen:
        assert outbox.remove_old() == 2500
    assert len(seen) == 4, "three times for this hospital, once for letters that are nobody's"
    assert all("pk_message" in plan or "sqlite_autoindex_message_1" in plan for plan in seen[:3]), seen
    assert not [plan for plan in seen if "Seq Scan on message" in plan or "SCAN message" in plan]
    assert {one.channel for one in letters()} == {"app", "email"}


def test_retention_of_receipts_and_replies_takes_what_is_old_and_no_more(within, monkeypatch):
    for module in (outbox, replies):
        monkeypatch.setattr(module, "REMOVED_AT_ONCE", 2)
    (row,) = booked()
    old, new = factory.now() - timedelta(days=401), factory.now() - timedelta(days=10)
    with transaction() as session:
        for number in range(7):
            at = old if number < 5 else new
            session.add(
                Receipt(
                    hospital_id=row.hospital_id,
                    id=uuid.UUID(int=first_id_of(at).int + number),
                    provider="gateway",
                    event_id=f"e{number}",
                    message_id=new_id(),
                    said="delivered",
                    detail="",
                    received_at=at,
                )
            )
            session.add(
                Reply(
                    provider="gateway",
                    event_id=f"e{number}",
                    phone_hash="0" * 64,
                    said="1",
                    received_at=at,
                    did="unclear",
                )
            )
    assert (receipts.remove_old(), replies.remove_old()) == (5, 5)
    assert (receipts.remove_old(), replies.remove_old()) == (0, 0)


@pytest.mark.parametrize("days", [0, 500])
def test_an_id_made_at_a_moment_is_not_before_the_first_of_it(within, days):
    now = factory.now()
    assert (first_id_of(now - timedelta(days=days)) < new_id()) and first_id_of(
        now + timedelta(days=1)
    ) > new_id()
