"""The guards of the waiting list, once in place and once taken away: without it the failure must happen (R21–R24)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

from booking import clock
from booking.appointments import places, turns
from booking.appointments.cancel import cancel
from booking.appointments.expire import sweep_holds
from booking.appointments.offers import offer_places
from booking.appointments.reserve import hold
from booking.appointments.rules import SlotFull
from booking.appointments.wish_models import WishOffer, WishPatient
from booking.clock import local
from booking.db import db, new_id, transaction
from tests import factory
from tests.faults.test_guards_removed import refuses
from tests.faults.unguarded import without_unique
from tests.invariants import broken
from tests.verbs.test_reserve import as_account, browser
from tests.verbs.test_wishes import full, give_back, offers_of, pair, wait


@pytest.fixture
def own(another_app):
    """An application on a database that may be damaged, at half past nine in the morning."""
    app = another_app()
    with app.app_context():
        here = local(factory.now(), "Asia/Shanghai")
        with transaction() as session:
            wanted = here.replace(hour=9, minute=30, second=0) + timedelta(days=1)
            clock.shift(session, wanted - factory.now())
        yield app
        db.session.rollback()


def copy_row(model, wanted, **changes):
    table = model.__table__
    with transaction() as session:
        values = dict(session.execute(select(table).where(wanted)).mappings().first())
        session.execute(insert(table).values(**values | {"id": new_id()} | changes))


def test_r21_two_live_offers_to_one_patient_of_a_wish(own):
    at = factory.clinic()
    opened, rows = full(at)
    _, wish = wait(at, opened)
    given = give_back(at, rows)
    offer_places()

    def harm():
        copy_row(WishOffer, WishOffer.wish_id == wish.id, appointment_id=given.id)

    refuses(harm, "uq_one_live_offer_per_wish_and_patient")
    without_unique("wish_offer", "uq_one_live_offer_per_wish_and_patient")
    harm()
    assert "R21 an offer that stands while its appointment is not held" in broken()


def test_r24_one_patient_waits_twice_for_a_session(own):
    at = factory.clinic()
    opened, _ = full(at)
    _, wish = wait(at, opened)
    _, other = wait(at, opened)
    patient = db.session.scalar(select(WishPatient.patient_id).where(WishPatient.wish_id == wish.id))
    account = db.session.scalar(select(WishPatient.account_id).where(WishPatient.wish_id == wish.id))

    def harm():
        words = {"patient_id": patient, "account_id": account, "seat": 2}
        copy_row(WishPatient, WishPatient.wish_id == other.id, **words)

    refuses(harm, "uq_one_live_wish_per_patient_and_session")
    without_unique("wish_patient", "uq_one_live_wish_per_patient_and_session")
    harm()
    live = select(func.count()).where(WishPatient.patient_id == patient, WishPatient.live)
    assert db.session.scalar(live) == 2


def test_r21_a_freed_place_sold_before_the_list_was_asked(own, monkeypatch):
    at = factory.clinic()
    opened, rows = full(at, places=2)
    wait(at, opened)

    def grab(number):
        give_back(at, rows, number)
        return hold(at.id, rows[number][1].slot_id, holder=f"x{number}", actor=browser(f"x{number}"))

    with pytest.raises(SlotFull):
        grab(0)
    monkeypatch.setattr(places, "keep_back_if_wanted", lambda *_, **__: 0)
    assert grab(1).status == "held", "somebody who pressed at the right moment went before those who wait"


def test_r21_half_of_a_pairs_offer_left_standing(own, monkeypatch):
    at = factory.clinic()
    opened, rows = full(at, slots=3)
    who, wish = pair(at, opened)
    give_back(at, rows, 0)
    give_back(at, rows, 1)
    offer_places()
    monkeypatch.setattr(turns, "lock_offers", lambda *_, **__: [])
    (first, _) = offers_of(wish)
    with transaction() as session:
        row = places.lock_appointment(session, at.id, first.id)
        places.end_hold(session, row, "decline", actor=as_account(who), now=factory.now())
    assert len(offers_of(wish)) == 1, "one patient of the two still has a place"


def test_r22_an_offer_that_frees_its_place_unasked(own, monkeypatch):
    """The place of an offer that ran out goes on asking; without `asked` it would begin anew and ask everybody again."""
    at = factory.clinic()
    opened, rows = full(at)
    _, wish = wait(at, opened)
    cancel(at.id, rows[0][1].id, actor=as_account(rows[0][0]))
    offer_places()
    true_return = places.return_place
    monkeypatch.setattr(
        places, "return_place", lambda *words, asked=False, **more: true_return(*words, **more)
    )
    with transaction() as session:
        clock.shift(session, timedelta(minutes=61))
    sweep_holds()
    assert offer_places() == 1 and len(offers_of(wish)) == 1, (
        "the same person is asked about the same place again"
    )
