"""A shown "余 n" is what is true when the page is answered, never an older copy, and it never decides (R32)."""

from __future__ import annotations

import re

from booking.refs import ref
from tests import factory
from tests.doors.visitor import Visitor
from tests.verbs.test_reserve import book


def test_the_count_on_a_page_falls_with_the_next_booking_also_for_a_kept_copy(app):
    with app.app_context():
        at = factory.clinic()
        opened = factory.open_session(at)
    visitor, path = Visitor(app), f"/d/{at.doctor.slug}"
    first = visitor.get(path)
    assert "还剩 12 个号" in first.text
    kept = {"If-None-Match": first.headers["ETag"]}
    with app.app_context():
        book(at, opened, factory.person())
    again = visitor.get(path, headers=kept)
    assert again.status_code == 200 and "还剩 11 个号" in again.text


def test_an_old_page_may_promise_what_the_database_then_refuses(app):
    with app.app_context():
        at = factory.clinic()
        opened = factory.open_session(at, places=1)
    visitor = Visitor(app)
    visitor.sign_in()
    page = visitor.get(f"/d/{at.doctor.slug}").text
    slot = ref(opened.slots[0])
    assert re.search(f'name="slot" value="{slot}"', page), "the page shows the time as free"
    with app.app_context():
        book(at, opened, factory.person())
    lost = visitor.post("/hold", slot=slot)
    assert lost.status_code == 409 and "08:30 刚被约走了" in lost.text
