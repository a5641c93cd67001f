"""Every row there is, read past the session of the test, so that before and after can be compared."""

from __future__ import annotations

from booking.db import Model, db


def every_row() -> dict[str, list[str]]:
    """Return each table's committed rows as text, in an order of their own. Rows that a test holds stay usable."""
    with db.engine.connect() as connection:
        return {
            table.name: sorted(str(tuple(row)) for row in connection.execute(table.select()))
            for table in Model.metadata.sorted_tables
        }
