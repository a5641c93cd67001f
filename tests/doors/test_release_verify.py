"""`flask release verify`: PASS for what was published, FAIL in words for anything that was touched."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from booking.appointments.draw import draw_due
from booking.appointments.draw_check import check
from booking.appointments.draw_queries import draw_view, public_file
from tests import factory
from tests.verbs.test_draw import drawn_session, entrant, put_in


@pytest.fixture
def published(within, now):
    """The file of a draw with nine entries for four places, one of them with a wish."""
    at, opened, draw = drawn_session(places=1)
    now.shift(minutes=61)
    for number in range(9):
        put_in(at, draw, entrant(), *([opened.slots[2].id] if number == 3 else []))
    now.shift(hours=2)
    draw_due()
    return public_file(draw_view(at.id, draw.id, factory.now()))


def verify(app, tmp_path, file, *more):
    path = tmp_path / "draw.json"
    path.write_text(file if isinstance(file, str) else json.dumps(file), encoding="utf-8")
    return app.test_cli_runner().invoke(args=["release", "verify", str(path), *more])


def test_a_published_draw_passes(app, published, tmp_path):
    token = published["entries"][0]["token"]
    done = verify(app, tmp_path, published, "--commitment", published["commitment"], "--token", token)
    assert done.exit_code == 0, done.output
    assert "PASS 通过" in done.output and "✗" not in done.output
    assert "9 个抽签号" in done.output and f"抽签号 {token}：第 1 位，抽中" in done.output


def swap_results(file):
    first, last = file["entries"][0], file["entries"][-1]
    first["result"], last["result"] = last["result"], first["result"]


def swap_ranks(file):
    file["entries"][0]["rank"], file["entries"][1]["rank"] = 2, 1


def another_token(file):
    file["entries"][4]["token"] = "0" * 16


def one_less(file):
    file["entries"].pop()


def one_more(file):
    file["entries"].append(deepcopy(file["entries"][0]) | {"token": "f" * 16, "rank": 10, "result": ""})


def another_seed(file):
    file["seed"] = "0" * 64


def another_seed_and_commitment(file):
    file["seed"] = "0" * 64
    file["commitment"] = "60e05bd1b195af2f94112fa7197a5c88289058840ce7c6df9693756bc6250f55"


def one_place_more(file):
    file["capacity"]["08:30"] = 2


def a_wish_changed(file):
    winner = next(entry for entry in file["entries"] if entry["result"])
    winner["wishes"] = ["10:00"] if winner["result"] != "10:00" else ["08:30"]


def a_refusal_added(file):
    winner = next(entry for entry in file["entries"] if entry["result"])
    winner["refused"] = {winner["result"]: "DayLimit"}


def not_drawn_yet(file):
    file["state"], file["seed"] = "open", None


def something_missing(file):
    del file["entries"][0]["rank"]


def a_capacity_without_end(file):
    file["capacity"]["08:30"] = float("inf")


def nonsense(file):
    file["entries"] = 7


TAMPERED = [
    swap_results,
    swap_ranks,
    another_token,
    one_less,
    one_more,
    another_seed,
    another_seed_and_commitment,
    one_place_more,
    a_wish_changed,
    a_refusal_added,
    not_drawn_yet,
    something_missing,
    a_capacity_without_end,
    nonsense,
]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("touch", TAMPERED, ids=lambda touch: touch.__name__)
def test_a_tampered_file_fails(app, published, tmp_path, touch):
    touch(published)
    done = verify(app, tmp_path, published)
    assert done.exit_code == 1 and "FAIL 不通过" in done.output and "✗" in done.output, done.output


def test_a_noted_commitment_catches_what_the_file_alone_cannot(app, published, tmp_path):
    noted = published["commitment"]
    assert verify(app, tmp_path, published, "--commitment", "0" * 64).exit_code == 1
    assert verify(app, tmp_path, published, "--commitment", noted.upper()).exit_code == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"draw"', "{}"])
def test_what_is_no_draw_fails_without_a_trace_of_python(app, within, tmp_path, text):
    done = verify(app, tmp_path, text)
    assert done.exit_code == 1 and "FAIL" in done.output and "Traceback" not in done.output


def test_the_check_needs_no_database(published, monkeypatch):
    assert check(published).passed
