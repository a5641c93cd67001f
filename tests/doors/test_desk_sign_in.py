"""Signing in at the desk."""

from __future__ import annotations

import re

import pytest

from booking.staff.service import add_staff
from tests import factory
from tests.doors.desk_people import text_of

PASSWORD = "a-long-password"


@pytest.fixture
def at(app):
    with app.app_context():
        at = factory.clinic(hospital={"slug": "linlan-1"})
        add_staff(at.id, "heyu", "何予", "scheduler", PASSWORD)
        add_staff(at.id, "linqiu", "林秋", "desk", PASSWORD)
        add_staff(at.id, "shen", "沈知远", "doctor", PASSWORD, doctor_id=at.doctor.id)
    return at


def sign_in(client, username, password, **more):
    page = client.get("/staff/login" + (f"?next={more['next']}" if "next" in more else ""))
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.get_data(as_text=True))[1]
    after = re.search(r'name="next" type="hidden" value="([^"]*)"', page.get_data(as_text=True))
    fields = {
        "csrf_token": token,
        "username": username,
        "password": password,
        "next": after[1] if after else "",
    }
    return client.post("/staff/login", data=fields | {k: v for k, v in more.items() if k == "raw_next"})


@pytest.mark.parametrize(
    ("username", "first"),
    [("heyu@linlan-1", "/staff/week"), ("linqiu@linlan-1", "/staff/day"), ("shen@linlan-1", "/staff/mine")],
)
def test_each_role_begins_on_its_own_page(at, client, username, first):
    answer = sign_in(client, username, PASSWORD)
    assert answer.status_code == 303
    assert client.get(answer.headers["Location"]).headers["Location"] == first
    shown = text_of(client.get(first))
    assert at.hospital.name in shown and "退出" in shown


@pytest.mark.parametrize("username", ["HEYU@linlan-1", " heyu@LINLAN-1 ", "ｈｅｙｕ＠linlan-1"])
def test_the_name_may_be_typed_with_capitals_blanks_and_full_width_signs(at, client, username):
    assert sign_in(client, username, PASSWORD).status_code == 303


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("heyu@linlan-1", "wrong"),
        ("nobody@linlan-1", PASSWORD),
        ("heyu@elsewhere", PASSWORD),
        ("heyu", PASSWORD),
        ("heyu@linlan-1", PASSWORD + "\x00"),
        ("' OR 1=1 --@linlan-1", "x"),
        ("\x00@\x00", "\x00"),
    ],
)
def test_every_mismatch_reads_the_same_and_keeps_the_name(at, client, username, password):
    answer = sign_in(client, username, password)
    assert answer.status_code == 422
    assert "账号或密码不对" in text_of(answer)
    assert PASSWORD not in answer.get_data(as_text=True)
    assert "错误：" in answer.get_data(as_text=True).split("</title>")[0]
    with client.session_transaction() as kept:
        assert "staff" not in kept


def test_nothing_typed_is_two_sentences(at, client):
    shown = text_of(sign_in(client, " ", ""))
    assert "有 2 处需要修改" in shown and "请填写账号" in shown and "请填写密码" in shown


def test_wrong_passwords_close_the_sign_in_for_longer_and_longer(at, client, now):
    for _try in range(3):
        assert sign_in(client, "heyu@linlan-1", "wrong").status_code == 422
    closed = sign_in(client, "heyu@linlan-1", PASSWORD)
    assert closed.status_code == 429
    assert re.search(r"连续输错太多次，请 \d+ 秒后再试", text_of(closed))
    now.shift(seconds=11)
    assert sign_in(client, "heyu@linlan-1", "wrong").status_code == 422
    now.shift(seconds=11)
    assert sign_in(client, "heyu@linlan-1", PASSWORD).status_code == 429
    now.shift(seconds=11)
    assert sign_in(client, "heyu@linlan-1", PASSWORD).status_code == 303


def test_the_way_back_is_kept_but_never_leads_elsewhere(at, client):
    answer = sign_in(client, "heyu@linlan-1", PASSWORD, next="/staff/templates")
    assert answer.headers["Location"] == "/staff/templates"
    client.post("/staff/logout")
    with client.session_transaction() as kept:
        kept.pop("staff", None)
    answer = sign_in(client, "heyu@linlan-1", PASSWORD, next="https://elsewhere.example/staff/")
    assert answer.headers["Location"] == "/staff/"


def test_staff_and_patient_in_one_browser_do_not_touch_each_other(at, client):
    with client.application.app_context():
        who = factory.person()
    with client.session_transaction() as kept:
        kept["account"], kept["key"] = who.id, "browser-key"
    assert sign_in(client, "heyu@linlan-1", PASSWORD).status_code == 303
    with client.session_transaction() as kept:
        assert kept["account"] == who.id and kept["key"] == "browser-key"
    page = client.get("/staff/week").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    assert client.post("/staff/logout", data={"csrf_token": token}).status_code == 303
    with client.session_transaction() as kept:
        assert kept["account"] == who.id and "staff" not in kept


def test_signing_in_makes_a_new_forgery_token(at, client):
    client.get("/staff/login")
    with client.session_transaction() as kept:
        before = kept["csrf_token"]
    sign_in(client, "heyu@linlan-1", PASSWORD)
    client.get("/staff/week")
    with client.session_transaction() as kept:
        assert kept["csrf_token"] != before


def test_many_tries_from_one_address_are_slowed_down(another_app):
    app = another_app(RATELIMIT_ENABLED=True)
    client = app.test_client()
    answers = [sign_in(client, "x@y", "z").status_code for _try in range(21)]
    assert answers[:20] == [422] * 20 and answers[20] == 429
