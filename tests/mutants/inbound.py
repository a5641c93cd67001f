"""Mutants of what comes in: receipts that anybody may send, count twice or go backwards."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CALLBACKS = "booking/notices/callbacks.py"
RECEIPTS = "booking/notices/receipts.py"

REPLIES = "booking/notices/replies.py"
REPLY_RULES = "booking/notices/reply_rules.py"

KEPT = "tests/notices/test_receipts.py::"
SAID = "tests/notices/test_replies.py::"
READ = "tests/rules/test_callbacks.py::"

INBOUND = (
    Mutant(
        "signature-not-compared",
        "a callback with a bad signature changes nothing",
        "N13",
        CALLBACKS,
        (("return same(signed, signature(key, stamp, body))", "return bool(signed)"),),
        (
            READ + "test_the_gateway_signs_time_and_body",
            KEPT + "test_a_bad_or_stale_signature_changes_nothing",
            KEPT + "test_the_signature_of_another_body_is_none",
        ),
    ),
    Mutant(
        "signature-for-ever",
        "a signed call that was overheard is worth nothing five minutes later",
        "N13",
        CALLBACKS,
        ((" or abs(seconds_since(float(stamp))) > STALE_SECONDS", ""),),
        (KEPT + "test_a_bad_or_stale_signature_changes_nothing",),
    ),
    Mutant(
        "no-secret-is-a-secret",
        "a provider that is not set up has no door",
        "N13",
        CALLBACKS,
        (("    if not key:\n        return False\n", ""),),
        (READ + "test_those_who_do_not_sign_come_by_a_secret_address",),
    ),
    Mutant(
        "receipt-counts-twice",
        "the same event is kept once",
        "N13",
        RECEIPTS,
        (("    insert(_RECEIPT).on_conflict_do_nothing().returning", "    insert(_RECEIPT).returning"),),
        (KEPT + "test_the_same_event_counts_once",),
    ),
    Mutant(
        "receipt-goes-backwards",
        "a failure told late does not undo a delivery",
        "N13",
        RECEIPTS,
        (('_apply("failed", ("accepted",))', '_apply("failed", ("accepted", "delivered"))'),),
        (KEPT + "test_receipts_in_any_order_end_the_same",),
    ),
    Mutant(
        "delivery-does-not-outrank-a-failure",
        "a delivery told after a failure counts",
        "N13",
        RECEIPTS,
        (('("accepted", "failed")', '("accepted",)'),),
        (KEPT + "test_receipts_in_any_order_end_the_same",),
    ),
    Mutant(
        "early-receipt-lost",
        "a receipt that comes before the sender has settled ends the letter",
        "N13",
        RECEIPTS,
        (("or_(tried, _is(outranked))", "_is(outranked)"),),
        (KEPT + "test_a_receipt_that_comes_before_the_sender_has_settled_ends_the_letter",),
    ),
    Mutant(
        "receipt-wakes-the-dead",
        "a letter that ended otherwise stays what it is",
        "N13",
        RECEIPTS,
        (("or_(tried, _is(outranked)),", '_MESSAGE.c.status != "delivered",'),),
        (
            KEPT + "test_a_late_receipt_about_a_letter_that_ended_otherwise_is_kept_and_harmless",
            KEPT + "test_a_letter_nobody_has_tried_yet_is_not_ended_by_a_receipt",
        ),
    ),
    Mutant(
        "reply-code-for-any-phone",
        "the code in a reply is worth something from its own phone only",
        "reply",
        REPLY_RULES,
        (
            (
                'short_code(f"reply {appointment_id.hex} {phone_hash}", CODE_DIGITS)',
                'short_code(f"reply {appointment_id.hex}", CODE_DIGITS)',
            ),
        ),
        (
            "tests/rules/test_reply_rules.py::test_a_code_belongs_to_one_visit_and_one_phone",
            SAID + "test_the_patients_own_phone_answers_too_with_its_own_code",
        ),
    ),
    Mutant(
        "reply-denied-is-done",
        "a wish that is denied or asked about changes nothing",
        "reply",
        REPLY_RULES,
        (
            (
                "any(_UNWANTED.search(said[: one.start()]) or _ASKING.match(said, one.end()) for one in found)",
                "False",
            ),
        ),
        ("tests/rules/test_reply_rules.py::test_a_reply_is_read_as_it_is_meant",),
    ),
    Mutant(
        "reply-about-anybodys-visit",
        "a reply finds the visits of its own phone only",
        "reply",
        REPLIES,
        (
            (
                "whose.append(and_(at.account_id == owner.account_id, at.starts_at > since))",
                "whose.append(at.starts_at > since)",
            ),
            (
                "reply_code(row.id, phone_hash) == asked.code",
                "asked.code in (reply_code(row.id, phone_hash), reply_code(row.id, _hash(session, row)))",
            ),
            (
                "def _owner(",
                "def _hash(session: Session, row: Any) -> str:\n    return session.get_one(Account, row.account_id).phone_hash\n\n\ndef _owner(",
            ),
        ),
        (SAID + "test_a_code_from_another_phone_is_worth_nothing",),
    ),
    Mutant(
        "reply-code-not-asked",
        "a wrong code changes nothing",
        "reply",
        REPLIES,
        (("if reply_code(row.id, phone_hash) == asked.code]", "]"),),
        (SAID + "test_after_some_wrong_codes_a_phone_is_not_listened_to_for_a_day",),
    ),
    Mutant(
        "reply-codes-may-be-guessed",
        "after some wrong codes a phone is not listened to for a day",
        "reply",
        REPLIES,
        (("    if wrong >= WRONG_PER_DAY:\n", "    if wrong > 10_000:\n"),),
        (SAID + "test_after_some_wrong_codes_a_phone_is_not_listened_to_for_a_day",),
    ),
    Mutant(
        "reply-event-twice",
        "the same event of a reply is kept once",
        "reply",
        REPLIES,
        (("    insert(_REPLY).on_conflict_do_nothing().returning", "    insert(_REPLY).returning"),),
        (SAID + "test_the_same_event_does_once", SAID + "test_a_signed_reply_is_acted_on_at_once_and_once"),
    ),
    Mutant(
        "two-machines-talk",
        "one phone gets so many answers a day",
        "reply",
        REPLIES,
        ((" and _answers(session, reply, did.word, now) < ANSWERS_PER_DAY", ""),),
        (
            SAID + "test_two_machines_do_not_talk_for_ever",
            SAID + "test_what_nobody_understands_changes_nothing_and_is_answered_once",
        ),
    ),
    Mutant(
        "the-word-outlives-a-move",
        "moving takes the word back that somebody comes",
        "reply",
        "booking/appointments/move.py",
        (('        values["coming_at"] = None  # that was said of the other time\n', ""),),
        (SAID + "test_moving_takes_the_word_back",),
    ),
)
