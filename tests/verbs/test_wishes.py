"""The waiting list: joining, offers in order, answers, turns, pairs, resting places; rows and letters, both databases."""

from __future__ import annotations

import threading
from datetime import time, timedelta

import pytest
from sqlalchemy import func, select, update

from booking.appointments import wishes as wishes_file
from booking.appointments.answer_offer import accept_offer, decline_offer
from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in
from booking.appointments.expire import remove_old_holds, sweep_holds
from booking.appointments.models import Appointment
from booking.appointments.move import move
from booking.appointments.offers import offer_places
from booking.appointments.reserve import confirm, extend_hold, hold, release_hold
from booking.appointments.rules import (
    AlreadyBooked,
    KeyReused,
    NoSuchAppointment,
    NotLinked,
    SessionStopped,
    SlotFull,
)
from booking.appointments.stop import reopen_session, stop_session
from booking.appointments.wish_ends import end_wishes, remove_old_wishes
from booking.appointments.wish_lines import line_of_session, odds_of
from booking.appointments.wish_models import WishOffer, WishPatient
from booking.appointments.wish_queries import wish as wish_of
from booking.appointments.wish_rules import (
    AlreadyWaiting,
    ListClosed,
    NoSuchWish,
    NotFull,
    OfferOver,
    TooManyWishes,
)
from booking.appointments.wishes import join, leave
from booking.clock import local
from booking.db import db, transaction
from booking.errors import BadInput, NotAllowed
from booking.notices.models import DemoLetter
from booking.notices.service import send_due
from booking.outbox import Message, reference
from booking.schedule.change_session import change_session
from booking.schedule.models import Place
from booking.schedule.shape import Shape
from booking.schedule.wanted import Wish, WishChoice
from tests import factory
from tests.invariants import broken
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import as_account, book, browser

pytestmark = pytest.mark.usefixtures("within")
WISH_COLUMNS = [column.name for column in Wish.__table__.columns]


@pytest.fixture(autouse=True)
def by_day(request, now):
    """Ten in the morning: outside quiet hours, before the list of any session here closes."""
    here = local(now(), "Asia/Shanghai")
    now.at(here.replace(hour=9, minute=30, second=0) + timedelta(days=1))


def full(at, *, places=1, slots=2, **words):
    """A session sold out to strangers; return it with their appointments."""
    opened = factory.open_session(at, places=places, ends=_ends(slots), **words)
    rows = [
        (
            who := factory.person(f"陌{slot}{place}"),
            book(at, opened, who, slot=slot, holder=f"s{slot}{place}"),
        )
        for slot in range(slots)
        for place in range(places)
    ]
    return opened, rows


def _ends(slots):
    minutes = 8 * 60 + 30 + 30 * slots
    return time(minutes // 60, minutes % 60)


def wait(at, opened, who=None, **words):
    who = who or factory.person()
    return who, join(at.id, opened.id, actor=as_account(who), patient_ids=[who.patient.id], **words)


def give_back(at, rows, number=0):
    who, row = rows[number]
    return cancel(at.id, row.id, actor=as_account(who))


def offers_of(wish, *, live=True):
    db.session.rollback()
    query = (
        select(Appointment)
        .join(WishOffer, WishOffer.appointment_id == Appointment.id)
        .where(WishOffer.wish_id == wish.id)
        .order_by(Appointment.created_at, Appointment.id)
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(query.where(Appointment.status == "held") if live else query).all()


def fresh(wish):
    db.session.rollback()
    return db.session.get(Wish, (wish.hospital_id, wish.id), populate_existing=True)


def place_of(row):
    db.session.rollback()
    return db.session.get(Place, (row.hospital_id, row.place_id), populate_existing=True)


def letters(wish, kind):
    db.session.rollback()
    query = select(Message).where(Message.wish_id == wish.id, Message.kind == kind).order_by(Message.channel)
    return db.session.scalars(query).all()


def sent(*wishes, status="accepted", channels=("sms",)):
    """Let the letters about the offers of these wishes end like this: by default the gateway took the SMS."""
    with transaction() as session:
        session.execute(
            update(Message)
            .where(
                Message.wish_id.in_([wish.id for wish in wishes]),
                Message.kind == "wish_offer",
                Message.channel.in_(channels),
                Message.status != "superseded",
            )
            .values(status=status, sent_at=factory.now(), next_at=factory.now())
        )


# --- joining ---------------------------------------------------------------------------------------------------------


def test_joining_puts_a_wish_its_choices_and_letters(now):
    at = factory.clinic()
    opened, _ = full(at)
    _, wish = wait(at, opened, part_ids=[at.parts["上午"].id])
    assert (wish.status, wish.party, wish.line_at_join, wish.turns_kept) == ("waiting", 1, 1, 1)
    assert local(wish.ends_at, "Asia/Shanghai").time() == time(23)
    assert local(wish.ends_at, "Asia/Shanghai").date() == opened.session.local_date - timedelta(days=1)
    named = db.session.scalars(select(WishChoice).where(WishChoice.wish_id == wish.id)).all()
    assert {(one.doctor_id, one.day_part_id) for one in named} == {
        (at.doctor.id, None),
        (None, at.parts["上午"].id),
    }
    assert [one.channel for one in letters(wish, "wish_joined")] == ["app", "sms"]
    _, second = wait(at, opened)
    assert second.line_at_join == 2
    assert line_of_session(db.session(), at.id, opened.id, before=second) == 1
    assert not broken()


def test_nobody_waits_while_a_place_is_free_or_a_hold_has_run_out(now):
    at = factory.clinic()
    opened = factory.open_session(at, places=1, ends=time(9))
    with pytest.raises(NotFull):
        wait(at, opened)
    hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    wait(at, opened)
    now.shift(minutes=11)
    with pytest.raises(NotFull):
        wait(at, opened)


def test_whoever_waits_for_a_stopped_session_is_told_that_it_is_stopped():
    at = factory.clinic()
    opened, _ = full(at)
    stop_session(at.id, opened.id, actor=staff(at), reason="医生临时有手术")
    with pytest.raises(SessionStopped):
        wait(at, opened)
    assert db.session.scalars(select(Wish)).all() == []


def test_a_repeat_is_the_same_wish_and_another_body_under_its_key_is_refused():
    at = factory.clinic()
    opened, _ = full(at)
    who, wish = wait(at, opened, key="k1")
    again = wait(at, opened, who, key="k1")[1]
    double = wait(at, opened, who)[1]
    assert wish.id == again.id == double.id
    with pytest.raises(KeyReused):
        wait(at, opened, who, key="k1", part_ids=[at.parts["上午"].id])
    assert db.session.scalar(select(func.count()).select_from(Wish)) == 1


def test_a_patient_waits_once_per_session_also_through_another_account():
    at = factory.clinic()
    opened, _ = full(at)
    who, _ = wait(at, opened)
    other = factory.account()
    with transaction() as session:
        session.add(
            factory.PatientLink(
                account_id=other.id,
                patient_id=who.patient.id,
                seat=1,
                relation="child",
                created_at=factory.now(),
            )
        )
    with pytest.raises(AlreadyWaiting):
        join(at.id, opened.id, actor=as_account(other), patient_ids=[who.patient.id])


def test_a_patient_has_at_most_three_wishes():
    at = factory.clinic()
    who = factory.person()
    for number in range(3):
        wait(at, full(factory.another_doctor(at, f"陆明{number}"))[0], who)
    with pytest.raises(TooManyWishes):
        wait(at, full(at)[0], who)


def test_who_may_not_join_changes_nothing():
    at = factory.clinic()
    opened, rows = full(at)
    who, other = factory.person(), factory.person()
    with pytest.raises(NotLinked):
        join(at.id, opened.id, actor=as_account(who), patient_ids=[other.patient.id])
    with pytest.raises(NotAllowed):
        join(at.id, opened.id, actor=browser(), patient_ids=[who.patient.id])
    with pytest.raises(AlreadyBooked):
        wait(at, opened, rows[0][0])
    with pytest.raises(BadInput):
        wait(at, opened, who, part_ids=[at.parts["夜间"].id])
    with pytest.raises(BadInput):
        wait(at, opened, who, doctor_ids=[factory.another_doctor(at).doctor.id])
    day = opened.session.local_date
    with pytest.raises(BadInput):
        wait(at, opened, who, first_date=day + timedelta(days=1), last_date=day + timedelta(days=2))
    with pytest.raises(BadInput):
        wait(at, opened, who, last_date=day + timedelta(days=90))
    foreign = factory.clinic()
    with pytest.raises(BadInput):
        wait(at, opened, who, campus_ids=[foreign.campus.id])
    assert db.session.scalar(select(func.count()).select_from(Wish)) == 0


def test_the_list_of_a_day_closes_the_evening_before(now):
    at = factory.clinic()
    opened, _ = full(at, on=local(now(), "Asia/Shanghai").date() + timedelta(days=1))
    now.shift(hours=14)
    with pytest.raises(ListClosed):
        wait(at, opened)


def test_an_offer_that_ran_out_is_no_visit_and_keeps_nobody_from_joining(now):
    """The wish of one session is offered a place of another; nobody has tidied up yet when its patient joins there."""
    at = factory.clinic(policy={"return_from": time(18)})
    opened, _ = full(at, slots=1)
    other, rows = full(factory.another_doctor(at), slots=1)
    who, wish = wait(at, opened, department_ids=[at.department.id])
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    assert row.session_id == other.id
    with pytest.raises(AlreadyBooked):
        wait(at, other, who)
    now.at(row.held_until + timedelta(seconds=1))
    assert wait(at, other, who)[1].status == "waiting"


# --- offers ----------------------------------------------------------------------------------------------------------


def test_a_freed_place_is_kept_back_and_offered_to_the_first_in_line(now):
    at = factory.clinic()
    opened, rows = full(at)
    first, wish = wait(at, opened)
    _, later = wait(at, opened)
    given = give_back(at, rows)
    place = place_of(given)
    assert place.rests_until is not None and place.freed_at is not None and place.appointment_id is None
    with pytest.raises(SlotFull):
        hold(at.id, opened.slots[0].id, holder="x", actor=browser())
    assert offer_places() == 1 and offer_places() == 0
    (row,) = offers_of(wish)
    assert (row.kind, row.patient_id, row.account_id) == ("offer", first.patient.id, first.id)
    assert row.holder_seat is None and row.place_id == place.id
    assert row.held_until - row.created_at == timedelta(hours=1)
    assert place_of(row).held_until == row.held_until
    assert fresh(wish).status == "offered" and fresh(later).status == "waiting"
    assert not offers_of(later)
    assert [one.channel for one in letters(wish, "wish_offer")] == ["app", "sms"]
    assert all(one.expires_at == row.held_until for one in letters(wish, "wish_offer"))
    with pytest.raises(SlotFull):
        hold(at.id, opened.slots[0].id, holder="x", actor=browser())
    assert not broken()


def test_accepting_books_and_tells_and_a_repeat_is_the_same():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    (booked,) = accept_offer(at.id, row.id, actor=as_account(who), key="k")
    assert (booked.status, booked.id, booked.patient_id) == ("booked", row.id, who.patient.id)
    for key in ("k", None):
        assert accept_offer(at.id, row.id, actor=as_account(who), key=key)[0].id == row.id
    assert fresh(wish).status == "served"
    place = place_of(row)
    assert (place.appointment_id, place.held_until, place.rests_until) == (row.id, None, None)
    query = select(Message.kind, Message.status).where(Message.appointment_id == row.id)
    kinds = {tuple(one) for one in db.session.execute(query)}
    assert ("confirmed", "waiting") in kinds and ("wish_offer", "superseded") in kinds
    assert ("wish_offer", "waiting") not in kinds
    assert not broken()


def test_accepting_again_after_checking_in_is_the_same_visit(now):
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    accept_offer(at.id, row.id, actor=as_account(who))
    now.at(row.starts_at - timedelta(minutes=30))
    check_in(at.id, row.id, actor=staff(at, "desk"))
    (again,) = accept_offer(at.id, row.id, actor=as_account(who))
    assert (again.id, again.status) == (row.id, "arrived")


def test_an_offer_is_nobody_elses_and_no_ordinary_hold():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    stranger = as_account(factory.person())
    for verb in (accept_offer, decline_offer):
        with pytest.raises(NoSuchWish):
            verb(at.id, row.id, actor=stranger)
    words = {"holder": "h", "actor": as_account(who)}
    for wrong in (extend_hold, release_hold):
        with pytest.raises(NoSuchAppointment):
            wrong(at.id, row.id, **words)
    with pytest.raises(NoSuchAppointment):
        confirm(at.id, row.id, patient_id=who.patient.id, **words)
    elsewhere = factory.open_session(factory.another_doctor(at), places=2)
    for slot in elsewhere.slots[:2]:  # an offer takes no seat of the two holds
        hold(at.id, slot.id, holder=f"h{slot.id}", actor=as_account(who))


def test_an_offer_that_runs_out_goes_to_the_next_and_keeps_the_turn_once(now):
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    _, second = wait(at, opened)
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    sent(wish)
    now.at(row.held_until + timedelta(seconds=1))
    with pytest.raises(OfferOver):
        accept_offer(at.id, row.id, actor=as_account(who))
    assert offer_places() == 1
    assert not offers_of(wish) and len(offers_of(second)) == 1
    kept = fresh(wish)
    assert (kept.status, kept.turns_kept) == ("waiting", 0) and kept.turn_at == kept.joined_at
    assert [one.channel for one in letters(wish, "wish_missed")] == ["app", "sms"]
    accept_offer(at.id, offers_of(second)[0].id, actor=as_account_of(second))
    give_back(at, rows, 1)  # another place: the one who kept the turn comes first
    offer_places()
    (again,) = offers_of(wish)
    decline_offer(at.id, again.id, actor=as_account(who))
    lost = fresh(wish)
    assert lost.status == "waiting" and lost.turn_at > lost.joined_at, "the second time it goes to the end"
    assert not broken()


@pytest.mark.parametrize(
    ("status", "outcome", "kept"),
    [
        *((status, "withdrawn", 1) for status in ("failed", "expired", "suppressed", "waiting")),
        *((status, "expired", 0) for status in ("accepted", "delivered")),
    ],
)
def test_an_offer_no_phone_was_told_of_costs_no_turn_and_goes_on(now, status, outcome, kept):
    at = factory.clinic()
    opened, rows = full(at)
    _, wish = wait(at, opened)
    _, second = wait(at, opened)
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    sent(wish, status=status)
    sent(wish, status="delivered", channels=("app", "email"))  # nobody may have looked
    now.at(row.held_until + timedelta(seconds=1))
    assert offer_places() == 1 and len(offers_of(second)) == 1, "the place goes on to the next"
    again = fresh(wish)
    assert (again.status, again.turns_kept, again.turn_at) == ("waiting", kept, again.joined_at)
    ended = db.session.scalars(select(WishOffer).where(WishOffer.wish_id == wish.id)).one()
    assert (ended.outcome, ended.ended_at is None) == (outcome, False)
    assert letters(wish, "wish_missed") and not broken()


def test_a_pair_no_phone_was_told_of_keeps_its_turn_for_both(now):
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    _, wish = pair(at, opened)
    give_back(at, rows, 0)
    give_back(at, rows, 1)
    assert offer_places() == 2
    held = offers_of(wish)
    sent(wish, status="waiting")
    now.at(held[0].held_until + timedelta(seconds=1))
    sweep_holds()
    outcomes = db.session.scalars(select(WishOffer.outcome).where(WishOffer.wish_id == wish.id)).all()
    assert outcomes == ["withdrawn", "withdrawn"] and fresh(wish).turns_kept == 1


def test_an_answer_costs_a_turn_whatever_became_of_the_letters():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    sent(wish, status="failed")
    decline_offer(at.id, offers_of(wish)[0].id, actor=as_account(who))
    assert fresh(wish).turns_kept == 0


def as_account_of(wish):
    return factory_actor(wish.account_id)


def factory_actor(account_id):
    return as_account(type("Who", (), {"id": account_id})())


def test_who_declines_is_not_asked_again_about_that_time():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    given = give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    assert decline_offer(at.id, row.id, actor=as_account(who)).status == "waiting"
    decline_offer(at.id, row.id, actor=as_account(who))
    assert fresh(wish).turns_kept == 0
    assert offer_places() == 0
    place = place_of(given)
    assert place.freed_at is None and place.rests_until > factory.now(), "it rests for its random minute"
    assert not letters(wish, "wish_missed")


def test_a_place_nobody_can_use_comes_back_at_a_minute_of_the_window(now):
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    given = give_back(at, rows)
    leave(at.id, wish.id, actor=as_account(who))
    assert offer_places() == 0
    until = place_of(given).rests_until
    assert time(10) <= local(until, "Asia/Shanghai").time() <= time(20, 0)
    _, after = wait(at, opened)  # whoever joins now does not get what came back before
    assert offer_places() == 0 and not offers_of(after)
    now.at(until - timedelta(seconds=2))
    with pytest.raises(SlotFull):
        hold(at.id, opened.slots[0].id, holder="x", actor=browser())
    now.at(until + timedelta(seconds=1))
    assert hold(at.id, opened.slots[0].id, holder="x", actor=browser()).place_id == given.place_id


def test_who_joins_after_a_place_came_back_is_not_asked_about_it():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    leave(at.id, wish.id, actor=as_account(who))
    _, partner = wait(at, opened)
    assert offer_places() == 0 and not offers_of(partner)


def test_without_a_wish_a_place_is_free_at_once():
    at = factory.clinic()
    opened, rows = full(at)
    other = factory.another_doctor(at)
    wait(other, full(other)[0])  # waits for somebody else
    given = give_back(at, rows)
    assert place_of(given).rests_until is None
    hold(at.id, opened.slots[0].id, holder="x", actor=browser())


def test_after_the_list_has_closed_a_place_is_free_at_once(now):
    at = factory.clinic()
    opened, rows = full(at, starts=time(8, 30))
    _, wish = wait(at, opened)
    now.at(wish.ends_at + timedelta(minutes=1))
    given = give_back(at, rows)
    assert place_of(given).rests_until is None and offer_places() == 0
    assert end_wishes() == 1 and end_wishes() == 0
    assert fresh(wish).end_reason == "rule"
    (told, _) = letters(wish, "wish_ended")
    sms = letters(wish, "wish_ended")[1]
    assert told.due_at < sms.due_at, "a short message waits for the end of the quiet hours"
    assert local(sms.due_at, "Asia/Shanghai").time() == time(7)


def test_a_place_that_waits_when_its_list_closes_is_not_offered_any_more(now):
    at = factory.clinic()
    opened, rows = full(at)
    _, wish = wait(at, opened, last_date=opened.session.local_date + timedelta(days=3))
    closes = wish.ends_at - timedelta(days=3)
    now.at(closes - timedelta(minutes=1))
    given = give_back(at, rows)
    assert place_of(given).rests_until > closes + timedelta(seconds=30) or place_of(given).rests_until > now()
    now.at(closes + timedelta(seconds=1))
    assert offer_places() == 0 and fresh(wish).status == "waiting"


@pytest.mark.parametrize("how", ["move", "expired hold", "released hold"])
def test_every_way_a_place_comes_back_asks_the_list(now, how):
    at = factory.clinic(policy={"per_day": 9, "per_department_day": 9})
    if how == "move":
        opened, rows = full(at)
        other = factory.open_session(at, opened.session.local_date + timedelta(days=1))
        _, wish = wait(at, opened)
        move(at.id, rows[0][1].id, other.slots[0].id, actor=as_account(rows[0][0]))
    else:
        opened = factory.open_session(at, places=1, ends=time(9))
        held = hold(at.id, opened.slots[0].id, holder="h", actor=browser())
        _, wish = wait(at, opened)
        if how == "released hold":
            release_hold(at.id, held.id, holder="h", actor=browser())
        else:
            now.shift(minutes=11)
            sweep_holds()
    assert offer_places() == 1 and len(offers_of(wish)) == 1
    assert not broken()


def test_more_numbers_go_to_those_who_wait_and_the_rest_to_everybody():
    at = factory.clinic()
    opened, _ = full(at)
    _, wish = wait(at, opened)
    row = opened.session
    shape = Shape(row.starts_local, row.ends_local, 30, 3, row.clinic_kind_id, row.fee_cents, row.room)
    change_session(at.id, opened.id, shape, actor=staff(at), version=1)
    resting = select(func.count()).where(Place.session_id == opened.id, Place.rests_until.is_not(None))
    assert db.session.scalar(resting) == 1
    assert offer_places() == 1 and len(offers_of(wish)) == 1


def test_a_stop_withdraws_an_offer_and_a_reopened_session_asks_again():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    stop_session(at.id, opened.id, actor=staff(at), reason="医生有急诊手术")
    assert fresh(wish).status == "waiting" and fresh(wish).turns_kept == 1
    assert letters(wish, "wish_missed")[0].facts == {"why": "stopped"}
    with pytest.raises(Exception, match="停诊"):
        accept_offer(at.id, row.id, actor=as_account(who))
    assert offer_places() == 0
    assert not broken()
    reopen_session(at.id, opened.id, actor=staff(at))
    assert offer_places() == 1 and len(offers_of(wish)) == 1


def stop(at, opened):
    return stop_session(at.id, opened.id, actor=staff(at), reason="医生有急诊手术")


def texts_about(wish):
    """The short messages about a wish that have left, in the order in which they were put."""
    db.session.remove()
    mine = select(Message).where(Message.wish_id == wish.id, Message.channel == "sms").order_by(Message.id)
    left = dict(db.session.execute(select(DemoLetter.reference, DemoLetter.body)).all())
    names = [reference(one) for one in db.session.scalars(mine)]
    return [left[name] for name in names if name in left]


def test_a_stop_tells_those_who_wait_for_nothing_else():
    at = factory.clinic()
    opened, _ = full(at)
    other, _ = full(factory.another_doctor(at))
    _, wish = wait(at, opened)
    _, second = wait(at, opened)
    _, wide = wait(at, opened, department_ids=[at.department.id])
    _, stranger = wait(at, other)
    done = stop(at, opened)
    assert [one.channel for one in letters(wish, "wish_stopped")] == ["app", "sms"]
    assert len(letters(second, "wish_stopped")) == 2
    assert not letters(wide, "wish_stopped"), "the other doctor's clinic may still have a number"
    assert not letters(stranger, "wish_stopped")
    assert done.count == 2 and done.letters == 2 * 2 + 2 * 2
    assert fresh(wish).status == "waiting", "reopening asks it"
    stop(at, other)
    assert len(letters(wide, "wish_stopped")) == len(letters(stranger, "wish_stopped")) == 2
    assert len(letters(wish, "wish_stopped")) == 2, "it was told before"
    assert not broken()


def test_each_stop_of_a_session_is_told_once():
    at = factory.clinic()
    opened, _ = full(at)
    other, _ = full(factory.another_doctor(at))
    _, wish = wait(at, opened, department_ids=[at.department.id])
    stop(at, other)
    for number in (1, 2, 3):
        stop(at, opened)
        assert stop(at, opened).letters == 0
        assert len(letters(wish, "wish_stopped")) == 2 * number
        assert fresh(wish).round == 0, "no offer came between"
        reopen_session(at.id, opened.id, actor=staff(at))
    stop(at, opened)
    reopen_session(at.id, other.id, actor=staff(at))
    for _ in range(2):  # until both have been stopped as often
        stop(at, other)
        reopen_session(at.id, other.id, actor=staff(at))
    stop(at, other)
    assert len(letters(wish, "wish_stopped")) == 2 * (4 + 3)


def test_who_loses_an_offer_to_a_stop_reads_it_once_and_what_is_left_to_wait_for():
    at = factory.clinic(policy={"return_from": time(18)})
    opened, rows = full(at)
    _, only = wait(at, opened)
    _, wide = wait(at, opened, department_ids=[at.department.id])
    full(factory.another_doctor(at))
    for number in (0, 1):
        give_back(at, rows, number)
    assert offer_places() == 2
    stop(at, opened)
    for wish in (only, wide):
        assert [one.facts["why"] for one in letters(wish, "wish_missed")] == ["stopped"] * 2
        assert not letters(wish, "wish_stopped")
    db.session.remove()
    send_due()
    assert "停诊" in texts_about(only)[-1] and "现在没有别的号可以等" in texts_about(only)[-1]
    assert "停诊" in texts_about(wide)[-1] and "其他门诊你仍在候补" in texts_about(wide)[-1]
    assert not broken()


def test_what_a_stop_told_is_not_said_after_it_was_reopened():
    at = factory.clinic()
    opened, rows = full(at)
    _, offered = wait(at, opened)
    _, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    stop(at, opened)
    reopen_session(at.id, opened.id, actor=staff(at))
    db.session.remove()
    send_due()
    for one, kind in ((offered, "wish_missed"), (wish, "wish_stopped")):
        assert {letter.status for letter in letters(one, kind)} == {"superseded"}, kind
        assert not any("停诊" in text for text in texts_about(one))


def test_a_session_whose_list_has_closed_is_nothing_to_wait_for(now):
    """Today's clinic of the same doctor still runs, but nobody is offered a number of it any more."""
    at = factory.clinic()
    opened, _ = full(at)
    early = factory.open_session(at, opened.session.local_date - timedelta(days=1), places=1)
    _, wish = wait(at, opened, first_date=early.session.local_date)
    now.at(early.session.starts_at - timedelta(hours=12))
    stop(at, opened)
    assert not letters(wish, "wish_stopped"), "the list of the early one is open"
    reopen_session(at.id, opened.id, actor=staff(at))
    now.at(early.session.starts_at - timedelta(minutes=5))
    stop(at, opened)
    assert len(letters(wish, "wish_stopped")) == 2 and wish_of(at.id, wish.id).hopeless


def test_two_stops_in_a_night_are_told_once_in_the_morning(now):
    at = factory.clinic()
    opened, rows = full(at)
    _, wish = wait(at, opened)
    _, second = wait(at, opened)
    give_back(at, rows)
    offer_places()
    now.at(opened.session.starts_at - timedelta(hours=10))
    assert local(now(), "Asia/Shanghai").hour == 22
    stop(at, opened)
    reopen_session(at.id, opened.id, actor=staff(at))
    stop(at, opened)
    now.shift(hours=8, minutes=45)
    db.session.remove()
    send_due()
    for one in (wish, second):
        assert sum("停诊" in text for text in texts_about(one)) == 1, one.id


def test_a_phone_that_is_never_reached_is_forgiven_twice(now):
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    _, wish = wait(at, opened)
    outcomes = []
    for number in range(3):
        give_back(at, rows, number)
        assert offer_places() == 1
        (row,) = offers_of(wish)
        sent(wish, status="failed")
        now.at(row.held_until + timedelta(seconds=1))
        sweep_holds()
        outcomes.append(fresh(wish).turns_kept)
    assert outcomes == [1, 1, 0]


def test_who_left_before_a_stop_was_told_is_told_nothing():
    at = factory.clinic()
    opened, _ = full(at)
    who, wish = wait(at, opened)
    stop(at, opened)
    leave(at.id, wish.id, actor=as_account(who))
    db.session.remove()
    send_due()
    assert not any("停诊" in text for text in texts_about(wish))


def test_a_wish_whose_time_is_over_is_told_by_its_end(now):
    at = factory.clinic()
    opened, _ = full(at)
    _, wish = wait(at, opened)
    now.at(wish.ends_at + timedelta(minutes=1))
    stop(at, opened)
    assert not letters(wish, "wish_stopped")
    assert end_wishes() == 1 and len(letters(wish, "wish_ended")) == 2


def test_who_cannot_take_it_is_passed_over_and_stays():
    at = factory.clinic()
    opened, rows = full(at)
    busy, wish = wait(at, opened)
    _, second = wait(at, opened)
    other = factory.another_doctor(at)
    book(
        other, factory.open_session(other, opened.session.local_date), busy, holder="o"
    )  # one per department a day
    with transaction() as session:  # booked before joining, so it does not serve the wish
        session.execute(
            Appointment.__table__.update()
            .where(Appointment.patient_id == busy.patient.id)
            .values(booked_at=wish.joined_at - timedelta(days=1))
        )
    give_back(at, rows)
    assert offer_places() == 1
    assert not offers_of(wish) and len(offers_of(second)) == 1
    assert fresh(wish).status == "waiting"


def test_who_has_booked_meanwhile_is_not_offered_anything():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    other = factory.another_doctor(at)
    book(other, factory.open_session(other, opened.session.local_date), who, holder="o")
    give_back(at, rows)
    assert offer_places() == 0
    assert (fresh(wish).status, fresh(wish).end_reason) == ("ended", "booked")
    assert letters(wish, "wish_ended")


def test_who_has_been_seen_meanwhile_is_not_offered_anything():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    other = factory.another_doctor(at)
    there = factory.open_session(other, opened.session.local_date)
    factory.booked(other, there, who, status="fulfilled", visit_code="10000007")
    give_back(at, rows)
    assert offer_places() == 0
    assert (fresh(wish).status, fresh(wish).end_reason) == ("ended", "booked")


def test_a_limit_met_meanwhile_refuses_the_acceptance_and_leaves_the_offer():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    (row,) = offers_of(wish)
    other = factory.another_doctor(at)
    book(other, factory.open_session(other, opened.session.local_date), who, holder="o")
    with pytest.raises(Exception, match="同一科室"):
        accept_offer(at.id, row.id, actor=as_account(who))
    assert offers_of(wish)[0].id == row.id


def test_leaving_gives_the_offer_to_the_next():
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    _, second = wait(at, opened)
    give_back(at, rows)
    offer_places()
    with pytest.raises(NoSuchWish):
        leave(at.id, wish.id, actor=as_account(factory.person()))
    for _ in range(2):
        assert leave(at.id, wish.id, actor=as_account(who)).end_reason == "left"
    assert offer_places() == 1 and len(offers_of(second)) == 1
    assert not offers_of(wish)
    wait(at, opened, who)  # and may come back, to the end of the line
    assert not broken()


def test_a_wish_for_a_department_and_several_days_meets_any_of_its_sessions():
    at = factory.clinic()
    opened, _ = full(at)
    other = factory.another_doctor(at)
    later, rows = full(other, on=opened.session.local_date + timedelta(days=2))
    _, others = full(other, on=opened.session.local_date + timedelta(days=1), part="夜间")
    _, wish = wait(
        at,
        opened,
        department_ids=[at.department.id],
        part_ids=[at.parts["上午"].id],
        last_date=opened.session.local_date + timedelta(days=3),
    )
    assert place_of(give_back(other, others)).rests_until is None, "an evening is not wanted"
    give_back(other, rows)
    assert offer_places() == 1
    assert offers_of(wish)[0].session_id == later.id


# --- pairs -----------------------------------------------------------------------------------------------------------


def pair(at, opened, **words):
    who = factory.person("李秋禾")
    child = factory.patient(who.account, "李小满", relation="child", seat=2)
    wish = join(at.id, opened.id, actor=as_account(who), patient_ids=[who.patient.id, child.id], **words)
    return who, wish


def test_a_pair_gets_two_places_of_one_session_or_none(now):
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    who, wish = pair(at, opened)
    give_back(at, rows, 0)
    assert offer_places() == 0, "one place is kept for the pair for a while"
    give_back(at, rows, 1)
    assert offer_places() == 2
    held = offers_of(wish)
    assert len({row.patient_id for row in held}) == 2 and len({row.place_id for row in held}) == 2
    assert len(letters(wish, "wish_offer")) == 2
    booked = accept_offer(at.id, held[1].id, actor=as_account(who))
    assert {row.status for row in booked} == {"booked"} and len(booked) == 2
    assert fresh(wish).status == "served"
    assert not broken()


@pytest.mark.parametrize("how", ["declined", "run out", "left", "stopped"])
def test_a_pairs_offer_ends_for_both(now, how):
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    who, wish = pair(at, opened)
    give_back(at, rows, 0)
    give_back(at, rows, 1)
    assert offer_places() == 2
    held = offers_of(wish)
    sent(wish)
    if how == "declined":
        decline_offer(at.id, held[0].id, actor=as_account(who))
    elif how == "left":
        leave(at.id, wish.id, actor=as_account(who))
    elif how == "stopped":
        stop_session(at.id, opened.id, actor=staff(at), reason="停电")
    else:
        now.at(held[0].held_until + timedelta(seconds=1))
        sweep_holds()
    assert not offers_of(wish)
    outcomes = db.session.scalars(select(WishOffer.outcome).where(WishOffer.wish_id == wish.id)).all()
    assert len(outcomes) == 2 and None not in outcomes
    assert fresh(wish).turns_kept == (0 if how in ("declined", "run out") else 1)
    assert not broken()


def test_a_pair_first_in_line_keeps_a_place_for_a_while_then_the_next_is_asked(now):
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    _, both = pair(at, opened)
    _, single = wait(at, opened)
    give_back(at, rows, 0)
    assert offer_places() == 0
    now.shift(hours=2, minutes=1)
    assert offer_places() == 1, "it does not block those behind for longer than the policy's minutes"
    assert len(offers_of(single)) == 1
    give_back(at, rows, 1)
    give_back(at, rows, 2)
    assert offer_places() == 2 and len(offers_of(both)) == 2, "and is first again for the next two"


def test_one_half_that_cannot_come_means_neither():
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    who, wish = pair(at, opened)
    give_back(at, rows, 0)
    give_back(at, rows, 1)
    offer_places()
    held = offers_of(wish)
    other = factory.another_doctor(at)
    elsewhere = factory.open_session(other, opened.session.local_date)
    book(other, elsewhere, who, holder="o")
    with pytest.raises(Exception, match="同一科室"):
        accept_offer(at.id, held[0].id, actor=as_account(who))
    assert {row.status for row in offers_of(wish, live=False)} == {"held"}


# --- places that come, go and come again -----------------------------------------------------------------------------


def test_numbers_kept_for_other_ways_do_not_count_among_those_that_wait(now):
    """New numbers in the order web, phone: as many rest as people wait, whatever stands between them."""
    at = factory.clinic()
    opened, _ = full(at)
    wishes = [wait(at, opened)[1] for _ in range(2)]
    row = opened.session
    shape = Shape(
        *(row.starts_local, row.ends_local, 30, 3),
        *(row.clinic_kind_id, row.fee_cents, row.room),
        channels={"phone": 1},
    )
    change_session(at.id, opened.id, shape, actor=staff(at), version=1)
    assert offer_places() == 2, "a number kept for the telephone took no one's"
    assert [len(offers_of(wish)) for wish in wishes] == [1, 1]
    assert not broken()


@pytest.mark.parametrize("how", ["stopped", "withdrawn"])
def test_a_place_that_is_opened_again_does_not_rest_as_it_did_before(how):
    at = factory.clinic()
    opened, rows = full(at, places=2, slots=1)
    who, wish = wait(at, opened)
    given = give_back(at, rows)
    assert place_of(given).rests_until is not None
    leave(at.id, wish.id, actor=as_account(who))
    if how == "stopped":
        stop_session(at.id, opened.id, actor=staff(at), reason="停电")
        reopen_session(at.id, opened.id, actor=staff(at))
    else:
        row = opened.session
        same = (row.starts_local, row.ends_local, 30)
        for version, places in enumerate((1, 2), start=1):
            shape = Shape(*same, places, row.clinic_kind_id, row.fee_cents, row.room)
            change_session(at.id, opened.id, shape, actor=staff(at), version=version)
    place = place_of(given)
    assert place.open and (place.rests_until, place.freed_at) == (None, None), "nobody waits for it any more"


def test_an_offer_made_while_somebody_leaves_ends_with_the_wish(app, database, monkeypatch):
    """The offer is made between the look at the offers and the lock of the wish (SQLite has one writer: it comes after)."""
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    _, second = wait(at, opened)
    give_back(at, rows)
    true_lock = wishes_file.lock_wish

    def offer():
        with app.app_context():
            offer_places()

    asking = threading.Thread(target=offer)

    def lock_later(*words):
        asking.start()
        asking.join(0.3 if database == "sqlite" else 20)
        return true_lock(*words)

    monkeypatch.setattr(wishes_file, "lock_wish", lock_later)
    assert leave(at.id, wish.id, actor=as_account(who)).end_reason == "left"
    asking.join(20)
    assert not offers_of(wish), "no offer stands on a wish that has ended"
    offer_places()
    assert len(offers_of(second)) == 1
    assert not broken()


@pytest.mark.parametrize("how", ["declined", "run out"])
def test_the_second_place_of_a_pair_goes_on_to_the_next_though_it_was_on_sale(now, how):
    at = factory.clinic()
    opened = factory.open_session(
        at, places=2, ends=_ends(1), channels={"phone": 1}, rolls_at=factory.now() + timedelta(hours=1)
    )
    stranger = factory.person("陌一")
    row = book(at, opened, stranger)
    who, wish = pair(at, opened)
    singles = [wait(at, opened)[1] for _ in range(2)]
    now.shift(hours=1, minutes=1)  # the number kept for the telephone is on sale to everybody
    cancel(at.id, row.id, actor=as_account(stranger))
    assert offer_places() == 2
    (first, _) = held = offers_of(wish)
    if how == "declined":
        decline_offer(at.id, first.id, actor=as_account(who))
    else:
        now.at(held[0].held_until + timedelta(seconds=1))
    assert offer_places() == 2
    assert [len(offers_of(one)) for one in singles] == [1, 1]
    assert not broken()


# --- history and retention -------------------------------------------------------------------------------------------


def test_odds_count_those_who_were_served_among_those_about_as_far_in_line(now):
    at = factory.clinic()
    opened, _ = full(at)
    rows = [wait(at, opened)[1] for _ in range(3)]
    with transaction() as session:
        for number in range(30):
            values = {name: getattr(rows[0], name) for name in WISH_COLUMNS}
            values |= {"id": factory.new_id(), "line_at_join": 2, "ended_at": now(), "request_key": None}
            values |= {"status": "served"} if number < 12 else {"status": "ended", "end_reason": "rule"}
            if number >= 25:
                values |= {"end_reason": "left", "status": "ended"}
            session.execute(Wish.__table__.insert().values(**values))
    odds = odds_of(db.session(), at.id, opened.id, 1, now())
    assert (odds.served, odds.known, odds.is_known) == (12, 25, True)
    assert not odds_of(db.session(), at.id, opened.id, 12, now()).is_known


def test_old_offers_and_wishes_are_forgotten(now):
    at = factory.clinic()
    opened, rows = full(at)
    who, wish = wait(at, opened)
    give_back(at, rows)
    offer_places()
    leave(at.id, wish.id, actor=as_account(who))
    now.shift(days=31)
    assert remove_old_holds() == 1
    assert db.session.scalar(select(func.count()).select_from(WishOffer)) == 0
    now.shift(days=400)
    assert remove_old_wishes() == 1 and remove_old_wishes() == 0
    assert db.session.scalar(select(func.count()).select_from(WishPatient)) == 0
