"""How the databases look up who wants a session: from the doctor and the department, never by asking every wish."""

from __future__ import annotations

import pytest
from sqlalchemy import event, insert, text

from booking.db import db, new_id, transaction
from booking.schedule.wanted import Wish, WishChoice, _freed_query, _seats_query
from tests import factory
from tests.verbs.test_wishes import by_day, full, wait

__all__ = ["by_day"]
pytestmark = pytest.mark.usefixtures("within")


def many_wishes(at, like, doctors, count=4000):
    """Write wishes for other doctors, every fourth alive, and let the database count its rows."""
    wish = {column.name: getattr(like, column.name) for column in Wish.__table__.columns} | {
        "request_key": None
    }
    ended = {"status": "ended", "ended_at": like.joined_at}
    wishes = [wish | {"id": new_id()} | (ended if number % 4 else {}) for number in range(count)]
    choices = [
        {
            "hospital_id": at.id,
            "id": new_id(),
            "wish_id": row["id"],
            "last_date": like.last_date,
            "doctor_id": doctors[number % len(doctors)].doctor.id,
        }
        for number, row in enumerate(wishes)
    ]
    with transaction() as session:
        session.execute(insert(Wish), wishes)
        session.execute(insert(WishChoice), choices)
        session.execute(text("ANALYZE"))


def plan_of(query, values, database):
    """Return how the database would answer a query, asked with the very text the product sends."""
    sent = []

    def note(_link, _cursor, statement, parameters, *_):
        sent.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        db.session.execute(query, values).all()
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    word = "EXPLAIN QUERY PLAN " if database == "sqlite" else "EXPLAIN "
    statement, parameters = next(one for one in sent if "wish_choice" in one[0])
    rows = db.session.connection().exec_driver_sql(word + statement, parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


def test_who_wants_a_session_is_found_from_its_doctor(database):
    at = factory.clinic()
    opened, rows = full(at)
    _, wish = wait(at, opened)
    many_wishes(at, wish, [factory.another_doctor(at, f"医{number}") for number in range(40)])
    asked = {
        "a place that comes back": (_freed_query(), {"place": rows[0][1].place_id}),
        "places gained": (_seats_query(), {"session": opened.id}),
    }
    for name, (query, which) in asked.items():
        plan = plan_of(query, {"hospital": at.id} | which, database)
        assert "ix_wish_choice_doctor" in plan, f"{name}\n{plan}"
        for every in ("Seq Scan on wish", "SCAN wish"):
            assert every not in plan, f"{name}\n{plan}"
