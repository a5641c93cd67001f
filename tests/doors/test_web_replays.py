"""A form sent twice over HTTP: the lost answer comes again, another body under the same key is a 422 (R8, R9)."""

from __future__ import annotations

import re

import pytest

from booking.refs import ref
from tests import factory
from tests.doors.visitor import Visitor, hidden
from tests.invariants import broken
from tests.snapshot import every_row


class Booking:
    """Somebody with two patients who holds a time and has its confirm page open."""

    def __init__(self, app) -> None:
        self.app = app
        with app.app_context():
            self.at = factory.clinic()
            self.opened = factory.open_session(self.at)
            self.who = factory.person()
            self.child = factory.patient(self.who.account, "李小满", seat=2, relation="child")
            self.slots = [ref(slot) for slot in self.opened.slots]
        self.visitor = Visitor(app)
        self.visitor.sign_in(self.who.account.phone)
        page = self.visitor.follow(self.visitor.post("/hold", slot=self.slots[0]))
        self.path = re.search(r'action="(/book/[^"/]+)"', page.text)[1]
        self.key = hidden(page, "request_key")

    def confirm(self, patient=None, **more):
        fields = {"patient": str((patient or self.who.patient).id), "request_key": self.key, "reminders": "y"}
        return self.visitor.post(self.path, fields | more)

    def rows(self):
        with self.app.app_context():
            return every_row()


@pytest.fixture
def booking(app):
    return Booking(app)


def refused(booking, send):
    """Send a request whose key meant something else: 422 with a sentence, no row changed."""
    before = booking.rows()
    answer = send()
    assert answer.status_code == 422
    assert "这次提交和之前同一编号的提交内容不同" in answer.text
    assert booking.rows() == before


def test_confirming_again_gives_the_answer_that_was_lost(app, booking):
    first = booking.confirm()
    before = booking.rows()
    again = booking.confirm()
    assert (first.status_code, again.status_code) == (303, 303)
    assert first.headers["Location"] == again.headers["Location"]
    assert booking.rows() == before
    with app.app_context():
        assert not broken()


def test_the_key_of_a_confirmed_form_books_nobody_else(booking):
    booking.confirm()
    refused(booking, lambda: booking.confirm(booking.child))
    refused(booking, lambda: booking.confirm(complaint="头晕"))


def test_cancelling_and_moving_again_give_the_same_answer_and_another_body_is_refused(booking):
    detail = booking.confirm().headers["Location"].partition("?")[0]
    picked = booking.visitor.follow(booking.visitor.post(f"{detail}/change", slot=booking.slots[1]))
    key = hidden(picked, "request_key")
    moved = [
        booking.visitor.post(f"{detail}/change/{booking.slots[1]}", request_key=key).headers["Location"]
        for _ in range(2)
    ]
    assert moved[0] == moved[1]
    refused(booking, lambda: booking.visitor.post(f"{detail}/change/{booking.slots[2]}", request_key=key))
    refused(booking, lambda: booking.visitor.post(f"{detail}/cancel", request_key=key))
    page = booking.visitor.get(f"{detail}/cancel")
    key = hidden(page, "request_key")
    ended = [
        booking.visitor.post(f"{detail}/cancel", request_key=key, reason="").headers["Location"]
        for _ in range(2)
    ]
    assert ended[0] == ended[1]
    reason = re.search(r'name="reason"[^>]*value="(\w+)"', page.text)[1]
    refused(booking, lambda: booking.visitor.post(f"{detail}/cancel", request_key=key, reason=reason))


def test_a_press_of_confirm_after_the_visit_was_cancelled_leads_to_the_visit_as_it_is(booking):
    detail = booking.confirm().headers["Location"].partition("?")[0]
    booking.visitor.post(f"{detail}/cancel", request_key="another", reason="")
    again = booking.confirm()
    assert (again.status_code, again.headers["Location"].partition("?")[0]) == (303, detail)
    assert "预约成功" not in booking.visitor.follow(again).text
    late = booking.confirm(request_key="made up")
    assert (late.status_code, late.headers["Location"]) == (303, detail)
