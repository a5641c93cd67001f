"""Who has which place in the demo: rows of appointments with their events, as the verbs would have left them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from booking.appointments.models import ACTIVE, Appointment, AppointmentEvent, Chart
from booking.appointments.rules import new_visit_code
from booking.db import new_id
from booking.demo.people import One
from booking.people.rules import age
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.sellable import USED
from booking.staff.rules import Actor

CHILD, ADULT = 14, 18


@dataclass(frozen=True)
class Seat:
    """One place that can be sold, with all that an appointment keeps of it."""

    place_id: uuid.UUID
    slot: Slot
    session: ClinicSession
    department_id: uuid.UUID
    sold: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One event of an appointment."""

    verb: str
    to_status: str
    at: datetime
    actor: Actor
    reason: str = ""


class People:
    """The crowd, so handed out that nobody has two visits on one day and everybody fits the department."""

    def __init__(self, crowd: Iterable[One], today: date) -> None:
        people = list(crowd)
        self._pools = {
            "child": [one for one in people if age(one.birth_date, today) < CHILD],
            "woman": [one for one in people if one.sex == "f" and age(one.birth_date, today) >= ADULT],
            "adult": [one for one in people if age(one.birth_date, today) >= CHILD],
        }
        self._days: dict[date, tuple[set[int], dict[str, list[One]]]] = {}

    def one_for(self, day: date, specialty: str, chance: Random) -> One | None:
        """Return somebody free that day, or None when the pool is used up."""
        if day not in self._days:
            self._days[day] = (
                set(),
                {name: chance.sample(pool, len(pool)) for name, pool in self._pools.items()},
            )
        seen, pools = self._days[day]
        pool = pools[{"erke": "child", "fuke": "woman"}.get(specialty, "adult")]
        while pool:
            one = pool.pop()
            if one.id not in seen:
                seen.add(one.id)
                return one
        return None


@dataclass
class Book:
    """The rows of one hospital, collected and then written at once."""

    hospital_id: int
    chance: Random
    codes: dict[date, set[str]] = field(default_factory=dict)
    charts: set[int] = field(default_factory=set)
    rows: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    used: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, seat: Seat, patient_id: int, steps: list[Step], *, account_id: int | None = None, **columns: Any
    ) -> uuid.UUID:
        """Note one appointment that went through `steps`; the last one is its status. Returns its id."""
        key, status = new_id(), steps[-1].to_status
        holds = seat.place_id if status in ACTIVE else None
        self.charts.add(patient_id)
        self.rows.append(
            {
                "hospital_id": self.hospital_id,
                "id": key,
                "status": status,
                "version": len(steps),
                "place_id": seat.place_id,
                "holds_place_id": holds,
                "slot_id": seat.slot.id,
                "session_id": seat.session.id,
                "doctor_id": seat.session.doctor_id,
                "department_id": seat.department_id,
                "policy_version": seat.session.policy_version,
                "visit_date": seat.session.local_date,
                "starts_local": seat.slot.starts_local,
                "ends_local": seat.slot.ends_local,
                "zone": seat.session.zone,
                "starts_at": seat.slot.starts_at,
                "ends_at": seat.slot.ends_at,
                "sold": seat.sold,
                "kind": "web",
                "account_id": account_id,
                "patient_id": patient_id,
                "visit_code": self._code(seat.session.local_date),
                "created_at": steps[0].at,
                "booked_at": next((step.at for step in steps if step.to_status == "booked"), None),
                "cancelled_at": None,
                "cancelled_by": None,
                "cancel_reason": "",
                "cancelled_late": False,
                "arrived_at": None,
                "arrived_late": False,
                "queue_number": None,
                "remind": account_id is not None,
            }
            | columns
        )
        before = None
        for version, step in enumerate(steps, start=1):
            self.events.append(
                {
                    "hospital_id": self.hospital_id,
                    "id": new_id(),
                    "appointment_id": key,
                    "version": version,
                    "at": step.at,
                    "verb": step.verb,
                    "from_status": before,
                    "to_status": step.to_status,
                    "actor_kind": step.actor.kind,
                    "actor_id": step.actor.id[:64],
                    "reason": step.reason,
                }
            )
            before = step.to_status
        if holds:
            self.marks.append({"at_hospital": self.hospital_id, "at_place": holds, "by": key})
        if status == "fulfilled":
            self.used.append({"at_hospital": self.hospital_id, "at_place": seat.place_id})
        return key

    def _code(self, day: date) -> str:
        taken = self.codes.setdefault(day, set())
        while (code := new_visit_code(lambda: f"{self.chance.randrange(10**7):07d}")) in taken:
            pass
        taken.add(code)
        return code

    def write(self, session: Session) -> None:
        """Write everything in the caller's transaction; places and appointments are checked against each other at its end."""
        if not self.rows:
            return
        known = set(session.scalars(select(Chart.patient_id).where(Chart.hospital_id == self.hospital_id)))
        charts = [{"hospital_id": self.hospital_id, "patient_id": one} for one in sorted(self.charts - known)]
        if charts:
            session.execute(insert(Chart), charts)
        place = update(Place.__table__).where(  # type: ignore[arg-type]
            Place.hospital_id == bindparam("at_hospital"), Place.id == bindparam("at_place")
        )
        if self.marks:
            session.connection().execute(place.values(appointment_id=bindparam("by")), self.marks)
        if self.used:
            session.connection().execute(place.values(rests_until=USED), self.used)
        session.execute(insert(Appointment), self.rows)
        session.execute(insert(AppointmentEvent), self.events)


def earlier(at: datetime, chance: Random, first: datetime) -> datetime:
    """Return an instant between `first` and `at`, more often soon after `first`."""
    return first + (at - first) * (chance.random() ** 2) if at > first else at


def booking_steps(booked_at: datetime, actor: Actor, chance: Random) -> list[Step]:
    """The two events every appointment begins with."""
    held_at = booked_at - timedelta(seconds=chance.randint(40, 200))
    return [Step("hold", "held", held_at, actor), Step("confirm", "booked", booked_at, actor)]
