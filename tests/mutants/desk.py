"""Mutants of what staff do for a patient: not written down, past the order of places, or past a limit without a reason."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CANCEL = "booking/appointments/cancel.py"
MOVE = "booking/appointments/move.py"

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
)
