"""Mutants of what decides besides the place itself: waves, channels, limits, whom a session is for, no-shows, who was seen, hints."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SELLABLE = "booking/schedule/sellable.py"
LIMITS = "booking/appointments/patient_rules.py"
NO_SHOW = "booking/appointments/no_show.py"
FINISH = "booking/appointments/finish.py"
STOP = "booking/appointments/stop.py"
PLACES = "booking/appointments/places.py"
CHECKIN = "booking/appointments/checkin.py"
RULES = "booking/appointments/rules.py"
LAYOUT = "booking/schedule/layout.py"
FULL = "booking/appointments/full.py"

LIMIT_TESTS = "tests/verbs/test_limits.py::"
NO_SHOW_TESTS = "tests/verbs/test_no_show.py::"
FINISH_TESTS = "tests/verbs/test_finish.py::"
FULL_TESTS = "tests/verbs/test_full.py::"

LATER = (
    Mutant(
        "later-wave-sold-at-the-release",
        "a place of a later wave is sold only from its instant on",
        "R16",
        SELLABLE,
        (("        conditions.append(or_(Place.opens_at.is_(None), Place.opens_at <= now))\n", ""),),
        ("tests/verbs/test_release.py::test_a_later_wave_is_not_held_nor_moved_into_before_its_instant",),
    ),
    Mutant(
        "kept-place-sold-online",
        "a place kept for another channel is sold online only after its roll-over",
        "R17",
        SELLABLE,
        (('        conditions.append(or_(Place.channel == "web", Place.rolls_at <= now))\n', ""),),
        (
            "tests/verbs/test_channels.py::"
            "test_a_kept_place_is_sold_online_from_its_roll_over_on_and_not_before",
        ),
    ),
    Mutant(
        "kept-place-never-rolls-over",
        "a kept place that nobody took is sold online in the end",
        "R3",
        SELLABLE,
        (('or_(Place.channel == "web", Place.rolls_at <= now)', 'Place.channel == "web"'),),
        (
            "tests/verbs/test_channels.py::"
            "test_a_kept_place_is_sold_online_from_its_roll_over_on_and_not_before",
        ),
    ),
    Mutant(
        "resting-place-sold",
        "a resting place is not sellable yet",
        "R22",
        SELLABLE,
        (
            (
                "    conditions = [Place.open.is_(True), rested, free]\n",
                "    conditions = [Place.open.is_(True), free]\n",
            ),
        ),
        (FULL_TESTS + "test_a_resting_place_is_not_sellable_yet",),
    ),
    Mutant(
        "full-from-an-older-look",
        "“full” comes only from a look that began after the request",
        "R3",
        FULL,
        (
            (
                "            if kept is not None and kept.began >= since and ",
                "            if kept is not None and ",
            ),
        ),
        (
            FULL_TESTS + "test_a_kept_look_serves_only_requests_that_had_arrived_before_it_began",
            FULL_TESTS + "test_whoever_gives_a_place_back_and_asks_at_once_is_not_told_full",
        ),
    ),
    Mutant(
        "not-yet-without-the-release",
        "“not open yet” is said only while the release is to come",
        "R16",
        FULL,
        (("                and_(clinic.c.release_at > now, ~undrawn),\n", "                ~undrawn,\n"),),
        (FULL_TESTS + "test_before_the_release_it_says_when_and_at_the_release_no_more",),
    ),
    Mutant(
        "week-limit-not-asked",
        "a week has its limit for one patient",
        "R6",
        LIMITS,
        (("    if len(in_week) >= policy.per_week:\n", "    if False:\n"),),
        (
            LIMIT_TESTS + "test_the_week_is_full_and_the_next_one_is_not",
            LIMIT_TESTS + "test_the_limit_of_the_week_holds_in_parallel",
        ),
    ),
    Mutant(
        "account-not-locked",
        "a booking locks its account, so that the account's limit holds in parallel",
        "R6",
        LIMITS,
        (('        link.execute(_LOCK_ACCOUNT, {"account": account_id})\n', "        pass\n"),),
        (LIMIT_TESTS + "test_the_limit_of_the_account_holds_in_parallel_over_its_patients",),
    ),
    Mutant(
        "session-admits-anybody",
        "age, sex, first visit and referral of a session are asked at confirm",
        "R6",
        LIMITS,
        (
            (
                "    ensure_patient_suits(session, wanted, patient_id, by_staff=by_staff, referral=referral)\n",
                "",
            ),
        ),
        (
            LIMIT_TESTS + "test_confirm_refuses_whom_the_session_is_not_for_and_changes_nothing",
            LIMIT_TESTS + "test_a_move_is_judged_by_the_session_it_leads_to",
        ),
    ),
    Mutant(
        "no-show-without-evidence",
        "nobody is judged who was not told, or on a day without a desk",
        "R26",
        NO_SHOW,
        (("            if not evidence[row.id].why_not():\n", "            if True:\n"),),
        (
            NO_SHOW_TESTS + "test_nobody_is_judged_who_was_not_told",
            NO_SHOW_TESTS + "test_nobody_is_judged_on_a_day_when_the_desk_kept_no_list",
        ),
    ),
    Mutant(
        "no-show-on-a-message-that-never-arrived",
        "where a carrier gives receipts, what it only took is no evidence that anybody was told",
        "R26",
        NO_SHOW,
        (
            (
                '        if letter.status == "accepted" and letter.provider in receipts_from():\n',
                "        if False:\n",
            ),
        ),
        (NO_SHOW_TESTS + "test_accepted_is_no_evidence_where_the_carrier_gives_receipts",),
    ),
    Mutant(
        "no-show-before-the-rule-time",
        "a visit is judged only after its rule time",
        "R26",
        NO_SHOW,
        (("ClinicSession.ends_at <= now - timedelta(minutes=minutes)", "ClinicSession.starts_at <= now"),),
        (NO_SHOW_TESTS + "test_nothing_is_judged_before_the_rule_time",),
    ),
    Mutant(
        "blocked-patient-books-on",
        "a block refuses the next booking online",
        "R27",
        LIMITS,
        (("        if found:\n            raise blocked(", "        if False:\n            raise blocked("),),
        (
            NO_SHOW_TESTS + "test_three_no_shows_close_online_booking_and_the_refusal_says_"
            "by_whom_why_until_when_and_how",
        ),
    ),
    Mutant(
        "finish-without-asking-the-status",
        "only somebody who has checked in can have been seen",
        "R13",
        FINISH,
        (
            ("        if row.status not in HERE:\n", "        if False:\n"),
            ('        if row.status == "booked":\n', "        if False:\n"),
        ),
        (FINISH_TESTS + "test_only_somebody_who_is_here_can_have_been_seen",),
    ),
    Mutant(
        "stop-ignores-who-was-seen",
        "a stop neither cancels nor writes to those of whom the desk says that they were seen",
        "R18",
        STOP,
        (("            if seen_until is not None:\n", "            if False:\n"),),
        (FINISH_TESTS + "test_a_stop_leaves_alone_whoever_was_seen_before_it_when_the_desk_says_so",),
    ),
    Mutant(
        "stop-finishes-whoever-waits",
        "whoever has checked in before their time has not been seen",
        "R18",
        RULES,
        ((" and starts_at <= by\n", "\n"),),
        (FINISH_TESTS + "test_a_stop_leaves_alone_whoever_was_seen_before_it_when_the_desk_says_so",),
    ),
    Mutant(
        "stop-finishes-whoever-came-since",
        "a stop finishes nobody whom the page it was pressed on had not shown",
        "R18",
        STOP,
        (
            (
                "may_be_seen(row.starts_at, row.arrived_at, seen_until)",
                "may_be_seen(row.starts_at, row.arrived_at, now)",
            ),
        ),
        (FINISH_TESTS + "test_a_stop_finishes_only_who_was_here_and_had_begun_when_the_list_was_looked_at",),
    ),
    Mutant(
        "finish-by-a-second-press",
        "nobody is finished within a minute of the check-in",
        "R13",
        FINISH,
        (("now < row.arrived_at + AT_LEAST", "False"),),
        (FINISH_TESTS + "test_a_second_press_right_after_the_check_in_finishes_nothing",),
    ),
    Mutant(
        "seen-place-sold-again",
        "the number of somebody who was seen does not come back on sale",
        "R19",
        PLACES,
        (("rests_until=USED, freed_at=None)", "rests_until=None, freed_at=None)"),),
        (FINISH_TESTS + "test_the_number_of_somebody_who_was_seen_is_nobody_elses",),
    ),
    Mutant(
        "seen-place-reopened",
        "reopening a session leaves the numbers of those who were seen alone",
        "R19",
        STOP,
        (("                or_(Place.rests_until.is_(None), Place.rests_until < USED),\n", ""),),
        (FINISH_TESTS + "test_reopening_does_not_bring_the_number_of_whoever_was_seen_back",),
    ),
    Mutant(
        "seen-place-counts-as-free",
        "a session keeps at least as many numbers as were seen",
        "R19",
        LAYOUT,
        ((" or place.rests_until == USED\n", "\n"),),
        (FINISH_TESTS + "test_the_session_keeps_as_many_numbers_as_were_seen",),
    ),
    Mutant(
        "undone-check-in-keeps-its-number",
        "a check-in that is taken back takes its queue number with it",
        "R25",
        CHECKIN,
        (("            queue_number=None,\n", "            queue_number=number,\n"),),
        (FINISH_TESTS + "test_a_check_in_by_mistake_is_taken_back_and_the_reminder_is_due_again",),
    ),
    Mutant(
        "undone-check-in-without-reminders",
        "a check-in that is taken back lets the reminders go on",
        "N1",
        CHECKIN,
        (
            (
                '        tell(session, row, "check_in_undone", policy=policy, now=now, reminded_until=arrived_at)\n',
                "",
            ),
        ),
        (FINISH_TESTS + "test_a_check_in_by_mistake_is_taken_back_and_the_reminder_is_due_again",),
    ),
)
