"""The waiting list under parallel requests: one offer per place and wish, in order; accept or expire, never both."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from booking import failpoints
from booking.appointments.answer_offer import accept_offer, decline_offer
from booking.appointments.cancel import cancel
from booking.appointments.expire import sweep_holds
from booking.appointments.models import Appointment
from booking.appointments.offers import offer_places
from booking.appointments.reserve import hold
from booking.appointments.rules import SlotFull
from booking.appointments.stop import stop_session
from booking.appointments.wish_models import WishOffer
from booking.appointments.wish_rules import OfferOver
from booking.appointments.wishes import join, leave
from booking.clock import local
from booking.db import db
from booking.errors import Refusal
from booking.schedule.models import Place
from booking.schedule.wanted import Wish
from booking.staff.models import AuditEvent
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.races.test_races import kinds_of
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import as_account
from tests.verbs.test_wishes import full, give_back, letters, offers_of, pair, wait

pytestmark = pytest.mark.usefixtures("within")


@pytest.fixture(autouse=True)
def by_day(now):
    here = local(now(), "Asia/Shanghai")
    now.at(here.replace(hour=9, minute=30, second=0) + timedelta(days=1))


def faults(results):
    return [one for one in results if isinstance(one, Exception) and not isinstance(one, Refusal)]


def test_many_offerers_make_each_offer_once_and_in_the_order_of_joining(app):
    at = factory.clinic()
    opened, rows = full(at, places=3)
    wishes = [wait(at, opened)[1] for _ in range(6)]
    for number in range(3):
        give_back(at, rows, number)
    results = at_once(app, [offer_places] * 8)
    assert not faults(results) and sum(results) == 3, results
    assert [len(offers_of(wish)) for wish in wishes] == [1, 1, 1, 0, 0, 0]
    assert not broken()


def test_accept_and_expiry_have_one_winner(app, now):
    at = factory.clinic()
    opened, rows = full(at, places=4)
    people = [wait(at, opened) for _ in range(8)]
    for number in range(8):
        give_back(at, rows, number)
    assert offer_places() == 8
    held = [(who, offers_of(wish)[0]) for who, wish in people]
    now.at(min(row.held_until for _, row in held) - timedelta(milliseconds=200))
    answers = [(as_account(who), row.id) for who, row in held]  # plain values: a row belongs to one thread
    accepts = [lambda who=who, offer=offer: accept_offer(at.id, offer, actor=who) for who, offer in answers]
    sweeps = [sweep_holds, offer_places] * 4
    results = at_once(app, [call for both in zip(accepts, sweeps, strict=True) for call in both])
    assert not faults(results), faults(results)
    booked = sum(isinstance(one, list) for one in results)
    assert booked + sum(isinstance(one, OfferOver) for one in results) == 8
    now.shift(minutes=1)
    sweep_holds()
    db.session.rollback()
    outcomes = Counter(db.session.scalars(select(WishOffer.outcome)).all())
    assert outcomes["accepted"] == booked
    assert not broken()


def test_accept_at_the_desk_and_expiry_have_one_winner(app, now):
    """Half of those who are asked answer for themselves, the other half ring; somebody else rings for each as well."""
    at = factory.clinic()
    opened, rows = full(at, places=4)
    people = [wait(at, opened) for _ in range(8)]
    for number in range(8):
        give_back(at, rows, number)
    assert offer_places() == 8
    held = [(who, offers_of(wish)[0]) for who, wish in people]
    now.at(min(row.held_until for _, row in held) - timedelta(milliseconds=200))
    desk = staff(at, "desk")
    calls = []
    for number, (who, row) in enumerate(held):
        actor, offer = desk if number % 2 else as_account(who), row.id
        calls += [
            lambda actor=actor, offer=offer: accept_offer(at.id, offer, actor=actor),
            lambda offer=offer: accept_offer(at.id, offer, actor=desk),
            sweep_holds if number % 2 else offer_places,
        ]
    results = at_once(app, calls)
    assert not faults(results), faults(results)
    said = [one for one in results if isinstance(one, list | OfferOver)]
    assert len(said) == 16
    now.shift(minutes=1)
    sweep_holds()
    db.session.rollback()
    outcomes = Counter(db.session.scalars(select(WishOffer.outcome)).all())
    booked = {one[0].id for one in said if isinstance(one, list)}
    assert outcomes["accepted"] == len(booked) and None not in outcomes
    trail = db.session.scalars(select(AuditEvent.object_id).where(AuditEvent.action == "accept_offer")).all()
    assert len(trail) == len(set(trail)) <= len(booked), "one line for each that the desk booked"
    assert not broken()


def test_whoever_waits_for_two_sessions_stopped_at_once_is_told_once(app, tmp_path):
    """Each stop alone leaves the other session to wait for: the second to come must see the first, which commits late."""
    at = factory.clinic()
    opened, _ = full(at)
    other, _ = full(factory.another_doctor(at))
    wishes = [wait(at, opened, department_ids=[at.department.id])[1] for _ in range(3)]
    calls = [
        lambda one=one.id: stop_session(at.id, one, actor=staff(at), reason="停电") for one in (opened, other)
    ]
    (tmp_path / "before_commit.late").write_text("sleep 0.7")
    failpoints.arm(str(tmp_path))
    try:
        results = at_once(app, calls)
    finally:
        failpoints.arm("")
    assert not faults(results), faults(results)
    assert [len(letters(wish, "wish_stopped")) for wish in wishes] == [2] * 3
    assert not broken()


def test_a_double_click_accepts_once_and_both_answers_name_it(app):
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    for key in ("k", None):
        answers = at_once(
            app, [lambda key=key: accept_offer(at.id, row.id, actor=as_account(who), key=key)] * 6
        )
        assert {one[0].id for one in answers} == {row.id}
    assert not broken()


def test_accept_decline_and_leave_at_once_have_one_outcome(app):
    at = factory.clinic()
    opened, rows = full(at, places=2, slots=4)
    pairs = [pair(at, opened) for _ in range(4)]
    for number in range(8):
        give_back(at, rows, number)
    assert offer_places() == 8
    calls = []
    for who, wish in pairs:
        one, other = offers_of(wish)
        actor = as_account(who)
        calls += [
            lambda row=one, actor=actor: accept_offer(at.id, row.id, actor=actor),
            lambda row=other, actor=actor: decline_offer(at.id, row.id, actor=actor),
            lambda wish=wish, actor=actor: leave(at.id, wish.id, actor=actor),
        ]
    results = at_once(app, calls)
    assert not faults(results), faults(results)
    db.session.rollback()
    for who, wish in pairs:
        booked = select(func.count()).where(Appointment.account_id == who.id, Appointment.status == "booked")
        assert db.session.scalar(booked) in (0, 2), "both or none"
        assert not offers_of(wish)
    assert not broken()


def test_a_double_click_joins_once(app):
    at = factory.clinic()
    opened, _ = full(at)
    who = factory.person()

    def press():
        return join(at.id, opened.id, actor=as_account(who), patient_ids=[who.patient.id], key="k")

    assert len({one.id for one in at_once(app, [press] * 8)}) == 1
    other = factory.person()

    def without_key():
        return join(at.id, opened.id, actor=as_account(other), patient_ids=[other.patient.id])

    assert len({one.id for one in at_once(app, [without_key] * 8)}) == 1
    assert db.session.scalar(select(func.count()).select_from(Wish)) == 2


def test_a_cancel_storm_with_fifty_wishes(app, now):
    """Every freed place ends accepted once or back in the pool; nobody outside the list gets one meanwhile (R21–R24)."""
    at = factory.clinic(policy={"per_day": 9, "per_department_day": 9})
    opened, rows = full(at, places=4, slots=4)
    people = [wait(at, opened) for _ in range(50)]
    strangers = [factory.person() for _ in range(8)]

    def give(who, row):
        return lambda: cancel(at.id, row.id, actor=as_account(who))

    def grab(number, who):
        slot = opened.slots[number % 4]
        return lambda: hold(at.id, slot.id, holder=f"g{number}", actor=as_account(who))

    def answer(number, who, wish):
        def run():
            for _ in range(6):
                offer_places()
                for row in offers_of(wish):
                    verb = decline_offer if number % 5 == 0 else accept_offer
                    try:
                        verb(at.id, row.id, actor=as_account(who))
                    except Refusal:
                        continue
            db.session.remove()

        return run

    calls = [give(*one) for one in rows[:12]]
    calls += [answer(number, *one) for number, one in enumerate(people[:24])]
    calls += [grab(*one) for one in enumerate(strangers)]
    results = at_once(app, calls)
    assert not faults(results), faults(results)[:3]
    assert kinds_of(results[-8:]) == {"SlotFull": 8}
    assert all(isinstance(one, SlotFull) for one in results[-8:])
    for _ in range(30):  # a place may have come back when those asked at first had answered for the last time
        now.shift(minutes=61)
        offer_places()
        for number, (who, wish) in enumerate(people):
            if number % 5 == 0 and number < 24:
                continue  # they let it run out
            for row in offers_of(wish):
                try:
                    accept_offer(at.id, row.id, actor=as_account(who))
                except Refusal:
                    continue
        if not db.session.scalar(select(func.count()).where(Place.freed_at.is_not(None))):
            break
    db.session.rollback()
    sold = db.session.scalar(select(func.count()).where(Appointment.status == "booked"))
    assert sold == 16, "twelve came back, twelve were taken up again by those who waited"
    served = db.session.scalars(select(Wish.id).where(Wish.status == "served")).all()
    assert len(served) == 12
    asked = db.session.scalars(
        select(WishOffer.wish_id).where(WishOffer.round == 1).order_by(WishOffer.made_at, WishOffer.id)
    ).all()
    assert list(asked) == [wish.id for _, wish in people[: len(asked)]], "first asked in the order of joining"
    assert not broken()
