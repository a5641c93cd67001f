"""What is read about a slot before it is sold: its session, names and fee, and what the patient is promised."""

from __future__ import annotations

import uuid
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, select
from sqlalchemy.orm import Session

from booking.appointments.draw_rules import DrawFirst
from booking.appointments.rules import BookingClosed, NotReleased, SessionStopped
from booking.clock import local
from booking.db import Model, core
from booking.directory.models import Campus, ClinicKind, DayPart, Department, Doctor, Hospital, Practice
from booking.errors import NotFound
from booking.schedule.models import ClinicSession, Slot
from booking.wording import moment

GONE = "没有找到这个时间，请回到医生页面重新选择。"

# What is read of each table. Named tuples, because loading whole rows as objects costs more than the database does.
_READ: dict[str, tuple[type[Model], Any]] = {
    "slot": (
        Slot,
        namedtuple(
            "SlotPart", "hospital_id id session_id starts_local ends_local starts_at ends_at closes_at"
        ),
    ),
    "clinic": (
        ClinicSession,
        namedtuple(
            "ClinicPart",
            "id local_date zone status release_at sale entries_from drawn_at starts_at ends_at policy_version"
            " fee_cents room admits",
        ),
    ),
    "doctor": (Doctor, namedtuple("DoctorPart", "id slug name title")),
    "department": (Department, namedtuple("DepartmentPart", "id name sensitive")),
    "campus": (Campus, namedtuple("CampusPart", "id name address desk")),
    "hospital": (Hospital, namedtuple("HospitalPart", "id name address")),
    "kind": (ClinicKind, namedtuple("KindPart", "name fee_name preparation")),
    "part": (DayPart, namedtuple("DayPartPart", "name")),
}


@dataclass(frozen=True)
class SlotFacts:
    """A slot with what stands on it; each part has the columns named in `_READ`, as they were read."""

    slot: Any
    clinic: Any
    doctor: Any
    department: Any
    campus: Any
    hospital: Any
    kind: Any
    part: Any

    def columns(self) -> dict[str, Any]:
        """The columns of an appointment that this slot decides."""
        return {
            "slot_id": self.slot.id,
            "session_id": self.clinic.id,
            "doctor_id": self.doctor.id,
            "department_id": self.department.id,
            "visit_date": self.clinic.local_date,
            "starts_local": self.slot.starts_local,
            "ends_local": self.slot.ends_local,
            "zone": self.clinic.zone,
            "starts_at": self.slot.starts_at,
            "ends_at": self.slot.ends_at,
            "policy_version": self.clinic.policy_version,
            "sold": self.sold(),
        }

    def sold(self) -> dict[str, Any]:
        """What the patient is promised: kept on the appointment, whatever the directory says later.

        `admits`, when the session is not for everybody, travels with it: whom it was offered to is judged at confirm.
        `prepares` says that there is something to prepare; what it is, is read when it is told.
        """
        rules = {"admits": self.clinic.admits} if self.clinic.admits else {}
        if self.kind.preparation:
            rules["prepares"] = True
        return rules | {
            "hospital": self.hospital.name,
            "doctor": self.doctor.name,
            "title": self.doctor.title,
            "department": self.department.name,
            "sensitive": self.department.sensitive,
            "campus": self.campus.name,
            "address": self.campus.address or self.hospital.address,
            "desk": self.campus.desk,
            "room": self.clinic.room,
            "kind": self.kind.name,
            "part": self.part.name,
            "fee_name": self.kind.fee_name,
            "fee_cents": self.clinic.fee_cents,
        }


def facts_columns() -> list[ColumnElement[Any]]:
    """The columns that `facts_of` takes from the front of a row, in its order."""
    return [
        model.__table__.c[name].label(f"{part}_{name}")
        for part, (model, names) in _READ.items()
        for name in names._fields
    ]


def facts_of(row: Any) -> SlotFacts:
    """Return the facts that stand at the front of a row of `facts_columns`."""
    parts, at = [], 0
    for _model, names in _READ.values():
        width = len(names._fields)
        parts.append(names._make(row[at : at + width]))
        at += width
    return SlotFacts(*parts)


def facts_joined(
    *more: Any, beside: Callable[[FromClause], FromClause] = lambda found: found
) -> Select[*tuple[Any, ...]]:
    """Select `facts_columns` and then `more` for the slot `:slot` of `:hospital`; nothing when its doctor has left.

    `beside` may join further tables to those of the facts.
    """
    slot, clinic, practice = core(Slot), core(ClinicSession), core(Practice)
    doctor, department, campus = core(Doctor), core(Department), core(Campus)
    hospital, kind, part = core(Hospital), core(ClinicKind), core(DayPart)

    def mine(table: Any, key: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(table.c.hospital_id == slot.c.hospital_id, table.c.id == key)

    found: FromClause = (
        slot.join(clinic, mine(clinic, slot.c.session_id))
        .join(practice, mine(practice, clinic.c.practice_id))
        .join(doctor, mine(doctor, practice.c.doctor_id))
        .join(department, mine(department, practice.c.department_id))
        .join(campus, mine(campus, practice.c.campus_id))
        .join(hospital, hospital.c.id == slot.c.hospital_id)
        .join(kind, mine(kind, clinic.c.clinic_kind_id))
        .join(part, mine(part, clinic.c.day_part_id))
    )
    return (
        select(*facts_columns(), *more)
        .select_from(beside(found))
        .where(
            slot.c.hospital_id == bindparam("hospital"),
            slot.c.id == bindparam("slot"),
            doctor.c.active,
            practice.c.active,
        )
    )


@cache
def _facts_query() -> Select[*tuple[Any, ...]]:
    return facts_joined()


def slot_facts(session: Session, hospital_id: int, slot_id: uuid.UUID) -> SlotFacts:
    """Load a slot with what stands on it in one statement; raises NotFound, also when the doctor is no longer there."""
    found = session.connection().execute(_facts_query(), {"hospital": hospital_id, "slot": slot_id}).first()
    if found is None:
        raise NotFound(GONE)
    return facts_of(found)


def ensure_on_sale(facts: SlotFacts, now: Any, *, staff: bool = False) -> None:
    """Raise SessionStopped, DrawFirst, NotReleased or BookingClosed when this slot sells nothing at `now` (database time).

    Staff may place a patient before the release and until the slot ends.
    """
    status = facts.clinic.status
    where = {"doctor_id": facts.doctor.id, "local_date": facts.clinic.local_date}
    if status == "stopped":
        raise SessionStopped(**where)
    if status not in ("published", "running"):
        raise NotFound(GONE)
    if not staff and facts.clinic.sale == "draw" and facts.clinic.drawn_at is None:
        opens = facts.clinic.entries_from or facts.clinic.release_at
        said = {"entries": moment(local(opens, facts.clinic.zone))}
        said["release"] = moment(local(facts.clinic.release_at, facts.clinic.zone))
        raise DrawFirst(**said, session_id=facts.clinic.id, release_at=facts.clinic.release_at, **where)
    if not staff and facts.clinic.release_at > now:
        at = local(facts.clinic.release_at, facts.clinic.zone)
        raise NotReleased(
            release=moment(at), release_at=facts.clinic.release_at, session_id=facts.clinic.id, **where
        )
    closes = facts.slot.ends_at if staff else facts.slot.closes_at
    if closes <= now:
        raise BookingClosed(**where)
