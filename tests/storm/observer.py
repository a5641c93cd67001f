"""The outside observer: reads the invariants ten times a second through a connection of its own, while everything breaks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from booking.appointments.invariants import PLACES

EVERY = 0.1
SOLD = (
    "SELECT sum(CASE WHEN a.status = 'held' THEN 1 ELSE 0 END), sum(CASE WHEN a.status <> 'held' THEN 1 ELSE 0 END)"
    " FROM appointment a WHERE a.status IN ('held', 'confirming', 'booked', 'arrived', 'in_visit')"
)


@dataclass
class Seen:
    """What the observer saw: looks made, looks the database did not answer, violations, and places sold over time."""

    looks: int = 0
    missed: int = 0
    violations: list[tuple[float, str, int]] = field(default_factory=list)
    sold: list[tuple[float, int, int]] = field(default_factory=list)
    slowest: float = 0.0


class Observer:
    """`with Observer(...) as observer:` observes until the end of the block; `observer.seen` says what.

    Each look asks every invariant of places of one hospital, in turn, in one statement: a violation that lasted for one
    committed instant between two looks is found by the history instead.
    """

    def __init__(self, url: str, hospitals: list[int]) -> None:
        self.url, self.hospitals = url, hospitals
        self.seen = Seen()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        parts = [
            f"SELECT {number} AS n, count(*) AS broken FROM ({one.query}) q{number}"
            for number, one in enumerate(PLACES)
        ]
        self.query = text(" UNION ALL ".join(parts))

    def __enter__(self) -> Observer:
        self.began = time.time()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(30)

    def _run(self) -> None:
        engine = create_engine(self.url, poolclass=NullPool)
        connection = None
        turn = 0
        while not self.stop.wait(EVERY if not turn else max(0.0, EVERY - self.last)):
            began = time.perf_counter()
            try:
                connection = connection or self._connected(engine)
                house = self.hospitals[turn % len(self.hospitals)]
                for number, broken in connection.execute(self.query, {"hospital": house}):
                    if broken:
                        self.seen.violations.append((time.time() - self.began, PLACES[number].title, broken))
                if turn % 5 == 0:
                    held, booked = connection.execute(text(SOLD)).one()
                    self.seen.sold.append((time.time() - self.began, held or 0, booked or 0))
                connection.rollback()
                self.seen.looks += 1
            except DBAPIError:
                self.seen.missed += 1
                if connection is not None:
                    try:
                        connection.invalidate()
                        connection.close()
                    except DBAPIError:
                        pass
                connection = None
            turn += 1
            self.last = time.perf_counter() - began
            self.seen.slowest = max(self.seen.slowest, self.last)
        if connection is not None:
            connection.close()
        engine.dispose()

    @staticmethod
    def _connected(engine: Engine) -> Connection:
        """Connect; PostgreSQL has not counted the rows of a young town and would look at each for each."""
        connection = engine.connect()
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_nestloop = off")
            connection.commit()
        return connection

    last = 0.0
