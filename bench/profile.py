"""`python -m bench.profile`: where the time of a page, a hold and a confirmation goes, and which statements they make.

Runs in this one process on a PostgreSQL with the demo; each request is warmed first and then repeated.
"""

from __future__ import annotations

import contextlib
import cProfile
import io
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

import config
from bench import running
from bench.clinic import Clinic, Visitor
from booking.app import create_app
from tests import servers

TIMES = int(os.environ.get("TIMES", "40"))
LINES = int(os.environ.get("LINES_SHOWN", "25"))

Call = Callable[[], Any]


def main(wanted: list[str]) -> None:
    """Profile the named requests, all when none is named."""
    with contextlib.ExitStack() as stack:
        app = start(stack)
        clinic = Clinic(app, {"all": 4 * (TIMES + 10) + 10})
        for name, calls in requests(app, clinic).items():
            if not wanted or name in wanted:
                report(name, calls)


def start(stack: contextlib.ExitStack) -> Flask:
    """Return the production application on a database of its own with the demo in it; limits count in memory."""
    servers.begin_run()
    stack.callback(servers.end_run)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="booking-bench-")))
    url = servers.make_database(servers.postgresql(), "bench_profile")
    os.environ |= {"DATABASE_URL": url, "SECRET_KEY": "0" * 64, "FIELD_KEYS": "bench:" + "0" * 64}
    os.environ |= {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_URL": "https://bench.invalid",
        "TRUSTED_PROXIES": "1",
    }
    os.environ |= {"SMS_GATEWAY_URL": "http://127.0.0.1:1/sms", "SMS_GATEWAY_KEY": "0" * 32}
    os.environ |= {"SMTP_URL": "", "HELP_PHONE": "0571-0000-0000", "APP_ENV": "production"}
    for words in (["db", "upgrade"], ["demo", "load", "--yes"]):
        command = running.python("flask", "--app", "wsgi", *words)
        env = os.environ | {"APP_ENV": "demo", "REDIS_URL": ""}
        with (folder / "load.log").open("ab") as log:
            subprocess.run(command, cwd=running.ROOT, env=env, check=True, stdout=log, stderr=log)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    settings = config.Production()
    settings.RATELIMIT_STORAGE_URI = "memory://"
    return create_app(settings)


def requests(app: Flask, clinic: Clinic) -> dict[str, Iterator[Call]]:
    """Return, by name, calls that each make one fresh request."""
    people = iter(clinic.visitors("all"))
    browser = app.test_client(use_cookies=False)
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT min(question_id) FROM answer WHERE doctor_id IS NOT NULL").fetchone()
    assert row

    def page(path: str) -> Iterator[Call]:
        while True:
            yield lambda: expect(browser.get(path, headers=headers()), 200)

    def holds(slots: list[str], status: int) -> Iterator[Call]:
        for number, visitor in enumerate(people):
            slot = slots[number % len(slots)]
            yield lambda visitor=visitor, slot=slot: expect(hold(browser, visitor, slot), status)

    def books(again: bool) -> Iterator[Call]:
        for number, visitor in enumerate(people):
            path = urlsplit(hold(browser, visitor, clinic.spread[-1 - number % 500]).location).path
            form = {
                "csrf_token": visitor.token,
                "patient": str(visitor.person.patient),
                "reminders": "y",
                "request_key": str(number),
            }
            if again:
                yield lambda path=path, visitor=visitor: expect(
                    browser.get(path, headers=headers(visitor)), 200
                )
            else:
                yield lambda path=path, visitor=visitor, form=form: expect(
                    browser.post(path, data=form, headers=headers(visitor)), 303
                )

    return {
        "home": page("/"),
        "question": page(f"/q/{row[0]}"),
        "doctor": page("/d/shenzhiwei"),
        "hold": holds(clinic.spread, 303),
        "sold-out": holds([clinic.sold_out], 409),
        "confirm-page": books(True),
        "confirm": books(False),
    }


def headers(visitor: Visitor | None = None) -> dict[str, str]:
    """Return what a browser behind the proxy sends."""
    given = {"X-Forwarded-Proto": "https"}
    return given | ({"Cookie": f"qw={visitor.cookie}", "X-Forwarded-For": visitor.address} if visitor else {})


def hold(browser: FlaskClient, visitor: Visitor, slot: str) -> Any:
    """Take a place."""
    form = urlencode({"slot": slot, "csrf_token": visitor.token})
    kind = "application/x-www-form-urlencoded"
    return browser.post("/hold", data=form, content_type=kind, headers=headers(visitor))


def expect(answer: Any, status: int) -> None:
    """Raise AssertionError for another status."""
    assert answer.status_code == status, f"{answer.status_code} instead of {status}: {answer.text[:600]}"


def report(name: str, calls: Iterator[Call]) -> None:
    """Print the time of one request, its statements, and the costliest functions."""
    for _ in range(5):
        next(calls)()
    ready = [next(calls) for _ in range(TIMES)]
    with counted() as statements:
        ready.pop()()
    cpu, wall = time.process_time(), time.perf_counter()
    half = len(ready) // 2
    for call in ready[:half]:
        call()
    cpu, wall = (time.process_time() - cpu) / half, (time.perf_counter() - wall) / half
    profile = cProfile.Profile()
    for call in ready[half:]:
        profile.runcall(call)
    said = io.StringIO()
    stats = pstats.Stats(profile, stream=said)
    stats.sort_stats("cumulative").print_stats(
        r"booking|jinja2|templates|babel|sqlalchemy/orm/(session|loading)|db", LINES
    )
    stats.sort_stats("tottime").print_stats(LINES)
    print(
        f"\n=== {name}: {cpu * 1000:.1f} ms of Python, {wall * 1000:.1f} ms in all, {len(statements)} statements"
    )
    for statement, times in Counter(statements).most_common():
        print(f"  {times} × {statement[:150]}")
    if LINES:
        print(said.getvalue().replace(str(running.ROOT) + "/", ""))


@contextlib.contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements made inside the block."""
    made: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        made.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield made
    finally:
        event.remove(Engine, "before_cursor_execute", note)


if __name__ == "__main__":
    main(sys.argv[1:])
