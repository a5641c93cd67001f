"""Tables of the staff slice, owned by the hospital."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, String, Text, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Instant, Json, Model, Tenant


class StaffMember(Tenant, Model):
    """A person who may sign in for one hospital, in one role. `session_version` ends old sign-ins when it rises."""

    __tablename__ = "staff_member"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        ForeignKeyConstraint(["hospital_id", "doctor_id"], ["doctor.hospital_id", "doctor.id"]),
        UniqueConstraint("hospital_id", "username"),
        CheckConstraint("role IN ('scheduler', 'desk', 'doctor', 'admin')", name="role"),
        CheckConstraint("(role = 'doctor') = (doctor_id IS NOT NULL)", name="doctor_names_a_doctor"),
    )
    username: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(60))
    role: Mapped[str] = mapped_column(String(12))
    doctor_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    password_hash: Mapped[str] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(default=True)
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None] = mapped_column(Instant)
    session_version: Mapped[int] = mapped_column(default=1)
    signed_in_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)


class AuditEvent(Tenant, Model):
    """One staff change: who, what, on which object, from what to what. Rows are only ever added."""

    __tablename__ = "audit_event"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        Index("ix_audit_event_object", "hospital_id", "object_kind", "object_id"),
        Index("ix_audit_event_at", "hospital_id", "at"),
    )
    at: Mapped[datetime] = mapped_column(Instant)
    actor_kind: Mapped[str] = mapped_column(String(12))
    actor_id: Mapped[str] = mapped_column(String(40))
    actor_name: Mapped[str] = mapped_column(String(60))
    action: Mapped[str] = mapped_column(String(40))
    object_kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    change: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    reason: Mapped[str] = mapped_column(Text, default="")
