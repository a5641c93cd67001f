"""What a history decides after the storm: each rule as a question to the operations and the rows left in the database."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from sqlalchemy import select

from booking.appointments.checkup import check_up
from booking.appointments.invariants import PLATFORM
from booking.appointments.models import Appointment, AppointmentEvent
from booking.db import db
from booking.refs import ref
from tests.storm.history import OK, UNKNOWN

Record = dict[str, Any]
Violation = tuple[str, str]
SLACK, EARLY = 0.05, 0.5
"""Two clocks of one machine, and the time between reading one and sending a byte."""


@dataclass
class Row:
    """An appointment as the database has it after the storm; instants as wall seconds of the machine."""

    name: str
    status: str
    slot: str
    session: str
    created: float
    held_until: float | None
    events: list[tuple[str, str | None, str, float]] = field(default_factory=list)
    """(verb, from, to, at) by version."""


@dataclass
class Evidence:
    """Everything the checkers look at. `capacity` and `sessions` come from the desk's own operations."""

    records: list[Record]
    rows: dict[str, Row]
    places: dict[str, int]
    session_of: dict[str, str]
    released: dict[str, float]
    waited_for: set[str] = field(default_factory=set)
    """Slots of sessions people wait for."""

    def ok(self, *ops: str) -> list[Record]:
        return [one for one in self.records if one["op"] in ops and one["result"] == OK]


class WallTime:
    """Turns the town's instants into wall seconds: the offset at the start, and each jump of the clock since."""

    def __init__(self, offset: float) -> None:
        self.steps = [(0.0, offset)]

    def jumped(self, at: float, by: float) -> None:
        self.steps.append((at, self.steps[-1][1] + by))

    def wall(self, town: float) -> float:
        """Return when it was, or will be, `town` seconds; an instant that a jump skipped came at the jump."""
        until = [since for since, _ in self.steps[1:]] + [float("inf")]
        for (since, offset), end in zip(self.steps, until, strict=True):
            if town - offset <= end:
                return max(town - offset, since)
        raise AssertionError("unreachable")


def rows_of(app: Flask, wall: WallTime) -> dict[str, Row]:
    """Read every appointment and its events."""
    found: dict[str, Row] = {}
    with app.app_context():
        columns = (
            Appointment.hospital_id, Appointment.id, Appointment.status, Appointment.slot_id,
            Appointment.session_id, Appointment.created_at, Appointment.held_until,
        )  # fmt: skip
        for house, id_, status, slot, session, created, until in db.session.execute(select(*columns)):
            name = ref(house, id_)
            end = wall.wall(until.timestamp()) if until else None
            row = Row(
                name, status, ref(house, slot), ref(house, session), wall.wall(created.timestamp()), end
            )
            found[name] = row
        event = AppointmentEvent
        history = select(
            event.hospital_id, event.appointment_id, event.verb, event.from_status, event.to_status, event.at
        ).order_by(event.hospital_id, event.appointment_id, event.version)
        for house, id_, verb, before, after, at in db.session.execute(history):
            found[ref(house, id_)].events.append((verb, before, after, wall.wall(at.timestamp())))
        db.session.remove()
    return found


# --- one function for each thing that is decided ---------------------------------------------------------------------


def unknowns(seen: Evidence) -> list[Violation]:
    """Nothing may stay unknown: every request was asked again until an answer said what came of it."""
    left = Counter(one["op"] for one in seen.records if one["result"] == UNKNOWN)
    return [("unresolved", f"{count} × {op}") for op, count in left.items()]


def r8_r9_keys(seen: Evidence) -> list[Violation]:
    """The same key leads to the same appointment; with another body it is refused and changes nothing."""
    wrong: list[Violation] = []
    for one in seen.records:
        if one["op"] == "misuse" and one["said"] not in ("other body", "404"):
            wrong.append(("R9", f"a key with another body was answered {one['said']}: {one['of']}"))
        if one["op"] in ("confirm", "move") and one["result"] == OK and one["appointment"] != one["of"]:
            wrong.append(("R8", f"{one['op']} of {one['of']} led to {one['appointment']}"))
    return wrong


def r10_double_clicks(seen: Evidence) -> list[Violation]:
    """Both halves of a double click name one appointment; unless the clock jumped past the first one's end between them."""
    wrong: list[Violation] = []
    for one in seen.records:
        if one["op"] != "double" or one["result"] == OK:
            continue
        pair = sorted(
            (seen.rows[one[name]] for name in ("appointment", "other")), key=lambda row: row.created
        )
        if pair[0].held_until is None or pair[0].held_until > pair[1].created + SLACK:
            wrong.append(("R10", f"a double click gave {one['appointment']} and {one['other']}"))
    return wrong


TAKEN_AT_WORD = (
    "hold", "confirm", "cancel", "move", "release", "check_in", "accept", "decline", "phone", "extra",
)  # fmt: skip


def r11_durable(seen: Evidence) -> list[Violation]:
    """Whatever was acknowledged is in the database, however often it crashed since."""
    wrong: list[Violation] = []
    for one in seen.records:
        if one["result"] != OK:
            continue
        op, name = one["op"], one.get("of") or one.get("appointment", "")
        if op not in TAKEN_AT_WORD:
            continue
        row = seen.rows.get(name)
        if row is None:
            wrong.append(("R11", f"acknowledged {op} of {name} is gone"))
            continue
        verbs = [verb for verb, *_ in row.events]
        has: dict[str, Callable[[], bool]] = {
            "hold": lambda row=row: row.events[0][2] == "held",
            "confirm": lambda verbs=verbs: "confirm" in verbs,
            "cancel": lambda row=row: row.status == "cancelled",
            "move": lambda verbs=verbs: "move" in verbs,
            "release": lambda row=row: row.status != "held",
            "check_in": lambda verbs=verbs: "check_in" in verbs or "stop" in verbs,
            "accept": lambda verbs=verbs: "accept" in verbs,
            "decline": lambda row=row: row.status != "held",
            "phone": lambda verbs=verbs: verbs[0] == "book_at_desk",
            "extra": lambda verbs=verbs: verbs[0] == "add_extra",
        }
        if not has[op]():
            wrong.append(("R11", f"acknowledged {op} of {name} left {row.status}, {','.join(verbs)}"))
    moves = Counter(one["of"] for one in seen.ok("move"))
    for name, count in moves.items():
        row = seen.rows.get(name)
        if row is not None and sum(verb == "move" for verb, *_ in row.events) < count:
            wrong.append(("R11", f"{count} moves of {name} were acknowledged, the row has fewer"))
    return wrong


def r12_no_phantom(seen: Evidence) -> list[Violation]:
    """Every appointment was asked for: an operation names it, or one whose answer was lost took its slot."""
    named = {one.get("appointment", "") for one in seen.records} | {one.get("of", "") for one in seen.records}
    named |= {one.get("other", "") for one in seen.records}
    lost = Counter(one["slot"] for one in seen.records if one.get("unknown") and one.get("slot"))
    wrong: list[Violation] = []
    for name, row in seen.rows.items():
        if name in named or row.status == "kept" or row.events[0][0] == "offer":
            continue  # an offer is the product's own doing, for a wish somebody joined with
        first = row.slot
        if lost[first] > 0 or any(verb == "move" for verb, *_ in row.events):
            lost[first] -= 1
            continue
        wrong.append(("R12", f"nobody asked for {name} ({row.status})"))
    return wrong


def r14_late_confirms(seen: Evidence) -> list[Violation]:
    """A hold of which the browser read that it had run out is never booked; one that was booked never expired."""
    wrong: list[Violation] = []
    for one in seen.records:
        if one["op"] != "confirm" or not (row := seen.rows.get(one["of"])):
            continue
        booked = any(before == "held" and after == "booked" for _, before, after, _ in row.events)
        if one["said"] == "expired" and booked and not one.get("unknown"):
            wrong.append(("R14", f"{one['of']} was said to have run out and is booked"))
        if one["result"] == OK and any(verb == "expire" for verb, *_ in row.events):
            wrong.append(("R14", f"{one['of']} was confirmed and expired"))
    return wrong


def r22_offers(seen: Evidence) -> list[Violation]:
    """An offer of which somebody read that it is over is never booked, and a wish leads to at most one booking."""
    wrong: list[Violation] = []
    served: dict[str, set[str]] = defaultdict(set)
    for one in seen.records:
        if one["op"] != "accept":
            continue
        row = seen.rows.get(one["of"])
        booked = row is not None and any(verb == "accept" for verb, *_ in row.events)
        if one["said"] == "over" and booked and not one.get("unknown"):
            wrong.append(("R22", f"{one['of']} was said to be over and is booked"))
        if one["result"] == OK:
            served[one["wish"]].add(one["appointment"])
            if one["appointment"] != one["of"]:
                wrong.append(("R8", f"accepting {one['of']} led to {one['appointment']}"))
    wrong += [("R22", f"the wish {wish} led to {names}") for wish, names in served.items() if len(names) > 1]
    return wrong


def r16_release(seen: Evidence) -> list[Violation]:
    """Nothing is held before its release, and nobody is told "not yet" after it."""
    wrong: list[Violation] = []
    for one in seen.records:
        at = seen.released.get(seen.session_of.get(one.get("slot", ""), ""))
        if one["op"] != "hold" or at is None:
            continue
        if one["result"] == OK and one["end"] < at - SLACK:
            wrong.append(("R16", f"{one['appointment']} was held {at - one['end']:.2f} s before the release"))
        if one["said"] == "early" and one.get("sent", one["at"]) > at + SLACK:
            wrong.append(("R16", f'"not yet" {one["at"] - at:.2f} s after the release'))
    return wrong


def r17_stopped(seen: Evidence) -> list[Violation]:
    """Between the answer to a stop and the next reopening nothing of the session is sold."""
    closed: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in sorted(seen.records, key=lambda one: one["at"]):
        if one["op"] == "stop" and one["result"] == OK:
            closed[one["session"]].append((one["end"], float("inf")))
        elif one["op"] == "reopen":
            until = one["at"]
            closed[one["session"]] = [(begin, min(end, until)) for begin, end in closed[one["session"]]]
    wrong: list[Violation] = []
    for one in seen.ok("hold", "move"):
        session = seen.session_of.get(one["to"] if one["op"] == "move" else one["slot"], "")
        for begin, end in closed.get(session, ()):
            if one["at"] > begin and one["end"] < end and one["said"] in ("held", "moved"):
                row = seen.rows.get(one.get("of") or one.get("appointment", ""))
                if row is None or begin < row.created < end:
                    wrong.append(("R17", f"{one['op']} in the stopped session {session}"))
    return wrong


def sql(app: Flask) -> list[Violation]:
    """Every invariant of `flask doctor`, with its rows."""
    with app.app_context():
        found = [
            (
                one.invariant.rule,
                f"{one.invariant.name}: {len(one.rows)} rows, {' '.join(one.rows[0])}"
                if one.rows
                else f"{one.invariant.name}: not read",
            )
            for one in check_up(scopes=("", PLATFORM), seconds=120)
            if not one.holds
        ]
        db.session.remove()
    return found


# --- places over time ------------------------------------------------------------------------------------------------


@dataclass
class Line:
    """How many places of one slot were taken over time: surely (`low`) and at most (`high`)."""

    low: list[tuple[float, int]] = field(default_factory=list)
    high: list[tuple[float, int]] = field(default_factory=list)

    def add(self, surely: tuple[float, float], perhaps: tuple[float, float]) -> None:
        if surely[0] < surely[1]:
            self.low += [(surely[0], 1), (surely[1], -1)]
        self.high += [(perhaps[0], 1), (perhaps[1], -1)]


BEGINNINGS = ("hold", "accept", "phone")
"""What gives somebody a place who had none."""


def lines(seen: Evidence) -> dict[str, Line]:
    """Draw, for each slot, when each appointment surely and perhaps had a place of it.

    An appointment begins between the reading of the clock inside its transaction and the answer; it ends between the
    reading of the clock inside the transaction that ends it and that one's answer. A hold that runs out ends at its
    end, whoever tidies it up later.
    """
    acks: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for one in seen.records:
        if one["result"] == OK and one["op"] in (*BEGINNINGS, "move", "cancel", "release", "confirm"):
            acks[one["op"], one.get("of") or one.get("appointment", "")].append(one)
    stops = [one for one in seen.records if one["op"] == "stop" and one["result"] == OK]
    drawn: dict[str, Line] = defaultdict(Line)
    for name, row in seen.rows.items():
        moves = sorted(acks["move", name], key=lambda one: one["end"])
        made = [at for verb, _, _, at in row.events if verb == "move"]
        if row.events[0][0] == "add_extra":
            continue  # its place was made for it and is no other's
        first = [one for op in BEGINNINGS for one in acks[op, name]]
        slot = first[0]["slot"] if first else row.slot
        sure = len(moves) == len(made) and bool(first)
        begin = row.created, min((one["end"] for one in first), default=float("inf"))
        stations = [(slot, begin)]
        if sure:
            stations += [(one["to"], (at, one["end"])) for one, at in zip(moves, made, strict=True)]
        for number, (where, (earliest, latest)) in enumerate(stations):
            ends = stations[number + 1][1] if number + 1 < len(stations) else _end(row, acks, stops, name)
            surely = (latest, ends[0]) if sure else (0.0, 0.0)
            drawn[where].add(surely, (earliest - SLACK, ends[1] + SLACK))
        if not sure and row.slot != slot:
            drawn[row.slot].add((0.0, 0.0), (row.created - SLACK, float("inf")))
    for line in drawn.values():
        line.low.sort(key=lambda change: (change[0], change[1]))
        line.high.sort(key=lambda change: (change[0], -change[1]))
    return drawn


def _end(
    row: Row, acks: dict[tuple[str, str], list[Record]], stops: list[Record], name: str
) -> tuple[float, float]:
    """Return when an appointment surely still had, and perhaps still had, its last place."""
    verb, before, after, at = row.events[-1]
    if after in ("held", "booked", "arrived"):
        if after == "held" and row.held_until is not None:
            return row.held_until - EARLY, row.held_until
        return float("inf"), float("inf")
    if verb == "expire" and row.held_until is not None:
        return min(at, row.held_until - EARLY), row.held_until
    known = acks["cancel" if verb == "cancel" else "release", name]
    if verb == "stop":
        known = [
            one for one in stops if one["session"] == row.session and one["at"] - 1 <= at <= one["end"] + 1
        ]
    until = max((one["end"] for one in known), default=at + 10)
    if before == "held" and row.held_until is not None:
        return min(at, row.held_until - EARLY), min(until, row.held_until)
    return at, max(at, until)


def capacities(seen: Evidence) -> dict[str, list[tuple[float, float, int, int]]]:
    """For each session: (from, to, least places per slot, most) from the desk's changes; overlapping ones are wide."""
    changes: dict[str, list[Record]] = defaultdict(list)
    for one in seen.records:
        if one["op"] == "places" and (one["result"] == OK or one.get("unknown")):
            changes[one["session"]].append(one)
    found: dict[str, list[tuple[float, float, int, int]]] = {}
    for session, first in seen.places.items():
        now, since, parts = first, 0.0, []
        for one in sorted(changes[session], key=lambda one: one["end"]):
            parts.append((since, one["at"], now, now))
            parts.append((one["at"], one["end"], min(now, one["places"]), max(now, one["places"])))
            now, since = one["places"], one["end"]
        parts.append((since, float("inf"), now, now))
        found[session] = parts
    return found


def r1_r3_places(seen: Evidence) -> list[Violation]:
    """R1: at no instant surely more people than places. R3: "full" only when at most no place was free at an instant."""
    wrong: list[Violation] = []
    drawn, places = lines(seen), capacities(seen)
    for slot, line in drawn.items():
        parts = places.get(seen.session_of.get(slot, ""))
        if parts is None:
            continue
        most = max(most for *_, most in parts)
        count = 0
        for at, change in line.low:
            count += change
            if count > most:
                wrong.append(("R1", f"{count} people surely had the {most} places of {slot} at {at:.3f}"))
                break
    steps = {slot: _steps(line.high) for slot, line in drawn.items()}
    for one in seen.records:
        slot = one["to"] if one["op"] == "move" and one["said"] == "full" else one.get("slot", "")
        if one["said"] != "full" or one["op"] not in ("hold", "move") or slot in seen.waited_for:
            continue  # a place that the waiting list is asked about is nobody else's: R21 and R24 look at that
        session = seen.session_of.get(slot, "")
        begin, end = one.get("sent", one["at"]), one["end"]
        if session not in places or _desk_was_at_it(seen, session, begin, end):
            continue
        least = min(least for since, to, least, _ in places[session] if since <= end and to >= begin)
        if _highest(steps.get(slot), begin - SLACK, end + SLACK) < least:
            wrong.append(("R3", f"\"full\" for {slot} at {begin:.3f} while at most "
                          f"{_highest(steps.get(slot), begin - SLACK, end + SLACK)} of {least} were taken"))  # fmt: skip
    return wrong


def _steps(changes: list[tuple[float, int]]) -> tuple[list[float], list[int]]:
    times, counts, count = [], [], 0
    for at, change in changes:
        count += change
        times.append(at)
        counts.append(count)
    return times, counts


def _highest(steps: tuple[list[float], list[int]] | None, begin: float, end: float) -> int:
    if steps is None:
        return 0
    times, counts = steps
    first, last = bisect_right(times, begin), bisect_left(times, end)
    before = counts[first - 1] if first else 0
    return max([before, *counts[first:last]])


_BUSY_DESK: dict[int, dict[str, list[tuple[float, float]]]] = {}


def _desk_was_at_it(seen: Evidence, session: str, begin: float, end: float) -> bool:
    """Whether the desk was stopping or reopening the session then; "full" and "stopped" cannot be told apart there."""
    spans = _BUSY_DESK.get(id(seen))
    if spans is None:
        spans = defaultdict(list)
        for one in seen.records:
            if one["op"] in ("stop", "reopen"):
                spans[one["session"]].append((one["at"] - 0.5, one["end"] + 0.5))
        _BUSY_DESK.clear()
        _BUSY_DESK[id(seen)] = spans
    return any(begin <= to and end >= since for since, to in spans[session])


CHECKERS = (
    unknowns, r1_r3_places, r8_r9_keys, r10_double_clicks, r11_durable, r12_no_phantom, r14_late_confirms,
    r16_release, r17_stopped, r22_offers,
)  # fmt: skip


def decide(app: Flask, seen: Evidence) -> list[Violation]:
    """Ask every checker and every SQL invariant."""
    return [violation for checker in CHECKERS for violation in checker(seen)] + sql(app)
