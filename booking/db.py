"""The database: session, transactions, column types and the tenant key."""

from __future__ import annotations

import json
import select
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import psycopg
import uuid_utils
from flask import current_app
from flask_sqlalchemy import SQLAlchemy
from psycopg.pq import ExecStatus, TransactionStatus
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Executable,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    event,
    literal_column,
    types,
)
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import Pool

from booking import failpoints
from booking.vault import open_sealed, seal


class Model(DeclarativeBase):
    """Every table; the naming convention gives each constraint a name that says its rule or at least its place."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Model, session_options={"expire_on_commit": False, "autoflush": False})

Serial = BigInteger().with_variant(Integer, "sqlite")
"""Platform-wide ids: SQLite numbers only INTEGER primary keys by itself."""


class Instant(TypeDecorator[datetime]):
    """A moment: aware UTC in Python, timestamptz on PostgreSQL, fixed-width text that sorts on SQLite."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Sealed(TypeDecorator[str]):
    """A personal field, kept as ciphertext that names its algorithm and key id (see booking/vault.py)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else seal(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else open_sealed(value)


class Json(TypeDecorator[Any]):
    """A small value kept as JSON text, the same on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


def core(model: type[Model]) -> Table:
    """Return the table of `model`, for statements of the hot path: objects cost them more than the database does."""
    table = model.__table__
    assert isinstance(table, Table)
    return table


def constant(word: str) -> ColumnElement[str]:
    """Return a word of ours as part of the statement's text.

    A bound value would keep PostgreSQL's lasting plan away from every partial index whose condition names the word.
    """
    if not word.isidentifier():
        raise ValueError(f"{word!r} is not a word of ours")
    return literal_column(f"'{word}'", Text())


def new_id() -> uuid.UUID:
    """Return a new time-ordered id (UUID version 7, RFC 9562)."""
    return uuid.UUID(bytes=uuid_utils.uuid7().bytes)


def first_id_of(moment: datetime) -> uuid.UUID:
    """Return the lowest id that `new_id` can make at `moment`: their first 48 bits are its milliseconds."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


class Tenant:
    """Mixin: the key of every row a hospital owns. Composite, so that a row cannot point into another hospital."""

    hospital_id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=new_id)


class _Columns(Sequence[tuple[Any, ...]]):
    """The columns of a result, described when somebody asks: SQLAlchemy knows them from the last time."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def __len__(self) -> int:
        width: int = self.found.nfields
        return width

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        name = self.found.fname(at)
        return (name.decode() if name else "", self.found.ftype(at), None, None, None, None, None)


class _Cursor(psycopg.Cursor[Any]):
    """A cursor that describes its columns only when asked; psycopg makes an object of each, for every statement."""

    @property
    def description(self) -> Any:
        found = self.pgresult
        return _Columns(found) if found and found.nfields else None


class _Connection(psycopg.Connection[Any]):
    """A connection that keeps its prepared statements over a rollback.

    psycopg throws them away because a rollback may undo a CREATE TABLE. Nothing here makes tables while it serves, but
    every read ends with a rollback: without this each statement would be planned anew every time, and planning a join
    of nine tables takes longer than running it.
    """

    def rollback(self) -> None:
        with self.lock:
            if self.pgconn.transaction_status == TransactionStatus.IDLE:
                return
            done = self.pgconn.exec_(b"ROLLBACK")
            if done.status != ExecStatus.COMMAND_OK:
                # The server is gone and has rolled back by itself: to complain would turn a finished answer into an
                # error. libpq may not know yet that the connection is dead; closed, the pool opens another.
                self.pgconn.finish()


@event.listens_for(Engine, "do_connect")
def _connect(dialect: Dialect, _record: Any, words: list[Any], settings: dict[str, Any]) -> Any:
    """Open PostgreSQL connections of our own kind; others as usual.

    Joins are planned in groups of four tables: they are written in the order in which their keys lead on, and looking
    through every order of nine tables takes the planner a hundred times longer than running the statement. Our answers
    are a few rows behind indexes that stay in memory: a page read at random costs little more than the next one, and
    starting a second process for a page costs more than reading it (with ten million places that was the difference
    between 2 and 50 ms for a doctor's next times). A statement is kept from its second use on, not the fifth: PostgreSQL plans
    a kept one five times more before it settles on a plan, and after a restart in the release minute that is most of its work.
    """
    if dialect.driver != "psycopg":
        return None
    made = _Connection.connect(*words, **settings)
    made.prepare_threshold = 1
    made.cursor_factory = _Cursor
    made.pgconn.exec_(
        b"SET join_collapse_limit = 4; SET random_page_cost = 1.1; SET max_parallel_workers_per_gather = 0"
    )
    return made


@event.listens_for(Pool, "checkout")
def _still_there(connection: Any, _record: Any, _proxy: Any) -> None:
    """Hand out no connection whose server has gone: an idle one that can be read from has been closed at the other end.

    Asks the operating system instead of the server: a ping before each use would cost as much as a statement.
    """
    if isinstance(connection, _Connection) and (connection.closed or _readable(connection.fileno())):
        raise InvalidatePoolError("the server has closed this connection")


def _readable(number: int) -> bool:
    poll = select.poll()
    poll.register(number, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, _record: Any) -> None:
    if type(connection).__module__.partition(".")[0] != "sqlite3":
        return
    connection.isolation_level = None  # SQLAlchemy's begin event below decides how a transaction starts
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 10000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # an acknowledged booking survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Any) -> None:
    if connection.dialect.name == "sqlite":
        immediate = connection.get_execution_options().get("immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def after_commit(session: Session, name: str, call: Callable[[], None]) -> None:
    """Ask for `call` once after the present `transaction()` has committed; the same `name` twice means once."""
    session.info.setdefault("after_commit", {})[name] = call


def end_read(session: Session | None = None) -> Session:
    """End the read transaction of the session, if any; rows loaded so far keep their values and are let go."""
    session = session or db.session()
    session.expunge_all()  # before the rollback, which would empty them
    session.rollback()
    return session


def read_once(query: Executable, values: dict[str, Any]) -> Sequence[Row[Any]]:
    """Return the rows of one statement, read apart from the session: a snapshot that begins now.

    On PostgreSQL without a transaction around it, which would cost two more ways to the server than the one it needs.
    """
    kept, engine = current_app.extensions, db.engine
    if engine.dialect.name == "postgresql":
        if "booking.alone" not in kept:
            kept["booking.alone"] = engine.execution_options(isolation_level="AUTOCOMMIT")
        engine = kept["booking.alone"]
    with engine.connect() as connection:
        return connection.execute(query, values).all()


@contextmanager
def transaction() -> Iterator[Session]:
    """Open the write transaction of a verb and commit it; any exception rolls everything back.

    Ends the read transaction the door may have left open first: rows loaded before are not relied on.
    On SQLite the transaction is IMMEDIATE, because a deferred one that has read cannot always become a writer.
    """
    session = end_read()
    session.info.pop("after_commit", None)
    session.connection(execution_options={"immediate": True})
    try:
        yield session
        failpoints.reach("before_commit")
        session.commit()
    except BaseException:
        session.info.pop("after_commit", None)
        session.rollback()
        raise
    failpoints.reach("after_commit")
    for call in session.info.pop("after_commit", {}).values():
        call()


P = ParamSpec("P")
R = TypeVar("R")
_RETRIED_STATES = {"40P01", "40001", "55P03"}


def _worth_another_try(problem: DBAPIError) -> bool:
    return getattr(problem.orig, "sqlstate", None) in _RETRIED_STATES or "database is locked" in str(
        problem.orig
    )


def retried(verb: Callable[P, R]) -> Callable[P, R]:
    """Run a verb again, at most four times, when the database ended it for a deadlock or a lock wait.

    Such a transaction has changed nothing; the repeat decides on fresh rows. Every other error passes.
    """

    @wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for left in (3, 2, 1, 0):
            try:
                return verb(*args, **kwargs)
            except OperationalError as problem:
                if not left or not _worth_another_try(problem):
                    raise
        raise AssertionError("unreachable")

    return run


def broken_constraint(problem: IntegrityError) -> str:
    """Return the name of the violated constraint or index.

    PostgreSQL says it; SQLite names a unique index's columns or a check's name, so those are looked up by columns.
    """
    diagnostics = getattr(problem.orig, "diag", None)
    if diagnostics is not None:
        return diagnostics.constraint_name or ""
    said = str(problem.orig)
    if said.startswith("UNIQUE constraint failed: "):
        columns = [part.strip() for part in said.removeprefix("UNIQUE constraint failed: ").split(",")]
        if columns[0].startswith("index "):
            return columns[0].split("'")[1]
        table, names = columns[0].split(".")[0], [column.split(".")[-1] for column in columns]
        owner = Model.metadata.tables[table]
        uniques: list[Index | UniqueConstraint] = [one for one in owner.indexes if one.unique]
        uniques += [one for one in owner.constraints if isinstance(one, UniqueConstraint)]
        for rule in uniques:
            if [column.name for column in rule.columns] == names:
                return str(rule.name)
    return said
