"""Charts as shapes: round axes, blocks that add up, bars in front of each other."""

from __future__ import annotations

import pytest

from booking.desk import charts


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (1.5, 2), (3, 4), (7, 8), (9, 10), (61, 80), (690, 800), (801, 1000)]
)
def test_an_axis_ends_at_a_round_number(most, top):
    assert charts.ceiling(most) == top


def test_blocks_stand_on_each_other():
    bar = charts.stack([("delivered", 30), ("waiting", 0), ("failed", 10)], 80)
    assert [(part.tone, part.at, part.size) for part in bar.parts] == [
        ("delivered", 0, 37.5),
        ("failed", 37.5, 12.5),
    ]
    assert bar.total == 40
    assert charts.stack([], 1).parts == ()


def test_the_bigger_bar_stands_behind_and_none_leaves_the_chart():
    bar = charts.over([("p50", 2), ("p95", 50)], 10)
    assert [(part.tone, part.at, part.size) for part in bar.parts] == [("p95", 0, 100), ("p50", 0, 20)]
