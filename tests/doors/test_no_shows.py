"""No-shows, appeals and whom a session is for, as pages show and forms post them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from booking.appointments.models import Appeal, Appointment
from booking.appointments.no_show import mark_no_shows
from booking.db import db
from booking.refs import ref
from booking.schedule.models import ClinicSession, Template
from tests import factory
from tests.doors.desk_people import Browser, seat, stored, text_of, today
from tests.doors.test_desk_sessions import new_form
from tests.doors.test_desk_sessions import sessions as sessions_of
from tests.doors.test_desk_templates import form_of as pattern_form
from tests.doors.visitor import Visitor, hidden, title
from tests.verbs.test_limits import for_some
from tests.verbs.test_no_show import missed, over, scene

pytestmark = pytest.mark.usefixtures("within")


class Patient(Visitor):
    """A visitor whose every request has a context of its own."""

    def __init__(self, app, who):
        super().__init__(app)
        self.client = Browser(app)
        self.client.post = self.client.send_form
        self.sign_in(who.account.phone)


def _send_form(self, path, data=None, **values):
    return self.open(path, method="POST", data=data or {}, **values)


Browser.send_form = _send_form


def confirm_page(visitor, opened):
    page = visitor.follow(visitor.post("/hold", slot=ref(opened.slots[0])))
    return page, re.search(r'action="(/book/[^"/]+)"', page.text)[1]


def confirm(visitor, page, path, who, **more):
    fields = {"patient": str(who.patient.id), "request_key": hidden(page, "request_key"), "reminders": "y"}
    return visitor.post(path, **fields | more)


def status(row):
    return stored(Appointment, row.hospital_id, row.id).status


# --- the patient


def test_a_no_show_is_shown_with_its_evidence_and_appealed_against(app, now):
    at, opened, who, row = scene()
    over(now, opened)
    mark_no_shows()
    visitor = Patient(app, who)
    path = f"/me/appointments/{ref(row)}"
    shown = text_of(visitor.get(path))
    for words in ("这次记了爽约", "没有查到报到记录", "预约成功短信已发出", "申诉：这次不该记爽约"):
        assert words in shown, words
    assert "近 180 天有 1 次爽约" in text_of(visitor.get("/me/appointments"))
    empty = visitor.post(f"{path}/appeal", reason=" ")
    assert empty.status_code == 422 and title(empty).startswith("错误：")
    assert text_of(empty).count("请写一句当时的情况") >= 2
    sent = visitor.post(f"{path}/appeal", reason="那天来了，在 3 楼等到 11 点")
    again = visitor.follow(sent)
    assert "申诉已收到" in text_of(again) and "申诉：这次不该记爽约" not in text_of(again)
    assert visitor.post(f"{path}/appeal", reason="再写一次").status_code == 303
    assert db.session.scalars(select(Appeal.reason)).all() == ["那天来了，在 3 楼等到 11 点"]
    stranger = Patient(app, factory.person("王陌生"))
    assert stranger.post(f"{path}/appeal", reason="我也来过").status_code == 404
    listed = text_of(visitor.get("/me/no-shows"))
    assert "申诉中" in listed and "还没有影响预约" in listed and "取消不算爽约" in listed
    assert "没有爽约记录" in text_of(stranger.get("/me/no-shows"))
    desk = seat(app, at, "desk")
    waiting = text_of(desk.get("/staff/no-shows"))
    assert "那天来了，在 3 楼等到 11 点" in waiting and "待答复的申诉 1" in waiting
    answer = f"/staff/no-shows/{row.id}/answer"
    bare = desk.post(answer, {"act": "decline", "answer": ""}, page="/staff/no-shows")
    assert bare.status_code == 422 and bare.text.count("请写明不同意的原因") >= 2
    done = desk.post(answer, {"act": "decline", "answer": "名单里没有查到"}, page="/staff/no-shows")
    assert done.status_code == 303
    assert "没有同意。原因：名单里没有查到" in text_of(visitor.get(path))
    here = f"/staff/no-shows/{row.id}/was-here"
    listed = f"/staff/no-shows?date={row.visit_date}"
    assert desk.post(here, {"note": "护士记得"}, page=listed).status_code == 303
    assert status(row) == "excused"
    assert "这次的爽约已免除" in text_of(visitor.get(path))
    assert "已免除，不计数" in text_of(visitor.get("/me/no-shows"))


def test_a_blocked_patient_reads_it_before_and_after_the_button(app, now):
    at = factory.clinic(policy={"per_week": 9})
    who = factory.person()
    for days in (30, 20, 10):
        missed(at, None, who, today(at) - timedelta(days=days))
    opened = factory.open_session(at)
    visitor = Patient(app, who)
    page, path = confirm_page(visitor, opened)
    until = today(at) + timedelta(days=20)
    said = f"{until.month} 月 {until.day} 日前不能在网上预约"
    shown = text_of(page)
    assert shown.count(said) == 2, "above the form and beside the name"
    assert "青梧市第一医院：李*禾在 180 天内有 3 次预约了没有来" in shown and "0571-000-0100" in shown
    refused = confirm(visitor, page, path, who)
    assert refused.status_code == 409 and title(refused).startswith("错误：")
    assert 'href="/me/no-shows"' in refused.text
    listed = visitor.get("/me/no-shows")
    assert "因 3 次爽约" in text_of(listed) and text_of(listed).count("爽约，计数") == 3
    assert "因 3 次爽约" in text_of(visitor.get("/me/appointments"))


def test_a_session_says_whom_it_is_for_before_anybody_presses(app):
    at = factory.clinic()
    opened = for_some(at, {"age_max": 14, "referral": True})
    who = factory.person()
    visitor = Patient(app, who)
    day = opened.session.local_date.isoformat()
    assert "只接待 14 岁及以下患者，需要转诊单" in text_of(visitor.get(f"/d/{at.doctor.slug}?date={day}"))
    page, path = confirm_page(visitor, opened)
    assert "接诊范围 只接待 14 岁及以下患者，需要转诊单" in text_of(page)
    assert "不在接诊范围" in text_of(page) and 'name="referral"' in page.text
    refused = confirm(visitor, page, path, who, referral="转 118")
    assert refused.status_code == 409 and "李*禾就诊当天" in text_of(refused)
    assert "看这家医院的其他门诊" in text_of(refused) and 'value="转 118"' in refused.text
    child = factory.patient(who.account, "李小满", seat=2, birth_date=f"{today(at).year - 6}-01-01")
    young = factory.Person(who.account, child)
    bare = confirm(visitor, visitor.get(path), path, young)
    assert bare.status_code == 422 and "请填写转诊单号" in text_of(bare)
    done = visitor.follow(confirm(visitor, visitor.get(path), path, young, referral="转 118，新塘卫生院"))
    assert "预约成功" in text_of(done)
    row = db.session.scalars(select(Appointment).where(Appointment.status == "booked")).one()
    assert row.referral == "转 118，新塘卫生院"
    assert "转诊单：转 118，新塘卫生院" in text_of(seat(app, at, "desk").get(f"/staff/appointment/{row.id}"))


# --- the desk


def test_whom_a_session_is_for_is_kept_shown_and_compared(app):
    at = factory.clinic()
    scheduler = seat(app, at, "scheduler")
    day = today(at) + timedelta(days=3)
    rules = {"age_min": "60", "age_max": "", "sex": "f", "visit": "return", "referral": "y"}
    wrong = scheduler.post("/staff/sessions/new", new_form(at, day, **rules | {"age_max": "50"}))
    assert wrong.status_code == 422 and wrong.text.count("最大年龄不能小于最小年龄 60") >= 2
    assert scheduler.post("/staff/sessions/new", new_form(at, day, **rules)).status_code == 303
    row = sessions_of(at)[0]
    assert row.admits == {"age_min": 60, "sex": "f", "visit": "return", "referral": True}
    path = f"/staff/sessions/{row.id}"
    shown = scheduler.get(path)
    assert re.search(r'name="age_min"[^>]*value="60"', shown.text) and "<details" in shown.text
    everybody = new_form(at, day, version=1, act="save")
    assert scheduler.post(path, everybody).status_code == 303
    assert stored(ClinicSession, at.id, row.id).admits is None


def test_whom_a_pattern_is_for_is_kept_and_listed(app):
    at = factory.clinic()
    scheduler = seat(app, at, "scheduler")
    fields = pattern_form(at, age_max="14")
    assert scheduler.post("/staff/templates/new", fields).status_code == 303
    db.session.rollback()
    row = db.session.scalars(select(Template)).one()
    assert row.admits == {"age_max": 14}
    assert "只接待 14 岁及以下患者" in text_of(scheduler.get("/staff/templates"))
    assert re.search(r'name="age_max"[^>]*value="14"', scheduler.get(f"/staff/templates/{row.id}").text)


def test_the_days_list_of_who_did_not_come_is_correctable_and_not_for_everybody(app, now):
    at, opened, _who, row = scene()
    over(now, opened, 10)
    desk = seat(app, at, "desk")
    assert "还没判断" in text_of(desk.get("/staff/no-shows"))
    over(now, opened)
    mark_no_shows()
    listed = text_of(desk.get(f"/staff/no-shows?date={row.visit_date}"))
    assert "李*禾" in listed and "通知 1 条已发出" in listed and "周来过" not in listed
    assert seat(app, at, "scheduler").get("/staff/no-shows").status_code == 403
    elsewhere = seat(app, factory.clinic(), "desk")
    here = f"/staff/no-shows/{row.id}/was-here"
    assert elsewhere.post(here, {"note": ""}, page="/staff/day").status_code == 404
    assert status(row) == "no_show"
    history = text_of(desk.get(f"/staff/appointment/{row.id}"))
    assert "记为爽约" in history
