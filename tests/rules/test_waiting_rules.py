"""The waiting list's rules as tables: time to answer outside quiet hours, the random minute, turns, odds."""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from booking.appointments.wish_rules import Odds, about_the_same, outcome_of, turn_after
from booking.schedule.waiting_rules import accept_by, list_closes, quiet_end, rest_until

ZONE = "Asia/Shanghai"


def at(text, zone=ZONE):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("made", "minutes", "until"),
    [
        ("2026-11-25 10:00", 60, "2026-11-25 11:00"),
        ("2026-11-25 20:59", 60, "2026-11-25 21:59"),
        ("2026-11-25 21:00", 60, "2026-11-25 22:00"),
        ("2026-11-25 21:45", 60, "2026-11-26 07:45"),
        ("2026-11-25 22:00", 60, "2026-11-26 08:00"),
        ("2026-11-25 23:30", 60, "2026-11-26 08:00"),
        ("2026-11-26 03:00", 60, "2026-11-26 08:00"),
        ("2026-11-26 06:59", 60, "2026-11-26 08:00"),
        ("2026-11-26 07:00", 60, "2026-11-26 08:00"),
        ("2026-11-25 21:00", 16 * 60, "2026-11-26 22:00"),
        ("2026-11-26 09:20", 60, "2026-11-27 09:30"),  # and never beyond the closing, see below
    ],
)
def test_quiet_hours_take_nothing_from_the_time_to_answer(made, minutes, until):
    closes = at("2026-11-27 09:30")
    if made.startswith("2026-11-26 09:20"):
        minutes = 60 * 24
    found = accept_by(at(made), minutes, quiet_from=time(22), quiet_to=time(7), zone=ZONE, closes_at=closes)
    assert found == at(until)


def test_an_offer_never_stands_beyond_the_closing_of_its_slot():
    closes = at("2026-11-26 07:30")
    words = {"quiet_from": time(22), "quiet_to": time(7), "zone": ZONE, "closes_at": closes}
    assert accept_by(at("2026-11-26 07:20"), 60, **words) == closes
    assert accept_by(at("2026-11-25 23:00"), 60, **words) == closes
    early = words | {"closes_at": at("2026-11-26 05:00")}
    assert accept_by(at("2026-11-25 23:00"), 60, **early) == at("2026-11-26 05:00")


def test_quiet_hours_within_one_day_and_none_at_all():
    noon = {"quiet_from": time(12), "quiet_to": time(14), "zone": ZONE, "closes_at": at("2026-12-01 08:00")}
    assert accept_by(at("2026-11-25 11:30"), 60, **noon) == at("2026-11-25 14:30")
    none = noon | {"quiet_from": time(0), "quiet_to": time(0)}
    assert accept_by(at("2026-11-25 23:30"), 60, **none) == at("2026-11-26 00:30")


def test_the_time_to_answer_is_wall_time_also_when_the_clocks_change():
    words = {"quiet_from": time(22), "quiet_to": time(7), "zone": "Europe/Berlin"}
    made = at("2026-10-24 21:30", "Europe/Berlin")
    found = accept_by(made, 60, closes_at=at("2026-10-26 08:00", "Europe/Berlin"), **words)
    assert found == at("2026-10-25 07:30", "Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-11-25 21:59", "2026-11-25 21:59"),
        ("2026-11-25 22:00", "2026-11-26 07:00"),
        ("2026-11-26 06:59", "2026-11-26 07:00"),
        ("2026-11-26 07:00", "2026-11-26 07:00"),
    ],
)
def test_quiet_hours_end_in_the_morning(now, end):
    assert quiet_end(at(now), time(22), time(7), ZONE) == at(end)


def test_a_list_closes_at_eleven_the_evening_before():
    assert list_closes(1, time(23), date(2026, 11, 26), ZONE) == at("2026-11-25 23:00")


@pytest.mark.parametrize(
    ("now", "closes", "first", "last"),
    [
        ("2026-11-25 08:00", "2026-11-27 08:00", "2026-11-25 10:01", "2026-11-25 20:00"),  # today's window
        (
            "2026-11-25 15:00",
            "2026-11-27 08:00",
            "2026-11-25 15:01",
            "2026-11-25 20:00",
        ),  # what is left of it
        ("2026-11-25 20:30", "2026-11-27 08:00", "2026-11-26 10:01", "2026-11-26 20:00"),  # tomorrow's
        (
            "2026-11-25 15:00",
            "2026-11-25 18:00",
            "2026-11-25 15:01",
            "2026-11-25 17:00",
        ),  # an hour to sell it
        (
            "2026-11-25 21:00",
            "2026-11-26 07:30",
            "2026-11-25 21:01",
            "2026-11-25 22:00",
        ),  # no window: next hour
        ("2026-11-25 07:00", "2026-11-25 08:30", "2026-11-25 07:01", "2026-11-25 07:30"),
    ],
)
def test_a_place_comes_back_at_a_random_minute_of_the_window(now, closes, first, last):
    words = {"window_from": time(10), "window_to": time(20), "zone": ZONE, "closes_at": at(closes)}
    assert rest_until(at(now), pick=lambda n: 0, **words) == at(first)
    assert rest_until(at(now), pick=lambda n: n - 1, **words) == at(last)


def test_a_place_that_is_nearly_over_does_not_rest():
    words = {"window_from": time(10), "window_to": time(20), "zone": ZONE}
    now = at("2026-11-25 09:00")
    assert rest_until(now, closes_at=at("2026-11-25 10:00"), pick=lambda n: 0, **words) is None


@pytest.mark.parametrize(
    ("verb", "kept", "after"),
    [
        ("expire", 1, (0, False)),
        ("decline", 1, (0, False)),
        ("decline", 0, (0, True)),
        ("expire", 0, (0, True)),
        ("stop", 1, (1, False)),
        ("stop", 0, (0, False)),
        ("leave", 0, (0, False)),
    ],
)
def test_a_turn_is_kept_once(verb, kept, after):
    assert turn_after(outcome_of(verb), kept) == after


def test_odds_are_unknown_without_history():
    assert not Odds(served=5, known=19).is_known
    assert Odds(served=5, known=20).is_known
    assert about_the_same(1) == about_the_same(3) == (1, 3)
    assert about_the_same(4) == about_the_same(10) == (4, 10)
    assert about_the_same(0) == (1, 3) and about_the_same(500)[0] == 31
