"""For whom a wish waits, and the offers made to it; with the indexes that keep both single."""

from __future__ import annotations

import uuid
from datetime import datetime

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

from booking.db import Instant, Model, Serial, Tenant


class WishPatient(Tenant, Model):
    """A patient a wish is for: one, or two of whom both or none get a place. `live` while the wish waits or is offered."""

    __tablename__ = "wish_patient"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "wish_id"], ["wish.hospital_id", "wish.id"]),
        ForeignKeyConstraint(["hospital_id", "patient_id"], ["chart.hospital_id", "chart.patient_id"]),
        ForeignKeyConstraint(
            ["account_id", "patient_id"],
            ["patient_link.account_id", "patient_link.patient_id"],
            name="fk_wish_only_for_linked_patients",
        ),
        UniqueConstraint("hospital_id", "wish_id", "seat"),
        CheckConstraint("seat BETWEEN 1 AND 2", name="one_or_a_pair"),
        Index(
            "uq_one_live_wish_per_patient_and_session",
            "hospital_id",
            "session_id",
            "patient_id",
            unique=True,
            sqlite_where=text("live"),
            postgresql_where=text("live"),
        ),
        Index("ix_wish_patient_patient", "hospital_id", "patient_id"),
    )
    wish_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    session_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    patient_id: Mapped[int] = mapped_column(Serial)
    seat: Mapped[int]
    live: Mapped[bool] = mapped_column(default=True)


class WishOffer(Tenant, Model):
    """An offer: the appointment (kind offer, held until `accept_by`) that one patient of a wish may accept.

    `outcome` is empty while it stands. `place_id` and `slot_id` repeat the appointment's, so that nobody is asked twice
    about one place, nor again about a time they declined.
    """

    __tablename__ = "wish_offer"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "wish_id"], ["wish.hospital_id", "wish.id"]),
        ForeignKeyConstraint(
            ["hospital_id", "appointment_id"], ["appointment.hospital_id", "appointment.id"]
        ),
        ForeignKeyConstraint(["hospital_id", "patient_id"], ["chart.hospital_id", "chart.patient_id"]),
        UniqueConstraint("hospital_id", "appointment_id", name="uq_one_offer_per_appointment"),
        CheckConstraint("outcome IN ('accepted', 'declined', 'expired', 'withdrawn')", name="outcome"),
        CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ended_says_when"),
        Index(
            "uq_one_live_offer_per_wish_and_patient",
            "hospital_id",
            "wish_id",
            "patient_id",
            unique=True,
            sqlite_where=text("outcome IS NULL"),
            postgresql_where=text("outcome IS NULL"),
        ),
        Index("ix_wish_offer_wish", "hospital_id", "wish_id"),
    )
    wish_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    appointment_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    patient_id: Mapped[int] = mapped_column(Serial)
    place_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    slot_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    round: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(Instant)
    accept_by: Mapped[datetime] = mapped_column(Instant)
    outcome: Mapped[str | None] = mapped_column(String(10))
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
