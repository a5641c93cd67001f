"""One command serves web, worker and beat; Ctrl-C ends it cleanly; a second start keeps the data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).resolve().parents[2]


def serve(folder: Path, **settings: str) -> tuple[subprocess.Popen[str], str]:
    port = str(servers.free_port())
    environment = {
        **os.environ,
        "APP_ENV": "demo",
        "PORT": port,
        "DATABASE_URL": f"sqlite:///{folder / 'booking.db'}",
        "SECRET_KEY": "s" * 40,
        "FIELD_KEYS": "t1:" + "00" * 32,
        **settings,
    }
    process = subprocess.Popen(
        [sys.executable, "wsgi.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address + "/healthz", timeout=5):
                return process, address
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError("did not start: " + (process.communicate()[0] or ""))


def stop(process: subprocess.Popen[str]) -> str:
    """Do what Ctrl-C does: INT to every process of the terminal."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        output = process.communicate(timeout=30)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("started")


def test_the_first_start_migrates_loads_the_demo_and_says_where_to_look(folder):
    process, address = serve(folder)
    time.sleep(3)
    output = stop(process)
    assert process.returncode == 0, output
    assert address in output and "Traceback" not in output and "Warning" not in output


def test_the_second_start_is_quick_and_stops_cleanly(folder):
    started = time.monotonic()
    process, _ = serve(folder)
    took = time.monotonic() - started
    output = stop(process)
    assert process.returncode == 0 and "Traceback" not in output, output
    assert took < 30  # seconds on a quiet machine; 30 leaves room for a busy one


def test_with_redis_it_says_how_to_start_worker_and_beat(folder, broker):
    process, _ = serve(folder, REDIS_URL=broker)
    output = stop(process)
    assert "celery -A worker.app worker" in output and "celery -A worker.app beat" in output
