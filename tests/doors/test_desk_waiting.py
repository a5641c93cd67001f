"""Answering for somebody who rings, on the desk's waiting page: read out, then booked; declined; taken off the list."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from booking.appointments.answer_offer import accept_offer
from booking.appointments.models import Appointment
from booking.appointments.offers import offer_places
from booking.clock import local
from booking.db import db, transaction
from booking.notices.calls import list_calls
from booking.schedule.models import ClinicSession
from booking.schedule.wanted import Wish
from booking.staff.models import AuditEvent
from tests import factory
from tests.doors.desk_people import row_counts, seat, stored, text_of
from tests.doors.visitor import hidden
from tests.verbs.test_reserve import as_account
from tests.verbs.test_wishes import full, give_back, offers_of, pair, sent, wait

pytestmark = pytest.mark.usefixtures("within")


@pytest.fixture(autouse=True)
def by_day(now):
    here = local(now(), "Asia/Shanghai")
    now.at(here.replace(hour=9, minute=30, second=0) + timedelta(days=1))


@pytest.fixture
def scene():
    """One who is asked and one who waits behind: the clinic, the session, its page, both wishes."""
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened, factory.person("周小满"))
    _, second = wait(at, opened, factory.person("赵一鸣"))
    give_back(at, rows)
    assert offer_places() == 1
    return at, opened, f"/staff/sessions/{opened.id}/waiting", who, wish, second


def test_an_offer_is_read_out_and_accepted_and_leads_to_the_code(app, scene):
    at, _, page, _, wish, _ = scene
    desk = seat(app, at, "desk")
    listed = desk.get(page)
    assert "138****" in text_of(listed) and text_of(listed).count("接受…") == 1
    assert text_of(listed).count("退出候补") == 2
    path = f"{page}/{wish.id}/accept"
    assert f'href="{path}"' in listed.text
    shown = desk.get(path)
    said = text_of(shown)
    for part in ("周小满，女", "08:30", at.doctor.name, at.campus.name, "为他留到 今天 10:"):
        assert part in said
    fields = {"key": hidden(shown, "key"), "offer": hidden(shown, "offer")}
    done = desk.post(path, fields)
    assert done.status_code == 303 and done.headers["Location"].endswith("/done")
    booked = stored(Appointment, at.id, uuid.UUID(fields["offer"]))
    assert booked.status == "booked" and booked.visit_code[:4] in desk.get(done.headers["Location"]).text
    again = desk.post(path, fields, page=page)
    assert again.status_code == 303 and again.headers["Location"] == done.headers["Location"]
    assert stored(Wish, at.id, wish.id).status == "served"
    line = db.session.scalars(select(AuditEvent)).one()
    assert (line.action, line.actor_name) == ("accept_offer", desk.member.name)
    detail = desk.get(done.headers["Location"].removesuffix("/done"))
    assert "接受候补的号" in text_of(detail)
    assert "已约到" in text_of(desk.get(path))


def test_declining_and_leaving_lead_back_to_the_list(app, scene):
    at, _, page, _, wish, second = scene
    desk = seat(app, at, "admin")
    offer = hidden(desk.get(page), "offer")
    for _ in range(2):  # a repeat changes nothing
        declined = desk.post(f"{page}/{wish.id}/decline", {"offer": offer}, page=page)
        assert declined.status_code == 303 and declined.headers["Location"] == page
    assert "已让给下一位" in text_of(desk.get(page))
    assert stored(Wish, at.id, wish.id).turns_kept == 0
    assert offer_places() == 1 and offers_of(second)
    left = desk.post(f"{page}/{second.id}/leave", page=page)
    assert left.headers["Location"] == page and "已替患者退出候补" in text_of(desk.get(page))
    assert stored(Wish, at.id, second.id).end_reason == "left"
    assert [one.action for one in db.session.scalars(select(AuditEvent).order_by(AuditEvent.id))] == [
        "decline_offer",
        "leave_wish",
    ]


def test_whoever_has_booked_meanwhile_is_not_said_to_have_given_it_up(app, scene):
    """The husband accepted online, the wife rings."""
    at, _, page, who, wish, _ = scene
    desk = seat(app, at, "desk")
    offer = hidden(desk.get(page), "offer")
    (booked,) = accept_offer(at.id, offers_of(wish)[0].id, actor=as_account(who))
    for path, fields in (("decline", {"offer": offer}), ("leave", {})):
        desk.post(f"{page}/{wish.id}/{path}", fields, page=page)
        shown = text_of(desk.get(page))
        assert "刚才已经约到了" in shown and "已让给下一位" not in shown and "已替患者退出" not in shown
    assert stored(Appointment, at.id, booked.id).status == "booked"


def test_another_offer_than_the_one_read_out_is_not_accepted_in_its_place(app, now):
    at = factory.clinic()
    opened, rows = full(at)
    _, wish = wait(at, opened)
    give_back(at, rows)
    assert offer_places() == 1
    desk, path = seat(app, at, "desk"), f"/staff/sessions/{opened.id}/waiting/{wish.id}/accept"
    shown = desk.get(path)
    fields = {"key": hidden(shown, "key"), "offer": hidden(shown, "offer")}
    sent(wish)
    now.shift(minutes=61)
    give_back(at, rows, 1)
    assert offer_places() == 1 and offers_of(wish)[0].id.hex != fields["offer"]
    late = desk.post(path, fields, page=path)
    assert late.status_code == 410 and "已让给下一位" in text_of(late) and "确认预约" not in late.text
    assert "确认预约" in desk.get(path).text, "opened anew it shows the other one"


def test_what_stands_in_the_way_is_said_on_the_page_and_changes_nothing(app, scene, now):
    at, opened, page, _, wish, _ = scene
    with transaction() as session:
        session.execute(
            update(Appointment)
            .where(Appointment.kind == "offer")
            .values(sold=offers_of(wish)[0].sold | {"admits": {"referral": True}})
        )
    desk = seat(app, at, "desk")
    path = f"{page}/{wish.id}/accept"
    shown = desk.get(path)
    fields = {"key": hidden(shown, "key"), "offer": hidden(shown, "offer")}
    bare = desk.post(path, fields)
    assert bare.status_code == 422 and "请填写转诊单号" in text_of(bare)
    long = desk.post(path, fields | {"referral": "转" * 90})
    assert long.status_code == 422 and "最多 80 个字" in text_of(long) and hidden(long, "offer")
    now.shift(minutes=61)
    late = desk.post(path, fields, page=page)
    assert late.status_code == 410 and "已让给下一位" in text_of(late) and "确认预约" not in late.text
    assert "已让给下一位" in text_of(desk.get(path)) and "接受…" not in desk.get(page).text
    assert not db.session.scalars(select(AuditEvent)).all()
    for wrong in ("", "no-id", opened.id.hex):
        assert desk.post(f"{page}/{wish.id}/decline", {"offer": wrong}, page=page).status_code == 404
        assert desk.post(path, {"offer": wrong}, page=page).status_code == 404


def test_who_may_not_answer_sees_no_buttons_and_another_hospitals_wish_does_not_exist(app, scene):
    at, _, page, _, wish, _ = scene
    shown = seat(app, at, "scheduler").get(page)
    assert "周*满" in shown.text and "接受…" not in shown.text and "138****" not in shown.text
    other = factory.clinic()
    there = factory.open_session(other)
    desk, before = seat(app, other, "desk"), row_counts()
    home = f"/staff/sessions/{there.id}/waiting"
    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', desk.get(home).text)[1]
    for start in (page, home):
        assert desk.get(f"{start}/{wish.id}/accept").status_code == 404
        for verb in ("accept", "decline", "leave"):
            fields = {"csrf_token": token, "offer": offers_of(wish)[0].id.hex}
            assert desk.send(f"{start}/{wish.id}/{verb}", fields).status_code == 404
    assert row_counts() == before and stored(Wish, at.id, wish.id).status == "offered"


def test_a_pair_is_read_out_and_booked_together(app):
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    _, wish = pair(at, opened)
    give_back(at, rows, 0)
    give_back(at, rows, 1)
    assert offer_places() == 2
    desk = seat(app, at, "desk")
    page = f"/staff/sessions/{opened.id}/waiting"
    shown = desk.get(f"{page}/{wish.id}/accept")
    assert "李秋禾，女" in text_of(shown) and "李小满，女" in text_of(shown)
    fields = {"key": hidden(shown, "key"), "offer": hidden(shown, "offer")}
    done = desk.post(f"{page}/{wish.id}/accept", fields)
    assert done.headers["Location"] == page and "两位都约好了" in text_of(desk.get(page))
    status = db.session.get(ClinicSession, (at.id, opened.id)).status
    assert status == "published" and stored(Wish, at.id, wish.id).status == "served"


def test_whom_no_message_told_of_an_offer_is_rung_and_answers_on_the_spot(app, scene):
    at, _, page, _, wish, _ = scene
    sent(wish, status="failed")
    assert list_calls().opened == 1
    desk = seat(app, at, "desk")
    listed = desk.get("/staff/calls")
    said = text_of(listed)
    assert "候补有号" in said and "短信没有发到" in said and "请在 今天 10:" in said and "周*满" in said
    path = f"{page}/{wish.id}/accept"
    assert f'href="{path}"' in listed.text
    scheduler = seat(app, at, "scheduler").get("/staff/calls")
    assert "候补有号" in scheduler.text and path not in scheduler.text
    shown = desk.get(path)
    assert desk.post(path, {"offer": hidden(shown, "offer"), "key": hidden(shown, "key")}).status_code == 303
    db.session.rollback()
    assert list_calls().closed == 1
    assert "没有要打的电话" in text_of(desk.get("/staff/calls"))
