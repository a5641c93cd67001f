"""/metrics and `flask doctor`: they find what is broken, name rows by id only, and answer nobody else."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, update

from booking.appointments.invariants import INVARIANTS
from booking.appointments.models import Appointment
from booking.db import db, transaction
from booking.notices.models import PhoneCall, ProviderState, Receipt
from booking.outbox import Message
from booking.web import metrics
from tests import factory
from tests.faults.unguarded import without_references_and_checks
from tests.verbs.test_reserve import book


@pytest.fixture(autouse=True)
def nothing_kept():
    metrics._kept.clear()
    metrics._kept_letters.clear()


@pytest.fixture
def damaged(another_app):
    """An application whose database has lost a guard, and the visit that was damaged there."""
    app = another_app()
    with app.app_context():
        at = factory.clinic()
        opened = factory.open_session(at)
        row = book(at, opened, factory.person("李秋禾"))
        without_references_and_checks(
            "fk_taken_place_and_appointment_agree", "ck_appointment_active_holds_a_place"
        )
        with transaction() as session:
            session.execute(
                update(Appointment)
                .where(Appointment.id == row.id)
                .values(holds_place_id=None, status="fulfilled")
            )
        db.session.rollback()
    return app, at, row


def test_a_whole_database_passes(app, client):
    with app.app_context():
        at = factory.clinic()
        book(at, factory.open_session(at), factory.person())
    done = app.test_cli_runner().invoke(args=["doctor"])
    assert done.exit_code == 0 and "全部成立" in done.output
    assert done.output.count("✓") == len(INVARIANTS)
    answer = client.get("/metrics")
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    assert "booking_database_up 1" in answer.text
    assert answer.text.count("booking_invariant_broken_rows{") == len(INVARIANTS)
    assert not [line for line in answer.text.splitlines() if "rows{" in line and not line.endswith(" 0")]


def test_what_is_broken_is_named_by_ids_only(damaged):
    app, at, row = damaged
    done = app.test_cli_runner().invoke(args=["doctor", "--hospital", at.hospital.slug])
    assert done.exit_code == 1
    assert "✗ R2" in done.output and row.place_id.hex in done.output and "有问题" in done.output
    assert "✗ R13 预约的状态就是最后一步的结果" in done.output.replace("R13  ", "R13 ")
    assert "李秋禾" not in done.output and "李" not in done.output
    text = app.test_client().get("/metrics").text
    assert 'broken_rows{rule="R2",name="a taken place without its appointment"} 1' in text
    assert row.id.hex not in text
    lines = app.test_cli_runner().invoke(args=["doctor", "--json"]).output.splitlines()
    states = [json.loads(line)["state"] for line in lines]
    assert set(states) == {"holds", "broken"}


def test_what_takes_too_long_is_not_called_whole(app, monkeypatch):
    with app.app_context():
        factory.clinic()
    monkeypatch.setattr(metrics, "IN_ALL_SECONDS", 0.0)
    text = app.test_client().get("/metrics").text
    assert text.count("} NaN") == len(INVARIANTS)


def test_a_statement_is_cut_off_at_its_time(app):
    slow = (
        "SELECT pg_sleep(5)"
        if app.config["SQLALCHEMY_DATABASE_URI"].startswith("postgresql")
        else "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT max(i) FROM n"
    )
    broken = type(INVARIANTS[0])("R0", "slow", "慢", slow, "platform")
    with app.app_context():
        factory.clinic()
        from_slow = list(metrics.check_up(invariants=(broken, *INVARIANTS), seconds=0.2))
    assert from_slow[0].unread and from_slow[0].seconds < 3
    assert all(one.holds for one in from_slow[1:]), "the others are read in the same snapshot all the same"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        ("", {}, 200),
        ("", {"X-Forwarded-For": "192.0.2.1"}, 404),
        ("secret", {}, 404),
        ("secret", {"Authorization": "Bearer wrong"}, 404),
        ("secret", {"Authorization": "Bearer secret", "X-Forwarded-For": "192.0.2.1"}, 200),
    ],
)
def test_who_may_read(app, client, token, headers, status):
    app.config["METRICS_TOKEN"] = token
    assert client.get("/metrics", headers=headers).status_code == status


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_somebody_from_elsewhere_may_not(client):
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 404


SAMPLE = re.compile(r"""([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (NaN|-?[0-9.e+-]+)""")


def parsed(text):
    """Read the exposition format (0.0.4) strictly: each family once, HELP and TYPE before its samples, no series twice."""
    found, family, seen = {}, "", set()
    assert text.endswith("\n") and "\n\n" not in text
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in seen, family
            seen.add(family)
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {family} gauge"
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample and sample[1] == family, line
            assert (sample[1], sample[2]) not in found, line
            found[sample[1], sample[2]] = float(sample[3])
    return found


def test_the_letters_are_told_in_the_format_that_monitors_read(app, client):
    with app.app_context():
        at = factory.clinic()
        opened = factory.open_session(at)
        row = book(at, opened, factory.person("李秋禾"))
        forgotten = factory.booked(at, opened, factory.person(), slot=1)
        now = factory.now()
        with transaction() as session:
            late = now - timedelta(minutes=10)
            session.execute(
                update(Message)
                .where(
                    Message.appointment_id == row.id, Message.kind == "confirmed", Message.channel == "app"
                )
                .values(due_at=late, next_at=late)
            )
            session.execute(
                update(Message)
                .where(
                    Message.appointment_id == row.id, Message.kind == "confirmed", Message.channel == "sms"
                )
                .values(status="failed", repaired=True)
            )
            session.add(ProviderState(name='odd "one"', failures=3, rests_until=now + timedelta(minutes=2)))
            session.add(
                Receipt(
                    hospital_id=at.id,
                    provider="gateway",
                    event_id="1",
                    message_id=row.id,
                    said="delivered",
                    received_at=now,
                )
            )
            session.add(
                PhoneCall(
                    hospital_id=at.id,
                    appointment_id=forgotten.id,
                    message_id=row.id,
                    kind="stopped",
                    reason="failed",
                    created_at=now,
                )
            )
        db.session.rollback()
    said = parsed(client.get("/metrics").text)
    assert 600 <= said["booking_letters_oldest_due_seconds", None] < 700
    assert said["booking_letters_backlog", 'channel="app"'] == 1
    assert said["booking_letters_last_hour", 'channel="sms",state="failed"'] == 1
    assert said["booking_visits_without_letters", None] == 1
    assert said["booking_letters_repaired", None] == 1
    assert said["booking_provider_resting", 'provider="odd \\"one\\""'] == 1
    assert said["booking_provider_failures", 'provider="odd \\"one\\""'] == 3
    assert said["booking_receipts_last_hour", 'provider="gateway",said="delivered"'] == 1
    assert said["booking_calls_open", None] == 1


def test_the_letters_are_read_at_most_every_ten_seconds(app, client, monkeypatch):
    with app.app_context():
        at = factory.clinic()
        book(at, factory.open_session(at), factory.person())
    first = parsed(client.get("/metrics").text)
    with app.app_context(), transaction() as session:
        session.execute(update(Message).values(repaired=True))
    assert parsed(client.get("/metrics").text)["booking_letters_repaired", None] == 0
    monkeypatch.setattr(metrics, "LETTERS_FRESH_SECONDS", 0.0)
    assert (
        parsed(client.get("/metrics").text)["booking_letters_repaired", None]
        > first["booking_letters_repaired", None]
    )


def test_the_doctor_repairs_when_asked(app):
    with app.app_context():
        at = factory.clinic()
        row = book(at, factory.open_session(at), factory.person("李秋禾"))
        with transaction() as session:
            session.execute(delete(Message).where(Message.appointment_id == row.id))
    assert app.test_cli_runner().invoke(args=["doctor"]).exit_code == 1
    done = app.test_cli_runner().invoke(args=["doctor", "--repair", "--hospital", at.hospital.slug])
    assert done.exit_code == 0 and "1 个缺通知" in done.output and "全部成立" in done.output
    with app.app_context():
        assert db.session.scalar(select(func.count()).where(Message.repaired)) > 1
