"""Everything that runs in a chaos, and every way it is hurt."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from bench import running
from booking import clock
from booking.db import db, transaction
from booking.notices.approved import described
from tests import servers
from tests.chaos import plan
from tests.storm.world import World as StormsWorld

KEY = "callback-key-of-the-chaos-0123456789"
LOADS, WORKERS, BEATS = 2, 2, 3
TIMEOUT = 2


class World(StormsWorld):
    """PostgreSQL, Valkey, far ends, a web process for the receipts, workers, beats and the load; or, embedded, one process."""

    def __init__(self, kind: str, *, sabotage: bool = False) -> None:
        super().__init__(kind, sabotage=sabotage)
        self.programs: dict[str, subprocess.Popen[bytes]] = {}
        self.modes: dict[str, list[str]] = {"gateway": [], "mail": []}
        self.urls: dict[str, str] = {}
        self.offset = 0.0
        self.steps: list[tuple[float, float]] = []
        """(this machine's clock, how far the product's clock is moved from then on)."""
        self.number = 0
        self.one_crash_at_a_time = threading.Lock()

    # --- what runs ---

    def serve(self) -> None:
        """Start the far ends, then the product; return when its port answers."""
        with self.app.app_context():
            self.offset = clock.offset(db.session()).total_seconds()
            db.session.remove()
        self.steps = [(0.0, self.offset)]
        ends = self.folder / "far_ends.json"
        self._start("far ends", running.python("tests.far_ends", str(self.folder)), {}, stdin=subprocess.PIPE)
        _wait(ends.exists, 30)
        self.urls = json.loads(ends.read_text())
        self.port = servers.free_port()
        for name, provider in (("gateway", "gateway"), ("alibaba", "gateway")):
            if name == provider:
                self.tell(
                    "gateway",
                    **{
                        "callbacks.url": f"http://127.0.0.1:{self.port}/receipts/gateway",
                        "callbacks.key": KEY,
                        "callbacks.failing": 0.01,
                        "retry_after": "3",
                        "delay": 1.2,
                    },
                )
        ids = self.folder / "template_ids.toml"
        names = [one.name for one in described().templates]
        ids.write_text("[alibaba]\n" + "".join(f'"{name}" = "SMS_{at}"\n' for at, name in enumerate(names)))
        if self.kind == "postgresql":
            self._start("web", self._gunicorn("wsgi:app"), self._settings())
            for number in range(BEATS):
                self._start(f"beat {number}", self._celery("worker.app", "beat"), self._settings())
            for number in range(WORKERS):
                self._start_worker(f"worker {number}")
        else:
            self._start_worker("worker 0")
        _wait(self._answers, 60)

    def start_load(self, seed: int, per_second: float) -> None:
        """Start the people."""
        for lane in range(LOADS):
            words = [str(self.folder), str(lane), str(LOADS), str(seed), f"{per_second / LOADS:.3f}"]
            self._start(
                f"load {lane}",
                running.python("tests.chaos.load", *words),
                {**self._settings(), "FAILPOINTS": ""},
            )
        began = [self.folder / f"load-{lane}.jsonl" for lane in range(LOADS)]
        _wait(lambda: all(path.exists() and path.stat().st_size for path in began), 60)

    def stop_load(self) -> None:
        """Let the people go home."""
        (self.folder / "stop").touch()
        for lane in range(LOADS):
            self.programs[f"load {lane}"].wait(60)

    def _settings(self) -> dict[str, str]:
        return {
            "APP_ENV": "testing",
            "DATABASE_URL": self.url,
            "REDIS_URL": self.redis,
            "FAILPOINTS": str(self.switches),
            "SMS_PROVIDERS": "gateway,alibaba",
            "SMS_GATEWAY_URL": self.urls["gateway"],
            "SMS_GATEWAY_KEY": KEY,
            "SMS_CALLBACK_KEY": KEY,
            "ALIBABA_KEY_ID": "id",
            "ALIBABA_KEY_SECRET": "secret",
            "ALIBABA_SMS_URL": self.urls["alibaba"].removesuffix("/sms"),
            "SMS_TEMPLATE_IDS": str(self.folder / "template_ids.toml"),
            "SMTP_URL": self.urls["mail"],
            "SEND_TIMEOUT_SECONDS": str(TIMEOUT),
            "CHAOS_LEASE": str(plan.LEASE),
            "CHAOS_SABOTAGE": "1" if self.sabotage else "",
            "WEB_CONCURRENCY": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def _gunicorn(self, target: str) -> list[str]:
        return running.python("gunicorn", "-w", "1", "-b", f"127.0.0.1:{self.port}", target)

    def _celery(self, target: str, role: str) -> list[str]:
        extra = ["--concurrency", "1"] if role == "worker" else []
        return running.python("celery", "-A", target, role, "--loglevel", "WARNING", *extra)

    def _start_worker(self, name: str, skew: float = 0.0) -> None:
        words = (
            self._celery("tests.chaos.engine", "worker")
            if self.kind == "postgresql"
            else self._gunicorn("tests.chaos.engine:flask_app")
        )
        if self.kind == "postgresql":
            words += ["-n", f"{name.replace(' ', '')}@chaos"]
        self._start(name, words, {**self._settings(), "CHAOS_SKEW": str(skew)})

    def _start(self, name: str, words: list[str], env: dict[str, str], stdin: int | None = None) -> None:
        log = (self.folder / f"{name.replace(' ', '-')}.log").open("ab")
        with log:
            self.programs[name] = subprocess.Popen(
                words,
                cwd=running.ROOT,
                env=os.environ | env,
                stdout=log,
                stderr=log,
                stdin=stdin or subprocess.DEVNULL,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), contextlib.closing(_connect(self.port)):
            return True
        return False

    def _is_up(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def look_after(self) -> list[str]:
        """Start again what was killed, as whatever supervises it in a hospital would; return what that was."""
        dead = [
            name
            for name, one in self.programs.items()
            if one.poll() is not None and name.startswith(("worker", "beat", "web"))
        ]
        for name in dead:
            if name.startswith("worker"):
                self._start_worker(name)
            elif name == "web":
                self._start("web", self._gunicorn("wsgi:app"), self._settings())
            else:
                self._start(name, self._celery("worker.app", "beat"), self._settings())
        return dead

    def tell(self, who: str, **wanted: Any) -> None:
        """Change a far end."""
        pipe = self.programs["far ends"].stdin
        assert pipe is not None
        pipe.write(json.dumps({"who": who, **wanted}).encode() + b"\n")
        pipe.flush()

    # --- what goes wrong, and is mended ---

    def strike(self, blow: plan.Blow) -> None:
        """Let something break."""
        self.number += 1
        match blow.does:
            case "kill_claimed" | "kill_sent":
                point = blow.does.removeprefix("kill_")
                (self.switches / f"{point}.{self.number}").write_text("kill")
            case "kill_worker":
                self._signal(self._a_worker(blow.luck), signal.SIGKILL)
            case "freeze":
                self._signal(self._a_worker(blow.luck), signal.SIGSTOP)
            case "skew":
                name = self._a_worker(blow.luck)
                self._signal(name, signal.SIGKILL)
                self.programs[name].wait(10)
                self._start_worker(name, skew=3600.0 if blow.luck < 0.5 else -3600.0)
            case "no_beat":
                for name in self._named("beat"):
                    self._signal(name, signal.SIGSTOP)
            case "flush":
                self.flush_the_broker()
            case "kill_broker":
                self.kill_the_broker(blow.lasts)
            case "hang_broker":
                self.broker._process.send_signal(signal.SIGSTOP)
            case "full_broker":
                self._memory("1mb")
            case "crash_database":
                with self.one_crash_at_a_time:
                    self.crash_the_database(0.2 + 1.5 * blow.luck)
                    _wait(self._is_up, 30)
            case "clock_on" | "clock_back":
                self.jump(75.0 if blow.does == "clock_on" else -30.0)
            case "receipts":
                self.tell("gateway", **{"callbacks.mode": "shuffled"})
            case "forgets":
                self.tell("gateway", honours=False)
            case "dead":
                self._mode("gateway", "refuse")
            case _:
                who = "gateway" if blow.does.startswith("gw_") else "mail"
                self._mode(who, blow.does.split("_")[1])

    def mend(self, blow: plan.Blow) -> None:
        """Put right what a lasting fault broke."""
        match blow.does:
            case "freeze":
                for name in self._named("worker"):
                    self._signal(name, signal.SIGCONT)
            case "skew":
                name = self._a_worker(blow.luck)
                self._signal(name, signal.SIGKILL)
            case "no_beat":
                for name in self._named("beat"):
                    self._signal(name, signal.SIGCONT)
            case "hang_broker":
                self.broker._process.send_signal(signal.SIGCONT)
            case "full_broker":
                self._memory("0")
            case "receipts":
                self.tell("gateway", **{"callbacks.mode": "plain"})
            case "forgets":
                self.tell("gateway", honours=True)
            case "dead":
                self._mode("gateway", "refuse", over=True)
            case does if does.startswith(("gw_", "mail_")):
                who = "gateway" if does.startswith("gw_") else "mail"
                self._mode(who, does.split("_")[1], over=True)

    def jump(self, by: float) -> None:
        """Move the product's clock, as the demo can."""
        for _ in range(20):
            try:
                with self.app.app_context(), transaction() as session:
                    clock.shift(session, clock.timedelta(seconds=by))
                break
            except Exception:  # the database is away at this very moment
                time.sleep(0.5)
        self.offset += by
        self.steps.append((time.time(), self.offset))

    def _mode(self, who: str, mode: str, *, over: bool = False) -> None:
        """Faults of one far end may overlap: the last one that is not over counts."""
        active = self.modes[who]
        active.remove(mode) if over else active.append(mode)
        self.tell(who, mode=active[-1] if active else "ok")

    def _memory(self, most: str) -> None:
        with contextlib.suppress(RedisError):
            broker = Redis.from_url(self.redis, socket_timeout=5)
            broker.config_set("maxmemory-policy", "noeviction")
            broker.config_set("maxmemory", most)

    def _named(self, kind: str) -> list[str]:
        return [name for name in self.programs if name.startswith(kind)]

    def _a_worker(self, luck: float) -> str:
        names = self._named("worker")
        return names[int(luck * len(names))]

    def _signal(self, name: str, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.programs[name].pid, number)

    def close(self) -> None:
        for name, program in self.programs.items():
            if name != "far ends" and program.poll() is None:
                self._signal(name, signal.SIGCONT)
                self._signal(name, signal.SIGKILL)
                program.wait(10)
        far = self.programs.get("far ends")
        if far is not None and far.stdin is not None:
            far.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                far.wait(10)
            if far.poll() is None:
                far.kill()
        if self.broker is not None:
            with contextlib.suppress(Exception):
                self.broker._process.send_signal(signal.SIGCONT)
        super().close()


def _connect(port: int) -> Any:
    import socket

    return socket.create_connection(("127.0.0.1", port), 0.5)


def _wait(true: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise RuntimeError("a program of the chaos did not come up; look into its log")
        time.sleep(0.1)


__all__ = ["KEY", "Path", "World"]
