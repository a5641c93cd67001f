"""Guards over the schema: migrations reach the models from nothing, go back to nothing, and agree in every predicate."""

from __future__ import annotations

import logging
import os
import re

import pytest
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import Engine, inspect, text

from booking.db import Model, Tenant, db
from tests import servers
from tests.conftest import new_app


@pytest.fixture
def empty_app(database, tmp_path):
    """An application on a database without any table."""
    if database == "sqlite":
        url = f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        try:
            url = servers.make_database(
                servers.postgresql(), f"booking_empty_{servers.worker()}_{os.getpid()}"
            )
        except servers.NotHere as problem:
            pytest.skip(str(problem))
    app = new_app(url)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_migrations_lead_from_nothing_to_the_models_and_back(empty_app):
    upgrade()
    assert tables(db.engine) == {table.name for table in Model.metadata.sorted_tables} | {"alembic_version"}
    downgrade(revision="base")
    assert tables(db.engine) == {"alembic_version"}
    upgrade()


def test_the_models_need_no_further_migration(empty_app, caplog):
    upgrade()
    caplog.set_level(logging.INFO)
    try:
        check()
    except SystemExit:
        pytest.fail("flask db check: " + caplog.text)


def test_rows_of_one_hospital_cannot_point_into_another():
    """Every table a hospital owns is keyed and pointed at by (hospital_id, …)."""
    owned = {mapper.local_table for mapper in Model.registry.mappers if issubclass(mapper.class_, Tenant)}
    assert owned
    for table in owned:
        assert [column.name for column in table.primary_key.columns] == ["hospital_id", "id"], table.name
        for key in table.foreign_key_constraints:
            if key.referred_table in owned:
                assert "hospital_id" in key.column_keys, f"{table.name}: {key.name}"


def test_no_foreign_key_cascades():
    wrong = [str(key) for table in Model.metadata.sorted_tables for key in table.foreign_keys if key.ondelete]
    assert not wrong, f"a migration that copies a table would empty its children: {wrong}"


def definitions(engine: Engine) -> dict[str, str]:
    """Return every index, check and foreign key as the database itself writes it, by name."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.execute(
                text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
            )
            return {
                name: re.sub(r'[\s"]+', " ", sql).replace("( ", "(").replace(" )", ")") for name, sql in rows
            }
        rows = connection.execute(
            text(
                "SELECT indexname, indexdef FROM pg_indexes"
                " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
                " UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace"
            )
        )
        return {name: definition for name, definition in rows}


def test_indexes_and_checks_say_the_same_in_models_and_migrations(empty_app):
    """`db check` does not see a changed predicate of a partial index; the databases' own words do."""
    upgrade()
    migrated = definitions(db.engine)
    db.session.remove()
    db.engine.dispose()
    downgrade(revision="base")
    Model.metadata.create_all(db.engine)
    modelled = definitions(db.engine)
    assert migrated == modelled


def test_a_changed_predicate_would_be_seen(empty_app):
    """The guard above, with its subject broken on purpose."""
    Model.metadata.create_all(db.engine)
    before = definitions(db.engine)
    with db.engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_message_due"))
        connection.execute(
            text("CREATE INDEX ix_message_due ON message (hospital_id, next_at) WHERE status IN ('waiting')")
        )
    assert definitions(db.engine) != before
