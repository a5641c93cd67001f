"""What staff may overrule with a reason: limits and whom a session is for; never two visits at once."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking.appointments.facts import SlotFacts
from booking.appointments.models import Appointment
from booking.appointments.patient_rules import ensure_patient_may
from booking.appointments.rules import DayLimit, SameDepartment, WeekLimit
from booking.directory.models import Policy
from booking.schedule.admission import NotAdmitted

OVERRULABLE = (SameDepartment, DayLimit, WeekLimit, NotAdmitted)
NO_LIMIT = 10_000


class _Loose:
    """A policy without the limits that a reason overrules."""

    per_department_day = per_day = per_week = NO_LIMIT

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)


def ensure_may_or_overrule(
    session: Session,
    facts: SlotFacts,
    policy: Policy,
    patient_id: int,
    *,
    override: str,
    now: datetime,
    except_id: uuid.UUID | None = None,
    referral: str = "",
) -> str:
    """Return the sentence that the reason `override` overruled, or nothing; call with the chart locked.

    `except_id` is the appointment being moved, which is not counted; `referral` the number of a referral that was shown.
    Raises what stands against the visit (facts: `overridable`) when no reason is given, and what no reason overrules:
    the same session twice, and two visits at the same time.
    """
    wanted = Appointment(hospital_id=facts.slot.hospital_id, **facts.columns())
    asked: dict[str, Any] = {"now": now, "by_staff": True, "except_id": except_id, "referral": referral}
    try:
        ensure_patient_may(session, policy, wanted, patient_id, **asked)
        return ""
    except OVERRULABLE as refusal:
        if not override.strip():
            refusal.facts["overridable"] = True
            raise
        said = refusal.text
    wanted.sold = {name: value for name, value in wanted.sold.items() if name != "admits"}
    loose: Any = _Loose(policy)
    ensure_patient_may(session, loose, wanted, patient_id, **asked)
    return said
