"""Replies by short message: only the right phone with the right code does anything, once, under the rules of the pages."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from booking.appointments.desk_queries import day_list
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.move import move
from booking.clock import db_now
from booking.db import db, end_read, transaction
from booking.notices import replies
from booking.notices.callbacks import Word, signature
from booking.notices.models import Reply
from booking.notices.replies import answer_replies, keep_replies
from booking.notices.reply_rules import ANSWERS_PER_DAY, WRONG_PER_DAY, reply_code
from booking.notices.service import send_due
from booking.outbox import PLATFORM, Message
from booking.people.models import Account, Patient
from booking.staff.rules import Actor
from booking.vault import blind_index
from tests import factory, far_ends
from tests.invariants import broken
from tests.notices.posting import booked, letters, only, post

KEY = "callback-key-of-a-test-0123456789"
STRANGER = "+8613800130999"


def booker(row: Appointment) -> str:
    return db.session.get_one(Account, row.account_id).phone


def code(row: Appointment, phone: str) -> str:
    return reply_code(row.id, blind_index("phone", phone))


def wrong(row: Appointment, phone: str) -> str:
    return f"{(int(code(row, phone)) + 1) % 10000:04}"


def say(phone: str, text: str, event: str = "") -> str:
    """Let a phone write something; return what came of it."""
    end_read()
    event = event or f"e{time.monotonic_ns()}"
    keep_replies("gateway", [Word(event, phone, text)])
    answer_replies()
    end_read()
    return db.session.scalars(select(Reply.did).where(Reply.event_id == event)).one()


def now_is(row: Appointment) -> Appointment:
    found = end_read().get_one(Appointment, (row.hospital_id, row.id))
    db.session.expunge(found)
    return found


def verbs(row: Appointment) -> list[str]:
    found = select(AppointmentEvent.verb).where(AppointmentEvent.appointment_id == row.id)
    return list(db.session.scalars(found.order_by(AppointmentEvent.version)))


def answers() -> list[str]:
    return [letter.facts["word"] for letter in letters(kind="reply")]


def test_q_and_the_code_say_that_somebody_comes(within):
    (row,) = booked()
    post(row, "reminder_day", channels=("sms",))
    assert say(booker(row), f"Q{code(row, booker(row))}") == "coming"
    after = now_is(row)
    assert after.coming_at is not None and after.status == "booked" and after.version == row.version + 1
    assert verbs(row)[-1] == "confirm_coming" and not broken()
    assert answers() == ["coming"]
    told = {letter.kind for letter in letters() if letter.version == after.version}
    assert "confirmed" not in told and "coming" not in told, "nobody hears of it by another letter"
    assert only(kind="reminder_day", version=row.version).status == "superseded"


def test_reminders_to_come_go_on_after_the_word(within):
    clinic = factory.clinic()
    opened = factory.open_session(clinic, on=factory.now().date() + timedelta(days=3))
    row = factory.booked(clinic, opened, factory.person())
    post(row, "reminder_day", channels=("app", "sms"), due_in=timedelta(days=2))
    say(booker(row), f"Q{code(row, booker(row))}")
    waiting = {(one.kind, one.channel) for one in letters(status="waiting") if one.kind != "reply"}
    assert {("reminder_day", "app"), ("reminder_day", "sms"), ("reminder_hours", "sms")} <= waiting
    assert say(booker(row), f"Q{code(row, booker(row))}") == "coming", (
        "a repeat is answered and changes nothing"
    )
    assert now_is(row).version == row.version + 1


def test_t_and_the_code_cancel_by_the_rules_of_the_pages(within):
    (row,) = booked()
    assert say(booker(row), f"T{code(row, booker(row))}") == "cancelled"
    after = now_is(row)
    assert (after.status, after.cancelled_by, after.holds_place_id) == ("cancelled", "patient", None)
    event = db.session.scalars(select(AppointmentEvent).where(AppointmentEvent.verb == "cancel")).one()
    assert (event.actor_kind, event.actor_id) == ("account", str(row.account_id))
    assert answers() == [] and {one.kind for one in letters()} == {"cancelled"}, (
        "cancelling has a letter of its own"
    )
    assert say(booker(row), f"T{code(row, booker(row))}") == "over"
    assert say(booker(row), f"Q{code(row, booker(row))}") == "over"
    assert answers() == ["over", "over"] and not broken()


def test_the_patients_own_phone_answers_too_with_its_own_code(within):
    (row,) = booked(own_phone="+8613800130555")
    assert code(row, booker(row)) != code(row, "+8613800130555")
    assert say("+8613800130555", f"T{code(row, booker(row))}") == "wrong"
    assert now_is(row).status == "booked"
    assert say("+8613800130555", f"T{code(row, '+8613800130555')}") == "cancelled"
    event = db.session.scalars(select(AppointmentEvent).where(AppointmentEvent.verb == "cancel")).one()
    assert event.actor_kind == "code" and now_is(row).cancelled_by == "patient"


def test_a_code_from_another_phone_is_worth_nothing(within):
    mine, other = booked(2)
    for text in (f"Q{code(mine, booker(mine))}", f"T{code(mine, booker(mine))}"):
        assert say(booker(other), text) == "wrong"
        assert say(STRANGER, text) == "unknown"
    for row in (mine, other):
        after = now_is(row)
        assert (after.status, after.version, after.coming_at) == ("booked", row.version, None)
    assert answers() == ["wrong", "wrong"], "a phone that nobody here has gets no answer"


def test_a_late_cancel_is_recorded_as_late_and_after_the_start_refused(within, now):
    soon, later = booked(2)
    with transaction() as session:
        session.execute(update(Appointment).values(booked_at=db_now(session) - timedelta(days=3)))
    now.at(now_is(soon).starts_at - timedelta(minutes=20))
    assert say(booker(soon), f"T{code(soon, booker(soon))}") == "cancelled"
    assert now_is(soon).cancelled_late
    now.at(now_is(later).starts_at + timedelta(minutes=1))
    assert say(booker(later), f"T{code(later, booker(later))}") == "refused"
    assert say(booker(later), f"Q{code(later, booker(later))}") == "refused"
    after = now_is(later)
    assert after.status == "booked" and after.coming_at is None
    assert "就诊时间已经开始" in letters(kind="reply")[0].facts["reason"]


def test_after_some_wrong_codes_a_phone_is_not_listened_to_for_a_day(within, now):
    (row,) = booked()
    with transaction() as session:
        session.execute(update(Appointment).values(starts_at=db_now(session) + timedelta(days=9)))
    phone = booker(row)
    said = [say(phone, f"T{wrong(row, phone)}") for _ in range(WRONG_PER_DAY)]
    assert said == ["wrong"] * (WRONG_PER_DAY - 1) + ["last"]
    assert say(phone, f"T{code(row, phone)}") == "blocked", "not even the right one"
    assert now_is(row).status == "booked"
    assert answers() == said, "and nobody is answered who only guesses on"
    now.shift(hours=25)
    assert say(phone, f"T{code(row, phone)}") == "cancelled"


def test_td_switches_reminders_off_for_that_phone_only(within):
    (row,) = booked(own_phone="+8613800130556")
    assert say("+8613800130556", "TD") == "stopped"
    assert not db.session.get_one(Patient, row.patient_id).reminders_on
    assert db.session.get_one(Account, row.account_id).quiet_channels == []
    assert say(booker(row), "退订") == "stopped"
    assert say(booker(row), "退订") == "stopped"
    account = db.session.get_one(Account, row.account_id)
    assert (account.quiet_channels, account.reminders_on) == (["sms"], True)
    assert answers() == ["stopped"] * 3 and verbs(row) == ["confirm"]


def test_the_same_event_does_once(within):
    (row,) = booked()
    phone = booker(row)
    word = Word("one", phone, f"Q{code(row, phone)}")
    assert keep_replies("gateway", [word, word]) == 1
    assert answer_replies() == 1
    assert keep_replies("gateway", [word]) == 0 and answer_replies() == 0
    assert verbs(row).count("confirm_coming") == 1 and answers() == ["coming"]


@pytest.mark.parametrize("verb", ["Q", "T"])
def test_a_reply_whose_answer_was_not_written_is_taken_up_again(within, verb):
    """The process died between doing and noting it down: doing it again does nothing more, and the answer is put."""
    (row,) = booked()
    phone = booker(row)
    keep_replies("gateway", [Word("one", phone, f"{verb}{code(row, phone)}")])
    reply = db.session.scalars(select(Reply)).one()
    replies._act(db.session(), reply, replies._owner(db.session(), reply.phone_hash))
    assert answer_replies() == 1
    assert verbs(row)[1:] == [{"Q": "confirm_coming", "T": "cancel"}[verb]]
    assert answers() == ({"Q": ["coming"], "T": []})[verb]
    assert answer_replies() == 0


def test_what_nobody_understands_changes_nothing_and_is_answered_once(within):
    (row,) = booked()
    for text in ("谢谢", "好的", "Q1234 T1234"):
        assert say(booker(row), text) == "unclear"
    assert answers() == ["unclear"] and verbs(row) == ["confirm"]


def test_two_machines_do_not_talk_for_ever(within):
    (row,) = booked()
    for _ in range(ANSWERS_PER_DAY + 3):
        say(booker(row), f"Q{code(row, booker(row))}")
    assert len(answers()) == ANSWERS_PER_DAY


def test_moving_takes_the_word_back(within):
    clinic = factory.clinic()
    opened = factory.open_session(clinic)
    who = factory.person()
    row = factory.booked(clinic, opened, who)
    say(booker(row), f"Q{code(row, booker(row))}")
    actor = Actor("account", str(row.account_id), account_id=row.account_id)
    move(row.hospital_id, row.id, opened.slots[1].id, actor=actor)
    assert now_is(row).coming_at is None


def test_the_desk_sees_who_said_that_they_come(within):
    row, other = booked(2)
    say(booker(row), f"Q{code(row, booker(row))}")
    lines = {line.id: line.coming for line in day_list(row.hospital_id, row.visit_date)}
    assert lines == {row.id: True, other.id: False}


def test_answers_leave_as_short_messages_to_the_phone_that_wrote(app, within):
    (row,) = booked()
    phone = booker(row)
    with far_ends.sms_gateway() as gateway:
        app.config.update(SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="k")
        say(phone, f"Q{code(row, phone)}")
        say(phone, f"T{wrong(row, phone)}")
        send_due("test")
        said = {call["to"]: call["text"] for call in gateway.calls if "没有找到" in call["text"]}
        assert set(said) == {phone} and "什么也没有改变" in said[phone]
        assert any("已确认" in call["text"] for call in gateway.calls)
    assert {letter.status for letter in letters(kind="reply")} == {"accepted"}
    assert {letter.hospital_id for letter in letters(kind="reply")} == {PLATFORM, row.hospital_id}


def test_a_reminder_says_how_to_answer_and_the_answer_works(app, within):
    (row,) = booked(own_phone="+8613800130557")
    with far_ends.sms_gateway() as gateway:
        app.config.update(SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="k", SMS_REPLIES=True)
        for recipient in ("account", "patient"):
            post(row, "reminder_day", channels=("sms",), recipient=recipient)
        send_due("test")
        texts = {call["to"]: call["text"] for call in gateway.calls}
    assert set(texts) == {booker(row), "+8613800130557"}
    codes = {phone: re.search(r"T(\d{4})", text)[1] for phone, text in texts.items()}
    assert say(booker(row), f"Q{codes[booker(row)]}") == "coming"
    assert say("+8613800130557", f"T{codes['+8613800130557']}") == "cancelled"


def test_after_td_no_reminder_goes_to_that_phone_but_a_cancellation_does(app, within):
    (row,) = booked()
    with far_ends.sms_gateway() as gateway:
        app.config.update(SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="k", SMS_REPLIES=True)
        say(booker(row), "TD")
        post(row, "reminder_day", channels=("sms",))
        send_due("test")
        assert only(kind="reminder_day").status == "suppressed"
        say(booker(row), f"T{code(row, booker(row))}")
        send_due("test")
    assert only(kind="cancelled", channel="sms").status == "accepted"


def test_replies_are_kept_sealed_and_go_after_a_month(within, now):
    (row,) = booked()
    say(booker(row), "谢谢")
    raw = db.session.execute(select(Reply.__table__.c.said).select_from(Reply.__table__))
    assert raw.scalar() == "谢谢"
    assert db.session.connection().exec_driver_sql("SELECT said FROM reply").scalar().startswith("aesgcm.")
    assert replies.remove_old() == 0
    now.shift(days=31)
    assert replies.remove_old() == 1


# --- the door --------------------------------------------------------------------------------------------------------


@pytest.fixture
def door(app, client):
    app.config.update(SMS_CALLBACK_KEY=KEY, SMS_REPLIES=True)

    def call(items, key=KEY):
        body, at = json.dumps(items).encode(), str(int(time.time()))
        headers = {"X-Timestamp": at, "X-Signature": signature(key, at, body)}
        return client.post("/replies/gateway", data=body, headers=headers)

    return call


def test_a_signed_reply_is_acted_on_at_once_and_once(within, door):
    (row,) = booked()
    item = {"event": "r1", "from": booker(row), "text": f"T{code(row, booker(row))}"}
    answer = door([item])
    assert (answer.status_code, answer.json) == (200, {"kept": 1})
    assert now_is(row).status == "cancelled"
    assert door([item]).json == {"kept": 0}
    assert verbs(row).count("cancel") == 1


def test_an_unsigned_reply_changes_nothing(within, door, client):
    (row,) = booked()
    item = {"event": "r1", "from": booker(row), "text": f"T{code(row, booker(row))}"}
    assert door([item], key="x" * 32).status_code == 401
    assert client.get("/replies/gateway").status_code == 405
    assert now_is(row).status == "booked" and db.session.scalars(select(Reply)).all() == []
    assert db.session.scalars(select(Message)).all() == []


def test_without_the_setting_there_is_no_such_door(within, door, app):
    app.config["SMS_REPLIES"] = False
    assert door([]).status_code == 404
