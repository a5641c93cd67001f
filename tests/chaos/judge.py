"""Who decides: the ledgers of the far ends, beside the rows that are left and what the load was told."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select, text

from booking.appointments.models import Appointment, AppointmentEvent
from booking.clock import db_now
from booking.db import core, db
from booking.notices.rules import MOST_UNKNOWN
from booking.outbox import LIVE, Message, from_reference
from tests.chaos.town import BEFORE, Town
from tests.chaos.zones import instant_of
from tests.far_ends.ledger import read

FATAL = ("lost", "doubled", "after cancel", "receipts", "zones")
"""What makes a chaos fail. Late letters and those out of order are reported, with what explains them."""
OUTSIDE = ("sms", "email")
LATE = {"change": 60.0, "reminder": 60.0}
TOLD_AT = {"book": "confirmed", "move": "moved", "cancel": "cancelled"}
STANDING = ("confirmed", "moved", "reminder_day", "reminder_hours")


@dataclass
class Violation:
    """One thing that must not be: its rule, what it is, and from when to when (this machine's clock) it came about."""

    rule: str
    said: str
    since: float
    until: float
    explained: str = ""


@dataclass
class Verdict:
    """Everything the judge found."""

    violations: list[Violation] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    acceptances: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    ambiguous: int = 0
    twice: int = 0
    """Letters that a far end without memory, or two of them, took more than once, each an ambiguous try."""
    arrived_anyway: int = 0
    """Letters given up after tries of which nobody knew, which a far end has."""
    delays: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """change and reminder: (when it was due, seconds until it was accepted)."""
    ops: Counter[tuple[str, str]] = field(default_factory=Counter)
    receipts: int = 0
    far: int = 0

    def count(self, rule: str, *, explained: bool = False) -> int:
        return sum(one.rule == rule and bool(one.explained) == explained for one in self.violations)

    @property
    def passed(self) -> bool:
        return not any(self.count(rule) for rule in FATAL)


class Wall:
    """The product's clock and this machine's, while the first was moved about."""

    def __init__(self, steps: list[tuple[float, float]]) -> None:
        self.steps = steps

    def product(self, at: float) -> datetime:
        """The product's time at an instant of this machine's."""
        offset = self.steps[bisect_right([one for one, _ in self.steps], at) - 1][1]
        return datetime.fromtimestamp(at, UTC) + timedelta(seconds=offset)

    def machine(self, at: datetime) -> float:
        """When the product's clock first showed `at`."""
        for number, (since, offset) in enumerate(self.steps):
            until = self.steps[number + 1][0] if number + 1 < len(self.steps) else float("inf")
            here = at.timestamp() - offset
            if here < until:
                return max(here, since)
        raise AssertionError("unreachable")


@dataclass
class Evidence:
    """What the judge looks at."""

    messages: dict[uuid.UUID, Any]
    appointments: dict[uuid.UUID, Any]
    stops: dict[uuid.UUID, list[tuple[uuid.UUID, int]]]
    """Session -> the visits its stop cancelled, with their versions."""
    claims: dict[uuid.UUID, list[tuple[int, float]]]
    """Letter -> (fence, when) of each claim, by this machine's clock."""
    accepted: dict[uuid.UUID, list[dict[str, Any]]]
    strangers: list[dict[str, Any]]
    """Acceptances whose reference names no letter."""
    told: dict[uuid.UUID, set[str]]
    ops: list[dict[str, Any]]
    wall: Wall
    now: datetime
    ended: float


def gather(app: Flask, folder: Path, steps: list[tuple[float, float]], ended: float) -> Evidence:
    """Read rows, ledgers and what the load wrote down.

    What a far end has told is read before the rows, what it has taken after them: each may still grow.
    """
    told = defaultdict(set)
    for line in _ledgers(folder):
        found = from_reference(line["reference"])
        if found is not None and line["did"] != "accepted":
            told[found[1]].add(line["said"])
    with app.app_context():
        session = db.session()
        message, appointment, event = core(Message), core(Appointment), core(AppointmentEvent)
        messages = {row.id: row for row in session.execute(select(message))}
        appointments = {row.id: row for row in session.execute(select(appointment))}
        stops = defaultdict(list)
        stopped = select(event.c.appointment_id, event.c.version).where(event.c.verb == "stop")
        for row in session.execute(stopped):
            stops[appointments[row.appointment_id].session_id].append((row.appointment_id, row.version))
        claims: dict[uuid.UUID, list[tuple[int, float]]] = defaultdict(list)
        for row in session.execute(text("SELECT message_id, fence, at FROM chaos_claim")):
            claims[_uuid(row.message_id)].append((row.fence, _instant(row.at)))
        now = db_now(session)
        db.session.remove()
    accepted, strangers = defaultdict(list), []
    for line in _ledgers(folder):
        found = from_reference(line["reference"])
        if found is None or found[1] not in messages:
            strangers.append(line)
        elif line["did"] == "accepted":
            accepted[found[1]].append(line)
    told = {letter: said for letter, said in told.items() if letter in messages}
    ops = [line for lane in sorted(folder.glob("load-*.jsonl")) for line in read(lane)]
    return Evidence(
        messages, appointments, stops, claims, accepted, strangers, told, ops, Wall(steps), now, ended
    )


def _ledgers(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield each line of the far ends' ledgers with who wrote it."""
    for name in ("gateway", "alibaba", "mail"):
        for line in read(folder / f"{name}.jsonl"):
            yield line | {"by": name}


def decide(seen: Evidence, town: Town) -> Verdict:
    """Return what was lost, doubled, late, out of order, after a cancellation; and the figures of the report."""
    verdict = Verdict()
    verdict.statuses = Counter(row.status for row in seen.messages.values())
    verdict.channels = Counter(row.channel for row in seen.messages.values())
    verdict.ops = Counter((line["op"], line["result"]) for line in seen.ops)
    verdict.receipts = sum(map(len, seen.told.values()))
    for rule in (_lost, _unwritten, _doubled, _after_cancel, _order, _late, _receipts):
        verdict.violations += rule(seen, verdict)
    verdict.violations += _zones(seen, verdict, town)
    return verdict


def _due(seen: Evidence, row: Any) -> float:
    """When a letter was due by this machine's clock. Its id tells when it was made, whatever the product's clock said."""
    made = (row.id.int >> 80) / 1000
    return made if row.due_at <= row.created_at else max(made, seen.wall.machine(row.due_at))


def _span(seen: Evidence, row: Any) -> tuple[float, float]:
    """When a letter was due, and its last trace."""
    due = _due(seen, row)
    traces = [line["at"] for line in seen.accepted.get(row.id, ())] + [
        at for _, at in seen.claims.get(row.id, ())
    ]
    return due, max([due, *traces])


def _lost(seen: Evidence, verdict: Verdict) -> Iterable[Violation]:
    """N3, N4: whatever was due has ended, in a way that somebody can account for."""
    for row in seen.messages.values():
        told = seen.told.get(row.id, set())
        visit = seen.appointments.get(row.appointment_id)
        why = ""
        if row.status in LIVE and max(row.due_at, row.created_at) <= seen.now - timedelta(seconds=60):
            why = f"due and still {row.status} after {row.attempts} tries ({row.last_error})"
        elif (
            row.status in ("accepted", "delivered")
            and row.channel in OUTSIDE
            and not seen.accepted.get(row.id)
        ):
            why = f"said to be {row.status}, but no far end has it"
        elif row.status == "failed" and "failed" not in told:
            taken = len(seen.accepted.get(row.id, ()))
            given_up = row.ambiguous >= MOST_UNKNOWN and "it may have arrived" in row.last_error
            if given_up and 0 < taken <= row.ambiguous:
                verdict.arrived_anyway += 1
            else:
                why = f"failed: {row.last_error}"
        elif row.status in ("expired", "suppressed"):
            why = f"{row.status}: {row.last_error}"
        elif row.status == "superseded" and visit is not None and visit.status == "booked":
            carrier = seen.messages.get(row.merged_into) if row.merged_into else None
            if carrier is not None:  # one letter tells several visits of a day
                told_by = carrier.status in ("accepted", "delivered", *LIVE)
                why = "" if told_by else f"merged into a letter that is {carrier.status}"
            else:
                why = "superseded, but nothing came after it" if visit.version == row.version else ""
        if why:
            since, until = _span(seen, row)
            yield Violation(
                "lost", f"{row.kind} v{row.version} by {row.channel} {row.id}: {why}", since, until
            )


def _unwritten(seen: Evidence, verdict: Verdict) -> Iterable[Violation]:
    """N1, N2: what the load was told has happened has its letters."""
    there = {(row.appointment_id, row.version, row.kind, row.channel) for row in seen.messages.values()}
    for line in seen.ops:
        if line["result"] != "ok" or line["op"] not in TOLD_AT:
            continue
        visit = uuid.UUID(line["appointment"])
        kinds = {TOLD_AT[line["op"]]}
        if line["op"] == "cancel":  # a stop may have been faster: cancelling again is no change
            kinds.add("stopped")
        for channel in ("app", "sms"):
            if not any((visit, line["version"], kind, channel) in there for kind in kinds):
                yield Violation(
                    "lost",
                    f"{line['op']} of {visit} has no letter by {channel}",
                    line["began"],
                    line["done"],
                )
    due = {(row.appointment_id, row.version, row.channel) for row in seen.messages.values() if row.kind == "reminder_hours"}  # fmt: skip
    for row in seen.appointments.values():
        wants = row.status == "booked" and row.booked_at + timedelta(minutes=BEFORE + 5) < row.starts_at
        if wants and row.version == 1 and (row.id, row.version, "sms") not in due:
            at = seen.wall.machine(row.booked_at)
            yield Violation("lost", f"{row.id} is booked without its reminder", at, at)


def _doubled(seen: Evidence, verdict: Verdict) -> Iterable[Violation]:
    """N5, N6, N7: a far end took a letter once, and once more for each try of which nobody knew."""
    for line in seen.strangers:
        yield Violation("doubled", f"{line['by']} took {line['reference']}", line["at"], line["at"])
    for letter, lines in seen.accepted.items():
        row = seen.messages[letter]
        verdict.acceptances.update(line["by"] for line in lines)
        verdict.repeats += len(lines) - 1
        verdict.ambiguous += row.ambiguous
        verdict.twice += len({line["by"] for line in lines}) > 1 or sum(line["first"] for line in lines) > 1
        if len(lines) > 1 + row.ambiguous:
            since, until = _span(seen, row)
            yield Violation(
                "doubled",
                f"{letter} taken {len(lines)} times, {row.ambiguous} of them ambiguous",
                since,
                until,
            )


def _after_cancel(seen: Evidence, verdict: Verdict) -> Iterable[Violation]:
    """N9, N11: once somebody was told that a visit is cancelled or moved, no older letter about it is claimed."""
    ended: dict[uuid.UUID, list[tuple[int, float]]] = defaultdict(list)
    for line in seen.ops:
        if line["result"] != "ok":
            continue
        if line["op"] in ("cancel", "move", "coming"):
            ended[uuid.UUID(line["appointment"])].append((line["version"], line["done"]))
        elif line["op"] == "stop":
            for visit, version in seen.stops.get(uuid.UUID(line["session"]), ()):
                ended[visit].append((version, line["done"]))
    for row in seen.messages.values():
        if row.kind not in STANDING:
            continue
        over = [at for version, at in ended.get(row.appointment_id, ()) if version > row.version]
        for fence, at in seen.claims.get(row.id, ()) if over else ():
            if at > min(over):
                yield Violation(
                    "after cancel",
                    f"{row.kind} v{row.version} {row.id} claimed (fence {fence}) {at - min(over):.3f} s after the change",
                    min(over),
                    at,
                )


def _order(seen: Evidence, verdict: Verdict) -> Iterable[Violation]:
    """N10: about one visit, to one person, over one channel, nothing older arrives after something newer."""
    arrived: dict[Any, list[tuple[float, Any]]] = defaultdict(list)
    for letter, lines in seen.accepted.items():
        row = seen.messages[letter]
        if row.appointment_id is not None:
            arrived[row.appointment_id, row.channel, row.recipient].append((lines[0]["at"], row))
    for some in arrived.values():
        newest: Any = None
        for at, row in sorted(some, key=lambda one: one[0]):
            if newest is not None and row.version < newest[1].version:
                # who sent it had claimed it before the change, and was stopped or killed on the way
                claim = max((when for _, when in seen.claims.get(row.id, ()) if when <= at), default=0.0)
                why = "its worker had it from before the change" if claim < newest[0] else ""
                yield Violation(
                    "out of order",
                    f"{row.kind} v{row.version} after v{newest[1].version} of {row.appointment_id} by {row.channel}",
                    newest[0],
                    at,
                    why,
                )
            else:
                newest = (at, row)


def _late(seen: Evidence, verdict: Verdict) -> Iterable[Violation]:
    """N8, as far as faults let it: how long after it was due a letter was accepted (in-app: stored)."""
    for row in seen.messages.values():
        lines = seen.accepted.get(row.id)
        if lines:
            at = lines[0]["at"]
        elif row.channel == "app" and row.status == "delivered" and row.sent_at:
            at = seen.wall.machine(row.sent_at)
        else:
            continue
        kind = "reminder" if row.kind.startswith("reminder") else "change"
        due = _due(seen, row)
        verdict.delays[kind].append((due, at - due))
        if at - due > LATE[kind]:
            yield Violation("late", f"{row.kind} by {row.channel} {row.id}: {at - due:.0f} s", due, at)


def _receipts(seen: Evidence, verdict: Verdict) -> Iterable[Violation]:
    """N13: a letter ended as its receipts say, in whatever order they came."""
    for letter, said in seen.told.items():
        row = seen.messages[letter]
        wanted = "delivered" if "delivered" in said else "failed" if "failed" in said else ""
        if wanted and row.status not in (wanted, "superseded"):
            since, until = _span(seen, row)
            yield Violation(
                "receipts", f"{letter} is {row.status}, its receipts say {sorted(said)}", since, until
            )


def _zones(seen: Evidence, verdict: Verdict, town: Town) -> Iterable[Violation]:
    """R31: reminders around the night on which the clocks change are due when the clock on the wall says so."""
    far = {uuid.UUID(session): house.zone for house in town.houses for session, _ in house.far}
    for row in seen.messages.values():
        visit = seen.appointments.get(row.appointment_id)
        if visit is None or visit.session_id not in far or row.version != visit.version:
            continue
        if row.kind == "reminder_day":
            day_before = visit.visit_date - timedelta(days=1)
            wanted = instant_of(day_before, datetime.min.time().replace(hour=15), far[visit.session_id])
        elif row.kind == "reminder_hours":
            starts = instant_of(visit.visit_date, visit.starts_local, far[visit.session_id])
            wanted = starts - timedelta(minutes=BEFORE)
        else:
            continue
        verdict.far += 1
        if row.due_at != wanted:
            at = seen.wall.machine(row.created_at)
            yield Violation("zones", f"{row.kind} in {visit.zone} due {row.due_at}, not {wanted}", at, at)


def _uuid(found: Any) -> uuid.UUID:
    return found if isinstance(found, uuid.UUID) else uuid.UUID(found)


def _instant(found: Any) -> float:
    if isinstance(found, str):
        return datetime.strptime(found, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
    return found.timestamp()
