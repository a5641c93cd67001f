"""What every page carries, forged and stale forms, limits, and input that nobody can mean: never a 500."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from booking.appointments.models import Appointment
from booking.db import db
from booking.limits import Pace
from booking.people.models import Patient
from booking.refs import ref
from booking.web import home, reserve
from tests import factory
from tests.doors.visitor import Visitor, hidden, title

HOSTILE = [
    "\x00",
    "a\x00b\x01\x7f",
    "\ud800",
    "疼" * 100_000,
    "😷👨‍👩‍👧" * 50,
    "\u202egnihtemos\u202c مرحبا",
    "'; DROP TABLE patient; --",
    '" OR 1=1 --',
    "{{ 7*7 }}${7*7}<%= 7*7 %>",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "2026-02-30",
    "0000-00-00",
    "-1",
    "99999999999999999999999999",
    "1e309",
    "٣",
    "%00%s%n%(x)s",
    "1-" + "0" * 32,
    "9999999999999999-" + "f" * 32,
    " \t\r\n ",
]


@pytest.fixture
def visitor(app):
    return Visitor(app)


@pytest.fixture
def house(app):
    with app.app_context():
        clinic = factory.clinic()
        return clinic, factory.open_session(clinic, places=5), factory.person()


def _send(visitor, path, token, values):
    body = {"csrf_token": token} | values
    # a lone surrogate travels as the bytes a broken program sends
    return visitor.client.post(
        path,
        data="&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in body.items()),
        content_type="application/x-www-form-urlencoded",
    )


def _quoted(text):
    return "".join(f"%{byte:02X}" for byte in str(text).encode("utf-8", "surrogatepass"))


def test_every_page_carries_the_strict_headers(visitor, house):
    for path in ("/", "/questions", f"/d/{house[0].doctor.slug}", "/nothing-here", "/login"):
        headers = visitor.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_no_page_has_an_inline_script_or_style(visitor, house):
    for path in (
        "/",
        "/questions",
        f"/d/{house[0].doctor.slug}",
        "/login",
        "/find",
        "/doctors",
        "/rules",
        "/help",
    ):
        text = visitor.get(path).text
        assert not re.search(r"<script(?![^>]*(?:src=|application/ld\+json))", text), path
        assert not re.search(r"<style|\sstyle=|\son\w+=", text), path


def test_personal_pages_are_never_stored_or_indexed(visitor, house):
    visitor.sign_in(house[2].account.phone)
    for path in ("/me/appointments", "/me/patients", "/me/messages", "/me/settings", "/find", "/wait/1-0"):
        headers = visitor.get(path).headers
        assert headers["Cache-Control"] == "private, no-store", path
        assert "noindex" in headers["X-Robots-Tag"], path


def test_a_public_page_is_answered_from_its_mark_while_nothing_changed(app, visitor, house, now):
    first = visitor.get("/rules")
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = visitor.get("/rules", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    now.shift(hours=7)  # a kept page never carries a token near its end
    assert visitor.get("/rules", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_a_form_without_token_from_elsewhere_changes_nothing(app, visitor, house):
    refused = visitor.client.post("/hold", data={"slot": ref(house[1].slots[0])})
    assert refused.status_code == 400
    assert "再点一次确认" not in refused.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Appointment)) == 0


def test_a_stale_form_of_our_own_page_is_shown_again_with_its_values(app, visitor, house):
    slot = ref(house[1].slots[0])
    stale = visitor.client.post(
        "/hold", data={"slot": slot, "csrf_token": "old"}, headers={"Origin": "http://localhost"}
    )
    assert stale.status_code == 400 and title(stale).startswith("错误：")
    assert "页面停留太久，请再点一次确认" in stale.text and hidden(stale, "slot") == slot
    again = visitor.client.post("/hold", data={"slot": slot, "csrf_token": hidden(stale, "csrf_token")})
    assert again.status_code == 303


def test_a_stale_form_does_not_repeat_a_password(visitor):
    typed = {"username": "heyu@linlan-1", "password": "a secret of theirs", "csrf_token": "old"}
    stale = visitor.client.post("/staff/login", data=typed, headers={"Origin": "http://localhost"})
    assert stale.status_code == 400 and hidden(stale, "username") == "heyu@linlan-1"
    assert "a secret of theirs" not in stale.text


@pytest.mark.parametrize(
    "origin", ["https://localhost", "http://localhost:81", "http://elsewhere.example", "null", "["]
)
def test_a_form_from_another_site_is_not_repeated(visitor, house, origin):
    answer = visitor.client.post("/hold", data={"slot": "x"}, headers={"Origin": origin})
    assert answer.status_code == 400 and "再点一次确认" not in answer.text


def test_a_huge_body_is_refused(visitor, house):
    token = visitor.token()
    answer = visitor.client.post("/login", data={"csrf_token": token, "phone": "1" * 600_000})
    assert answer.status_code == 413 and "内容太多" in answer.text
    many = {f"f{at}": "x" for at in range(2000)}
    assert visitor.client.post("/login", data=many | {"csrf_token": token}).status_code in (400, 413, 422)


def test_too_many_tries_say_when_to_come_back(another_app):
    app = another_app(RATELIMIT_ENABLED=True)
    visitor = Visitor(app)
    answers = [visitor.post("/find", code="48271936", tail="0000") for _ in range(8)]
    assert answers[0].status_code == 422
    assert answers[-1].status_code == 429
    assert "操作太快了" in answers[-1].text and re.search(r"请 \d+ (?:秒|分钟)后再试", answers[-1].text)
    assert int(answers[-1].headers["Retry-After"]) >= 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_settings_are_not_saved_without_end(another_app):
    """Each new e-mail address is sent a code, and may be a stranger's."""
    visitor = Visitor(another_app(RATELIMIT_ENABLED=True))
    visitor.sign_in()
    saved = [visitor.post("/me/settings", language="zh", email="").status_code for _ in range(7)]
    assert saved == [303] * 6 + [429]
    assert visitor.get("/me/settings").status_code == 200, "looking is free"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_addresses_of_one_ipv6_line_count_as_one(another_app):
    app = another_app(RATELIMIT_ENABLED=True, WTF_CSRF_ENABLED=False)

    def ask(address):
        # without cookies: only the network is known
        return app.test_client().post("/staff/login", environ_overrides={"REMOTE_ADDR": address}).status_code

    assert [ask(f"2001:db8::{number:x}") for number in range(21)][-1] == 429
    assert ask("2001:db8:0:1::1") == 422, "another line is not held up"
    assert ask("::ffff:192.0.2.7") == ask("192.0.2.8") == 422


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_network_holds_so_many_times_without_an_account_and_then_signs_in_first(another_app, monkeypatch):
    app = another_app(RATELIMIT_ENABLED=True, WTF_CSRF_ENABLED=False)
    monkeypatch.setattr(reserve, "WITHOUT_ACCOUNT", Pace(2, 600))
    with app.app_context():
        slot = ref(factory.open_session(factory.clinic(), places=9).slots[0])
        who = factory.person()

    def ask(address, account=None):
        browser = app.test_client()  # a fresh one each time: only the network is known
        with browser.session_transaction() as kept:
            kept.update({"account": account} if account else {})
        answer = browser.post("/hold", data={"slot": slot}, environ_overrides={"REMOTE_ADDR": address})
        return answer.status_code, answer.location.split("/")[1].partition("?")[0]

    assert [ask("192.0.2.1") for _ in range(3)] == [(303, "book"), (303, "book"), (303, "login")]
    assert ask("192.0.2.1", who.id) == (303, "book"), "whoever signed in is not held up"
    assert ask("192.0.2.2") == (303, "book"), "nor is another network"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_static_files_are_what_they_say_and_for_this_site_alone(another_app):
    with another_app(TESTING=False).test_client().get("/static/css/app.css") as answer:
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_error_of_the_database_names_no_values_in_the_log(app):
    with app.app_context(), pytest.raises(SQLAlchemyError) as problem:
        db.session.execute(
            text("SELECT no_such_column FROM account WHERE phone = :phone"), {"phone": "13800130099"}
        )
    assert "13800130099" not in str(problem.value)


def test_a_wrong_method_names_the_right_one(visitor):
    answer = visitor.get("/hold")
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]
    assert "只能由页面上的按钮提交" in answer.text


def test_a_database_that_is_away_is_a_503_with_a_way_on(visitor, monkeypatch):
    def away(*_args, **_more):
        raise OperationalError("SELECT", {}, Exception("connection refused"))

    monkeypatch.setattr(home, "newest_answered", away)
    answer = visitor.get("/")
    assert answer.status_code == 503
    assert "暂时打不开" in answer.text and "0571" in answer.text and "connection refused" not in answer.text


def test_our_own_mistake_is_a_500_without_its_insides(visitor, monkeypatch):
    def broken(*_args, **_more):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(home, "newest_answered", broken)
    answer = visitor.get("/")
    assert (
        answer.status_code == 500 and "secret detail" not in answer.text and "这是我们的问题" in answer.text
    )


def test_large_print_and_theme_are_kept_and_lead_back(visitor):
    answer = visitor.post("/display", mode="elder", back="/rules?x=1")
    assert answer.headers["Location"] == "/rules?x=1"
    visitor.post("/display", theme="dark", back="/rules")
    page = visitor.get("/rules").text
    assert 'data-mode="elder"' in page and 'data-theme="dark"' in page and "标准版" in page
    assert visitor.post("/display", back="//elsewhere.example").headers["Location"] == "/"
    visitor.post("/display", mode="nonsense", theme="nonsense")
    assert 'data-mode="elder"' in visitor.get("/rules").text


PUBLIC_FORMS = {
    "/login": ("phone", "next"),
    "/login/code": ("code", "next"),
    "/login/resend": ("next",),
    "/find": ("code", "tail"),
    "/display": ("mode", "theme", "back"),
    "/hold": ("slot", "answer", "campus"),
}

QUERIES = {
    "/search": ("q", "type", "page"),
    "/ask": ("q",),
    "/questions": ("dept", "page"),
    "/doctors": ("dept", "hospital", "date", "half", "title", "sex", "sort", "page"),
    "/h": ("page",),
    "/login": ("next",),
}


def test_hostile_words_in_public_forms(app, visitor, house):
    visitor.post("/login", phone="13800130921")
    token, wrong = visitor.token(), []
    for path, fields in PUBLIC_FORMS.items():
        for field in fields:
            for value in HOSTILE:
                answer = _send(visitor, path, token, {"slot": "x"} | {field: value})
                if answer.status_code >= 500:
                    wrong.append(f"{path} {field}={value[:20]!r}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_hostile_words_in_addresses(app, visitor, house):
    doctor = f"/d/{house[0].doctor.slug}"
    queries = QUERIES | {doctor: ("date", "site", "answer"), f"{doctor}/answers": ("page",)}
    wrong = []
    for path, names in queries.items():
        for name in names:
            for value in HOSTILE:
                answer = visitor.get(f"{path}?{name}={_quoted(value[:5000])}")
                if answer.status_code >= 500:
                    wrong.append(f"{path}?{name}={value[:20]!r}: {answer.status_code}")
    for place in ("/q/", "/tag/", "/dept/", "/d/", "/h/", "/a/", "/news/", "/book/", "/me/appointments/"):
        for value in HOSTILE:
            answer = visitor.get(place + _quoted(value[:300]))
            if answer.status_code >= 500 or (
                answer.status_code == 200 and place not in ("/h/", "/dept/", "/d/")
            ):
                wrong.append(f"{place}{value[:20]!r}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_hostile_words_in_a_persons_own_forms(app, visitor, house):
    clinic, session, person = house
    visitor.sign_in(person.account.phone)
    page = visitor.follow(visitor.post("/hold", slot=ref(session.slots[0])))
    path = re.search(r'action="(/book/[^"/]+)"', page.text)[1]
    with app.app_context():
        mine = factory.booked(clinic, session, person, slot=2, account_id=person.id)
    own = f"/me/appointments/{ref(mine)}"
    adult = {"relation": "self", "name": "顾清扬", "id_type": "resident", "id_number": "11010519491231002X"}
    adult |= {"sex": "f", "birth_year": "1949", "birth_month": "12", "birth_day": "31", "phone": ""}
    guardian = {"guardian_name": "", "guardian_phone": "", "guardian_relation": "", "consent_id": ""}
    forms = {
        "/me/patients/new": adult | guardian | {"consent_health": "", "next": ""},
        f"/me/patients/{person.patient.id}": adult | guardian | {"consent_health": "", "next": ""},
        "/me/settings": {"email": "", "reminders": ""},
        path: {"patient": "", "complaint": "", "reminders": "", "request_key": ""},
        f"{own}/cancel": {"reason": "nothing offered", "request_key": ""},
        f"{own}/change": {"slot": ""},
        f"{own}/change/{ref(session.slots[2])}": {"request_key": ""},
    }
    token, wrong = visitor.token(), []
    for address, given in forms.items():
        for at, field in enumerate(given):
            for value in HOSTILE[at % 3 :: 3]:  # every form meets every value, every field a third of them
                answer = _send(visitor, address, token, given | {field: value})
                if answer.status_code >= 500:
                    wrong.append(f"{address} {field}={value[:20]!r}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
    with app.app_context():
        statuses = sorted(db.session.scalars(select(Appointment.status)))
        assert statuses == ["booked", "held"]  # nothing of this booked, cancelled or moved anything
        assert db.session.scalar(select(func.count()).select_from(Patient)) == 1


def test_ids_of_another_hospital_or_nobody_are_not_found(app, visitor, house):
    clinic, session, person = house
    with app.app_context():
        elsewhere = factory.clinic()
    visitor.sign_in(person.account.phone)
    crossed = f"{elsewhere.id}-{session.slots[0].id.hex}"
    assert visitor.post("/hold", slot=crossed).status_code == 404
    assert visitor.post("/hold", slot="").status_code == 404
    for path in ("/book/", "/me/appointments/"):
        assert visitor.get(path + crossed).status_code == 404
        assert visitor.get(path + f"{clinic.id}-{'0' * 32}").status_code == 404
