"""Tables of appointments and the constraints that stop double booking (R1–R5, R8, R10, R13 of the domain's invariants)."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Instant, Json, Model, Sealed, Serial, Tenant

ACTIVE = ("held", "confirming", "booked", "arrived", "in_visit")
STATUSES = (*ACTIVE, "fulfilled", "cancelled", "expired", "no_show", "excused", "entered_in_error")
_ACTIVE_SQL = "status IN ('held', 'confirming', 'booked', 'arrived', 'in_visit')"
_WITH_PATIENT = "status IN ('confirming', 'booked', 'arrived', 'in_visit')"


def _only(name: str, *columns: str, where: str) -> Index:
    """A unique index over the rows for which `where` holds, on both databases."""
    return Index(name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where))


class Chart(Model):
    """One patient as known to one hospital: its external number there, and the row that a booking locks so that the
    patient's limits and overlaps hold under parallel requests."""

    __tablename__ = "chart"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        UniqueConstraint("hospital_id", "external_system", "external_id"),
    )
    hospital_id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    external_system: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(120))


class DeskConsent(Tenant, Model):
    """A consent a patient gave to staff at the desk or on the telephone: to what, in which wording, written down by whom."""

    __tablename__ = "desk_consent"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "patient_id"], ["chart.hospital_id", "chart.patient_id"]),
        CheckConstraint("kind IN ('id_number', 'health_data', 'guardian')", name="kind"),
        Index("ix_desk_consent_patient", "hospital_id", "patient_id"),
    )
    patient_id: Mapped[int] = mapped_column(Serial)
    kind: Mapped[str] = mapped_column(String(20))
    wording: Mapped[str] = mapped_column(String(20))
    given_at: Mapped[datetime] = mapped_column(Instant)
    recorded_by: Mapped[str] = mapped_column(String(40))


class Appointment(Tenant, Model):
    """An appointment (预约), from hold to kept visit.

    `holds_place_id` equals `place_id` while the status is active and is empty afterwards. `holder` is the hash of the
    browser's key; `holder_seat` and `open_seat` number the live holds of a person and the account-less holds of a
    session, so that their caps are unique indexes. `sold` is what the patient was promised: names, place, fee. `channel`
    names the kept places it was booked from (phone, desk, elder, return, referral, extra), nothing for those of the web.
    """

    __tablename__ = "appointment"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "place_id"], ["place.hospital_id", "place.id"]),
        ForeignKeyConstraint(
            ["hospital_id", "holds_place_id", "id"],
            ["place.hospital_id", "place.id", "place.appointment_id"],
            name="fk_active_appointment_and_place_agree",
            deferrable=True,
            initially="DEFERRED",
        ),
        ForeignKeyConstraint(["hospital_id", "slot_id"], ["slot.hospital_id", "slot.id"]),
        ForeignKeyConstraint(
            ["hospital_id", "session_id"], ["clinic_session.hospital_id", "clinic_session.id"]
        ),
        ForeignKeyConstraint(["hospital_id", "doctor_id"], ["doctor.hospital_id", "doctor.id"]),
        ForeignKeyConstraint(["hospital_id", "department_id"], ["department.hospital_id", "department.id"]),
        ForeignKeyConstraint(["hospital_id", "policy_version"], ["policy.hospital_id", "policy.version"]),
        ForeignKeyConstraint(["hospital_id", "patient_id"], ["chart.hospital_id", "chart.patient_id"]),
        ForeignKeyConstraint(
            ["account_id", "patient_id"],
            ["patient_link.account_id", "patient_link.patient_id"],
            name="fk_account_books_only_for_linked_patients",
        ),
        UniqueConstraint("hospital_id", "holds_place_id", "id"),
        UniqueConstraint("hospital_id", "holds_place_id", name="uq_one_active_appointment_per_place"),
        UniqueConstraint("hospital_id", "visit_date", "visit_code", name="uq_one_visit_code_per_day"),
        UniqueConstraint("hospital_id", "session_id", "queue_number", name="uq_one_queue_number_per_session"),
        UniqueConstraint("hospital_id", "external_system", "external_id"),
        _only(
            "uq_one_active_appointment_per_patient_and_session",
            "hospital_id",
            "session_id",
            "patient_id",
            where=_WITH_PATIENT,
        ),
        _only("uq_one_hold_per_holder_and_slot", "hospital_id", "holder", "slot_id", where="status = 'held'"),
        _only("uq_one_hold_per_holder_seat", "hospital_id", "holder", "holder_seat", where="status = 'held'"),
        _only(
            "uq_one_hold_per_account_seat",
            "hospital_id",
            "holder_account_id",
            "holder_seat",
            where="status = 'held' AND holder_account_id IS NOT NULL",
        ),
        _only(
            "uq_one_open_hold_per_session_seat",
            "hospital_id",
            "session_id",
            "open_seat",
            where="status = 'held' AND open_seat IS NOT NULL",
        ),
        CheckConstraint(
            "status IN ('held', 'confirming', 'booked', 'arrived', 'in_visit', 'fulfilled', 'cancelled', 'expired',"
            " 'no_show', 'excused', 'entered_in_error')",
            name="status",
        ),
        CheckConstraint(f"({_ACTIVE_SQL}) = (holds_place_id IS NOT NULL)", name="active_holds_a_place"),
        CheckConstraint("holds_place_id IS NULL OR holds_place_id = place_id", name="holds_its_own_place"),
        CheckConstraint("status <> 'held' OR held_until IS NOT NULL", name="hold_has_an_end"),
        CheckConstraint(f"NOT ({_WITH_PATIENT}) OR patient_id IS NOT NULL", name="booked_has_a_patient"),
        CheckConstraint("patient_id IS NULL OR visit_code IS NOT NULL", name="booked_has_a_code"),
        CheckConstraint("holder_seat IS NULL OR holder_seat BETWEEN 1 AND 2", name="at_most_two_holds"),
        CheckConstraint(
            "status <> 'held' OR (holder_account_id IS NULL) = (open_seat IS NOT NULL)",
            name="open_hold_has_a_seat",
        ),
        CheckConstraint(
            "holder_account_id IS NOT NULL OR holder_seat IS NULL OR holder_seat = 1",
            name="one_hold_without_sign_in",
        ),
        CheckConstraint("(status = 'cancelled') = (cancelled_at IS NOT NULL)", name="cancelled_says_when"),
        CheckConstraint("cancelled_by IN ('patient', 'hospital')", name="cancelled_by"),
        Index("ix_appointment_session", "hospital_id", "session_id"),
        Index("ix_appointment_place", "hospital_id", "place_id"),
        Index("ix_appointment_patient", "hospital_id", "patient_id", "visit_date"),
        Index("ix_appointment_account", "account_id", "starts_at"),
        Index("ix_appointment_code", "visit_code"),
        Index(
            "ix_appointment_live_hold",
            "hospital_id",
            "held_until",
            sqlite_where=text("status = 'held'"),
            postgresql_where=text("status = 'held'"),
        ),
    )
    status: Mapped[str] = mapped_column(String(16))
    version: Mapped[int] = mapped_column(default=1)
    place_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    holds_place_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    slot_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    session_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    doctor_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    department_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    policy_version: Mapped[int]
    visit_date: Mapped[date]
    starts_local: Mapped[time] = mapped_column(Time)
    ends_local: Mapped[time] = mapped_column(Time)
    zone: Mapped[str] = mapped_column(String(40))
    starts_at: Mapped[datetime] = mapped_column(Instant)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    sold: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    kind: Mapped[str] = mapped_column(String(8), default="web")
    channel: Mapped[str | None] = mapped_column(String(10))
    holder: Mapped[str | None] = mapped_column(String(64))
    holder_account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    holder_seat: Mapped[int | None]
    open_seat: Mapped[int | None]
    held_until: Mapped[datetime | None] = mapped_column(Instant)
    extensions: Mapped[int] = mapped_column(default=0)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    patient_id: Mapped[int | None] = mapped_column(ForeignKey("patient.id"))
    visit_code: Mapped[str | None] = mapped_column(String(8))
    complaint: Mapped[str | None] = mapped_column(Sealed)
    referral: Mapped[str | None] = mapped_column(Sealed)
    remind: Mapped[bool] = mapped_column(default=True)
    source_answer_id: Mapped[int | None] = mapped_column(Serial)
    created_at: Mapped[datetime] = mapped_column(Instant)
    booked_at: Mapped[datetime | None] = mapped_column(Instant)
    cancelled_at: Mapped[datetime | None] = mapped_column(Instant)
    cancelled_by: Mapped[str | None] = mapped_column(String(8))
    cancel_reason: Mapped[str] = mapped_column(Text, default="")
    cancelled_late: Mapped[bool] = mapped_column(default=False)
    arrived_at: Mapped[datetime | None] = mapped_column(Instant)
    arrived_late: Mapped[bool] = mapped_column(default=False)
    coming_at: Mapped[datetime | None] = mapped_column(Instant)
    queue_number: Mapped[int | None]
    external_system: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(120))


class AppointmentEvent(Tenant, Model):
    """One change of an appointment: from, to, who, why. Exactly one row per version."""

    __tablename__ = "appointment_event"
    __table_args__ = (
        ForeignKeyConstraint(
            ["hospital_id", "appointment_id"], ["appointment.hospital_id", "appointment.id"]
        ),
        UniqueConstraint("hospital_id", "appointment_id", "version", name="uq_one_event_per_version"),
    )
    appointment_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    version: Mapped[int]
    at: Mapped[datetime] = mapped_column(Instant)
    verb: Mapped[str] = mapped_column(String(16))
    from_status: Mapped[str | None] = mapped_column(String(16))
    to_status: Mapped[str] = mapped_column(String(16))
    actor_kind: Mapped[str] = mapped_column(String(12))
    actor_id: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    facts: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)


class RequestKey(Model):
    """The idempotency key of a request and the appointment it led to; kept 7 days."""

    __tablename__ = "request_key"
    __table_args__ = (
        ForeignKeyConstraint(
            ["hospital_id", "appointment_id"],
            ["appointment.hospital_id", "appointment.id"],
            deferrable=True,
            initially="DEFERRED",
        ),
        Index("ix_request_key_created", "hospital_id", "created_at"),
    )
    hospital_id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    verb: Mapped[str] = mapped_column(String(16))
    body_digest: Mapped[str] = mapped_column(String(64))
    appointment_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(Instant)


class DeskTicket(Tenant, Model):
    """The desk's word that a patient was here on a day (现场凭证); with a department, only there.

    As long as it stands, no visit of that day and department counts as a no-show.
    """

    __tablename__ = "desk_ticket"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "patient_id"], ["chart.hospital_id", "chart.patient_id"]),
        ForeignKeyConstraint(["hospital_id", "department_id"], ["department.hospital_id", "department.id"]),
        Index("ix_desk_ticket_patient", "hospital_id", "patient_id", "visit_date"),
    )
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    visit_date: Mapped[date]
    department_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    at: Mapped[datetime] = mapped_column(Instant)
    actor_id: Mapped[str] = mapped_column(String(64), default="")
    note: Mapped[str] = mapped_column(String(200), default="")


class Appeal(Tenant, Model):
    """A patient's word against a no-show (申诉), once per visit, and the hospital's answer."""

    __tablename__ = "appeal"
    __table_args__ = (
        ForeignKeyConstraint(
            ["hospital_id", "appointment_id"], ["appointment.hospital_id", "appointment.id"]
        ),
        UniqueConstraint("hospital_id", "appointment_id", name="uq_one_appeal_per_appointment"),
        CheckConstraint("status IN ('open', 'accepted', 'declined', 'cleared')", name="status"),
        CheckConstraint("(status = 'open') = (decided_at IS NULL)", name="decided_says_when"),
        Index(
            "ix_appeal_open",
            "hospital_id",
            "made_at",
            sqlite_where=text("status = 'open'"),
            postgresql_where=text("status = 'open'"),
        ),
    )
    appointment_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    status: Mapped[str] = mapped_column(String(10), default="open")
    reason: Mapped[str] = mapped_column(Sealed)
    made_at: Mapped[datetime] = mapped_column(Instant)
    decided_at: Mapped[datetime | None] = mapped_column(Instant)
    decided_by: Mapped[str] = mapped_column(String(60), default="")
    answer: Mapped[str] = mapped_column(String(200), default="")
