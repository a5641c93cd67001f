"""The storm's checkers themselves: each is told an honest history and a lie, and must notice the lie."""

from __future__ import annotations

import pytest

from tests.storm.asking import refusal
from tests.storm.checkers import (
    Evidence,
    Row,
    r1_r3_places,
    r8_r9_keys,
    r10_double_clicks,
    r11_durable,
    r12_no_phantom,
    r14_late_confirms,
    r16_release,
    r17_stopped,
    r22_offers,
    unknowns,
)
from tests.storm.wire import Answer

pytestmark = pytest.mark.rules
SLOT, SESSION = "1-slot", "1-session"


def asked(op, at, said, name="", *, ok=True, **about):
    return {
        "op": op, "at": at, "end": at + 0.1, "result": "ok" if ok else "fail", "said": said,
        "appointment": name, **about,
    }  # fmt: skip


def hold(name, at, **about):
    return asked("hold", at, "held", name, slot=SLOT, **about)


def row(name, *events, until=None):
    """Events are (verb, from, to, at)."""
    return Row(name, events[-1][2], SLOT, SESSION, events[0][3], until, list(events))


def held(name, at, *later, until=1000.0):
    return row(name, ("hold", None, "held", at + 0.05), *later, until=until)


def seen(records, rows=(), *, places=1, released=None, waited_for=()):
    return Evidence(
        list(records), {one.name: one for one in rows}, {SESSION: places}, {SLOT: SESSION}, released or {},
        set(waited_for),
    )  # fmt: skip


def rules(found):
    return {rule for rule, _said in found}


def booked(at):
    return "confirm", "held", "booked", at


def confirm(name, at, said="booked", **about):
    return asked("confirm", at, said, name, of=name, **about)


def test_two_people_on_one_place_are_noticed():
    one, two = held("a", 1.0), held("b", 2.0)
    records = [hold("a", 1.0), hold("b", 2.0)]
    assert not r1_r3_places(seen(records, [one, two], places=2))
    assert rules(r1_r3_places(seen(records, [one, two], places=1))) == {"R1"}


def test_an_accepted_offer_and_a_telephone_booking_count_and_an_added_number_does_not():
    offered = row("a", ("offer", None, "held", 1.0), ("accept", "held", "booked", 2.05))
    phoned = row("b", ("book_at_desk", None, "booked", 3.05))
    added = row("c", ("add_extra", None, "booked", 4.05))
    accept = asked("accept", 2.0, "booked", "a", of="a", wish="w", slot=SLOT)
    phone, extra = (
        asked(op, at, "booked", n, slot=SLOT) for op, at, n in (("phone", 3.0, "b"), ("extra", 4.0, "c"))
    )
    assert rules(r1_r3_places(seen([accept, phone], [offered, phoned]))) == {"R1"}
    assert not r1_r3_places(seen([accept, extra], [offered, added]))


def test_full_while_a_place_was_free_is_noticed_except_where_people_wait():
    full = asked("hold", 5.0, "full", ok=False, slot=SLOT)
    records = [hold("a", 1.0), full]
    assert not r1_r3_places(seen(records, [held("a", 1.0)]))
    gone = held("a", 1.0, ("release", "held", "expired", 2.0), until=2.0)
    assert rules(r1_r3_places(seen(records, [gone]))) == {"R3"}
    assert not r1_r3_places(seen(records, [gone], waited_for=[SLOT]))


def test_a_key_that_led_elsewhere_or_did_other_things_is_noticed():
    assert not r8_r9_keys(seen([confirm("a", 1.0)]))
    assert rules(r8_r9_keys(seen([confirm("a", 1.0) | {"appointment": "b"}]))) == {"R8"}
    assert not r8_r9_keys(seen([asked("misuse", 1.0, "other body", ok=False, of="a")]))
    assert rules(r8_r9_keys(seen([asked("misuse", 1.0, "done", of="a")]))) == {"R9"}


def test_a_double_click_that_held_twice_is_noticed():
    double = asked("double", 1.0, "two", "a", ok=False, other="b")
    rows = [held("a", 1.0), held("b", 1.1)]
    assert rules(r10_double_clicks(seen([double], rows))) == {"R10"}
    run_out = [held("a", 1.0, until=1.08), held("b", 1.1)]
    assert not r10_double_clicks(seen([double], run_out))


@pytest.mark.parametrize(
    ("record", "whole", "lost"),
    [
        (hold("a", 1.0), held("a", 1.0), None),
        (confirm("a", 2.0), held("a", 1.0, booked(2.0)), held("a", 1.0)),
        (asked("accept", 2.0, "booked", "a", of="a", wish="w"),
         row("a", ("offer", None, "held", 1.0), ("accept", "held", "booked", 2.0)),
         row("a", ("offer", None, "held", 1.0))),
        (asked("decline", 2.0, "done", of="a"),
         row("a", ("offer", None, "held", 1.0), ("decline", "held", "expired", 2.0)),
         row("a", ("offer", None, "held", 1.0))),
        (asked("cancel", 3.0, "done", of="a"),
         held("a", 1.0, booked(2.0), ("cancel", "booked", "cancelled", 3.0)), held("a", 1.0, booked(2.0))),
        (asked("phone", 1.0, "booked", "a", slot=SLOT), row("a", ("book_at_desk", None, "booked", 1.0)), held("a", 1.0)),
    ],
)  # fmt: skip
def test_what_was_acknowledged_and_is_gone_is_noticed(record, whole, lost):
    assert not r11_durable(seen([record], [whole]))
    assert rules(r11_durable(seen([record], [lost] if lost else []))) == {"R11"}


def test_an_appointment_nobody_asked_for_is_noticed_and_an_offer_is_not_one():
    assert not r12_no_phantom(seen([hold("a", 1.0)], [held("a", 1.0)]))
    assert rules(r12_no_phantom(seen([], [held("a", 1.0)]))) == {"R12"}
    assert not r12_no_phantom(seen([], [row("a", ("offer", None, "held", 1.0))]))


def test_a_hold_that_had_run_out_and_is_booked_is_noticed():
    late = confirm("a", 3.0, "expired", ok=False)
    assert not r14_late_confirms(seen([late], [held("a", 1.0, until=2.0)]))
    assert rules(r14_late_confirms(seen([late], [held("a", 1.0, booked(2.5), until=2.0)]))) == {"R14"}


def test_a_place_before_its_release_and_not_yet_after_it_are_noticed():
    released = {SESSION: 10.0}
    assert not r16_release(seen([hold("a", 10.1)], released=released))
    assert rules(r16_release(seen([hold("a", 5.0)], released=released))) == {"R16"}
    early = asked("hold", 12.0, "early", ok=False, slot=SLOT)
    assert rules(r16_release(seen([early], released=released))) == {"R16"}


def test_a_sale_between_a_stop_and_its_reopening_is_noticed():
    stop = asked("stop", 1.0, "done", session=SESSION)
    reopen = asked("reopen", 9.0, "done", session=SESSION)
    sale = hold("a", 5.0)
    assert rules(r17_stopped(seen([stop, sale, reopen], [held("a", 5.0)]))) == {"R17"}
    assert not r17_stopped(seen([stop, reopen, hold("a", 10.0)], [held("a", 10.0)]))


def test_an_offer_that_was_over_and_is_booked_or_a_wish_served_twice_is_noticed():
    taken = row("a", ("offer", None, "held", 1.0), ("accept", "held", "booked", 2.0))
    over = asked("accept", 2.0, "over", ok=False, of="a", wish="w")
    assert rules(r22_offers(seen([over], [taken]))) == {"R22"}
    twice = [asked("accept", 2.0, "booked", name, of=name, wish="w") for name in ("a", "b")]
    assert rules(r22_offers(seen(twice))) == {"R22"}
    assert not r22_offers(seen(twice[:1], [taken]))


def test_what_stayed_unknown_is_noticed():
    assert rules(unknowns(seen([hold("a", 1.0) | {"result": "unknown"}]))) == {"unresolved"}


def test_what_a_page_would_say_later_is_not_what_it_says():
    page = '<p data-say="保留时间已到，点确认时会再查一次">同一班次只能约一次</p>'
    assert refusal(Answer(409, b"", page.encode())) == "twice"
    assert refusal(Answer(409, b"", "<p>保留时间已到，这个时间还有号</p>".encode())) == "expired"
