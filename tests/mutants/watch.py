"""Mutants of the watch over letters: sending again, the call list, the reconciler, who may see what."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RESEND = "booking/notices/resend.py"
CALLS = "booking/notices/calls.py"
TICK = "booking/notices/tick_off.py"
RECONCILE = "booking/notices/reconcile.py"
DELIVERY = "booking/notices/delivery.py"
SENT = "booking/web/sent.py"
OUTBOX = "booking/outbox.py"

OF_RESEND = "tests/notices/test_resend.py::"
OF_CALLS = "tests/notices/test_calls.py::"
OF_RECONCILE = "tests/notices/test_reconcile.py::"
OF_DELIVERY = "tests/notices/test_delivery.py::"
OF_DESK = "tests/doors/test_desk_delivery.py::"

WATCH = (
    Mutant(
        "resend-of-what-is-no-longer-true",
        "a letter is sent again only while what it says is so",
        "N9",
        RESEND,
        ((', text(f"({WANTED}) IS TRUE"))', ")"),),
        (OF_RESEND + "test_what_is_no_longer_true_is_not_sent_again",),
    ),
    Mutant(
        "resend-of-what-did-not-fail",
        "only what failed or expired is sent again",
        "N7",
        RESEND,
        (
            ("        if letter.status not in OVER:\n            raise NotFailed\n", ""),
            ("Message.status.in_(OVER), ", ""),
        ),
        (OF_RESEND + "test_what_did_not_fail_is_not_sent_again",),
    ),
    Mutant(
        "resend-twice",
        "a second click on 重发 sends nothing more",
        "N2",
        OUTBOX,
        ((':again",\n', ':again{new_id().hex}",\n'),),
        (OF_RESEND + "test_a_failed_letter_goes_out_once_more_as_another_one",),
    ),
    Mutant(
        "call-list-forgets-what-failed",
        "a letter that must arrive and failed is for the telephone",
        "N12",
        CALLS,
        (('Message.status.in_(("failed", "expired", "suppressed"))', 'Message.status.in_(("expired",))'),),
        (OF_CALLS + "test_a_stop_that_reached_no_phone_is_for_the_telephone_once",),
    ),
    Mutant(
        "call-listed-again",
        "what was rung about does not come back on the list",
        "N12",
        CALLS,
        (
            (
                "            Message.kind.in_(MUST_REACH),\n            _never_listed(Message),\n",
                "            Message.kind.in_(MUST_REACH),\n",
            ),
        ),
        (OF_CALLS + "test_nobody_there_keeps_the_call_and_a_second_click_is_no_second_try",),
    ),
    Mutant(
        "offer-not-for-the-telephone",
        "an offer of the waiting list that reached no phone is for the telephone",
        "N12",
        CALLS,
        (('"moved", "confirmed", "wish_offer")', '"moved", "confirmed")'),),
        (OF_CALLS + "test_an_offer_that_reached_no_phone_is_for_the_telephone_first_of_all",),
    ),
    Mutant(
        "call-about-an-offer-that-ran-out",
        "nobody is rung about an offer that can no longer be taken",
        "N12",
        CALLS,
        ((" and row.held_until is not None and row.held_until > now\n", "\n"),),
        (OF_CALLS + "test_an_offer_that_ended_or_arrived_needs_no_call",),
    ),
    Mutant(
        "call-for-what-the-patient-did",
        "nobody is rung about what they did themselves",
        "N12",
        CALLS,
        (('return verb == "stop" or row.cancelled_by == "hospital"', "return True"),),
        (OF_CALLS + "test_what_the_patient_did_needs_no_call_what_the_desk_did_does",),
    ),
    Mutant(
        "call-although-reached",
        "one phone that was reached is enough",
        "N12",
        CALLS,
        (('    if "accepted" in states:\n        return "accepted"\n', ""),),
        (OF_CALLS + "test_one_phone_that_was_reached_is_enough",),
    ),
    Mutant(
        "silence-of-a-provider-without-receipts",
        "silence counts only from a provider that gives receipts",
        "N13",
        CALLS,
        (
            (
                "    if not all(one.provider in receipts_from() and one.sent_at for one in accepted):\n        return False\n",
                "",
            ),
            ("    if not known:\n        return []\n", ""),
            ("            Message.provider.in_(known),\n", ""),
        ),
        (OF_CALLS + "test_silence_after_a_stop_counts_only_from_a_provider_that_gives_receipts",),
    ),
    Mutant(
        "placed-voice-call-counts-as-answered",
        "a voice call that was placed says nothing about whether anybody answered",
        "N12",
        CALLS,
        (('    accepted = [one for one in accepted if one.channel != "voice"] or accepted\n', ""),),
        (OF_CALLS + "test_a_voice_call_that_was_placed_is_no_answer",),
    ),
    Mutant(
        "stuck-letter-waits-for-its-last-try",
        "an urgent letter that cannot leave is for the telephone long before it is given up",
        "N12",
        CALLS,
        (("            *_stuck(session, hospital_id, now),\n", ""),),
        (OF_CALLS + "test_an_urgent_letter_that_cannot_leave_is_for_the_telephone_when_the_visit_is_near",),
    ),
    Mutant(
        "call-stays-after-delivery",
        "a receipt that comes after all closes the call",
        "N13",
        CALLS,
        (('        == "reached"\n', '        == "never"\n'),),
        (OF_CALLS + "test_silence_after_a_stop_counts_only_from_a_provider_that_gives_receipts",),
    ),
    Mutant(
        "no-answer-ends-the-call",
        "whom nobody reached stays on the list",
        "N12",
        TICK,
        (('call.done_at = None if outcome == "no_answer" else now', "call.done_at = now"),),
        (OF_CALLS + "test_nobody_there_keeps_the_call_and_a_second_click_is_no_second_try",),
    ),
    Mutant(
        "double-click-counts-two-tries",
        "a second click on 没人接 is no second try",
        "R10",
        TICK,
        (('        if outcome == "no_answer" and call.tries != tries:\n            return call\n', ""),),
        (OF_CALLS + "test_nobody_there_keeps_the_call_and_a_second_click_is_no_second_try",),
    ),
    Mutant(
        "reconciler-doubles",
        "a repaired letter has the dedupe key its verb would have used",
        "N2",
        OUTBOX,
        (
            (
                "        _row(letter, hospital_id, letter.key(appointment_id, version), now)\n"
                '        | {"appointment_id": appointment_id, "version": version, "repaired": True}\n',
                '        _row(letter, hospital_id, letter.key(appointment_id, version) + ":repaired", now)\n'
                '        | {"appointment_id": appointment_id, "version": version, "repaired": True}\n',
            ),
        ),
        (OF_RECONCILE + "test_what_was_lost_is_put_once_under_the_same_key",),
    ),
    Mutant(
        "reconciler-puts-late-reminders",
        "a reminder whose time is over is not put",
        "N8",
        RECONCILE,
        ((" and (one.kind == kind or one.due_at > now)]", "]"),),
        (OF_RECONCILE + "test_reminders_that_are_over_and_visits_that_were_are_nobodys_debt",),
    ),
    Mutant(
        "reconciler-tells-of-visits-that-were",
        "a letter that is of no use any more is not put",
        "N3",
        RECONCILE,
        (("one.expires_at > now and (", "("),),
        (OF_RECONCILE + "test_reminders_that_are_over_and_visits_that_were_are_nobodys_debt",),
    ),
    Mutant(
        "reconciler-looks-at-the-first-batch-only",
        "every visit of a date is looked at",
        "N4",
        RECONCILE,
        (('        after = codes[-1] or ""\n', "        return\n"),),
        (OF_RECONCILE + "test_a_large_date_is_read_in_batches",),
    ),
    Mutant(
        "alarm-never-rings",
        "failures are counted in the last quarter of an hour",
        "N12",
        DELIVERY,
        (('if status == "failed")', 'if status == "lost")'),),
        (OF_DELIVERY + "test_the_alarm_rings_above_two_in_a_hundred",),
    ),
    Mutant(
        "patients-own-number-shown",
        "the booker sees the patient's own phone only masked",
        "N19",
        SENT,
        (("phone=mask_phone(view.patient_phone)", "phone=view.patient_phone.removeprefix('+86')"),),
        (OF_DESK + "test_the_patient_sees_what_was_sent_planned_and_not_sent",),
    ),
)
