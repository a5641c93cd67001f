"""Signing in with a phone and a code, the account's patients and settings."""

from __future__ import annotations

import hashlib
import re

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from sqlalchemy import func, select, update

from booking.db import db, transaction
from booking.people.models import Account, Consent, OneTimeCode, Patient, PatientLink
from tests import factory
from tests.doors.visitor import Visitor, title

ADULT = {
    "relation": "self",
    "name": "顾清扬",
    "id_type": "resident",
    "id_number": "11010519491231002X",
    "consent_id": "y",
    "consent_health": "y",
}


@pytest.fixture
def visitor(app):
    return Visitor(app)


@pytest.fixture
def signed_in(visitor):
    visitor.sign_in("13800130911")
    return visitor


def count(app, model, *wanted):
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model).where(*wanted))


@pytest.mark.parametrize(
    "typed, sentence",
    [
        ("", "请填写手机号"),
        ("1380013090", "手机号应为 11 位数字，现在是 10 位"),
        ("１３８ 0013-090", "手机号应为 11 位数字，现在是 10 位"),
        ("1380013090a", "手机号里有不能识别的符号，请检查"),
    ],
)
def test_a_wrong_phone_is_said_twice_in_the_same_words_and_kept(visitor, typed, sentence):
    refused = visitor.post("/login", phone=typed)
    assert refused.status_code == 422
    assert title(refused).startswith("错误：")
    assert refused.text.count(sentence) == 2
    assert 'aria-invalid="true"' in refused.text


def test_full_width_digits_and_blanks_are_how_people_type(app, visitor):
    assert visitor.post("/login", phone="１３８ 0013 0912").status_code == 303
    assert count(app, OneTimeCode) == 1


def test_asking_again_too_soon_leads_to_the_code_that_was_sent(app, visitor):
    visitor.post("/login", phone="13800130913")
    again = visitor.follow(visitor.post("/login", phone=" 138 0013 0913", next="/me/settings"))
    assert re.search(r"验证码已经发过了，\d+ 秒后可以重新发送", again.text)
    assert count(app, OneTimeCode) == 1
    code = re.search(r"<strong class=\"nums\">(\d{6})</strong>", again.text)[1]
    assert visitor.post("/login/code", code=code).status_code == 303


def test_a_used_code_leads_nowhere_so_the_wait_is_said(visitor):
    visitor.sign_in("13800130917")
    visitor.post("/logout")
    refused = visitor.post("/login", phone="13800130917")
    assert refused.status_code == 429
    assert re.search(r"发送太频繁，请 \d+ 秒后再试", refused.text)
    assert 'value="13800130917"' in refused.text


def test_sending_again_too_soon_is_refused_with_the_seconds(visitor):
    visitor.post("/login", phone="13800130918")
    again = visitor.post("/login/resend")
    assert again.status_code == 429
    assert re.search(r"发送太频繁，请 \d+ 秒后再试", again.text)


def test_too_many_codes_in_a_day_are_refused_on_the_phone_page(visitor, now):
    for _time in range(10):
        assert visitor.post("/login", phone="13800130919").status_code == 303
        now.shift(minutes=11)
    refused = visitor.post("/login", phone="13800130919")
    assert refused.status_code == 429 and "请明天再试" in refused.text
    assert 'value="13800130919"' in refused.text


def test_a_wrong_code_counts_and_five_end_it(app, visitor):
    page = visitor.follow(visitor.post("/login", phone="13800130914"))
    right = re.search(r"<strong class=\"nums\">(\d{6})</strong>", page.text)[1]
    wrong = "000000" if right != "000000" else "111111"
    answers = [visitor.post("/login/code", code=wrong) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {422}
    assert "验证码不对，请再看一下短信" in answers[0].text
    assert "输错太多次" in answers[-1].text
    assert visitor.post("/login/code", code=right).status_code == 422
    assert visitor.get("/me/appointments").status_code == 303
    assert count(app, Account) == 0


def test_the_code_is_not_shown_outside_the_demo(app, visitor):
    app.config["DEMO"] = False
    page = visitor.follow(visitor.post("/login", phone="13800130915"))
    assert page.status_code == 200 and "演示环境" not in page.text


def test_without_a_phone_there_is_no_code_page(visitor):
    assert visitor.get("/login/code").headers["Location"] == "/login"


def test_signing_in_makes_the_token_anew_and_signing_out_ends_it(app, visitor):
    before = visitor.token()
    visitor.sign_in("13800130916")
    old = visitor.client.post("/logout", data={"csrf_token": before})
    assert old.status_code == 400
    assert visitor.get("/me/appointments").status_code == 200
    assert visitor.post("/logout").status_code == 303
    assert visitor.get("/me/appointments").headers["Location"].startswith("/login")


@pytest.mark.parametrize(
    "to",
    [
        "https://elsewhere.example",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "javascript:alert(1)",
        "\x00/",
    ],
)
def test_signing_in_never_leads_away_from_this_site(visitor, to):
    asked = visitor.post("/login", phone="13800130917", next=to)
    assert asked.headers["Location"] == "/login/code"


def test_an_account_that_is_gone_counts_as_signed_out(app, signed_in):
    with app.app_context():
        db.session.execute(db.delete(Account))
        db.session.commit()
    assert signed_in.get("/me/appointments").status_code == 303


def test_a_patient_is_added_with_two_separate_consents(app, signed_in):
    assert signed_in.post("/me/patients/new", ADULT).headers["Location"] == "/me/patients"
    page = signed_in.get("/me/patients")
    assert "顾*扬" in page.text and "尾号 002X" in page.text and "顾清扬" not in page.text
    with app.app_context():
        kinds = sorted(db.session.scalars(select(Consent.kind)))
    assert kinds == ["health_data", "id_number"]


def test_an_empty_patient_form_says_everything_at_once_and_keeps_what_was_typed(app, signed_in):
    refused = signed_in.post(
        "/me/patients/new", {**ADULT, "name": "", "id_number": "1101051949123100", "phone": "12"}
    )
    assert refused.status_code == 422
    for sentence in (
        "请填写姓名，与证件一致",
        "身份证应为 18 位，现在是 16 位",
        "手机号应为 11 位数字，现在是 2 位",
    ):
        assert refused.text.count(sentence) == 2
    assert 'value="1101051949123100"' in refused.text and "有 3 处需要修改" in refused.text
    assert count(app, Patient) == 0


@pytest.mark.parametrize(
    "boxes, sentence",
    [
        (("2020", "2", "30"), "2 月没有 30 日"),
        (("2020", "13", "1"), "没有 13 月"),
        (("2999", "1", "1"), "出生日期不能晚于今天"),
        (("二", "1", "1"), "出生日期请填数字"),
        (("", "", ""), "请填写出生日期"),
        (("9999999999", "1", "1"), "出生日期请填数字"),
    ],
)
def test_impossible_birth_dates(app, signed_in, boxes, sentence):
    year, month, day = boxes
    given = {"id_type": "passport", "id_number": "E12345678", "sex": "f"}
    refused = signed_in.post(
        "/me/patients/new", ADULT | given | {"birth_year": year, "birth_month": month, "birth_day": day}
    )
    assert refused.status_code == 422 and sentence in refused.text
    assert count(app, Patient) == 0


def test_a_child_needs_a_guardian(signed_in):
    child = {
        "id_type": "none",
        "id_number": "",
        "sex": "m",
        "birth_year": "2020",
        "birth_month": "2",
        "birth_day": "3",
    }
    refused = signed_in.post("/me/patients/new", ADULT | child)
    assert refused.status_code == 422 and "未满 14 岁需填写监护人姓名和手机号" in refused.text
    guarded = {"guardian_name": "顾清扬", "guardian_phone": "13800130911", "guardian_relation": "parent"}
    guarded["consent_guardian"] = "y"
    assert signed_in.post("/me/patients/new", ADULT | child | guarded).status_code == 303


def test_without_consent_nothing_is_stored(app, signed_in):
    refused = signed_in.post("/me/patients/new", {**ADULT, "consent_id": "", "consent_health": ""})
    assert refused.status_code == 422
    assert "请勾选同意" in refused.text
    assert count(app, Patient) == 0


def test_changing_a_patient_never_shows_the_number_and_keeps_it_when_left_empty(app, signed_in):
    signed_in.post("/me/patients/new", ADULT)
    path = re.search(r'href="(/me/patients/\d+)"', signed_in.get("/me/patients").text)[1]
    form = signed_in.get(path)
    assert "尾号 002X；不改就留空" in form.text and "11010519491231002X" not in form.text
    assert signed_in.post(path, {**ADULT, "id_number": "", "name": "顾清秋"}).status_code == 303
    with app.app_context():
        row = db.session.scalars(select(Patient)).one()
        assert (row.name, row.id_number) == ("顾清秋", "11010519491231002X")


def test_the_sixth_patient_is_refused(app, signed_in):
    for name in ("甲一", "甲二", "甲三", "甲四", "甲五"):
        one = {"id_type": "none", "id_number": "", "sex": "m", "name": name}
        born = {"birth_year": "1980", "birth_month": "2", "birth_day": "3"}
        assert signed_in.post("/me/patients/new", ADULT | one | born).status_code == 303
    refused = signed_in.post("/me/patients/new", ADULT)
    assert refused.status_code == 409 and "最多添加 5 位就诊人" in refused.text
    assert count(app, Patient) == 5


def test_somebody_elses_patient_is_not_found(app, signed_in):
    with app.app_context():
        other = factory.person("陆明").patient.id
    assert signed_in.get(f"/me/patients/{other}").status_code == 404
    assert signed_in.post(f"/me/patients/{other}", ADULT).status_code == 404
    assert signed_in.post(f"/me/patients/{other}/remove").status_code == 404
    assert count(app, PatientLink, PatientLink.ended_at.is_(None)) == 1


def test_removing_a_patient_withdraws_the_consents(app, signed_in):
    signed_in.post("/me/patients/new", ADULT)
    path = re.search(r'href="(/me/patients/\d+)"', signed_in.get("/me/patients").text)[1]
    assert signed_in.get(f"{path}/remove").status_code == 405
    assert signed_in.post(f"{path}/remove").status_code == 303
    assert signed_in.post(f"{path}/remove").status_code == 404
    assert count(app, Consent, Consent.withdrawn_at.is_(None)) == 0


KEPT = {"language": "zh", "reminders": "y", "channels": ["sms"]}


def test_settings_keep_a_good_address_and_refuse_a_bad_one(app, signed_in):
    refused = signed_in.post("/me/settings", KEPT | {"email": "not an address"})
    assert refused.status_code == 422 and "邮箱格式不对" in refused.text
    kept = signed_in.post("/me/settings", KEPT | {"email": "a@example.org"})
    assert kept.status_code == 303 and kept.headers["Location"] == "/me/settings/email"
    with app.app_context():
        row = db.session.scalars(select(Account)).one()
        assert (row.email, row.email_verified_at, row.reminders_on) == ("a@example.org", None, True)


def test_an_address_is_confirmed_with_the_code_it_was_sent(app, signed_in):
    page = signed_in.follow(signed_in.post("/me/settings", KEPT | {"email": "a@example.org"}))
    assert "a***@example.org" in page.text and "a@example.org" not in page.text
    code = re.search(r"<strong class=\"nums\">(\d{6})</strong>", page.text)[1]
    wrong = signed_in.post("/me/settings/email", code=str((int(code) + 1) % 1_000_000).zfill(6))
    assert wrong.status_code == 422 and "验证码不对" in wrong.text
    assert "还没有确认" in signed_in.get("/me/settings").text
    done = signed_in.follow(signed_in.post("/me/settings/email", code=code))
    assert "这个邮箱已确认" in done.text and 'value="email"' in done.text
    assert signed_in.get("/me/settings/email").status_code == 303, "nothing left to confirm"
    with app.app_context():
        assert db.session.scalars(select(Account)).one().email_verified_at is not None


def test_a_code_is_sent_again_a_minute_later_and_not_before(app, signed_in):
    signed_in.post("/me/settings", KEPT | {"email": "a@example.org"})
    assert signed_in.get("/me/settings/email/resend").status_code == 405
    page = signed_in.follow(signed_in.post("/me/settings/email/resend"))
    assert "发送太频繁" in page.text
    assert count(app, OneTimeCode, OneTimeCode.purpose == "email") == 1


def test_settings_keep_language_reminders_and_channels(app, signed_in):
    saved = signed_in.follow(signed_in.post("/me/settings", language="en", email="", shown_channels="sms"))
    assert "已保存" in saved.text
    with app.app_context():
        row = db.session.scalars(select(Account)).one()
        assert (row.language, row.reminders_on, row.quiet_channels) == ("en", False, ["sms"])
    for bad in ({"language": "fr"}, {"channels": "pigeon"}, {"channels": "email"}, {"patients": "999999"}):
        assert signed_in.post("/me/settings", KEPT | bad).status_code == 422, bad
    with app.app_context():
        row = db.session.scalars(select(Account)).one()
        assert (row.language, row.quiet_channels) == ("en", ["sms"]), "nothing was changed"


def test_a_choice_that_was_not_shown_stays_as_it_is(app, signed_in):
    assert '<input type="hidden" name="shown_channels" value="sms">' in signed_in.get("/me/settings").text
    with app.app_context(), transaction() as session:
        session.execute(update(Account).values(email="a@example.org", email_verified_at=factory.now()))
    older = {"language": "zh", "email": "a@example.org", "shown_channels": "sms"}
    assert signed_in.post("/me/settings", older).status_code == 303
    with app.app_context():
        assert db.session.scalars(select(Account)).one().quiet_channels == ["sms"], "e-mail was not looked at"


def test_without_a_carrier_nobody_is_asked_for_an_email_address(app, signed_in):
    with app.app_context(), transaction() as session:
        session.execute(update(Account).values(email="a@example.org"))
    app.config.update(DEMO=False)
    try:
        assert "邮箱" not in signed_in.get("/me/settings").text
        assert signed_in.post("/me/settings", KEPT | {"email": "b@example.org"}).status_code == 303
        assert signed_in.get("/me/settings/email").status_code == 404
        assert signed_in.post("/me/settings/email", code="123456").status_code == 404
        assert signed_in.post("/me/settings/email/resend").status_code == 404
    finally:
        app.config.update(DEMO=True)
    assert "邮箱" in signed_in.get("/me/settings").text
    assert count(app, OneTimeCode, OneTimeCode.purpose == "email") == 0
    with app.app_context():
        assert db.session.scalars(select(Account)).one().email == "a@example.org", "nothing was changed"


def test_a_cookie_copied_before_signing_out_is_worth_nothing_afterwards(app, signed_in):
    thief = app.test_client()
    with signed_in.client.session_transaction() as kept, thief.session_transaction() as copied:
        copied.update(kept)
    assert thief.get("/me/patients").status_code == 200
    assert signed_in.post("/logout").status_code == 303
    assert thief.get("/me/patients").status_code == 303


class SignedBefore(TimestampSigner):
    """Signs with the date of two days ago."""

    def get_timestamp(self):
        return super().get_timestamp() - 2 * 24 * 3600


def test_the_sign_in_of_who_comes_back_is_renewed_once_a_day_and_not_with_every_answer(app, signed_in):
    assert "Set-Cookie" not in signed_in.get("/me/settings").headers
    name, usual = app.config["SESSION_COOKIE_NAME"], app.session_interface.get_signing_serializer(app)
    values, at = usual.loads(signed_in.client.get_cookie(name).value, return_timestamp=True)
    older = URLSafeTimedSerializer(
        app.secret_key,
        salt=app.session_interface.salt,
        serializer=app.session_interface.serializer,
        signer=SignedBefore,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
    )
    signed_in.client.set_cookie(name, older.dumps(values))
    assert signed_in.get("/me/settings").status_code == 200, "it is two days old and still good"
    renewed, again = usual.loads(signed_in.client.get_cookie(name).value, return_timestamp=True)
    assert renewed == values and again >= at
    assert "Set-Cookie" not in signed_in.get("/me/settings").headers


def test_codes_are_not_sent_abroad(app, visitor):
    refused = visitor.post("/login", phone="+1 415 555 2671")
    assert refused.status_code == 422 and "只能发到中国内地和港澳台的手机号" in refused.text
    assert count(app, OneTimeCode) == 0
