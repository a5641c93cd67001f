"""Letters on their way: real far ends, and what each kind of trouble does to a letter."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import icalendar
import pytest
from sqlalchemy import text, update

import config
from booking.claims import claim_due
from booking.db import Model, db, transaction
from booking.notices import queries, service
from booking.notices.carriers import FAILURES_TO_REST
from booking.notices.models import DemoLetter
from booking.notices.senders import mail
from booking.notices.senders.choose import providers
from booking.notices.senders.demo import demo_page
from booking.notices.senders.provider import Outgoing, Rendered, Temporary
from booking.notices.service import mark_read, send_due
from booking.outbox import reference
from booking.people.models import Account, Patient
from booking.vault import short_code
from tests import far_ends, servers
from tests.notices.posting import booked, change, letters, only, post, post_code, states


@pytest.fixture
def gateway(app):
    with far_ends.sms_gateway() as gateway:
        app.config.update(
            SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="key-of-a-test", SEND_TIMEOUT_SECONDS=1
        )
        yield gateway


@pytest.fixture
def mailbox(app):
    with far_ends.mail_server(servers.free_port()) as mailbox:
        app.config.update(
            SMTP_URL=mailbox.url, MAIL_FROM="青梧就医 <noreply@example.org>", SEND_TIMEOUT_SECONDS=2
        )
        yield mailbox


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_an_in_app_letter_is_delivered_by_being_stored(within):
    (row,) = booked()
    post(row, channels=("app",))
    assert send_due() == 1
    letter = only()
    assert (letter.status, letter.attempts, letter.lease_until) == ("delivered", 1, None)
    assert letter.sent_at is not None
    (shown,) = queries.messages_of(row.account_id)
    assert shown.title.startswith("预约成功：")
    assert shown.appointment_ref == f"{row.hospital_id}-{row.id.hex}"
    assert "就诊人：李*" in shown.lines
    assert shown.unread and queries.unread_of(row.account_id) == 1
    assert mark_read(row.account_id) == 1
    assert mark_read(row.account_id) == 0
    assert not queries.messages_of(row.account_id)[0].unread


def test_the_stored_text_is_sealed(within):
    (row,) = booked()
    post(row, channels=("app",))
    send_due()
    stored = db.session.execute(text("SELECT subject, body FROM message")).one()
    assert all(column.startswith("aesgcm.") for column in stored)


def test_an_sms_leaves_signed_and_under_its_reference(within, gateway):
    (row,) = booked(own_phone="+8613800139001")
    post(row, channels=("sms",))
    post(row, channels=("sms",), recipient="patient")
    assert send_due() == 2
    booker, patient = letters()
    assert {booker.status, patient.status} == {"accepted"}
    assert booker.subject is None and booker.body is None
    assert {call["to"] for call in gateway.calls} == {
        db.session.get(Account, row.account_id).phone,
        "+8613800139001",
    }
    for call in gateway.calls:
        headers = call["headers"]
        signed = f"{headers['X-Timestamp']}.{headers['X-Nonce']}.".encode() + call["raw"]
        mac = hmac.new(b"key-of-a-test", signed, hashlib.sha256)
        assert headers["X-Signature"] == f"sha256={mac.hexdigest()}"
        assert call["text"].startswith("【青梧就医】")
    assert {call["reference"] for call in gateway.calls} == {reference(booker), reference(patient)}
    assert booker.provider_ref.startswith("g-")


def test_an_email_arrives_with_its_calendar_entry(within, mailbox):
    (row,) = booked(email="li@example.org")
    post(row, channels=("email",))
    assert send_due() == 1
    ((to, letter),) = mailbox.letters
    assert to == ["li@example.org"]
    assert letter["Message-ID"] == f"<{reference(only())}@example.org>"
    (attached,) = [part for part in letter.walk() if part.get_content_type() == "application/ics"]
    (event,) = icalendar.Calendar.from_ical(attached.get_payload(decode=True)).walk("VEVENT")
    assert event["DTSTART"].dt == row.starts_at
    assert event["SEQUENCE"] == row.version
    body = letter.get_body(("plain",)).get_content()
    assert "预约码：1000 0000" in body and "李秋禾" not in body


def test_a_code_is_derived_when_it_is_sent_and_kept_nowhere(within, gateway):
    code = post_code()
    digits = short_code(code.salt)
    assert send_due() == 1
    (call,) = gateway.calls
    assert call["text"] == f"【青梧就医】验证码 {digits}，5 分钟内有效。不要告诉任何人。"
    assert call["to"] == "+8613800130777"
    db.session.rollback()
    for table in Model.metadata.sorted_tables:
        for stored in db.session.execute(table.select()).mappings():
            assert digits not in [str(value) for value in stored.values()], table.name
            assert not any("验证码" in str(value) for value in stored.values()), table.name


def test_the_text_shows_the_rows_as_they_are_when_it_is_written(within, gateway):
    (row,) = booked()
    post(row, channels=("sms",))
    with transaction() as session:
        session.execute(text("UPDATE clinic_session SET room = '517 诊室'"))
    send_due()
    assert "517 诊室" in gateway.calls[0]["text"]


def test_a_second_run_sends_nothing_twice(within, gateway):
    for row in booked(3):
        post(row)
    assert send_due() == 6
    assert send_due() == 0
    assert set(gateway.times().values()) == {1}


def test_no_database_connection_is_held_while_a_provider_is_asked(within, gateway):
    (row,) = booked()
    post(row, channels=("sms",))
    pool, held = db.engine.pool, []
    gateway.on_call = lambda: held.append(pool.checkedout())
    send_due()
    assert held == [0]


# --- trouble at the far end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["500", "401", "slow", "drop"])
def test_trouble_that_may_pass_is_tried_again_under_the_same_reference(within, gateway, now, mode):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode = mode
    assert send_due() == 0
    letter = only()
    assert letter.status == "waiting" and letter.attempts >= 1 and letter.last_error
    gateway.mode = "ok"
    now.shift(seconds=40)
    assert send_due() == 1
    assert only().status == "accepted"
    assert set(gateway.times()) == set(gateway.phones) == {reference(letter)}


def test_the_steps_between_tries_grow_and_end(within, gateway, now):
    (row,) = booked()
    post(row, channels=("sms",), lives=timedelta(hours=47))
    gateway.mode = "500"
    send_due()
    assert only().attempts == 2, "the first repeat comes at once"
    waits = []
    while only().status == "waiting":
        letter = only()
        waits.append((letter.next_at - now()).total_seconds())
        now.at(letter.next_at + timedelta(seconds=1))
        send_due()
    for wait, step in zip(waits, [5, 30, 120, 300, 600, 900, 900], strict=False):
        assert step * 0.7 < wait <= step * 1.2
    assert only().status == "failed"
    assert timedelta(hours=23) < now() - only().due_at <= timedelta(hours=24, minutes=1)
    assert len(gateway.calls) == only().attempts


def test_a_provider_that_asks_to_wait_is_given_the_time(within, gateway, now):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode, gateway.retry_after = "429", "600"
    send_due()
    assert 590 < (only().next_at - now()).total_seconds() <= 600
    gateway.mode = "ok"
    now.shift(seconds=580)
    assert send_due() == 0
    now.shift(seconds=25)
    assert send_due() == 1


def test_a_refusal_for_good_is_not_repeated(within, gateway, now):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode = "400"
    assert send_due() == 0
    assert (only().status, only().attempts) == ("failed", 1)
    now.shift(hours=1)
    send_due()
    assert len(gateway.calls) == 1


def test_an_answer_nobody_can_read_may_be_an_acceptance_and_is_asked_again(within, gateway, now):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode = "odd"
    assert send_due() == 0
    assert only().status == "waiting" and "nobody can read" in only().last_error
    gateway.mode = "ok"
    now.shift(seconds=40)
    assert send_due() == 1
    assert set(gateway.deliveries.values()) == {1}


def test_an_error_told_with_200_is_no_acceptance(within, gateway):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode = "error"
    assert send_due() == 0
    assert only().status == "waiting" and "come back later" in only().last_error


def test_an_acceptance_with_a_name_no_database_keeps_is_an_acceptance(within, gateway):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode = "unkept"
    assert send_due() == 1
    assert (only().status, only().provider_ref) == ("accepted", "g-7")


def test_a_gateway_that_is_away_is_trouble_that_may_pass(app, within):
    app.config.update(SMS_GATEWAY_URL=f"http://127.0.0.1:{servers.free_port()}/", SEND_TIMEOUT_SECONDS=1)
    (row,) = booked()
    post(row, channels=("sms",))
    assert send_due() == 0
    assert only().status == "waiting"


def test_a_provider_that_is_away_is_asked_a_few_times_and_the_other_channels_go_on(within, gateway, now):
    rows = booked(12)
    for row in rows:
        post(row)
    gateway.mode = "slow"
    assert send_due() == 12
    assert states(channel="app") == {"delivered": 12}
    assert 0 < len(gateway.calls) <= 12 * FAILURES_TO_REST
    gateway.mode = "ok"
    now.shift(seconds=10)
    assert send_due() == 12
    assert len(gateway.phones) == 12


@pytest.mark.parametrize(
    ("answer", "ends"), [("550 no such box", "failed"), ("451 later", "waiting"), ("452 full", "waiting")]
)
@pytest.mark.parametrize("where", ["rcpt_answer", "data_answer"])
def test_a_mail_servers_refusal_is_for_good_or_for_now(within, mailbox, now, where, answer, ends):
    (row,) = booked(email="li@example.org")
    post(row, channels=("email",))
    setattr(mailbox, where, answer)
    assert send_due() == 0
    assert only().status == ends
    assert "li@" not in only().last_error
    setattr(mailbox, where, "")
    now.shift(seconds=30)
    assert send_due() == (ends == "waiting")
    assert len(mailbox.letters) == (ends == "waiting")


@pytest.mark.parametrize("user", ["us%40er:secret@", ""])
def test_nothing_is_told_openly_to_another_machines_mail_server(monkeypatch, mailbox, user):
    port = mailbox.url.rpartition(":")[2]
    settings = {
        "SMTP_URL": f"smtp://{user}mail.invalid:{port}",
        "MAIL_FROM": "a@example.org",
        "SEND_TIMEOUT_SECONDS": 2,
        "DEMO": False,
    }
    real = mail.smtplib.SMTP
    monkeypatch.setattr(
        mail.smtplib, "SMTP", lambda host, port, timeout: real("127.0.0.1", port, timeout=timeout)
    )
    (said,) = mail.mail_server(settings).send([Outgoing("li@example.org", Rendered("s", "t"), "r")])
    assert isinstance(said, Temporary) and "STARTTLS" in said.why
    assert mailbox.letters == []


# --- one bad letter --------------------------------------------------------------------------------------------------


def test_a_letter_that_cannot_be_written_stops_nobody_else(within, gateway, caplog):
    bad, *good = booked(4)
    post(bad, "moved", facts={"from": {"visit_date": "李秋禾"}}, channels=("sms",))
    for row in good:
        post(row, channels=("sms",))
    with caplog.at_level(logging.DEBUG):
        assert send_due() == 3
    assert states() == {"accepted": 3, "waiting": 1}
    assert only(status="waiting").last_error.startswith("not written: ValueError")
    assert "李秋禾" not in caplog.text


def test_a_letter_of_a_kind_without_text_ends(within):
    (row,) = booked()
    post(row, "riddle", channels=("app",))
    with transaction() as session:
        session.execute(text("UPDATE message SET kind = 'riddle'"))
    send_due()
    assert only().status == "suppressed"


def test_no_log_names_a_person_a_number_or_a_code(within, gateway, caplog):
    code = post_code()
    (row,) = booked(email="li@example.org")
    post(row, channels=("app", "sms", "email"))
    with caplog.at_level(logging.DEBUG):
        send_due()
    for secret in (short_code(code.salt), "13800130777", "李", "li@example.org", "10000000", "1000 0000"):
        assert secret not in caplog.text


# --- who gets none ---------------------------------------------------------------------------------------------------


def test_who_has_no_address_gets_none_and_the_row_says_so(within):
    (row,) = booked()
    post(row, channels=("email",))
    post(row, channels=("sms",), recipient="patient")
    assert send_due() == 0
    assert sorted((letter.status, letter.last_error) for letter in letters()) == [
        ("suppressed", "no phone number"),
        ("suppressed", "no verified e-mail address"),
    ]


def test_one_phone_gets_one_letter(within, gateway):
    (row,) = booked()
    with transaction() as session:
        phone = session.get(Account, row.account_id).phone
        session.execute(update(Patient).where(Patient.id == row.patient_id).values(phone=phone))
    post(row, channels=("sms",))
    post(row, channels=("sms",), recipient="patient")
    assert send_due() == 1
    assert only(recipient="patient").last_error == "the booker has the same number"


@pytest.mark.parametrize("kind", ["reminder_day", "reminder_hours"])
def test_reminders_switched_off_after_booking_are_not_sent(within, gateway, kind):
    (row,) = booked()
    post(row, kind, channels=("sms",))
    with transaction() as session:
        session.execute(update(Account).values(reminders_on=False))
    post(row, "confirmed", channels=("sms",))
    assert send_due() == 1
    assert only(kind=kind).status == "suppressed"
    assert only(kind="confirmed").status == "accepted"


def test_the_address_is_the_one_verified_when_it_is_sent(within, gateway):
    (row,) = booked()
    post(row, channels=("sms",))
    with transaction() as session:
        session.execute(update(Account).values(phone="+8613800138888"))
    send_due()
    assert gateway.calls[0]["to"] == "+8613800138888"


# --- cancelled in between --------------------------------------------------------------------------------------------


def test_a_cancel_before_the_claim_leaves_only_the_cancellation(within, gateway):
    (row,) = booked()
    post(row, channels=("sms",))
    change(row, status="cancelled")
    post(row, "cancelled", channels=("sms",), version=2, facts={"by": "patient"})
    assert send_due() == 1
    (call,) = gateway.calls
    assert "预约人或就诊人要求" in call["text"]
    assert states() == {"superseded": 1, "accepted": 1}


def test_a_cancel_between_claim_and_writing_is_noticed_too(within, gateway, monkeypatch):
    (row,) = booked()
    post(row, channels=("sms",))

    def claim_while_cancelled(*which, **how):
        claimed = claim_due(*which, **how)
        change(row, status="cancelled")
        return claimed

    monkeypatch.setattr(service, "claim_due", claim_while_cancelled)
    assert send_due() == 0
    assert gateway.calls == []
    assert only().status == "superseded"


# --- several workers -------------------------------------------------------------------------------------------------


def test_two_workers_at_once_send_each_letter_once(app, within, gateway):
    for row in booked(30):
        post(row)
    start = threading.Barrier(2)

    def work(name):
        with app.app_context():
            start.wait()
            return send_due(name)

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, ("one", "two"))) == 60
    assert set(gateway.times().values()) == {1}
    assert len(gateway.calls) == 30
    assert states() == {"delivered": 30, "accepted": 30}


# --- which sender ----------------------------------------------------------------------------------------------------


REAL = {
    **vars(config.Testing()),
    "DEMO": False,
    "SMS_GATEWAY_URL": "http://127.0.0.1:9/",
    "SMS_GATEWAY_KEY": "k",
    "SMTP_URL": "smtp://127.0.0.1:9",
    "MAIL_FROM": "a@example.org",
    "SEND_TIMEOUT_SECONDS": 1,
}
NONE = {"SMS_GATEWAY_URL": "", "SMTP_URL": ""}


@pytest.mark.parametrize(
    ("settings", "carried_by"),
    [
        (REAL, {"app": ["app"], "webhook": ["webhook"], "sms": ["gateway"], "email": ["smtp"]}),
        (
            REAL | {"DEMO": True},
            {"app": ["app"], "webhook": ["webhook"], "sms": ["gateway"], "email": ["smtp"]},
        ),
        (REAL | NONE, {"app": ["app"], "webhook": ["webhook"]}),
        (
            REAL | NONE | {"DEMO": True},
            {"app": ["app"], "webhook": ["webhook"], "sms": ["demo"], "email": ["demo"]},
        ),
    ],
)
def test_who_carries_which_channel(settings, carried_by):
    with ExitStack() as open_until:
        chosen = providers(settings, open_until)
    assert {channel: [one.name for one in carriers] for channel, carriers in chosen.items()} == carried_by
    assert all(one.channel == channel for channel, carriers in chosen.items() for one in carriers)


def test_the_demo_sender_refuses_to_be_used_outside_the_demo():
    with pytest.raises(RuntimeError):
        demo_page("sms", REAL)


def test_without_a_mail_server_production_says_that_no_email_went(app, within):
    app.config.update(REAL | {"SMTP_URL": ""})
    (row,) = booked(email="li@example.org")
    post(row, channels=("email",))
    assert send_due() == 0
    assert (only().status, only().last_error) == ("suppressed", "no email provider is set")


def test_the_demo_shows_what_would_have_left_once_per_letter(within, now):
    (row,) = booked(email="li@example.org")
    post(row, channels=("app", "sms", "email"))
    post(row, "reminder_day", channels=("sms",), due_in=timedelta(hours=5))
    assert send_due() == 3
    with transaction() as session:
        session.execute(text("UPDATE message SET status = 'waiting' WHERE status = 'accepted'"))
    now.shift(seconds=61)
    assert send_due() == 2  # as after a crash between sending and settling
    assert db.session.query(DemoLetter).count() == 2
    waiting, *shown = queries.demo_letters()
    assert (waiting.kind, waiting.text, waiting.status_label) == ("reminder_day", "", "等待发送")
    assert {(letter.channel, letter.kind) for letter in shown} == {
        ("sms", "confirmed"),
        ("email", "confirmed"),
    }
    assert all(letter.text and "***" in letter.to_masked for letter in shown)


def test_the_ledger_tells_what_became_of_the_letters_about_a_visit(within):
    (row,) = booked()
    post(row, channels=("app", "sms", "email"))
    post(row, "reminder_day", channels=("sms",), due_in=timedelta(hours=5))
    send_due()
    told = queries.messages_about(row.hospital_id, [row.id])[row.id]
    assert {(one.kind, one.channel, one.status_label, one.tone) for one in told} == {
        ("confirmed", "app", "已送达", "ok"),
        ("confirmed", "sms", "已发出", "ok"),
        ("confirmed", "email", "没有发送", "off"),
        ("reminder_day", "sms", "等待发送", "warn"),
    }
