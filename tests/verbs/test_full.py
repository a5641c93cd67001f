"""The hint "full": true at an instant of the request, shared by those who wait, silent about everything else."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import update

from booking.appointments import full
from booking.appointments.full import Looks, Seen, is_full, nothing_to_be_had
from booking.appointments.reserve import hold, release_hold
from booking.db import db, transaction
from booking.schedule.models import ClinicSession, Place
from tests import factory
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")
SLOT = (1, uuid.UUID(int=1))


def sold_out(**words):
    at = factory.clinic()
    opened = factory.open_session(at, places=1, **words)
    return at, opened, book(at, opened, factory.person())


def test_a_slot_with_a_place_is_not_full_and_a_sold_one_is():
    at, opened, _ = sold_out()
    assert is_full(at.id, opened.slots[0].id)
    assert not is_full(at.id, opened.slots[1].id)
    assert not is_full(at.id, uuid.uuid4())


def test_whoever_gives_a_place_back_and_asks_at_once_is_not_told_full():
    at, opened, _ = sold_out()
    who = as_account(factory.person())
    row = hold(at.id, opened.slots[1].id, holder="h", actor=who)
    assert is_full(at.id, row.slot_id)
    release_hold(at.id, row.id, holder="h", actor=who)
    assert not is_full(at.id, row.slot_id)


def test_a_hold_that_is_about_to_run_out_makes_nobody_full(now):
    at, opened, _ = sold_out()
    row = hold(at.id, opened.slots[1].id, holder="h", actor=as_account(factory.person()))
    now.at(row.held_until - timedelta(seconds=30))
    assert is_full(at.id, row.slot_id)
    now.at(row.held_until - timedelta(milliseconds=500))
    assert not is_full(at.id, row.slot_id)


def test_a_resting_place_is_not_sellable_yet():
    at, opened, _ = sold_out()
    with transaction() as session:
        session.execute(
            update(Place)
            .where(Place.slot_id == opened.slots[1].id)
            .values(rests_until=factory.now() + timedelta(hours=1))
        )
    assert is_full(at.id, opened.slots[1].id)


def test_the_browser_that_holds_the_last_place_is_never_told_full():
    at, opened, _ = sold_out()
    hold(at.id, opened.slots[1].id, holder="mine", actor=as_account(factory.person()))
    assert not is_full(at.id, opened.slots[1].id, holder="mine")
    assert is_full(at.id, opened.slots[1].id, holder="other")
    assert is_full(at.id, opened.slots[1].id)


@pytest.mark.parametrize("status", ["draft", "stopped", "finished"])
def test_a_session_that_sells_nothing_has_its_own_answer(status):
    at = factory.clinic()
    opened = factory.open_session(at, status=status)
    assert not is_full(at.id, opened.slots[0].id)


def test_before_the_release_and_after_closing_it_says_nothing(now):
    at, opened, _ = sold_out()
    now.at(opened.slots[0].closes_at + timedelta(seconds=1))
    assert not is_full(at.id, opened.slots[0].id)
    later = factory.open_session(at, part="夜间", places=1, release_at=factory.now() + timedelta(hours=1))
    assert not is_full(at.id, later.slots[0].id)


def test_before_the_release_it_says_when_and_at_the_release_no_more(now):
    at = factory.clinic()
    opens = factory.now() + timedelta(minutes=10)
    opened = factory.open_session(at, places=1, release_at=opens)
    slot = (at.id, opened.slots[0].id)
    seen = nothing_to_be_had(*slot)
    assert seen is not None and 590 < seen.opens_in <= 600
    now.at(opens - timedelta(milliseconds=900))
    seen = nothing_to_be_had(*slot)
    assert seen is not None and 0 < seen.opens_in < 1
    now.at(opens)
    assert nothing_to_be_had(*slot) is None


def test_a_session_that_is_drawn_has_its_own_answer():
    at = factory.clinic()
    opens = factory.now() + timedelta(hours=1)
    opened = factory.open_session(at, places=1, release_at=opens)
    with transaction() as session:
        drawn = {"sale": "draw", "entries_from": opens - timedelta(minutes=30)}
        session.execute(update(ClinicSession).where(ClinicSession.id == opened.id).values(**drawn))
    assert nothing_to_be_had(at.id, opened.slots[0].id) is None


def test_a_database_that_does_not_answer_says_nothing(monkeypatch):
    at, opened, _ = sold_out()
    monkeypatch.setattr(full, "_query", lambda _sqlite: db.text("SELECT nothing FROM nowhere"))
    assert not is_full(at.id, opened.slots[0].id)


# --- sharing, without a database -------------------------------------------------------------------------------------


class Slow:
    """A read that waits until it is let go, and counts."""

    def __init__(self, *answers):
        self.answers, self.count = list(answers), 0
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, _hospital, _slot):
        self.count += 1
        self.begun.release()
        assert self.go.acquire(timeout=10)
        return self.answers.pop(0)


def ask(looks, said, since=None, holder=None):
    def run():
        said.append(looks.ask(SLOT, holder, time.monotonic() if since is None else since) is not None)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_look_that_began_before_a_request_arrived_is_not_used_for_it():
    """The place is given back while the first look is under way; whoever came after that must see it."""
    read, said = Slow(Seen(), None), []
    looks = Looks(read)
    first = ask(looks, said)
    assert read.begun.acquire(timeout=5)
    late: list[bool] = []
    crowd = [ask(looks, late) for _ in range(6)]
    while not looks.coming:
        time.sleep(0.001)
    time.sleep(0.05)
    read.go.release()
    first.join(5)
    read.go.release()
    for one in crowd:
        one.join(5)
    assert said == [True]
    assert late == [False] * 6
    assert read.count == 2, "the six shared one look"


def test_a_kept_look_serves_only_requests_that_had_arrived_before_it_began():
    read = Slow(Seen(), Seen(), Seen())
    for _ in range(3):
        read.go.release()
    looks = Looks(read)
    arrived = time.monotonic()
    assert looks.ask(SLOT, None, arrived)
    assert looks.ask(SLOT, None, arrived)
    assert read.count == 1, "it stood in the queue while the look was made"
    assert looks.ask(SLOT, None, time.monotonic())
    assert read.count == 2, "it came later: a look of its own"
    time.sleep(full.KEPT_SECONDS + 0.05)
    assert looks.ask(SLOT, None, arrived)
    assert read.count == 3, "and no look is kept longer than that"


def test_a_look_that_took_longer_than_its_margin_says_nothing(monkeypatch):
    monkeypatch.setattr(full, "MARGIN", timedelta(milliseconds=20))
    looks = Looks(lambda _hospital, _slot: time.sleep(0.05) or Seen())
    assert not looks.ask(SLOT, None, time.monotonic())
