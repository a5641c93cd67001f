"""Tables of the fair draw: one draw of a session, and who takes part in it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Instant, Json, Model, Sealed, Serial, Tenant

DRAW_STATUSES = ("waiting", "drawing", "drawn", "off")


class Draw(Tenant, Model):
    """The draw (抽签) of one session: waiting → drawing → drawn, or off when the session goes back to first come or stops.

    `seed` is sealed until the draw is over; `commitment` is its SHA-256, published when the entries open. Every entry
    names the commitment it was made under (a foreign key), so from the first entry on it cannot change. `capacity` is
    how many places each slot had when the draw began: {slot id: places}; `list_digest` names the list of entries then.
    """

    __tablename__ = "draw"
    __table_args__ = (
        ForeignKeyConstraint(
            ["hospital_id", "session_id"], ["clinic_session.hospital_id", "clinic_session.id"]
        ),
        UniqueConstraint("hospital_id", "id", "commitment", name="uq_draw_commitment"),
        Index(
            "uq_one_draw_per_session",
            "hospital_id",
            "session_id",
            unique=True,
            sqlite_where=text("status <> 'off'"),
            postgresql_where=text("status <> 'off'"),
        ),
        Index(
            "ix_draw_ahead",
            "hospital_id",
            "session_id",
            sqlite_where=text("status IN ('waiting', 'drawing')"),
            postgresql_where=text("status IN ('waiting', 'drawing')"),
        ),
        CheckConstraint("status IN ('waiting', 'drawing', 'drawn', 'off')", name="status"),
        CheckConstraint("(status = 'drawn') = (drawn_at IS NOT NULL)", name="drawn_says_when"),
    )
    session_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    status: Mapped[str] = mapped_column(String(8), default="waiting")
    seed: Mapped[str] = mapped_column(Sealed)
    commitment: Mapped[str] = mapped_column(String(64))
    capacity: Mapped[dict[str, int]] = mapped_column(Json, default=dict)
    list_digest: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime] = mapped_column(Instant)
    begun_at: Mapped[datetime | None] = mapped_column(Instant)
    drawn_at: Mapped[datetime | None] = mapped_column(Instant)


class DrawEntry(Tenant, Model):
    """One person's part in a draw: entered → won or lost; or withdrawn, and entered again by the same row.

    `token` is the anonymous name in the published file. `person` is the keyed hash of the ID number: the same document
    takes part once, under whatever account. `wishes` are slot ids in order of preference (empty: any, earliest first);
    `refused` are slots that the patient's own limits closed: {slot id: why}.
    """

    __tablename__ = "draw_entry"
    __table_args__ = (
        ForeignKeyConstraint(
            ["hospital_id", "draw_id", "commitment"],
            ["draw.hospital_id", "draw.id", "draw.commitment"],
            name="fk_entry_keeps_its_commitment",
        ),
        ForeignKeyConstraint(["hospital_id", "patient_id"], ["chart.hospital_id", "chart.patient_id"]),
        ForeignKeyConstraint(
            ["account_id", "patient_id"],
            ["patient_link.account_id", "patient_link.patient_id"],
            name="fk_account_enters_only_linked_patients",
        ),
        ForeignKeyConstraint(
            ["hospital_id", "appointment_id"], ["appointment.hospital_id", "appointment.id"]
        ),
        UniqueConstraint("hospital_id", "draw_id", "patient_id", name="uq_one_entry_per_patient"),
        UniqueConstraint("hospital_id", "draw_id", "person", name="uq_one_entry_per_person"),
        UniqueConstraint("hospital_id", "draw_id", "token", name="uq_one_entry_per_token"),
        UniqueConstraint("hospital_id", "appointment_id", name="uq_one_entry_per_appointment"),
        CheckConstraint("status IN ('entered', 'withdrawn', 'won', 'lost')", name="status"),
        CheckConstraint("(status = 'won') = (appointment_id IS NOT NULL)", name="winner_has_a_visit"),
        CheckConstraint("status NOT IN ('won', 'lost') OR rank IS NOT NULL", name="result_has_a_rank"),
        Index("ix_draw_entry_account", "account_id"),
    )
    draw_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    commitment: Mapped[str] = mapped_column(String(64))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    patient_id: Mapped[int] = mapped_column(Serial)
    person: Mapped[str] = mapped_column(String(64))
    token: Mapped[str] = mapped_column(String(24))
    wishes: Mapped[list[str]] = mapped_column(Json, default=list)
    status: Mapped[str] = mapped_column(String(10), default="entered")
    entered_at: Mapped[datetime] = mapped_column(Instant)
    rank: Mapped[int | None]
    refused: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    slot_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    appointment_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    settled_at: Mapped[datetime | None] = mapped_column(Instant)
