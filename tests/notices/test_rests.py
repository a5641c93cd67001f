"""Which provider takes a batch: rests after failures, one trial by one worker, the next one takes over, rates."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from time import monotonic

import pytest

from booking.db import db
from booking.notices import service
from booking.notices.carriers import (
    FAILURES_TO_REST,
    FIRST_REST,
    LONGEST_REST,
    State,
    admit,
    note_failures,
    note_success,
    states,
)
from booking.notices.models import ProviderState
from booking.notices.senders.choose import providers
from booking.notices.senders.gateway import sms_gateway
from booking.notices.senders.provider import Provider, Sent
from booking.notices.service import send_due
from booking.people.models import Account
from tests import far_ends
from tests.notices.posting import booked, letters, only, post, post_code
from tests.notices.posting import states as letter_states


@pytest.fixture
def gateway(app):
    with far_ends.sms_gateway() as gateway:
        app.config.update(
            SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="key-of-a-test", SEND_TIMEOUT_SECONDS=1
        )
        yield gateway


@pytest.fixture
def second(gateway, monkeypatch):
    """Another gateway, which takes over."""
    with far_ends.sms_gateway() as other:

        def two(settings, open_until):
            chosen = providers(settings, open_until)
            spare = sms_gateway({**settings, "SMS_GATEWAY_URL": other.url}, open_until)
            return chosen | {"sms": [*chosen["sms"], replace(spare, name="second")]}

        monkeypatch.setattr(service, "providers", two)
        yield other


def rated(monkeypatch, per_second):
    def slower(settings, open_until):
        chosen = providers(settings, open_until)
        return chosen | {"sms": [replace(one, per_second=per_second) for one in chosen["sms"]]}

    monkeypatch.setattr(service, "providers", slower)


PROVIDER = Provider("paper", "sms", 100, 0, lambda batch: [Sent("accepted") for _ in batch])


def now_of(provider=PROVIDER) -> State:
    db.session.rollback()
    (state,) = states([provider], 1)
    db.session.rollback()
    return state


def at_once(app, count, work):
    """Run `work` in so many workers at the same moment."""
    start = threading.Barrier(count)

    def one(number):
        with app.app_context():
            start.wait()
            try:
                return work(number)
            finally:
                db.session.remove()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


# --- rests -----------------------------------------------------------------------------------------------------------


def test_a_provider_rests_after_failures_in_a_row_longer_each_time(within, now):
    rests = []
    for _ in range(9):
        note_failures(now_of(), 1, "no answer")
        until = now_of().rests_until
        rests.append((until - now()).total_seconds() if until else 0.0)
    assert rests[: FAILURES_TO_REST - 1] == [0.0] * (FAILURES_TO_REST - 1)
    first = FIRST_REST.total_seconds()
    for rest, expected in zip(rests[FAILURES_TO_REST - 1 :], (first, 2 * first, 4 * first), strict=False):
        assert expected - 1 < rest <= expected
    assert LONGEST_REST.total_seconds() - 1 < rests[-1] <= LONGEST_REST.total_seconds()
    assert now_of().rests and admit(now_of(), 5) == 0


def test_one_success_ends_the_row(within):
    note_failures(now_of(), FAILURES_TO_REST, "no answer")
    note_success(now_of())
    assert not now_of().rests and admit(now_of(), 5) == 5
    note_failures(now_of(), 1, "no answer")
    assert not now_of().rests


def test_settings_that_are_wrong_let_it_rest_at_once(within):
    note_failures(now_of(), 1, "401", for_good=True)
    assert now_of().rests


def test_it_rests_for_as_long_as_it_asked(within, now):
    note_failures(now_of(), 1, "429", asked=120)
    assert timedelta(seconds=118) < now_of().rests_until - now() <= timedelta(seconds=120)
    now.shift(seconds=119)
    assert now_of().rests
    now.shift(seconds=2)
    assert not now_of().rests


def test_after_a_rest_exactly_one_worker_tries_with_one_letter(app, within, now):
    note_failures(now_of(), FAILURES_TO_REST, "no answer")
    now.shift(seconds=FIRST_REST.total_seconds() + 1)
    seen = now_of()
    assert seen.is_to_be_tried and seen.most == 1
    assert sorted(at_once(app, 5, lambda _: admit(seen, 100))) == [0, 0, 0, 0, 1]
    assert now_of().rests, "the others wait for what the one learns"


def test_a_trial_nobody_tells_the_end_of_is_made_again(within, now):
    note_failures(now_of(), FAILURES_TO_REST, "no answer")
    now.shift(seconds=FIRST_REST.total_seconds() + 1)
    assert admit(now_of(), 100) == 1
    now.shift(seconds=31)
    assert admit(now_of(), 100) == 1


def test_workers_leave_a_provider_alone_that_another_found_away(app, within, gateway, now):
    rows = booked(8)
    for row in rows:
        post(row, channels=("sms",))
    gateway.mode = "500"
    at_once(app, 3, lambda number: send_due(str(number), limit=2))
    asked = len(gateway.calls)
    post(rows[0], "reminder_day", channels=("sms",))
    for _ in range(3):
        send_due()
    assert len(gateway.calls) == asked
    assert only(kind="reminder_day").attempts == 0
    gateway.mode = "ok"
    now.shift(seconds=70)
    at_once(app, 3, lambda number: send_due(str(number)))
    send_due()
    assert letter_states() == {"accepted": 9}


def test_when_it_is_tried_again_one_letter_is_asked_about_first(app, within, gateway, now):
    note_failures(State("gateway", PROVIDER, now()), FAILURES_TO_REST, "no answer")
    for row in booked(6):
        post(row, channels=("sms",))
    now.shift(seconds=FIRST_REST.total_seconds() + 1)
    gateway.mode = "500"
    at_once(app, 3, lambda number: send_due(str(number)))
    assert len(gateway.calls) == 1
    assert sum(letter.attempts for letter in letters()) == 1


def test_workers_that_saw_the_same_trouble_count_it_once(app, within, now):
    seen = now_of()
    at_once(app, 4, lambda _: note_failures(seen, FAILURES_TO_REST, "no answer"))
    state = now_of()
    assert state.failures == FAILURES_TO_REST
    assert timedelta() < state.rests_until - now() <= FIRST_REST


def test_what_any_of_them_was_asked_to_wait_holds(within, now):
    seen = now_of()
    note_failures(seen, FAILURES_TO_REST, "no answer")
    note_failures(seen, 1, "429", asked=120)
    assert timedelta(seconds=118) < now_of().rests_until - now() <= timedelta(seconds=120)
    assert now_of().failures == FAILURES_TO_REST


def test_a_late_success_ends_no_rest_that_began_meanwhile(within, now):
    before = now_of()
    note_failures(before, FAILURES_TO_REST, "no answer")
    note_success(before)
    assert now_of().rests
    now.shift(seconds=FIRST_REST.total_seconds() + 1)
    tries = now_of()
    assert admit(tries, 5) == 1
    note_success(before)
    assert now_of().rests, "one letter is out to learn whether it works"
    note_success(tries)
    assert now_of().rests_until is None and now_of().failures == 0


def test_a_trial_that_fails_makes_the_rest_longer(within, now):
    note_failures(now_of(), FAILURES_TO_REST, "no answer")
    now.shift(seconds=FIRST_REST.total_seconds() + 1)
    tries = now_of()
    assert admit(tries, 5) == 1
    note_failures(tries, 1, "no answer")
    assert FIRST_REST < now_of().rests_until - now() <= 2 * FIRST_REST


# --- one letter's own trouble ----------------------------------------------------------------------------------------


def phones_that_had_enough(gateway, count):
    """Let the gateway put off whatever goes to the bookers of the first `count` visits; return all the visits."""
    rows = booked(count + 1)
    for row in rows:
        gateway.had_enough.add(db.session.get(Account, row.account_id).phone)
        if len(gateway.had_enough) == count:
            break
    db.session.rollback()
    return rows


@pytest.mark.parametrize("singly", [False, True])
def test_phones_that_had_enough_hold_up_nobody_else(within, gateway, monkeypatch, singly):
    """In one call, and in two calls in a row in which nothing got through."""
    if singly:
        inner = service.providers
        monkeypatch.setattr(
            service,
            "providers",
            lambda settings, until: {
                channel: [replace(one, at_once=1) for one in some]
                for channel, some in inner(settings, until).items()
            },
        )
    *limited, _ = phones_that_had_enough(gateway, 2)
    for row in limited:
        post(row, channels=("sms",))
    assert send_due() == 0
    state = db.session.query(ProviderState).one()
    assert state.rests_until is None and state.failures == 0
    db.session.rollback()
    post_code("+8613800130777")
    assert send_due() == 1
    assert only(kind="code").status == "accepted"
    assert {one.status for one in letters(kind="confirmed")} == {"waiting"}


def test_a_letter_whose_time_is_over_ends_while_its_provider_rests(within, gateway, now):
    late, still = booked(2)
    post(late, channels=("sms",), lives=timedelta(minutes=5))
    post(still, channels=("sms",))
    note_failures(State("gateway", PROVIDER, now()), FAILURES_TO_REST, "no answer", asked=900)
    now.shift(minutes=6)
    assert now_of(replace(PROVIDER, name="gateway")).rests
    assert send_due() == 0
    assert letter_states() == {"expired": 1, "waiting": 1}
    assert (only(appointment_id=late.id).status, only(appointment_id=late.id).attempts) == ("expired", 0)
    assert len(gateway.calls) == 0


# --- the next one ----------------------------------------------------------------------------------------------------


def test_the_next_provider_takes_over_at_once_what_the_first_surely_did_not_take(within, gateway, second):
    for row in booked(5):
        post(row, channels=("sms",))
    gateway.mode = "refuse"
    assert send_due() == 5
    assert len(second.phones) == 5
    assert {(one.provider, one.attempts, one.ambiguous) for one in letters()} == {("second", 1, 0)}


def test_what_the_first_may_have_taken_waits_for_its_next_try(within, gateway, second, now):
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode = "drop"
    gateway.on_call = lambda: setattr(gateway, "mode", "ok")
    assert send_due() == 1
    assert len(second.calls) == 0, "the first knows the reference, the second does not"
    assert (only().attempts, only().ambiguous, len(gateway.phones)) == (2, 1, 1)


def test_a_reminder_the_first_may_have_taken_goes_to_no_other(within, gateway, second, now):
    rows = booked(6)
    for row in rows[:5]:
        post(row, "reminder_hours", channels=("sms",))
    gateway.mode = "hang"
    for _ in range(10):
        send_due()
        now.shift(seconds=6)
    post(rows[5], channels=("sms",))
    send_due()
    assert only(kind="confirmed").provider == "second"
    gateway.mode = "ok"
    for _ in range(25):
        now.shift(seconds=60)
        send_due()
    assert letter_states() == {"accepted": 6}
    told = [one["to"] for end in (gateway, second) for one in end.phones.values()]
    assert len(told) == len(set(told)) == 6


@pytest.mark.parametrize("keeps", [True, False])
def test_a_provider_that_knows_no_reference_is_asked_twice_at_most(within, gateway, now, monkeypatch, keeps):
    def like_most(settings, open_until):
        (only_one,) = providers(settings, open_until)["sms"]
        return {"sms": [replace(only_one, keeps_reference=keeps)]}

    monkeypatch.setattr(service, "providers", like_most)
    (row,) = booked()
    post(row, channels=("sms",))
    gateway.mode, gateway.honours = "drop", keeps
    for _ in range(5):
        send_due()
        now.shift(seconds=150)
    letter = only()
    if keeps:
        assert letter.status == "waiting" and letter.ambiguous > 2
    else:
        assert (letter.status, letter.ambiguous, len(gateway.calls)) == ("failed", 2, 2)
        assert "may have arrived" in letter.last_error


def test_everything_goes_to_the_next_within_a_minute_when_the_first_only_keeps_silent(
    within, gateway, second, now
):
    for row in booked(5):
        post(row, channels=("sms",))
    gateway.mode = "hang"
    began = now()
    while letter_states() != {"accepted": 5}:
        send_due()
        now.shift(seconds=2)
        assert now() - began < timedelta(seconds=60)
    assert {one.provider for one in letters()} == {"second"}


def test_what_exceeds_the_rate_of_the_first_goes_to_the_next(within, gateway, second, monkeypatch):
    inner = service.providers

    def slow_first(settings, open_until):
        chosen = inner(settings, open_until)
        first, *rest = chosen["sms"]
        return chosen | {"sms": [replace(first, per_second=8), *rest]}

    monkeypatch.setattr(service, "providers", slow_first)
    for row in booked(6):
        post(row, channels=("sms",))
    assert send_due() == 6
    assert (len(gateway.calls), len(second.calls)) == (2, 4)


# --- rates -----------------------------------------------------------------------------------------------------------


def test_a_rate_lets_through_what_it_says_however_many_workers_ask(app, within, now):
    provider = replace(PROVIDER, per_second=40)
    assert admit(now_of(provider), 100) == 10, "a quarter of a second's worth at once"
    now.shift(seconds=60)
    began = monotonic()
    given = at_once(app, 16, lambda _: admit(states([provider], 1)[0], 10))
    flowed = 40 * (monotonic() - began)
    assert 10 <= sum(given) <= 10 + flowed + 1, "together, and what flows in while they ask"
    assert max(given) <= 10


def test_a_slow_rate_lets_one_through_at_a_time(within, now):
    provider = replace(PROVIDER, per_second=0.5)
    assert admit(now_of(provider), 5) == 1
    assert admit(now_of(provider), 5) == 0
    now.shift(seconds=2.1)
    assert admit(now_of(provider), 5) == 1


def test_a_run_comes_back_for_more_while_only_the_rate_holds_it_up(within, gateway, monkeypatch):
    rated(monkeypatch, 8)
    for row in booked(6):
        post(row, channels=("sms",))
    assert send_due() == 6
    assert {letter.attempts for letter in letters()} == {1}
    assert db.session.query(ProviderState).one().name == "gateway"
