"""The loop that sends: leases that beat while a provider thinks, whole batches settled by the fence, what is counted."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from booking import claims, settling
from booking.claims import claim_due
from booking.clock import db_now
from booking.db import db, transaction
from booking.notices import handing, pace, service
from booking.notices.handing import Heart
from booking.notices.senders.choose import providers
from booking.notices.service import send_due
from booking.notices.writing import WANTED
from booking.outbox import reference
from booking.settling import Ended, extend, settle
from booking.vault import blind_index
from tests import far_ends
from tests.notices.posting import booked, change, letters, only, post, post_code, states, wait_until


@pytest.fixture
def gateway(app):
    with far_ends.sms_gateway() as gateway:
        app.config.update(
            SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="key-of-a-test", SEND_TIMEOUT_SECONDS=1
        )
        yield gateway


@pytest.fixture
def short_leases(app, monkeypatch):
    """Leases of two seconds, and a provider that may take longer than that."""
    for module in (claims, settling, handing):
        monkeypatch.setattr(module, "LEASE", timedelta(seconds=2))
    app.config.update(SEND_TIMEOUT_SECONDS=20)


def singly(monkeypatch):
    """Let the providers take letters one by one, as those of some carriers do."""

    def one_at_a_time(settings, open_until):
        chosen = providers(settings, open_until)
        return {channel: [replace(one, at_once=1) for one in some] for channel, some in chosen.items()}

    monkeypatch.setattr(service, "providers", one_at_a_time)


def take(row, worker="two", limit=100, **how):
    return claim_due(row.hospital_id, "sms", worker, limit, wanted=WANTED, **how)


def elsewhere(app, work):
    """Do something in a thread of its own, as another worker would."""

    def run():
        with app.app_context():
            try:
                return work()
            finally:
                db.session.remove()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(60)


# --- the heartbeat ---------------------------------------------------------------------------------------------------


def while_the_gateway_thinks(app, gateway, rows, seconds):
    """Send while the gateway takes `seconds`; return what another worker could claim in the last moment of it."""
    gateway.mode, gateway.delay = "slow", seconds
    sending = threading.Thread(target=lambda: elsewhere(app, lambda: send_due("one")))
    sending.start()
    wait_until(lambda: len(gateway.calls) == len(rows))
    time.sleep(seconds - 1)
    taken = take(rows[0])
    db.session.remove()
    sending.join(30)
    return taken


def test_a_slow_provider_loses_no_lease(app, within, gateway, short_leases):
    rows = booked(3)
    for row in rows:
        post(row, channels=("sms",))
    assert while_the_gateway_thinks(app, gateway, rows, 4.0) == []
    assert {(one.status, one.attempts, one.ambiguous, one.fence) for one in letters()} == {
        ("accepted", 1, 0, 1)
    }
    assert set(gateway.times().values()) == {1}


def test_a_heart_does_not_beat_for_ever(app, within, gateway, short_leases, monkeypatch):
    """A call that never returns would otherwise keep its letters from everybody."""
    monkeypatch.setattr(handing, "LONGEST_BATCH", 0.1)
    (row,) = booked()
    post(row, channels=("sms",))
    (taken,) = while_the_gateway_thinks(app, gateway, [row], 4.0)
    assert (taken.fence, taken.attempts, only().ambiguous) == (2, 2, 1)
    assert only().status == "sending", "the late result was refused"


def test_a_beat_extends_only_what_is_still_this_workers(within, now):
    rows = booked(2)
    for row in rows:
        post(row, channels=("sms",))
    mine = take(rows[0], "one")
    now.shift(seconds=61)
    (gone,) = take(rows[0], "two", 1)
    left = {one.id for one in mine} - {gone.id}
    assert extend(mine) == left
    assert {one.id for one in letters() if one.lease_until > now() + timedelta(seconds=59)} >= left
    assert only(id=gone.id).fence == 2


def test_nothing_is_begun_whose_lease_would_not_outlast_it(app, within, gateway, monkeypatch):
    """As after a worker was stopped for a while: what it still holds in its memory is another's by now."""
    singly(monkeypatch)
    (row,) = booked()
    post(row, channels=("sms",))
    real = Heart.__init__

    def came_back_late(self, claimed, since):
        real(self, claimed, since - 59.5)

    monkeypatch.setattr(Heart, "__init__", came_back_late)
    assert send_due() == 0
    assert gateway.calls == []
    letter = only()
    assert (letter.status, letter.attempts, letter.ambiguous) == ("waiting", 0, 0)


# --- what nobody knows -----------------------------------------------------------------------------------------------


def test_an_attempt_the_provider_may_have_accepted_is_counted(within, gateway, now):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode = "drop"
    send_due()
    tried = only()
    assert (
        tried.status == "waiting" and tried.ambiguous == tried.attempts == gateway.times()[reference(tried)]
    )
    gateway.mode = "ok"
    now.shift(seconds=40)
    assert send_due() == 1
    assert gateway.times()[reference(tried)] == 1 + only().ambiguous


def test_an_attempt_the_provider_surely_refused_is_not(within, gateway):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode = "429"
    send_due()
    assert (only().status, only().attempts, only().ambiguous) == ("waiting", 1, 0)


def test_a_lease_that_ran_out_counts_also_when_the_letter_is_no_longer_wanted(within, now):
    one, two = booked(2)
    post(one, channels=("sms",))
    post(two, channels=("sms",), lives=timedelta(seconds=30))
    take(one)
    change(one, status="cancelled")
    now.shift(seconds=61)
    assert take(one) == []
    assert states() == {"superseded": 1, "expired": 1}
    assert [letter.ambiguous for letter in letters()] == [1, 1]


# --- settling --------------------------------------------------------------------------------------------------------


def test_a_batch_is_settled_letter_by_letter_of_whose_fence_still_holds(within, now):
    rows = booked(3)
    for row in rows:
        post(row, channels=("sms",))
    mine = take(rows[0], "one")
    now.shift(seconds=61)
    (gone,) = take(rows[0], "two", 1)
    late = settle(
        [Ended(one, "accepted", provider="p", provider_ref="r", segments=2, to_hash="h") for one in mine]
    )
    assert late == {gone.id}
    assert states() == {"accepted": 2, "sending": 1}
    assert {
        (one.provider, one.provider_ref, one.segments, one.to_hash) for one in letters(status="accepted")
    } == {("p", "r", 2, "h")}
    assert only(status="sending").worker == "two"


def test_each_letter_of_a_batch_ends_in_its_own_way(within, now):
    rows = booked(4)
    for row in rows:
        post(row, channels=("sms",))
    one, two, three, four = take(rows[0])
    later = now() + timedelta(minutes=7)
    settle(
        [
            Ended(one, "accepted", provider_ref="r1"),
            Ended(two, "failed", "no such number"),
            Ended(three, "waiting", "busy", retry_at=later, ambiguous=True),
            Ended(four, "waiting", untried=True),
        ]
    )
    found = {letter.id: letter for letter in letters()}
    assert (found[one.id].status, found[one.id].provider_ref) == ("accepted", "r1")
    assert found[one.id].sent_at is not None and found[one.id].lease_until is None
    assert (found[two.id].status, found[two.id].last_error, found[two.id].sent_at) == (
        "failed",
        "no such number",
        None,
    )
    waits = found[three.id]
    assert (waits.status, waits.attempts, waits.ambiguous) == ("waiting", 1, 1)
    assert abs(waits.next_at - later) < timedelta(milliseconds=1)
    assert (found[four.id].attempts, found[four.id].ambiguous) == (0, 0)
    assert found[four.id].next_at <= now()


def test_what_a_receipt_could_not_know_is_added_to_its_letter(within, now):
    """The provider may call back before the sender has settled: the letter stays delivered and learns who carried it."""
    (row,) = booked()
    post(row, channels=("sms",))
    (mine,) = take(row)
    with transaction() as session:
        at = db_now(session)
        session.execute(
            text(
                "UPDATE message SET status = 'delivered', lease_until = NULL, sent_at = :at, delivered_at = :at"
            ),
            {"at": at if session.get_bind().dialect.name != "sqlite" else at.replace(tzinfo=None)},
        )
    assert settle([Ended(mine, "accepted", provider="gateway", segments=2, to_hash="h")]) == set()
    letter = only()
    assert (letter.status, letter.provider, letter.segments, letter.to_hash) == (
        "delivered",
        "gateway",
        2,
        "h",
    )


def test_outcomes_of_a_slow_batch_are_settled_while_it_goes_on(app, within, gateway, monkeypatch):
    singly(monkeypatch)
    monkeypatch.setattr(handing, "SETTLE_EVERY", 0.0)
    monkeypatch.setattr(handing, "CALLS_AT_ONCE", 1)
    for row in booked(3):
        post(row, channels=("sms",))
    seen = []
    gateway.on_call = lambda: seen.append(elsewhere(app, lambda: states()["accepted"]))
    assert send_due() == 3
    assert seen == [0, 1, 2]


def test_letters_that_leave_singly_are_handed_over_side_by_side(within, gateway, monkeypatch):
    singly(monkeypatch)
    gateway.mode, gateway.delay = "slow", 0.5
    for row in booked(8):
        post(row, channels=("sms",))
    began = time.monotonic()
    assert send_due() == 8
    assert time.monotonic() - began < 8 * 0.5
    assert set(gateway.times().values()) == {1}


@pytest.fixture
def trouble():
    """Called before every statement with its words; raise there what the database would."""
    asked = []
    engine = db.engine

    def before(connection, cursor, statement, *rest):
        for one in asked:
            one(statement)

    event.listen(engine, "before_cursor_execute", before)
    yield asked
    event.remove(engine, "before_cursor_execute", before)


@pytest.mark.parametrize(("mode", "status"), [("ok", "accepted"), ("500", "waiting")])
def test_what_is_known_survives_a_database_that_blinks(within, gateway, trouble, mode, status):
    for row in booked(5):
        post(row, channels=("sms",))
    away_until = []

    def blink(statement):
        if away_until and time.monotonic() < away_until[0]:
            raise OperationalError(statement, {}, Exception("the database is away"))

    gateway.mode = mode
    gateway.on_call = lambda: away_until or away_until.append(time.monotonic() + 0.4)
    trouble.append(blink)
    send_due()
    assert {(one.status, one.ambiguous, one.lease_until) for one in letters()} == {(status, 0, None)}
    if mode == "ok":
        assert set(gateway.times().values()) == {1}


def test_how_a_provider_did_may_stay_unknown(within, gateway, trouble):
    for row in booked(5):
        post(row, channels=("sms",))

    def away(statement):
        if "INSERT INTO provider_state" in statement:
            raise OperationalError(statement, {}, Exception("the database is away"))

    trouble.append(away)
    assert send_due() == 5
    assert {one.ambiguous for one in letters()} == {0}


# --- one letter's, one batch's trouble -------------------------------------------------------------------------------


def test_a_row_that_cannot_be_read_stops_its_own_letter_only(within, gateway):
    rows = booked(4)
    for row in rows:
        post(row, channels=("sms",))
    with transaction() as session:
        session.execute(
            text("UPDATE account SET phone = 'aesgcm.nobody.knows' WHERE id = :id"),
            {"id": rows[1].account_id},
        )
    assert send_due() == 3
    kept = only(status="waiting")
    assert kept.appointment_id == rows[1].id and kept.last_error.startswith("not written")


def test_a_batch_that_goes_wrong_stops_no_other(within, gateway, trouble):
    (row,) = booked()
    post(row, channels=("app", "sms"))
    told = []

    def first_goes_wrong(statement):
        if "provider_state" in statement and not told:
            told.append(statement)
            raise RuntimeError("nobody foresaw this")

    trouble.append(first_goes_wrong)
    send_due()
    assert told and only(channel="sms").status == "accepted"


# --- a long row ------------------------------------------------------------------------------------------------------


def test_a_confirmation_does_not_stand_behind_a_long_row_of_reminders(within, gateway, now):
    rows = booked(12)
    for row in rows[:11]:
        post(row, "reminder_hours", channels=("sms",))
    now.shift(seconds=20)
    post(rows[11], channels=("sms",))
    send_due(limit=3)
    asked = [call["reference"] for call in gateway.calls]
    assert reference(only(kind="confirmed")) in asked[:6], "the newest or the oldest come first"
    assert states() == {"accepted": 12}


def test_the_oldest_leave_too_while_newer_ones_keep_coming(within, now):
    rows = booked(6)
    for row in rows:
        post(row, channels=("sms",))
        now.shift(seconds=1)
    newest, oldest = take(rows[0], limit=1, newest_first=True), take(rows[0], limit=1)
    assert [one.appointment_id for one in newest + oldest] == [rows[5].id, rows[0].id]


def test_short_runs_take_from_both_ends_in_turn(within, gateway, now, monkeypatch):
    """A run that a slow provider leaves time for one batch."""
    monkeypatch.setattr(service, "BUDGET_SECONDS", 0)
    rows = booked(6)
    for row in rows:
        post(row, channels=("sms",))
        now.shift(seconds=1)
    assert [send_due(limit=1), send_due(limit=1)] == [1, 1]
    assert {one.appointment_id for one in letters(status="accepted")} == {rows[0].id, rows[5].id}


@pytest.mark.parametrize(("busy", "rests"), [(True, True), (False, False)])
def test_a_full_batch_rests_while_people_are_booking(within, monkeypatch, busy, rests):
    slept = []
    monkeypatch.setattr(pace, "sleep", slept.append)
    (row,) = booked()
    post(row)
    if not busy:
        monkeypatch.setattr(pace, "BOOKINGS_ARE_GOING_ON", timedelta(seconds=-1))
    pace.Pace().yield_to_bookings(row.hospital_id, 0.1)
    assert slept == ([pytest.approx(0.1 * pace.YIELD)] if rests else [])


# --- one phone -------------------------------------------------------------------------------------------------------


def got(row, count, kind="confirmed"):
    """Let a phone have got so many letters just now."""
    for number in range(count):
        post(row, kind, channels=("sms",), version=number + 100)
    with transaction() as session:
        session.execute(
            text("UPDATE message SET version = 1, dedupe_key = dedupe_key || 'x' WHERE version >= 100")
        )
    assert send_due() == count


def test_a_phone_that_got_many_letters_gets_a_reminder_later(within, gateway, now):
    (row,) = booked()
    got(row, 10)
    post(row, "reminder_hours", channels=("sms",))
    assert send_due() == 0
    letter = only(kind="reminder_hours")
    assert (letter.status, letter.attempts) == ("waiting", 0)
    assert timedelta(minutes=55) < letter.next_at - now() <= timedelta(hours=1)
    now.shift(hours=1, seconds=5)
    assert send_due() == 1


def test_what_was_decided_always_goes_to_that_phone(within, gateway):
    (row,) = booked()
    got(row, 20)
    change(row, status="cancelled")
    post(row, "stopped", channels=("sms",), version=2)
    assert send_due() == 1


def test_a_phone_gets_no_sixth_code_within_ten_minutes(within, gateway):
    for _ in range(6):
        code = post_code()
        send_due()
        with transaction() as session:
            session.execute(
                text("UPDATE one_time_code SET ended_at = created_at WHERE id = :id"), {"id": code.id}
            )
    assert states() == {"accepted": 5, "suppressed": 1}
    assert {one.to_hash for one in letters(status="accepted")} == {blind_index("phone", "+8613800130777")}


# --- letters that come one by one ------------------------------------------------------------------------------------


def resting(monkeypatch, meanwhile=lambda: None):
    """Do `meanwhile` instead of each rest of a run; return for each whether it held a connection."""
    rests = []

    def rest(_run, _since):
        rests.append(db.session().in_transaction())
        meanwhile()

    monkeypatch.setattr(service, "_rest", rest)
    return rests


def one_more(monkeypatch, row):
    """Have a letter about `row` come while the first batch is out."""
    attempt = service._attempt

    def busy(run, *due):
        done = attempt(run, *due)
        if not letters(appointment_id=row.id):
            post(row, channels=("sms",))
        return done

    monkeypatch.setattr(service, "_attempt", busy)


def test_a_run_rests_where_letters_come_one_by_one_and_takes_what_came_meanwhile(
    within, gateway, monkeypatch
):
    first, second = booked(2)
    post(first, channels=("sms",))
    one_more(monkeypatch, second)
    rests = resting(monkeypatch, lambda: post_code("+8613800130771"))
    assert send_due() == 3
    assert rests == [False], "once, and with no connection held"
    assert states() == {"accepted": 3}


def test_a_run_does_not_rest_where_more_may_stand(within, gateway, monkeypatch):
    for row in booked(6):
        post(row, channels=("sms",))
    rests = resting(monkeypatch)
    assert send_due(limit=2) == 6
    assert rests == []


def test_a_run_whose_time_is_up_leaves_the_rest_to_the_next(within, gateway, monkeypatch):
    monkeypatch.setattr(service, "BUDGET_SECONDS", 0)
    first, second = booked(2)
    post(first, channels=("sms",))
    one_more(monkeypatch, second)
    rests = resting(monkeypatch)
    assert send_due() == 1
    assert rests == [] and states() == {"accepted": 1, "waiting": 1}


@pytest.mark.parametrize(
    ("left", "since", "slowed", "most"),
    [
        (20, 0.2, False, 0.8),
        (20, 5, False, 0),
        (0.1, 0, False, 0.1),
        (-1, 0, False, 0),
        (20, 0, True, pace.RATE_PAUSE),
    ],
)
def test_a_rest_ends_a_second_after_the_last_look_and_with_the_time_of_the_run(
    monkeypatch, left, since, slowed, most
):
    slept = []
    monkeypatch.setattr(service, "time", SimpleNamespace(sleep=slept.append))
    run = service.Run("one", 100, {}, ends_at=time.monotonic() + left, slowed=slowed)
    service._rest(run, since)
    assert slept == [pytest.approx(most, abs=0.05)]


def test_useless_letters_make_no_thin_batch(within):
    *gone, good, better, best = booked(10)
    for row in (*gone, good, better, best):
        post(row, channels=("sms",))
    for row in gone:
        change(row, status="cancelled")
    assert len(take(best, limit=8)) == 3
