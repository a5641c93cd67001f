"""Staff against staff and staff against the web: the cap of 加号, kept places, the roll-over, and who has been seen."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in, undo_check_in
from booking.appointments.finish import AFTER, AT_LEAST, finish, finish_visits
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.move import move
from booking.appointments.reserve import hold
from booking.appointments.rules import NotActive, SlotFull
from booking.appointments.stop import stop_session
from booking.db import db
from booking.outbox import Message
from booking.schedule.models import Place
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.races.test_races import kinds_of, statuses
from tests.verbs.test_after import staff
from tests.verbs.test_at_desk import at_desk, clerk, extra, known
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")


def sold_by_channel():
    db.session.rollback()
    taken = select(Place.channel, Appointment.kind).join(Appointment, Appointment.id == Place.appointment_id)
    return Counter(tuple(row) for row in db.session.execute(taken))


def test_twenty_requests_at_once_add_no_more_places_than_the_cap(app):
    at = factory.clinic(policy={"extra_cap": 5})
    opened = factory.open_session(at, places=1)
    crowd = [known(at) for _ in range(20)]

    def one(number, who):
        return lambda: extra(at, opened, who, slot=number % 4)

    results = at_once(app, [one(*each) for each in enumerate(crowd)], threads=20)
    assert kinds_of(results) == {"ok": 5, "ExtraFull": 15}, [r for r in results if isinstance(r, Exception)][
        :3
    ]
    numbers = db.session.scalars(select(Place.extra_number).where(Place.extra_number.is_not(None)))
    assert sorted(numbers) == [1, 2, 3, 4, 5]
    assert not broken()


def test_callers_and_the_web_at_once_get_their_own_places_and_nobody_elses(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=6, channels={"phone": 3})
    crowd = [factory.person() for _ in range(8)]
    callers = [known(at) for _ in range(3)]
    calls = [lambda n=n, who=who: book(at, opened, who, holder=f"h{n}") for n, who in enumerate(crowd)]
    calls += [lambda who=who: at_desk(at, opened, who) for who in callers]
    results = at_once(app, calls)
    assert kinds_of(results[8:]) == {"ok": 3}, results[8:]
    assert kinds_of(results[:8]) == {"ok": 3, "SlotFull": 5}
    assert sold_by_channel() == {("phone", "phone"): 3, ("web", "web"): 3}
    assert not broken()


def test_at_the_roll_over_the_last_kept_place_goes_to_one_caller_or_one_on_the_web(app, now):
    at = factory.clinic()
    rolls = factory.now() + timedelta(minutes=30)
    opened = factory.open_session(at, places=1, channels={"phone": 1}, rolls_at=rolls)
    crowd = [factory.person() for _ in range(6)]
    callers = [known(at) for _ in range(6)]
    slot = opened.slots[0].id
    now.at(rolls - timedelta(seconds=1))
    before = at_once(
        app,
        [lambda who=who: hold(at.id, slot, holder=f"b{who.id}", actor=as_account(who)) for who in crowd[:2]],
    )
    assert all(isinstance(one, SlotFull) for one in before) or factory.now() >= rolls
    now.at(rolls)
    calls = [lambda who=who: hold(at.id, slot, holder=f"h{who.id}", actor=as_account(who)) for who in crowd]
    calls += [lambda who=who: at_desk(at, opened, who) for who in callers]
    results = at_once(app, calls)
    assert kinds_of(results) == {"ok": 1, "SlotFull": 11}, results
    assert sum(statuses().values()) == 1
    assert not broken()


def visits_of_the_day(at, opened, now, count):
    """So many people who have checked in, ten minutes after the session has begun."""
    rows = [book(at, opened, factory.person(), slot=n % 4, holder=f"h{n}") for n in range(count)]
    now.at(opened.session.starts_at + timedelta(minutes=10))
    for row in rows:
        check_in(at.id, row.id, actor=staff(at, "desk"))
    now.at(factory.now() + AT_LEAST)
    return rows


def letters_about(row):
    db.session.rollback()
    return db.session.scalars(
        select(Message.kind).where(Message.appointment_id == row.id, Message.status == "waiting")
    ).all()


def test_one_desk_finishes_while_another_cancels_and_one_of_them_wins(app, now):
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    rows = visits_of_the_day(at, opened, now, 8)
    desk = staff(at, "desk")
    calls = []
    for row in rows:
        calls += [
            lambda row=row: finish(at.id, row.id, actor=desk),
            lambda row=row: cancel(at.id, row.id, actor=desk, by="patient"),
        ]
    results = at_once(app, calls)
    for row, done, gone in zip(rows, results[::2], results[1::2], strict=True):
        assert {type(done), type(gone)} == {Appointment, NotActive}, (done, gone)
        told = letters_about(row)
        status = db.session.get(Appointment, (at.id, row.id), populate_existing=True).status
        if isinstance(done, Appointment):
            assert (status, told) == ("fulfilled", [])
        else:
            assert status == "cancelled" and set(told) == {"cancelled"}
    assert not broken()


def test_two_desks_and_the_clock_finish_each_visit_once(app, now):
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    rows = visits_of_the_day(at, opened, now, 8)
    now.at(opened.session.ends_at + AFTER)
    desk = staff(at, "desk")
    calls = [lambda row=row: finish(at.id, row.id, actor=desk) for row in rows * 2]
    results = at_once(app, [*calls, finish_visits, finish_visits, finish_visits])
    assert not [one for one in results if isinstance(one, Exception)]
    assert statuses() == {"fulfilled": 8}
    finished = select(func.count()).where(AppointmentEvent.verb == "finish")
    assert db.session.scalar(finished) == 8
    assert not broken()


@pytest.mark.parametrize("ticked", [True, False])
def test_a_stop_and_whoever_is_being_finished_leave_nobody_half_done(app, now, ticked):
    at = factory.clinic()
    opened = factory.open_session(at, places=3)
    rows = visits_of_the_day(at, opened, now, 10)
    desk = staff(at, "desk")
    looked = factory.now() if ticked else None
    calls = [lambda row=row: finish(at.id, row.id, actor=desk) for row in rows]
    calls.insert(
        4,
        lambda: stop_session(at.id, opened.id, actor=staff(at), reason="急诊手术", seen_until=looked),
    )
    results = at_once(app, calls)
    assert set(kinds_of(results)) <= {"ok", "NotActive"}, kinds_of(results)
    assert set(statuses()) <= {"fulfilled", "cancelled"}
    for row in rows:
        status = db.session.get(Appointment, (at.id, row.id), populate_existing=True).status
        assert set(letters_about(row)) == ({"stopped"} if status == "cancelled" else set())
    if ticked:
        early = [row for row in rows if row.starts_at > opened.session.starts_at + timedelta(minutes=10)]
        assert statuses()["cancelled"] <= len(early), "nobody whose time had begun is written to"
    assert not broken()


def test_one_desk_takes_a_check_in_back_while_another_finishes(app, now):
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    rows = visits_of_the_day(at, opened, now, 8)
    desk = staff(at, "desk")
    calls = []
    for row in rows:
        calls += [
            lambda row=row: finish(at.id, row.id, actor=desk),
            lambda row=row: undo_check_in(at.id, row.id, actor=desk, reason="扫错了凭条"),
        ]
    results = at_once(app, calls)
    for done, undone in zip(results[::2], results[1::2], strict=True):
        assert sorted(type(one).__name__ for one in (done, undone)) in (
            ["Appointment", "NotActive"],
            ["Appointment", "NotArrived"],
        )
    assert set(statuses()) <= {"fulfilled", "booked"} and not broken()


def test_a_move_at_the_desk_and_the_web_at_once_on_the_last_place_have_one_winner(app):
    at = factory.clinic()
    theirs = factory.another_doctor(at)
    opened = factory.open_session(at, places=1)
    before = factory.open_session(theirs, opened.session.local_date + timedelta(days=1), places=3)
    rows = [at_desk(theirs, before, known(at), slot=number % 4) for number in range(6)]
    crowd, slot = [factory.person() for _ in range(6)], opened.slots[0].id
    calls = [lambda row=row: move(at.id, row.id, slot, actor=clerk(at), by="patient") for row in rows]
    calls += [lambda who=who: hold(at.id, slot, holder=f"h{who.id}", actor=as_account(who)) for who in crowd]
    results = at_once(app, calls)
    assert kinds_of(results) == {"ok": 1, "SlotFull": 11}, results
    db.session.rollback()
    there = db.session.scalars(select(Appointment).where(Appointment.slot_id == slot)).all()
    assert len(there) == 1 and there[0].status in ("booked", "held")
    moved = there[0].status == "booked"
    assert statuses() == ({"booked": 6} if moved else {"booked": 6, "held": 1})
    assert not broken()


def test_moves_at_the_desk_and_the_web_get_each_what_is_theirs(app):
    at = factory.clinic()
    theirs = factory.another_doctor(at)
    opened = factory.open_session(
        at, places=4, channels={"phone": 1, "desk": 1}, release_at=factory.now() + timedelta(hours=1)
    )
    before = factory.open_session(theirs, opened.session.local_date + timedelta(days=1), places=3)
    born = {"birth_date": "1999-01-01"}
    rows = [at_desk(theirs, before, known(at, **born), slot=number % 4) for number in range(6)]
    slot = opened.slots[0].id
    calls = [lambda row=row: move(at.id, row.id, slot, actor=clerk(at), by="hospital") for row in rows]
    results = at_once(app, calls)
    assert kinds_of(results) == {"ok": 2, "SlotFull": 4}, results
    assert sold_by_channel() == {("web", "phone"): 4, ("phone", "phone"): 1, ("desk", "phone"): 1}
    assert not broken()
