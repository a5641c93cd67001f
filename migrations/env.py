"""Runs migrations: on SQLite all in one transaction with foreign keys off, checked before it commits; on PostgreSQL each
in one of its own, so that no lock outlives its migration and a long one can leave it (`autocommit_block`).

SQLite changes a table by copying it: with foreign keys on, the drop of the old copy would touch its children.
"""

import time

from alembic import context
from flask import current_app
from sqlalchemy.exc import OperationalError

config = context.config
engine = current_app.extensions["migrate"].db.engine
metadata = current_app.extensions["migrate"].db.metadata
arguments = current_app.extensions["migrate"].configure_args

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries when a migration and the release that serves waited for each other: it begins where it stopped."""


def run() -> None:
    with engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=not sqlite,
            **arguments,
        )
        with context.begin_transaction():
            context.run_migrations()
            if sqlite:
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                if broken:
                    raise RuntimeError(f"migration left broken references: {broken[:5]}")
        connection.commit()
        if sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def run_until_done() -> None:
    for pause in PAUSES:
        try:
            return run()
        except OperationalError as problem:
            if getattr(problem.orig, "sqlstate", None) != "40P01":
                raise
            time.sleep(pause)
    run()


run_until_done()
