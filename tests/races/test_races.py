"""Verbs against each other in parallel threads, on both databases; what is asserted is rows."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in
from booking.appointments.expire import sweep_holds
from booking.appointments.models import Appointment
from booking.appointments.move import move
from booking.appointments.reserve import confirm, hold
from booking.appointments.rules import HoldExpired, SignInFirst, SlotFull, TooManyHolds
from booking.appointments.stop import stop_session
from booking.db import db
from booking.errors import Refusal
from booking.outbox import Message
from booking.staff.rules import Actor
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import as_account, book, browser

pytestmark = pytest.mark.usefixtures("within")


def statuses():
    db.session.rollback()
    return Counter(
        dict(db.session.execute(select(Appointment.status, func.count()).group_by(Appointment.status)).all())
    )


def kinds_of(results):
    return Counter("ok" if not isinstance(one, Exception) else type(one).__name__ for one in results)


def test_fifty_people_and_a_slot_of_five(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=5)
    crowd = [factory.person() for _ in range(50)]

    def one(number, who):
        return lambda: book(at, opened, who, holder=f"h{number}")

    results = at_once(app, [one(*each) for each in enumerate(crowd)])
    assert kinds_of(results) == {"ok": 5, "SlotFull": 45}, [r for r in results if isinstance(r, Exception)][
        :3
    ]
    assert all(len(r.facts["alternatives"]) == 3 for r in results if isinstance(r, SlotFull))
    assert statuses() == {"booked": 5}
    assert not broken()


def test_every_place_of_a_session_is_sold_to_a_crowd_that_takes_any_slot(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=3)
    crowd = [factory.person() for _ in range(24)]

    def try_all(number, who):
        def run():
            for step in range(4):
                try:
                    return book(at, opened, who, slot=(number + step) % 4, holder=f"h{number}")
                except SlotFull:
                    continue
            return None

        return run

    at_once(app, [try_all(*each) for each in enumerate(crowd)])
    assert statuses() == {"booked": 12}
    assert not broken()


def test_a_double_click_on_a_time_holds_once_and_both_answers_name_it(app):
    at = factory.clinic()
    opened = factory.open_session(at)
    results = at_once(app, [lambda: hold(at.id, opened.slots[0].id, holder="h", actor=browser())] * 8)
    assert len({row.id for row in results}) == 1
    assert statuses() == {"held": 1}


def test_a_double_click_on_confirm_books_once_and_both_answers_name_it(app):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))
    words = {"holder": "h", "actor": as_account(who), "patient_id": who.patient.id}
    for key in (None, "the-key"):
        results = at_once(app, [lambda key=key: confirm(at.id, row.id, key=key, **words)] * 6)
        assert {(one.id, one.visit_code) for one in results} == {(row.id, results[0].visit_code)}
    letters = select(func.count()).where(Message.kind == "confirmed", Message.channel == "sms")
    assert db.session.scalar(letters) == 1
    assert not broken()


def test_the_same_key_in_parallel_makes_one_hold(app):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = as_account(factory.person())
    results = at_once(app, [lambda: hold(at.id, opened.slots[0].id, holder="h", actor=who, key="k")] * 8)
    assert len({row.id for row in results}) == 1


def test_the_caps_on_holds_stand_in_parallel(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=5, ends=factory.time(12, 30))
    who = factory.person()
    calls = [
        lambda slot=slot: hold(at.id, slot.id, holder=f"phone{slot.id}", actor=as_account(who))
        for slot in opened.slots
    ]
    results = at_once(app, calls)
    assert kinds_of(results) == {"ok": 2, "TooManyHolds": 6}
    crowd = [
        lambda n=n: hold(at.id, opened.slots[n % 8].id, holder=f"b{n}", actor=browser(f"b{n}"))
        for n in range(24)
    ]
    seen = at_once(app, crowd)
    anonymous = sum(not isinstance(one, Exception) for one in seen)
    assert anonymous == 8, "a fifth of forty places"
    assert {type(one) for one in seen if isinstance(one, Exception)} <= {SignInFirst, TooManyHolds}
    assert not broken()


def test_one_patient_cannot_pass_the_limits_in_parallel(app):
    at = factory.clinic(policy={"per_day": 2, "per_department_day": 9})
    day = factory.open_session(at).session.local_date
    who = factory.person()
    opened = []
    for number in range(6):
        other = factory.another_doctor(at, f"陆明{'甲乙丙丁戊己'[number]}")
        start = factory.time(8 + number)
        opened.append((other, factory.open_session(other, day, starts=start, ends=factory.time(9 + number))))
    actor = as_account(who)
    held = []
    for number, (other, one) in enumerate(opened):
        booker = factory.person()
        row = hold(at.id, one.slots[0].id, holder=f"h{number}", actor=as_account(booker))
        held.append((row, other))
    results = at_once(
        app,
        [
            lambda row=row, n=n: confirm(
                at.id, row.id, holder=f"h{n}", actor=actor, patient_id=who.patient.id
            )
            for n, (row, _) in enumerate(held)
        ],
    )
    assert kinds_of(results) == {"ok": 2, "DayLimit": 4}
    assert not broken()


def test_overlapping_visits_of_one_patient_cannot_be_booked_in_parallel(app):
    at = factory.clinic(policy={"per_day": 9, "per_department_day": 9})
    who = factory.person()
    day, held = None, []
    for number in range(4):
        other = factory.another_doctor(at, f"周可{'甲乙丙丁'[number]}")
        one = factory.open_session(other, day)
        day = one.session.local_date
        held.append(hold(at.id, one.slots[0].id, holder=f"h{number}", actor=as_account(factory.person())))
    results = at_once(
        app,
        [
            lambda n=n, row=row: confirm(
                at.id, row.id, holder=f"h{n}", actor=as_account(who), patient_id=who.patient.id
            )
            for n, row in enumerate(held)
        ],
    )
    assert kinds_of(results) == {"ok": 1, "Overlap": 3}
    assert not broken()


def test_confirm_and_expiry_have_one_winner(app, now):
    at = factory.clinic()
    opened = factory.open_session(at, places=12, slot_minutes=60)
    people = [factory.person() for _ in range(12)]
    held = [
        hold(at.id, opened.slots[0].id, holder=f"h{n}", actor=as_account(who)) for n, who in enumerate(people)
    ]
    ends = min(row.held_until for row in held)
    now.at(ends - timedelta(milliseconds=150))
    calls = [
        lambda n=n, row=row, who=who: confirm(
            at.id, row.id, holder=f"h{n}", actor=as_account(who), patient_id=who.patient.id
        )
        for n, (row, who) in enumerate(zip(held, people, strict=True))
    ]
    results = at_once(app, [call for pair in zip(calls, [sweep_holds] * 12, strict=True) for call in pair])
    booked = sum(isinstance(one, Appointment) for one in results)
    assert all(isinstance(one, Appointment | int | HoldExpired) for one in results), results
    now.shift(minutes=11)
    sweep_holds()
    assert statuses()["booked"] == booked and sum(statuses().values()) == 12
    assert not broken()


def test_cancel_move_and_rebook_on_one_slot_never_break_the_agreement(app):
    at = factory.clinic(policy={"per_day": 99, "per_department_day": 99, "refuse_overlap": False})
    opened = factory.open_session(at, places=2)
    people = [factory.person() for _ in range(8)]
    rows = [book(at, opened, who, slot=n // 2, holder=f"h{n}") for n, who in enumerate(people)]

    def storm(n, who, row):
        def run():
            for step in range(6):
                try:
                    if (n + step) % 3 == 0:
                        cancel(at.id, row.id, actor=as_account(who))
                    else:
                        move(at.id, row.id, opened.slots[(n + step) % 4].id, actor=as_account(who))
                except Refusal:
                    pass
            return "done"

        return run

    def newcomers(n):
        who = factory.person()

        def run():
            for step in range(4):
                try:
                    return book(at, opened, who, slot=(n + step) % 4, holder=f"n{n}")
                except Refusal:
                    continue
            return None

        return run

    calls = [storm(n, *each) for n, each in enumerate(zip(people, rows, strict=True))]
    results = at_once(app, calls + [newcomers(n) for n in range(8)])
    faults = [one for one in results if isinstance(one, Exception) and not isinstance(one, Refusal)]
    assert not faults, faults
    assert not broken()
    active = statuses()["booked"]
    free = 8 - active
    late = [factory.person() for _ in range(8)]
    sold = 0
    for n, who in enumerate(late):
        for slot in range(4):
            try:
                book(at, opened, who, slot=slot, holder=f"late{n}")
                sold += 1
                break
            except Refusal:
                continue
    assert sold == free, "every place that was given back can be sold again, and no other"


def test_a_stop_beats_every_hold_and_confirm_that_comes_at_the_same_moment(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=10)
    people = [factory.person() for _ in range(20)]
    calls = [
        lambda n=n, who=who: book(at, opened, who, slot=n % 4, holder=f"h{n}") for n, who in enumerate(people)
    ]
    calls.insert(6, lambda: stop_session(at.id, opened.id, actor=staff(at), reason="医生外出会诊"))
    results = at_once(app, calls)
    faults = [one for one in results if isinstance(one, Exception) and not isinstance(one, Refusal)]
    assert not faults, faults
    assert not set(statuses()) & {"held", "booked"}
    assert not broken()
    cancelled = statuses()["cancelled"]
    told = select(func.count(func.distinct(Message.appointment_id))).where(Message.kind == "stopped")
    assert db.session.scalar(told) == cancelled


def test_queue_numbers_are_unique_when_two_desks_check_in(app, now):
    at = factory.clinic()
    opened = factory.open_session(at, places=4)
    rows = [book(at, opened, factory.person(), slot=n % 4, holder=f"h{n}") for n in range(12)]
    now.at(opened.slots[0].starts_at - timedelta(minutes=20))
    desk = Actor("desk", "d", "林秋", hospital_id=at.id)
    results = at_once(app, [lambda row=row: check_in(at.id, row.id, actor=desk) for row in rows * 2])
    assert {one.queue_number for one in results} == set(range(1, 13))
    assert not broken()
