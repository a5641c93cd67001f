"""Answering an offer and leaving the list at the desk, for somebody who rings: rules, letters, trail; on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from booking.appointments.answer_offer import accept_offer, decline_offer
from booking.appointments.models import AppointmentEvent
from booking.appointments.no_show_rules import Blocked
from booking.appointments.offers import offer_places
from booking.appointments.rules import AccountLimit, KeyReused, NotLinked
from booking.appointments.wish_rules import NoSuchWish, OfferOver
from booking.appointments.wishes import leave
from booking.clock import local
from booking.db import db, transaction
from booking.errors import NotAllowed
from booking.outbox import Message
from booking.people.models import PatientLink
from booking.staff.models import AuditEvent
from tests import factory
from tests.invariants import broken
from tests.verbs.test_after import staff
from tests.verbs.test_no_show import missed, today
from tests.verbs.test_reserve import as_account, book
from tests.verbs.test_wishes import fresh, full, give_back, offers_of, pair, wait

pytestmark = pytest.mark.usefixtures("within")
ANSWERING = ("desk", "admin")


@pytest.fixture(autouse=True)
def by_day(now):
    here = local(now(), "Asia/Shanghai")
    now.at(here.replace(hour=9, minute=30, second=0) + timedelta(days=1))


def offered(at, opened=None, rows=None, **words):
    """Somebody who waits and is asked: who, the wish, the appointment offered."""
    if opened is None:
        opened, rows = full(at, **words)
    who, wish = wait(at, opened)
    give_back(at, rows)
    assert offer_places() == 1
    return who, wish, offers_of(wish)[0]


def trail():
    db.session.rollback()
    return db.session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()


def told(row):
    db.session.rollback()
    query = select(Message.kind, Message.channel, Message.recipient).where(
        Message.appointment_id == row.id, Message.status == "waiting"
    )
    return sorted(map(tuple, db.session.execute(query).all()))


@pytest.mark.parametrize("role", ANSWERING)
def test_the_desk_accepts_for_whoever_rings_with_the_letters_of_their_own_answer(role):
    at = factory.clinic()
    opened, rows = full(at)
    who, _, own = offered(at, opened, rows)
    accept_offer(at.id, own.id, actor=as_account(who))
    other, wish = wait(at, opened)
    give_back(at, rows, 1)
    assert offer_places() == 1
    (row,) = offers_of(wish)
    desk = staff(at, role)
    (booked,) = accept_offer(at.id, row.id, actor=desk, key="k")
    assert (booked.status, booked.account_id, booked.patient_id) == ("booked", other.id, other.patient.id)
    assert told(row) == told(own) and told(row)
    assert (fresh(wish).status, fresh(wish).end_reason) == ("served", "accepted")
    (line,) = trail()
    assert (line.action, line.object_kind, line.object_id) == ("accept_offer", "wish", wish.id)
    assert (line.actor_kind, line.actor_id, line.actor_name) == (role, desk.id, desk.name)
    assert line.change == {"appointments": [row.id.hex]}
    event = db.session.scalars(
        select(AppointmentEvent).where(
            AppointmentEvent.appointment_id == row.id, AppointmentEvent.verb == "accept"
        )
    ).one()
    assert (event.actor_kind, event.actor_id) == (role, desk.id)
    assert accept_offer(at.id, row.id, actor=desk, key="k")[0].id == row.id
    assert accept_offer(at.id, row.id, actor=desk)[0].id == row.id
    assert len(trail()) == 1 and not broken()


def test_the_desk_declines_and_the_next_is_asked_the_turn_is_kept_once():
    at = factory.clinic()
    opened, rows = full(at)
    _, wish, row = offered(at, opened, rows)
    _, second = wait(at, opened)
    desk = staff(at, "desk")
    decline_offer(at.id, row.id, actor=desk)
    decline_offer(at.id, row.id, actor=desk)
    kept = fresh(wish)
    assert (kept.status, kept.turns_kept) == ("waiting", 0) and not offers_of(wish)
    assert [(one.action, one.object_id, one.actor_name) for one in trail()] == [
        ("decline_offer", wish.id, desk.name)
    ]
    assert offer_places() == 0, "the second had not joined when the place came back"
    give_back(at, rows, 1)
    assert offer_places() == 1 and (offers_of(second) or offers_of(wish))


def test_the_desk_takes_somebody_off_the_list_with_the_offer_that_stands():
    at = factory.clinic()
    _, wish, row = offered(at)
    desk = staff(at, "desk")
    leave(at.id, wish.id, actor=desk)
    leave(at.id, wish.id, actor=desk)
    assert (fresh(wish).status, fresh(wish).end_reason) == ("ended", "left") and not offers_of(wish)
    assert [(one.action, one.object_id, one.actor_name) for one in trail()] == [
        ("leave_wish", wish.id, desk.name)
    ]
    with pytest.raises(OfferOver):
        accept_offer(at.id, row.id, actor=desk)
    assert not broken()


def test_a_desk_of_another_hospital_a_scheduler_and_a_doctor_answer_for_nobody():
    at = factory.clinic()
    _, wish, row = offered(at)
    elsewhere = factory.clinic()
    for actor in (staff(elsewhere, "desk"), staff(at, "scheduler"), staff(at, "doctor")):
        for verb, what in ((accept_offer, row.id), (decline_offer, row.id), (leave, wish.id)):
            with pytest.raises(NotAllowed):
                verb(at.id, what, actor=actor)
    for verb, what in ((accept_offer, row.id), (decline_offer, row.id), (leave, wish.id)):
        with pytest.raises(NoSuchWish):
            verb(elsewhere.id, what, actor=staff(elsewhere, "desk"))
    assert offers_of(wish)[0].id == row.id and fresh(wish).status == "offered" and not trail()


def test_the_rules_are_those_of_the_persons_own_answer():
    at = factory.clinic(policy={"open_per_account": 1, "per_day": 9, "per_department_day": 9, "per_week": 9})
    who, wish, row = offered(at)
    desk = staff(at, "desk")
    child = factory.patient(who.account, "李小满", seat=2)
    later = factory.open_session(factory.another_doctor(at))
    book(at, later, factory.Person(who.account, child))
    with pytest.raises(AccountLimit):
        accept_offer(at.id, row.id, actor=desk)
    with pytest.raises(AccountLimit):
        accept_offer(at.id, row.id, actor=as_account(who))
    with transaction() as session:
        session.execute(
            update(PatientLink)
            .where(PatientLink.patient_id == who.patient.id)
            .values(ended_at=factory.now(), seat=None)
        )
    with pytest.raises(NotLinked, match="登记候补的账号"):
        accept_offer(at.id, row.id, actor=desk)
    assert offers_of(wish)[0].id == row.id and not trail()


def test_a_block_that_came_meanwhile_stands_at_the_desk_too_and_a_key_means_one_answer():
    at = factory.clinic(policy={"per_day": 9, "per_department_day": 9, "per_week": 9})
    opened, rows = full(at, places=2)
    who, wish, row = offered(at, opened, rows)
    desk = staff(at, "desk")
    for days in (30, 20, 10):
        missed(at, None, who, today(at) - timedelta(days=days))
    with pytest.raises(Blocked):
        accept_offer(at.id, row.id, actor=desk, key="k")
    assert offers_of(wish)[0].id == row.id and not trail()
    _, second = wait(at, opened)
    give_back(at, rows, 1)
    offer_places()
    (other,) = offers_of(second)
    assert accept_offer(at.id, other.id, actor=desk, key="k")[0].status == "booked", "refused keys are free"
    with pytest.raises(KeyReused):
        accept_offer(at.id, row.id, actor=desk, key="k")


def test_a_pair_is_booked_by_one_answer():
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    who, wish = pair(at, opened)
    give_back(at, rows, 0)
    give_back(at, rows, 1)
    assert offer_places() == 2
    held = offers_of(wish)
    booked = accept_offer(at.id, held[1].id, actor=staff(at, "desk"))
    assert {(row.status, row.account_id) for row in booked} == {("booked", who.id)} and len(booked) == 2
    assert sorted(trail()[0].change["appointments"]) == sorted(row.id.hex for row in held)
    assert db.session.scalar(select(func.count()).select_from(AuditEvent)) == 1 and not broken()
