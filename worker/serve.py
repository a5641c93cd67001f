"""The start of the embedded default: checks, migration, demo, then web, worker and beat from one command."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask_migrate import upgrade
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from booking.db import db
from booking.demo.load import ensure_demo
from booking.outbox import on_commit
from booking.schedule.wanted import on_kept_back
from worker import checks, embedded, lanes
from worker.app import app as celery
from worker.app import flask_app, wake_after_commits

THREADS = 8
GRACE_SECONDS = 10

_stop_engine_room: Callable[[], None] | None = None


def start_engine_room(web_worker: Worker) -> None:
    """Start worker and beat in the web process that was just forked; with Redis they are processes of their own."""
    global _stop_engine_room
    # Ctrl-C reaches every process of the terminal, and gunicorn passes it on as QUIT, which cuts requests off;
    # here both mean: finish what is in hand, then go.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, web_worker.handle_exit)
    if isinstance(web_worker, lanes.Worker):
        web_worker.lanes.most = flask_app.config["WAITING_AT_MOST"]
        web_worker.lanes.seconds = flask_app.config["WAIT_SECONDS"]
    wake_after_commits()
    if not flask_app.config["REDIS_URL"]:
        _stop_engine_room = embedded.start(celery)


def stop_engine_room(_arbiter: Arbiter, _web_worker: Worker) -> None:
    """Let the letter in hand be finished before the process goes."""
    global _stop_engine_room
    if _stop_engine_room is not None:
        _stop_engine_room()
        _stop_engine_room = None


class Served(BaseApplication):
    """One web process with eight threads. One, because the queue and the limits live in its memory."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return flask_app


def main() -> None:
    """Bring the database up to date, load the demo the first time, serve until Ctrl-C. A repeat keeps all data."""
    host, port = checks.address()
    for wake_on in (on_commit, on_kept_back):
        wake_on(lambda: None)  # nobody yet, and a connection to the broker must not be shared across the fork
    with flask_app.app_context():
        upgrade()
        db.session.remove()
        lines = ensure_demo(flask_app) if flask_app.config["DEMO"] else []
        db.session.remove()
        db.engine.dispose()  # nor connections to the database

    def announce(_arbiter: Arbiter) -> None:
        shown = f"[{host}]" if ":" in host else host
        print(f"\n青梧就医 http://{shown}:{port}/   (Ctrl-C 停止)")
        print("\n".join(lines))
        if flask_app.config["REDIS_URL"]:
            print("REDIS_URL 已设置,任务由另外两个进程执行,请各开一个终端运行:")
            print(
                "  .venv/bin/celery -A worker.app worker\n  .venv/bin/celery -A worker.app beat", flush=True
            )
        print(flush=True)

    Served(
        {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": int(os.environ.get("WEB_CONCURRENCY", "1")),
            "worker_class": "worker.lanes.Worker",
            "threads": THREADS,
            "graceful_timeout": GRACE_SECONDS,
            "control_socket_disable": True,
            "loglevel": "warning",
            "when_ready": announce,
            "post_worker_init": start_engine_room,
            "worker_exit": stop_engine_room,
        }
    ).run()
