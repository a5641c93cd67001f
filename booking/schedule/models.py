"""Tables of the schedule, owned by the hospital and distributed by `hospital_id`."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    CheckConstraint,
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

from booking.db import Instant, Json, Model, Tenant

CHANNELS = ("web", "phone", "desk", "elder", "return", "referral", "extra")
SESSION_STATUSES = ("draft", "published", "running", "finished", "stopped")
FREE_PLACE = "appointment_id IS NULL AND open"
TO_ASK = "freed_at IS NOT NULL AND appointment_id IS NULL"
STANDING_EXTRA = "extra_number IS NOT NULL AND NOT withdrawn"


class Template(Tenant, Model):
    """A weekly pattern (排班模板) of one practice and part of day. `weekday` 0 is Monday; `weeks` counts ISO weeks.

    `admits` says whom its sessions are for (see `schedule/admission.py`); nothing means everybody.
    `channels` says how many of a slot's places are kept for phone, desk, elder, return, referral; the rest are online.
    """

    __tablename__ = "template"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "practice_id"], ["practice.hospital_id", "practice.id"]),
        ForeignKeyConstraint(["hospital_id", "day_part_id"], ["day_part.hospital_id", "day_part.id"]),
        ForeignKeyConstraint(
            ["hospital_id", "clinic_kind_id"], ["clinic_kind.hospital_id", "clinic_kind.id"]
        ),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("weeks IN ('every', 'odd', 'even')", name="weeks"),
        CheckConstraint("slot_minutes BETWEEN 10 AND 60", name="slot_minutes"),
        CheckConstraint("places_per_slot BETWEEN 1 AND 60", name="places_per_slot"),
        CheckConstraint("ends_local > starts_local", name="ends_after_start"),
        Index("ix_template_practice", "hospital_id", "practice_id"),
    )
    practice_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    weekday: Mapped[int]
    day_part_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    starts_local: Mapped[time] = mapped_column(Time)
    ends_local: Mapped[time] = mapped_column(Time)
    slot_minutes: Mapped[int] = mapped_column(default=30)
    places_per_slot: Mapped[int] = mapped_column(default=3)
    channels: Mapped[dict[str, int]] = mapped_column(Json, default=dict, server_default="{}")
    clinic_kind_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    fee_cents: Mapped[int] = mapped_column(default=0)
    room: Mapped[str] = mapped_column(String(60), default="")
    weeks: Mapped[str] = mapped_column(String(5), default="every")
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    skips_holidays: Mapped[bool] = mapped_column(default=True)
    publishes: Mapped[bool] = mapped_column(default=True)
    admits: Mapped[dict[str, Any] | None] = mapped_column(Json)
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)


class ClinicSession(Tenant, Model):
    """A session (班次): one practice, one local date, one part of day. Kind, fee and room stand here, as does `release_at`.

    `owner` says whose numbers these are: ours, or the hospital system's (`his`). `admits` says whom it is for. `channels`
    counts the places of a slot that are kept for other ways than the web; from `rolls_at` on (None: never) those left
    over are sold online too.
    `release_waves` None means by the policy. `sale` is first_come or draw: then entries are taken from `entries_from` to
    `release_at`, and `drawn_at` says that the draw is over and what it left may be had by anybody.
    """

    __tablename__ = "clinic_session"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "practice_id"], ["practice.hospital_id", "practice.id"]),
        ForeignKeyConstraint(["hospital_id", "doctor_id"], ["doctor.hospital_id", "doctor.id"]),
        ForeignKeyConstraint(["hospital_id", "day_part_id"], ["day_part.hospital_id", "day_part.id"]),
        ForeignKeyConstraint(
            ["hospital_id", "clinic_kind_id"], ["clinic_kind.hospital_id", "clinic_kind.id"]
        ),
        ForeignKeyConstraint(["hospital_id", "policy_version"], ["policy.hospital_id", "policy.version"]),
        UniqueConstraint(
            "hospital_id",
            "practice_id",
            "local_date",
            "day_part_id",
            name="uq_one_session_per_practice_and_part",
        ),
        UniqueConstraint("hospital_id", "external_system", "external_id"),
        CheckConstraint("status IN ('draft', 'published', 'running', 'finished', 'stopped')", name="status"),
        CheckConstraint("owner IN ('ours', 'his')", name="owner"),
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        CheckConstraint("sale IN ('first_come', 'draw')", name="sale"),
        CheckConstraint(
            "sale <> 'draw' OR (entries_from IS NOT NULL AND entries_from < release_at)",
            name="draw_has_a_window",
        ),
        Index("ix_clinic_session_doctor", "hospital_id", "doctor_id", "local_date"),
        Index("ix_clinic_session_date", "hospital_id", "local_date"),
        Index("ix_clinic_session_coming", "hospital_id", "doctor_id", "ends_at"),
    )
    practice_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    doctor_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    day_part_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    clinic_kind_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    template_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    policy_version: Mapped[int]
    local_date: Mapped[date]
    starts_local: Mapped[time] = mapped_column(Time)
    ends_local: Mapped[time] = mapped_column(Time)
    zone: Mapped[str] = mapped_column(String(40))
    starts_at: Mapped[datetime] = mapped_column(Instant)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    slot_minutes: Mapped[int]
    places_per_slot: Mapped[int]
    channels: Mapped[dict[str, int]] = mapped_column(Json, default=dict, server_default="{}")
    fee_cents: Mapped[int] = mapped_column(default=0)
    room: Mapped[str] = mapped_column(String(60), default="")
    status: Mapped[str] = mapped_column(String(10), default="draft")
    release_at: Mapped[datetime] = mapped_column(Instant)
    rolls_at: Mapped[datetime | None] = mapped_column(Instant)
    release_waves: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    sale: Mapped[str] = mapped_column(String(10), default="first_come", server_default="first_come")
    entries_from: Mapped[datetime | None] = mapped_column(Instant)
    drawn_at: Mapped[datetime | None] = mapped_column(Instant)
    closing_minutes: Mapped[int] = mapped_column(default=30)
    owner: Mapped[str] = mapped_column(String(4), default="ours")
    note: Mapped[str] = mapped_column(String(200), default="")
    admits: Mapped[dict[str, Any] | None] = mapped_column(Json)
    stop_reason: Mapped[str] = mapped_column(String(200), default="")
    stop_note: Mapped[str] = mapped_column(String(200), default="")
    stopped_at: Mapped[datetime | None] = mapped_column(Instant)
    stopped_count: Mapped[int] = mapped_column(default=0)
    last_queue_number: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)
    changed_at: Mapped[datetime | None] = mapped_column(Instant)
    changed_by: Mapped[str] = mapped_column(String(60), default="")
    external_system: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(120))


class Slot(Tenant, Model):
    """A slot (时段): 10 to 60 minutes of a session. `closes_at` is when booking it ends."""

    __tablename__ = "slot"
    __table_args__ = (
        ForeignKeyConstraint(
            ["hospital_id", "session_id"], ["clinic_session.hospital_id", "clinic_session.id"]
        ),
        UniqueConstraint("hospital_id", "session_id", "starts_at"),
    )
    session_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    starts_local: Mapped[time] = mapped_column(Time)
    ends_local: Mapped[time] = mapped_column(Time)
    starts_at: Mapped[datetime] = mapped_column(Instant)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    closes_at: Mapped[datetime] = mapped_column(Instant)


class Place(Tenant, Model):
    """A place (号): one bookable number. Capacity is the number of these rows; `position` is never shown.

    `appointment_id` is the mark "taken": with its counterpart `appointment.holds_place_id` it forms two deferred
    foreign keys that make place and appointment agree in every committed state. `open` is false while the session
    is a draft or stopped, and for a place withdrawn by a lower capacity; `rests_until` keeps a returned place back,
    and one whose patient has been seen for good (`sellable.USED`);
    `opens_at` keeps a place of a later wave, or of a draw, closed to the public after the release;
    `held_until` repeats the hold's end so that counting free places needs no second table. `freed_at` is set while the
    waiting list is still to be asked about a place that came back then. `rolls_at` is the instant from which a place of
    another channel than the web is sold online too. `extra_number` numbers the places added (加号) that stand in a session,
    so that their cap is a unique index.
    """

    __tablename__ = "place"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "slot_id"], ["slot.hospital_id", "slot.id"]),
        ForeignKeyConstraint(
            ["hospital_id", "session_id"], ["clinic_session.hospital_id", "clinic_session.id"]
        ),
        ForeignKeyConstraint(
            ["hospital_id", "id", "appointment_id"],
            ["appointment.hospital_id", "appointment.holds_place_id", "appointment.id"],
            name="fk_taken_place_and_appointment_agree",
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
        UniqueConstraint("hospital_id", "slot_id", "position"),
        UniqueConstraint("hospital_id", "id", "appointment_id"),
        UniqueConstraint("hospital_id", "external_system", "external_id"),
        CheckConstraint(
            "channel IN ('web', 'phone', 'desk', 'elder', 'return', 'referral', 'extra')", name="channel"
        ),
        CheckConstraint("NOT (withdrawn AND open)", name="withdrawn_is_not_open"),
        CheckConstraint("NOT (withdrawn AND appointment_id IS NOT NULL)", name="withdrawn_is_free"),
        Index(
            "ix_free_place",
            "hospital_id",
            "slot_id",
            "position",
            sqlite_where=text(FREE_PLACE),
            postgresql_where=text(FREE_PLACE),
        ),
        Index("ix_place_session", "hospital_id", "session_id"),
        Index(
            "ix_place_to_ask",
            "hospital_id",
            "freed_at",
            sqlite_where=text(TO_ASK),
            postgresql_where=text(TO_ASK),
        ),
        Index(
            "uq_one_extra_place_per_number",
            "hospital_id",
            "session_id",
            "extra_number",
            unique=True,
            sqlite_where=text(STANDING_EXTRA),
            postgresql_where=text(STANDING_EXTRA),
        ),
    )
    session_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    slot_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    position: Mapped[int]
    channel: Mapped[str] = mapped_column(String(10), default="web")
    open: Mapped[bool] = mapped_column(default=False)
    withdrawn: Mapped[bool] = mapped_column(default=False)
    rests_until: Mapped[datetime | None] = mapped_column(Instant)
    freed_at: Mapped[datetime | None] = mapped_column(Instant)
    rolls_at: Mapped[datetime | None] = mapped_column(Instant)
    extra_number: Mapped[int | None]
    opens_at: Mapped[datetime | None] = mapped_column(Instant)
    held_until: Mapped[datetime | None] = mapped_column(Instant)
    appointment_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    external_system: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(120))


class ExtraGrant(Tenant, Model):
    """Who let a place be added to a full session (加号), and why: one row for every place of the channel extra.

    `owner_kind` doctor or staff, with their id and name as they were; `granted_by` is the staff member who wrote it down.
    """

    __tablename__ = "extra_grant"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "place_id"], ["place.hospital_id", "place.id"]),
        ForeignKeyConstraint(
            ["hospital_id", "session_id"], ["clinic_session.hospital_id", "clinic_session.id"]
        ),
        UniqueConstraint("hospital_id", "place_id", name="uq_one_grant_per_extra_place"),
        CheckConstraint("owner_kind IN ('doctor', 'staff')", name="owner_kind"),
        CheckConstraint("reason <> ''", name="says_why"),
        Index("ix_extra_grant_session", "hospital_id", "session_id"),
    )
    place_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    session_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    owner_kind: Mapped[str] = mapped_column(String(6))
    owner_id: Mapped[str] = mapped_column(String(40))
    owner_name: Mapped[str] = mapped_column(String(60))
    reason: Mapped[str] = mapped_column(Text)
    granted_at: Mapped[datetime] = mapped_column(Instant)
    granted_by: Mapped[str] = mapped_column(String(40))
