"""The database is away: every page says so with 503 and when to come back; nothing is a 500."""

from __future__ import annotations

import pytest

from booking.desk.session import KEY as STAFF
from tests import servers
from tests.conftest import new_app


@pytest.fixture(scope="module")
def lonely():
    """The application with a database address where nobody listens."""
    return new_app(f"postgresql://nobody@127.0.0.1:{servers.free_port()}/none")


def pages(app):
    """Every address that can be opened, with something in the place of each argument."""
    words = {"ref": "1-" + "0" * 32, "int": "1", "uuid": "00000000-0000-0000-0000-000000000000"}
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint == "static":
            continue
        path = rule.rule
        for name in rule.arguments:
            kind = type(rule._converters[name]).__name__.lower()
            known = next((value for key, value in words.items() if kind.startswith(key)), "x")
            path = path.replace(next(p for p in path.split("/") if name in p and "<" in p), known)
        yield path


def test_every_page_without_a_database_is_a_503_that_says_when_to_come_back(lonely):
    browser, wrong, seen = lonely.test_client(), [], 0
    with browser.session_transaction() as kept:
        kept["account"] = 1
        kept["key"] = "k"
        kept[STAFF] = {"id": "0" * 32, "until": 2**40, "hospital": 1, "version": 1}
    for path in pages(lonely):
        answer = browser.get(path)
        seen += answer.status_code == 503
        if answer.status_code == 503 and path != "/readyz":
            if "Retry-After" not in answer.headers or "暂时打不开" not in answer.text:
                wrong.append((path, "says too little"))
        elif answer.status_code >= 500 and path != "/readyz":
            wrong.append((path, answer.status_code))
    assert not wrong
    assert seen > 20


def test_a_form_without_a_database_is_a_503_too(lonely):
    browser = lonely.test_client()
    lonely.config["WTF_CSRF_ENABLED"] = False
    for path in ("/hold", "/login", "/find", "/staff/login"):
        answer = browser.post(
            path, data={"slot": "1-" + "0" * 32, "phone": "13800130000", "username": "a", "password": "b"}
        )
        assert answer.status_code in (302, 303, 404, 422, 503), (path, answer.status_code)
