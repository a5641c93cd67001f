"""Mutants of what is told to whom: consent, quiet hours, verified addresses, names, one reminder for a day."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

REACHING = "booking/notices/reaching.py"
WRITING = "booking/notices/writing.py"
DISCRETION = "booking/notices/discretion.py"
SERVICE = "booking/notices/service.py"
MERGING = "booking/notices/merging.py"
ANNOUNCE = "booking/appointments/announce.py"

PAGES = "booking/web/appointments.py"

REACH = "tests/notices/test_reaching.py::"
MERGE = "tests/notices/test_merging.py::"
OWN_PHONE = "tests/doors/test_own_phone.py::"

TEXTS = (
    Mutant(
        "reminder-at-night",
        "a reminder that was held up does not go out in quiet hours",
        "N17",
        REACHING,
        (("    if awake > now:\n", "    if awake < now:\n"),),
        (REACH + "test_a_reminder_that_was_held_up_waits_for_the_morning",),
    ),
    Mutant(
        "letters-to-an-unverified-address",
        "e-mail goes only to an address that was confirmed",
        "N18",
        REACHING,
        (("person.email if person.email_verified_at else None, ", "person.email, "),),
        (REACH + "test_an_address_nobody_confirmed_gets_no_letter",),
    ),
    Mutant(
        "letters-put-for-an-unverified-address",
        "no letter, of a visit, a wish or a draw, is put for an address that was not confirmed",
        "N18",
        ANNOUNCE,
        (("        if account.email_verified_at:\n", "        if True:\n"),),
        (
            "tests/verbs/test_announce.py::"
            "test_an_address_that_was_not_verified_and_a_channel_without_provider_get_nothing",
            "tests/notices/test_ways_of_lists.py::"
            "test_an_address_nobody_confirmed_hears_of_no_wish_and_no_draw",
        ),
    ),
    Mutant(
        "reminders-although-switched-off",
        "whoever switched reminders off gets none",
        "N17",
        REACHING,
        (("    if not (remind and person.reminders_on):\n", "    if not remind:\n"),),
        (
            REACH + "test_either_may_switch_reminders_off",
            REACH + "test_the_patient_may_switch_off_what_the_booker_keeps",
        ),
    ),
    Mutant(
        "link-without-its-mark",
        "the code of a link counts only with the mark that we alone can make",
        "short links",
        "booking/appointments/wish_queries.py",
        ((" for one in ids if sought.is_it(one)]", " for one in ids]"),),
        ("tests/doors/test_web_wishes.py::test_a_short_link_that_we_did_not_make_leads_nowhere_and_says_so",),
    ),
    Mutant(
        "offer-filed-without-its-link",
        "production does not start when the text of an offer has lost its link",
        "short links",
        "booking/notices/template_check.py",
        (("    if leads and f", "    if not leads and f"),),
        ("tests/letters/test_sms_templates.py::test_an_offer_without_its_link_is_found",),
    ),
    Mutant(
        "own-phone-switched-by-the-booker",
        "reminders to a patient's own phone are switched only by whoever opened the visit with that phone",
        "N17",
        PAGES,
        (
            (
                "    if not found_by_patient(appointment) or view.patient_id is None:\n",
                "    if view.patient_id is None:\n",
            ),
        ),
        (OWN_PHONE + "test_only_who_came_with_that_phone_is_asked",),
    ),
    Mutant(
        "reminders-on-a-quiet-channel",
        "a channel somebody made quiet carries no reminders",
        "N17",
        REACHING,
        (("message.channel in person.quiet_channels:\n", "message.channel in ():\n"),),
        (REACH + "test_a_quiet_channel_gets_no_reminders_and_the_others_do",),
    ),
    Mutant(
        "stop-silenced-by-reminders-off",
        "cancellations, stops and moves ask nobody whether reminders are wished for",
        "N17",
        REACHING,
        (
            (
                "    if message.kind not in OPTIONAL or person is None:\n",
                "    if person is None:\n",
            ),
        ),
        (
            REACH + "test_reminders_off_never_silence_a_stop_a_move_or_a_cancellation",
            REACH + "test_what_is_no_reminder_goes_although_reminders_are_off",
        ),
    ),
    Mutant(
        "full-name-in-letters",
        "a letter names a patient by the surname and a star",
        "N19",
        DISCRETION,
        (('    return f"{name[:size]}*"\n', "    return name if size else name\n"),),
        (
            "tests/letters/test_letters.py::test_no_letter_names_a_patient_in_full_or_what_ails_them",
            "tests/letters/test_wish_letters.py::test_a_short_message_is_short_and_names_nobody_in_full",
        ),
    ),
    Mutant(
        "told-together-and-again",
        "a letter that another one has told is not wanted any more",
        "N2",
        WRITING,
        (("WHEN {TOLD} THEN FALSE\n", ""),),
        (
            MERGE + "test_two_visits_of_a_day_are_one_message_that_names_both",
            MERGE + "test_a_worker_killed_at_any_moment_tells_the_day_once",
        ),
    ),
    Mutant(
        "siblings-do-not-wait",
        "while one letter of the day is to carry the others, they wait for it",
        "N2",
        SERVICE,
        (("wanted=WANTED, waits=WAITS,", "wanted=WANTED,"),),
        (MERGE + "test_many_workers_at_once_tell_every_day_once",),
    ),
    Mutant(
        "told-without-being-written-down",
        "what a letter takes along is written into the letters it takes, before it leaves",
        "N2",
        MERGING,
        ((".values(merged_into=carrier.id, last_error=MERGED)", ".values(last_error=MERGED)"),),
        (MERGE + "test_two_visits_of_a_day_are_one_message_that_names_both",),
    ),
    Mutant(
        "rung-although-reached",
        "nobody is rung whom the short message reached",
        "N2",
        WRITING,
        (
            (
                "AND s.recipient = message.recipient AND s.status = 'delivered') THEN FALSE",
                "AND FALSE) THEN FALSE",
            ),
        ),
        (REACH + "test_nobody_is_rung_whom_the_short_message_reached",),
    ),
    Mutant(
        "everything-is-urgent",
        "only a stop, and the hospital's own change on the day, ring a telephone",
        "N17",
        ANNOUNCE,
        (
            (
                '    if kind not in ("cancelled", "moved") or facts.get("by") != "hospital":\n        return False\n',
                "",
            ),
        ),
        (
            "tests/verbs/test_announce.py::test_only_a_stop_and_the_hospitals_own_change_of_the_same_day_are_urgent",
        ),
    ),
)
