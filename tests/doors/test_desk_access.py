"""Every role on every staff route, and nobody reaching into another hospital."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask

from booking.db import db
from booking.schedule.models import ClinicSession, Template
from booking.staff.models import StaffMember
from tests import factory
from tests.doors.desk_people import ROLES, Browser, member, row_counts, seat, stored, text_of

IDS = {
    "session_id": "00000000-0000-0000-0000-000000000001",
    "template_id": "00000000-0000-0000-0000-000000000002",
    "appointment_id": "00000000-0000-0000-0000-000000000003",
    "slot_id": "00000000-0000-0000-0000-000000000004",
    "call_id": "00000000-0000-0000-0000-000000000005",
    "message_id": "00000000-0000-0000-0000-000000000006",
    "wish_id": "00000000-0000-0000-0000-000000000007",
}
VALUES = {name: uuid.UUID(text) for name, text in IDS.items()} | {"patient_id": 10**15}

# endpoint, method, then scheduler, desk, doctor, admin: "y" may, "-" gets 403
MATRIX = {
    ("desk.week.week", "GET"): "yy-y",
    ("desk.week.publish", "POST"): "y--y",
    ("desk.sessions.new", "GET"): "y--y",
    ("desk.sessions.new", "POST"): "y--y",
    ("desk.sessions.edit", "GET"): "yy-y",
    ("desk.sessions.edit", "POST"): "y--y",
    ("desk.draws.release", "GET"): "yy-y",
    ("desk.draws.release", "POST"): "y--y",
    ("desk.stops.stop", "GET"): "y--y",
    ("desk.stops.stop", "POST"): "y--y",
    ("desk.stops.reopen", "POST"): "y--y",
    ("desk.templates.list_templates", "GET"): "y--y",
    ("desk.templates.new", "GET"): "y--y",
    ("desk.templates.new", "POST"): "y--y",
    ("desk.templates.edit", "GET"): "y--y",
    ("desk.templates.edit", "POST"): "y--y",
    ("desk.templates.end", "POST"): "y--y",
    ("desk.templates.apply", "GET"): "y--y",
    ("desk.templates.apply", "POST"): "y--y",
    ("desk.day.day", "GET"): "-y-y",
    ("desk.day.scan", "POST"): "-y-y",
    ("desk.day.check_in_one", "POST"): "-y-y",
    ("desk.day.finish_one", "POST"): "-y-y",
    ("desk.appointments.detail", "GET"): "-y-y",
    ("desk.appointments.cancel", "POST"): "-y-y",
    ("desk.appointments.undo_check_in", "POST"): "-y-y",
    ("desk.appointments.move", "GET"): "-y-y",
    ("desk.appointments.move", "POST"): "-y-y",
    ("desk.previews.previews", "GET"): "-y-y",
    ("desk.previews.mail", "GET"): "-y-y",
    ("desk.calls.list_calls", "GET"): "yy-y",
    ("desk.calls.tick", "POST"): "yy-y",
    ("desk.delivery.delivery", "GET"): "yy-y",
    ("desk.delivery.resend", "POST"): "-y-y",
    ("desk.mine.mine", "GET"): "yyyy",
    ("desk.waiting.waiting", "GET"): "yy-y",
    ("desk.waiting.accept", "GET"): "-y-y",
    ("desk.waiting.accept", "POST"): "-y-y",
    ("desk.waiting.decline", "POST"): "-y-y",
    ("desk.waiting.leave", "POST"): "-y-y",
    ("desk.booking.sessions", "GET"): "-y-y",
    ("desk.booking.slots", "GET"): "-y-y",
    ("desk.booking.patient", "GET"): "-y-y",
    ("desk.booking.patient", "POST"): "-y-y",
    ("desk.booking.new_patient", "GET"): "-y-y",
    ("desk.booking.new_patient", "POST"): "-y-y",
    ("desk.booking.book", "GET"): "-y-y",
    ("desk.booking.book", "POST"): "-y-y",
    ("desk.booking.extra", "GET"): "-y-y",
    ("desk.booking.extra", "POST"): "-y-y",
    ("desk.booking.done", "GET"): "-y-y",
    ("desk.no_shows.list_no_shows", "GET"): "-y-y",
    ("desk.no_shows.was_here", "POST"): "-y-y",
    ("desk.no_shows.answer", "POST"): "-y-y",
}
OPEN = {"desk.sign_in.login", "desk.sign_in.logout", "desk.sign_in.start"}
PAST_THE_GATE = {200, 303, 404, 422}


def addresses(app: Flask) -> dict[tuple[str, str], str]:
    found = {}
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if rule.endpoint.startswith("desk.") and rule.endpoint not in OPEN:
                path = rule.build({name: VALUES[name] for name in rule.arguments})
                assert path is not None
                for method in sorted((rule.methods or set()) & {"GET", "POST"}):
                    found[(rule.endpoint, method)] = path[1]
    return found


@pytest.fixture
def without_tokens(app):
    """The forgery check off, so that the answer seen is the one about rights."""
    app.config["WTF_CSRF_ENABLED"] = False
    return app


def test_every_route_has_a_line_and_every_view_names_its_verb(app):
    assert set(addresses(app)) == set(MATRIX)
    for endpoint, _method in MATRIX:
        assert getattr(app.view_functions[endpoint], "needs", None), f"{endpoint} names no verb"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_what_it_may_and_nothing_else(without_tokens, within, role):
    at = factory.clinic()
    here = seat(without_tokens, at, role)
    before, wrong = row_counts(), []
    for (endpoint, method), path in addresses(without_tokens).items():
        allowed = MATRIX[(endpoint, method)][ROLES.index(role)] == "y"
        answer = here.open(path, method=method)
        if allowed and answer.status_code not in PAST_THE_GATE:
            wrong.append(f"{role} {method} {path}: {answer.status_code}, expected to be let in")
        if not allowed and answer.status_code != 403:
            wrong.append(f"{role} {method} {path}: {answer.status_code}, expected 403")
    assert not wrong, "\n".join(wrong)
    assert row_counts() == before


def test_nobody_signed_in_is_sent_to_sign_in_and_back(without_tokens, within):
    factory.clinic()
    client, before = Browser(without_tokens), row_counts()
    for (_endpoint, method), path in addresses(without_tokens).items():
        answer = client.open(path, method=method)
        assert answer.status_code == 303, path
        assert answer.headers["Location"].startswith("/staff/login")
        if method == "GET":
            assert f"next={path}" in answer.headers["Location"].replace("%2F", "/")
    assert row_counts() == before


def test_a_patient_signed_in_is_nobody_at_the_desk(app, within):
    factory.clinic()
    who = factory.person()
    client = Browser(app)
    client.keep(account=who.id)
    assert client.get("/staff/week").status_code == 303


@pytest.mark.parametrize(
    "kept",
    [
        None,
        "x",
        {},
        {"hospital": 1},
        {"hospital": "x", "id": "y", "version": "z", "until": "w"},
        {"hospital": 1, "id": "0" * 32, "version": 1, "until": 99999999999},
    ],
)
def test_a_cookie_that_means_nobody_signs_nobody_in(app, within, kept):
    factory.clinic()
    client = Browser(app)
    client.keep(staff=kept)
    assert client.get("/staff/week").status_code == 303


def test_a_raised_session_version_a_switched_off_person_and_the_end_of_a_shift_end_the_sign_in(
    app, within, now
):
    at = factory.clinic()
    for change in ({"session_version": 2}, {"active": False}):
        here = seat(app, at, "admin")
        assert here.get("/staff/week").status_code == 200
        row = stored(StaffMember, at.id, here.member.id)
        for name, value in change.items():
            setattr(row, name, value)
        db.session.commit()
        assert here.get("/staff/week").status_code == 303
    here = seat(app, at, "admin")
    now.shift(hours=13)
    assert here.get("/staff/week").status_code == 303


def test_a_form_without_its_token_changes_nothing(app, within):
    at = factory.clinic()
    there = factory.open_session(at)
    here = seat(app, at, "admin")
    before = row_counts()
    for (_endpoint, method), path in addresses(app).items():
        if method == "POST":
            path = path.replace(IDS["session_id"], str(there.id))
            assert here.send(path, {"csrf_token": "forged"}).status_code == 400, path
    assert row_counts() == before
    assert stored(ClinicSession, at.id, there.id).status == "published"


def test_the_other_hospitals_rows_do_not_exist(without_tokens, within):
    ours, theirs = factory.clinic(), factory.clinic()
    there = factory.open_session(theirs)
    visit = factory.booked(theirs, there, factory.person())
    pattern = Template(
        hospital_id=theirs.id,
        practice_id=theirs.practice.id,
        weekday=0,
        day_part_id=theirs.parts["上午"].id,
        starts_local=there.session.starts_local,
        ends_local=there.session.ends_local,
        clinic_kind_id=theirs.kind.id,
    )
    db.session.add(pattern)
    db.session.commit()
    pattern_id = pattern.id
    here, before = seat(without_tokens, ours, "admin"), row_counts()
    form = {
        "starts": "8",
        "ends": "12",
        "minutes": "30",
        "places": "1",
        "fee": "0",
        "act": "save",
        "version": "1",
    }
    form |= {"kind": theirs.kind.id.hex, "release": "rule", "reason_public": "x", "reason": "x"}
    form |= {"slot": there.slots[1].id.hex}
    for path in (
        f"/staff/sessions/{there.id}",
        f"/staff/sessions/{there.id}/stop",
        f"/staff/week?session={there.id}",
        f"/staff/templates/{pattern_id}",
        f"/staff/appointment/{visit.id}",
        f"/staff/appointment/{visit.id}/move",
    ):
        assert here.get(path).status_code == 404, path
    for path, expected in (
        (f"/staff/sessions/{there.id}", {404}),
        (f"/staff/sessions/{there.id}/stop", {404}),
        (f"/staff/sessions/{there.id}/reopen", {404}),
        (f"/staff/templates/{pattern_id}", {404}),
        (f"/staff/templates/{pattern_id}/end", {404}),
        (f"/staff/appointment/{visit.id}/check-in", {404}),
        (f"/staff/appointment/{visit.id}/cancel", {404}),
        (f"/staff/appointment/{visit.id}/move", {404}),
        ("/staff/day/check-in", {404}),
    ):
        answer = here.send(path, form | {"code": visit.visit_code or ""})
        assert answer.status_code in expected, f"{path}: {answer.status_code}"
    answer = here.send("/staff/week/publish", {"drafts": there.id.hex})
    assert answer.status_code == 303
    assert row_counts() == before
    assert "没有" in text_of(here.get(f"/staff/day?date={there.session.local_date}&session={there.id}"))


def test_foreign_choices_in_a_form_are_refused(without_tokens, within):
    ours, theirs = factory.clinic(), factory.clinic()
    here, before = seat(without_tokens, ours, "scheduler"), row_counts()
    form = {
        "practice": theirs.practice.id.hex,
        "part": theirs.parts["上午"].id.hex,
        "kind": theirs.kind.id.hex,
        "date": "2030-01-08",
        "starts": "8",
        "ends": "12",
        "minutes": "30",
        "places": "3",
        "fee": "25",
        "release": "rule",
        "weekday": "0",
        "weeks": "every",
        "act": "publish",
    }
    for path in ("/staff/sessions/new", "/staff/templates/new"):
        answer = here.send(path, form)
        assert answer.status_code == 422
        assert "请选择医生和科室" in text_of(answer)
    assert row_counts() == before


def test_the_menu_shows_only_what_the_role_may_do(app, within):
    at = factory.clinic()
    expected = {
        "scheduler": {"周排班", "出诊模板"},
        "desk": {"周排班", "今日接诊"},
        "doctor": {"我的出诊"},
        "admin": {"周排班", "今日接诊", "出诊模板"},
    }
    for role, words in expected.items():
        shown = text_of(seat(app, at, role).get("/staff/", follow_redirects=True))
        menu = shown[: shown.index("退出") + 60]
        for word in ("周排班", "今日接诊", "出诊模板", "我的出诊"):
            assert (word in menu) == (word in words), f"{role}: {word}"


def test_pages_of_the_desk_are_not_kept_and_not_indexed(app, within):
    at = factory.clinic()
    answer = seat(app, at, "admin").get("/staff/week")
    assert "no-store" in answer.headers["Cache-Control"]
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert member(at, "desk").hospital_id == at.id
