"""What every test may ask for: an application on both databases, a client, the clock, a broker, a browser.

A test that cannot run here is listed at the end; with CI=true that is a failure.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

os.environ["APP_ENV"] = "testing"
for setting in (
    "DATABASE_URL",
    "REDIS_URL",
    "SMTP_URL",
    "SMS_GATEWAY_URL",
    "PORT",
    "PUBLIC_URL",
    "WEB_CONCURRENCY",
):
    os.environ.pop(setting, None)
_own = tempfile.TemporaryDirectory(prefix="booking-test-process-")
os.environ["DATABASE_URL"] = f"sqlite:///{_own.name}/unused.db"  # for whatever makes an application by itself

import pytest  # noqa: E402
import redis  # noqa: E402
from flask import Flask, has_app_context  # noqa: E402
from flask.testing import FlaskClient  # noqa: E402
from flask_migrate import upgrade  # noqa: E402
from sqlalchemy import Engine, text  # noqa: E402

import config  # noqa: E402
from booking import clock, outbox  # noqa: E402
from booking.app import create_app  # noqa: E402
from booking.db import Model, db, transaction  # noqa: E402
from booking.limits import limiter  # noqa: E402
from tests import servers  # noqa: E402

HERE = Path(__file__).parent
FOLDERS = ("rules", "races", "faults", "journeys", "letters", "guards")
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost", "", None)

# --- no network ------------------------------------------------------------------------------------------------------


class NetworkUsed(Exception):
    """A test reached for another machine."""


def _local_only(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = args[1]
        if isinstance(address, tuple) and address[0] not in LOCAL_HOSTS:
            raise NetworkUsed(f"connect to {address[0]}:{address[1]}")
    elif event == "socket.getaddrinfo":
        host = args[0].decode() if isinstance(args[0], bytes) else args[0]
        if host not in (*LOCAL_HOSTS, "0.0.0.0"):
            raise NetworkUsed(f"look up {host}")


sys.addaudithook(_local_only)  # cannot be taken off again: on for every test, also for what libraries do

# --- the run ---------------------------------------------------------------------------------------------------------


_began = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and servers.RUN_FOLDER not in os.environ:
        servers.begin_run()
        config.stash[_began] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.stash.get(_began, False):  # whoever gave us a run's folder keeps it for the next
        servers.end_run()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folder is the marker; a browser is used by one worker at a time."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in FOLDERS:
            item.add_marker(folder)
        if folder == "journeys":
            item.add_marker(pytest.mark.xdist_group("browser"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    reasons: dict[str, int] = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    terminalreporter.section("NOT RUN", sep="!", red=True, bold=True)
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4d}  {reason.removeprefix('Skipped: ')}", red=True)
    terminalreporter.line(
        "With CI=true tests that did not run are a failure."
        if not _in_ci()
        else "CI=true: this is a failure.",
        red=True,
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    for app, _ in _apps.values():
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and _in_ci() and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("true", "1")


# --- databases -------------------------------------------------------------------------------------------------------


def new_app(url: str, **settings: Any) -> Flask:
    """Return an application on the database at `url`; `settings` replace those of config.Testing."""
    values = config.Testing()
    values.SQLALCHEMY_DATABASE_URI = config.database_url(url)
    for name, value in settings.items():
        setattr(values, name, value)
    return create_app(values)


def _migrate(url: str) -> None:
    app = new_app(url)
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()


def _sqlite_template() -> Path:
    template = servers.run_folder() / "template.db"
    with servers.only_one("sqlite-template"):
        if not template.exists():
            partial = template.with_suffix(".partial")
            _migrate(f"sqlite:///{partial}")
            partial.rename(template)
    return template


def _postgresql_template() -> str:
    server = servers.postgresql()
    name = f"booking_template_{servers.run_folder().name.rsplit('-', 1)[-1]}"
    done = servers.run_folder() / "postgresql-template.done"
    with servers.only_one("postgresql-template"):
        if not done.exists():
            _migrate(servers.make_database(server, name))
            done.touch()
    return name


def fresh_database(kind: str, name: str) -> str:
    """Return the address of a new migrated database of `kind` (sqlite, postgresql). Raises servers.NotHere."""
    if kind == "sqlite":
        path = servers.run_folder() / f"{name}.db"
        shutil.copyfile(_sqlite_template(), path)
        return f"sqlite:///{path}"
    template = _postgresql_template()
    suffix = servers.run_folder().name.rsplit("-", 1)[-1]
    return servers.make_database(servers.postgresql(), f"booking_{name}_{suffix}", template)


class Emptied:
    """A database that is put back to what the migrations left, quickly, between tests."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tables = Model.metadata.sorted_tables
        with engine.connect() as connection:
            self.seeds = [
                (table, [dict(row._mapping) for row in connection.execute(table.select())])
                for table in self.tables
            ]
        self.seeds = [(table, rows) for table, rows in self.seeds if rows]

    def empty(self) -> None:
        """Delete every row, start the numbers at 1 again, put the migrations' own rows back."""
        names = [table.name for table in self.tables]
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect() as connection:
                connection.exec_driver_sql("ROLLBACK")  # pragmas count only outside a transaction
                connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                for name in names:
                    connection.exec_driver_sql(f'DELETE FROM "{name}"')
                self._seed(connection)
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")
                connection.exec_driver_sql("BEGIN")
            return
        deletes = "".join(f'DELETE FROM "{name}";' for name in names)
        with self.engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '15s'"))
            connection.execute(
                text("SET LOCAL session_replication_role = replica")
            )  # no order between tables
            connection.exec_driver_sql(deletes)
            connection.execute(
                text(
                    "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)"
                    " FROM pg_sequences WHERE last_value IS NOT NULL"
                )
            )
            self._seed(connection)

    def _seed(self, connection: Any) -> None:
        for table, rows in self.seeds:
            connection.execute(table.insert(), rows)


_apps: dict[str, tuple[Flask, Emptied]] = {}


def _app_of(kind: str) -> tuple[Flask, Emptied]:
    if kind not in _apps:
        try:
            url = fresh_database(kind, servers.worker())
        except servers.NotHere as problem:
            pytest.skip(str(problem))
        app = new_app(url)
        with app.app_context():
            _apps[kind] = (app, Emptied(db.engine))
    return _apps[kind]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database a test runs on; each test that asks for an application runs on both."""
    return str(request.param)


@pytest.fixture
def app(database: str) -> Iterator[Flask]:
    """The application on an empty, migrated database. No context is pushed: each request has its own."""
    app, emptied = _app_of(database)
    kept = dict(app.config)
    emptied.empty()
    limiter.enabled = (
        False  # one object for all applications: a test with limits of its own leaves it switched on
    )
    yield app
    app.config.clear()
    app.config.update(kept)


@pytest.fixture
def within(app: Flask) -> Iterator[Flask]:
    """The application with its context around the test, for calling verbs and queries."""
    with app.app_context():
        yield app
        db.session.rollback()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript and without a window."""
    return app.test_client()


@pytest.fixture
def another_app(database: str) -> Iterator[Callable[..., Flask]]:
    """Make applications on databases of their own, with settings of their own."""
    made: list[Flask] = []

    def make(**settings: Any) -> Flask:
        app = new_app(fresh_database(database, f"{servers.worker()}_own{len(made)}"), **settings)
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def _end_read() -> None:
    """End the read a test has open: its snapshot would go on showing the clock as it was."""
    if has_app_context():
        db.session.rollback()


class Clock:
    """The database's clock, moved for the application under test; never the machine's."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def __call__(self) -> datetime:
        with self.app.app_context():
            return clock.db_now(db.session())

    def shift(self, **by: float) -> datetime:
        """Move by timedelta's words (`hours=3`) and return the new instant."""
        _end_read()
        with self.app.app_context(), transaction() as session:
            clock.shift(session, timedelta(**by))
        return self()

    def at(self, instant: datetime) -> datetime:
        """Move to an aware instant; it goes on running from there."""
        _end_read()
        with self.app.app_context(), transaction() as session:
            clock.shift(session, instant - clock.db_now(session))
        return self()


@pytest.fixture
def now(app: Flask) -> Clock:
    """`now()` tells the time as the verbs see it; `now.shift(hours=1)` and `now.at(instant)` move it."""
    return Clock(app)


@pytest.fixture
def receipts(app: Flask) -> Iterator[Callable[[list[str]], None]]:
    """`receipts(["gateway"])` names the providers whose silence means that a message has not arrived."""
    yield outbox.expect_receipts
    outbox.expect_receipts(app.config["RECEIPTS_FROM"])


# --- broker ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of an empty Redis-like server: `TEST_REDIS_URL` (one test at a time), or a Valkey of one's own."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        with servers.only_one("redis"):
            redis.Redis.from_url(given).flushdb()
            yield given
        return
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(servers.valkey())
        except servers.NotHere as problem:
            pytest.skip(str(problem))
        yield address
