"""Mutants of the release: waves that open early, a draw that could be bent or happen twice."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

QUERIES = "booking/schedule/sellable.py"
OPENINGS = "booking/schedule/openings.py"
FACTS = "booking/appointments/facts.py"
DRAW = "booking/appointments/draw.py"
ENTRIES = "booking/appointments/draw_entries.py"
DRAW_RULES = "booking/appointments/draw_rules.py"

WAVES = "tests/verbs/test_release.py::"
DRAWN = "tests/verbs/test_draw.py::"

RELEASE = (
    Mutant(
        "later-wave-open-at-once",
        "a place of a later wave is not sellable before its instant",
        "R16",
        QUERIES,
        (("        conditions.append(or_(Place.opens_at.is_(None), Place.opens_at <= now))\n", ""),),
        (WAVES + "test_a_later_wave_is_not_held_nor_moved_into_before_its_instant",),
    ),
    Mutant(
        "open-place-closed-again",
        "after the release a place that is open stays open",
        "R3",
        OPENINGS,
        (("if free and (closed or place.id in fresh) and at", "if free and at"),),
        (WAVES + "test_after_the_release_what_is_open_stays_open_and_new_places_join_their_waves",),
    ),
    Mutant(
        "seal-stays-on-a-winners-place",
        "the seal of a draw comes off the places it gave away too",
        "R3",
        OPENINGS,
        (
            (
                "        free = place.appointment_id is None or place.opens_at == SEALED\n",
                "        free = place.appointment_id is None\n",
            ),
        ),
        (DRAWN + "test_wishes_are_kept_and_what_is_left_is_sold_to_whoever_comes",),
    ),
    Mutant(
        "hold-before-the-draw",
        "nothing of a session that is drawn is held before its draw is over",
        "R16",
        FACTS,
        (('if not staff and facts.clinic.sale == "draw" and', "if False and"),),
        (DRAWN + "test_a_hold_before_the_draw_says_how_to_take_part",),
    ),
    Mutant(
        "entries-without-end",
        "entries are taken only in the published window, by the database's clock",
        "fair draw",
        ENTRIES,
        (("clinic.entries_from <= now < clinic.release_at", "clinic.entries_from <= now"),),
        (DRAWN + "test_entries_are_taken_only_in_the_window_by_the_database_clock",),
    ),
    Mutant(
        "entry-does-not-hold-the-list",
        "who is entering keeps the list from closing until they are in it",
        "fair draw",
        ENTRIES,
        (
            (
                'session.get(Draw, (hospital_id, draw_id), with_for_update={"read": True})',
                "session.get(Draw, (hospital_id, draw_id))",
            ),
        ),
        (DRAWN + "test_the_list_closes_only_after_the_last_who_is_entering",),
    ),
    Mutant(
        "draw-without-its-lock",
        "every batch of turns holds the row of its draw",
        "fair draw",
        DRAW,
        (('with_for_update={"key_share": True}, ', ""),),
        (DRAWN + "test_a_second_worker_waits_for_the_turns_of_the_first",),
    ),
    Mutant(
        "seed-not-compared",
        "a seed that does not fit the published commitment draws nothing",
        "fair draw",
        DRAW,
        (("if commitment_of(draw.seed) != draw.commitment:", "if False:"),),
        (DRAWN + "test_another_seed_than_the_published_one_draws_nothing",),
    ),
    Mutant(
        "order-known-before-the-close",
        "the order depends on the closed list",
        "fair draw",
        DRAW_RULES,
        (('f"{seed}|{digest}|{token}"', 'f"{seed}|{token}"'),),
        ("tests/rules/test_draw_rules.py::test_one_more_entry_changes_the_order_of_all",),
    ),
    Mutant(
        "result-without-the-patients-limits",
        "a turn asks the same rules as any booking",
        "R6",
        DRAW,
        (
            (
                "            ensure_patient_may(\n                session, policy, wanted, entry.patient_id, now=now, account_id=entry.account_id\n            )\n",
                "",
            ),
        ),
        (DRAWN + "test_a_patients_own_limits_close_slots_to_them_and_the_file_says_so",),
    ),
)
