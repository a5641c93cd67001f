"""Whoever starts the program where it cannot run gets one sentence, in Chinese and English, and no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from worker import checks

ROOT = Path(__file__).resolve().parents[2]


def start(**settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings}
    return subprocess.run(
        [sys.executable, "wsgi.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def one_sentence(text: str, *words: str) -> None:
    assert "Traceback" not in text
    assert len(text.strip().splitlines()) == 1
    for word in words:
        assert word in text


def test_a_taken_port():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = start(PORT=str(port))
    assert done.returncode == 1
    one_sentence(done.stderr, str(port), "不能使用", "cannot be used")


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", ""])
def test_a_port_that_is_none(port):
    done = start(PORT=port)
    assert done.returncode == 1
    one_sentence(done.stderr, "PORT", "must be a number")


def test_several_processes_around_a_queue_in_memory():
    done = start(PORT="5199", WEB_CONCURRENCY="2")
    assert done.returncode == 1
    one_sentence(done.stderr, "REDIS_URL", "只能运行 1 个")


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path, capsys):
    in_the_way = tmp_path / "instance"
    in_the_way.write_text("a file where the folder should be")
    monkeypatch.setattr(checks, "FOLDER", in_the_way)
    with pytest.raises(SystemExit):
        checks.folder_is_writable()
    one_sentence(capsys.readouterr().err, "不可写", "cannot be written")


def test_an_old_python(monkeypatch, capsys):
    monkeypatch.setattr(checks, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(SystemExit):
        checks.python_is_new_enough()
    one_sentence(capsys.readouterr().err, "3.11")


def test_the_checks_can_be_read_by_an_old_python():
    """They run before anything else, so their own syntax must be old."""
    source = (ROOT / "worker/checks.py").read_text()
    compile(source, "checks.py", "exec", dont_inherit=True)
    assert "match " not in source and "| None" not in source
