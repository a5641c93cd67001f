"""Mutants of the code: a guard of a verb left out or written the careless way."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RESERVE = "booking/appointments/reserve.py"
PLACES = "booking/appointments/places.py"
SEATS = "booking/appointments/seats.py"
KEYS = "booking/appointments/keys.py"
MOVE = "booking/appointments/move.py"
STOP = "booking/appointments/stop.py"
CHECKIN = "booking/appointments/checkin.py"
FACTS = "booking/appointments/facts.py"
LIMITS = "booking/appointments/patient_rules.py"
LAYOUT = "booking/schedule/layout.py"
SHAPE = "booking/schedule/shape.py"
DATABASE = "booking/db.py"

HOLD = "tests/verbs/test_reserve.py::"
AFTER = "tests/verbs/test_after.py::"
REPLAYS = "tests/verbs/test_replays.py::"
SCHEDULE = "tests/verbs/test_schedule.py::"
RACES = "tests/races/test_races.py::"
RELEASES = "tests/verbs/test_release.py::"
REMOVED = "tests/faults/test_guards_removed.py::"
CHANGES = "tests/faults/test_changes_killed.py::"

CODE = (
    Mutant(
        "check-then-insert",
        "a place is chosen and marked by one statement that skips what others have locked",
        "R1, R3",
        PLACES,
        (
            ('        .with_for_update(skip_locked=locks == "skip")\n', ""),
            (
                "            place.c.appointment_id.is_(None),\n            place.c.open.is_(True),\n        )\n",
                "        )\n",
            ),
        ),
        (RACES + "test_fifty_people_and_a_slot_of_five",),
    ),
    Mutant(
        "full-while-the-last-place-is-locked",
        "before answering 'full' the locked places are waited for",
        "R3",
        PLACES,
        (('= ("skip", "skip", "wait")', '= ("skip", "skip")'),),
        (REMOVED + "test_r3_full_is_not_said_while_the_last_place_may_come_back",),
    ),
    Mutant(
        "stale-hold-keeps-its-place",
        "taking a place first ends the holds of the slot that ran out",
        "R3, R14",
        PLACES,
        (
            (
                '            end_stale_holds(session, hospital_id, now, slot_id=slot_id, wait=locks == "wait")\n',
                "            pass\n",
            ),
        ),
        (HOLD + "test_a_place_whose_hold_ran_out_is_sold_at_once",),
    ),
    Mutant(
        "full-while-a-stale-hold-is-locked",
        "a hold that ran out and that somebody else has in hand is waited for before answering 'full'",
        "R3",
        PLACES,
        (('wait=locks == "wait")', "wait=False)"),),
        (
            "tests/races/test_last_place.py::test_full_is_not_said_while_somebody_looks_at_the_hold_that_ran_out",
        ),
    ),
    Mutant(
        "stale-hold-keeps-its-seat",
        "a new hold first ends the holder's own holds that ran out",
        "R7",
        SEATS,
        (("    if any(one.held_until <= now for one in seen.holds):\n", "    if False:\n"),),
        (HOLD + "test_a_hold_that_ran_out_frees_its_seat_for_the_same_browser",),
    ),
    Mutant(
        "expiry-is-not-asked-in-sql",
        "only holds whose end lies before the database's time are ended",
        "R14",
        PLACES,
        (("            Appointment.held_until <= now,\n", ""),),
        (AFTER + "test_the_sweeper_ends_only_holds_whose_time_is_over",),
    ),
    Mutant(
        "place-returned-without-asking-whose",
        "a place is given back only by the appointment that has it",
        "R15",
        PLACES,
        (
            (
                '    _PLACE.c.appointment_id == bindparam("its_appointment"),\n',
                '    or_(_PLACE.c.appointment_id == bindparam("its_appointment"), _PLACE.c.id == bindparam("its_id")),\n',
            ),
        ),
        (REMOVED + "test_r15_a_place_returned_twice",),
    ),
    Mutant(
        "row-not-locked",
        "a verb locks its appointment before it decides",
        "R10, R14",
        PLACES,
        (("    .with_for_update()\n)\n\n\ndef lock_appointment", ")\n\n\ndef lock_appointment"),),
        (RACES + "test_a_double_click_on_confirm_books_once_and_both_answers_name_it",),
    ),
    Mutant(
        "every-move-is-legal",
        "a status changes only along the legal moves",
        "R13",
        PLACES,
        (("    if not is_legal(before, after):\n", "    if False:\n"),),
        (REMOVED + "test_r13_an_illegal_move",),
    ),
    Mutant(
        "change-without-event",
        "every change of status writes its event",
        "R12, R13",
        PLACES,
        (
            (
                """    add_event(
        session, row, verb, before, after, version + 1, actor=actor, now=now, reason=reason, facts=facts
    )
""",
                "",
            ),
        ),
        (
            AFTER + "test_cancelling_frees_the_place_ends_the_reminders_and_tells",
            AFTER + "test_a_stop_is_total_and_tells_everybody_once_per_channel",
        ),
    ),
    Mutant(
        "confirm-without-asking-the-status",
        "only a hold can be confirmed",
        "R13, R14",
        RESERVE,
        (
            (
                '    if row.status == "held" and row.held_until is not None and row.held_until > now:\n',
                "    if row.held_until is not None and row.held_until > now:\n",
            ),
        ),
        (HOLD + "test_a_hold_that_was_given_back_cannot_be_confirmed",),
    ),
    Mutant(
        "confirm-without-asking-the-time",
        "a hold is confirmed only before its end",
        "R14",
        RESERVE,
        (
            (
                '    if row.status == "held" and row.held_until is not None and row.held_until > now:\n',
                '    if row.status == "held":\n',
            ),
        ),
        (HOLD + "test_a_hold_that_ran_out_cannot_be_confirmed",),
    ),
    Mutant(
        "anybody-confirms-any-hold",
        "a hold belongs to its browser or account",
        "R7",
        RESERVE,
        (("    if row is None or not theirs or ", "    if row is None or "),),
        (HOLD + "test_somebody_elses_hold_does_not_exist",),
    ),
    Mutant(
        "seat-cap-as-a-count",
        "the caps on holds are numbered seats under unique indexes, not a count",
        "R7",
        SEATS,
        (("    return free[0], None if actor", "    return None, None if actor"),),
        (RACES + "test_the_caps_on_holds_stand_in_parallel",),
    ),
    Mutant(
        "no-sign-in-first",
        "in the minutes after a release sign-in comes before the hold",
        "R7",
        RESERVE,
        (("        if actor.account_id is None and now < opening:\n", "        if False:\n"),),
        (HOLD + "test_in_the_opening_minutes_sign_in_comes_first",),
    ),
    Mutant(
        "no-sign-in-first-in-later-waves",
        "a later wave and the roll-over are releases too: sign-in comes first in their first minutes",
        "R7",
        SEATS,
        (("    if fresh:\n", "    if False:\n"),),
        (
            RELEASES + "test_in_the_first_minutes_of_a_later_wave_sign_in_comes_first",
            RELEASES + "test_in_the_first_minutes_of_the_roll_over_sign_in_comes_first",
        ),
    ),
    Mutant(
        "unopened-places-make-open-seats",
        "the share without sign-in is one of the places that are online",
        "R7",
        SEATS,
        (("            or_(Place.opens_at.is_(None), Place.opens_at <= seen.now),\n", ""),),
        (RELEASES + "test_places_of_a_later_wave_make_no_open_seats_before_it_opens",),
    ),
    Mutant(
        "release-by-the-process-clock",
        "release and closing are read from the database's clock",
        "R16",
        RESERVE,
        (
            (
                "        ensure_on_sale(facts, now)\n",
                "        ensure_on_sale(facts, datetime.now().astimezone())\n",
            ),
        ),
        (
            HOLD + "test_nothing_is_held_before_the_release_by_the_database_clock",
            HOLD + "test_nothing_is_held_after_closing_but_a_live_hold_may_still_be_confirmed",
        ),
    ),
    Mutant(
        "sold-before-the-release",
        "nothing is sold before its release",
        "R16",
        FACTS,
        (("    if not staff and facts.clinic.release_at > now:\n", "    if False:\n"),),
        (HOLD + "test_nothing_is_held_before_the_release_by_the_database_clock",),
    ),
    Mutant(
        "sold-after-closing",
        "nothing is sold after its closing",
        "R16",
        FACTS,
        (("    if closes <= now:\n", "    if False:\n"),),
        (HOLD + "test_nothing_is_held_after_closing_but_a_live_hold_may_still_be_confirmed",),
    ),
    Mutant(
        "stopped-session-sells",
        "a stopped session sells nothing",
        "R17",
        FACTS,
        (('    if status == "stopped":\n', "    if False:\n"),),
        (HOLD + "test_drafts_and_stopped_sessions_sell_nothing",),
    ),
    Mutant(
        "chart-not-locked",
        "a booking locks the patient's chart, so that limits hold in parallel",
        "R4, R5, R6",
        LIMITS,
        (
            (
                '    return row.on_conflict_do_update(index_elements=["hospital_id", "patient_id"], set_=same)\n',
                "    return row.on_conflict_do_nothing()\n",
            ),
        ),
        (
            "tests/races/test_known_patients.py::"
            "test_overlapping_visits_of_a_known_patient_cannot_be_booked_in_parallel",
        ),
    ),
    Mutant(
        "overlap-not-asked",
        "visits of one patient do not overlap",
        "R5",
        LIMITS,
        (
            (
                "        if overlaps(other.starts_at, other.ends_at, wanted.starts_at, wanted.ends_at):\n",
                "        if False:\n",
            ),
        ),
        (HOLD + "test_visits_of_one_patient_do_not_overlap_and_a_day_has_its_limit",),
    ),
    Mutant(
        "day-limit-not-asked",
        "a day has its limit for one patient",
        "R6",
        LIMITS,
        (("    if len(on_day) >= policy.per_day:\n", "    if False:\n"),),
        (
            HOLD + "test_visits_of_one_patient_do_not_overlap_and_a_day_has_its_limit",
            RACES + "test_one_patient_cannot_pass_the_limits_in_parallel",
        ),
    ),
    Mutant(
        "key-looked-up-before-insert",
        "a request key is inserted first and looked up only when it was there",
        "R8",
        KEYS,
        (
            (
                '    if link.execute(_CLAIM[session.get_bind().dialect.name == "sqlite"], row).first() is not None:\n',
                '    if link.execute(_KNOWN, {"hospital": hospital_id, "its_key": key}).first() is None:\n        link.execute(_KEYS.insert(), row)\n',
            ),
        ),
        (RACES + "test_the_same_key_in_parallel_makes_one_hold",),
    ),
    Mutant(
        "body-of-a-key-not-compared",
        "the same key with another body is refused",
        "R9",
        KEYS,
        (("    if known.body_digest != digest:\n", "    if False:\n"),),
        (
            REPLAYS + "test_the_same_key_with_another_body_is_refused_and_changes_nothing",
            "tests/doors/test_web_replays.py::test_the_key_of_a_confirmed_form_books_nobody_else",
        ),
    ),
    Mutant(
        "live-hold-before-the-key",
        "the key is claimed before an existing hold is answered with",
        "R8, R9",
        RESERVE,
        (
            (
                "        # the key comes first, also for",
                "        if mine is not None:\n            return mine\n        # the key comes first, also for",
            ),
        ),
        (
            REPLAYS + "test_a_live_hold_does_not_hide_that_the_key_meant_another_slot",
            REPLAYS + "test_a_key_sent_with_the_second_press_is_kept_with_the_hold_it_led_to",
        ),
    ),
    Mutant(
        "letters-forgotten",
        "a booking puts its letters in its own transaction",
        "N1",
        RESERVE,
        (
            (
                '        tell(session, row, "confirmed", policy=policy, now=now, people=people, hears=who.hears, first=fresh)\n',
                "",
            ),
        ),
        (HOLD + "test_confirm_books_for_a_linked_patient_and_puts_the_letters",),
    ),
    Mutant(
        "move-keeps-the-old-place",
        "a move gives the old place back",
        "R15, R20",
        MOVE,
        (("        return_place(session, hospital_id, old_place, row.id)\n", ""),),
        (AFTER + "test_a_move_keeps_id_and_code_and_swaps_the_places",),
    ),
    Mutant(
        "move-in-two-transactions",
        "a move takes the new place and returns the old one in one transaction",
        "R20",
        MOVE,
        (
            (
                "        return_place(session, hospital_id, old_place, row.id)\n",
                "        session.commit()\n        return_place(session, hospital_id, old_place, row.id)\n",
            ),
        ),
        (
            AFTER + "test_a_move_keeps_id_and_code_and_swaps_the_places",
            CHANGES + "test_a_change_that_died_is_whole_or_did_not_happen_and_its_key_says_which",
        ),
    ),
    Mutant(
        "stop-looks-once",
        "a stop closes and ends until no open place is left",
        "R17, R18",
        STOP,
        (
            (
                "            if not _open_places(session, hospital_id, session_id):\n                break\n",
                "            break\n",
            ),
        ),
        (AFTER + "test_a_stop_is_total_and_tells_everybody_once_per_channel",),
    ),
    Mutant(
        "stop-tells-nobody",
        "a stop tells each affected person",
        "R18",
        STOP,
        (('letters += tell(session, row, "stopped"', 'letters += 0 and tell(session, row, "stopped"'),),
        (AFTER + "test_a_stop_is_total_and_tells_everybody_once_per_channel",),
    ),
    Mutant(
        "stop-by-anybody-on-the-staff",
        "a stop needs the right to it in that hospital",
        "R29",
        STOP,
        (('    ensure_may(actor, "stop_session", hospital_id)\n', ""),),
        (AFTER + "test_a_stop_needs_a_reason_and_the_right",),
    ),
    Mutant(
        "stop-without-a-trail",
        "a stop is written down with who and why",
        "R30",
        STOP,
        (
            (
                """        record(
            session,
            hospital_id,
            actor,
            "stop_session",
            "session",
            session_id,
            now=now,
            change=change,
            reason=reason,
        )
""",
                "",
            ),
        ),
        (AFTER + "test_a_stop_is_total_and_tells_everybody_once_per_channel",),
    ),
    Mutant(
        "capacity-without-still-free",
        "lower capacity withdraws a place only while it is free",
        "R19",
        LAYOUT,
        (
            (
                "Place.id.in_(plan.withdraw), Place.appointment_id.is_(None)\n",
                "Place.id.in_(plan.withdraw)\n",
            ),
        ),
        ("tests/faults/test_indexes_removed.py::test_r19_a_place_sold_while_capacity_is_being_lowered",),
    ),
    Mutant(
        "capacity-below-what-is-sold",
        "capacity never falls below what is sold",
        "R19",
        LAYOUT,
        (("    if most_sold:\n", "    if False:\n"),),
        (SCHEDULE + "test_capacity_below_what_is_sold_is_refused_with_the_numbers_and_nothing_changes",),
    ),
    Mutant(
        "queue-number-read-then-written",
        "a queue number is counted up by one statement under the session's row lock",
        "R25",
        CHECKIN,
        (
            (
                "            .values(last_queue_number=ClinicSession.last_queue_number + 1)\n",
                "            .values(last_queue_number=clinic.last_queue_number + 1)\n",
            ),
        ),
        (RACES + "test_queue_numbers_are_unique_when_two_desks_check_in",),
    ),
    Mutant(
        "skipped-hour-is-sold",
        "a wall time that a daylight-saving change skips does not happen",
        "R31",
        SHAPE,
        ((" if local(utc(day, one[0], zone), zone).time() == one[0]]", "]"),),
        (SCHEDULE + "test_a_night_clinic_loses_the_hour_that_summer_time_skips",),
    ),
    Mutant(
        "begin-deferred-on-sqlite",
        "a write on SQLite begins IMMEDIATE",
        "R3, R33",
        DATABASE,
        (('"BEGIN IMMEDIATE" if immediate else "BEGIN"', '"BEGIN"'),),
        (RACES + "test_fifty_people_and_a_slot_of_five",),
    ),
    Mutant(
        "no-second-try",
        "a verb that the database ended for a deadlock runs again",
        "R3",
        DATABASE,
        (("        for left in (3, 2, 1, 0):\n", "        for left in (0,):\n"),),
        ("tests/races/test_retried.py::test_two_transactions_that_wait_for_each_other_both_end_well",),
    ),
    Mutant(
        "refused-request-commits",
        "any exception rolls the verb's transaction back",
        "R33",
        DATABASE,
        (("        session.rollback()\n        raise\n", "        session.commit()\n        raise\n"),),
        (REMOVED + "test_r33_a_refused_request_leaves_nothing",),
    ),
)
