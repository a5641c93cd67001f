"""What a storm shows: a live view on the terminal while it goes on, and at the end a page with a picture."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.storm.checkers import Violation
from tests.storm.history import History
from tests.storm.observer import Seen
from tests.storm.rush import Rush

WIDTH, HEIGHT, LEFT, RIGHT = 1100, 150, 60, 20
GREEN, AMBER, RED, BLUE, GREY, INK = "#2e7d32", "#b26a00", "#b3261e", "#1f5fa8", "#c9ced6", "#1d2530"


@dataclass
class Story:
    """Everything the report tells."""

    seed: int
    kind: str
    seconds: float
    command: str
    began: float = 0.0
    ended: float = 0.0
    blows: list[tuple[float, str, str]] = field(default_factory=list)
    """(second, kind, what was done)."""
    rush: Rush | None = None
    violations: list[Violation] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds of the web, PostgreSQL, worker and beat, and the storm itself, for `counted` operations."""
    counted: int = 0
    others: float = 0.0
    """What others took of the machine meanwhile, as a share of it."""

    def passed(self, history: History, seen: Seen) -> bool:
        return not (
            self.violations
            or seen.violations
            or history.five_hundreds
            or history.counts["unknown"]
            or (self.rush and self.rush.clients >= 1000 and not self.rush.clear)
        )


def live(story: Story, history: History, seen: Seen) -> None:
    """Print where the storm is: one line, rewritten on a terminal."""
    gone = time.time() - story.began
    last = story.blows[-1][2] if story.blows else "—"
    said = (
        f"{gone:5.0f} s, {max(0.0, story.seconds - gone):4.0f} left │ {history.counts['all']:7,} operations"
        f" {history.rate():6.0f}/s │ {len(story.blows):3} faults │ {len(seen.violations)} violations seen"
        f" │ {len(history.five_hundreds)} × 500 │ {last}"
    )
    if sys.stdout.isatty():
        print(f"\r\033[K{said[:150]}", end="", flush=True)
    else:
        print(said, flush=True)


def _share(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def write(folder: Path, story: Story, history: History, seen: Seen) -> Path:
    """Write report.md and storm.svg; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "storm.svg").write_text(picture(story, history, seen))
    page = folder / "report.md"
    page.write_text("\n".join(_page(story, history, seen)) + "\n")
    return page


def _page(story: Story, history: History, seen: Seen) -> list[str]:
    counts, took = history.counts, [seconds for _, seconds in history.took]
    verdict = "PASSED" if story.passed(history, seen) else "FAILED"
    length = story.ended - story.began
    lines = [
        f"# Storm: {verdict}",
        "",
        f"Seed {story.seed}, {story.kind}, {length:.0f} s. The same plan again: `{story.command}`",
        "",
        "![places sold, operations and waits over time](storm.svg)",
        "",
        "| | |",
        "|---|---|",
        f"| operations | {counts['all']:,} ({counts['all'] / max(length, 1):.0f} per second) |",
        f"| done, refused with a reason | {counts['ok']:,}, {counts['fail']:,} |",
        f"| once unknown, then resolved by the same request | {counts['was unknown']:,} |",
        f"| still unknown | {counts['unknown']:,} |",
        f"| answers 500 | {len(history.five_hundreds)} |",
        f"| answers 503 without Retry-After | {history.bare_503} |",
        f"| faults | {len(story.blows)} |",
        f"| violations by history and SQL | {len(story.violations)} |",
        f"| looks of the observer, violations it saw | {seen.looks:,}, {len(seen.violations)} |",
        f"| waits p50, p99 (answers without a fault) | {_share(took, 0.5) * 1000:.0f} ms, {_share(took, 0.99) * 1000:.0f} ms |",
    ]
    if story.cpu:
        each = ", ".join(
            f"{name} {used / max(1, story.counted) * 1000:.2f}" for name, used in story.cpu.items()
        )
        lines += [
            f"| CPU ms per operation | {each} |",
            f"| of the machine, others took | {story.others:.0%} |",
        ]
    if story.rush:
        rush = story.rush
        lines += [
            "",
            f"## {rush.clients:,} clients, one slot of 20",
            "",
            f"{rush.winners} winners, {rush.said['full']} were told that it is full,"
            f" answers {dict(sorted(rush.statuses.items()))}; p50 {rush.within(0.5):.2f} s, p99 {rush.within(0.99):.2f} s,"
            f" longest {rush.within(1):.2f} s.",
        ]
    lines += ["", "## Violations", ""]
    found = Counter(rule for rule, _ in story.violations)
    lines += [f"- **{rule}** × {count}" for rule, count in found.items()] or ["None."]
    lines += [f"  - {rule}: {said}" for rule, said in story.violations[:40]]
    lines += [f"- observer, second {at:.1f}: {title} ({rows})" for at, title, rows in seen.violations[:20]]
    lines += [
        f"- 500 at second {one['at'] - story.began:.1f}: {one['asked']}" for one in history.five_hundreds[:20]
    ]
    lines += ["", "## Operations", "", "| operation | answer | count |", "|---|---|---|"]
    lines += [f"| {op} | {said} | {count:,} |" for (op, said), count in sorted(history.said.items())]
    lines += ["", "## Faults", "", "| second | fault |", "|---|---|"]
    lines += [f"| {at:.1f} | {said} |" for at, _, said in story.blows]
    return lines


# --- the picture -----------------------------------------------------------------------------------------------------


def picture(story: Story, history: History, seen: Seen) -> str:
    """Return an SVG: places sold over time, operations per second, waits; each fault is a line through all three."""
    length = max(1.0, story.ended - story.began)
    bins = int(length) + 1
    rates, waits = [0] * bins, [[] for _ in range(bins)]  # type: ignore[var-annotated]
    for at, seconds in history.took:
        where = min(bins - 1, max(0, int(at)))
        rates[where] += 1
        waits[where].append(seconds)
    booked = [(at, float(count)) for at, _, count in seen.sold]
    holds = [(at, float(count)) for at, count, _ in seen.sold]
    median = [(second + 0.5, _share(some, 0.5) * 1000) for second, some in enumerate(waits) if some]
    slow = [(second + 0.5, _share(some, 0.99) * 1000) for second, some in enumerate(waits) if some]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {4 * HEIGHT - 40}" font-family="sans-serif"'
        f' font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{4 * HEIGHT - 40}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="16">Storm, seed {story.seed}, {story.kind}:'
        f" {history.counts['all']:,} operations, {len(story.blows)} faults,"
        f" {len(story.violations) + len(seen.violations)} violations</text>",
    ]
    colours = {"crash_database": RED, "kill_web": AMBER, "kill_broker": BLUE, "flush": BLUE}
    for at, kind, said in story.blows:
        x = LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, at / length)
        colour = colours.get(kind, GREY)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="48" y2="{4 * HEIGHT - 80}" stroke="{colour}" stroke-width="1"'
            f' stroke-dasharray="3 3"><title>{at:.1f} s: {said}</title></line>'
        )
    rows = (
        ("places sold (green: booked, amber: held)", [(booked, GREEN), (holds, AMBER)]),
        ("operations per second", [([(n + 0.5, float(rate)) for n, rate in enumerate(rates)], INK)]),
        ("wait in ms (p50 dark, p99 blue)", [(median, INK), (slow, BLUE)]),
    )
    for number, (title, curves) in enumerate(rows):
        parts += _chart(40 + number * HEIGHT, title, curves, length)
    y = 4 * HEIGHT - 58
    legend = (
        (RED, "PostgreSQL stopped at once"), (AMBER, "kill -9 of a web process"), (BLUE, "Valkey killed or flushed"),
        (GREY, "failpoint, clock"),
    )  # fmt: skip
    for number, (colour, said) in enumerate(legend):
        x = LEFT + number * 230
        parts.append(
            f'<rect x="{x}" y="{y}" width="12" height="3" fill="{colour}"/><text x="{x + 18}" y="{y + 6}">{said}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chart(
    top: int, title: str, curves: list[tuple[list[tuple[float, float]], str]], length: float
) -> list[str]:
    high = max((value for points, _ in curves for _, value in points), default=1.0) or 1.0
    bottom, height = top + HEIGHT - 30, HEIGHT - 60
    parts = [
        f'<text x="{LEFT}" y="{top + 18}">{title}</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" stroke="{GREY}"/>',
        f'<text x="{LEFT - 8}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{LEFT - 8}" y="{bottom - height + 8}" text-anchor="end">{high:,.0f}</text>',
    ]
    for points, colour in curves:
        drawn = " ".join(
            f"{LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, at / length)):.1f},{bottom - height * value / high:.1f}"
            for at, value in points
        )
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    step = max(1, round(length / 8))
    parts += [
        f'<text x="{LEFT + (WIDTH - LEFT - RIGHT) * at / length:.0f}" y="{bottom + 14}" text-anchor="middle">{at} s</text>'
        for at in range(0, int(length) + 1, step)
    ]
    return parts
