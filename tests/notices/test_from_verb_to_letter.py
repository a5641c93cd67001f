"""The verbs' own letters, from booking to the phone: confirmed, reminded, moved, cancelled, stopped."""

from __future__ import annotations

from datetime import timedelta

import pytest

from booking.appointments.cancel import cancel
from booking.appointments.move import move
from booking.appointments.reserve import confirm, hold
from booking.appointments.stop import stop_session
from booking.db import db
from booking.notices.queries import messages_of
from booking.notices.service import send_due
from booking.people.models import Account
from booking.staff.rules import Actor
from tests import factory, far_ends
from tests.notices.posting import letters, states

OWN_PHONE = "+8613800139002"


@pytest.fixture
def gateway(app):
    with far_ends.sms_gateway() as gateway:
        app.config.update(SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="key-of-a-test")
        yield gateway


@pytest.fixture
def visit(within, gateway):
    """A booked visit the day after tomorrow, and what was texted about it so far."""
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person(own_phone=OWN_PHONE)
    actor = Actor("account", str(who.id), account_id=who.id)
    held = hold(at.id, opened.slots[0].id, holder="h", actor=actor)
    row = confirm(at.id, held.id, holder="h", actor=actor, patient_id=who.patient.id)
    return at, opened, who, actor, row


def texted(gateway):
    """Take what the gateway got since the last look: {phone: [text, …]}."""
    told: dict[str, list[str]] = {}
    for call in gateway.calls:
        told.setdefault(call["to"], []).append(call["text"])
    gateway.calls.clear()
    return told


def test_booker_and_patient_are_told_seconds_after_booking(visit, gateway):
    _at, _opened, who, _actor, row = visit
    send_due()
    phone = db.session.get(Account, who.id).phone
    told = texted(gateway)
    assert set(told) == {phone, OWN_PHONE}
    for (text,) in told.values():
        assert f"预约码 {row.visit_code[:4]} {row.visit_code[4:]}" in text
        assert "李*已预约成功" in text
    (shown,) = messages_of(who.id)
    assert shown.kind == "confirmed"


def test_the_reminders_go_out_when_their_time_comes_and_never_twice(visit, gateway, now):
    _at, _opened, who, _actor, row = visit
    send_due()
    texted(gateway)
    ladder = sorted({letter.due_at for letter in letters(kind="reminder_day")})
    ladder += sorted({letter.due_at for letter in letters(kind="reminder_hours")})
    assert ladder, "the policy of the tests has reminders"
    for due in ladder:
        now.at(due - timedelta(seconds=5))
        assert send_due() == 0
        now.at(due + timedelta(seconds=1))
        send_due()
        told = texted(gateway)
        assert len(told) == 2 and all("提醒李*" in text for (text,) in told.values())
        assert send_due() == 0
    assert "waiting" not in states(appointment_id=row.id)
    assert {letter.kind for letter in messages_of(who.id)} >= {"confirmed", "reminder_hours"}


def test_after_a_move_only_the_new_time_is_told(visit, gateway, now):
    at, opened, _who, actor, row = visit
    move(at.id, row.id, opened.slots[2].id, actor=actor)
    send_due()
    told = texted(gateway)
    assert len(told) == 2, "the confirmation of the old time was never sent"
    for (text,) in told.values():
        assert "09:30" in text and "李*已改到这时" in text and "08:30 的不用来了" in text
    now.at(row.starts_at - timedelta(minutes=30))
    send_due()
    assert all("09:30" in text for texts in texted(gateway).values() for text in texts)


def test_after_a_cancel_nothing_but_the_cancellation_is_told(visit, gateway, now):
    at, _opened, _who, actor, row = visit
    send_due()
    texted(gateway)
    cancel(at.id, row.id, actor=actor)
    now.at(row.starts_at - timedelta(minutes=90))
    send_due()
    told = texted(gateway)
    assert all("预约人或就诊人要求" in text for (text,) in told.values()) and len(told) == 2
    now.at(row.starts_at)
    assert send_due() == 0


def test_a_stop_tells_everybody_who_when_and_why(visit, gateway):
    at, opened, _who, _actor, _row = visit
    send_due()
    texted(gateway)
    staff = Actor("admin", "staff-1", "何予", hospital_id=at.id)
    stop_session(at.id, opened.id, actor=staff, reason="医生临时有急诊手术。")
    send_due()
    told = texted(gateway)
    assert len(told) == 2
    for (text,) in told.values():
        assert "沈知远医生停诊" in text and "原因：医生临时有急诊手术。" in text and "不用来了" in text
