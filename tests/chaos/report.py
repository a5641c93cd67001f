"""What a chaos shows: a live line while it goes on, and at the end a page with a picture."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.judge import FATAL, Evidence, Verdict, Violation
from tests.chaos.plan import TITLES
from tests.storm.report import AMBER, BLUE, GREEN, GREY, HEIGHT, INK, LEFT, RED, RIGHT, WIDTH, _chart, _share

GRACE = 15.0
"""Seconds after a fault in which what goes wrong is still put down to it."""
RULES = ("lost", "doubled", "after cancel", "out of order", "late")
COLOURS = {
    "kill": AMBER,
    "crash": RED,
    "freeze": AMBER,
    "gw": GREY,
    "mail": GREY,
    "dead": INK,
    "forgets": GREY,
}


@dataclass(frozen=True)
class Look:
    """How the ledger stood at a second: letters put, sent, due now, between two tries, due for a minute without a lease,
    falling due within seconds."""

    at: float
    put: int
    sent: int
    live_due: int
    between: int
    overdue: int
    soon: int = 0


@dataclass
class Story:
    """Everything the report tells beside the verdict."""

    seed: int
    kind: str
    seconds: float
    command: str
    began: float = 0.0
    ended: float = 0.0
    drained: float = 0.0
    blows: list[tuple[float, float, str]] = field(default_factory=list)
    """(from second, to second, kind)."""
    looks: list[Look] = field(default_factory=list)
    restarts: list[tuple[float, str]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def live(story: Story) -> None:
    """Print where the chaos is: one line, rewritten on a terminal."""
    now, before = story.looks[-1], story.looks[-min(len(story.looks), 6)]
    rate = (now.sent - before.sent) / max(0.1, now.at - before.at)
    last = TITLES[story.blows[-1][2]] if story.blows else "—"
    said = (
        f"{now.at:5.0f} s, {max(0.0, story.seconds - now.at):4.0f} left │ {now.put:7,} letters, {now.sent:7,} sent"
        f" {rate:5.0f}/s │ {now.live_due:5} due, {now.between:4} between tries │ {len(story.blows):3} faults"
        f" │ {now.overdue} overdue │ {last}"
    )
    if sys.stdout.isatty():
        print(f"\r\033[K{said[:160]}", end="", flush=True)
    elif len(story.looks) % 5 == 1:
        print(said, flush=True)


def say(story: Story, verdict: Verdict, page: Path) -> None:
    """Print how it ended."""
    shown: Counter[str] = Counter()
    for one in verdict.violations:
        shown[one.rule] += 1
        if one.rule in FATAL and shown[one.rule] <= 5:
            print(f"  {one.rule}: {one.said}")
    for trouble in story.troubles:
        print(f"  not as planned: {trouble}")
    counts = ", ".join(f"{verdict.count(rule)} {rule}" for rule in RULES)
    print(
        f"{'PASSED' if verdict.passed else 'FAILED'}: {sum(verdict.statuses.values()):,} letters,"
        f" {sum(verdict.acceptances.values()):,} taken by far ends, {len(story.blows)} faults, {counts};"
        f" {verdict.repeats} repeats under {verdict.ambiguous} ambiguous tries; seed {story.seed}; {page}",
        flush=True,
    )


def write(folder: Path, story: Story, verdict: Verdict, seen: Evidence) -> Path:
    """Write report.md and chaos.svg; return the page."""
    (folder / "chaos.svg").write_text(picture(story, verdict))
    page = folder / "report.md"
    page.write_text("\n".join(_page(story, verdict)) + "\n")
    return page


def by_fault(story: Story, violations: list[Violation]) -> dict[str, Counter[str]]:
    """Count per kind of fault what went wrong while it lasted or shortly after; one thing may count for several."""
    table: dict[str, Counter[str]] = {}
    for begins, ends, does in story.blows:
        row = table.setdefault(does, Counter())
        row["struck"] += 1
        since, until = story.began + begins, story.began + ends + GRACE
        for one in violations:
            if one.since <= until and one.until >= since:
                row[f"{one.rule} explained" if one.explained else one.rule] += 1
    return table


def _page(story: Story, verdict: Verdict) -> list[str]:
    length, letters = story.ended - story.began, sum(verdict.statuses.values())
    lines = [
        f"# Chaos: {'PASSED' if verdict.passed else 'FAILED'}",
        "",
        f"Seed {story.seed}, {story.kind}, {length:.0f} s and {story.drained - story.ended:.0f} s until nothing was due any"
        f" more. The same plan again: `{story.command}`",
        "",
        "![letters sent, due and waiting times](chaos.svg)",
        "",
        "| | |",
        "|---|---|",
        f"| letters in the ledger | {letters:,} |",
        f"| taken by far ends | {sum(verdict.acceptances.values()):,} ({_list(verdict.acceptances)}) |",
        f"| how they ended | {_list(verdict.statuses)} |",
        f"| receipts taken in | {verdict.receipts:,} |",
        f"| faults | {len(story.blows)}; programs started again {len(story.restarts)} |",
        *(f"| **{rule}** | {verdict.count(rule)} |" for rule in (*RULES, "receipts", "zones")),
        f"| out of order, by a worker that had the letter from before the change | {verdict.count('out of order', explained=True)} |",
        f"| tries of which nobody knew | {verdict.ambiguous}; {verdict.repeats} acceptances were repeats |",
        f"| letters delivered twice for that (no memory of references, or two providers) | {verdict.twice} |",
        f"| given up after two tries of which nobody knew, and a far end has them | {verdict.arrived_anyway} |",
        f"| reminders checked around the change of the clocks | {verdict.far} |",
        f"| looks that found something overdue for a minute without a lease | {_overdue(story)} of {len(story.looks)} |",
    ]
    calm = _calm(story)
    for kind, delays in sorted(verdict.delays.items()):
        every = [took for _, took in delays]
        quiet = [took for due, took in delays if calm(due)]
        lines.append(
            f"| {kind}: p50, p99, longest | {_seconds(every)}; due while nothing was broken {_seconds(quiet)} |"
        )
    lines += ["", "## Per kind of fault", ""]
    lines += ["Counted when it came about during a fault or within 15 s after it.", ""]
    lines += [f"| fault | struck | {' | '.join(RULES)} |", "|---|---|" + "---|" * len(RULES)]
    for does, row in sorted(by_fault(story, verdict.violations).items()):
        lines.append(f"| {TITLES[does]} | {row['struck']} | {' | '.join(str(row[rule]) for rule in RULES)} |")
    lines += ["", "## Violations", ""]
    found = [one for one in verdict.violations if not one.explained]
    lines += [
        f"- **{one.rule}** at second {one.since - story.began:.1f}: {one.said}" for one in found[:60]
    ] or ["None."]
    lines += ["", "## What people did", "", "| | answer | count |", "|---|---|---|"]
    lines += [f"| {op} | {said} | {count:,} |" for (op, said), count in sorted(verdict.ops.items())]
    lines += ["", "## Faults", "", "| from | to | fault |", "|---|---|---|"]
    lines += [f"| {begin:.1f} | {end:.1f} | {TITLES[does]} |" for begin, end, does in sorted(story.blows)]
    return lines


def _overdue(story: Story) -> int:
    """Looks at which N4 did not hold; a clock that was just moved on makes everything overdue that was due."""
    jumps = [begin for begin, _, does in story.blows if does == "clock_on"]
    return sum(
        one.overdue > 0 and not any(0 <= one.at - jump < 75 for jump in jumps)
        for one in story.looks
        if one.at < story.seconds
    )


def _list(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counted.most_common())


def _seconds(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{_share(values, 0.5):.1f}, {_share(values, 0.99):.1f}, {max(values):.1f} s ({len(values):,})"


def _calm(story: Story):  # type: ignore[no-untyped-def]
    spans = [(story.began + begin, story.began + end + GRACE) for begin, end, _ in story.blows]
    return lambda at: not any(begin - 5 <= at <= end for begin, end in spans)


# --- the picture -----------------------------------------------------------------------------------------------------


def picture(story: Story, verdict: Verdict) -> str:
    """Return an SVG: letters sent per second, letters due, delays; each fault is a band through all three."""
    length = max(1.0, time.time() - story.began if not story.drained else story.drained - story.began)
    sent = [
        (now.at, max(0.0, (now.sent - before.sent) / max(0.1, now.at - before.at)))
        for before, now in zip(story.looks, story.looks[1:], strict=False)
    ]
    due = [(one.at, float(one.live_due)) for one in story.looks]
    between = [(one.at, float(one.between)) for one in story.looks]
    delays = {kind: _by_second(some, story.began) for kind, some in verdict.delays.items()}
    total = sum(verdict.statuses.values())
    fatal = sum(verdict.count(rule) for rule in FATAL)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {4 * HEIGHT - 40}" font-family="sans-serif"'
        f' font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{4 * HEIGHT - 40}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="16">Chaos, seed {story.seed}, {story.kind}: {total:,} letters,'
        f" {len(story.blows)} faults, {fatal} lost, doubled or after a cancellation</text>",
    ]
    for begin, end, does in story.blows:
        x = LEFT + (WIDTH - LEFT - RIGHT) * begin / length
        wide = max(1.0, (WIDTH - LEFT - RIGHT) * (end - begin) / length)
        colour = COLOURS.get(does.partition("_")[0], BLUE)
        parts.append(
            f'<rect x="{x:.1f}" y="48" width="{wide:.1f}" height="{4 * HEIGHT - 128}" fill="{colour}" opacity="0.15">'
            f"<title>{begin:.0f}–{end:.0f} s: {TITLES[does]}</title></rect>"
        )
    rows = (
        ("letters sent per second", [(sent, GREEN)]),
        ("due now (dark), between two tries (amber)", [(due, INK), (between, AMBER)]),
        (
            "seconds from due to accepted, longest of each second (dark: changes, blue: reminders)",
            [(delays.get("change", []), INK), (delays.get("reminder", []), BLUE)],
        ),
    )
    for number, (title, curves) in enumerate(rows):
        parts += _chart(40 + number * HEIGHT, title, curves, length)
    y = 4 * HEIGHT - 58
    legend = (
        (RED, "PostgreSQL stopped at once"), (AMBER, "worker killed or frozen"), (BLUE, "broker, beat, clock, receipts"),
        (GREY, "gateway or mail server misbehaves"),
    )  # fmt: skip
    for number, (colour, said) in enumerate(legend):
        x = LEFT + number * 230
        parts.append(
            f'<rect x="{x}" y="{y - 4}" width="12" height="10" fill="{colour}" opacity="0.4"/>'
            f'<text x="{x + 18}" y="{y + 6}">{said}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _by_second(delays: list[tuple[float, float]], began: float) -> list[tuple[float, float]]:
    longest: dict[int, float] = {}
    for due, took in delays:
        second = int(due - began)
        if second >= 0:
            longest[second] = max(longest.get(second, 0.0), took)
    return [(float(second), took) for second, took in sorted(longest.items())]
