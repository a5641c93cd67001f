"""Charts as shapes: figures in, rectangles out; drawn by templates/parts/charts.html as SVG without script.

Shapes stretch with the page, so nothing is written inside them: numbers and names stand beside as text that grows with
large print. Heights and widths are in percent of the chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEPS = (1, 2, 4, 6, 8)


@dataclass(frozen=True)
class Part:
    """One block of a bar: `tone` names its look, `at` where it begins and `size` how big it is, both in percent."""

    tone: str
    at: float
    size: float


@dataclass(frozen=True)
class Bar:
    """One bar: its blocks from the axis on, and what it adds up to."""

    parts: tuple[Part, ...]
    total: float


def ceiling(most: float) -> float:
    """Return a round number not below `most` for the top of an axis: 1, 2, 4, 6 or 8 times a power of ten; at least 1."""
    size = 1
    while True:
        for step in STEPS:
            if step * size >= most:
                return step * size
        size *= 10


def stack(values: Sequence[tuple[str, float]], top: float) -> Bar:
    """Return one bar of blocks (tone, value) on top of each other, as parts of an axis that ends at `top`."""
    parts, at = [], 0.0
    for tone, value in values:
        size = 100 * value / top if top else 0
        if value:
            parts.append(Part(tone, round(at, 2), round(size, 2)))
        at += size
    return Bar(tuple(parts), sum(value for _tone, value in values))


def over(values: Sequence[tuple[str, float]], top: float) -> Bar:
    """Return bars in front of each other, all from the axis, the biggest behind."""
    parts = sorted(
        (Part(tone, 0, round(100 * min(value, top) / top, 2)) for tone, value in values if value),
        key=lambda part: -part.size,
    )
    return Bar(tuple(parts), max((value for _tone, value in values), default=0))
