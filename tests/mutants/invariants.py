"""R1–R34 of the reservation core: what holds each of them, and the tests that would notice if it did not."""

from __future__ import annotations

from dataclasses import dataclass

REMOVED = "tests/faults/test_guards_removed.py::"
INDEXES = "tests/faults/test_indexes_removed.py::"
KILLED = "tests/faults/test_changes_killed.py::"
DURABLE = "tests/faults/test_durable.py::"
HOLD = "tests/verbs/test_reserve.py::"
AFTER = "tests/verbs/test_after.py::"
FINISH = "tests/verbs/test_finish.py::"
REPLAYS = "tests/verbs/test_replays.py::"
WEB_REPLAYS = "tests/doors/test_web_replays.py::"
SCHEDULE = "tests/verbs/test_schedule.py::"
PEOPLE = "tests/verbs/test_people.py::"
RACES = "tests/races/test_races.py::"
NO_SHOW = "tests/verbs/test_no_show.py::"
LIMITS = "tests/verbs/test_limits.py::"
WISHES = "tests/verbs/test_wishes.py::"
KNOWN = "tests/races/test_known_patients.py::"
WISH_RACES = "tests/races/test_wishes.py::"
WAITING = "tests/faults/test_waiting_guards_removed.py::"
MODEL = "tests/model/test_model.py::test_the_product_does_what_the_model_does"


@dataclass(frozen=True)
class Invariant:
    """`held_by`: constraints by name, and in words what the code does; `open`: what is not proved yet."""

    name: str
    says: str
    constraints: tuple[str, ...]
    code: str
    tests: tuple[str, ...]
    open: str = ""


INVARIANTS = (
    Invariant(
        "R1",
        "A place has at most one active appointment.",
        ("uq_one_active_appointment_per_place",),
        "one statement chooses and marks a place",
        (REMOVED + "test_r1_a_place_sold_twice", RACES + "test_fifty_people_and_a_slot_of_five", MODEL),
    ),
    Invariant(
        "R2",
        "Places and appointments agree.",
        (
            "fk_active_appointment_and_place_agree",
            "fk_taken_place_and_appointment_agree",
            "ck_appointment_active_holds_a_place",
            "ck_appointment_holds_its_own_place",
        ),
        "",
        (
            REMOVED + "test_r2_a_place_freed_under_its_patient",
            REMOVED + "test_r2_an_ended_visit_that_keeps_its_place",
            INDEXES + "test_a_row_that_contradicts_itself_is_refused",
            MODEL,
        ),
    ),
    Invariant(
        "R3",
        "No underselling: “full” was true at some instant of the request.",
        (),
        "locked places are skipped, then waited for; holds that ran out are ended first; BEGIN IMMEDIATE on SQLite",
        (
            REMOVED + "test_r3_full_is_not_said_while_the_last_place_may_come_back",
            RACES + "test_every_place_of_a_session_is_sold_to_a_crowd_that_takes_any_slot",
            HOLD + "test_a_place_whose_hold_ran_out_is_sold_at_once",
            "tests/races/test_last_place.py::"
            "test_full_is_not_said_while_somebody_looks_at_the_hold_that_ran_out",
            MODEL,
        ),
    ),
    Invariant(
        "R4",
        "One active appointment per patient, doctor and session.",
        ("uq_one_active_appointment_per_patient_and_session",),
        "asked before with the patient's chart locked",
        (
            REMOVED + "test_r4_one_patient_twice_in_a_session",
            HOLD + "test_one_patient_books_a_session_once_and_a_department_once_a_day",
            MODEL,
        ),
    ),
    Invariant(
        "R5",
        "No overlapping visits of one patient.",
        (),
        "asked with the patient's chart locked",
        (
            REMOVED + "test_r5_overlapping_visits_in_parallel",
            KNOWN + "test_overlapping_visits_of_a_known_patient_cannot_be_booked_in_parallel",
            MODEL,
        ),
    ),
    Invariant(
        "R6",
        "Limits per patient hold under parallel requests.",
        (),
        "asked with the patient's chart and the account locked",
        (
            RACES + "test_one_patient_cannot_pass_the_limits_in_parallel",
            LIMITS + "test_the_limit_of_the_week_holds_in_parallel",
            LIMITS + "test_the_limit_of_the_account_holds_in_parallel_over_its_patients",
            LIMITS + "test_confirm_refuses_whom_the_session_is_not_for_and_changes_nothing",
            MODEL,
        ),
    ),
    Invariant(
        "R7",
        "One verified ID number is one patient; an account books for linked patients; caps on holds.",
        (
            "uq_one_patient_per_verified_id",
            "fk_account_books_only_for_linked_patients",
            "ck_patient_link_at_most_five_patients",
            "uq_one_patient_per_seat",
            "uq_one_hold_per_holder_seat",
            "uq_one_hold_per_account_seat",
            "uq_one_open_hold_per_session_seat",
        ),
        "seats are chosen by the verb, decided by the indexes; sign-in first after a release",
        (
            PEOPLE + "test_an_unverified_number_blocks_nobody_and_a_verified_one_is_one_patient",
            REMOVED + "test_r7_booking_for_a_patient_who_is_not_linked",
            REMOVED + "test_r7_a_sixth_patient",
            REMOVED + "test_r7_a_third_hold",
            INDEXES + "test_r7_one_browser_twice_in_a_seat",
            INDEXES + "test_r7_two_account_less_holds_in_one_seat_of_the_session",
            RACES + "test_the_caps_on_holds_stand_in_parallel",
            HOLD + "test_in_the_opening_minutes_sign_in_comes_first",
        ),
    ),
    Invariant(
        "R8",
        "The same request key gives the same appointment, once.",
        ("pk_request_key",),
        "the key is inserted first, in the verb's transaction",
        (
            REPLAYS + "test_a_replayed_hold_names_the_same_hold_whatever_became_of_it",
            REPLAYS + "test_a_replayed_confirm_names_the_same_visit_as_it_is_now",
            REPLAYS + "test_a_replayed_move_names_the_same_visit_and_moves_nobody_back",
            REPLAYS + "test_a_replayed_cancel_cancels_once_although_the_place_is_somebody_elses",
            REPLAYS + "test_keys_are_kept_for_seven_days",
            RACES + "test_the_same_key_in_parallel_makes_one_hold",
            MODEL,
        ),
    ),
    Invariant(
        "R9",
        "The same key with another body is a 422 that changes nothing.",
        ("pk_request_key",),
        "the digest of the whole request stands beside the key",
        (
            REPLAYS + "test_the_same_key_with_another_body_is_refused_and_changes_nothing",
            WEB_REPLAYS + "test_the_key_of_a_confirmed_form_books_nobody_else",
            WEB_REPLAYS + "test_cancelling_and_moving_again_give_the_same_answer_and_another_body_is_refused",
            MODEL,
        ),
    ),
    Invariant(
        "R10",
        "A double click makes one appointment and both answers name it.",
        ("uq_one_hold_per_holder_and_slot",),
        "a refused insert asks whether the hold is ours",
        (
            "tests/races/test_double_click.py::test_every_press_gives_the_same_hold_also_on_the_last_place",
            RACES + "test_a_double_click_on_confirm_books_once_and_both_answers_name_it",
            "tests/races/test_http.py::test_a_double_click_on_a_time_books_once",
        ),
    ),
    Invariant(
        "R11",
        "What was acknowledged survives any crash.",
        (),
        "the answer follows the commit; synchronous = FULL on SQLite",
        (
            DURABLE + "test_every_acknowledged_booking_survives_kill_9",
            KILLED + "test_every_acknowledged_change_survives_kill_9",
            KILLED + "test_a_change_that_died_is_whole_or_did_not_happen_and_its_key_says_which",
        ),
    ),
    Invariant(
        "R12",
        "Every appointment has a recorded cause.",
        ("uq_one_event_per_version",),
        "each change of status writes its event in the same step",
        (REMOVED + "test_r12_a_change_nobody_recorded", MODEL),
    ),
    Invariant(
        "R13",
        "Only legal moves; each has an event with actor and reason.",
        ("uq_one_event_per_version", "ck_appointment_status"),
        "compare-and-swap along one small table",
        (
            REMOVED + "test_r13_an_illegal_move",
            REMOVED + "test_r13_two_events_for_one_version",
            HOLD + "test_a_hold_that_was_given_back_cannot_be_confirmed",
            MODEL,
        ),
    ),
    Invariant(
        "R14",
        "Confirm and expire race with one winner; the database's clock decides.",
        (),
        "the row is locked, its status and end compared",
        (
            REMOVED + "test_r14_confirming_a_hold_that_ran_out",
            RACES + "test_confirm_and_expiry_have_one_winner",
            AFTER + "test_the_sweeper_ends_only_holds_whose_time_is_over",
            MODEL,
        ),
    ),
    Invariant(
        "R15",
        "A place returns exactly once.",
        ("fk_active_appointment_and_place_agree",),
        "a place is given back only by the appointment that has it",
        (
            REMOVED + "test_r15_a_place_returned_twice",
            AFTER + "test_cancelling_twice_frees_once_and_tells_once",
            MODEL,
        ),
    ),
    Invariant(
        "R16",
        "Nothing is sold before its release or after its closing, by the database's clock.",
        (),
        "asked after the lock with the database's time",
        (
            HOLD + "test_nothing_is_held_before_the_release_by_the_database_clock",
            HOLD + "test_nothing_is_held_after_closing_but_a_live_hold_may_still_be_confirmed",
            REMOVED + "test_r16_before_the_release",
            "tests/verbs/test_release.py::test_a_later_wave_is_not_held_nor_moved_into_before_its_instant",
            MODEL,
        ),
    ),
    Invariant(
        "R17",
        "Closed or stopped sells nothing.",
        ("ck_place_withdrawn_is_not_open",),
        "the session is asked, and its places are closed",
        (
            REMOVED + "test_r17_a_stopped_session_has_two_locks",
            HOLD + "test_drafts_and_stopped_sessions_sell_nothing",
            AFTER + "test_a_stopped_session_sells_nothing_and_says_why",
            MODEL,
        ),
    ),
    Invariant(
        "R18",
        "Stopping a session is total, and each affected person is told.",
        (),
        "close free places, end what is active, until no place is open",
        (
            REMOVED + "test_r18_a_stop_that_forgets_somebody_does_not_commit",
            REMOVED + "test_r18_somebody_who_is_not_told",
            FINISH + "test_a_stop_leaves_alone_whoever_was_seen_before_it_when_the_desk_says_so",
            AFTER + "test_a_stop_is_total_and_tells_everybody_once_per_channel",
            RACES + "test_a_stop_beats_every_hold_and_confirm_that_comes_at_the_same_moment",
            MODEL,
        ),
    ),
    Invariant(
        "R19",
        "Capacity never falls below what is sold; extra places have owner, reason and cap.",
        ("ck_place_withdrawn_is_free",),
        "only a place that is still free is withdrawn; that of somebody who was seen is not free",
        (
            INDEXES + "test_r19_a_sold_place_that_is_withdrawn",
            SCHEDULE + "test_capacity_below_what_is_sold_is_refused_with_the_numbers_and_nothing_changes",
            INDEXES + "test_r19_a_place_sold_while_capacity_is_being_lowered",
            SCHEDULE + "test_lowering_numbers_while_people_hold_never_sells_a_withdrawn_place",
            "tests/verbs/test_at_desk.py::"
            "test_a_session_has_no_more_added_places_than_the_cap_and_a_cancelled_one_frees_its_number",
            FINISH + "test_the_number_of_somebody_who_was_seen_is_nobody_elses",
            MODEL,
        ),
    ),
    Invariant(
        "R20",
        "A move is atomic: in every snapshot the patient has exactly one of the two places.",
        ("fk_active_appointment_and_place_agree", "fk_taken_place_and_appointment_agree"),
        "one transaction",
        (
            REMOVED + "test_r20_a_move_that_keeps_both_places",
            "tests/races/test_snapshots.py::test_whoever_moves_has_exactly_one_place_in_every_snapshot",
            KILLED + "test_a_change_that_died_is_whole_or_did_not_happen_and_its_key_says_which",
            MODEL,
        ),
    ),
    Invariant(
        "R21",
        "A freed place with a waiting wish is offered to one at a time and ends accepted once or back in the pool.",
        ("uq_one_live_offer_per_wish_and_patient", "uq_one_offer_per_appointment"),
        "the transaction that frees a place lets it rest; one worker at a time asks in a hospital",
        (
            WAITING + "test_r21_two_live_offers_to_one_patient_of_a_wish",
            WAITING + "test_r21_a_freed_place_sold_before_the_list_was_asked",
            WAITING + "test_r21_half_of_a_pairs_offer_left_standing",
            WISH_RACES + "test_a_cancel_storm_with_fifty_wishes",
            WISH_RACES + "test_accept_decline_and_leave_at_once_have_one_outcome",
            MODEL,
        ),
    ),
    Invariant(
        "R22",
        "An offered place is not bookable by others.",
        ("uq_one_active_appointment_per_place",),
        "an offer is an appointment that holds the place; it is no hold of a browser",
        (
            WISHES + "test_an_offer_is_nobody_elses_and_no_ordinary_hold",
            WISH_RACES + "test_a_cancel_storm_with_fifty_wishes",
            MODEL,
        ),
    ),
    Invariant(
        "R23",
        "Offers follow the order of joining.",
        (),
        "asked in order by one worker at a time, only those who had joined when the place came back",
        (
            WISHES + "test_a_freed_place_is_kept_back_and_offered_to_the_first_in_line",
            WISH_RACES + "test_many_offerers_make_each_offer_once_and_in_the_order_of_joining",
            WISH_RACES + "test_a_cancel_storm_with_fifty_wishes",
            MODEL,
        ),
    ),
    Invariant(
        "R24",
        "No offer after closing, to an ended wish or to somebody served.",
        ("uq_one_live_wish_per_patient_and_session", "ck_wish_ended_says_when"),
        "asked of the rows under the wish's lock; accepting asks every rule again",
        (
            WAITING + "test_r24_one_patient_waits_twice_for_a_session",
            WISHES + "test_a_place_that_waits_when_its_list_closes_is_not_offered_any_more",
            WISHES + "test_who_has_booked_meanwhile_is_not_offered_anything",
            WISHES + "test_leaving_gives_the_offer_to_the_next",
            WISH_RACES + "test_accept_and_expiry_have_one_winner",
            MODEL,
        ),
    ),
    Invariant(
        "R25",
        "Queue numbers are unique in a session and day and never given again.",
        ("uq_one_queue_number_per_session",),
        "counted up by one statement",
        (
            INDEXES + "test_r25_a_queue_number_given_twice",
            RACES + "test_queue_numbers_are_unique_when_two_desks_check_in",
            AFTER + "test_check_in_gives_each_a_number_once",
            FINISH + "test_whoever_comes_after_all_gets_a_new_number",
            MODEL,
        ),
    ),
    Invariant(
        "R26",
        "A no-show counts once, only after the rule time, on evidence.",
        ("uq_one_event_per_version",),
        "judged under the row's lock by a pure function of the facts",
        (
            NO_SHOW + "test_it_is_judged_once_by_many_workers",
            NO_SHOW + "test_nothing_is_judged_before_the_rule_time",
            NO_SHOW + "test_nobody_is_judged_who_was_not_told",
            NO_SHOW + "test_a_cancelled_visit_never_becomes_a_no_show",
            NO_SHOW + "test_a_desk_ticket_before_the_rule_time_keeps_a_visit_from_being_judged",
            NO_SHOW + "test_late_cancellations_never_close_online_booking",
            MODEL,
        ),
    ),
    Invariant(
        "R27",
        "A blocked patient is told by whom, why, until when and how to appeal.",
        ("uq_one_appeal_per_appointment",),
        "asked at confirm, a pure function of history and policy",
        (
            NO_SHOW + "test_three_no_shows_close_online_booking_and_the_refusal_says_"
            "by_whom_why_until_when_and_how",
            NO_SHOW + "test_the_block_expires_by_itself",
            NO_SHOW + "test_an_excused_no_show_takes_its_block_with_it",
        ),
    ),
    Invariant(
        "R28",
        "All rows of one chain belong to one hospital.",
        (
            "fk_slot_hospital_id_session_id",
            "fk_place_hospital_id_slot_id",
            "fk_appointment_hospital_id_place_id",
        ),
        "every key of an owned table names the hospital",
        (
            REMOVED + "test_r28_a_row_that_points_into_another_hospital",
            REMOVED + "test_r28_every_key_of_an_owned_table_names_the_hospital",
            "tests/guards/test_schema.py::test_rows_of_one_hospital_cannot_point_into_another",
        ),
    ),
    Invariant(
        "R29",
        "Every staff change was allowed to that person in that hospital.",
        (),
        "each verb asks the table of rights first",
        (
            REMOVED + "test_r29_staff_without_the_right",
            AFTER + "test_a_stop_needs_a_reason_and_the_right",
            SCHEDULE + "test_nobody_else_changes_the_schedule_and_nothing_changes",
            "tests/rules/test_staff_rules.py::test_no_staff_may_do_anything_in_a_foreign_hospital",
        ),
    ),
    Invariant(
        "R30",
        "The audit trail is complete and append-only.",
        (),
        "each staff verb records in its own transaction",
        (
            SCHEDULE + "test_every_change_of_staff_is_written_down_with_who_and_what",
            "tests/verbs/test_desk_moves.py::test_what_staff_cancel_stands_in_the_trail_with_whose_wish_and_why",
            "tests/verbs/test_desk_moves.py::test_what_staff_move_stands_in_the_trail_with_both_places",
        ),
        "append-only is a habit of the code, not yet a right withheld by the database",
    ),
    Invariant(
        "R31",
        "Instants are UTC, decisions in clinic wall time, also over changes of the clocks.",
        (),
        "wall time is the truth, the instant is derived once",
        (
            SCHEDULE + "test_release_and_hours_keep_clinic_wall_time_over_a_change_of_the_clocks",
            SCHEDULE + "test_a_night_clinic_loses_the_hour_that_summer_time_skips",
            "tests/rules/test_reminders.py::test_reminders_keep_clinic_wall_time_over_a_change_of_the_clocks",
            AFTER + "test_times_are_wall_times_of_the_clinic",
            "tests/verbs/test_summer_time.py::"
            "test_the_deadline_of_a_visit_is_a_wall_time_also_when_the_clocks_change_before_it",
        ),
    ),
    Invariant(
        "R32",
        "A shown count is at most 2 s old and never decides.",
        (),
        "pages count when they are answered; a kept copy is asked for anew",
        (
            "tests/doors/test_web_counts.py::"
            "test_the_count_on_a_page_falls_with_the_next_booking_also_for_a_kept_copy",
            "tests/doors/test_web_counts.py::test_an_old_page_may_promise_what_the_database_then_refuses",
            MODEL,
        ),
    ),
    Invariant(
        "R33",
        "A refused request changed no business row.",
        (),
        "a refusal rolls the verb's transaction back",
        (
            REMOVED + "test_r33_a_refused_request_leaves_nothing",
            HOLD + "test_a_refused_request_leaves_no_key",
            REPLAYS + "test_the_same_key_with_another_body_is_refused_and_changes_nothing",
        ),
    ),
    Invariant(
        "R34",
        "Migrations keep all of this while the previous release still runs.",
        (),
        "new columns may be left out; nothing old goes",
        (
            "tests/faults/test_previous_release.py::"
            "test_the_previous_release_works_on_while_the_schema_is_migrated_under_it",
            "tests/faults/test_previous_release.py::"
            "test_no_migration_asks_of_the_previous_release_what_it_does_not_know",
        ),
    ),
)
