"""The patient's own phone, beside the booker's: whoever opened the visit with it switches its reminders off and on again."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select
from stdnum.iso7064 import mod_11_10

from booking.appointments.models import Appointment
from booking.appointments.stop import stop_session
from booking.clock import local
from booking.db import db
from booking.notices.service import send_due
from booking.people.models import Account, Patient
from booking.refs import ref
from tests import factory, far_ends
from tests.doors.visitor import Visitor
from tests.notices.posting import post
from tests.verbs.test_after import staff

OWN, CODE = "+8613800130944", "4827193" + mod_11_10.calc_check_digit("4827193")
OFF, ON = "不再提醒这个号码", "恢复提醒"


@pytest.fixture(autouse=True)
def by_day(now):
    here = local(now(), "Asia/Shanghai")
    now.at(here.replace(hour=9, minute=30, second=0) + timedelta(days=1))


@pytest.fixture
def at(app):
    with app.app_context():
        return factory.clinic()


@pytest.fixture
def opened(app, at):
    with app.app_context():
        return factory.open_session(at)


@pytest.fixture
def booker(app, at, opened):
    """Somebody who booked for a patient with a phone of their own."""
    with app.app_context():
        who = factory.person(own_phone=OWN)
        factory.booked(at, opened, who, visit_code=CODE)
        return who


@pytest.fixture
def gateway(app, booker):
    before = dict(app.config)
    with far_ends.sms_gateway() as gateway:
        app.config.update(SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="k", SEND_TIMEOUT_SECONDS=1)
        yield gateway
    app.config.clear()
    app.config.update(before)


def found(app, tail=OWN[-4:]):
    """A browser that has opened the visit by its code and a phone's tail, with the page."""
    visitor = Visitor(app)
    answer = visitor.post("/find", code=CODE, tail=tail)
    page = visitor.follow(answer)
    return visitor, answer.headers["Location"], page


def press(visitor, page, name):
    """Press the button of this name with the fields of its form."""
    form = next(one for one in re.findall(r"<form.*?</form>", page.text, re.DOTALL) if name in one)
    path = re.search(r'action="([^"]+)"', form)[1]
    on = re.search(r'name="on" value="([^"]*)"', form)[1]
    return visitor.post(path, on=on)


def visit():
    db.session.remove()
    return db.session.scalars(select(Appointment)).one()


def arrived(app, gateway, kind):
    """Put a letter of `kind` to the patient's own phone and send what is due; return the texts that arrived there."""
    gateway.calls.clear()
    with app.app_context():
        post(visit(), kind, channels=("sms",), recipient="patient")
        db.session.remove()
        send_due()
    return [one["text"] for one in gateway.calls if one["to"] == OWN]


def test_the_patient_switches_reminders_to_their_phone_off_and_on_again(app, gateway, at, opened, booker):
    visitor, _, page = found(app)
    assert OFF in page.text and ON not in page.text and "138****0944" in page.text
    page = visitor.follow(press(visitor, page, OFF))
    assert "已关闭：就诊提醒不再发到 138****0944。取消、停诊和改约仍会通知。" in page.text
    assert ON in page.text and OFF not in page.text
    assert arrived(app, gateway, "reminder_day") == []
    page = visitor.follow(press(visitor, page, ON))
    assert "已恢复：就诊提醒又会发到 138****0944。" in page.text and OFF in page.text
    (text,) = arrived(app, gateway, "reminder_hours")
    assert "报到" in text


def test_who_gets_no_reminders_still_hears_of_a_stop(app, gateway, at, opened, booker):
    visitor, _, page = found(app)
    press(visitor, page, OFF)
    with app.app_context():
        stop_session(at.id, opened.id, actor=staff(at, "scheduler"), reason="医生外出会诊")
        db.session.remove()
        send_due()
    assert [one["text"] for one in gateway.calls if one["to"] == OWN and "停诊" in one["text"]]


def test_it_is_the_phone_that_is_switched_off_and_nobody_elses(app, at, opened, booker):
    with app.app_context():
        shares = factory.patient(booker.account, "李有年", relation="parent", seat=2, phone=OWN).id
        other = factory.patient(booker.account, "李小满", relation="child", seat=3, phone="+8613800130945").id
        account = factory.account(OWN).id
    visitor, _, page = found(app)
    for _ in range(2):  # a repeat changes nothing
        assert press(visitor, page, OFF).status_code == 303
    with app.app_context():
        reminded = dict(db.session.execute(select(Patient.id, Patient.reminders_on)).all())
        assert reminded == {booker.patient.id: False, shares: False, other: True}
        assert db.session.get(Account, account).quiet_channels == []
        assert db.session.get(Account, booker.account.id).reminders_on


def test_only_who_came_with_that_phone_is_asked(app, at, opened, booker):
    with app.app_context():
        path = f"/me/appointments/{ref(visit())}"
    with_booker, detail, page = found(app, booker.account.phone[-4:])
    assert detail == path and OFF not in page.text and ON not in page.text
    signed_in = Visitor(app)
    signed_in.sign_in(booker.account.phone)
    assert OFF not in signed_in.get(path).text
    for one in (with_booker, signed_in):
        assert one.post(f"{path}/reminders", on="").status_code == 404
    stranger = Visitor(app).post(f"{path}/reminders", on="")
    assert stranger.status_code == 303 and stranger.headers["Location"].startswith("/login")
    with app.app_context():
        assert db.session.scalars(select(Patient.reminders_on)).one() is True


def test_half_an_hour_later_it_takes_the_code_again(app, at, opened, booker, now):
    visitor, _, page = found(app)
    now.shift(minutes=31)
    answer = press(visitor, page, OFF)
    assert answer.status_code == 303 and answer.headers["Location"].startswith("/login")
    with app.app_context():
        assert db.session.scalars(select(Patient.reminders_on)).one() is True


def test_who_comes_with_two_visits_keeps_both_switches_apart(app, at, opened, booker):
    """Coming with the booker's tail afterwards takes the switch away again; the other visit keeps its own."""
    visitor, detail, _ = found(app)
    visitor.post("/find", code=CODE, tail=booker.account.phone[-4:])
    assert OFF not in visitor.get(detail).text
    visitor.post("/find", code=CODE, tail=OWN[-4:])
    assert OFF in visitor.get(detail).text
