"""The access matrix: every route, and who may use it. A new route fails here until its line is added."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask
from werkzeug.routing import Rule

# Who: "anyone"; "account" a signed-in phone; "staff" any signed-in staff member (the verb decides by role,
# see booking/staff/rules.py); "demo" exists only in the demo configuration; "machine" a probe.
MATRIX: dict[str, str] = {
    "desk.appointments.cancel": "staff",
    "desk.appointments.detail": "staff",
    "desk.appointments.move": "staff",
    "desk.appointments.undo_check_in": "staff",
    "desk.booking.book": "staff",
    "desk.booking.done": "staff",
    "desk.booking.extra": "staff",
    "desk.booking.new_patient": "staff",
    "desk.booking.patient": "staff",
    "desk.booking.sessions": "staff",
    "desk.booking.slots": "staff",
    "desk.calls.list_calls": "staff",
    "desk.calls.tick": "staff",
    "desk.day.check_in_one": "staff",
    "desk.day.day": "staff",
    "desk.day.finish_one": "staff",
    "desk.day.scan": "staff",
    "desk.delivery.delivery": "staff",
    "desk.delivery.resend": "staff",
    "desk.draws.release": "staff",
    "desk.mine.mine": "staff",
    "desk.no_shows.answer": "staff",
    "desk.no_shows.list_no_shows": "staff",
    "desk.no_shows.was_here": "staff",
    "desk.previews.mail": "staff",
    "desk.previews.previews": "staff",
    "desk.sessions.edit": "staff",
    "desk.sessions.new": "staff",
    "desk.sign_in.login": "anyone",
    "desk.sign_in.logout": "anyone",
    "desk.sign_in.start": "anyone",
    "desk.stops.reopen": "staff",
    "desk.stops.stop": "staff",
    "desk.templates.apply": "staff",
    "desk.templates.edit": "staff",
    "desk.templates.end": "staff",
    "desk.templates.list_templates": "staff",
    "desk.templates.new": "staff",
    "desk.waiting.accept": "staff",
    "desk.waiting.decline": "staff",
    "desk.waiting.leave": "staff",
    "desk.waiting.waiting": "staff",
    "desk.week.publish": "staff",
    "desk.week.week": "staff",
    "display.switch": "anyone",
    "health.alive": "machine",
    "health.ready": "machine",
    "health.robots": "machine",
    "metrics.metrics": "machine",
    "receipts.answer": "machine",
    "receipts.record": "machine",
    "static": "anyone",
    # the patient pages; a hold belongs to the browser that took it, a visit also opens to its visit code (30 minutes)
    "appointments.calendar": "account",
    "appointments.cancel": "account",
    "appointments.detail": "account",
    "appointments.list_appointments": "account",
    "appointments.remind": "account",
    "appointments.slip": "account",
    "appointments.appeal": "account",
    "articles.article": "anyone",
    "articles.news": "anyone",
    "change.choose": "account",
    "change.move": "account",
    "change.pick": "account",
    "draws.enter": "account",
    "draws.file": "anyone",
    "draws.show": "anyone",
    "draws.withdraw": "account",
    "releases.doctor_ics": "anyone",
    "releases.doctor_json": "anyone",
    "releases.hospital_ics": "anyone",
    "releases.hospital_json": "anyone",
    "releases.reminder": "anyone",
    "departments.department": "anyone",
    "departments.list_departments": "anyone",
    "doctors.about": "anyone",
    "doctors.answers": "anyone",
    "doctors.doctor": "anyone",
    "doctors.list_doctors": "anyone",
    "find.find": "anyone",
    "home.home": "anyone",
    "hospitals.hospital": "anyone",
    "hospitals.list_hospitals": "anyone",
    "login.code": "anyone",
    "login.login": "anyone",
    "login.resend": "anyone",
    "login.sign_out": "anyone",
    "messages.list_messages": "account",
    "messages.read": "account",
    "no_shows.list_no_shows": "account",
    "pages.about": "anyone",
    "pages.help_page": "anyone",
    "pages.privacy": "anyone",
    "pages.rules": "anyone",
    "patients.add": "account",
    "patients.change": "account",
    "patients.list_patients": "account",
    "patients.remove": "account",
    "questions.list_questions": "anyone",
    "questions.question": "anyone",
    "questions.tag": "anyone",
    "reserve.book": "account",
    "reserve.extend": "account",
    "reserve.hold": "anyone",
    "reserve.release": "account",
    "search.ask": "anyone",
    "search.search": "anyone",
    "settings.email": "account",
    "settings.resend": "account",
    "settings.settings": "account",
    "waiting.join": "account",
    "wechat.confirm": "account",
    "wechat.show": "account",
    "wechat.start": "account",
    "wechat.unbind": "account",
    "wishes.accept": "account",
    "wishes.decline": "account",
    "wishes.leave": "account",
    "wishes.link": "anyone",
    "wishes.list_wishes": "account",
    "wishes.wish": "account",
    "demo.outbox": "demo",
    "demo.move_clock": "demo",
}

EXAMPLES = {
    "UUIDConverter": uuid.UUID(int=0),
    "RefConverter": f"1-{0:032x}",
    "NumberConverter": 999_999_999,
    "SlugConverter": "nobody",
    "IntegerConverter": 999_999_999,
    "UnicodeConverter": "nobody",
    "PathConverter": "no/thing",
}


def routes(app: Flask) -> list[Rule]:
    return sorted(app.url_map.iter_rules(), key=lambda rule: (rule.endpoint, rule.rule))


def address(app: Flask, rule: Rule) -> str:
    values = {
        name: EXAMPLES.get(type(kind).__name__, "2026-01-01") for name, kind in rule._converters.items()
    }
    with app.test_request_context():
        return rule.build(values)[1]


@pytest.fixture
def open_app(app):
    """The application without the forgery check, so that the answer seen is the one about access."""
    app.config["WTF_CSRF_ENABLED"] = False
    return app


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_route_has_a_row(app):
    missing = sorted({rule.endpoint for rule in routes(app)} - set(MATRIX))
    gone = sorted(set(MATRIX) - {rule.endpoint for rule in routes(app)})
    lines = "\n".join(
        f'    "{endpoint}": "anyone | account | staff | demo | machine",' for endpoint in missing
    )
    assert not missing, f"add to MATRIX in {__file__}, with the one word that is true:\n{lines}"
    assert not gone, f"remove from MATRIX, no such route: {gone}"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_whoever_is_not_signed_in_gets_nothing_that_is_not_for_anyone(open_app):
    wrong = []
    for rule in routes(open_app):
        who = MATRIX.get(rule.endpoint)
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            answer = open_app.test_client().open(address(open_app, rule), method=method)
            if answer.status_code >= 500:
                wrong.append(f"{method} {rule.rule}: {answer.status_code}")
            if who in ("account", "staff") and answer.status_code not in (302, 303, 401, 403, 404):
                wrong.append(f"{method} {rule.rule} is for {who}, a stranger got {answer.status_code}")
            if (
                who == "staff"
                and answer.status_code in (302, 303)
                and "/staff" not in answer.headers["Location"]
            ):
                wrong.append(f"{method} {rule.rule} sends a stranger to {answer.headers['Location']}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_changes_something_is_never_a_link(app):
    wrong = [
        rule.rule
        for rule in routes(app)
        if rule.endpoint.rpartition(".")[2]
        in {
            "hold",
            "stop_session",
            "publish",
            "sign_out",
            "check_in",
            "finish_one",
            "undo_check_in",
            "advance",
            "reset",
        }
        and "POST" not in (rule.methods or set())
    ]
    assert not wrong, f"needs POST: {wrong}"
