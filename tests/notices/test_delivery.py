"""The figures of the delivery page: counted by when letters left, failed or wait; slow ones found; the list filtered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event, text, update

from booking.clock import local
from booking.db import db, new_id, transaction
from booking.notices import delivery
from booking.notices.delivery_list import letters_of_day
from booking.notices.models import ProviderState
from booking.outbox import Message
from tests import factory
from tests.notices.posting import booked, post

pytestmark = pytest.mark.usefixtures("within")


def ledger(*letters, channel="sms", kind="confirmed"):
    """Write letters about one visit as (status, seconds ago, seconds from due to sent); return the visit."""
    (row,) = booked()
    now = factory.now()
    with transaction() as session:
        for number, (status, ago, took) in enumerate(letters):
            at = now - timedelta(seconds=ago)
            left = status in ("accepted", "delivered")
            session.add(
                Message(
                    hospital_id=row.hospital_id,
                    id=new_id(),
                    dedupe_key=f"{row.id.hex}:{kind}:{number}:{channel}:account{row.account_id}",
                    kind=kind,
                    channel=channel,
                    recipient="account",
                    account_id=row.account_id,
                    appointment_id=row.id,
                    version=row.version,
                    created_at=at,
                    due_at=at - timedelta(seconds=took),
                    next_at=at,
                    expires_at=now + timedelta(days=1),
                    status=status,
                    attempts=1,
                    sent_at=at if left else None,
                    last_error="" if left else "gateway answered 422",
                )
            )
    return row


def today(row):
    return local(factory.now(), "Asia/Shanghai").date()


def test_today_counts_every_letter_once():
    day = ("delivered", 1, 1), ("accepted", 2, 1), ("failed", 3, 1), ("expired", 4, 1), ("suppressed", 5, 1)
    row = ledger(*day, ("waiting", 0, 0), ("superseded", 6, 1), ("delivered", 86_400, 1))
    found = delivery.today(row.hospital_id, today(row), "Asia/Shanghai")
    assert (found.delivered, found.sent, found.failed, found.not_sent, found.waiting) == (1, 1, 1, 2, 1)
    assert found.planned == 6
    assert delivery.today(factory.clinic().id, today(row), "Asia/Shanghai").planned == 0


def test_days_begin_at_the_hospitals_midnight():
    row = ledger(("delivered", 0, 0))
    day = today(row)
    bounds = delivery.day_bounds(day - timedelta(days=1), "Asia/Shanghai", 3)
    with transaction() as session:
        session.execute(update(Message).values(sent_at=bounds[1]))
    assert delivery.tally(row.hospital_id, bounds) == {(1, "delivered", "sms"): 1}
    with transaction() as session:
        session.execute(update(Message).values(sent_at=bounds[1] - timedelta(microseconds=1000)))
    assert delivery.tally(row.hospital_id, bounds) == {(0, "delivered", "sms"): 1}
    assert len(delivery.day_bounds(day, "Europe/Berlin", 1)) == 2


def test_delays_are_nearest_rank_percentiles():
    row = ledger(*[("accepted", 0, seconds) for seconds in range(1, 21)])
    now = factory.now()
    found = delivery.delays(row.hospital_id, [now - timedelta(hours=1), now + timedelta(minutes=1)])
    (p50, p95, n) = found[0]
    assert (round(p50), round(p95), n) == (10, 19, 20)
    assert delivery.delays(row.hospital_id, [now + timedelta(hours=1), now + timedelta(hours=2)]) == {}


def test_letters_inside_the_house_do_not_count_as_fast():
    row = ledger(("delivered", 0, 5), channel="app")
    now = factory.now()
    assert delivery.delays(row.hospital_id, [now - timedelta(hours=1), now + timedelta(minutes=1)]) == {}


@pytest.mark.parametrize(
    ("good", "bad", "rings"), [(49, 1, False), (48, 1, True), (0, 1, True), (0, 0, False), (100, 2, False)]
)
def test_the_alarm_rings_above_two_in_a_hundred(good, bad, rings):
    row = ledger(*[("accepted", 60, 1)] * good, *[("failed", 60, 1)] * bad, ("failed", 16 * 60, 1))
    found = delivery.alarm(row.hospital_id, factory.now())
    assert (found.tried, found.failed, found.rings) == (good + bad, bad, rings)


def test_backlog_is_what_should_have_left():
    row = ledger(("waiting", 300, 0), ("waiting", 5, 0), ("waiting", -600, 0), ("accepted", 300, 0))
    found = delivery.backlog(row.hospital_id, factory.now())
    assert found.due == 2
    assert 299 < (factory.now() - found.oldest).total_seconds() < 330
    assert delivery.backlog(factory.clinic().id, factory.now()).oldest is None


def test_providers_in_trouble():
    now = factory.now()
    with transaction() as session:
        session.add(ProviderState(name="well"))
        session.add(ProviderState(name="resting", rests_until=now + timedelta(minutes=1)))
        session.add(ProviderState(name="shaky", failures=2))
        session.add(ProviderState(name="rested", rests_until=now - timedelta(minutes=1)))
    assert [one.name for one in delivery.providers_in_trouble(now)] == ["resting", "shaky"]


def listed(row, **filters):
    now = factory.now()
    start, end = delivery.day_bounds(today(row), "Asia/Shanghai")
    return letters_of_day(row.hospital_id, start, end, now, **filters)


def test_the_list_is_newest_first_filtered_and_masked():
    row = ledger(("delivered", 30, 1), ("failed", 20, 1), ("waiting", 10, 1), ("superseded", 5, 1))
    assert [one.status for one in listed(row)] == ["waiting", "failed", "delivered"]
    assert [one.status for one in listed(row, group="failed")] == ["failed"]
    assert [one.status for one in listed(row, limit=1, offset=1)] == ["failed"]
    assert listed(row, channel="email") == listed(row, kind="stopped") == listed(row, group="not_sent") == []
    assert len(listed(row, channel="sms", kind="confirmed")) == 3
    (failed,) = listed(row, group="failed")
    assert failed.patient_masked == "李*禾" and failed.address_masked.startswith("138****")
    assert failed.may_resend and failed.error == "gateway answered 422"
    assert not any(one.may_resend for one in listed(row) if one.status != "failed")
    with transaction() as session:
        session.execute(text("UPDATE appointment SET version = version + 1"))
    assert not listed(row, group="failed")[0].may_resend, "what it says is no longer so"


def test_the_list_of_another_hospital_is_its_own():
    row = ledger(("failed", 20, 1))
    post(booked()[0])
    assert len(listed(row)) == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_large_ledger_is_read_by_its_indexes():
    """Without scanning: what is asked for a day must not grow with the years that are kept."""
    row = ledger(("failed", 20, 1))
    with transaction() as session:
        session.execute(
            text(
                "INSERT INTO message (hospital_id, id, dedupe_key, kind, channel, recipient, facts, created_at, due_at,"
                " expires_at, next_at, status, attempts, fence, worker, sent_at, provider_ref, last_error, version)"
                " SELECT :hospital, gen_random_uuid(), 'k' || n, 'confirmed', 'sms', 'account', '{}', t, t, t, t,"
                " 'delivered', 1, 1, '', t, '', '', 1 FROM (SELECT n, clock_timestamp() - n * interval '20 minutes' AS t"
                " FROM generate_series(1, 20000) n) made"
            ),
            {"hospital": row.hospital_id},
        )
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE message"))
    seen = []

    def explain(connection, cursor, statement, parameters, context, many):
        if statement.lstrip().startswith("SELECT") and "message" in statement:
            cursor.execute("EXPLAIN " + statement, parameters)
            seen.append("\n".join(line for (line,) in cursor.fetchall()))

    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        now = factory.now()
        delivery.today(row.hospital_id, today(row), "Asia/Shanghai")
        delivery.backlog(row.hospital_id, now)
        delivery.alarm(row.hospital_id, now)
        listed(row)
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)
    assert len(seen) >= 6
    assert not [plan for plan in seen if "Seq Scan on message" in plan], seen
    for index in ("ix_message_sent", "ix_message_due", "ix_message_failed"):
        assert any(index in plan for plan in seen), index
