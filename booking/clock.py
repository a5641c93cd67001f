"""The only reader of the time: the database's clock, plus the offset that only the demo may set."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, literal_column, text
from sqlalchemy.orm import Session

_POSTGRESQL = text(
    "SELECT clock_timestamp(), (SELECT offset_seconds FROM demo_clock WHERE id = 1 AND :movable)"
)
_SQLITE = text(
    "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), (SELECT offset_seconds FROM demo_clock WHERE id = 1 AND :movable)"
)
_MOVE = text("UPDATE demo_clock SET offset_seconds = offset_seconds + :by WHERE id = 1")
_CREATE = text(
    "INSERT INTO demo_clock (id, offset_seconds) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM demo_clock)"
)

movable = False
"""Set once by create_app from `DEMO`; a production process never reads the offset row."""


def allow_moving(allowed: bool) -> None:
    """Decide at start whether the demo's clock offset is honoured."""
    global movable
    movable = allowed


def db_now(session: Session) -> datetime:
    """Return the present instant (aware, UTC) by the database's clock.

    Read once inside a verb, after its lock is held, and bound into every statement: PostgreSQL's `now()` is
    the start of the transaction and stale after a lock wait; `clock_timestamp()` is not.
    """
    sqlite = session.get_bind().dialect.name == "sqlite"
    query = _SQLITE if sqlite else _POSTGRESQL
    at, moved = session.connection().execute(query, {"movable": movable}).one()
    return instant(at, moved)


def now_columns(sqlite: bool) -> list[ColumnElement[Any]]:
    """Return two columns that read the database's clock beside other things; `instant` makes the present of them.

    For a statement that is built once and kept: what it reads must not depend on when it was built.
    """
    at = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if sqlite else "clock_timestamp()"
    moved = "(SELECT offset_seconds FROM demo_clock WHERE id = 1)" if movable else "0"
    return [literal_column(at).label("clock_at"), literal_column(moved).label("clock_offset")]


def sql_now(sqlite: bool, ahead: timedelta = timedelta()) -> ColumnElement[Any]:
    """Return the database's clock, `ahead` by so much, as an expression for a read that needs no other instant.

    Only for SELECT: a distributed database refuses it in a change, and a verb binds one instant into all it writes.
    """
    seconds = ahead.total_seconds()
    moved = "(SELECT offset_seconds FROM demo_clock WHERE id = 1)" if movable else "0"
    if sqlite:
        return literal_column(
            f"strftime('%Y-%m-%d %H:%M:%f000', 'now', (coalesce({moved}, 0) + {seconds}) || ' seconds')"
        )
    return literal_column(f"(clock_timestamp() + make_interval(secs => coalesce({moved}, 0) + {seconds}))")


def instant(at: Any, moved: float | None) -> datetime:
    """Return the instant that `now_columns` read."""
    if isinstance(at, str):
        at = datetime.strptime(at, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    present: datetime = at.astimezone(UTC)
    return present + timedelta(seconds=moved) if moved else present


def offset(session: Session) -> timedelta:
    """Return how far the demo's clock is moved; zero where it cannot be."""
    if not movable:
        return timedelta()
    seconds = session.execute(text("SELECT offset_seconds FROM demo_clock WHERE id = 1")).scalar()
    return timedelta(seconds=seconds or 0)


def shift(session: Session, by: timedelta) -> None:
    """Move the demo's clock by `by` (forward or back) inside the caller's transaction; repeats add up."""
    session.execute(_CREATE)
    session.execute(_MOVE, {"by": by.total_seconds()})


def reset(session: Session) -> None:
    """Put the demo's clock back to the real time."""
    session.execute(text("UPDATE demo_clock SET offset_seconds = 0 WHERE id = 1"))


def seconds_since(epoch: float) -> float:
    """Return how long ago an instant was that another machine named (seconds since 1970), by this machine's clock.

    For how long a request stood in front of us, never for what a verb decides.
    """
    return datetime.now(UTC).timestamp() - epoch


def stamp(epoch: float | None = None) -> datetime:
    """Return this machine's present (UTC) for what signs or names a request to another machine, or that of an `epoch`.

    Never for what a verb decides.
    """
    return datetime.now(UTC) if epoch is None else datetime.fromtimestamp(epoch, UTC)


def utc(local_date: date, at: time, zone: str) -> datetime:
    """Return the UTC instant of a wall-clock time in `zone` (IANA name).

    A time that a daylight-saving change skips is read with the offset before the change (so 02:30 becomes
    03:30 summer time); a time that happens twice means the first (PEP 495, fold=0).
    """
    return datetime.combine(local_date, at, ZoneInfo(zone)).astimezone(UTC)


def local(at: datetime, zone: str) -> datetime:
    """Return the wall-clock time of an instant in `zone`."""
    return at.astimezone(ZoneInfo(zone))
