"""Mutants of the waiting list: who is asked about a freed place, in which order, until when, and both of a pair or none."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

PLACES = "booking/appointments/places.py"
ELIGIBLE = "booking/appointments/eligible.py"
OFFERS = "booking/appointments/offers.py"
ANSWER = "booking/appointments/answer_offer.py"
JOIN = "booking/appointments/wishes.py"
RESERVE = "booking/appointments/reserve.py"
ANNOUNCE_WISH = "booking/appointments/announce_wish.py"
WISH_STOPS = "booking/appointments/wish_stops.py"

TURNS = "booking/appointments/turns.py"
SUITS = "booking/appointments/wish_suits.py"

WISHES = "tests/verbs/test_wishes.py::"
WHO = "tests/verbs/test_wish_suits.py::"
WISH_RACES = "tests/races/test_wishes.py::"

WAITING = (
    Mutant(
        "freed-place-sold-unasked",
        "a freed place that somebody waits for rests until the list was asked",
        "R21",
        PLACES,
        (
            (
                "    if not keep_back_if_wanted(session, hospital_id, [place_id], asked=asked) and asked:\n",
                "    if asked:\n",
            ),
        ),
        (WISHES + "test_a_freed_place_is_kept_back_and_offered_to_the_first_in_line",),
    ),
    Mutant(
        "second-stop-has-the-key-of-the-first",
        "a wish is told of each stop of a session, whatever its own round",
        "N2",
        ANNOUNCE_WISH,
        ((" else change[1] if change is not None else wish.round,\n", " else wish.round,\n"),),
        (WISHES + "test_each_stop_of_a_session_is_told_once",),
    ),
    Mutant(
        "stops-of-two-sessions-share-a-key",
        "what a wish is told of one session has another key than what it is told of another",
        "N2",
        ANNOUNCE_WISH,
        (("            about=change[0] if change is not None else None,\n", ""),),
        (WISHES + "test_each_stop_of_a_session_is_told_once",),
    ),
    Mutant(
        "two-stops-leave-it-to-each-other",
        "a stop locks the wishes it may have to tell before it asks what they could still get",
        "R18",
        WISH_STOPS,
        (("        .with_for_update(of=Wish, key_share=True)\n", ""),),
        (WISH_RACES + "test_whoever_waits_for_two_sessions_stopped_at_once_is_told_once",),
    ),
    Mutant(
        "late-joiner-is-asked",
        "only those who had joined when a place came back are asked about it",
        "R23",
        ELIGIBLE,
        (("            Wish.joined_at <= place.freed_at,\n", ""),),
        (WISHES + "test_who_joins_after_a_place_came_back_is_not_asked_about_it",),
    ),
    Mutant(
        "newest-wish-first",
        "the list is asked in the order of joining",
        "R23",
        ELIGIBLE,
        (("        .order_by(Wish.turn_at, Wish.id)\n", "        .order_by(Wish.turn_at.desc())\n"),),
        (WISHES + "test_a_freed_place_is_kept_back_and_offered_to_the_first_in_line",),
    ),
    Mutant(
        "asked-again-about-one-place",
        "nobody is asked twice about a place in one chain of offers",
        "R21",
        ELIGIBLE,
        (
            (
                "        and_(WishOffer.place_id == place.id, WishOffer.made_at >= place.freed_at),\n",
                "",
            ),
        ),
        (WISHES + "test_an_offer_that_runs_out_goes_to_the_next_and_keeps_the_turn_once",),
    ),
    Mutant(
        "offer-accepted-after-its-end",
        "an offer is accepted only until accept_by, by the database's clock",
        "R14, R24",
        ANSWER,
        ((" and row.held_until > now for row in rows)", " for row in rows)"),),
        (WISHES + "test_an_offer_that_runs_out_goes_to_the_next_and_keeps_the_turn_once",),
    ),
    Mutant(
        "offer-that-ran-out-counts-as-a-visit",
        "an offer that ran out keeps its patient from nothing, whether or not it was tidied up",
        "R14",
        JOIN,
        (
            (
                '            or_(Appointment.status != "held", Appointment.held_until > now),\n',
                "",
            ),
        ),
        (WISHES + "test_an_offer_that_ran_out_is_no_visit_and_keeps_nobody_from_joining",),
    ),
    Mutant(
        "half-a-pair-books",
        "of a pair both are booked or none",
        "R21",
        ANSWER,
        (
            (
                "        for row in rows:\n            _book(",
                "        for row in rows[:1]:\n            _book(",
            ),
        ),
        (WISHES + "test_a_pair_gets_two_places_of_one_session_or_none",),
    ),
    Mutant(
        "offer-used-as-a-hold",
        "an offer is accepted or declined, for its own patient; it is no hold",
        "R22",
        RESERVE,
        ((' or (row.kind == "offer" and row.status in ("held", "expired"))', ""),),
        (WISHES + "test_an_offer_is_nobody_elses_and_no_ordinary_hold",),
    ),
    Mutant(
        "offer-after-the-list-closed",
        "no place is offered once its list has closed or its slot is about to",
        "R24",
        OFFERS,
        (("    return facts if now < closes and ", "    return facts if True or "),),
        (WISHES + "test_a_place_that_waits_when_its_list_closes_is_not_offered_any_more",),
    ),
    Mutant(
        "waits-for-what-is-for-others",
        "who could never use a place of what they wait for is refused when joining, as at a booking",
        "R6, R27",
        JOIN,
        (("        ensure_some_use(session, wish, patients, policy, zone=clinic.zone, now=now)\n", ""),),
        (
            WHO + "test_whom_the_session_is_not_for_is_refused_as_at_a_booking_and_nothing_is_written",
            WHO + "test_who_is_blocked_until_the_list_closes_is_told_by_whom_why_and_until_when",
        ),
    ),
    Mutant(
        "one-of-a-pair-asked",
        "both of a pair are asked whether they could use a place",
        "R6, R27",
        SUITS,
        (
            (
                "        refusal = next(iter(_refusals(session, one, patient_ids)), None)\n",
                "        refusal = next(iter(_refusals(session, one, patient_ids[:1])), None)\n",
            ),
        ),
        (WHO + "test_both_of_a_pair_are_asked",),
    ),
    Mutant(
        "wider-wish-refused",
        "a wish some of which can be used is taken",
        "R6",
        SUITS,
        (("        if refusal is None:\n            return\n", ""),),
        (WHO + "test_a_wider_wish_is_taken_while_some_of_it_can_be_used_and_says_what_will_not_be_offered",),
    ),
    Mutant(
        "unreached-offer-costs-the-turn",
        "an offer that ran out although no phone was told of it costs no turn",
        "R23",
        TURNS,
        (("        if session.scalar(reached.limit(1)) is None and ", "        if False and "),),
        (WISHES + "test_an_offer_no_phone_was_told_of_costs_no_turn_and_goes_on",),
    ),
    Mutant(
        "unreached-phone-forgiven-for-ever",
        "a phone that is never reached keeps its turn twice, not for as long as it waits",
        "R23",
        TURNS,
        ((" and _forgiven(session, offer) < FORGIVEN", ""),),
        (WISHES + "test_a_phone_that_is_never_reached_is_forgiven_twice",),
    ),
    Mutant(
        "two-stops-of-a-night-told-twice",
        "a stop ends what an earlier one put for the same people and has not left",
        "N2",
        WISH_STOPS,
        (("    _end_earlier(session, clinic.hospital_id, told)\n", ""),),
        (WISHES + "test_two_stops_in_a_night_are_told_once_in_the_morning",),
    ),
)
