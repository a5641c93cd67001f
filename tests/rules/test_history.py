"""Every verb an event can carry and every kind of letter has its words at the desk."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from booking.appointments.announce import TOLD_AS
from booking.desk.history import ACTORS, GROUNDS, VERBS
from booking.notices.draw_letters import ABOUT_A_DRAW
from booking.notices.letters import ABOUT_A_VISIT
from booking.notices.queries import KINDS, kind_label
from booking.notices.wish_letters import ABOUT_A_WISH
from booking.staff.rules import MAY, ROLES

HOME = Path(__file__).resolve().parents[2] / "booking"
SLICES = ("appointments", "notices", "people", "demo")
WRITERS: dict[str, int | str] = {
    "change_status": 2,
    "add_event": 2,
    "end_hold": 2,
    "Step": 0,
    "book_place": "verb",
}
"""What writes an event, and where among its arguments the verb stands."""
TELLERS: dict[str, int | str] = {
    "tell": 2,
    "tell_hospital": 2,
    "tell_wish": 2,
    "tell_entrant": 2,
    "Letter": 0,
}
"""What puts a letter, and where its kind stands."""


def texts_given(places: dict[str, int | str]) -> set[str]:
    """Return the texts given at these places of calls; a name is followed to what the function sets it to.

    A parameter is a text of the caller's, who is in the table himself; what it is without one counts.
    """
    found: set[str] = set()
    for path in (one for name in SLICES for one in sorted((HOME / name).rglob("*.py"))):
        for function in (
            one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.FunctionDef)
        ):
            for call in (one for one in ast.walk(function) if isinstance(one, ast.Call)):
                place = places.get(ast.unparse(call.func).rpartition(".")[2])
                given = [one.value for one in call.keywords if place and one.arg == place]
                if isinstance(place, int):
                    given = call.args[place : place + 1]
                for one in given:
                    found |= texts(one, function, f"{path.name}:{call.lineno}")
    return found


def texts(node: ast.expr, function: ast.FunctionDef, where: str) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return texts(node.body, function, where) | texts(node.orelse, function, where)
    if isinstance(node, ast.Attribute):
        return set()  # a step of the reminders' ladder, whose kinds are letters about a visit
    assert isinstance(node, ast.Name), f"{where}: this test cannot tell what {ast.unparse(node)} may be"
    sets = [one for one in ast.walk(function) if isinstance(one, ast.Assign)]
    values = [one.value for one in sets if node.id in map(ast.unparse, one.targets)]
    arguments = function.args
    plain, named = arguments.args, arguments.kwonlyargs
    values += [
        it
        for one, it in zip(reversed(plain), reversed(arguments.defaults), strict=False)
        if one.arg == node.id
    ]
    values += [it for one, it in zip(named, arguments.kw_defaults, strict=True) if it and one.arg == node.id]
    assert values or node.id in {one.arg for one in (*plain, *named)} | inner(function), f"{where}: {node.id}"
    return set().union(*(texts(one, function, where) for one in values))


def inner(function: ast.FunctionDef) -> set[str]:
    """The parameters of functions inside a function, which are its own business."""
    nested = (one for one in ast.walk(function) if isinstance(one, ast.FunctionDef) and one is not function)
    return {arg.arg for one in nested for arg in one.args.args}


def test_every_verb_of_an_event_has_its_words():
    verbs = texts_given(WRITERS) | set(TOLD_AS)
    seen = {"hold", "release", "expire", "offer", "decline", "draw", "book", "stop", "was_here", "finish"}
    assert seen <= verbs, "this test no longer sees what it guards"
    assert sorted(verbs - set(VERBS)) == [], "give them their words in booking/desk/history.py"


def test_every_kind_of_letter_has_its_name():
    kinds = texts_given(TELLERS) | set(TOLD_AS.values()) | {*ABOUT_A_VISIT, *ABOUT_A_WISH, *ABOUT_A_DRAW}
    assert {"reply", "coming", "arrived", "code", "wish_missed", "draw_lost"} <= kinds
    assert sorted(kinds - set(KINDS)) == [], "give them their names in booking/notices/queries.py"
    assert sorted(set(KINDS) - kinds) == [], "nobody puts these"


@pytest.mark.parametrize(
    "words", [VERBS, ACTORS, GROUNDS, KINDS], ids=["verbs", "actors", "grounds", "kinds"]
)
def test_the_words_are_words_for_people(words):
    assert all(any("\u4e00" <= sign <= "\u9fff" for sign in str(said)) for said in words.values())


def test_everybody_who_can_do_something_has_a_name():
    assert set(MAY) <= set(ROLES) | set(ACTORS)


def test_a_kind_of_another_release_is_called_by_its_own_name():
    assert kind_label("of_tomorrow") == "of_tomorrow"
