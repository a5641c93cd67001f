"""Programs the bench starts and ends, their CPU time and memory, and what others took of the machine meanwhile."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1
FIRST_PORT = int(os.environ.get("BENCH_PORT", "5800"))


class DidNotStart(Exception):
    """A program of the bench did not come up; the text ends with its last words."""


def free_port() -> int:
    """Return a free port of 127.0.0.1 from `BENCH_PORT` (5800) on."""
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise DidNotStart(f"no free port from {FIRST_PORT} on")


@contextlib.contextmanager
def program(
    words: Sequence[str], env: dict[str, str], log: Path, *, port: int = 0, seconds: float = 60
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own until the end of the block; wait for `port` when one is given."""
    with log.open("ab") as written:
        started = subprocess.Popen(
            words,
            cwd=ROOT,
            env=os.environ | env,
            stdout=written,
            stderr=written,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        if port:
            _wait_for(port, started, log, seconds)
        yield started
    finally:
        end(started)


def _wait_for(port: int, started: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and started.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        time.sleep(0.1)
    raise DidNotStart(f"{log.stem}: {log.read_text(errors='replace')[-800:]}")


def end(started: subprocess.Popen[bytes]) -> None:
    """End a program and its children; nothing when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGCONT)
        os.killpg(started.pid, signal.SIGTERM)
    try:
        started.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def python(*words: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", *words]


def gunicorn(app: str, port: int, *more: str) -> list[str]:
    """Return the command of the real server: two processes of eight threads."""
    return python("gunicorn", "-w", "2", "--threads", "8", "-b", f"127.0.0.1:{port}", *more, app)


def _stat(pid: str) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _busy() -> float:
    """CPU seconds the machine has been busy, time taken by the hypervisor included."""
    try:
        numbers = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0.0
    return (sum(numbers) - numbers[3] - numbers[4]) / TICKS


def _own() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def cpu_of(roots: Sequence[int]) -> float:
    """CPU seconds of these programs: their sessions, and the direct children (PostgreSQL's are sessions of their own)."""
    total = 0.0
    for pid in filter(str.isdecimal, os.listdir("/proc") if Path("/proc/stat").exists() else ()):
        fields = _stat(pid)
        if fields is None or not ({int(fields[1]), int(fields[3]), int(pid)} & set(roots)):
            continue
        counted = fields[11:15] if int(pid) in roots else fields[11:13]
        total += sum(int(one) for one in counted) / TICKS
    return total


class Meter:
    """`with Meter(ours, all) as meter:` then `meter.cpu` (seconds of `ours`) and `meter.others` (share of the machine)."""

    def __init__(self, ours: Sequence[int], everything: Sequence[int]) -> None:
        self.ours, self.everything = list(ours), list(everything)
        self.cpu = self.others = 0.0

    def _read(self) -> tuple[float, float, float, float]:
        return time.perf_counter(), cpu_of(self.ours), cpu_of(self.everything) + _own(), _busy()

    def __enter__(self) -> Meter:
        self.before = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        wall, cpu, known, busy = (
            after - before for after, before in zip(self._read(), self.before, strict=True)
        )
        self.cpu = cpu
        self.others = max(0.0, (busy - known) / (wall * CORES))


def memory_of(root: int) -> tuple[float, float]:
    """Return (proportional, resident) megabytes of a program and its children; shared pages count once in the first."""
    shared = resident = 0.0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        fields = _stat(pid)
        if fields is None or int(fields[3]) != root:
            continue
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in ("Pss", "Rss"):
                    size = int(rest.split()[0]) / 1024
                    shared, resident = (
                        (shared + size, resident) if name == "Pss" else (shared, resident + size)
                    )
    return shared, resident


def pause(root: int) -> None:
    """Let a program of ours rest, so that it takes nothing while something else is measured."""
    os.killpg(root, signal.SIGSTOP)


def go_on(root: int) -> None:
    """Let it go on."""
    os.killpg(root, signal.SIGCONT)
