"""What a run says: ratios beside their targets, as a table, as JSON and as a drawing."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

Cells = dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class Aim:
    """One ratio to read: `ours` over `floor`, both names of cells. `least` is false where smaller is better."""

    name: str
    what: str
    ours: str
    floor: str
    target: float | None = None
    stretch: float | None = None
    least: bool = True
    field: str = "rate"


AIMS = (
    Aim("T1", "take a place (POST /hold)", "hold", "reserve", 0.18, 0.30),
    Aim("T1", "confirm it (POST)", "confirm", "reserve", 0.18, 0.30),
    Aim("T1w", "whole booking", "booking", "reserve", 0.06, 0.10),
    Aim("T2", "everybody on one slot ÷ spread", "hot", "hold", 0.9, 1.0),
    Aim("T3", "sold-out answer ÷ null POST", "sold out", "null", 0.7, 0.9),
    Aim("T4", "question page ÷ bare page", "question", "page like question", 0.6, 1.5),
    Aim("T4", "doctor page ÷ bare page", "doctor", "page like doctor", 0.6, 1.5),
    Aim("", "home page ÷ bare page", "home", "page like home"),
    Aim("T5", "letters settled ÷ Celery no-op", "letters", "no-op", 5, 20),
    Aim("T6", "CPU of a booking, largest ÷ smallest (kept)", "booking grown", "", 1.3, 1.15, False, "ratio"),
    Aim("T7", "CPU of a doctor's page, the same (kept)", "doctor page grown", "", 1.3, 1.1, False, "ratio"),
    Aim(
        "T8",
        "hold p99 ÷ null POST p99, 16 busy connections",
        "hold",
        "null",
        2.5,
        1.5,
        least=False,
        field="p99",
    ),
    Aim("T8", "confirm p99 ÷ null POST p99, the same", "confirm", "null", 2.5, 1.5, least=False, field="p99"),
    Aim(
        "", "hold p99 ÷ null POST p99, both at one pace", "hold paced", "null paced", least=False, field="p99"
    ),
    Aim("T9", "1 000 at once on a slot of 20: winners", "crowd", "", 20, 20, field="winners"),
    Aim("T9", "the same: clear answers", "crowd", "", 980, 980, field="full"),
    Aim("T9", "the same: p99 of the first answer, seconds", "crowd", "", 5, None, least=False, field="p99"),
    Aim("T10", "whole bookings ÷ pretix orders", "booking", "pretix here", 30, 60),
    Aim("T11", "embedded default, idle, MB", "memory", "", 150, 110, least=False, field="mb"),
)


@dataclass(frozen=True)
class Figure:
    """One line of the reading; `ratio` is the median of the rounds' own ratios."""

    name: str
    what: str
    ours: float
    floor: float | None
    ratio: float
    cpu_ratio: float | None
    target: float | None
    stretch: float | None
    least: bool
    verdict: str


def figures(cells: Cells) -> list[Figure]:
    """Return every ratio whose cells were measured."""
    return [
        _figure(aim, cells) for aim in AIMS if cells.get(aim.ours) and (not aim.floor or cells.get(aim.floor))
    ]


def _figure(aim: Aim, cells: Cells) -> Figure:
    ours = [one[aim.field] for one in cells[aim.ours]]
    floor = [one[aim.field] for one in cells[aim.floor]] if aim.floor else []
    ratios = [mine / theirs for mine, theirs in zip(ours, floor, strict=False) if theirs] if floor else ours
    ratio = statistics.median(ratios) if ratios else 0.0
    return Figure(
        aim.name,
        aim.what,
        statistics.median(ours),
        statistics.median(floor) if floor else None,
        ratio,
        _cpu_ratio(aim, cells),
        aim.target,
        aim.stretch,
        aim.least,
        _verdict(aim, ratio),
    )


def _cpu_ratio(aim: Aim, cells: Cells) -> float | None:
    """The same ratio by CPU time of the servers (floor ÷ ours): others on the machine disturb it less."""
    if aim.field != "rate" or not aim.floor:
        return None
    pairs = zip(cells[aim.ours], cells[aim.floor], strict=False)
    ratios = [
        theirs["cpu_ms"] / ours["cpu_ms"]
        for ours, theirs in pairs
        if ours.get("cpu_ms") and theirs.get("cpu_ms")
    ]
    return statistics.median(ratios) if ratios else None


def _verdict(aim: Aim, ratio: float) -> str:
    def reached(bound: float | None) -> bool:
        return bound is not None and (ratio >= bound if aim.least else ratio <= bound)

    if aim.target is None:
        return ""
    return "stretch" if reached(aim.stretch) else "met" if reached(aim.target) else "not met"


def number(value: float | None) -> str:
    """Return three figures of a number."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _share(figure: Figure) -> float | None:
    """How far towards the target, 1 being there."""
    if not figure.target or not figure.ratio:
        return None
    return figure.ratio / figure.target if figure.least else figure.target / figure.ratio


def table(found: list[Figure]) -> str:
    """Return the reading as lines of text with a bar that is full at the target."""
    head = f"{'':4} {'':46} {'ours':>8} {'floor':>8} {'ratio':>7} {'by CPU':>7} {'target':>8} {'stretch':>8}"
    lines = [head]
    for one in found:
        sign = "≥" if one.least else "≤"
        aims = [f"{sign}{number(bound)}" if bound is not None else "" for bound in (one.target, one.stretch)]
        ours, floor = (number(value) for value in (one.ours, one.floor))
        ratio = number(one.ratio) if one.floor is not None else ""
        lines.append(
            f"{one.name:4} {one.what:46} {ours:>8} {floor:>8} {ratio:>7} {number(one.cpu_ratio):>7}"
            f" {aims[0]:>8} {aims[1]:>8}  {_bar(_share(one))} {one.verdict}"
        )
    return "\n".join(lines)


def _bar(share: float | None, width: int = 20) -> str:
    if share is None:
        return " " * width
    full = min(width, round(share * width))
    return "█" * full + "·" * (width - full)


def cells_table(cells: Cells) -> str:
    """Return what was measured in itself: rates, latencies, CPU, and the share of the machine others took."""
    lines = [f"{'':22} {'per s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8} {'wrong':>6} {'others':>7}"]
    for name, rounds in cells.items():
        if "others" not in rounds[0]:
            continue
        middle = {key: statistics.median(one.get(key, 0.0) for one in rounds) for key in rounds[0]}
        lines.append(
            f"{name:22} {number(middle['rate']):>8} {number(middle.get('p50', 0) * 1000):>8}"
            f" {number(middle.get('p99', 0) * 1000):>8} {number(middle.get('cpu_ms', 0)):>8}"
            f" {number(sum(one.get('wrong', 0) for one in rounds)):>6} {middle['others']:>6.0%}"
        )
    return "\n".join(lines)


def grown(folder: Path) -> Cells:
    """Return what the last `make bench-growth` kept: CPU on the largest ÷ on the smallest; nothing when there is none."""
    try:
        kept = json.loads((folder / "growth.json").read_text())["figures"]
    except (OSError, ValueError, KeyError):
        return {}
    largest = max(one["places"] for one in kept)
    return {f"{one['what']} grown": [{"ratio": one["ratio"]}] for one in kept if one["places"] == largest}


def write(folder: Path, found: list[Figure], cells: Cells, about: dict[str, Any]) -> None:
    """Write `last.json` and `last.svg` into `folder`."""
    kept = {"about": about, "figures": [asdict(one) for one in found], "cells": cells}
    (folder / "last.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n")
    (folder / "last.svg").write_text(_drawing(found, about))


def _drawing(found: list[Figure], about: dict[str, Any]) -> str:
    """One bar for each ratio on one scale: how far towards its target; the line at 1 is the target."""
    rows, left, full = [one for one in found if _share(one)], 360, 300
    tall = 60 + 26 * len(rows)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{tall}" font-family="sans-serif" font-size="13">',
        f'<rect width="800" height="{tall}" fill="#fff"/>',
        f'<text x="12" y="24">{escape(str(about.get("when", "")))}: {escape("ratio ÷ target, 1 is there")}</text>',
    ]
    for at, one in enumerate(rows):
        share = _share(one) or 0.0
        wide, y = min(share, 1.3) * full, 44 + 26 * at
        tone = "#c0392b" if one.verdict == "not met" else "#0a666b"
        said = f"{number(one.ratio)} ({one.verdict})"
        drawn += [
            f'<text x="12" y="{y + 13}">{escape(f"{one.name} {one.what}")}</text>',
            f'<rect x="{left}" y="{y}" width="{wide:.1f}" height="17" fill="{tone}"/>',
            f'<text x="{left + wide + 6:.1f}" y="{y + 13}" fill="#333">{escape(said)}</text>',
        ]
    line = left + full
    drawn += [
        f'<line x1="{line}" y1="36" x2="{line}" y2="{tall - 10}" stroke="#333" stroke-dasharray="3 3"/>',
        "</svg>",
    ]
    return "\n".join(drawn) + "\n"
