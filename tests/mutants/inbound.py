"""Mutants of what comes in: receipts that anybody may send, count twice or go backwards."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CALLBACKS = "booking/notices/callbacks.py"
RECEIPTS = "booking/notices/receipts.py"

KEPT = "tests/notices/test_receipts.py::"
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
        (("or_(tried, _MESSAGE.c.status.in_(outranked))", "_MESSAGE.c.status.in_(outranked)"),),
        (KEPT + "test_a_receipt_that_comes_before_the_sender_has_settled_ends_the_letter",),
    ),
    Mutant(
        "receipt-wakes-the-dead",
        "a letter that ended otherwise stays what it is",
        "N13",
        RECEIPTS,
        (("or_(tried, _MESSAGE.c.status.in_(outranked)),", '_MESSAGE.c.status != "delivered",'),),
        (
            KEPT + "test_a_late_receipt_about_a_letter_that_ended_otherwise_is_kept_and_harmless",
            KEPT + "test_a_letter_nobody_has_tried_yet_is_not_ended_by_a_receipt",
        ),
    ),
)
