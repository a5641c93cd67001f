"""A release with machines in it: thousands of account-less clients beside real patients, who still book what they should.

Over a real gunicorn, PostgreSQL and loopback. The suite runs a small crowd; `make rush` runs 5 000 machines and 200
patients (R7): in the opening minutes machines hold nothing, afterwards at most a fifth of a session.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import func, select

from bench import client, running
from bench.clinic import Person, Visitor, people
from booking.appointments.models import Appointment
from booking.db import db
from booking.refs import ref
from tests import factory, servers
from tests.conftest import fresh_database, new_app
from tests.invariants import broken

MACHINES = int(os.environ.get("MACHINES", "300"))
PATIENTS = int(os.environ.get("PATIENTS", "30"))
NETWORKS = max(5, MACHINES // 50)
TRIES = 200
KEYS = {"SECRET_KEY": "s" * 40, "FIELD_KEYS": "t1:" + "00" * 32}


@dataclass
class Told:
    """What machines were told, by status and where it led; how many patients booked, and how long it took them."""

    machines: Counter[str] = field(default_factory=Counter)
    patients: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


@pytest.fixture
def site(tmp_path, broker):
    """(application for reading rows, port of the real server) on a PostgreSQL of one's own."""
    try:
        url = fresh_database("postgresql", f"machines_{os.getpid()}")
    except servers.NotHere as problem:
        pytest.skip(str(problem))
    app = new_app(url, **KEYS)
    env = KEYS | {
        "APP_ENV": "demo",
        "DATABASE_URL": url,
        "REDIS_URL": broker,
        "TRUSTED_PROXIES": "1",
        "PORT": "5000",
    }
    port = servers.free_port()
    with ExitStack() as stack:
        started = running.gunicorn("wsgi:app", port, "-c", "gunicorn.conf.py", "--log-level", "warning")
        stack.enter_context(running.program(started, env, tmp_path / "site.log", port=port))
        yield app, port
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
    assert "Traceback" not in (tmp_path / "site.log").read_text(), (tmp_path / "site.log").read_text()[-3000:]


def browsers(app, persons: list[Person | None], networks: int) -> list[Visitor]:
    """Browsers that have a page open: signed in for a person, or with no account, from so many networks."""
    sign = SecureCookieSessionInterface().get_signing_serializer(app)
    tokens = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token")
    made = []
    for number, person in enumerate(persons):
        raw = secrets.token_hex(20)
        kept = {"csrf_token": raw} | ({"account": person.account} if person else {})
        at = number % networks
        address = f"10.{1 if person else 2}.{at >> 8}.{at & 255}"
        made.append(Visitor(person or Person(0, 0), sign.dumps(kept), tokens.dumps(raw), address))
    return made


def machine(visitor: Visitor, slot: str, told: Told) -> client.Flow:
    """Ask for a place without an account, as fast as the server answers."""
    answer = yield visitor.hold(slot)
    where = urlsplit(answer.location).path.split("/")[1] if answer.location else ""
    told.machines[f"{answer.status} {where}".strip()] += 1
    return answer.status < 500 or answer.status == 503


def patient(visitor: Visitor, slots: list[str], told: Told) -> client.Flow:
    """Take a place of any slot and confirm it; a full slot leads to the next, a busy server is asked again."""
    began = time.monotonic()
    for attempt in range(TRIES):
        answer = yield visitor.hold(slots[attempt % len(slots)])
        path = urlsplit(answer.location).path
        if answer.status == 303 and path.startswith("/book/"):
            break
        told.patients[f"{answer.status} on the way"] += 1
        if answer.status not in (409, 503):
            return False
    else:
        return False
    form = Visitor(visitor.person, _cookie(answer) or visitor.cookie, visitor.token, visitor.address)
    for _ in range(TRIES):
        answer = yield form.confirm(path)
        if answer.status != 503:
            break
    told.patients[
        f"{answer.status} booked" if "done=booked" in answer.location else f"{answer.status} lost"
    ] += 1
    told.seconds.append(time.monotonic() - began)
    return "done=booked" in answer.location


def _cookie(answer: client.Answer) -> str:
    for line in answer.head.split(b"\r\n"):
        if line.lower().startswith(b"set-cookie: qw="):
            return line.partition(b"qw=")[2].partition(b";")[0].decode()
    return ""


@pytest.mark.parametrize("minutes", [1, 60], ids=["in the opening minutes", "afterwards"])
def test_machines_without_accounts_do_not_drain_a_release(site, minutes):
    app, port = site
    with app.app_context():
        at = factory.clinic()
        # afterwards the patients need exactly the four fifths that are theirs
        capacity = PATIENTS if minutes == 1 else PATIENTS * 5 // 4
        opened = factory.open_session(
            at, places=-(-capacity // 4), release_at=factory.now() - timedelta(minutes=minutes)
        )
        slots = [ref(slot) for slot in opened.slots]
        persons = people(PATIENTS)
        db.session.remove()
    told = Told()
    flows = [machine(one, random.choice(slots), told) for one in browsers(app, [None] * MACHINES, NETWORKS)]
    for one in browsers(app, list(persons), PATIENTS):
        mine = random.sample(slots, len(slots))
        flows.insert(random.randint(0, len(flows)), patient(one, mine, told))
    began = time.monotonic()
    load = client.run(port, iter(flows), 55, connections=64)
    print(
        f"\n{MACHINES} machines, {PATIENTS} patients, {minutes} min after the release: {time.monotonic() - began:.1f} s,"
        f" slowest patient {max(told.seconds, default=0):.1f} s; machines {dict(told.machines)}; {dict(told.patients)}"
    )
    assert load.done == len(flows) and not load.wrong, (load.done, load.wrong, told)
    assert told.patients["303 booked"] == PATIENTS, "everybody with an account has a place"
    assert set(told.machines) <= {"303 login", "303 book", "409", "429", "503"}, told.machines
    with app.app_context():
        rows = dict(
            db.session.execute(
                select(Appointment.status, func.count())
                .where(Appointment.session_id == opened.id)
                .group_by(Appointment.status)
            ).all()
        )
        assert rows.pop("booked") == PATIENTS
        most = 0 if minutes == 1 else sum(len(some) for some in opened.places.values()) // 5
        assert sum(rows.values()) <= most, rows
        assert not broken()
