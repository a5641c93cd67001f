"""Mutants of whose an offer is and what it counts for, and of places added at the desk."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SEATS = "booking/appointments/seats.py"
ANSWER = "booking/appointments/answer_offer.py"
ELIGIBLE = "booking/appointments/eligible.py"
EXTRA = "booking/appointments/extra.py"

WISHES = "tests/verbs/test_wishes.py::"
AT_DESK = "tests/verbs/test_at_desk.py::"
RINGS = "tests/verbs/test_wishes_at_desk.py::"

OFFERS = (
    Mutant(
        "offer-counted-as-a-hold",
        "the caps on holds do not count offers",
        "R22",
        SEATS,
        (("            appointment.c.kind != OFFER,\n", ""),),
        (WISHES + "test_an_offer_is_nobody_elses_and_no_ordinary_hold",),
    ),
    Mutant(
        "offer-of-somebody-else-accepted",
        "an offer belongs to the account of its wish",
        "R22",
        ANSWER,
        (
            (
                '    if wish is None or (actor.kind == "account" and wish.account_id != actor.account_id):\n',
                "    if wish is None:\n",
            ),
        ),
        (WISHES + "test_an_offer_is_nobody_elses_and_no_ordinary_hold",),
    ),
    Mutant(
        "answer-of-the-desk-unwritten",
        "what the desk answers for somebody who waits is written down with who",
        "R30",
        ANSWER,
        (("    if actor.is_staff:\n        change = ", "    if not actor.is_staff:\n        change = "),),
        (
            RINGS + "test_the_desk_accepts_for_whoever_rings_with_the_letters_of_their_own_answer",
            RINGS + "test_the_desk_declines_and_the_next_is_asked_the_turn_is_kept_once",
        ),
    ),
    Mutant(
        "desk-answers-without-the-accounts-limit",
        "an answer at the desk is judged by the account that waits, as its own",
        "R6, R7",
        ANSWER,
        (
            (
                "now=now, account_id=wish.account_id, referral",
                "now=now, account_id=actor.account_id, referral",
            ),
        ),
        (RINGS + "test_the_rules_are_those_of_the_persons_own_answer",),
    ),
    Mutant(
        "offered-to-somebody-served",
        "nobody is offered what they have booked meanwhile",
        "R24",
        ELIGIBLE,
        (("    if _is_served(session, wish, patients, facts):\n", "    if False:\n"),),
        (WISHES + "test_who_has_booked_meanwhile_is_not_offered_anything",),
    ),
    Mutant(
        "added-places-without-a-cap",
        "a session has no more added places than the cap",
        "R19",
        EXTRA,
        (
            ("for one in range(1, cap + 1) if", "for one in range(1, cap + 99) if"),
            ("    if free is None or len(taken) >= cap:\n", "    if free is None:\n"),
        ),
        (
            AT_DESK
            + "test_a_session_has_no_more_added_places_than_the_cap_and_a_cancelled_one_frees_its_number",
        ),
    ),
)
