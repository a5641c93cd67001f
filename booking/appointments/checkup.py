"""Ask whether the invariants hold: reads only, one snapshot, with a limit of time for every statement."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from booking.appointments.invariants import INVARIANTS, LIVE, PLATFORM, Invariant
from booking.clock import db_now
from booking.db import Instant, db
from booking.directory.models import Hospital

MOST_ROWS = 1000
"""So many broken rows are read of each invariant; where there are more, the count says at least this many."""
LATE = timedelta(seconds=60)
KEPT = timedelta(days=300)
"""Letters are kept for 400 days; about what is older than this nobody asks whether there was one."""


@dataclass(frozen=True)
class Finding:
    """What asking one invariant of one hospital (None: of the platform) gave: the broken rows as ids.

    `unread` when the database did not answer within the time: then nothing is known.
    """

    invariant: Invariant
    hospital_id: int | None
    rows: tuple[tuple[str, ...], ...] = ()
    unread: bool = False
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return not self.rows and not self.unread


def check_up(
    hospital_id: int | None = None,
    *,
    invariants: Iterable[Invariant] = INVARIANTS,
    seconds: float = 30.0,
    in_all: float | None = None,
    scopes: tuple[str, ...] = ("", PLATFORM, LIVE),
) -> Iterator[Finding]:
    """Ask each invariant of each hospital (or of one), in one read-only snapshot of a connection of its own.

    A statement gets at most `seconds`, all together `in_all`; what would take longer comes back as `unread`. Nothing is
    locked that a booking waits for, so this may run beside the busiest minute. Raises what an absent database raises.
    """
    wanted = [one for one in invariants if one.scope in scopes]
    end = None if in_all is None else time.monotonic() + in_all
    with _snapshot() as (session, limited):
        now = db_now(session)
        houses = [hospital_id] if hospital_id is not None else list(session.scalars(select(Hospital.id)))
        for invariant in wanted:
            asked: Iterable[int | None] = [None] if invariant.scope == PLATFORM else sorted(houses)
            for house in asked:
                left = seconds if end is None else min(seconds, end - time.monotonic())
                if left <= 0:
                    yield Finding(invariant, house, unread=True)
                    continue
                began = time.monotonic()
                values = {"hospital": house, "late": now - LATE, "kept": now - KEPT}
                try:
                    with limited(left):
                        rows = broken_rows(session, invariant, values)
                except OperationalError:
                    if session.connection().invalidated:
                        raise
                    yield Finding(invariant, house, unread=True, seconds=time.monotonic() - began)
                else:
                    yield Finding(invariant, house, rows, seconds=time.monotonic() - began)


def broken_rows(
    session: Session, invariant: Invariant, values: dict[str, Any]
) -> tuple[tuple[str, ...], ...]:
    """Return the rows that break one invariant, as ids; `values`: hospital, late and kept (instants)."""
    used = {name: value for name, value in values.items() if f":{name}" in invariant.query}
    asked = text(f"{invariant.query} LIMIT {MOST_ROWS}")
    instants = [bindparam(name, type_=Instant()) for name in ("late", "kept") if name in used]
    if instants:
        asked = asked.bindparams(*instants)
    return tuple(tuple(_id(part) for part in row) for row in session.execute(asked, used))


def _id(part: Any) -> str:
    return part.hex if isinstance(part, uuid.UUID) else str(part)


@contextmanager
def _snapshot() -> Iterator[tuple[Session, Callable[[float], Any]]]:
    postgresql = db.engine.dialect.name == "postgresql"
    options: dict[str, Any] = (
        {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if postgresql else {}
    )
    with db.engine.connect().execution_options(**options) as connection, Session(connection) as session:
        limit = _limit_postgresql if postgresql else _limit_sqlite
        yield session, lambda seconds: limit(connection, session, seconds)
        session.rollback()


@contextmanager
def _limit_postgresql(_connection: Connection, session: Session, seconds: float) -> Iterator[None]:
    with session.begin_nested():  # what is cut off takes only this part of the snapshot with it
        session.execute(text(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}"))
        yield


@contextmanager
def _limit_sqlite(connection: Connection, _session: Session, seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    raw: Any = connection.connection.driver_connection
    raw.set_progress_handler(lambda: time.monotonic() > until, 20_000)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)
