"""Who may do what: every cell of the table, written down a second time, and never in a foreign hospital."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from booking.errors import NotAllowed
from booking.staff.rules import MAY, ROLES, SYSTEM, Actor, ensure_may, may

VERBS = [
    "hold",
    "extend_hold",
    "release_hold",
    "confirm",
    "cancel",
    "move",
    "read_appointment",
    "read_schedule",
    "read_own_schedule",
    "change_template",
    "apply_template",
    "change_session",
    "publish",
    "stop_session",
    "reopen_session",
    "read_day",
    "check_in",
    "undo_check_in",
    "finish",
    "excuse",
    "answer_appeal",
    "appeal",
    "expire",
    "enter_draw",
    "draw",
    "book_at_desk",
    "register_patient",
    "add_extra",
    "join_wish",
    "leave_wish",
    "accept_offer",
    "decline_offer",
    "offer_places",
    "end_wishes",
    "confirm_coming",
    "read_delivery",
    "make_calls",
    "resend",
]
# one column for each verb above, in that order
TABLE = {
    "browser": "xxx...................................",
    "account": "xxxxxxx..............x.x....xxxx..x...",
    "code": "....x.x..............x............x...",
    "scheduler": ".......xxxxxxxx....................xx.",
    "desk": "....xxxxx......xxxxxx....xxx.xxx...xxx",
    "doctor": "........x.............................",
    "admin": "....xxxxxxxxxxxxxxxxx....xxx.xxx...xxx",
    "system": ".........xxxxxx.......x.x.......xx....",
    "nobody": "......................................",
}
CELLS = [(role, verb, row[at] == "x") for role, row in TABLE.items() for at, verb in enumerate(VERBS)]


def actor(kind, hospital_id=7):
    return Actor(kind, "1", "某人", hospital_id=hospital_id if kind in ROLES else None)


@pytest.mark.parametrize(("role", "verb", "allowed"), CELLS)
def test_every_cell_of_the_table_at_home(role, verb, allowed):
    assert may(actor(role), verb, 7) is allowed
    if allowed:
        ensure_may(actor(role), verb, 7)
    else:
        with pytest.raises(NotAllowed) as refused:
            ensure_may(actor(role), verb, 7)
        assert (refused.value.status, refused.value.text) == (403, "你的账号没有做这件事的权限。")


@pytest.mark.parametrize(("role", "verb"), list(itertools.product(ROLES, VERBS)))
def test_no_staff_may_do_anything_in_a_foreign_hospital(role, verb):
    assert not may(actor(role), verb, 8)
    assert not may(Actor(role, "1"), verb, 7), "staff without a hospital have none"


def test_the_table_here_names_every_role_and_verb_there():
    assert set(MAY) == set(TABLE) - {"nobody"}
    assert set().union(*MAY.values()) == set(VERBS)


def test_every_verb_that_code_asks_about_is_in_the_table():
    asked = set()
    for file in (Path(__file__).parents[2] / "booking").rglob("*.py"):
        asked |= set(re.findall(r"""(?:ensure_may|\bmay)\(\s*[\w.()]+,\s*"(\w+)\"""", file.read_text()))
    assert asked and asked <= set(VERBS)


def test_the_worker_reads_and_books_nothing():
    assert not any(
        may(SYSTEM, verb, 7) for verb in VERBS if verb.startswith("read") or verb in ("confirm", "check_in")
    )
