"""The outbox: who may take which letter, when, and what a late worker can no longer do."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import false, text

from booking import claims, outbox, periodic, settling
from booking.claims import LEASE, Claimed, claim_due, due_channels
from booking.clock import db_now
from booking.db import db, transaction
from booking.notices.writing import WANTED
from booking.outbox import supersede
from booking.periodic import claim_run
from booking.settling import Ended, give_back
from tests.notices.posting import booked, change, letters, only, post, post_code, states


def take(row, channel="sms", limit=20, worker="one", wanted=WANTED):
    hospital_id = row if isinstance(row, int) else row.hospital_id
    return claim_due(hospital_id, channel, worker, limit, wanted=wanted)


def settle(letter: Claimed, status, error="", **more) -> bool:
    return not settling.settle([Ended(letter, status, error, **more)])


def end_letters(row):
    with transaction() as session:
        return supersede(session, row.hospital_id, row.id)


# --- whose turn it is ------------------------------------------------------------------------------------------------


def test_a_letter_is_not_due_before_its_time(within, now):
    (row,) = booked()
    post(row, due_in=timedelta(minutes=5))
    assert due_channels(db.session(), db_now(db.session())) == []
    assert take(row) == []
    now.shift(minutes=5, seconds=1)
    assert sorted(due_channels(db.session(), db_now(db.session()))) == [
        (row.hospital_id, "app"),
        (row.hospital_id, "sms"),
    ]
    (claimed,) = take(row)
    letter = only(channel="sms")
    assert (letter.status, letter.attempts, letter.fence, letter.worker) == ("sending", 1, 1, "one")
    assert (claimed.id, claimed.attempts, claimed.fence) == (letter.id, 1, 1)


def test_a_claimed_letter_belongs_to_one_worker_until_its_lease_ends(within, now):
    (row,) = booked()
    post(row)
    (first,) = take(row)
    assert take(row, worker="two") == []
    now.shift(seconds=LEASE.total_seconds() - 2)
    assert take(row, worker="two") == []
    now.shift(seconds=3)
    (second,) = take(row, worker="two")
    assert (second.id, second.fence, second.attempts) == (first.id, 2, 2)
    assert (only(channel="sms").worker, only(channel="sms").ambiguous) == ("two", 1)


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_claim_hands_over_the_longest_due_first_from_whichever_end_it_took(within, newest_first):
    rows = booked(5)
    for row, minutes in zip(rows, (2, 5, 1, 4, 3), strict=True):
        post(row, channels=("sms",), due_in=-timedelta(minutes=minutes))
    taken = claim_due(rows[0].hospital_id, "sms", "one", 3, wanted=WANTED, newest_first=newest_first)
    due = [letter.due_at for letter in letters()]
    assert [one.due_at for one in taken] == (due[2:] if newest_first else due[:3])


def test_a_late_result_with_an_old_fence_is_refused(within, now):
    (row,) = booked()
    post(row)
    (late,) = take(row)
    now.shift(seconds=61)
    (fresh,) = take(row, worker="two")
    assert settle(late, "failed", error="late") is False
    assert only(channel="sms").status == "sending"
    assert settle(fresh, "accepted", provider_ref="p1") is True
    assert settle(late, "waiting", retry_at=now()) is False
    assert (only(channel="sms").status, only(channel="sms").provider_ref) == ("accepted", "p1")


def test_without_the_fence_a_late_result_would_overwrite_a_newer_claim(within, now, monkeypatch):
    unfenced = settling._both(settling._ENDS, "message.status = 'sending'", "now")
    monkeypatch.setattr(settling, "_SETTLE", unfenced)
    (row,) = booked()
    post(row)
    (late,) = take(row)
    now.shift(seconds=61)
    take(row, worker="two")
    assert settle(late, "failed", error="late") is True
    assert only(channel="sms").status == "failed"


def test_many_workers_at_once_take_each_letter_once(app, within):
    rows = booked(40)
    for row in rows:
        post(row, channels=("sms",))
    start = threading.Barrier(6)

    def work(name):
        mine = []
        with app.app_context():
            start.wait()
            while taken := take(rows[0].hospital_id, worker=name, limit=3):
                mine += [letter.id for letter in taken]
            db.session.remove()
        return mine

    with ThreadPoolExecutor(6) as pool:
        taken = [letter for some in pool.map(work, "abcdef") for letter in some]
    assert len(taken) == len(set(taken)) == 40
    assert {letter.fence for letter in letters()} == {1}


def test_a_letter_locked_by_somebody_is_passed_over_without_waiting(app, within, database):
    if database == "sqlite":
        return  # one writer at a time: there is no locked row to pass over
    one, two = booked(2)
    post(one, channels=("sms",))
    post(two, channels=("sms",))

    def work():
        with app.app_context():
            taken = [letter.appointment_id for letter in take(one)]
            db.session.remove()
            return taken

    db.session.rollback()
    with ThreadPoolExecutor(1) as pool, db.engine.connect() as other, other.begin():
        other.execute(text("SELECT 1 FROM message WHERE appointment_id = :id FOR UPDATE"), {"id": one.id})
        assert pool.submit(work).result(timeout=10) == [two.id]


def test_a_change_waits_for_a_claim_that_is_being_made(app, within, now):
    """Also for the letter of a dead worker: otherwise both the old letter and the cancellation would be claimable."""
    (row,) = booked()
    post(row, channels=("sms",))
    take(row)
    now.shift(seconds=61)

    def cancel():
        with app.app_context():
            ended = end_letters(row)
            db.session.remove()
            return ended

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            _looked_at, taken = claims._claim_batch(session, row.hospital_id, "sms", "two", 5, WANTED)
            assert len(taken) == 1
            changing = pool.submit(cancel)
            with pytest.raises(TimeoutError):
                changing.result(timeout=0.5)
        assert changing.result(timeout=15) == 0
    assert (only().status, only().worker) == ("sending", "two")


def test_letters_that_were_not_tried_go_back_uncounted(within, now):
    rows = booked(3)
    for row in rows:
        post(row, channels=("sms",))
    claimed = take(rows[0])
    assert settle(claimed[0], "accepted")
    give_back(claimed)
    assert states() == {"accepted": 1, "waiting": 2}
    assert [letter.attempts for letter in letters(status="waiting")] == [0, 0]
    again = take(rows[0], worker="two")
    assert len(again) == 2
    give_back(claimed)  # too late: they are another's now
    assert states() == {"accepted": 1, "sending": 2}


# --- what is still wanted --------------------------------------------------------------------------------------------


def test_nothing_is_claimed_about_a_visit_cancelled_before_the_claim(within):
    (row,) = booked()
    post(row)
    change(row, status="cancelled")
    assert take(row) == []
    assert only(channel="sms").status == "superseded"


def test_without_asking_again_a_cancelled_visit_would_be_confirmed(within):
    (row,) = booked()
    post(row)
    change(row, status="cancelled")
    assert len(take(row, wanted="1 = 1")) == 1


def test_a_letter_of_an_older_version_is_not_wanted(within):
    (row,) = booked()
    post(row)
    change(row, complaint="")
    assert take(row) == []
    assert only(channel="sms").status == "superseded"


@pytest.mark.parametrize("kind", ["cancelled", "stopped"])
def test_the_letter_that_ends_a_visit_is_wanted_once_it_is_cancelled(within, kind):
    (row,) = booked()
    post(row, kind)
    assert take(row) == []
    (row,) = booked()
    change(row, status="cancelled")
    post(row, kind, version=2)
    assert len(take(row)) == 1


def test_a_code_letter_is_wanted_while_the_code_lives(within):
    code = post_code()
    assert due_channels(db.session(), db_now(db.session())) == [(outbox.PLATFORM, "sms")]
    with transaction() as session:
        session.execute(
            text("UPDATE one_time_code SET ended_at = created_at WHERE id = :id"), {"id": code.id}
        )
    assert take(outbox.PLATFORM) == []
    assert only().status == "superseded"


def test_a_wish_that_is_neither_true_nor_false_counts_as_not_wanted(within):
    (row,) = booked()
    post(row)
    assert take(row, wanted="NULL") == []
    assert only(channel="sms").status == "superseded"


def test_a_useless_letter_expires(within, now):
    (row,) = booked()
    post(row, lives=timedelta(minutes=1))
    now.shift(minutes=2)
    assert take(row) == []
    assert only(channel="sms").status == "expired"


def test_unwanted_letters_do_not_hide_the_wanted_one_behind_them(within):
    *gone, wanted = booked(5)
    for row in gone:
        post(row, channels=("sms",))
        change(row, status="cancelled")
    post(wanted, channels=("sms",))
    assert [letter.appointment_id for letter in take(wanted, limit=2)] == [wanted.id]
    assert states() == {"superseded": 4, "sending": 1}


# --- order -----------------------------------------------------------------------------------------------------------


def overtaking(row=None):
    """A confirmation on its way while the visit is cancelled."""
    row = row or booked()[0]
    post(row, channels=("sms",))
    (older,) = take(row)
    change(row, status="cancelled")
    assert end_letters(row) == 0
    post(row, "cancelled", channels=("sms",), version=2)
    return row, older


def test_a_newer_letter_waits_until_the_older_one_has_left(within):
    row, older = overtaking()
    assert take(row, worker="two") == []
    assert only(version=2).status == "waiting"
    settle(older, "accepted")
    assert [letter.version for letter in take(row, worker="two")] == [2]


def test_without_that_the_newer_letter_would_overtake(within, monkeypatch):
    monkeypatch.setattr(claims, "_older_is_being_sent", false)
    monkeypatch.setattr(claims, "_claim", claims._claim.__wrapped__)  # the kept statement has it already
    row, _older = overtaking()
    assert [letter.version for letter in take(row, worker="two")] == [2]


def test_a_newer_letter_waits_for_no_dead_worker(within, now):
    row, older = overtaking()
    now.shift(seconds=61)
    assert [letter.version for letter in take(row, worker="two")] == [2]
    assert only(version=1).status == "superseded"
    assert settle(older, "accepted") is False


def test_an_older_letter_put_back_for_another_try_is_not_sent_after_the_newer(within, now):
    row, older = overtaking()
    settle(older, "waiting", retry_at=now())
    assert [letter.version for letter in take(row, worker="two")] == [2]
    assert only(version=1).status == "superseded"


def test_a_blocked_letter_does_not_stop_others(within):
    blocked, other = booked(2)
    overtaking(blocked)
    post(other, channels=("sms",))
    assert [letter.appointment_id for letter in take(other, limit=1)] == [other.id]


def test_superseding_ends_the_letter_of_a_dead_worker_too(within, now):
    (row,) = booked()
    post(row, channels=("sms",))
    (claimed,) = take(row)
    assert end_letters(row) == 0
    now.shift(seconds=61)
    assert end_letters(row) == 1
    assert settle(claimed, "accepted") is False
    assert only().status == "superseded"


# --- periodic --------------------------------------------------------------------------------------------------------


def test_a_periodic_job_runs_once_per_scheduled_time_with_many_beats(app, within, now):
    at = now.at(now().replace(minute=0, second=5, microsecond=0))
    start = threading.Barrier(5)

    def beat(_number):
        with app.app_context():
            start.wait()
            won = claim_run("coming sessions", timedelta(minutes=15))
            db.session.remove()
            return won

    with ThreadPoolExecutor(5) as pool:
        assert Counter(pool.map(beat, range(5)))[True] == 1
    now.at(at + timedelta(minutes=15))
    assert claim_run("coming sessions", timedelta(minutes=15))
    assert not claim_run("coming sessions", timedelta(minutes=15))
    assert claim_run("another job", timedelta(minutes=15))


def test_old_letters_go_and_waiting_ones_stay(within, now):
    one, two = booked(2)
    post(one, channels=("sms",))
    post(two, channels=("sms",), lives=timedelta(days=900))
    settle(take(one, limit=1)[0], "accepted")
    claim_run("job", timedelta(minutes=1))
    now.shift(days=401)
    assert outbox.remove_old() == 1 and periodic.remove_old() == 1
    assert states() == {"waiting": 1}
    assert db.session.execute(text("SELECT count(*) FROM periodic_run")).scalar() == 0


# --- the name outside ------------------------------------------------------------------------------------------------


def test_a_letters_name_outside_leads_back_to_its_row(within):
    post_code()
    letter = only()
    assert outbox.from_reference(outbox.reference(letter)) == (letter.hospital_id, letter.id)


@pytest.mark.parametrize(
    "said", ["", "1", "1-2", "x-" + "0" * 32, "1-" + "0" * 33, "-1-" + "0" * 32, "1-" + "g" * 32]
)
def test_what_is_no_such_name_leads_nowhere(said):
    assert outbox.from_reference(said) is None
