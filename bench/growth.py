"""`make bench-growth`: does a booking or a doctor's page cost more when a hospital has ten million places? (T6, T7)

Three databases of one server, the same hospital in each, filled to 1 000, 100 000 and 10 000 000 places by one SQL
statement; the same requests are made of all three in turn, in one process, and their CPU is read: ours, PostgreSQL's.
Takes about 8 GB for a while, under the folder for temporary files (TMPDIR), and says so before it begins. Sizes may be
named: `python -m bench.growth 1000 100000`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import Engine

import config
from bench import clinic as house
from bench import running
from bench.clinic import Clinic, Visitor
from bench.profile import expect, headers, hold
from booking.app import create_app
from booking.db import Model
from tests import servers

HERE = Path(__file__).resolve().parent
SIZES = (1_000, 100_000, 10_000_000)
BYTES_PER_PLACE = 900
ROUNDS = 5
BOOKINGS, PAGES, WARM = 16, 40, 24
SLOTS, PLACES = 12, 5
"""Of each session that fills; a slot is twenty minutes."""
YEARS_OF_ONE = 1460
"""Sessions of one practice at most: two years of mornings and afternoons."""
SLOW_MS = 5.0


@dataclass
class Grown:
    """One database: its size, the application on it, its people, and the milliseconds of CPU measured so far."""

    places: int
    url: str
    app: Flask
    clinic: Clinic
    people: Iterator[Visitor]
    page: str
    cpu: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def main(sizes: list[int]) -> None:
    """Fill, measure in turns, look at the plans, print, keep, clean up."""
    need, there = sum(sizes) * BYTES_PER_PLACE, shutil.disk_usage(tempfile.gettempdir()).free
    say(
        f"needs about {need / 1e9:.1f} GB for a while; {there / 1e9:.0f} GB are free in {tempfile.gettempdir()}"
    )
    if there < 1.5 * need:
        raise SystemExit("That is too little: name smaller sizes, or another TMPDIR.")
    with contextlib.ExitStack() as stack:
        grown, postmaster = set_up(stack, sizes)
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}")
            for one in grown:
                measure(one, "booking", BOOKINGS, postmaster, lambda one=one: book(one))
                measure(one, "doctor page", PAGES, postmaster, lambda one=one: see(one))
        slow = plans(grown[-1])
        keep(grown, slow)


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def set_up(stack: contextlib.ExitStack, sizes: list[int]) -> tuple[list[Grown], int]:
    """Start PostgreSQL, migrate once, copy, fill; return the databases and the server's process."""
    servers.begin_run()
    stack.callback(servers.end_run)
    admin = servers.postgresql()
    with psycopg.connect(admin, autocommit=True) as connection:
        for name, value in (("autovacuum", "off"), ("max_wal_size", "'4GB'"), ("checkpoint_timeout", "'1h'")):
            connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        connection.execute("SELECT pg_reload_conf()")
        row = connection.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'").fetchone()
    postmaster = int((Path(row[0]) / "postmaster.pid").read_text().splitlines()[0]) if row else 0
    template = servers.make_database(admin, "growth_template")
    os.environ |= {
        "DATABASE_URL": template,
        "SECRET_KEY": "0" * 64,
        "FIELD_KEYS": "bench:" + "0" * 64,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_URL": "https://bench.invalid",
        "TRUSTED_PROXIES": "1",
        "SMS_GATEWAY_URL": "http://127.0.0.1:1/sms",
        "SMS_GATEWAY_KEY": "0" * 32,
        "SMTP_URL": "",
        "HELP_PHONE": "0571-0000-0000",
        "APP_ENV": "production",
    }
    subprocess.run(
        running.python("flask", "--app", "wsgi", "db", "upgrade"),
        cwd=running.ROOT,
        env=os.environ | {"APP_ENV": "demo", "REDIS_URL": ""},
        check=True,
        capture_output=True,
    )
    grown = []
    for places in sizes:
        url = servers.make_database(admin, f"growth_{places}", "growth_template")
        grown.append(_grown(places, url))
    return grown, postmaster


def _grown(places: int, url: str) -> Grown:
    settings = config.Production()
    settings.SQLALCHEMY_DATABASE_URI = config.database_url(url)
    settings.RATELIMIT_STORAGE_URI = "memory://"
    app = create_app(settings)
    house.DOCTORS = (
        2  # of 72 slots with five places each: the smallest size is hardly more than the bench's own
    )
    clinic = Clinic(app, {"all": WARM + ROUNDS * BOOKINGS + 20})
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        there = connection.execute("SELECT count(*) FROM place").fetchone()
        fill(connection, clinic.hospital, places - (there[0] if there else 0))
        filled = time.monotonic() - began
        connection.execute("VACUUM ANALYZE")
        counted = connection.execute(
            "SELECT count(*), pg_database_size(current_database()) FROM place"
        ).fetchone()
        slug = connection.execute("SELECT slug FROM doctor WHERE name = '陆明0'").fetchone()
    assert counted and slug
    say(
        f"{counted[0]:>11,} places, {counted[1] / 1e9:.2f} GB: filled in {filled:.0f} s,"
        f" looked over in {time.monotonic() - began - filled:.0f} s"
    )
    one = Grown(places, url, app, clinic, iter(clinic.visitors("all")), f"/d/{slug[0]}")
    for _ in range(WARM):
        book(one)
        see(one)
    return one


def fill(connection: psycopg.Connection[Any], hospital: int, places: int) -> None:
    """Add sessions, slots and `places` places to a hospital: the doctors who are there get a past, others a past and a future.

    The others work in departments of their own, sixteen in each: a page that names the doctors of one department must
    not show more of them because the hospital has grown.
    """
    sessions = places // (SLOTS * PLACES)
    if sessions < 1:
        return
    here = connection.execute("SELECT count(*) FROM practice WHERE hospital_id = %s", (hospital,)).fetchone()
    assert here
    more = max(1, -(-sessions // YEARS_OF_ONE) - here[0])
    connection.execute(
        "SET session_replication_role = replica"
    )  # the rows agree by construction; 30 million look-ups less
    first = f"WHERE hospital_id = {hospital} ORDER BY id LIMIT 1"
    grown = {"id": "md5('d' || n)::uuid", "slug": "'filling-' || n", "name": "'充' || n"}
    connection.execute(
        f"{_copied('doctor', grown)} FROM generate_series(1, {more}) n, (SELECT * FROM doctor {first}) t"
    )
    grown = {"id": "md5('k' || n)::uuid", "name": "'科' || n"}
    connection.execute(
        f"{_copied('department', grown)} FROM generate_series(0, {more // 16}) n, (SELECT * FROM department {first}) t"
    )
    grown = {
        "id": "md5('p' || n)::uuid",
        "doctor_id": "md5('d' || n)::uuid",
        "department_id": "md5('k' || n / 16)::uuid",
    }
    connection.execute(
        f"{_copied('practice', grown)} FROM generate_series(1, {more}) n, (SELECT * FROM practice {first}) t"
    )
    day = f"CASE WHEN p.k < {here[0]} THEN current_date - 1 - turn.i / 2 ELSE current_date - 365 + turn.i / 2 END"
    at = "(d.day + t.starts_local) AT TIME ZONE t.zone"
    connection.execute(
        f"""
        WITH p AS (SELECT row_number() OVER (ORDER BY name LIKE '充%', d.id) - 1 AS k, practice.id, doctor_id
                   FROM practice JOIN doctor d ON d.id = doctor_id WHERE practice.hospital_id = {hospital}),
        parts AS (SELECT array_agg(id ORDER BY position) AS ids FROM day_part WHERE hospital_id = {hospital}),
        made AS (
          {
            _copied(
                "clinic_session",
                {
                    "id": _id("'01900000' || lpad(to_hex(s), 8, '0')"),
                    "practice_id": "p.id",
                    "doctor_id": "p.doctor_id",
                    "day_part_id": "parts.ids[1 + turn.i % 2]",
                    "local_date": "d.day",
                    "starts_at": at,
                    "ends_at": f"{at} + interval '4 hours'",
                    "release_at": f"{at} - interval '7 days'",
                    "status": "'published'",
                    "slot_minutes": "20",
                    "places_per_slot": str(PLACES),
                },
            )
        }
          FROM generate_series(0, {sessions - 1}) s
          JOIN p ON p.k = s %% (SELECT count(*) FROM p)
          CROSS JOIN LATERAL (SELECT s / (SELECT count(*) FROM p) AS i) whole CROSS JOIN LATERAL (SELECT whole.i::int AS i) turn
          CROSS JOIN LATERAL (SELECT ({day})::date AS day) d
          CROSS JOIN parts CROSS JOIN (SELECT * FROM clinic_session {first}) t
          RETURNING id, starts_at),
        cut AS (
          {
            _copied(
                "slot",
                {
                    "id": _id("left(replace(made.id::text, '-', ''), 16) || lpad(to_hex(n), 4, '0')"),
                    "session_id": "made.id",
                    "starts_at": "made.starts_at + n * interval '20 minutes'",
                    "ends_at": "made.starts_at + (n + 1) * interval '20 minutes'",
                    "closes_at": "made.starts_at + n * interval '20 minutes' - interval '30 minutes'",
                },
            )
        }
          FROM made CROSS JOIN generate_series(0, {SLOTS - 1}) n CROSS JOIN (SELECT * FROM slot {first}) t
          RETURNING id, session_id)
        {
            _copied(
                "place",
                {
                    "id": _id("left(replace(cut.id::text, '-', ''), 20) || lpad(to_hex(n), 4, '0')"),
                    "session_id": "cut.session_id",
                    "slot_id": "cut.id",
                    "position": "n",
                    "open": "true",
                    "appointment_id": "NULL",
                    "held_until": "NULL",
                },
            )
        }
        FROM cut CROSS JOIN generate_series(1, {PLACES}) n CROSS JOIN (SELECT * FROM place {first}) t
        """.replace("%%", "%")
    )
    connection.execute("SET session_replication_role = origin")


def _id(digits: str) -> str:
    """An id that grows with its row, as ours do."""
    return f"rpad({digits}, 32, '0')::uuid"


def _copied(table: str, changes: dict[str, str]) -> str:
    """The beginning of a statement that copies the row `t` of a table with some columns changed."""
    columns = [f'"{column.name}"' for column in Model.metadata.tables[table].columns]
    values = [changes.get(name.strip('"'), f"t.{name}") for name in columns]
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"


# --- measure ---------------------------------------------------------------------------------------------------------


def measure(one: Grown, what: str, times: int, postmaster: int, call: Callable[[], None]) -> None:
    """Make some requests and keep the CPU milliseconds of one: (in all, PostgreSQL's)."""
    cpu, theirs = time.process_time(), running.cpu_of([postmaster])
    for _ in range(times):
        call()
    theirs = (running.cpu_of([postmaster]) - theirs) / times * 1000
    ours = (time.process_time() - cpu) / times * 1000
    one.cpu.setdefault(what, []).append((ours + theirs, theirs))


def book(one: Grown) -> None:
    """A whole booking: take a place, see the confirm page, confirm."""
    visitor = next(one.people)
    browser = one.app.test_client(use_cookies=False)
    slot = one.clinic.spread[visitor.person.account % len(one.clinic.spread)]
    path = urlsplit(hold(browser, visitor, slot).location).path
    expect(browser.get(path, headers=headers(visitor)), 200)
    form = {
        "csrf_token": visitor.token,
        "patient": str(visitor.person.patient),
        "reminders": "y",
        "request_key": path,
    }
    expect(browser.post(path, data=form, headers=headers(visitor)), 303)


def see(one: Grown) -> None:
    """A doctor's page."""
    expect(one.app.test_client(use_cookies=False).get(one.page, headers=headers()), 200)


# --- plans -----------------------------------------------------------------------------------------------------------


def plans(one: Grown) -> list[str]:
    """Explain every statement of a booking and a page; return those that read a large table through or take long."""
    made: dict[str, Any] = {}

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        made.setdefault(statement, values)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        book(one)
        see(one)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    found = []
    with psycopg.connect(one.url, autocommit=True) as connection:  # a rollback would take the settings back
        for setting in (
            "join_collapse_limit = 4",
            "random_page_cost = 1.1",
            "max_parallel_workers_per_gather = 0",
        ):
            connection.execute(f"SET {setting}")  # as booking/db.py does
        for statement, values in made.items():
            how = (
                "EXPLAIN (ANALYZE, FORMAT JSON)"
                if statement.lstrip().startswith("SELECT")
                else "EXPLAIN (FORMAT JSON)"
            )
            if not statement.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
                continue
            try:
                row = connection.execute(f"{how} {statement}", values).fetchone()
            except psycopg.Error as problem:
                found.append(
                    f"not explained ({problem.diag.message_primary}): {' '.join(statement.split())[:160]}"
                )
                continue
            assert row
            plan = row[0][0]
            read = sorted(set(_read_through(plan["Plan"])))
            took = plan.get("Execution Time", 0.0)
            if read or took > SLOW_MS:
                found.append(
                    f"{took:.1f} ms, reads through {read or 'nothing'}: {' '.join(statement.split())[:300]}"
                )
    return found


def _read_through(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan" and node["Plan Rows"] + node.get("Rows Removed by Filter", 0) > 2000:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _read_through(child)


# --- say and keep ----------------------------------------------------------------------------------------------------


def keep(grown: list[Grown], slow: list[str]) -> None:
    """Print the table, write `growth.json` and `growth.svg` beside this file."""
    first, figures = grown[0], []
    say(f"\n{'':14} {'places':>12} {'CPU ms':>8} {'PostgreSQL':>11} {'÷ smallest':>11}")
    for what in first.cpu:
        for one in grown:
            total, theirs = (statistics.median(pair[at] for pair in one.cpu[what]) for at in (0, 1))
            pairs = zip(one.cpu[what], first.cpu[what], strict=True)
            ratio = statistics.median(mine[0] / small[0] for mine, small in pairs)
            figures.append(
                {"what": what, "places": one.places, "ms": total, "postgresql_ms": theirs, "ratio": ratio}
            )
            say(f"{what:14} {one.places:>12,} {total:>8.2f} {theirs:>11.2f} {ratio:>11.2f}")
    say(
        "\nStatements that read a table through or take long, on the largest:"
        if slow
        else "\nEvery plan uses an index."
    )
    for line in slow:
        say(f"  {line}")
    about = {
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "load": os.getloadavg()[0],
        "figures": figures,
        "slow": slow,
    }
    (HERE / "growth.json").write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n")
    (HERE / "growth.svg").write_text(drawing(figures))
    say("kept in bench/growth.json and bench/growth.svg")


def drawing(figures: list[dict[str, Any]]) -> str:
    """Bars of CPU for each kind of request and size: Python in one tone, PostgreSQL in the other."""
    left, full, most = 250, 380, max(one["ms"] for one in figures)
    tall = 66 + 28 * len(figures)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{tall}" font-family="sans-serif" font-size="13">',
        f'<rect width="800" height="{tall}" fill="#fff"/>',
        '<text x="12" y="24">CPU of one request as a hospital grows, ms (dark: Python, light: PostgreSQL)</text>',
    ]
    for at, one in enumerate(figures):
        y = 46 + 28 * at
        python = (one["ms"] - one["postgresql_ms"]) / most * full
        base = one["postgresql_ms"] / most * full
        name, said = f"{one['what']}, {one['places']:,} places", f"{one['ms']:.1f} ms (× {one['ratio']:.2f})"
        drawn += [
            f'<text x="12" y="{y + 14}">{escape(name)}</text>',
            f'<rect x="{left}" y="{y}" width="{python:.1f}" height="18" fill="#0a666b"/>',
            f'<rect x="{left + python:.1f}" y="{y}" width="{base:.1f}" height="18" fill="#8fc1c4"/>',
            f'<text x="{left + python + base + 6:.1f}" y="{y + 14}" fill="#333">{escape(said)}</text>',
        ]
    return "\n".join([*drawn, "</svg>"]) + "\n"


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]] or list(SIZES))
