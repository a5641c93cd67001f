"""The audit trail: one row per staff change, written in the transaction of the change."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from booking.db import new_id
from booking.staff.models import AuditEvent
from booking.staff.rules import Actor


def record(
    session: Session,
    hospital_id: int,
    actor: Actor,
    action: str,
    object_kind: str,
    object_id: uuid.UUID | None,
    *,
    now: datetime,
    change: dict[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Add one event. `change` is {"field": [before, after]} or plain facts; never personal data."""
    session.execute(
        insert(AuditEvent).values(
            hospital_id=hospital_id,
            id=new_id(),
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id[:40],
            actor_name=actor.name[:60],
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            change=change or {},
            reason=reason,
        )
    )
