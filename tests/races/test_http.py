"""The last places over HTTP, through the whole door: sessions, forgery tokens, forms, and what the losers read."""

from __future__ import annotations

import html
import re
from collections import Counter

from sqlalchemy import func, select

from booking.appointments.models import Appointment
from booking.db import db
from booking.refs import ref
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def visitor(app, who):
    """A browser that is signed in and has a page open, so that its next request is the booking itself."""
    browser = app.test_client()
    with browser.session_transaction() as kept:
        kept["account"] = who.id
    token = TOKEN.search(browser.get("/about").text)
    assert token
    return browser, token[1]


def test_fifty_browsers_and_a_slot_of_five(app):
    with app.app_context():
        at = factory.clinic()
        opened = factory.open_session(at, places=5)
        slot = ref(opened.slots[1])
        crowd = [factory.person() for _ in range(50)]
    browsers = [visitor(app, who) for who in crowd]

    def take(browser, token):
        return lambda: browser.post("/hold", data={"slot": slot, "csrf_token": token})

    answers = at_once(app, [take(*one) for one in browsers])
    assert Counter(answer.status_code for answer in answers) == {303: 5, 409: 45}
    lost = [html.unescape(answer.text) for answer in answers if answer.status_code == 409]
    assert all("09:00 刚被约走了" in text for text in lost)
    assert all(len(set(re.findall(r'name="slot" value="([^"]+)"', text))) >= 3 for text in lost), (
        "three nearest"
    )
    won = [number for number, answer in enumerate(answers) if answer.status_code == 303]

    def finish(number):
        browser, token = browsers[number]
        address = answers[number].headers["Location"]
        who = crowd[number]
        fields = {"csrf_token": token, "patient": str(who.patient.id), "request_key": f"key{number}"}
        return lambda: browser.post(address, data=fields)

    twice = at_once(app, [finish(number) for number in won for _ in range(2)])  # everybody clicks twice
    assert {answer.status_code for answer in twice} == {303}
    assert len({answer.headers["Location"] for answer in twice}) == 5
    with app.app_context():
        assert db.session.scalar(select(func.count()).where(Appointment.status == "booked")) == 5
        assert not broken()


def test_a_double_click_on_a_time_books_once(app):
    with app.app_context():
        at = factory.clinic()
        opened = factory.open_session(at)
        slot, who = ref(opened.slots[0]), factory.person()
    browser, token = visitor(app, who)
    browser.post("/hold", data={"slot": "1-" + "0" * 32, "csrf_token": token})  # makes the browser's key
    copies = [app.test_client() for _ in range(6)]
    for copy in copies:
        with browser.session_transaction() as kept, copy.session_transaction() as own:
            own.update(kept)
    answers = at_once(
        app,
        [lambda copy=copy: copy.post("/hold", data={"slot": slot, "csrf_token": token}) for copy in copies],
    )
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1
