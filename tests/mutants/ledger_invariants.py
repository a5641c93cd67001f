"""N1–N22 of the ledger of letters: what holds each of them, and the tests that would notice if it did not."""

from __future__ import annotations

from tests.mutants.invariants import Invariant

OUTBOX = "tests/notices/test_outbox.py::"
LOOP = "tests/notices/test_loop.py::"
RESTS = "tests/notices/test_rests.py::"
SENDING = "tests/notices/test_send_due.py::"
WHOLE = "tests/notices/test_from_verb_to_letter.py::"
KILLED = "tests/faults/test_sending_killed.py::"
RECEIPTS = "tests/notices/test_receipts.py::"
RECONCILE = "tests/notices/test_reconcile.py::"
TRIES = "tests/rules/test_next_try.py::"
TEXTS = "tests/letters/test_letters.py::"
PEOPLE = "tests/verbs/test_people.py::"

LEDGER_INVARIANTS = (
    Invariant(
        "N1",
        "A state change commits if and only if its messages commit.",
        (),
        "letters are rows of the verb's own transaction; a reconciler counts what is missing, which must be nothing",
        (
            WHOLE + "test_booker_and_patient_are_told_seconds_after_booking",
            RECONCILE + "test_whole_visits_are_left_alone",
            RECONCILE + "test_what_was_lost_is_put_once_under_the_same_key",
        ),
    ),
    Invariant(
        "N2",
        "One message per appointment, kind, version, channel and recipient.",
        ("uq_one_message_per_dedupe_key",),
        "the key is made of exactly these",
        (
            RECONCILE + "test_two_at_once_put_it_once",
            "tests/verbs/test_announce.py::test_booker_and_patient_are_told_over_every_way_they_have",
        ),
    ),
    Invariant(
        "N3",
        "Every message ends.",
        ("ck_message_status", "ck_message_sending_has_a_lease"),
        "a useless one expires when it is looked at, tries end, a lease ends",
        (
            OUTBOX + "test_a_useless_letter_expires",
            OUTBOX + "test_unwanted_letters_do_not_hide_the_wanted_one_behind_them",
            SENDING + "test_the_steps_between_tries_grow_and_end",
        ),
    ),
    Invariant(
        "N4",
        "Never lost: nothing due for a minute without a live lease while a provider of its channel works.",
        ("ck_message_sending_has_a_lease",),
        "leases end by the database's clock; a heart stops after five minutes; settled after the answer, not before",
        (
            KILLED + "test_a_worker_killed_at_any_moment_loses_nothing",
            OUTBOX + "test_a_claimed_letter_belongs_to_one_worker_until_its_lease_ends",
            LOOP + "test_a_heart_does_not_beat_for_ever",
        ),
    ),
    Invariant(
        "N5",
        "A provider accepts a message at most once more than there were attempts nobody knows the end of.",
        (),
        "a silence after handing over and a lease that ran out are counted in the row",
        (
            KILLED + "test_a_worker_killed_at_any_moment_loses_nothing",
            KILLED + "test_a_worker_killed_while_the_gateway_thinks_repeats_only_what_it_had_handed_over",
            LOOP + "test_an_attempt_the_provider_may_have_accepted_is_counted",
            LOOP + "test_a_lease_that_ran_out_counts_also_when_the_letter_is_no_longer_wanted",
            LOOP + "test_outcomes_of_a_slow_batch_are_settled_while_it_goes_on",
        ),
    ),
    Invariant(
        "N6",
        "With a provider that honours our reference it is delivered once.",
        (),
        "the reference is the row's key, the same at every try; what one may have taken is not given to another",
        (
            SENDING + "test_trouble_that_may_pass_is_tried_again_under_the_same_reference",
            KILLED + "test_a_worker_killed_at_any_moment_loses_nothing",
            RESTS + "test_what_the_first_may_have_taken_waits_for_its_next_try",
        ),
    ),
    Invariant(
        "N7",
        "Without faults it is sent exactly once.",
        (),
        "rows are locked and skipped; the leases of a slow batch are extended; nothing is begun without one",
        (
            OUTBOX + "test_many_workers_at_once_take_each_letter_once",
            SENDING + "test_two_workers_at_once_send_each_letter_once",
            LOOP + "test_a_slow_provider_loses_no_lease",
            LOOP + "test_nothing_is_begun_whose_lease_would_not_outlast_it",
        ),
    ),
    Invariant(
        "N8",
        "Reminders go out when they are due, confirmations within seconds.",
        (),
        "a wake-up after the commit, a look every two seconds, batches from both ends of a long row",
        (
            WHOLE + "test_the_reminders_go_out_when_their_time_comes_and_never_twice",
            LOOP + "test_a_confirmation_does_not_stand_behind_a_long_row_of_reminders",
        ),
    ),
    Invariant(
        "N9",
        "Nothing is sent after the cancel that was committed before the claim.",
        (),
        "the statement that claims asks whether the letter is wanted; so does its writing",
        (
            OUTBOX + "test_nothing_is_claimed_about_a_visit_cancelled_before_the_claim",
            SENDING + "test_a_cancel_between_claim_and_writing_is_noticed_too",
            WHOLE + "test_after_a_cancel_nothing_but_the_cancellation_is_told",
        ),
    ),
    Invariant(
        "N10",
        "Per appointment and channel an older version never follows a newer one.",
        (),
        "a letter waits while an older one is being sent; older ones are no longer wanted",
        (
            OUTBOX + "test_a_newer_letter_waits_until_the_older_one_has_left",
            OUTBOX + "test_an_older_letter_put_back_for_another_try_is_not_sent_after_the_newer",
        ),
    ),
    Invariant(
        "N11",
        "The text shows the newest version at the claim.",
        (),
        "it is written after the claim, from rows read then",
        (SENDING + "test_the_text_shows_the_rows_as_they_are_when_it_is_written",),
    ),
    Invariant(
        "N12",
        "Retry by kind of error.",
        (),
        "a ladder per letter; per provider a row all workers share: it rests, one letter tries it, the next takes over",
        (
            TRIES + "test_each_try_waits_longer_than_the_one_before",
            SENDING + "test_a_refusal_for_good_is_not_repeated",
            SENDING + "test_a_provider_that_asks_to_wait_is_given_the_time",
            RESTS + "test_a_provider_rests_after_failures_in_a_row_longer_each_time",
            RESTS + "test_after_a_rest_exactly_one_worker_tries_with_one_letter",
            RESTS + "test_everything_goes_to_the_next_within_a_minute_when_the_first_only_keeps_silent",
        ),
    ),
    Invariant(
        "N13",
        "Receipts are idempotent and monotone in any order; a bad signature changes nothing.",
        ("uq_one_receipt_per_event",),
        "an inbox of events; a letter goes forward only",
        (
            RECEIPTS + "test_receipts_in_any_order_end_the_same",
            RECEIPTS + "test_the_same_event_counts_once",
            RECEIPTS + "test_a_bad_or_stale_signature_changes_nothing",
            LOOP + "test_what_a_receipt_could_not_know_is_added_to_its_letter",
        ),
    ),
    Invariant(
        "N14",
        "One live lease per message; a late result with an old fence is refused.",
        ("ck_message_sending_has_a_lease",),
        "compare-and-swap on status and fence, letter by letter of a batch",
        (
            OUTBOX + "test_a_late_result_with_an_old_fence_is_refused",
            LOOP + "test_a_batch_is_settled_letter_by_letter_of_whose_fence_still_holds",
            LOOP + "test_a_beat_extends_only_what_is_still_this_workers",
            KILLED + "test_a_worker_that_was_only_frozen_cannot_settle_over_its_successor",
        ),
    ),
    Invariant(
        "N15",
        "A periodic job's effect happens once per scheduled time.",
        ("pk_periodic_run",),
        "the row is inserted first, by the database's clock, in UTC",
        (OUTBOX + "test_a_periodic_job_runs_once_per_scheduled_time_with_many_beats",),
    ),
    Invariant(
        "N16",
        "Emptying Redis at any instant changes only latency.",
        (),
        "the rows are the truth; each worker process looks by itself, also when there is no broker at its start",
        (
            KILLED + "test_a_killed_celery_worker_and_an_emptied_broker_lose_nothing",
            KILLED + "test_workers_send_and_do_their_jobs_with_no_broker_and_no_beat",
            "tests/worker/test_wake.py::test_a_broker_that_accepts_and_never_answers_costs_a_commit_nothing",
        ),
    ),
    Invariant(
        "N17",
        "No optional message without consent or in quiet hours; cancellations and stops always go.",
        (),
        "asked again when it is written; rates hold back what may wait, nothing else",
        (
            SENDING + "test_reminders_switched_off_after_booking_are_not_sent",
            LOOP + "test_what_was_decided_always_goes_to_that_phone",
        ),
    ),
    Invariant(
        "N18",
        "To the address verified when it is sent.",
        (),
        "the address is read with the text",
        (SENDING + "test_the_address_is_the_one_verified_when_it_is_sent",),
    ),
    Invariant(
        "N19",
        "No ID number, no diagnosis, no full name; sensitive departments are not named.",
        (),
        "the words of a letter are chosen in one place",
        (
            TEXTS + "test_no_letter_names_a_patient_in_full_or_what_ails_them",
            TEXTS + "test_a_sensitive_department_is_not_named_anywhere",
            TEXTS + "test_a_department_of_a_sensitive_specialty_is_not_named",
        ),
    ),
    Invariant(
        "N20",
        "One live one-time code per phone and purpose, five tries, five minutes.",
        ("uq_one_live_code_per_phone",),
        "tries are counted although they are refused",
        (
            PEOPLE + "test_requests_at_once_leave_one_live_code_and_one_letter",
            PEOPLE + "test_wrong_tries_count_although_they_are_refused_and_the_fifth_ends_the_code",
            PEOPLE + "test_a_code_lives_five_minutes",
        ),
    ),
    Invariant(
        "N21",
        "Rates per phone and per provider.",
        (),
        "letters of the last day are counted by the keyed hash of the phone; tokens of a provider are one row",
        (
            LOOP + "test_a_phone_that_got_many_letters_gets_a_reminder_later",
            LOOP + "test_a_phone_gets_no_sixth_code_within_ten_minutes",
            RESTS + "test_a_rate_lets_through_what_it_says_however_many_workers_ask",
        ),
    ),
    Invariant(
        "N22",
        "A backlog of 100 000 messages changes the p95 of bookings by at most a tenth.",
        (),
        "workers are nice, and rest after each full batch while people are booking (`python -m bench.backlog`)",
        (LOOP + "test_a_full_batch_rests_while_people_are_booking",),
    ),
)
