"""The call list: whom no letter reached is on it once, until somebody rang or a receipt came after all."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from sqlalchemy import select, update

from booking.appointments.answer_offer import accept_offer, decline_offer
from booking.appointments.cancel import cancel
from booking.appointments.expire import sweep_holds
from booking.appointments.models import Appointment
from booking.appointments.move import move
from booking.appointments.offers import offer_places
from booking.appointments.stop import stop_session
from booking.clock import local, utc
from booking.db import db, transaction
from booking.errors import BadInput, NotAllowed, NotFound
from booking.notices.call_queries import calls, calls_about, calls_open
from booking.notices.calls import list_calls
from booking.notices.models import PhoneCall, ProviderState
from booking.notices.service import send_due
from booking.notices.tick_off import CallDone, tick_off
from booking.outbox import Letter, Message, put
from booking.staff.models import AuditEvent
from booking.staff.rules import Actor
from tests import factory
from tests.verbs.test_reserve import as_account, book
from tests.verbs.test_wishes import full, give_back, offers_of, wait

pytestmark = pytest.mark.usefixtures("within")


def staff(at, role="desk"):
    return Actor(role, "0" * 32, "何予", hospital_id=at.id)


def a_visit(**session):
    at = factory.clinic()
    opened = factory.open_session(at, **session)
    who = factory.person("赵安宁")
    return at, opened, who, book(at, opened, who)


def ended(row, status, *, channel="sms", **columns):
    """Let the newest letters of a visit over one channel end like this."""
    with transaction() as session:
        session.execute(
            update(Message)
            .where(
                Message.appointment_id == row.id,
                Message.channel == channel,
                Message.status.in_(("waiting", "accepted", "failed")),
            )
            .values(status=status, lease_until=None, next_at=factory.now(), **columns)
        )


def in_the_morning(now):
    """Let it be ten in the morning at the clinic, so that the day is not over before the test is."""
    tomorrow = local(factory.now(), "Asia/Shanghai").date() + timedelta(days=1)
    now.at(utc(tomorrow, time(10), "Asia/Shanghai"))


def open_calls(at):
    db.session.rollback()
    return db.session.scalars(
        select(PhoneCall).where(PhoneCall.hospital_id == at.id, PhoneCall.done_at.is_(None))
    ).all()


def stopped(at, opened):
    stop_session(at.id, opened.id, actor=staff(at, "scheduler"), reason="外出会诊")


@pytest.mark.parametrize("status", ["failed", "expired", "suppressed"])
def test_a_stop_that_reached_no_phone_is_for_the_telephone_once(status):
    at, opened, _who, row = a_visit()
    stopped(at, opened)
    assert list_calls().opened == 0, "it is still on its way"
    ended(row, status)
    assert list_calls().opened == 1
    assert list_calls() == type(list_calls())(0, 0), "a repeat changes nothing"
    (call,) = open_calls(at)
    assert (call.appointment_id, call.kind, call.reason, call.tries) == (row.id, "stopped", "failed", 0)
    letter = db.session.get(Message, (at.id, call.message_id))
    assert (letter.kind, letter.channel) == ("stopped", "sms")


def test_one_phone_that_was_reached_is_enough():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person("赵安宁", own_phone=factory.invented_phone())
    row = book(at, opened, who)
    stopped(at, opened)
    with transaction() as session:
        for recipient, status in (("account", "failed"), ("patient", "accepted")):
            session.execute(
                update(Message)
                .where(Message.appointment_id == row.id, Message.kind == "stopped", Message.channel == "sms")
                .where(Message.recipient == recipient)
                .values(status=status, next_at=factory.now(), sent_at=factory.now())
            )
    assert list_calls().opened == 0


def test_what_the_patient_did_needs_no_call_what_the_desk_did_does():
    at = factory.clinic()
    opened = factory.open_session(at)
    one, other = factory.person("赵安宁"), factory.person("钱多多")
    by_patient, by_desk = book(at, opened, one), book(at, opened, other, slot=1, holder="g")
    cancel(at.id, by_patient.id, actor=as_account(one))
    cancel(at.id, by_desk.id, actor=staff(at))
    for row in (by_patient, by_desk):
        ended(row, "failed")
    assert list_calls().opened == 1
    assert [call.appointment_id for call in open_calls(at)] == [by_desk.id]


def test_within_a_day_those_nobody_tried_come_first():
    at, opened, _who, first = a_visit()
    later = book(at, opened, factory.person("钱多多"), slot=1, holder="g")
    next_day = factory.open_session(at, opened.session.local_date + timedelta(days=1), room="2 诊室")
    last = book(at, next_day, factory.person("孙小满"), holder="h")
    stopped(at, opened)
    stopped(at, next_day)
    for row in (first, later, last):
        ended(row, "failed")
    list_calls()
    assert [one.appointment_id for one in calls(at.id)] == [first.id, later.id, last.id]
    (call,) = [one for one in open_calls(at) if one.appointment_id == first.id]
    tick_off(at.id, call.id, actor=staff(at), outcome="no_answer", tries=0)
    assert [one.appointment_id for one in calls(at.id)] == [later.id, first.id, last.id]
    assert [one.appointment_id for one in calls(at.id, limit=2)] == [later.id, first.id]
    assert calls_open(at.id) == 3


def test_a_move_by_the_desk_that_failed_is_listed_until_the_visit_changes_again():
    at, opened, who, row = a_visit()
    move(at.id, row.id, opened.slots[1].id, actor=staff(at))
    ended(row, "failed")
    assert list_calls().opened == 1
    move(at.id, row.id, opened.slots[2].id, actor=as_account(who))
    assert (list_calls().opened, list_calls().closed) == (0, 0)
    assert open_calls(at) == []
    assert calls_about(at.id, [row.id]) == {row.id: "not_needed"}


def test_silence_after_a_stop_counts_only_from_a_provider_that_gives_receipts(now, receipts):
    at, opened, _who, row = a_visit()
    stopped(at, opened)
    ended(row, "accepted", provider="gateway", sent_at=factory.now())
    minutes = at.policy.call_after_minutes
    now.shift(minutes=minutes + 1)
    assert list_calls().opened == 0, "nobody said that this provider gives receipts"
    receipts(["gateway"])
    now.shift(minutes=-2)
    assert list_calls().opened == 0, "too early"
    now.shift(minutes=2)
    assert list_calls().opened == 1
    assert open_calls(at)[0].reason == "no_receipt"
    ended(row, "delivered", delivered_at=factory.now())
    assert list_calls().closed == 1
    assert open_calls(at) == []
    assert list_calls().opened == 0, "it does not come back"


def test_a_change_without_receipt_is_listed_only_on_the_day_of_the_visit(now, receipts):
    receipts(["gateway"])
    at = factory.clinic()
    in_the_morning(now)
    today = local(factory.now(), at.hospital.zone).date()
    rows = []
    for number, day in enumerate((today, today + timedelta(days=3))):
        opened = factory.open_session(at, day, starts=time(23, 0), ends=time(23, 59), slot_minutes=59)
        who = factory.person(f"赵安{'宁静'[number]}")
        rows.append(factory.booked(at, opened, who, visit_code=f"1000000{number}"))
        cancel(at.id, rows[-1].id, actor=staff(at))
        ended(rows[-1], "accepted", provider="gateway", sent_at=factory.now())
    now.shift(minutes=at.policy.call_after_minutes + 1)
    assert list_calls().opened == 1
    assert [call.appointment_id for call in open_calls(at)] == [rows[0].id]


def test_a_voice_call_that_was_placed_is_no_answer(now, receipts):
    receipts(["gateway"])
    at, opened, who, row = a_visit()
    stopped(at, opened)
    ended(row, "accepted", provider="gateway", sent_at=factory.now())
    with transaction() as session:
        voice = Letter(
            "stopped", "voice", "account", factory.now(), opened.session.ends_at, account_id=who.id
        )
        version = session.get(Appointment, (at.id, row.id)).version
        put(session, at.id, [voice], now=factory.now(), appointment_id=row.id, version=version)
    ended(row, "accepted", channel="voice", provider="voice", sent_at=factory.now())
    now.shift(minutes=at.policy.call_after_minutes + 1)
    assert list_calls().opened == 1
    ended(row, "delivered", channel="voice")
    assert list_calls().closed == 1


@pytest.mark.parametrize(("days", "calls"), [(0, 1), (3, 0)])
def test_an_urgent_letter_that_cannot_leave_is_for_the_telephone_when_the_visit_is_near(now, days, calls):
    at = factory.clinic()
    in_the_morning(now)
    day = local(factory.now(), at.hospital.zone).date() + timedelta(days=days)
    opened = factory.open_session(at, day, starts=time(23, 0), ends=time(23, 59), slot_minutes=59)
    row = factory.booked(at, opened, factory.person("赵安宁"))
    stopped(at, opened)
    ended(row, "waiting", attempts=3, last_error="gateway answered 503")
    assert list_calls().opened == 0, "it has just been tried"
    now.shift(minutes=at.policy.call_after_minutes + 1)
    assert list_calls().opened == calls
    assert [call.reason for call in open_calls(at)] == ["no_receipt"] * calls


def listed():
    at, opened, who, row = a_visit()
    stopped(at, opened)
    ended(row, "failed")
    list_calls()
    (call,) = open_calls(at)
    return at, who, row, call


def test_a_letter_nobody_tried_because_its_provider_rests_is_for_the_telephone(app, now):
    app.config.update(SMS_GATEWAY_URL="http://127.0.0.1:9/", SMS_GATEWAY_KEY="key-of-a-test")
    at = factory.clinic()
    in_the_morning(now)
    today = local(factory.now(), at.hospital.zone).date()
    opened = factory.open_session(at, today, starts=time(23, 0), ends=time(23, 59), slot_minutes=59)
    rows = [
        factory.booked(at, opened, factory.person(name), visit_code=f"1000000{place}")
        for place, name in enumerate(("赵安宁", "钱多多", "孙小满"))
    ]
    stopped(at, opened)
    with transaction() as session:
        session.add(ProviderState(name="gateway", failures=5, rests_until=factory.now() + timedelta(days=1)))
    send_due()
    assert list_calls().opened == 0, "not yet"
    now.shift(minutes=at.policy.call_after_minutes + 1)
    send_due()
    assert list_calls().opened == 3
    assert {call.appointment_id for call in open_calls(at)} == {row.id for row in rows}
    letters = db.session.scalars(select(Message).where(Message.kind == "stopped", Message.channel == "sms"))
    assert {(one.attempts, one.status) for one in letters} == {(0, "waiting")}
    assert list_calls().opened == 0, "a repeat changes nothing"


def an_offer(now):
    """Somebody who waits and is asked, in the morning: the clinic, the wish and its appointment."""
    in_the_morning(now)
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened, factory.person("赵安宁"))
    give_back(at, rows)
    assert offer_places() == 1
    return at, who, wish, offers_of(wish)[0]


@pytest.mark.parametrize("status", ["failed", "expired", "suppressed"])
def test_an_offer_that_reached_no_phone_is_for_the_telephone_first_of_all(now, status):
    at, who, wish, row = an_offer(now)
    db.session.remove()
    assert list_calls().opened == 0, "it is still on its way"
    visit = book(at, factory.open_session(factory.another_doctor(at)), factory.person("钱多多"))
    stopped(at, type("Opened", (), {"id": visit.session_id}))
    for one in (visit, row):
        ended(one, status)
    assert list_calls().opened == 2 and list_calls().opened == 0
    first = calls(at.id)[0]
    assert (first.kind, first.appointment_id, first.wish_id) == ("wish_offer", row.id, wish.id)
    assert first.answer_by == row.held_until
    assert who.account.phone in [phone for _whose, phone in first.phones]
    assert "有号" in first.say and "沈知远" in first.say


@pytest.mark.parametrize("how", ["accepted", "declined", "run out", "delivered", "tidied later"])
def test_an_offer_that_ended_or_arrived_needs_no_call(now, how):
    at, who, _, row = an_offer(now)
    ended(row, "failed")
    if how == "tidied later":
        now.at(row.held_until + timedelta(seconds=1))
        assert list_calls().opened == 0, "nobody can take it any more"
        return
    assert list_calls().opened == 1
    if how == "accepted":
        accept_offer(at.id, row.id, actor=staff(at))
    elif how == "declined":
        decline_offer(at.id, row.id, actor=as_account(who))
    elif how == "delivered":
        ended(row, "delivered")
    else:
        now.at(row.held_until + timedelta(seconds=1))
        sweep_holds()
    assert list_calls().closed == 1 and not open_calls(at)


def test_what_the_page_is_told():
    at, who, row, call = listed()
    assert calls_open(at.id) == 1
    (shown,) = calls(at.id)
    assert shown.id == call.id and shown.appointment_id == row.id
    assert shown.phones == (("预约人", who.account.phone),)
    assert shown.patient_masked == "赵*宁"
    assert "停诊" in shown.say and "外出会诊" in shown.say
    assert calls(at.id, done=True) == []


def test_nobody_there_keeps_the_call_and_a_second_click_is_no_second_try():
    at, _who, row, call = listed()
    for _ in range(2):
        tick_off(at.id, call.id, actor=staff(at), outcome="no_answer", tries=0, note=" 一直占线 ")
    (kept,) = open_calls(at)
    assert (kept.tries, kept.outcome, kept.note) == (1, "no_answer", "一直占线")
    tick_off(at.id, call.id, actor=staff(at), outcome="reached", tries=1)
    assert open_calls(at) == []
    (done,) = calls(at.id, done=True)
    assert (done.outcome, done.tries, done.phones) == ("reached", 2, ())
    assert tick_off(at.id, call.id, actor=staff(at), outcome="reached", tries=1).tries == 2
    with pytest.raises(CallDone):
        tick_off(at.id, call.id, actor=staff(at), outcome="wrong_number", tries=1)
    assert calls_about(at.id, [row.id]) == {row.id: "reached"}
    trail = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "make_calls")).all()
    assert [one.change for one in trail] == [
        {"outcome": "no_answer", "tries": 1},
        {"outcome": "reached", "tries": 2},
    ]
    assert list_calls().opened == 0, "what was told by telephone does not come back"


def test_who_may_ring():
    at, _who, _row, call = listed()
    other = factory.clinic()
    with pytest.raises(NotAllowed):
        tick_off(at.id, call.id, actor=staff(at, "doctor"), outcome="reached", tries=0)
    with pytest.raises(NotAllowed):
        tick_off(at.id, call.id, actor=staff(other), outcome="reached", tries=0)
    with pytest.raises(NotFound):
        tick_off(other.id, call.id, actor=staff(other), outcome="reached", tries=0)
    with pytest.raises(BadInput):
        tick_off(at.id, call.id, actor=staff(at), outcome="perhaps", tries=0)
    assert len(open_calls(at)) == 1
