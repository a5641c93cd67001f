"""Waves of a release as values: what may be meant, which place opens when, fair over the slots."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time

import pytest

from booking.errors import BadInput
from booking.schedule.rules import DrawRunning, DrawWindow, ensure_release_stands, ensure_window
from booking.schedule.waves import Wave, opening, read_waves, spread, stored_waves

EVENING = {"percent": 30, "days_before": 1, "at": "20:00"}


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 26, hour, minute, tzinfo=UTC)


def test_stored_waves_are_read_and_kept_as_they_were():
    assert read_waves([EVENING]) == [Wave(30, 1, time(20))]
    assert stored_waves(read_waves([EVENING])) == [EVENING]
    assert read_waves(None) == read_waves([]) == []


@pytest.mark.parametrize(
    "stored",
    [
        [{**EVENING, "percent": 0}],
        [{**EVENING, "percent": 60}, {**EVENING, "percent": 50}],
        [{**EVENING, "days_before": -1}],
        [{**EVENING, "days_before": 91}],
        [{**EVENING, "at": "25:00"}],
        [{**EVENING, "at": "soon"}],
        [{"percent": 10}],
        [{**EVENING, "percent": 1}] * 6,
    ],
)
def test_waves_that_cannot_be_meant_are_refused(stored):
    with pytest.raises(BadInput):
        read_waves(stored)


def test_a_wave_opens_by_the_clinics_wall_clock():
    assert Wave(30, 1, time(20)).opens_at(date(2026, 11, 27), "Asia/Shanghai") == at(12)


@pytest.mark.parametrize(
    ("counts", "percents", "expected"),
    [
        ([2, 2, 2], [50], [[0, 1], [0, 1], [0, 1]]),
        ([1, 1, 1, 1], [50], [[0], [1], [0], [1]]),
        ([3], [], [[0, 0, 0]]),
        ([2, 1], [100], [[1, 1], [1]]),
        ([4, 4], [25, 25], [[0, 1, 2, 0], [0, 1, 2, 0]]),
    ],
)
def test_parts_are_spread_over_the_slots(counts, percents, expected):
    assert spread(counts, percents) == expected


@pytest.mark.parametrize("percents", [[30], [50], [10, 20], [33, 33], [70, 10, 10], [1], [99]])
@pytest.mark.parametrize("counts", [[3] * 8, [1] * 20, [12, 1, 7, 0, 4], [60] * 4])
def test_no_slot_is_all_early_or_all_late_and_every_share_is_kept(counts, percents):
    parts = spread(counts, percents)
    total = sum(counts)
    shares = [100 - sum(percents), *percents]
    whole = Counter(part for slot in parts for part in slot)
    assert [len(slot) for slot in parts] == counts
    for part, share in enumerate(shares):
        assert abs(whole[part] - total * share / 100) < 1.5
        for slot in parts:
            assert abs(slot.count(part) - len(slot) * share / 100) < 2.5


@pytest.mark.parametrize(
    ("wave", "expected"),
    [(None, None), (at(10), None), (at(12), None), (at(13), at(13)), (at(15), None), (at(16), None)],
)
def test_a_part_opens_after_the_release_and_before_its_slot_closes_or_with_the_release(wave, expected):
    assert opening(wave, release_at=at(12), closes_at=at(15)) == expected


def test_entries_open_in_the_future_and_long_enough_before_the_release():
    ensure_window(at(10), at(12), now=at(9))
    for entries, release, now in (
        (at(9), at(12), at(9)),
        (at(10), at(10, 9), at(9)),
        (at(11), at(10), at(9)),
    ):
        with pytest.raises(DrawWindow):
            ensure_window(entries, release, now)


def test_the_release_of_a_running_draw_stands():
    ensure_release_stands("first_come", None, at(12), at(13), at(11))
    ensure_release_stands("draw", at(10), at(12), at(12), at(11))
    ensure_release_stands("draw", at(10), at(12), at(13), at(9))
    with pytest.raises(DrawRunning):
        ensure_release_stands("draw", at(10), at(12), at(13), at(11))
    with pytest.raises(DrawWindow):
        ensure_release_stands("draw", at(10), at(12), at(10, 5), at(9))
