"""`python -m bench.servers`: the same application behind different servers, in turns: null POST, hold, doctor's page.

For the choice of the server (docs/adr/0002-server.md). `GRANIAN` names the program of a virtualenv that has granian and our
requirements; without it granian is left out. Read the CPU column when others use the machine.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
from collections.abc import Iterator

from bench import client, running
from bench.__main__ import CONNECTIONS, DOCTOR, GROUPS, Bench, say, set_up

ROUNDS = 3
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
PER_SECOND = 400
Cell = tuple[float, float, float]


def variants() -> dict[str, list[str]]:
    """Return the commands to compare, by name; each ends with what to serve and where is put in later."""
    gunicorn = running.python("gunicorn", "--no-control-socket")
    # the lanes need their settings, which the floor's application has not: it is served by the plain worker
    plain = [*gunicorn, "-c", "/dev/null", "-k", "gthread"]
    found = {
        "gthread 2 × 8, lanes": [*gunicorn, "-c", "gunicorn.conf.py", "-w", "2", "--threads", "8"],
        "gthread 2 × 8": [*plain, "-w", "2", "--threads", "8"],
        "gthread 2 × 4": [*plain, "-w", "2", "--threads", "4"],
        "gthread 2 × 16": [*plain, "-w", "2", "--threads", "16"],
        "gthread 4 × 4": [*plain, "-w", "4", "--threads", "4"],
        "sync × 4": [*gunicorn, "-c", "/dev/null", "-k", "sync", "-w", "4"],
    }
    granian = os.environ.get("GRANIAN")
    if granian:
        words = [granian, "--interface", "wsgi", "--no-ws", "--log-level", "error", "--host", "127.0.0.1"]
        found["granian 2 × 8"] = [*words, "--workers", "2", "--blocking-threads", "8"]
        found["granian 2 × 4"] = [*words, "--workers", "2", "--blocking-threads", "4"]
    return found


def main() -> None:
    """Measure every server in turns and print the medians."""
    GROUPS["servers"] = int(ROUNDS * (SECONDS * PER_SECOND + 64) * len(variants()))
    cells: dict[tuple[str, str], list[Cell]] = {}
    with contextlib.ExitStack() as stack:
        bench = set_up(stack)
        people = iter(bench.clinic.visitors("servers"))
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}")
            for name, command in variants().items():
                for what, cell in measure(bench, command, people):
                    cells.setdefault((what, name), []).append(cell)
            bench.clinic.tidy()
    say(f"{'':14} {'server':22} {'per s':>8} {'p99 ms':>8} {'CPU ms':>8}")
    for (what, name), measured in sorted(cells.items()):
        rate, p99, cpu = (statistics.median(one[at] for one in measured) for at in range(3))
        say(f"{what:14} {name:22} {rate:>8.0f} {p99 * 1000:>8.1f} {cpu:>8.2f}")


def measure(bench: Bench, command: list[str], people: Iterator[object]) -> Iterator[tuple[str, Cell]]:
    """Start one server with the floor's application, then with ours; measure, end it."""
    null = client.post("/null", b"slot=1-00000000000000000000000000000000&csrf_token=" + b"0" * 91)
    page = client.get(f"/d/{DOCTOR}", X_Forwarded_Proto="https", X_Forwarded_For="10.255.0.1")
    clinic = bench.clinic
    if "gunicorn.conf.py" not in command:
        with started(bench, command, "bench.floors:app") as (port, pid):
            flows = (client.one(null, 200) for _ in itertools.count())
            yield "null POST", cell(bench, port, pid, flows, warm=200)
    with started(bench, command, "wsgi:app") as (port, pid):
        flows = (client.one(page, 200) for _ in itertools.count())
        yield "doctor page", cell(bench, port, pid, flows, warm=160)
        holds = clinic.holds(people, clinic.spread, [])  # type: ignore[arg-type]
        yield "hold", cell(bench, port, pid, holds, warm=160)


@contextlib.contextmanager
def started(bench: Bench, command: list[str], app: str) -> Iterator[tuple[int, int]]:
    """Run a server; yields its port and process."""
    port = running.free_port()
    where = ["--port", str(port)] if "granian" in command[0] else ["-b", f"127.0.0.1:{port}"]
    log = bench.folder / "servers.log"
    with running.program([*command, *where, app], dict(os.environ), log, port=port) as process:
        yield port, process.pid


def cell(bench: Bench, port: int, pid: int, flows: Iterator[client.Flow], *, warm: int) -> Cell:
    """Return (per second, p99 seconds, CPU milliseconds of the server and PostgreSQL for one)."""
    client.run(port, itertools.islice(flows, warm), 20, connections=CONNECTIONS)
    roots = [pid, bench.pids["postgresql"]]
    with running.Meter(roots, list(bench.pids.values())) as meter:
        load = client.run(port, flows, SECONDS, connections=CONNECTIONS)
    right = load.done - load.wrong
    return load.rate, load.percentile(0.99), meter.cpu / max(1, right) * 1000


if __name__ == "__main__":
    main()
