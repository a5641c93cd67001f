"""What a hospital's own system is told of a change: which, of what, and how it stands now; nobody's name or number."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from booking.appointments.queries import AppointmentView
from booking.notices.senders.provider import Rendered


def hospital_letter(kind: str, view: AppointmentView, *, now: datetime) -> Rendered:
    """Return the letter as JSON (docs/webhook.md): `type`, `timestamp`, and under `data` ids and states alone.

    Who the patient is, the hospital asks with the appointment's id, signed in.
    """
    told: dict[str, Any] = {
        "type": f"appointment.{kind}",
        "timestamp": _instant(now),
        "data": {
            "hospital": view.hospital_slug,
            "appointment": view.ref,
            "version": view.version,
            "status": view.status,
            "session": str(view.session_id),
            "slot": str(view.slot_id),
            "doctor": view.doctor_slug,
            "department": str(view.department_id),
            "date": view.visit_date.isoformat(),
            "starts_at": _instant(view.starts_at),
            "zone": view.zone,
        },
    }
    return Rendered(kind, json.dumps(told, ensure_ascii=False, separators=(",", ":")))


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
