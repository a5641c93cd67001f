"""What is read about a slot before it is sold: its session, names and fee, and what the patient is promised."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, select
from sqlalchemy.orm import Session

from booking.appointments.rules import BookingClosed, NotReleased, SessionStopped
from booking.clock import local
from booking.directory.models import Campus, ClinicKind, DayPart, Department, Doctor, Hospital, Practice
from booking.errors import NotFound
from booking.schedule.models import ClinicSession, Slot


@dataclass(frozen=True)
class SlotFacts:
    """A slot with everything that stands on it, as rows."""

    slot: Slot
    clinic: ClinicSession
    doctor: Doctor
    department: Department
    campus: Campus
    hospital: Hospital
    kind: ClinicKind
    part: DayPart

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
        """
        rules = {"admits": self.clinic.admits} if self.clinic.admits else {}
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


@cache
def _facts_query() -> Select[*tuple[Any, ...]]:
    """A slot with what stands on it. Built once: building it costs as much as reading it."""
    return (
        select(Slot, ClinicSession, Doctor, Department, Campus, Hospital, ClinicKind, DayPart)
        .join(
            ClinicSession,
            and_(ClinicSession.hospital_id == Slot.hospital_id, ClinicSession.id == Slot.session_id),
        )
        .join(
            Practice, and_(Practice.hospital_id == Slot.hospital_id, Practice.id == ClinicSession.practice_id)
        )
        .join(Doctor, and_(Doctor.hospital_id == Slot.hospital_id, Doctor.id == Practice.doctor_id))
        .join(
            Department,
            and_(Department.hospital_id == Slot.hospital_id, Department.id == Practice.department_id),
        )
        .join(Campus, and_(Campus.hospital_id == Slot.hospital_id, Campus.id == Practice.campus_id))
        .join(Hospital, Hospital.id == Slot.hospital_id)
        .join(
            ClinicKind,
            and_(ClinicKind.hospital_id == Slot.hospital_id, ClinicKind.id == ClinicSession.clinic_kind_id),
        )
        .join(DayPart, and_(DayPart.hospital_id == Slot.hospital_id, DayPart.id == ClinicSession.day_part_id))
        .where(
            Slot.hospital_id == bindparam("hospital"),
            Slot.id == bindparam("slot"),
            Doctor.active,
            Practice.active,
        )
        .execution_options(populate_existing=True)
    )


def slot_facts(session: Session, hospital_id: int, slot_id: uuid.UUID) -> SlotFacts:
    """Load a slot with what stands on it in one statement; raises NotFound, also when the doctor is no longer there."""
    found = session.execute(_facts_query(), {"hospital": hospital_id, "slot": slot_id}).first()
    if found is None:
        raise NotFound("没有找到这个时间，请回到医生页面重新选择。")
    return SlotFacts(*found)


def ensure_on_sale(facts: SlotFacts, now: Any, *, staff: bool = False) -> None:
    """Raise SessionStopped, NotReleased or BookingClosed when this slot sells nothing at `now` (database time).

    Staff may place a patient before the release and until the slot ends.
    """
    status = facts.clinic.status
    where = {"doctor_id": facts.doctor.id, "local_date": facts.clinic.local_date}
    if status == "stopped":
        raise SessionStopped(**where)
    if status not in ("published", "running"):
        raise NotFound("没有找到这个时间，请回到医生页面重新选择。")
    if not staff and facts.clinic.release_at > now:
        at = local(facts.clinic.release_at, facts.clinic.zone)
        said = f"{at.month} 月 {at.day} 日 {at:%H:%M}"
        raise NotReleased(release=said, release_at=facts.clinic.release_at, **where)
    closes = facts.slot.ends_at if staff else facts.slot.closes_at
    if closes <= now:
        raise BookingClosed(**where)
