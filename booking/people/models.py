"""Tables of the people slice; platform-wide. Personal fields are sealed, found by keyed hashes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Instant, Json, Model, Sealed, Serial

PATIENTS_PER_ACCOUNT = 5


class Account(Model):
    """A verified phone (账号); not a patient. `session_version` ends every sign-in when it rises.

    `language` is the one letters are written in (None: the site's). `quiet_channels` are those on which the person wants
    no reminders; cancellations and stops go there all the same.
    """

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    phone: Mapped[str] = mapped_column(Sealed)
    phone_hash: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str | None] = mapped_column(Sealed)
    reminders_on: Mapped[bool] = mapped_column(default=True)
    last_patient_id: Mapped[int | None] = mapped_column(ForeignKey("patient.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)
    signed_in_at: Mapped[datetime | None] = mapped_column(Instant)
    session_version: Mapped[int] = mapped_column(default=1)
    language: Mapped[str | None] = mapped_column(String(10))
    email_verified_at: Mapped[datetime | None] = mapped_column(Instant)
    wechat_openid: Mapped[str | None] = mapped_column(Sealed)
    quiet_channels: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")


class OneTimeCode(Model):
    """A one-time code: only its salt is kept, the digits are derived with the server's key. One live per phone and purpose."""

    __tablename__ = "one_time_code"
    __table_args__ = (
        Index(
            "uq_one_live_code_per_phone",
            "phone_hash",
            "purpose",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_one_time_code_created", "created_at"),
        {"sqlite_autoincrement": True},  # a letter names its code by id: an id must never come back
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    phone: Mapped[str] = mapped_column(Sealed)
    phone_hash: Mapped[str] = mapped_column(String(64))
    purpose: Mapped[str] = mapped_column(String(20))
    salt: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    tries: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class Patient(Model):
    """A patient (就诊人): who visits. One *verified* ID number is at most one patient; an unverified one blocks nobody."""

    __tablename__ = "patient"
    __table_args__ = (
        Index(
            "uq_one_patient_per_verified_id",
            "id_hash",
            unique=True,
            sqlite_where=text("verified_at IS NOT NULL"),
            postgresql_where=text("verified_at IS NOT NULL"),
        ),
        CheckConstraint("sex IN ('f', 'm')", name="sex"),
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(Sealed)
    id_type: Mapped[str] = mapped_column(String(20))
    id_number: Mapped[str | None] = mapped_column(Sealed)
    id_hash: Mapped[str | None] = mapped_column(String(64))
    verified_at: Mapped[datetime | None] = mapped_column(Instant)
    birth_date: Mapped[str] = mapped_column(Sealed)
    sex: Mapped[str] = mapped_column(String(1))
    phone: Mapped[str | None] = mapped_column(Sealed)
    phone_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    guardian_name: Mapped[str | None] = mapped_column(Sealed)
    guardian_phone: Mapped[str | None] = mapped_column(Sealed)
    guardian_relation: Mapped[str | None] = mapped_column(String(20))
    reminders_on: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(Instant)


class PatientLink(Model):
    """Which account books for which patient. The seat numbers make "at most five" a constraint; an ended link keeps its row
    (appointments point at it) and gives its seat back."""

    __tablename__ = "patient_link"
    __table_args__ = (
        UniqueConstraint("account_id", "seat", name="uq_one_patient_per_seat"),
        CheckConstraint("(seat IS NULL) = (ended_at IS NOT NULL)", name="seat_until_ended"),
        CheckConstraint(f"seat BETWEEN 1 AND {PATIENTS_PER_ACCOUNT}", name="at_most_five_patients"),
    )
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), primary_key=True, index=True)
    seat: Mapped[int | None]
    relation: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class Consent(Model):
    """A consent as given: to what, in which wording, when; withdrawn, never deleted."""

    __tablename__ = "consent"
    __table_args__ = (
        CheckConstraint("kind IN ('id_number', 'health_data', 'guardian')", name="kind"),
        Index("ix_consent_patient", "patient_id", "account_id"),
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    kind: Mapped[str] = mapped_column(String(20))
    wording: Mapped[str] = mapped_column(String(20))
    given_at: Mapped[datetime] = mapped_column(Instant)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Instant)
