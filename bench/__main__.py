"""`python -m bench`: start everything, measure in interleaved rounds, print and keep the ratios. Ends only what it began.

`BENCH_SECONDS` (180) is about how long it measures; setting up takes about a minute more. `TEST_DATABASE_URL` and
`TEST_REDIS_URL` name servers to use instead of those from wheels.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from celery import Celery
from redis import Redis

import config
from bench import client, floors, reading, running
from bench.clinic import Clinic, CrowdAnswers, Visitor
from bench.reserve_floor import ReserveFloor
from booking.app import create_app
from tests import servers

HERE = Path(__file__).resolve().parent
ROUNDS = 3
CELLS = 17
SECONDS = float(os.environ.get("BENCH_SECONDS", "180")) / (ROUNDS * CELLS)
MOST_PER_SECOND = {"hold": 450, "hot": 450, "paced": 225, "booking": 150}
"""So many accounts are made for each second of a cell that uses them up."""
CONNECTIONS = 16
WARM, WARM_AGAIN, WARM_SECONDS = 320, 64, 12.0
"""Each of the 16 connections to the database runs every statement ten times before its plan is kept."""
CROWD = 1000
GROUPS = {"crowd": CROWD, "warm": WARM + WARM_AGAIN} | {
    name: int(SECONDS * most) for name, most in MOST_PER_SECOND.items()
}
DOCTOR = "shenzhiwei"
PRETIX, BESIDE_PRETIX = 7.0, 3171.0
"""pretix was measured once, beside the same floor: 7.0 orders a second where pgbench took 3 171 places a second."""


@dataclass
class Bench:
    """Everything that runs, and what was measured so far."""

    folder: Path
    clinic: Clinic
    reserve: ReserveFloor
    broker: str
    ports: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    cells: reading.Cells = field(default_factory=dict)

    def keep(self, name: str, work: Callable[[], dict[str, float]], *servers: str) -> dict[str, float]:
        """Measure one cell with its servers' CPU and the others' noise, and keep it."""
        with running.Meter([self.pids[one] for one in servers], list(self.pids.values())) as meter:
            cell = work()
        done = cell.get("done", 0.0)
        cell |= {
            "others": round(meter.others, 3),
            "cpu_ms": round(meter.cpu / done * 1000, 4) if done else 0.0,
        }
        self.cells.setdefault(name, []).append(cell)
        say(f"  {name:22} {reading.number(cell['rate']):>8}/s   others {meter.others:.0%}")
        return cell

    def load(
        self, name: str, where: str, flows: Iterator[client.Flow], pace: float = 0.0
    ) -> dict[str, float]:
        """Measure the answers of one server; ours uses PostgreSQL and Valkey too."""

        def work() -> dict[str, float]:
            load = client.run(self.ports[where], flows, SECONDS, connections=CONNECTIONS, per_second=pace)
            return {
                "rate": load.rate,
                "done": float(load.done),
                "wrong": float(load.wrong),
                "p50": load.percentile(0.5),
                "p99": load.percentile(0.99),
            }

        return self.keep(name, work, where, *(["postgresql"] if where == "ours" else []))


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def main() -> None:
    """Run the bench."""
    began = time.monotonic()
    load_before = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        bench = set_up(stack)
        say(
            f"set up in {time.monotonic() - began:.0f} s; {ROUNDS} rounds of {CELLS} cells of {SECONDS:.1f} s"
        )
        for number in range(ROUNDS):
            say(f"round {number + 1}")
            measure_round(bench)
        measure_memory(bench)
        bench.cells |= reading.grown(HERE)  # growth takes longer than all the rest: make bench-growth
        found = reading.figures(bench.cells)
        others = statistics.median(
            one["others"] for cell in bench.cells.values() for one in cell if "others" in one
        )
        about = {
            "when": time.strftime("%Y-%m-%d %H:%M"),
            "commit": _commit(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "cell_seconds": SECONDS,
            "rounds": ROUNDS,
            "connections": CONNECTIONS,
            "reserve_floor": bench.reserve.how,
            "load_before": round(load_before, 2),
            "others": round(others, 3),
        }
        reading.write(HERE, found, bench.cells, about)
        say(f"\n{reading.cells_table(bench.cells)}\n\n{reading.table(found)}\n")
        say(
            f"reserve floor: {bench.reserve.how}; load before {load_before:.1f}; others took {others:.0%} (median)"
        )
        if others > 0.15:
            say(
                "Others used this machine meanwhile: trust the CPU column more than the rates, and read again later."
            )
        say(f"kept in bench/last.json and bench/last.svg; {time.monotonic() - began:.0f} s in all")


def _commit() -> str:
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=running.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return asked.stdout.strip()


# --- set up ----------------------------------------------------------------------------------------------------------


def set_up(stack: contextlib.ExitStack) -> Bench:
    """Start the servers, migrate, load the demo, make the bench's own people; everything ends with `stack`."""
    servers.begin_run()
    stack.callback(servers.end_run)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="booking-bench-")))
    admin = servers.postgresql()
    if not os.environ.get("TEST_DATABASE_URL"):
        _safe(admin)
    url = servers.make_database(admin, "bench_ours")
    reserve = ReserveFloor(servers.make_database(admin, "bench_floor"), folder)
    broker = os.environ.get("TEST_REDIS_URL") or stack.enter_context(servers.valkey())
    gateway = running.free_port()
    env = _environment(url, broker, gateway)
    stack.enter_context(
        running.program(
            running.python("bench.gateway", str(gateway)), {}, folder / "gateway.log", port=gateway
        )
    )
    say("migrating and loading the demo")
    for words in (["db", "upgrade"], ["demo", "load", "--yes"]):
        command = running.python("flask", "--app", "wsgi", *words)
        subprocess.run(
            command,
            cwd=running.ROOT,
            env=os.environ | env | {"APP_ENV": "demo"},
            check=True,
            capture_output=True,
        )
    os.environ.update(env)
    bench = Bench(folder, Clinic(create_app(config.Production()), GROUPS), reserve, broker)
    _start(stack, bench, env)
    _warm(bench, url)
    return bench


def _safe(admin: str) -> None:
    """Give the tests' PostgreSQL back its safety against power cuts: a booking counts when it is on the disk."""
    with psycopg.connect(admin, autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {name} = on")
        connection.execute("SELECT pg_reload_conf()")


def _environment(url: str, broker: str, gateway: int) -> dict[str, str]:
    """The settings of a production system behind one proxy, with secrets of its own."""
    return {
        "APP_ENV": "production",
        "DATABASE_URL": url,
        "REDIS_URL": broker,
        "SECRET_KEY": os.urandom(32).hex(),
        "FIELD_KEYS": f"bench:{os.urandom(32).hex()}",
        "PUBLIC_URL": "https://bench.invalid",
        "TRUSTED_PROXIES": "1",
        "SMS_GATEWAY_URL": f"http://127.0.0.1:{gateway}/sms",
        "SMS_GATEWAY_KEY": os.urandom(16).hex(),
        "SMTP_URL": "",
        "HELP_PHONE": "0571-0000-0000",
    }


def _start(stack: contextlib.ExitStack, bench: Bench, env: dict[str, str]) -> None:
    for name, app, more in (
        ("bare", "bench.floors:app", ["-c", "/dev/null", "-k", "gthread", "--no-control-socket"]),
        ("ours", "wsgi:app", ["-c", "gunicorn.conf.py"]),
    ):
        port = running.free_port()
        started = stack.enter_context(
            running.program(running.gunicorn(app, port, *more), env, bench.folder / f"{name}.log", port=port)
        )
        bench.ports[name], bench.pids[name] = port, started.pid
    for name, app in (("no-op worker", "bench.floors:queue"), ("worker", "worker.app")):
        words = ["-A", app, "worker", "-c", "2", "-l", "error", "--without-gossip", "--without-mingle"]
        started = stack.enter_context(
            running.program(running.python("celery", *words), env, bench.folder / f"{name}.log")
        )
        bench.pids[name] = started.pid
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'").fetchone()
    pid_file = Path(row[0]) / "postmaster.pid" if row else Path()
    if pid_file.is_file():
        bench.pids["postgresql"] = int(pid_file.read_text().splitlines()[0])
    else:
        bench.pids["postgresql"] = 0  # it runs elsewhere: its CPU time is not ours to read


def _warm(bench: Bench, url: str) -> None:
    """Let every process import, connect and compile before a clock runs; learn how large our pages are."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        row = connection.execute(
            "SELECT q.id FROM question q JOIN answer a ON a.question_id = q.id WHERE q.published AND a.doctor_id IS NOT NULL"
            " ORDER BY q.id LIMIT 1"
        ).fetchone()
    assert row, "the demo has no answered question"
    bench.pages = {"home": "/", "question": f"/q/{row[0]}", "doctor": f"/d/{DOCTOR}"}
    clinic, ours, bare = bench.clinic, bench.ports["ours"], bench.ports["bare"]
    for name, path in bench.pages.items():
        sizes: list[int] = []
        _warmed(bench, path, client.run(ours, (_sized(path, sizes) for _ in range(WARM)), WARM_SECONDS))
        bench.rows[name] = floors.rows_for(sizes[-1])
        client.run(bare, (client.one(client.get(f"/page/{bench.rows[name]}"), 200) for _ in range(WARM)), 5)
    taken: list[tuple[Visitor, str]] = []
    holds = clinic.holds(clinic.visitors("warm", WARM), clinic.spread, taken)
    _warmed(bench, "hold", client.run(ours, holds, WARM_SECONDS))
    _warmed(bench, "confirm", client.run(ours, clinic.confirms(taken), WARM_SECONDS))
    _warmed(bench, "sold out", client.run(ours, clinic.late(clinic.visitors("warm", WARM)), WARM_SECONDS))
    clinic.tidy()
    _warmed(
        bench,
        "booking",
        client.run(ours, clinic.bookings(clinic.visitors("warm", WARM)), WARM_SECONDS),
    )
    for worker, queue in (("no-op worker", "floor"), ("worker", "booking")):
        _until_ready(bench, worker, queue)


def _warmed(bench: Bench, name: str, load: client.Load) -> None:
    log = (bench.folder / "ours.log").read_text()[-800:]
    # on a machine that others use a cold start may take longer than WAIT_SECONDS for some, who are then turned away
    assert load.done and load.wrong <= load.done / 10, (
        f"{name}: {load.wrong} of {load.done} not as they should be. {log}"
    )


def _sized(path: str, sizes: list[int]) -> client.Flow:
    answer = yield client.get(path, X_Forwarded_Proto="https", X_Forwarded_For="10.255.0.1")
    sizes.append(len(answer.body))
    return answer.status == 200


def _until_ready(bench: Bench, worker: str, queue: str) -> None:
    """Wait until a worker has emptied its queue once, then let it rest."""
    broker = Redis.from_url(bench.broker)
    if queue == "floor":
        floors.queue.conf.broker_url = bench.broker
        floors.noop.apply_async((0,))
    else:
        _wake(bench)
    until = time.monotonic() + 60
    while broker.llen(queue):
        if time.monotonic() > until:
            log = (bench.folder / f"{worker}.log").read_text()
            raise running.DidNotStart(f"{worker} takes nothing: {log[-800:]}")
        time.sleep(0.1)
    time.sleep(1)
    if worker == "worker":
        _pause_worker(bench)
    else:
        running.pause(bench.pids[worker])


# --- measure ---------------------------------------------------------------------------------------------------------


def measure_round(bench: Bench) -> None:
    """Measure every cell once."""
    clinic = bench.clinic
    clinic.tidy()
    bench.reserve.tidy()
    # tidying up makes every connection plan its statements again
    client.run(bench.ports["ours"], clinic.bookings(clinic.visitors("warm", WARM_AGAIN)), WARM_SECONDS)
    null = client.post("/null", b"slot=1-00000000000000000000000000000000&csrf_token=" + b"0" * 91)
    bench.load("null", "bare", (client.one(null, 200) for _ in itertools.count()))
    for name, path in bench.pages.items():
        page = client.get(f"/page/{bench.rows[name]}")
        bench.load(f"page like {name}", "bare", (client.one(page, 200) for _ in itertools.count()))
        ours = client.get(path, X_Forwarded_Proto="https", X_Forwarded_For="10.255.0.1")
        bench.load(name, "ours", (client.one(ours, 200) for _ in itertools.count()))
    floor = bench.keep("reserve", lambda: _rate(bench.reserve.run(SECONDS)), "postgresql")
    bench.cells.setdefault("pretix here", []).append({"rate": floor["rate"] * PRETIX / BESIDE_PRETIX})
    taken: list[tuple[Visitor, str]] = []
    hold = bench.load("hold", "ours", clinic.holds(clinic.visitors("hold"), clinic.spread, taken))
    bench.load("confirm", "ours", clinic.confirms(taken))
    bench.load("hot", "ours", clinic.holds(clinic.visitors("hot"), [clinic.hot], []))
    bench.load("sold out", "ours", clinic.late(clinic.visitors("hot")))
    bench.keep("crowd", lambda: crowd(bench), "ours", "postgresql")
    bench.load("booking", "ours", clinic.bookings(clinic.visitors("booking")))
    pace = max(5.0, hold["rate"] / 2)
    bench.load("null paced", "bare", (client.one(null, 200) for _ in itertools.count()), pace)
    bench.load("hold paced", "ours", clinic.holds(clinic.visitors("paced"), clinic.spread, []), pace)
    bench.keep("no-op", lambda: no_ops(bench), "no-op worker")
    bench.keep("letters", lambda: letters(bench), "worker", "postgresql")


def crowd(bench: Bench) -> dict[str, float]:
    """Let a thousand browsers ask for one slot of twenty at the same moment, each on a connection of its own.

    Who gets a place goes on to confirm it. `p99` is of the first answers; `wrong` are answers that are neither a place
    nor the page that says which times are left, and places that were not booked.
    """
    clinic, answers = bench.clinic, CrowdAnswers()
    flows = clinic.crowd(clinic.visitors("crowd"), answers)
    load = client.run(bench.ports["ours"], flows, SECONDS, connections=CROWD)
    took = sorted(answers.seconds)
    return {
        "rate": load.rate,
        "done": float(load.done),
        "wrong": float(load.wrong),
        "p50": took[len(took) // 2],
        "p99": took[int(len(took) * 0.99)],
        "winners": float(answers.booked),
        "full": float(answers.full),
        "5xx": float(answers.failed),
    }


def _rate(rate: float) -> dict[str, float]:
    return {"rate": rate, "done": rate * max(1, round(SECONDS)), "wrong": 0.0}


def no_ops(bench: Bench) -> dict[str, float]:
    """Fill the queue, let two processes empty it, count per second from the first tenth on."""
    broker = Redis.from_url(bench.broker)
    count = int(SECONDS * 1500)
    with floors.queue.producer_pool.acquire(block=True) as producer:
        for number in range(count):
            floors.noop.apply_async((number,), producer=producer)
    running.go_on(bench.pids["no-op worker"])
    try:
        return _watched(lambda: count - int(broker.llen("floor")) - int(broker.hlen("unacked")), count)
    finally:
        running.pause(bench.pids["no-op worker"])
        broker.delete("floor", "unacked", "unacked_index")


def letters(bench: Bench) -> dict[str, float]:
    """Let two processes send the SMS letters of this round's bookings to the gateway, count settled ones per second."""
    count = bench.clinic.letters_due()
    Redis.from_url(bench.broker).delete("booking")
    running.go_on(bench.pids["worker"])
    for _ in range(2):
        _wake(bench)
    try:
        return _watched(bench.clinic.settled, count)
    finally:
        bench.clinic.end_letters()
        _pause_worker(bench)


def _pause_worker(bench: Bench) -> None:
    """Let the worker rest outside of any transaction: stopped inside one it would keep its locks from everybody."""
    running.pause(bench.pids["worker"])
    while bench.clinic.open_transactions():
        running.go_on(bench.pids["worker"])
        time.sleep(0.05)
        running.pause(bench.pids["worker"])


def _wake(bench: Bench) -> None:
    Celery(broker=bench.broker).send_task("worker.tasks.send_due", queue="booking", expires=60)


def _watched(done: Callable[[], int], count: int) -> dict[str, float]:
    """Return the rate of `done` from the first tenth (but at most 20) on until all are done or the cell's time is over."""
    skip = min(20, count // 10)
    until = time.monotonic() + SECONDS + 15
    while (first := done()) < skip and time.monotonic() < until:
        time.sleep(0.01)
    begin = time.perf_counter()
    now = first
    while now < count and time.perf_counter() - begin < SECONDS:
        time.sleep(0.1)  # to count thousands of rows takes the database milliseconds too
        now = done()
    took = time.perf_counter() - begin
    return {"rate": (now - first) / took, "done": float(max(1, now - first)), "wrong": 0.0}


def measure_memory(bench: Bench) -> None:
    """Start the embedded default on SQLite, once for the demo and once more, let it idle, read its memory."""
    port = running.free_port()
    env = {
        "APP_ENV": "demo",
        "DATABASE_URL": f"sqlite:///{bench.folder / 'embedded.db'}",
        "REDIS_URL": "",
        "PORT": str(port),
        "SMS_GATEWAY_URL": "",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TRUSTED_PROXIES": "0",
    }
    command = [sys.executable, "wsgi.py"]
    with running.program(command, env, bench.folder / "embedded.log", port=port, seconds=240):
        pass
    with running.program(command, env, bench.folder / "embedded.log", port=port) as started:
        load = client.run(port, (client.one(client.get("/"), 200) for _ in range(5)), 20, connections=1)
        time.sleep(8)
        proportional, resident = running.memory_of(started.pid)
    cell = {"mb": proportional, "resident_mb": resident, "wrong": float(load.wrong)}
    bench.cells["memory"] = [cell]
    say(f"embedded default idle: {proportional:.0f} MB (sum of resident sizes {resident:.0f} MB)")


if __name__ == "__main__":
    main()
