"""`python -m bench.backlog`: 100 000 reminders are due at once: how fast do they leave, and what do bookings feel? (N22)

Bookings are made at one pace before, beside and after; the backlog leaves with a line of progress. `BACKLOG` (100 000) and
`BACKLOG_SECONDS` (30, of each measured part) make it smaller. Takes a few minutes; ends only what it began.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from bench import __main__ as bench
from bench import client, running
from bench.clinic import Person, people

COUNT = int(os.environ.get("BACKLOG", "100000"))
SECONDS = float(os.environ.get("BACKLOG_SECONDS", "30"))
PER_PHONE = 8
"""Reminders for one phone: fewer than a phone may get within an hour."""
PARTS = 6
MOST_PER_SECOND = 60
VISITS = 400
LONGEST = 900.0
"""Seconds after which the draining is given up and said so."""


def main() -> None:
    """Measure and print."""
    most = int(SECONDS * MOST_PER_SECOND)
    bench.GROUPS |= {f"part {number}": most for number in range(PARTS)} | {"visits": VISITS, "pace": 600}
    with contextlib.ExitStack() as stack:
        ours = bench.set_up(stack)
        running.go_on(ours.pids["worker"])
        clinic = ours.clinic
        client.run(ours.ports["ours"], clinic.bookings(clinic.visitors("visits")), 60)
        full = client.run(ours.ports["ours"], clinic.bookings(clinic.visitors("pace")), 6, connections=8)
        pace = max(2.0, min(MOST_PER_SECOND * 0.9, full.rate / 2))
        bench.say(f"{full.rate:.0f} bookings a second at most; measured at {pace:.0f}")
        url = os.environ["DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
        with clinic.app.app_context():
            phones = people(COUNT // PER_PHONE + 1, "+86198")
        parts = iter(range(PARTS))
        with psycopg.connect(url, autocommit=True) as connection:
            _until_quiet(connection)
            before = [_beside(ours, pace, next(parts)) for _ in range(2)]
            put(connection, clinic.hospital, phones)
            drain = Drain(url)
            drain.start()
            beside = [_beside(ours, pace, next(parts))]
            while drain.is_alive() and len(beside) < PARTS - 3:
                beside.append(_beside(ours, pace, next(parts)))
            drain.join()
            _until_quiet(connection)
            after = [_beside(ours, pace, next(parts))]
    quiet, busy = statistics.median([*before, *after]), statistics.median(beside)
    bench.say(
        f"\nbacklog: {drain.done} of {COUNT} reminders in {drain.seconds:.0f} s, {drain.done / drain.seconds:.0f}/s"
        f"\nbooking p95: {quiet * 1000:.0f} ms without, {busy * 1000:.0f} ms beside it: {busy / quiet - 1:+.0%}"
        f" (aim: at most +10 %; parts without {_list([*before, *after])}, beside {_list(beside)} ms)"
    )


def _list(seconds: list[float]) -> str:
    return ", ".join(f"{one * 1000:.0f}" for one in seconds)


def _beside(ours: bench.Bench, pace: float, part: int) -> float:
    """Book at a pace for a while; return the p95 of the answers in seconds."""
    flows: Iterator[client.Flow] = ours.clinic.bookings(ours.clinic.visitors(f"part {part}"))
    load = client.run(ours.ports["ours"], flows, SECONDS, connections=8, per_second=pace)
    if load.wrong:
        bench.say(f"  {load.wrong} wrong answers")
    return load.percentile(0.95)


def _until_quiet(connection: psycopg.Connection[Any]) -> None:
    """Wait until no letter is due, so that a part measures bookings and their own letters only."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = connection.execute(
            "SELECT count(*) FROM message WHERE status IN ('waiting', 'sending') AND next_at <= now()"
        ).fetchone()
        if not found or not found[0]:
            return
        time.sleep(0.5)


def put(connection: psycopg.Connection[Any], hospital: int, phones: list[Person]) -> None:
    """Write the backlog in one statement: reminders about the booked visits, to phones of their own, all due now."""
    connection.execute("CREATE TEMP TABLE reached (n int PRIMARY KEY, account bigint)")
    with connection.cursor().copy("COPY reached FROM STDIN") as rows:
        for number, phone in enumerate(phones):
            rows.write_row((number, phone.account))
    connection.execute(
        """
        WITH visit AS (
          SELECT id, version, row_number() OVER (ORDER BY id) - 1 AS n, count(*) OVER () AS many
          FROM appointment WHERE hospital_id = %(hospital)s AND status = 'booked')
        INSERT INTO message (hospital_id, id, dedupe_key, kind, channel, recipient, account_id, appointment_id, version,
          facts, created_at, due_at, next_at, expires_at, status, attempts, fence, worker, provider_ref, last_error)
        SELECT %(hospital)s, overlay(gen_random_uuid()::text PLACING '00000000-0000' FROM 1 FOR 13)::uuid,
          'backlog:' || k, 'reminder_hours', 'sms', 'account', reached.account, visit.id, visit.version, '{}',
          now(), now(), now(), now() + interval '5 hours', 'waiting', 0, 0, '', '', ''
        FROM generate_series(0, %(count)s - 1) k
        JOIN reached ON reached.n = k / %(per)s
        JOIN visit ON visit.n = k %% visit.many
        """,
        {"hospital": hospital, "count": COUNT, "per": PER_PHONE},
    )
    connection.execute("ANALYZE message")


class Drain(threading.Thread):
    """Watches the backlog leave: how much is done, how fast, how long it will take."""

    def __init__(self, url: str) -> None:
        super().__init__(name="drain", daemon=True)
        self.url = url
        self.done, self.seconds = 0, 0.001

    def run(self) -> None:
        began = shown = time.monotonic()
        with psycopg.connect(self.url, autocommit=True) as connection:
            while self.done < COUNT and self.seconds < LONGEST:
                found = connection.execute(
                    "SELECT count(*) FROM message WHERE dedupe_key LIKE 'backlog:%' AND status IN ('waiting', 'sending')"
                ).fetchone()
                self.done = COUNT - (found[0] if found else 0)
                self.seconds = time.monotonic() - began
                if time.monotonic() - shown > 2 or self.done == COUNT:
                    rate = self.done / self.seconds
                    left = f"{(COUNT - self.done) / rate:.0f} s left" if rate else "…"
                    bench.say(f"  {self.done:>7} of {COUNT} reminders, {rate:.0f}/s, {left}")
                    shown = time.monotonic()
                time.sleep(1)


if __name__ == "__main__":
    main()
