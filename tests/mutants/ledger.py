"""Mutants of the ledger's loop: claim, lease, heartbeat, fence, what is counted, rests, trials, rates, periodic jobs."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CLAIMS = "booking/claims.py"
SETTLING = "booking/settling.py"
CARRIERS = "booking/notices/carriers.py"
HANDING = "booking/notices/handing.py"
PACE = "booking/notices/pace.py"
SERVICE = "booking/notices/service.py"

OUTBOX = "tests/notices/test_outbox.py::"
LOOP = "tests/notices/test_loop.py::"
CARRIED = "tests/notices/test_rests.py::"
SENDING = "tests/notices/test_send_due.py::"
KILLED = "tests/faults/test_sending_killed.py::"

LEDGER = (
    Mutant(
        "claim-without-asking-the-status",
        "the statement that claims a letter asks whether it is still wanted",
        "N9",
        CLAIMS,
        (('f"({wanted}) IS TRUE"', 'f"({wanted}) IS TRUE OR TRUE"'),),
        (
            OUTBOX + "test_nothing_is_claimed_about_a_visit_cancelled_before_the_claim",
            OUTBOX + "test_a_letter_of_an_older_version_is_not_wanted",
        ),
    ),
    Mutant(
        "claims-what-another-has",
        "a row that another worker has locked is passed over, one with a live lease is not due",
        "N7, N14",
        CLAIMS,
        (("next_at=case((taken, _UNTIL), else_=_NOW)", "next_at=_NOW"),),
        (OUTBOX + "test_a_claimed_letter_belongs_to_one_worker_until_its_lease_ends",),
    ),
    Mutant(
        "lease-for-ever",
        "a lease ends",
        "N4",
        CLAIMS,
        (("LEASE = timedelta(seconds=60)", "LEASE = timedelta(days=60)"),),
        (OUTBOX + "test_a_claimed_letter_belongs_to_one_worker_until_its_lease_ends",),
    ),
    Mutant(
        "rests-past-its-time",
        "a run that rests where letters come one by one ends with its time, and leaves the rest to the next",
        "N14",
        SERVICE,
        (("                    if monotonic() >= run.ends_at:\n                        break\n", ""),),
        (LOOP + "test_a_run_whose_time_is_up_leaves_the_rest_to_the_next",),
    ),
    Mutant(
        "newer-overtakes-older",
        "a letter waits while an older one about the same visit is being sent on its channel",
        "N10",
        CLAIMS,
        (("            not_(_older_is_being_sent()),\n", ""),),
        (OUTBOX + "test_a_newer_letter_waits_until_the_older_one_has_left",),
    ),
    Mutant(
        "expired-letter-sent",
        "a letter that has become useless is not sent",
        "N3",
        CLAIMS,
        (
            (
                '(_MESSAGE.c.expires_at < _NOW).label("late")',
                '(_MESSAGE.c.expires_at < _MESSAGE.c.due_at).label("late")',
            ),
        ),
        (OUTBOX + "test_a_useless_letter_expires",),
    ),
    Mutant(
        "lost-lease-not-counted",
        "a letter taken from a worker that lost its lease counts one attempt nobody knows the end of",
        "N5",
        CLAIMS,
        (
            (
                '_MESSAGE.c.ambiguous + case((_MESSAGE.c.status == constant("sending"), 1), else_=0)',
                "_MESSAGE.c.ambiguous",
            ),
        ),
        (
            LOOP + "test_a_lease_that_ran_out_counts_also_when_the_letter_is_no_longer_wanted",
            KILLED + "test_a_worker_killed_at_any_moment_loses_nothing",
        ),
    ),
    Mutant(
        "silence-not-counted",
        "an attempt the provider may have accepted is counted",
        "N5",
        SETTLING,
        (("message.ambiguous + v.ambiguous", "message.ambiguous"),),
        (LOOP + "test_an_attempt_the_provider_may_have_accepted_is_counted",),
    ),
    Mutant(
        "mark-before-send",
        "a letter is settled after the provider has answered, not before",
        "N4",
        SERVICE,
        (
            (
                "        going, ready = ready[:count], ready[count:] + others\n",
                "        going, ready = ready[:count], ready[count:] + others\n"
                '        _settle(run, [Ended(one.message, "accepted") for one in going])\n',
            ),
        ),
        (
            KILLED + "test_a_worker_killed_at_any_moment_loses_nothing",
            SENDING + "test_trouble_that_may_pass_is_tried_again_under_the_same_reference",
        ),
    ),
    Mutant(
        "no-fence",
        "a result is written only while its claim still holds",
        "N14",
        SETTLING,
        (
            (
                "_STILL_OURS = \"message.status = 'sending' AND message.fence = v.fence\"",
                "_STILL_OURS = \"message.status = 'sending'\"",
            ),
        ),
        (
            OUTBOX + "test_a_late_result_with_an_old_fence_is_refused",
            LOOP + "test_a_batch_is_settled_letter_by_letter_of_whose_fence_still_holds",
            LOOP + "test_a_beat_extends_only_what_is_still_this_workers",
        ),
    ),
    Mutant(
        "no-heartbeat",
        "while a batch is being sent its leases are extended",
        "N7",
        HANDING,
        (
            (
                "                    mine = extend(self.claimed)\n",
                "                    mine = {one.id for one in self.claimed}\n",
            ),
        ),
        (LOOP + "test_a_slow_provider_loses_no_lease",),
    ),
    Mutant(
        "heart-beats-for-ever",
        "the heart of a batch stops, so that a call that never returns gives its letters up",
        "N4",
        HANDING,
        (("            if monotonic() - self.since > LONGEST_BATCH:\n                return\n", ""),),
        (LOOP + "test_a_heart_does_not_beat_for_ever",),
    ),
    Mutant(
        "begun-without-a-lease",
        "a try is begun only while its lease outlasts it",
        "N7",
        HANDING,
        (
            (
                "return letter.id not in self.lost and monotonic() + self.margin < self.until",
                "return letter.id not in self.lost",
            ),
        ),
        (LOOP + "test_nothing_is_begun_whose_lease_would_not_outlast_it",),
    ),
    Mutant(
        "outcomes-kept-until-the-end",
        "outcomes of a batch that takes long are settled while it goes on",
        "N5",
        HANDING,
        (("            if monotonic() - since > SETTLE_EVERY:\n", "            if False:\n"),),
        (LOOP + "test_outcomes_of_a_slow_batch_are_settled_while_it_goes_on",),
    ),
    Mutant(
        "no-rest",
        "a provider that failed several calls in a row rests, for all workers",
        "N12",
        CARRIERS,
        (("        if rest and (", "        if False and ("),),
        (
            CARRIED + "test_a_provider_rests_after_failures_in_a_row_longer_each_time",
            CARRIED + "test_workers_leave_a_provider_alone_that_another_found_away",
        ),
    ),
    Mutant(
        "everybody-tries-at-once",
        "after a rest exactly one worker tries, by compare-and-swap",
        "N12",
        CARRIERS,
        (
            (
                "_STATE.c.name == state.name, _STATE.c.rests_until == state.rests_until)",
                "_STATE.c.name == state.name)",
            ),
        ),
        (CARRIED + "test_after_a_rest_exactly_one_worker_tries_with_one_letter",),
    ),
    Mutant(
        "retry-after-of-nobody",
        "a provider rests for as long as it asked",
        "N12",
        CARRIERS,
        (
            (
                "rest = max(_rest(failures) if first else timedelta(), min(timedelta(seconds=asked), LONGEST_ASKED))",
                "rest = _rest(failures)",
            ),
        ),
        (CARRIED + "test_it_rests_for_as_long_as_it_asked",),
    ),
    Mutant(
        "one-blip-counted-by-each-worker",
        "workers that saw the same state and the same trouble count it once",
        "N12",
        CARRIERS,
        (
            (
                "failures = row.failures + (failed if first else 0)",
                "first, failures = True, row.failures + failed",
            ),
        ),
        (CARRIED + "test_workers_that_saw_the_same_trouble_count_it_once",),
    ),
    Mutant(
        "late-success-ends-anothers-rest",
        "a success ends only the rest that was seen before it",
        "N12",
        CARRIERS,
        ((" if row.rests_until == state.rest_left_behind else {}", ""),),
        (CARRIED + "test_a_late_success_ends_no_rest_that_began_meanwhile",),
    ),
    Mutant(
        "optional-letter-to-both",
        "a reminder that one provider may have taken goes to no other",
        "N6",
        CARRIERS,
        (("    return letter.kind not in OPTIONAL and now", "    return now"),),
        (CARRIED + "test_a_reminder_the_first_may_have_taken_goes_to_no_other",),
    ),
    Mutant(
        "unknown-for-a-day",
        "a provider that knows no reference is asked twice at most without an answer",
        "N6",
        "booking/notices/outcomes.py",
        (("one.message.ambiguous + 1 >= MOST_UNKNOWN", "False"),),
        (CARRIED + "test_a_provider_that_knows_no_reference_is_asked_twice_at_most",),
    ),
    Mutant(
        "one-phones-limit-is-the-providers",
        "what a provider says of one letter alone is no failure of the provider",
        "N12",
        HANDING,
        (("isinstance(one, Temporary) and not one.this_letter]", "isinstance(one, Temporary)]"),),
        (CARRIED + "test_phones_that_had_enough_hold_up_nobody_else",),
    ),
    Mutant(
        "noted-before-settled",
        "outcomes are settled before anything else is asked of the database",
        "N6",
        HANDING,
        (
            (
                "    if pending:\n        yield pending\n    _note(state, failed)\n",
                "    note_success(state)\n    if pending:\n        yield pending\n",
            ),
        ),
        (LOOP + "test_what_is_known_survives_a_database_that_blinks",),
    ),
    Mutant(
        "one-row-stops-its-batch",
        "a row that cannot be read is the trouble of its own letter",
        "N4",
        "booking/notices/writing.py",
        (
            (
                "        return [written for one in batch for written in write([one])]\n",
                "        return [problem for _ in batch]\n",
            ),
        ),
        (LOOP + "test_a_row_that_cannot_be_read_stops_its_own_letter_only",),
    ),
    Mutant(
        "one-batch-stops-the-run",
        "what goes wrong with one batch stops no other",
        "N4",
        SERVICE,
        (
            (
                "run.has_time_for(one) and _attempt(run, *one)]",
                "run.has_time_for(one) and _send_batch(run, *one)]",
            ),
        ),
        (LOOP + "test_a_batch_that_goes_wrong_stops_no_other",),
    ),
    Mutant(
        "slow-runs-take-the-newest-only",
        "also runs that have time for one batch take from both ends in turn",
        "N4",
        SERVICE,
        (
            (
                "newest_first = _newest_first[hospital_id, channel] = not _newest_first[hospital_id, channel]",
                "newest_first = True",
            ),
        ),
        (LOOP + "test_short_runs_take_from_both_ends_in_turn",),
    ),
    Mutant(
        "passed-on-although-it-may-have-left",
        "only what a provider surely did not take goes to the next at once",
        "N6",
        SERVICE,
        (("isinstance(outcome, Temporary) and not outcome.ambiguous:", "isinstance(outcome, Temporary):"),),
        (CARRIED + "test_what_the_first_may_have_taken_waits_for_its_next_try",),
    ),
    Mutant(
        "the-same-letter-tries-every-time",
        "a rested provider is tried with a letter that has not suffered yet",
        "N12",
        SERVICE,
        (
            (
                "return [*first, *(one for one in ready if one.message.id not in chosen)], len(first)",
                "return ready, len(ready)",
            ),
        ),
        (CARRIED + "test_everything_goes_to_the_next_within_a_minute_when_the_first_only_keeps_silent",),
    ),
    Mutant(
        "rate-of-each-worker",
        "a provider's rate is one row that all workers take from",
        "N21",
        CARRIERS,
        ((".values(tokens=there - taken, tokens_at=now)", ".values(tokens=there, tokens_at=now)"),),
        (
            CARRIED + "test_a_rate_lets_through_what_it_says_however_many_workers_ask",
            CARRIED + "test_a_slow_rate_lets_one_through_at_a_time",
        ),
    ),
    Mutant(
        "one-phone-all-letters",
        "a phone that got many letters gets no further optional one for a while, and no code",
        "N21",
        PACE,
        (("    return max(full, default=None)\n", "    return None\n"),),
        (
            LOOP + "test_a_phone_that_got_many_letters_gets_a_reminder_later",
            LOOP + "test_a_phone_gets_no_sixth_code_within_ten_minutes",
        ),
    ),
    Mutant(
        "stop-held-back-by-the-rate",
        "what somebody did or a hospital decided goes whatever the phone got before",
        "N17",
        PACE,
        (
            (
                '    return one.message.channel in PHONES and (one.message.kind == "code" or one.message.kind in OPTIONAL)\n',
                "    return one.message.channel in PHONES\n",
            ),
        ),
        (LOOP + "test_what_was_decided_always_goes_to_that_phone",),
    ),
    Mutant(
        "confirmation-behind-the-backlog",
        "batches are taken from both ends of a long row",
        "N8",
        SERVICE,
        (
            (
                "newest_first = _newest_first[hospital_id, channel] = not _newest_first[hospital_id, channel]",
                "newest_first = False",
            ),
        ),
        (LOOP + "test_a_confirmation_does_not_stand_behind_a_long_row_of_reminders",),
    ),
    Mutant(
        "no-rest-beside-bookings",
        "a full batch rests while people are booking",
        "N22",
        PACE,
        (("            sleep(min(YIELD * took, LONGEST_YIELD))\n", "            pass\n"),),
        (LOOP + "test_a_full_batch_rests_while_people_are_booking",),
    ),
    Mutant(
        "job-of-every-beat",
        "a periodic job runs once per scheduled time, by the key of its row",
        "N15",
        "booking/periodic.py",
        (
            (
                '        return getattr(session.execute(_CLAIM, run), "rowcount", 0) == 1\n',
                "        session.execute(_CLAIM, run)\n        return True\n",
            ),
        ),
        (OUTBOX + "test_a_periodic_job_runs_once_per_scheduled_time_with_many_beats",),
    ),
    Mutant(
        "looks-only-when-told",
        "each worker process looks by itself, with no broker and no beat",
        "N16",
        "worker/app.py",
        (("look_in_workers(app)\n", ""),),
        (KILLED + "test_workers_send_and_do_their_jobs_with_no_broker_and_no_beat",),
    ),
    Mutant(
        "wake-ups-four-times-a-second",
        "while commits follow each other, one wake-up a second goes out",
        "N22",
        "worker/wake.py",
        (("REST_SECONDS = 1.0\n", "REST_SECONDS = 0.25\n"),),
        ("tests/worker/test_wake.py::test_while_commits_follow_each_other_one_wake_up_a_second_goes_out",),
    ),
    Mutant(
        "claimed-in-any-order",
        "of the letters of a batch the longest due is sent first",
        "N8",
        CLAIMS,
        (('return sorted(claimed, key=attrgetter("due_at", "version"))', "return claimed"),),
        (OUTBOX + "test_a_claim_hands_over_the_longest_due_first_from_whichever_end_it_took",),
    ),
)
