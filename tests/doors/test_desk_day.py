"""The day list, checking in, one visit, and a doctor's own week."""

from __future__ import annotations

import re
from datetime import date, time, timedelta

import pytest
from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.appointments.rules import new_visit_code
from booking.clock import utc
from booking.db import db
from booking.notices.service import send_due
from booking.outbox import Message
from tests import factory
from tests.doors.desk_people import HOSTILE, row_counts, seat, stored, text_of

DAY = date(2030, 1, 8)
CODE, OTHER_CODE, LATER_CODE = (
    new_visit_code(lambda digits=digits: digits) for digits in ("4827193", "1234567", "7654321")
)


@pytest.fixture
def at(within, now):
    now.at(utc(DAY, time(8), "Asia/Shanghai"))
    return factory.clinic()


@pytest.fixture
def there(at):
    return factory.open_session(at, DAY)


@pytest.fixture
def visit(at, there):
    return factory.booked(at, there, factory.person("李秋禾"), visit_code=CODE)


@pytest.fixture
def desk(app, at):
    return seat(app, at, "desk")


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_is_masked_and_counts(at, there, visit, desk):
    factory.booked(at, there, factory.person("周小满"), slot=1, visit_code=OTHER_CODE)
    page = desk.get("/staff/day")
    shown = text_of(page)
    assert page.status_code == 200
    assert "李*禾" in shown and "周*满" in shown and "李秋禾" not in page.get_data(as_text=True)
    assert "71 岁" in shown and "待报到" in shown and "已约 2" in shown and "待报到 2" in shown
    assert CODE not in page.get_data(as_text=True)


def test_people_are_found_by_code_phone_tail_and_name(at, there, visit, desk):
    other = factory.person("周小满")
    factory.booked(at, there, other, slot=1, visit_code=OTHER_CODE)
    spaced = f"{OTHER_CODE[:4]} {OTHER_CODE[4:]}"
    for q in (OTHER_CODE, spaced, other.account.phone[-4:], "周小", "小满", "zxm", "zhouxiaoman", "ZXiaoM"):
        shown = text_of(desk.get("/staff/day", query_string={"q": q}))
        assert "周*满" in shown and "李*禾" not in shown, q
    assert "没有符合的预约" in text_of(desk.get("/staff/day", query_string={"q": "没有这个人"}))


def test_the_list_is_filtered_by_doctor_state_and_day(at, there, visit, desk):
    another = factory.another_doctor(at)
    there_too = factory.open_session(another, DAY, part="下午", starts=time(14), ends=time(15))
    factory.booked(another, there_too, factory.person("周小满"), status="cancelled", visit_code=OTHER_CODE)
    assert "李*禾" not in text_of(desk.get(f"/staff/day?doctor={another.doctor.id}"))
    assert "周*满" not in text_of(desk.get("/staff/day?status=booked"))
    assert "没有符合的预约" in text_of(desk.get(f"/staff/day?date={DAY + timedelta(days=1)}"))


@pytest.fixture
def long_day(at, monkeypatch):
    """A day with more visits than are shown at once: two doctors in the morning, one in the afternoon."""
    monkeypatch.setattr("booking.desk.day.FEW", 1)
    another = factory.another_doctor(at)
    morning = factory.open_session(at, DAY, starts=time(8), ends=time(10))
    beside = factory.open_session(another, DAY, starts=time(9), ends=time(11))
    later = factory.open_session(another, DAY, part="下午", starts=time(14), ends=time(15))
    for where, there, name, code in (
        (at, morning, "李秋禾", CODE),
        (another, beside, "周小满", OTHER_CODE),
        (another, later, "吴桂芳", LATER_CODE),
    ):
        sold = {"part": "下午" if there is later else "上午", "doctor": where.doctor.name}
        factory.booked(where, there, factory.person(name), visit_code=code, sold=sold)
    return morning, beside, later


def open_lists(page):
    return re.findall(r'<details class="section" id="s-([0-9a-f]{32})" open>', page.get_data(as_text=True))


def test_a_long_day_begins_with_what_is_going_on(at, desk, long_day, now):
    morning, _beside, later = long_day
    page = desk.get("/staff/day")
    shown = text_of(page)
    assert "李*禾" in shown and "周*满" in shown and "吴*芳" not in shown
    assert "上午 2" in shown and "下午 1" in shown and "全天 3" in shown and "已约 3" in shown
    assert open_lists(page) == [morning.id.hex]
    now.shift(hours=4)
    page = desk.get("/staff/day")
    assert "吴*芳" in text_of(page) and open_lists(page) == [later.id.hex]


def test_a_long_day_can_be_seen_whole_and_is_searched_whole(at, desk, long_day):
    _morning, beside, later = long_day
    whole = desk.get("/staff/day?part=all&fold=no")
    assert open_lists(whole) == [one.id.hex for one in long_day]
    assert len(open_lists(desk.get("/staff/day?part=all"))) == 1
    assert open_lists(desk.get(f"/staff/day?open={beside.id.hex}")) == [beside.id.hex]
    for narrow in ("q=wgf", "status=booked"):
        found = desk.get(f"/staff/day?{narrow}")
        assert "吴*芳" in text_of(found) and later.id.hex in open_lists(found)
    assert "吴*芳" in text_of(desk.get("/staff/day", query_string={"part": "下午"}))
    assert "李*禾" in text_of(desk.get("/staff/day?part=x"))


def test_a_refused_check_in_keeps_the_list_it_was_pressed_in(at, desk, long_day):
    _morning, beside, _later = long_day
    here = f"/staff/day?part=%E4%B8%8A%E5%8D%88&open={beside.id.hex}"
    row = factory.booked(
        at, long_day[0], factory.person("郑桂兰"), slot=1, status="cancelled", sold={"part": "上午"}
    )
    refused = desk.post(f"/staff/appointment/{row.id}/check-in", {"back": here}, page="/staff/day")
    assert refused.status_code == 409 and open_lists(refused) == [beside.id.hex]
    assert "吴*芳" not in text_of(refused)


@pytest.mark.parametrize("value", HOSTILE)
def test_whatever_stands_in_the_address_the_list_comes(at, visit, desk, value):
    safe = value[:3000].encode("utf-8", "replace").decode()
    for name in ("date", "doctor", "session", "status", "q", "part", "open", "fold"):
        assert desk.get("/staff/day", query_string={name: safe}).status_code == 200


# --- checking in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [CODE, f" {CODE[:4]} {CODE[4:]} ", f"{CODE[:4]}-{CODE[4:]}", "full-width"])
def test_a_code_and_enter_check_in(at, visit, desk, typed):
    if typed == "full-width":
        typed = CODE.translate({ord("0") + digit: chr(ord("０") + digit) for digit in range(10)})
    answer = desk.post("/staff/day/check-in", {"code": typed, "back": "/staff/day"}, page="/staff/day")
    assert answer.status_code == 303
    shown = text_of(desk.get(answer.headers["Location"]))
    assert "李*禾已报到，排队号 1（沈知远，302 诊室）" in shown
    row = stored(Appointment, at.id, visit.id)
    assert (row.status, row.queue_number) == ("arrived", 1)
    desk.post("/staff/day/check-in", {"code": typed}, page="/staff/day")
    assert "李*禾已经报到过，排队号 1" in text_of(desk.get("/staff/day"))


def test_the_result_is_spoken_and_the_field_waits_for_the_next_code(at, visit, desk):
    desk.post("/staff/day/check-in", {"code": CODE}, page="/staff/day")
    body = desk.get("/staff/day").get_data(as_text=True)
    assert re.search(r'class="scan-say scan-say--ok" role="status">李\*禾已报到', body)
    assert re.search(r'<input id="scan"[^>]* autofocus', body)
    assert body.count("李*禾已报到") == 1


def test_late_people_are_told_so(at, visit, desk, now):
    now.at(utc(DAY, time(9, 5), "Asia/Shanghai"))
    desk.post("/staff/day/check-in", {"code": CODE}, page="/staff/day")
    assert "迟到，排到本时段最后" in text_of(desk.get("/staff/day"))


@pytest.mark.parametrize(
    ("code", "status", "sentence"),
    [
        ("12345", 422, "预约码是 8 位数字，请再扫一次"),
        ("", 422, "请扫码或输入 8 位预约码"),
        ("x" * 9000, 422, "预约码是 8 位数字"),
        ("00000000", 404, "没有这个预约码"),
        (OTHER_CODE, 404, "没有这个预约码"),
        ("\x00" * 8, 422, "请扫码或输入 8 位预约码"),
    ],
)
def test_a_code_that_fits_nobody(at, visit, desk, code, status, sentence):
    before = row_counts()
    answer = desk.post("/staff/day/check-in", {"code": code}, page="/staff/day")
    assert answer.status_code == status and sentence in text_of(answer)
    assert row_counts() == before


def test_the_wrong_day_and_too_early_say_when(at, visit, desk, now):
    tomorrow = factory.open_session(at, DAY + timedelta(days=1))
    factory.booked(at, tomorrow, factory.person("周小满"), visit_code=LATER_CODE)
    answer = desk.post("/staff/day/check-in", {"code": LATER_CODE}, page="/staff/day")
    assert answer.status_code == 409 and "这个预约是 1 月 9 日 的" in text_of(answer)
    now.at(utc(DAY, time(6), "Asia/Shanghai"))
    early = seat(desk.client.application, at, "desk")
    answer = early.post("/staff/day/check-in", {"code": CODE}, page="/staff/day")
    assert answer.status_code == 409 and "06:30 起可以报到" in text_of(answer)


def test_a_row_checks_in_with_one_press(at, visit, desk):
    assert f'formaction="/staff/appointment/{visit.id}/check-in"' in desk.get("/staff/day").get_data(
        as_text=True
    )
    answer = desk.post(
        f"/staff/appointment/{visit.id}/check-in", {"back": "/staff/day?status=booked"}, page="/staff/day"
    )
    assert answer.headers["Location"] == "/staff/day?status=booked"
    assert stored(Appointment, at.id, visit.id).status == "arrived"


# --- who has been seen -----------------------------------------------------------------------------------------------


def come(desk, visit):
    desk.post(f"/staff/appointment/{visit.id}/check-in", {"back": "/staff/day"}, page="/staff/day")


def test_a_row_says_with_one_press_that_somebody_has_been_seen(at, visit, desk, now):
    path = f"/staff/appointment/{visit.id}/finish"
    assert path not in desk.get("/staff/day").get_data(as_text=True), "nobody is seen before they are here"
    come(desk, visit)
    body = desk.get("/staff/day").get_data(as_text=True)
    assert f'formaction="{path}" aria-label="李*禾看完了"' in body
    answer = desk.post(path, {"back": "/staff/day"}, page="/staff/day")
    assert answer.status_code == 409 and "刚刚报到（不到 1 分钟）" in text_of(answer)
    assert stored(Appointment, at.id, visit.id).status == "arrived", "pressed twice where 报到 stood"
    now.shift(minutes=2)
    answer = desk.post(path, {"back": "/staff/day?status=arrived"}, page="/staff/day")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/staff/day?status=arrived")
    assert stored(Appointment, at.id, visit.id).status == "fulfilled"
    shown = text_of(desk.get("/staff/day"))
    assert "李*禾看完了" in shown and "已报到 1" in shown and "已完成 1" in shown
    assert "formaction" not in desk.get("/staff/day").get_data(as_text=True)
    assert desk.post(path, page="/staff/day").status_code == 303, "a second press changes nothing"


def test_nobody_is_seen_who_is_not_here(at, visit, desk):
    answer = desk.post(f"/staff/appointment/{visit.id}/finish", page="/staff/day")
    assert answer.status_code == 409 and "还没有报到，请先报到" in text_of(answer)
    assert stored(Appointment, at.id, visit.id).status == "booked"
    assert desk.post(f"/staff/appointment/{at.doctor.id}/finish", page="/staff/day").status_code == 404


def test_one_visit_is_finished_on_its_own_page(at, visit, desk, now):
    path = f"/staff/appointment/{visit.id}"
    assert f"{path}/finish" not in desk.get(path).get_data(as_text=True)
    come(desk, visit)
    now.shift(minutes=2)
    assert f'action="{path}/finish"' in desk.get(path).get_data(as_text=True)
    answer = desk.post(f"{path}/finish", {"back": path}, page=path)
    shown = text_of(desk.get(answer.headers["Location"]))
    assert "李*禾看完了" in shown and "已完成" in shown
    assert "取消预约并通知患者" not in shown and "撤销报到" not in shown


# --- a check-in that was a mistake -----------------------------------------------------------------------------------


def test_a_check_in_is_taken_back_with_a_reason(at, visit, desk):
    path = f"/staff/appointment/{visit.id}"
    assert "撤销报到" not in text_of(desk.get(path))
    come(desk, visit)
    assert "报错人了？撤销报到" in text_of(desk.get(path))
    answer = desk.post(f"{path}/undo-check-in", {"why": " "}, page=path)
    body = answer.get_data(as_text=True)
    assert answer.status_code == 422 and "请填写撤销报到的原因" in text_of(answer)
    assert '<a href="#why">' in body and body.count('id="why"') == 1 and f'name="back" value="{path}"' in body
    assert stored(Appointment, at.id, visit.id).status == "arrived"
    answer = desk.post(f"{path}/undo-check-in", {"why": "扫错了凭条"}, page=path)
    assert answer.status_code == 303
    shown = text_of(desk.get(path))
    assert "已撤销报到，这个预约回到待报到" in shown and "撤销报到：扫错了凭条" in shown and "待报到" in shown
    assert (
        stored(Appointment, at.id, visit.id).status,
        stored(Appointment, at.id, visit.id).queue_number,
    ) == (
        "booked",
        None,
    )
    come(desk, visit)
    assert "排队号 2" in text_of(desk.get(path))


def test_what_is_over_is_not_taken_back(at, visit, desk, now):
    path = f"/staff/appointment/{visit.id}"
    come(desk, visit)
    now.shift(minutes=2)
    desk.post(f"{path}/finish", page=path)
    answer = desk.post(f"{path}/undo-check-in", {"why": "扫错了凭条"}, page="/staff/day")
    assert answer.status_code == 409 and "它的状态是：已就诊" in text_of(answer)
    assert stored(Appointment, at.id, visit.id).status == "fulfilled"


@pytest.mark.parametrize("value", HOSTILE)
def test_no_reason_for_a_mistake_breaks_the_page(at, visit, desk, value):
    come(desk, visit)
    path = f"/staff/appointment/{visit.id}"
    safe = value.encode("utf-8", "replace").decode()
    answer = desk.post(f"{path}/undo-check-in", {"why": safe}, page=path)
    assert answer.status_code in (303, 422)
    assert "<script>alert" not in desk.get(path).get_data(as_text=True)


# --- one visit -------------------------------------------------------------------------------------------------------


def test_one_visit_shows_its_facts_its_history_and_no_complaint(at, there, desk):
    visit = factory.booked(at, there, factory.person("李秋禾"), visit_code=CODE, complaint="关节疼")
    page = desk.get(f"/staff/appointment/{visit.id}")
    shown = text_of(page)
    assert page.status_code == 200
    assert "李秋禾，女，71 岁" in shown and "预约成功" in shown and f"{CODE[:4]} {CODE[4:]}" in shown
    assert "关节疼" not in shown, "what brings the patient here is for the doctor"


def test_cancelling_needs_a_reason_and_tells_the_patient(at, visit, desk):
    path = f"/staff/appointment/{visit.id}"
    answer = desk.post(f"{path}/cancel", {"reason": " "}, page=path)
    assert answer.status_code == 422 and "请填写取消原因" in text_of(answer)
    answer = desk.post(f"{path}/cancel", {"reason": "忙", "by": "nobody"}, page=path)
    assert answer.status_code == 422 and "请选择是患者要求还是医院原因" in text_of(answer)
    assert stored(Appointment, at.id, visit.id).status == "booked"
    answer = desk.post(f"{path}/cancel", {"reason": "患者来电说不来了"}, page=path)
    assert answer.status_code == 303
    row = stored(Appointment, at.id, visit.id)
    assert (row.status, row.cancelled_by, row.cancel_reason) == ("cancelled", "patient", "患者来电说不来了")
    shown = text_of(desk.get(path))
    assert "已取消，号已放回" in shown and "取消预约·短信·预约人" in shown and "患者来电说不来了" in shown
    assert "取消预约并通知患者" not in shown


def test_the_desk_says_at_whose_wish_it_cancels(at, visit, desk):
    path = f"/staff/appointment/{visit.id}"
    page = desk.get(path)
    assert "患者要求" in text_of(page) and "医院原因" in text_of(page)
    (chosen,) = re.findall(r"<input[^>]*checked[^>]*>", page.text)
    assert 'name="by"' in chosen and 'value="patient"' in chosen
    answer = desk.post(f"{path}/cancel", {"reason": "医生请假", "by": "hospital"}, page=path)
    assert answer.status_code == 303
    assert stored(Appointment, at.id, visit.id).cancelled_by == "hospital"


def test_moving_offers_the_doctor_then_the_department_and_keeps_the_code(at, there, visit, desk):
    another = factory.another_doctor(at)
    factory.open_session(another, DAY + timedelta(days=1))
    path = f"/staff/appointment/{visit.id}/move"
    page = text_of(desk.get(path))
    assert page.index("同一位医生") < page.index("同科室的医生") and "陆明溪" in page
    slot = there.slots[3]
    answer = desk.post(path, {"slot": slot.id.hex, "by": "patient", "reason": "患者要求"})
    assert answer.status_code == 303
    row = stored(Appointment, at.id, visit.id)
    assert (row.slot_id, row.status, row.visit_code, row.version) == (slot.id, "booked", CODE, 2)
    assert "已改约，正在通知患者" in text_of(desk.get(answer.headers["Location"]))


@pytest.mark.parametrize("by", ["patient", "hospital"])
def test_the_desk_says_at_whose_wish_it_moves(at, there, visit, desk, by):
    path, slot = f"/staff/appointment/{visit.id}/move", there.slots[3].id.hex
    page = desk.get(path)
    assert "谁要改约" in text_of(page)
    for nobody in ({"by": "nobody"}, {}):
        answer = desk.post(path, {"slot": slot} | nobody, page=path)
        assert answer.status_code == 422 and "请选择是患者要求还是医院原因" in text_of(answer)
    assert stored(Appointment, at.id, visit.id).version == 1
    answer = desk.post(path, {"slot": slot, "by": by, "reason": "上午要开会"}, page=path)
    assert answer.status_code == 303
    db.session.remove()  # what was read above is older than the letters
    send_due()
    db.session.remove()
    told = db.session.scalars(select(Message).where(Message.kind == "moved")).all()
    assert told and {one.facts["by"] for one in told} == {by}
    (body,) = {one.body for one in told if one.channel == "app"}
    assert ("上午要开会" in body) == (by == "hospital"), "why somebody asked for another time is for the desk"


def test_who_has_arrived_is_not_offered_another_time(at, visit, desk):
    path = f"/staff/appointment/{visit.id}"
    assert f"{path}/move" in desk.get(path).text
    desk.post(f"{path}/check-in", page=path)
    assert f"{path}/move" not in desk.get(path).text
    assert "已报到，不能改约" in text_of(desk.get(f"{path}/move"))


@pytest.mark.parametrize("slot", ["", "x", "0" * 32, "\x00", "9" * 5000])
def test_a_time_that_is_none_moves_nobody(at, visit, desk, slot):
    before = row_counts()
    answer = desk.post(f"/staff/appointment/{visit.id}/move", {"slot": slot, "by": "patient"})
    assert answer.status_code in (404, 409, 410, 422)
    assert row_counts() == before
    assert stored(Appointment, at.id, visit.id).version == 1


def test_a_full_time_is_refused_with_the_page_as_it_is_now(at, visit, desk):
    full = factory.open_session(at, DAY + timedelta(days=1), places=1)
    factory.booked(at, full, factory.person("周小满"), visit_code=OTHER_CODE)
    answer = desk.post(f"/staff/appointment/{visit.id}/move", {"slot": full.slots[0].id.hex, "by": "patient"})
    assert answer.status_code == 409 and "没有可以给这位患者的号了" in text_of(answer)


@pytest.mark.parametrize("value", HOSTILE)
def test_no_reason_breaks_cancelling(at, visit, desk, value):
    safe = value.encode("utf-8", "replace").decode()
    path = f"/staff/appointment/{visit.id}"
    answer = desk.post(f"{path}/cancel", {"reason": safe}, page=path)
    assert answer.status_code in (303, 422)
    assert "<script>alert" not in desk.get(path).get_data(as_text=True)


# --- a doctor's own --------------------------------------------------------------------------------------------------


def test_a_doctor_sees_the_own_sessions_with_counts_and_nobody_elses(app, at, there, visit):
    another = factory.another_doctor(at)
    factory.open_session(another, DAY, part="下午", room="999 诊室", starts=time(14), ends=time(16))
    factory.open_session(at, DAY + timedelta(days=1), room="777 诊室", status="draft")
    page = seat(app, at, "doctor").get(f"/staff/mine?w={DAY:%G-W%V}")
    shown = text_of(page)
    assert page.status_code == 200
    assert "1 / 12" in shown and "302 诊室" in shown
    assert "999 诊室" not in shown and "777 诊室" not in shown and "李" not in shown.split("我的出诊")[-1]
    assert "<form" not in page.get_data(as_text=True).split("<main")[1].split("</main>")[0]


def test_staff_without_a_doctor_are_told_so(app, at):
    assert "没有对应的医生" in text_of(seat(app, at, "scheduler").get("/staff/mine"))
