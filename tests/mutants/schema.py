"""Mutants of the schema: a constraint that was never made."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

TABLES = "migrations/versions/0004_schedule_and_appointments.py"
PEOPLE = "migrations/versions/0003_people_and_staff.py"
REMOVED = "tests/faults/test_guards_removed.py::"
INDEXES = "tests/faults/test_indexes_removed.py::"
RACES = "tests/races/test_races.py::"


def not_unique(columns: str) -> tuple[tuple[str, str], ...]:
    """An index over these columns that no longer demands one of each."""
    return ((f"        [{columns}],\n        unique=True,", f"        [{columns}],\n        unique=False,"),)


SCHEMA = (
    Mutant(
        "no-unique-active-place",
        "uq_one_active_appointment_per_place",
        "R1",
        TABLES,
        (
            (
                '        sa.UniqueConstraint("hospital_id", "holds_place_id", name="uq_one_active_appointment_per_place"),\n',
                "",
            ),
        ),
        (REMOVED + "test_r1_a_place_sold_twice",),
    ),
    Mutant(
        "no-key-from-appointment-to-place",
        "fk_active_appointment_and_place_agree",
        "R2, R15",
        TABLES,
        (
            (
                """        sa.ForeignKeyConstraint(
            ["hospital_id", "holds_place_id", "id"],
            ["place.hospital_id", "place.id", "place.appointment_id"],
            name="fk_active_appointment_and_place_agree",
            initially="DEFERRED",
            deferrable=True,
        ),
""",
                "",
            ),
        ),
        (
            REMOVED + "test_r2_a_place_freed_under_its_patient",
            REMOVED + "test_r15_a_place_returned_twice",
        ),
    ),
    Mutant(
        "no-key-from-place-to-appointment",
        "fk_taken_place_and_appointment_agree",
        "R2, R20",
        TABLES,
        (
            (
                """        sa.ForeignKeyConstraint(
            ["hospital_id", "id", "appointment_id"],
            ["appointment.hospital_id", "appointment.holds_place_id", "appointment.id"],
            name="fk_taken_place_and_appointment_agree",
            initially="DEFERRED",
            deferrable=True,
            use_alter=True,
        ),
""",
                "",
            ),
            (
                """    if op.get_bind().dialect.name != "sqlite":
        op.create_foreign_key(
""",
                """    if False:
        op.create_foreign_key(
""",
            ),
        ),
        (
            REMOVED + "test_r2_an_ended_visit_that_keeps_its_place",
            REMOVED + "test_r20_a_move_that_keeps_both_places",
        ),
    ),
    Mutant(
        "no-unique-patient-in-session",
        "uq_one_active_appointment_per_patient_and_session",
        "R4",
        TABLES,
        not_unique('"hospital_id", "session_id", "patient_id"'),
        (REMOVED + "test_r4_one_patient_twice_in_a_session",),
    ),
    Mutant(
        "no-unique-hold-of-a-slot",
        "uq_one_hold_per_holder_and_slot",
        "R10",
        TABLES,
        not_unique('"hospital_id", "holder", "slot_id"'),
        (REMOVED + "test_r10_a_double_click",),
    ),
    Mutant(
        "no-unique-seat-of-a-browser",
        "uq_one_hold_per_holder_seat",
        "R7",
        TABLES,
        not_unique('"hospital_id", "holder", "holder_seat"'),
        (
            INDEXES + "test_r7_one_browser_twice_in_a_seat",
            "tests/races/test_known_patients.py::test_one_browser_that_presses_eight_times_at_once_holds_one",
        ),
    ),
    Mutant(
        "no-unique-seat-of-an-account",
        "uq_one_hold_per_account_seat",
        "R7",
        TABLES,
        not_unique('"hospital_id", "holder_account_id", "holder_seat"'),
        (REMOVED + "test_r7_a_third_hold", RACES + "test_the_caps_on_holds_stand_in_parallel"),
    ),
    Mutant(
        "no-unique-open-seat",
        "uq_one_open_hold_per_session_seat",
        "R7",
        TABLES,
        not_unique('"hospital_id", "session_id", "open_seat"'),
        (INDEXES + "test_r7_two_account_less_holds_in_one_seat_of_the_session",),
    ),
    Mutant(
        "no-unique-queue-number",
        "uq_one_queue_number_per_session",
        "R25",
        TABLES,
        (
            (
                """        sa.UniqueConstraint(
            "hospital_id", "session_id", "queue_number", name="uq_one_queue_number_per_session"
        ),
""",
                "",
            ),
        ),
        (INDEXES + "test_r25_a_queue_number_given_twice",),
    ),
    Mutant(
        "no-unique-visit-code",
        "uq_one_visit_code_per_day",
        "visit codes",
        TABLES,
        (
            (
                '        sa.UniqueConstraint("hospital_id", "visit_date", "visit_code", name="uq_one_visit_code_per_day"),\n',
                "",
            ),
        ),
        (INDEXES + "test_two_visits_of_a_day_never_share_a_code",),
    ),
    Mutant(
        "no-unique-event",
        "uq_one_event_per_version",
        "R13",
        TABLES,
        (
            (
                '        sa.UniqueConstraint("hospital_id", "appointment_id", "version", name="uq_one_event_per_version"),\n',
                "",
            ),
        ),
        (REMOVED + "test_r13_two_events_for_one_version",),
    ),
    Mutant(
        "no-unique-request-key",
        "pk_request_key",
        "R8, R9",
        TABLES,
        (('        sa.PrimaryKeyConstraint("hospital_id", "key", name=op.f("pk_request_key")),\n', ""),),
        (
            INDEXES + "test_r8_a_key_that_stands_twice",
            "tests/verbs/test_replays.py::test_the_same_key_with_another_body_is_refused_and_changes_nothing",
        ),
    ),
    Mutant(
        "no-check-of-withdrawn-places",
        "ck_place_withdrawn_is_free",
        "R19",
        TABLES,
        (
            (
                """        sa.CheckConstraint(
            "NOT (withdrawn AND appointment_id IS NOT NULL)", name=op.f("ck_place_withdrawn_is_free")
        ),
""",
                "",
            ),
        ),
        (INDEXES + "test_r19_a_sold_place_that_is_withdrawn",),
    ),
    Mutant(
        "no-check-that-active-holds-a-place",
        "ck_appointment_active_holds_a_place",
        "R2",
        TABLES,
        (
            (
                """        sa.CheckConstraint(
            "(status IN ('held', 'confirming', 'booked', 'arrived', 'in_visit')) = (holds_place_id IS NOT NULL)",
            name=op.f("ck_appointment_active_holds_a_place"),
        ),
""",
                "",
            ),
        ),
        (INDEXES + "test_a_row_that_contradicts_itself_is_refused",),
    ),
    Mutant(
        "no-key-to-the-linked-patient",
        "fk_account_books_only_for_linked_patients",
        "R7",
        TABLES,
        (
            (
                """        sa.ForeignKeyConstraint(
            ["account_id", "patient_id"],
            ["patient_link.account_id", "patient_link.patient_id"],
            name="fk_account_books_only_for_linked_patients",
        ),
""",
                "",
            ),
        ),
        (REMOVED + "test_r7_booking_for_a_patient_who_is_not_linked",),
    ),
    Mutant(
        "no-check-of-five-patients",
        "ck_patient_link_at_most_five_patients",
        "R7",
        PEOPLE,
        (
            (
                '        sa.CheckConstraint("seat BETWEEN 1 AND 5", name=op.f("ck_patient_link_at_most_five_patients")),\n',
                "",
            ),
        ),
        (REMOVED + "test_r7_a_sixth_patient",),
    ),
)
