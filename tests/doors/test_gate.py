"""The page of those who cannot be served soon: what it says, what it keeps, what it never touches."""

from __future__ import annotations

import re
import time

import pytest
from werkzeug.test import Client

from booking.gate import BusyPage, Gate, came


def inner(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]


@pytest.fixture
def gate():
    page = BusyPage(site="青梧<就医>", styles=("/static/css/app.css?v=1",), retry_seconds=5)
    return Gate(inner, wait_seconds=2.0, at_once=64, trusts_proxy=True, page=page)


@pytest.fixture
def late(gate):
    """A browser whose every request has stood in the queue for too long."""

    def call(environ, start_response):
        came(time.monotonic() - 3, room=True)
        return gate(environ, start_response)

    return Client(call)


def test_in_time_everything_passes(gate):
    assert Client(gate).get("/d/x").text == "served"


def test_a_page_comes_again_by_itself_and_says_so_in_both_languages(late):
    answer = late.get("/d/x")
    assert answer.status_code == 503
    seconds = int(answer.headers["Retry-After"])
    assert 5 <= seconds <= 10
    assert f'<meta http-equiv="refresh" content="{seconds}">' in answer.text
    assert "请稍等" in answer.text and "Very busy" in answer.text
    assert "青梧&lt;就医&gt;" in answer.text and "<style" not in answer.text
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert len(answer.data) < 2000


def test_a_crowd_sent_away_together_does_not_come_back_together(late):
    assert len({late.get("/").headers["Retry-After"] for _ in range(60)}) > 3


def test_a_form_keeps_what_was_typed_and_waits_for_one_press(late):
    typed = {"csrf_token": "t", "patient": "7", "complaint": '咳嗽"两周<b>'}
    answer = late.post("/book/1-0f?a=1&b=2", data=typed)
    assert answer.status_code == 503 and "Retry-After" in answer.headers
    assert "refresh" not in answer.text, "a form is never sent again by itself"
    assert '<form method="post" action="/book/1-0f?a=1&amp;b=2">' in answer.text
    assert 'name="complaint" value="咳嗽&quot;两周&lt;b&gt;"' in answer.text
    assert len(re.findall('type="hidden"', answer.text)) == 3


@pytest.mark.parametrize(
    ("sent", "referer", "back"),
    [
        ({"data": {"password": "x"}}, "http://localhost/staff/login?next=a", "/staff/login?next=a"),
        ({"data": {"password": "x"}}, "http://other.example/trap", "/"),
        ({"data": {"password": "x"}}, "http://localhost//evil", "/"),
        ({"data": {"password": "x"}}, "http://[", "/"),
        ({"json": {"a": 1}}, "http://localhost/d/x", "/d/x"),
        ({"data": {"a": "x" * 20_000}}, "http://localhost/d/x", "/d/x"),
    ],
)
def test_what_cannot_be_kept_leads_back_to_a_page_of_ours(late, sent, referer, back):
    answer = late.post("/staff/login", headers={"Referer": referer}, **sent)
    assert answer.status_code == 503 and "hidden" not in answer.text
    assert f'href="{back}">回上一页' in answer.text


@pytest.mark.parametrize("path", ["/static/css/app.css", "/healthz", "/readyz", "/robots.txt"])
def test_static_files_and_health_are_never_turned_away(late, path):
    assert late.get(path).text == "served"


def test_large_print_stays_large_print(late):
    late.set_cookie("show", "elder.")
    assert 'data-mode="elder"' in late.get("/").text


def test_a_request_without_room_is_turned_away_at_once(gate):
    def call(environ, start_response):
        came(time.monotonic(), room=False)
        return gate(environ, start_response)

    assert Client(call).get("/").status_code == 503
    assert Client(gate).get("/").status_code == 200, "what the server says counts for one request"


def test_the_time_before_the_proxy_counts_when_it_can_be_true(gate):
    browser = Client(gate)

    def ago(seconds):
        return browser.get("/", headers={"X-Request-Start": f"t={time.time() - seconds}"}).status_code

    assert [ago(3), ago(1), ago(-50), ago(100_000)] == [503, 200, 200, 200]
    assert browser.get("/", headers={"X-Request-Start": "nonsense"}).status_code == 200
    gate.trusts_proxy = False
    assert ago(3) == 200, "from the street anybody could say so"


def test_another_server_is_bounded_by_what_is_in_progress(gate):
    gate.at_once, seen = 1, []

    def app(environ, start_response):
        if not seen:
            seen.append(Client(gate).get("/").status_code)
        return inner(environ, start_response)

    gate.app = app
    assert Client(gate).get("/").status_code == 200
    assert seen == [503]
    assert Client(gate).get("/").status_code == 200


def test_a_page_of_the_application_that_is_turned_away_changes_nothing(app):
    app.wsgi_app.wait_seconds = -1.0
    try:
        answer = app.test_client().post("/hold", data={"slot": "1-" + "0" * 32})
    finally:
        app.wsgi_app.wait_seconds = app.config["WAIT_SECONDS"]
    assert answer.status_code == 503
    assert "css/app.css?v=" in answer.text and "再试一次" in answer.text
