"""A migration runs while the release before it still serves, and that release goes on working on the new schema (R34)."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import uuid
from collections import Counter
from pathlib import Path

import pytest
from flask_migrate import upgrade
from sqlalchemy import event, inspect, select

from booking.appointments.cancel import cancel
from booking.appointments.models import Appointment
from booking.db import Model, db
from booking.staff.rules import Actor
from tests.faults.test_sending_killed import environment
from tests.guards.test_schema import empty_app as empty_app
from tests.invariants import broken

ROOT = Path(__file__).resolve().parents[2]
PREVIOUS = "0005"
"""The newest migration of the release before this one."""
PEOPLE = 12


@pytest.fixture
def previous_tree(tmp_path):
    """The tree as it was when PREVIOUS was the newest migration, from the history of the repository."""
    later = f"{int(PREVIOUS) + 1:04d}"
    ask = ["git", "log", "--diff-filter=A", "--format=%H", "--", f"migrations/versions/{later}_*"]
    said = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False)
    if said.returncode or not said.stdout.split():
        pytest.skip("the previous release is read from the git history, which is not here")
    commit = said.stdout.split()[-1] + "^"
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    folder = tmp_path / "previous"
    with tarfile.open(fileobj=io.BytesIO(packed)) as tree:
        careful = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11 has it since .4
        tree.extractall(folder, **careful)
    return folder


def test_the_previous_release_works_on_while_the_schema_is_migrated_under_it(empty_app, previous_tree):
    upgrade(revision=PREVIOUS)
    db.session.remove()
    db.engine.dispose()
    child = ROOT / "tests/faults/previous_child.py"
    with subprocess.Popen(
        [sys.executable, str(child), str(PEOPLE)],
        cwd=previous_tree,
        env=environment(empty_app),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            said = [running.stdout.readline() for _ in range(4)]
            upgrade()
            rest, wrong = running.communicate(timeout=120)
        finally:
            running.kill()
    assert running.returncode == 0, wrong[-2000:]
    lines = "".join([*said, rest]).split("\n")
    assert lines[-2] == "done"
    hospital_id = int(lines[0].split()[1])
    acknowledged = Counter(line.split()[0] for line in lines[1:-2])
    assert acknowledged == {"booked": 8, "cancelled": 4}
    db.session.remove()
    assert Counter(db.session.scalars(select(Appointment.status))) == acknowledged
    assert not broken()
    desk = Actor("desk", "d", "林秋", hospital_id=hospital_id)
    for line in lines[1:-2]:  # this release goes on with what that one left
        row_id = line.split()[1]
        assert cancel(hospital_id, uuid.UUID(row_id), actor=desk).status == "cancelled"
    assert not broken()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_migration_that_was_the_victim_of_a_deadlock_is_run_again(empty_app):
    """It and the release that serves take their locks in different orders; what was migrated before it stays."""
    refused = []

    def deadlock(connection, cursor, statement, parameters, context, many):
        if "ALTER TABLE clinic_session ADD COLUMN channels" in statement and len(refused) < 2:
            refused.append(statement)
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$")

    event.listen(db.engine, "before_cursor_execute", deadlock)
    try:
        upgrade()
    finally:
        event.remove(db.engine, "before_cursor_execute", deadlock)
    assert len(refused) == 2
    assert set(columns()) - {"alembic_version"} == {table.name for table in Model.metadata.sorted_tables}


def test_no_migration_asks_of_the_previous_release_what_it_does_not_know(empty_app):
    """A new column of an old table may be left out, and no old column or table is gone or has become required."""
    upgrade(revision=PREVIOUS)
    before = columns()
    upgrade()
    after = columns()
    assert set(before) <= set(after), "a table the previous release uses is gone"
    problems = []
    for table, known in before.items():
        for name, column in after[table].items():
            old = known.get(name)
            optional = (
                column["nullable"] or column["default"] is not None or column.get("autoincrement") is True
            )
            if old is None and not optional:
                problems.append(f"{table}.{name} is required and new")
            if old is not None and old["nullable"] and not column["nullable"]:
                problems.append(f"{table}.{name} has become required")
        problems += [f"{table}.{name} is gone" for name in known if name not in after[table]]
    assert not problems
    assert set(after) - {"alembic_version"} == {table.name for table in Model.metadata.sorted_tables}


def columns():
    """Return the columns of every table by name."""
    found = inspect(db.engine)
    return {
        table: {one["name"]: one for one in found.get_columns(table)} for table in found.get_table_names()
    }
