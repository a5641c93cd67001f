"""What must be true before the program can start; each failure is one sentence in Chinese and English.

Written so that an old Python can still read it: the sentence about the version must come before a syntax error.
"""

import os
import socket
import sys
import tempfile
from pathlib import Path

OLDEST_PYTHON = (3, 11)
FOLDER = Path(__file__).resolve().parent.parent / "instance"


def stop(sentence: str) -> None:
    """Print one sentence on stderr and end the program with status 1."""
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


def address() -> "tuple[str, int]":
    """Return (host, port) from `HOST` and `PORT`; the default is reachable from this machine only."""
    port = os.environ.get("PORT", "5000")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        stop(
            f"PORT 的值 {port!r} 不是 1 到 65535 的端口号。 PORT is {port!r}; it must be a number from 1 to 65535."
        )
    return os.environ.get("HOST", "127.0.0.1"), int(port)


def python_is_new_enough() -> None:
    """Stop on a Python older than the code is written for."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(str(part) for part in sys.version_info[:3])
        stop(f"需要 Python 3.11 或更新版本,当前是 {found}。 Python 3.11 or newer is needed; this is {found}.")


def folder_is_writable() -> None:
    """Stop when `instance/` (embedded database, local keys) cannot be written. Tries, because root ignores modes."""
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=FOLDER):
            pass
    except OSError as problem:
        reason = problem.strerror
        stop(
            f"文件夹 {FOLDER} 不可写({reason}),请改正权限。 The folder {FOLDER} cannot be written: {reason}."
        )


def port_is_free() -> None:
    """Stop when the address is taken, not allowed or not of this machine."""
    host, port = address()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            reason = problem.strerror or str(problem)
            stop(
                f"端口 {port} 不能使用({reason}),换一个端口:PORT={port + 1 if port < 65535 else 8000} make run。 "
                f"Port {port} on {host} cannot be used: {reason}; choose another with PORT."
            )


def one_process_for_memory_broker(processes: int) -> None:
    """Stop when several web processes would share `memory://`: each would have its own queue, worker and limits."""
    if processes > 1 and not os.environ.get("REDIS_URL"):
        stop(
            f"没有设置 REDIS_URL 时只能运行 1 个网页进程,现在要求 {processes} 个。 "
            f"Without REDIS_URL the queue lives inside one process, so {processes} web processes are refused; "
            "set REDIS_URL or use one."
        )


def before_start() -> None:
    """Run every check, cheapest first. A repeat changes nothing."""
    python_is_new_enough()
    processes = os.environ.get("WEB_CONCURRENCY", "1")
    one_process_for_memory_broker(int(processes) if processes.isdecimal() else 1)
    folder_is_writable()
    port_is_free()
