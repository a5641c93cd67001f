"""Further constraints once in place and once taken away: without each of them the harm happens."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from booking import clock
from booking.appointments import reserve
from booking.appointments.checkin import check_in
from booking.appointments.models import Appointment, RequestKey
from booking.appointments.reserve import hold
from booking.db import db, new_id, transaction
from booking.schedule import change_session as changing
from booking.schedule.change_session import change_session
from booking.schedule.models import Place
from booking.schedule.rules import BelowSold
from booking.schedule.shape import Shape
from tests import factory
from tests.faults.test_guards_removed import own as own
from tests.faults.test_guards_removed import refuses, scene
from tests.faults.unguarded import without_references_and_checks, without_unique
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import book, browser


def test_r7_one_browser_twice_in_a_seat(own):
    at = factory.clinic()
    opened = factory.open_session(at)
    first = hold(at.id, opened.slots[0].id, holder="h", actor=browser("h"))
    free = opened.places[opened.slots[1].id][0]

    def harm():
        id_ = new_id()
        with transaction() as session:
            taken = {"appointment_id": id_, "held_until": first.held_until}
            session.execute(update(Place).where(Place.id == free.id).values(**taken))
            table = Appointment.__table__
            values = dict(session.execute(select(table).where(table.c.id == first.id)).one()._mapping)
            values |= {"id": id_, "slot_id": opened.slots[1].id, "open_seat": first.open_seat % 2 + 1}
            session.execute(insert(table).values(**values | {"place_id": free.id, "holds_place_id": free.id}))

    refuses(harm, "uq_one_hold_per_holder_seat")
    without_unique("appointment", "uq_one_hold_per_holder_seat")
    harm()
    held = select(func.count()).where(Appointment.holder == "h", Appointment.status == "held")
    assert db.session.scalar(held) == 2


def test_r7_two_account_less_holds_in_one_seat_of_the_session(own):
    at = factory.clinic()
    opened = factory.open_session(at)
    first = hold(at.id, opened.slots[0].id, holder="h", actor=browser("h"))
    free = opened.places[opened.slots[1].id][0]

    def harm():
        id_ = new_id()
        with transaction() as session:
            taken = {"appointment_id": id_, "held_until": first.held_until}
            session.execute(update(Place).where(Place.id == free.id).values(**taken))
            table = Appointment.__table__
            values = dict(session.execute(select(table).where(table.c.id == first.id)).one()._mapping)
            values |= {"id": id_, "slot_id": opened.slots[1].id, "holder": "other"}
            session.execute(insert(table).values(**values | {"place_id": free.id, "holds_place_id": free.id}))

    refuses(harm, "uq_one_open_hold_per_session_seat")
    without_unique("appointment", "uq_one_open_hold_per_session_seat")
    harm()
    seats = select(Appointment.open_seat).where(Appointment.session_id == opened.id)
    assert len(set(db.session.scalars(seats))) == 1


def test_r8_a_key_that_stands_twice(own):
    at, _, _, row = scene()
    key = {
        "hospital_id": at.id,
        "key": "k",
        "verb": "hold",
        "body_digest": "d",
        "appointment_id": row.id,
        "created_at": factory.now(),
    }
    db.session.rollback()

    def harm():
        with transaction() as session:
            session.execute(insert(RequestKey).values(**key))

    harm()
    refuses(harm, "pk_request_key")


def test_r19_a_sold_place_that_is_withdrawn(own):
    _, _, _, row = scene()

    def harm():
        with transaction() as session:
            gone = update(Place).where(Place.id == row.place_id).values(withdrawn=True, open=False)
            session.execute(gone)

    refuses(harm, "withdrawn_is_free")
    without_references_and_checks("ck_place_withdrawn_is_free")
    harm()
    assert db.session.scalar(select(Place.withdrawn).where(Place.id == row.place_id))


def test_r25_a_queue_number_given_twice(own):
    at, opened, _, row = scene()
    other = book(at, opened, factory.person(), slot=1, holder="o")
    with transaction() as session:
        clock.shift(session, opened.slots[0].starts_at - timedelta(minutes=30) - clock.db_now(session))
    number = check_in(at.id, row.id, actor=staff(at, "desk")).queue_number

    def harm():
        with transaction() as session:
            again = update(Appointment).where(Appointment.id == other.id).values(queue_number=number)
            session.execute(again)

    refuses(harm, "uq_one_queue_number_per_session")
    without_unique("appointment", "uq_one_queue_number_per_session")
    harm()
    assert "R25 a queue number given twice" in broken()


def test_two_visits_of_a_day_never_share_a_code(own, monkeypatch):
    at, opened, _, row = scene()
    codes = iter([row.visit_code, row.visit_code, "48271936", "48271936"])
    monkeypatch.setattr(reserve, "new_visit_code", lambda: next(codes))
    other = book(at, opened, factory.person(), slot=1, holder="o")
    assert other.visit_code == "48271936", "a code that is taken is drawn again"

    def harm():
        with transaction() as session:
            same = update(Appointment).where(Appointment.id == other.id).values(visit_code=row.visit_code)
            session.execute(same)

    refuses(harm, "uq_one_visit_code_per_day")
    without_unique("appointment", "uq_one_visit_code_per_day")
    harm()


@pytest.mark.parametrize("word", ["place", "status"])
def test_a_row_that_contradicts_itself_is_refused(own, word):
    """An active appointment names the place it holds; an ended one holds none."""
    _, opened, _, row = scene()
    other = opened.places[opened.slots[1].id][0]
    wrong = {"place": {"place_id": other.id}, "status": {"status": "no_show"}}[word]

    def harm():
        with transaction() as session:
            session.execute(update(Appointment).where(Appointment.id == row.id).values(**wrong))

    refuses(harm, {"place": "holds_its_own_place", "status": "active_holds_a_place"}[word])


def test_r19_a_place_sold_while_capacity_is_being_lowered(own, monkeypatch):
    """Between the plan of a change and its writing somebody takes the place it would withdraw."""
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    book(at, opened, factory.person())
    row = opened.session
    values = {one.name: getattr(row, one.name) for one in fields(Shape)}
    smaller, actor = Shape(**values | {"places_per_slot": 1}), staff(at)
    if db.engine.dialect.name == "sqlite":  # one writer: nobody sells anything between plan and writing
        change_session(at.id, opened.id, smaller, actor=actor, version=1)
        assert not broken()
        return
    plan, late = changing.plan_layout, factory.person()

    def plan_then_sell(*words):
        made = plan(*words)
        results = at_once(own, [lambda: book(at, opened, late, holder="late")], threads=1)
        assert results[0].status == "booked", results
        return made

    monkeypatch.setattr(changing, "plan_layout", plan_then_sell)
    with pytest.raises(BelowSold):
        change_session(at.id, opened.id, smaller, actor=actor, version=1)
    assert not broken()
