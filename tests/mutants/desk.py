"""Mutants of what staff do for a patient: not written down, past the order of places, or past a limit without a reason."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CANCEL = "booking/appointments/cancel.py"
MOVE = "booking/appointments/move.py"
OVERRULE = "booking/appointments/overrule.py"

MOVES = "tests/verbs/test_desk_moves.py::"

DESK = (
    Mutant(
        "staff-cancel-unrecorded",
        "what staff cancel is written down in the same transaction",
        "R30",
        CANCEL,
        (
            (
                "        if actor.is_staff:\n            change = {",
                "        if False:\n            change = {",
            ),
        ),
        (MOVES + "test_what_staff_cancel_stands_in_the_trail_with_whose_wish_and_why",),
    ),
    Mutant(
        "staff-move-unrecorded",
        "what staff move is written down in the same transaction",
        "R30",
        MOVE,
        (
            (
                "        if actor.is_staff:\n            change = {",
                "        if False:\n            change = {",
            ),
        ),
        (MOVES + "test_what_staff_move_stands_in_the_trail_with_both_places",),
    ),
    Mutant(
        "desk-move-takes-any-place",
        "a move at the desk looks for a place in the order of booking there, and in others' only with a reason",
        "R16",
        MOVE,
        (
            (
                "        channels = pools(WAYS, fits, released=facts.clinic.release_at <= now, override=override)\n",
                '        channels = ["web", *pools(WAYS, fits, released=True, override="any")]\n',
            ),
        ),
        (
            MOVES + "test_staff_move_into_the_places_they_book_in_the_same_order",
            MOVES + "test_a_place_kept_for_others_or_not_released_asks_for_a_reason_that_the_trail_keeps",
            "tests/races/test_desk_races.py::test_moves_at_the_desk_and_the_web_get_each_what_is_theirs",
        ),
    ),
    Mutant(
        "desk-move-past-a-limit-without-reason",
        "a limit of the patient stops a move at the desk until a reason is given",
        "R6",
        OVERRULE,
        (("        if not override.strip():\n", "        if False:\n"),),
        (MOVES + "test_a_limit_asks_staff_for_a_reason_and_what_it_overruled_is_kept",),
    ),
    Mutant(
        "anybodys-reason-opens-kept-places",
        "a reason counts only from staff",
        "R16",
        MOVE,
        (
            (
                '    override = override.strip() if actor.is_staff else ""\n',
                "    override = override.strip()\n",
            ),
            (
                "    if actor.is_staff:\n        patient = ",
                "    if actor.is_staff or override:\n        patient = ",
            ),
        ),
        (MOVES + "test_people_who_move_themselves_get_places_of_the_web_whatever_reason_they_give",),
    ),
)
