"""Where staff may move a visit to: the slots of its doctor and its department, and which of them ask for a reason."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from booking.appointments.at_desk import WAYS, fitting, pools, seen_since
from booking.appointments.models import Appointment
from booking.db import db
from booking.people.models import Patient
from booking.schedule.desk_slots import DeskSlot, desk_slots_of


@dataclass(frozen=True)
class MoveSlot:
    """A slot a visit can be moved to; `asks` when all its free places are kept for others: then staff give a reason."""

    slot: DeskSlot
    asks: bool


def slots_to_move_to(
    hospital_id: int, appointment_id: uuid.UUID, now: datetime
) -> tuple[list[MoveSlot], list[MoveSlot]]:
    """Return the coming slots of the visit's doctor, and those of other doctors of its department, in time order.

    The visit's own slot is left out. Counts are read now and decide nothing.
    """
    row = db.session.get_one(Appointment, (hospital_id, appointment_id))
    patient = db.session.get_one(Patient, row.patient_id)
    own = desk_slots_of(hospital_id, now, doctor_id=row.doctor_id, limit=60)
    beside = desk_slots_of(
        hospital_id, now, department_id=row.department_id, but_doctor_id=row.doctor_id, limit=80
    )
    since = seen_since(
        db.session(), hospital_id, patient.id, {slot.department_id for slot in (*own, *beside)}
    )

    def shown(slot: DeskSlot) -> MoveSlot:
        first = since.get(slot.department_id)
        returns = first is not None and first < slot.starts_at
        fits = fitting(patient, slot.local_date, returns=returns, referral=row.referral or "")
        order = pools(WAYS, fits, released=slot.release_at <= now)
        return MoveSlot(slot, not any(slot.free.get(channel) for channel in order))

    return (
        [shown(slot) for slot in own if slot.slot_id != row.slot_id],
        [shown(slot) for slot in beside],
    )
