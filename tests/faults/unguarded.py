"""Take one guard away: a constraint of a throw-away database, so that a test can watch what it prevents."""

from __future__ import annotations

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from booking.db import db


def without_unique(table: str, name: str) -> None:
    """Drop a unique constraint or a unique index from the present application's database."""
    engine = db.engine
    db.session.remove()
    is_index = any(one["name"] == name for one in _indexes(engine, table))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        operations = Operations(MigrationContext.configure(connection))
        if is_index:
            operations.drop_index(name, table)
        elif engine.dialect.name == "sqlite":
            with operations.batch_alter_table(table, recreate="always") as batch:
                batch.drop_constraint(name, type_="unique")
        else:
            connection.execute(text(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}" CASCADE'))
        connection.commit()
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    engine.dispose()


def _indexes(engine: Engine, table: str) -> list[dict[str, str]]:
    if engine.dialect.name == "sqlite":
        query = (
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = :table"
        )
    else:
        query = (
            "SELECT indexname AS name FROM pg_indexes WHERE tablename = :table AND indexname NOT IN"
            " (SELECT conname FROM pg_constraint)"
        )
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(query), {"table": table})]


def without_references_and_checks(*names: str) -> None:
    """Drop named foreign keys and checks (PostgreSQL), or stop SQLite from enforcing any on new connections."""
    engine = db.engine
    db.session.remove()
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _off(connection, _record):  # type: ignore[no-untyped-def]
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("PRAGMA ignore_check_constraints = ON")

        engine.dispose()
        return
    with engine.begin() as connection:
        for table, name in connection.execute(
            text("SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE conname = ANY(:names)"),
            {"names": list(names)},
        ).all():
            connection.execute(text(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'))
