"""The delivery page and the call list, as the desk sees and uses them; and what the patient sees of the letters."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import select, update

from booking.appointments.cancel import cancel
from booking.appointments.stop import stop_session
from booking.db import db, transaction
from booking.notices.calls import list_calls
from booking.notices.models import PhoneCall, ProviderState
from booking.notices.service import send_due
from booking.outbox import Message
from booking.refs import ref
from booking.staff.rules import Actor
from tests import factory
from tests.doors.desk_people import HOSTILE, row_counts, seat, stored, text_of
from tests.doors.test_no_shows import Patient
from tests.notices.posting import post_code
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")


@pytest.fixture
def at():
    return factory.clinic()


@pytest.fixture
def desk(app, at):
    return seat(app, at, "desk")


def a_visit(at, **who):
    opened = factory.open_session(at)
    person = factory.person("赵安宁", **who)
    return opened, person, book(at, opened, person)


def end(row, status, kind, channel="sms", **columns):
    with transaction() as session:
        session.execute(
            update(Message)
            .where(Message.appointment_id == row.id, Message.kind == kind, Message.channel == channel)
            .values(status=status, next_at=factory.now(), lease_until=None, **columns)
        )


def stopped(at, opened):
    scheduler = Actor("scheduler", "0" * 32, "何予", hospital_id=at.id)
    stop_session(at.id, opened.id, actor=scheduler, reason="外出会诊")


# --- delivery


def test_an_empty_page_says_so(desk):
    shown = text_of(desk.get("/staff/delivery"))
    assert "今天计划 0" in shown and "没有符合的通知" in shown and "今天还没有发出短信或邮件" in shown


def test_figures_charts_and_tables_agree(at, desk):
    _opened, _who, row = a_visit(at)
    end(row, "failed", "confirmed", last_error="gateway answered 422")
    end(row, "delivered", "confirmed", channel="app", sent_at=factory.now())
    page = desk.get("/staff/delivery")
    shown = text_of(page)
    assert page.status_code == 200
    for words in (
        "今天计划 2",
        "已送达 1",
        "失败 1",
        "近 15 分钟失败 1 条，占 50%（共 2 条），超过 2%",
        "对方拒收",
    ):
        assert words in shown, words
    assert page.text.count("<figure") == 3 and page.text.count('<caption class="vh">') == 3
    assert page.text.count("<svg") > 20 and "<script" not in page.text.split("<main")[1]
    today = re.search(
        r"<th scope=\"row\">[^<]*</th><td[^>]*>1</td><td[^>]*>0</td><td[^>]*>0</td><td[^>]*>1</td>", page.text
    )
    assert today, "the table of the days says what the figures say"
    assert "赵安宁" not in shown and "赵*宁" in shown
    assert re.search(r"1380\d{7}", page.text) is None, "no whole number on the page"


def test_what_is_wrong_now_is_said(at, desk):
    _opened, _who, row = a_visit(at)
    now = factory.now()
    with transaction() as session:
        session.add(
            ProviderState(
                name="gateway",
                failures=5,
                rests_until=now + timedelta(minutes=2),
                last_error="gateway answered 503",
            )
        )
        late = now - timedelta(minutes=5)
        session.execute(
            update(Message)
            .where(Message.appointment_id == row.id, Message.kind == "confirmed")
            .values(due_at=late, next_at=late)
        )
    shown = text_of(desk.get("/staff/delivery"))
    assert "「gateway」暂停到" in shown and "对方服务出错" in shown
    assert "积压 2 条，最久的一条已经等了 6 分钟" in shown


def test_codes_that_do_not_arrive_are_said_at_every_hospital(at, desk, now):
    for number in range(4):
        post_code(f"+861380013070{number}")
    now.shift(seconds=21)
    assert "验证码积压 4 条，最久的一条已经等了" in text_of(desk.get("/staff/delivery"))

    def fail(most: int) -> None:
        with transaction() as session:
            some = session.scalars(select(Message.id).where(Message.kind == "code").limit(most)).all()
            session.execute(
                update(Message)
                .where(Message.id.in_(some))
                .values(status="failed", next_at=factory.now(), last_error="gateway answered 500")
            )

    fail(2)
    assert "可能登录不了" not in text_of(desk.get("/staff/delivery")), "two may have mistyped their numbers"
    fail(4)
    shown = text_of(desk.get("/staff/delivery"))
    assert "验证码近 15 分钟失败 4 条（共 4 条），患者可能登录不了" in shown and "验证码积压" not in shown
    assert "近 15 分钟失败 4 条，占" not in shown, "they are no letters of this hospital"


def test_filters_and_pages_take_anything(at, desk):
    _opened, _who, row = a_visit(at)
    end(row, "failed", "confirmed")
    assert "赵*宁" in text_of(desk.get("/staff/delivery?status=failed&channel=sms&kind=confirmed"))
    assert "没有符合的通知" in text_of(desk.get("/staff/delivery?status=failed&channel=email"))
    assert "没有符合的通知" in text_of(desk.get("/staff/delivery?date=2026-01-01&status=failed"))
    for value in HOSTILE:
        asked = quote(value, errors="surrogatepass")
        names = ("status", "channel", "kind", "date", "page")
        answer = desk.get("/staff/delivery?" + "&".join(f"{name}={asked}" for name in names))
        assert answer.status_code == 200, value
    assert desk.get("/staff/delivery?page=9999999").status_code == 200


def test_turning_pages(at, desk, monkeypatch):
    monkeypatch.setattr("booking.desk.delivery.PAGE", 1)
    _opened, _who, row = a_visit(at)
    end(row, "failed", "confirmed")
    end(row, "delivered", "confirmed", channel="app", sent_at=factory.now())
    first = desk.get("/staff/delivery?kind=confirmed")
    assert "下一页" in first.text and "上一页" not in text_of(first)
    second = desk.get("/staff/delivery?kind=confirmed&page=2")
    assert "上一页" in second.text and "下一页" not in text_of(second)


def resend_url(page):
    found = re.search(r'action="(/staff/delivery/[0-9a-f-]+/resend)"', page.text)
    return found and found[1]


def test_a_failed_letter_is_sent_again_once(at, desk):
    _opened, _who, row = a_visit(at)
    end(row, "failed", "confirmed")
    page = desk.get("/staff/delivery")
    path = resend_url(page)
    assert page.text.count("重发赵*宁的预约成功") == 1
    answer = desk.post(path, {"back": "/staff/delivery?status=failed"}, page="/staff/delivery")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/staff/delivery?status=failed")
    shown = text_of(desk.get("/staff/delivery"))
    assert "已重新排队" in shown and resend_url(desk.get("/staff/delivery")) is None
    desk.post(path, page="/staff/day")
    assert "没有再发一次" in text_of(desk.get("/staff/delivery"))
    send_due()
    found = db.session.scalars(
        select(Message).where(Message.kind == "confirmed", Message.channel == "sms")
    ).all()
    assert len(found) == 2


def test_what_is_no_longer_true_has_no_button_and_is_refused(at, desk):
    _opened, who, row = a_visit(at)
    end(row, "failed", "confirmed")
    path = resend_url(desk.get("/staff/delivery"))
    cancel(at.id, row.id, actor=as_account(who))
    assert resend_url(desk.get("/staff/delivery")) is None
    before = row_counts()
    answer = desk.post(path, page="/staff/day")
    assert answer.status_code == 409 and "不再是事实" in text_of(answer)
    assert row_counts() == before


def test_only_a_post_sends_again(at, desk):
    _opened, _who, row = a_visit(at)
    end(row, "failed", "confirmed")
    path = resend_url(desk.get("/staff/delivery"))
    before = row_counts()
    assert desk.get(path).status_code == 405
    assert desk.send(path).status_code == 400, "without the page's token"
    assert row_counts() == before


@pytest.mark.parametrize(
    ("role", "delivery", "calls", "again"),
    [
        ("scheduler", 200, 200, 403),
        ("desk", 200, 200, 409),
        ("admin", 200, 200, 409),
        ("doctor", 403, 403, 403),
    ],
)
def test_who_sees_what(app, at, role, delivery, calls, again):
    _opened, _who, row = a_visit(at)
    letter = db.session.scalars(select(Message).where(Message.appointment_id == row.id)).first()
    one = seat(app, at, role)
    assert one.get("/staff/delivery").status_code == delivery
    assert one.get("/staff/calls").status_code == calls
    path = f"/staff/delivery/{letter.id}/resend"
    page = "/staff/day" if role in ("desk", "admin") else "/staff/mine" if role == "doctor" else "/staff/week"
    assert one.post(path, page=page).status_code == again


def test_another_hospital_sees_and_sends_nothing(app, at):
    _opened, _who, row = a_visit(at)
    end(row, "failed", "confirmed")
    letter = db.session.scalars(select(Message).where(Message.status == "failed")).first()
    stranger = seat(app, factory.clinic(), "admin")
    assert "赵*宁" not in stranger.get("/staff/delivery").text
    assert stranger.post(f"/staff/delivery/{letter.id}/resend", page="/staff/day").status_code == 404


# --- the call list


@pytest.fixture
def call(at):
    opened, who, row = a_visit(at, own_phone="+8613800139876")
    stopped(at, opened)
    end(row, "failed", "stopped")
    list_calls()
    found = db.session.scalars(select(PhoneCall)).one()
    return found, who, row


def test_the_list_says_whom_to_ring_and_what_to_say(at, desk, call):
    found, who, _row = call
    page = desk.get("/staff/calls")
    shown = text_of(page)
    assert 'href="tel:+8613800139876"' in page.text and f'href="tel:{who.account.phone}"' in page.text
    assert "就诊人 138 0013 9876" in shown and "赵*宁" in shown and "赵安宁" not in shown
    assert "停诊通知" in shown and "外出会诊" in shown and "短信没有发到" in shown
    assert "电话名单 1" in text_of(desk.get("/staff/week"))
    addresses = re.findall(r'(?:href|action)="([^"]+)"', page.text)
    assert not [one for one in addresses if "9876" in one and not one.startswith("tel:")]
    assert found.id.hex in page.text


def test_a_list_longer_than_the_page_says_how_many_more_wait(at, desk, call, monkeypatch):
    found, _who, _row = call
    shown = text_of(desk.get("/staff/calls"))
    assert "没有显示" not in shown
    monkeypatch.setattr("booking.desk.calls.SHOWN", 0)
    assert "还有 1 位没有显示" in text_of(desk.get("/staff/calls"))
    desk.post(f"/staff/calls/{found.id}", {"outcome": "reached", "tries": "0"}, page="/staff/calls")
    assert "没有显示" not in text_of(desk.get("/staff/calls"))


def test_ticking_off(at, desk, call):
    found, _who, _row = call
    path = f"/staff/calls/{found.id}"
    answer = desk.post(path, {"outcome": "no_answer", "tries": "0", "note": "占线"}, page="/staff/calls")
    assert answer.status_code == 303
    shown = text_of(desk.get("/staff/calls"))
    assert "还留在名单上" in shown and "打过 1 次，没人接" in shown and "占线" in shown
    assert desk.post(path, {"outcome": "reached", "tries": "1"}, page="/staff/calls").status_code == 303
    shown = text_of(desk.get("/staff/calls"))
    assert "没有要打的电话" in shown and "已告知" in shown and "何予" in shown
    late = desk.post(path, {"outcome": "wrong_number", "tries": "1"}, page="/staff/day")
    assert late.status_code == 409 and "有同事处理过" in text_of(late)
    row = stored(PhoneCall, at.id, found.id)
    assert (row.outcome, row.tries, row.done_by) == ("reached", 2, desk.member.id.hex)


def test_what_nobody_means_changes_nothing(at, desk, call):
    found, _who, _row = call
    path = f"/staff/calls/{found.id}"
    before = row_counts()
    values = [one for one in HOSTILE if one.isprintable() and one != "\ud800"]
    for value in values:
        answer = desk.post(path, {"outcome": value, "tries": "0"}, page="/staff/calls")
        assert answer.status_code == 422, value
    for value in (one for one in values if one.strip()):
        answer = desk.post(path, {"outcome": "reached", "tries": value}, page="/staff/calls")
        assert answer.status_code == 422, value
    assert (
        desk.post(
            path, {"outcome": "reached", "tries": "0", "note": "長" * 300}, page="/staff/calls"
        ).status_code
        == 422
    )
    assert desk.post(
        "/staff/calls/00000000-0000-0000-0000-000000000000", page="/staff/calls"
    ).status_code in (404, 422)
    assert row_counts() == before
    assert stored(PhoneCall, at.id, found.id).done_at is None


def test_the_stop_and_the_call_list_say_the_same(at, app, desk, call):
    found, _who, row = call
    path = f"/staff/sessions/{row.session_id}/stop"
    scheduler = seat(app, at, "scheduler")
    page = scheduler.get(path)
    assert "待电话 1" in text_of(page) and 'href="/staff/calls"' in page.text
    desk.post(f"/staff/calls/{found.id}", {"outcome": "reached", "tries": "0"}, page="/staff/calls")
    shown = text_of(scheduler.get(path))
    assert "待电话 0" in shown and "电话已告知" in shown and "已送达 1" in shown


# --- the patient


def test_the_patient_sees_what_was_sent_planned_and_not_sent(app, at, receipts):
    _opened, who, row = a_visit(at, own_phone="+8613800139876")
    send_due()
    receipts(["gateway"])
    end(row, "accepted", "confirmed", sent_at=factory.now(), provider="gateway")
    with transaction() as session:
        session.execute(
            update(Message)
            .where(Message.recipient == "patient", Message.kind == "confirmed")
            .values(status="failed", last_error="gateway answered 422")
        )
        session.execute(
            update(Message)
            .where(Message.recipient == "patient", Message.kind == "reminder_hours")
            .values(status="suppressed", last_error="reminders are switched off")
        )
    visitor = Patient(app, who)
    page = visitor.get(f"/me/appointments/{ref(row)}")
    shown = text_of(page)
    for words in (
        "我们发给你的",
        "已发出，还没有送达回执",
        "已放进站内消息",
        "没有发成：对方拒收",
        "没有发：提醒已关闭",
        "就诊人 138****9876",
    ):
        assert words in shown, words
    assert "13800139876" not in page.text, "the patient's own phone is masked for the booker too"
    assert re.search(r"计划 .{4,20} 发", shown)
    listed = text_of(visitor.get("/me/messages"))
    assert "同时发了 短信：已发出，还没有送达回执；就诊人的短信：没有发成：对方拒收" in listed
    receipts([])
    assert "还没有送达回执" not in text_of(visitor.get("/me/messages")), "nobody waits for what never comes"
    stranger = Patient(app, factory.person("王陌生"))
    assert "同时发了" not in text_of(stranger.get("/me/messages"))
    assert stranger.get(f"/me/appointments/{ref(row)}").status_code == 404
