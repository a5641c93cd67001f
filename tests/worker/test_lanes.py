"""The lanes in which requests wait, by their first bytes; the real server is in test_release_minute.py."""

from __future__ import annotations

import time

import pytest

from worker.lanes import FIRST, LEARNING_SECONDS, NOW, READ, WRITE, Lanes, lane_of

END = b" HTTP/1.1\r\nHost: a\r\n"
OURS = END + b"Cookie: show=elder; qw=abc\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "lane"),
    [
        (b"POST /book/1-00ff" + OURS, FIRST),
        (b"GET /book/1-00ff" + OURS, FIRST),
        (b"POST /book/1-00ff/extend" + OURS, FIRST),
        (b"POST /book/1-00ff" + END + b"\r\n", WRITE),  # nobody's: no cookie of ours
        (b"POST /hold" + OURS, WRITE),
        (b"POST /login" + OURS, WRITE),
        (b"GET /d/shenzhiwei?date=2026-12-01" + OURS, READ),
        (b"HEAD / HTTP/1.1\r\n\r\n", READ),
        (b"GET /static/css/app.css?v=1" + OURS, NOW),
        (b"GET /healthz" + END + b"\r\n", NOW),
        (b"GET /healthz", READ),  # not whole yet
        (b"", WRITE),
    ],
)
def test_the_first_bytes_decide_the_lane(head, lane):
    assert lane_of(head) == lane


def test_whoever_holds_a_place_goes_first_and_nobody_starves():
    lanes = Lanes(20, 60)
    for number in range(5):
        lanes.put(READ, f"r{number}")
        lanes.put(WRITE, f"w{number}")
    for number in range(6):
        lanes.put(FIRST, f"f{number}")
    assert [lanes.take() for _ in range(16)] == (
        ["f0", "f1", "f2", "w0", "f3", "f4", "f5", "r0", "w1", "r1", "w2", "r2", "w3", "r3", "w4", "r4"]
    )


def test_a_full_lane_takes_no_more_and_the_others_still_do():
    lanes = Lanes(2, 60)
    assert [lanes.put(WRITE, number) for number in range(3)] == [True, True, False]
    assert lanes.put(FIRST, "f") and lanes.put(READ, "r")
    assert [lanes.take() for _ in range(4)] == ["f", 0, "r", 1]


def test_whoever_would_come_too_late_is_told_at_once():
    lanes = Lanes(1000, 1.0)
    for number in range(120):
        assert lanes.put(READ, number), "nothing is known of the pace yet"
    until = time.monotonic() + LEARNING_SECONDS + 0.1
    while time.monotonic() < until:
        lanes.take()
        time.sleep(0.02)
    assert 0.015 < lanes.pace(time.monotonic()) < 0.04
    assert sum(lanes.put(WRITE, "w") for _ in range(100)) < 60, "many wait already, at about fifty a second"
    assert lanes.put(FIRST, "f"), "nobody is ahead of a person who holds a place"


def test_a_slow_first_turn_is_not_taken_for_the_pace_of_a_rush():
    """A process draws its pages and plans its statements once: eight threads are slow, then a thousand are quick."""
    lanes = Lanes(1000, 5.0)
    assert all(lanes.put(WRITE, number) for number in range(500))
    for _ in range(8):
        lanes.take()
    time.sleep(1.1)
    for _ in range(20):
        lanes.take()
        time.sleep(0.001)
    assert all(lanes.put(WRITE, number) for number in range(500)), (
        "fifty milliseconds each would have been half a minute"
    )


def test_what_was_slow_before_says_nothing_about_the_next_queue():
    lanes = Lanes(1000, 1.0)
    for number in range(60):
        lanes.put(READ, number)
    until = time.monotonic() + LEARNING_SECONDS + 0.1
    while time.monotonic() < until:
        lanes.take()
        time.sleep(0.025)
    assert lanes.pace(time.monotonic()) > 0.02
    while any(lanes.waiting):
        lanes.take()
    lanes.put(WRITE, "one")
    time.sleep(LEARNING_SECONDS + 0.05)
    assert all(lanes.put(WRITE, number) for number in range(500))


def test_a_database_that_stands_still_once_turns_nobody_away():
    lanes = Lanes(1000, 2.0)
    for number in range(300):
        lanes.put(READ, number)
    for turn in range(100):
        lanes.take()
        time.sleep(1.0 if turn == 80 else 0.001)
    assert lanes.pace(time.monotonic()) < 0.005
    assert all(lanes.put(READ, number) for number in range(100))
