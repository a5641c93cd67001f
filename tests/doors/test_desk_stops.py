"""Stopping a session and reopening it, from the desk."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from booking.appointments.checkin import check_in
from booking.appointments.models import Appointment
from booking.db import db
from booking.outbox import Message
from booking.people.models import Patient
from booking.schedule.models import ClinicSession, Place
from booking.vault import blind_index
from tests import factory
from tests.doors.desk_people import HOSTILE, row_counts, seat, stored, text_of
from tests.verbs.test_after import staff


@pytest.fixture
def at(within):
    return factory.clinic()


@pytest.fixture
def scheduler(app, at):
    return seat(app, at, "scheduler")


@pytest.fixture
def there(at):
    there = factory.open_session(at)
    factory.booked(at, there, factory.person("李秋禾"), visit_code="48271936")
    factory.booked(at, there, factory.person("周小满"), slot=1, visit_code="48271937")
    return there


def test_before_the_deed_it_says_who_is_affected_and_what_they_will_read(scheduler, there):
    before = row_counts()
    page = scheduler.get(f"/staff/sessions/{there.id}/stop")
    shown = text_of(page)
    assert page.status_code == 200
    assert "影响 2 位患者" in shown and "2 位 65 岁以上" in shown
    assert "李*禾" in shown and "周*满" in shown and "李秋禾" not in shown
    assert "停诊并通知 2 人" in shown and "停诊" in shown and "发给患者的话" in shown
    again = scheduler.post(
        f"/staff/sessions/{there.id}/stop", {"act": "preview", "reason_public": "外出会诊"}
    )
    assert "原因：外出会诊" in text_of(again)
    assert row_counts() == before


def test_it_says_how_each_can_be_reached(at, scheduler):
    there = factory.open_session(at, part="下午")
    factory.booked(at, there, factory.person("李秋禾"), visit_code="48271936")
    for slot, (code, phone) in enumerate((("48271937", "+8613800130999"), ("48271938", None)), 1):
        guest = factory.person("周小满")
        row = factory.booked(at, there, guest, slot=slot, visit_code=code)
        db.session.get_one(Appointment, (at.id, row.id)).account_id = None
        patient = db.session.get_one(Patient, guest.patient.id)
        patient.phone, patient.phone_hash = phone, phone and blind_index("phone", phone)
        db.session.commit()
    shown = text_of(scheduler.get(f"/staff/sessions/{there.id}/stop")).split("受影响的患者")[-1]
    assert shown.count("短信和站内消息") == 1 and shown.count("短信") == 2 and shown.count("只能打电话") == 1


@pytest.fixture
def begun(app, at, there, now):
    """Ten minutes after the session has begun: the first has checked in, the second is to come. Signed in anew."""
    now.at(there.session.starts_at + timedelta(minutes=10))
    first = db.session.scalars(select(Appointment).where(Appointment.visit_code == "48271936")).one().id
    check_in(at.id, first, actor=staff(at, "desk"))
    return first, seat(app, at, "scheduler")


def test_before_the_deed_it_says_that_somebody_who_is_here_would_be_cancelled(there, begun):
    _first, scheduler = begun
    path = f"/staff/sessions/{there.id}/stop"
    shown = text_of(scheduler.get(path))
    assert "影响 2 位患者" in shown and "其中 1 位已经报到，也会被取消并收到停诊通知" in shown
    assert "已报到的都已经看完（1 位）" in shown
    ticked = scheduler.post(path, {"act": "preview", "reason_public": "急诊手术", "arrived_are_seen": "y"})
    shown = text_of(ticked)
    assert "影响 1 位患者" in shown and "1 位已经看完的记为完成，不取消，也不通知" in shown
    assert "也会被取消" not in shown and "李*禾" not in shown.split("受影响的患者")[-1]
    assert 'name="arrived_are_seen" type="checkbox" value="y" checked' in _sorted_tick(ticked)


def _sorted_tick(page):
    """The tick's attributes in one order, whichever order they are written in."""
    tick = next(
        one for one in page.get_data(as_text=True).split("<input") if "arrived_are_seen" in one
    ).split(">")[0]
    words = sorted(one for one in tick.replace("/", " ").split() if not one.startswith("id="))
    order = ["name", "type", "value", "checked"]
    return " ".join(sorted(words, key=lambda word: order.index(word.split("=")[0])))


def shown_at(page):
    return re.search(r'name="shown_at" type="hidden" value="([0-9]+)"', page.get_data(as_text=True))[1]


def test_a_page_that_was_open_too_long_is_shown_anew(at, there, begun, now):
    first, scheduler = begun
    path = f"/staff/sessions/{there.id}/stop"
    old = shown_at(scheduler.get(path))
    now.at(there.session.starts_at + timedelta(minutes=45))
    before = row_counts()
    fields = {"act": "stop", "reason_public": "急诊手术", "arrived_are_seen": "y"}
    for value in (old, "", "x", "9" * 40, "9" * 16, *HOSTILE):
        safe = value.encode("utf-8", "replace").decode()
        answer = scheduler.post(path, fields | {"shown_at": safe})
        assert answer.status_code == 409 and "这一页打开得太久了" in text_of(answer)
        assert shown_at(answer) > old
    assert row_counts() == before and stored(Appointment, at.id, first).status == "arrived"
    answer = scheduler.post(path, fields | {"shown_at": shown_at(answer)})
    assert answer.status_code == 303 and stored(Appointment, at.id, first).status == "fulfilled"


@pytest.mark.parametrize("ticked", [True, False])
def test_the_tick_decides_over_whoever_is_here(at, there, begun, ticked):
    first, scheduler = begun
    path = f"/staff/sessions/{there.id}/stop"
    fields = {"act": "stop", "reason_public": "急诊手术", "shown_at": shown_at(scheduler.get(path))}
    fields |= {"arrived_are_seen": "y"} if ticked else {}
    answer = scheduler.post(path, fields)
    shown = text_of(scheduler.get(answer.headers["Location"]))
    assert ("1 位已经看完的记为完成" in shown) == ticked
    assert f"正在通知 {1 if ticked else 2} 人" in shown
    assert stored(Appointment, at.id, first).status == ("fulfilled" if ticked else "cancelled")
    letters = db.session.scalars(select(Message).where(Message.kind == "stopped")).all()
    assert (first in {letter.appointment_id for letter in letters}) != ticked


def test_nobody_is_asked_about_those_who_are_here_when_nobody_is(scheduler, there):
    assert "已报到" not in text_of(scheduler.get(f"/staff/sessions/{there.id}/stop"))


def test_without_a_reason_nothing_is_stopped(at, scheduler, there):
    answer = scheduler.post(f"/staff/sessions/{there.id}/stop", {"act": "stop", "reason_public": " "})
    assert answer.status_code == 422 and "请填写停诊原因" in text_of(answer)
    assert stored(ClinicSession, at.id, there.id).status == "published"


def test_the_deed_cancels_tells_and_shows_what_became_of_the_letters(at, scheduler, there):
    path = f"/staff/sessions/{there.id}/stop"
    fields = {"act": "stop", "reason_public": "外出会诊", "reason_internal": "院内会诊安排"}
    answer = scheduler.post(path, fields)
    assert answer.status_code == 303
    shown = text_of(scheduler.get(answer.headers["Location"]))
    assert "已停诊，正在通知 2 人" in shown
    assert "受影响 2" in shown and "正在通知 2" in shown and "待电话 0" in shown
    assert "外出会诊" in shown and "院内会诊安排" in shown and "李*禾" in shown
    row = stored(ClinicSession, at.id, there.id)
    assert (row.status, row.stopped_count, row.changed_by) == ("stopped", 2, "何予")
    found = db.session.scalars(select(Appointment).where(Appointment.session_id == there.id)).all()
    assert {(one.status, one.cancelled_by) for one in found} == {("cancelled", "hospital")}
    letters = db.session.scalars(select(Message).where(Message.kind == "stopped")).all()
    assert {letter.appointment_id for letter in letters} == {one.id for one in found}
    counted = len(letters)
    assert "已停诊：" in shown
    week = scheduler.get(f"/staff/week?w={there.session.local_date:%G-W%V}").get_data(as_text=True)
    assert "2 人受影响" in week and "已通知" not in week
    scheduler.post(path, fields, page="/staff/templates/new")
    assert "没有重复通知" in text_of(scheduler.get(path))
    db.session.rollback()
    assert len(db.session.scalars(select(Message).where(Message.kind == "stopped")).all()) == counted


def test_accepted_is_not_yet_delivered(at, scheduler, there):
    path = f"/staff/sessions/{there.id}/stop"
    scheduler.post(path, {"act": "stop", "reason_public": "外出会诊"})
    for status, words in (("accepted", "已通知，等回执 2"), ("delivered", "已送达 2")):
        db.session.rollback()
        for letter in db.session.scalars(select(Message).where(Message.kind == "stopped")):
            letter.status = status
        db.session.commit()
        assert words in text_of(scheduler.get(path))


def test_letters_that_failed_are_for_the_telephone(at, scheduler, there):
    path = f"/staff/sessions/{there.id}/stop"
    scheduler.post(path, {"act": "stop", "reason_public": "外出会诊"})
    db.session.rollback()
    for letter in db.session.scalars(select(Message).where(Message.kind == "stopped")):
        letter.status = "failed" if letter.channel == "sms" else "delivered"
    db.session.commit()
    page = scheduler.get(path)
    assert "待电话 2" in text_of(page) and 'href="tel:+86' in page.get_data(as_text=True)


def test_reopening_opens_the_free_places_and_brings_nobody_back(at, scheduler, there):
    scheduler.post(f"/staff/sessions/{there.id}/stop", {"act": "stop", "reason_public": "外出会诊"})
    answer = scheduler.post(f"/staff/sessions/{there.id}/reopen", page=f"/staff/sessions/{there.id}/stop")
    assert answer.status_code == 303
    assert "已重新开诊，放出 12 个空着的号" in text_of(scheduler.get(answer.headers["Location"]))
    assert stored(ClinicSession, at.id, there.id).status == "published"
    places = db.session.scalars(select(Place).where(Place.session_id == there.id)).all()
    assert all(place.open and place.appointment_id is None for place in places)
    again = scheduler.post(f"/staff/sessions/{there.id}/reopen", page=f"/staff/sessions/{there.id}")
    assert again.status_code == 409 and "没有停诊" in text_of(again)


def test_a_draft_and_a_finished_session_cannot_be_stopped(at, scheduler, now):
    draft = factory.open_session(at, status="draft")
    assert "不需要停诊" in text_of(scheduler.get(f"/staff/sessions/{draft.id}/stop"))
    over = factory.open_session(at, part="下午")
    now.shift(days=4)
    fresh = seat(scheduler.client.application, at, "scheduler")
    path = f"/staff/sessions/{over.id}/stop"
    assert "已经结束" in text_of(fresh.get(path))
    answer = fresh.post(path, {"act": "stop", "reason_public": "x"}, page="/staff/templates/new")
    assert answer.status_code == 409
    assert stored(ClinicSession, at.id, over.id).status == "published"


@pytest.mark.parametrize("value", HOSTILE)
def test_no_reason_breaks_the_page(at, scheduler, there, value):
    before = row_counts()
    safe = value.encode("utf-8", "replace").decode()
    for fields in ({"reason_public": safe}, {"reason_public": "x", "reason_internal": safe * 2}):
        answer = scheduler.post(f"/staff/sessions/{there.id}/stop", fields | {"act": "preview"})
        assert answer.status_code in (200, 422)
        assert "<script>alert" not in answer.get_data(as_text=True)
    assert row_counts() == before


def test_the_page_of_a_stop_asks_as_often_for_many_people_as_for_one(at, scheduler):
    asked: list[str] = []

    def note(_connection, _cursor, statement, *_more):
        asked.append(statement)

    def statements(part, people):
        there = factory.open_session(at, part=part, places=people)
        for number in range(people):
            code = f"4827{number:04d}" if part == "上午" else f"4828{number:04d}"
            factory.booked(at, there, factory.person(), visit_code=code)
        path = f"/staff/sessions/{there.id}/stop"
        assert scheduler.post(path, {"reason_public": "外出会诊"}).status_code == 303
        scheduler.get(path)
        asked.clear()
        shown = scheduler.get(path)
        assert text_of(shown).count("正在通知") >= people
        return len(asked)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert statements("上午", 1) == statements("下午", 4)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
