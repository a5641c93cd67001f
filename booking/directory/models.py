"""Tables of the directory. On Citus these are reference tables, so that content may point at a doctor."""

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
)
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Instant, Json, Model, Sealed, Serial, Tenant


class Hospital(Model):
    """A hospital (医院). `numbers_owner` says whose numbers its sessions sell unless a session says otherwise."""

    __tablename__ = "hospital"
    __table_args__ = (
        UniqueConstraint("external_system", "external_id"),
        CheckConstraint("numbers_owner IN ('ours', 'his')", name="numbers_owner"),
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(120), index=True)
    short_name: Mapped[str] = mapped_column(String(60), default="")
    level: Mapped[str] = mapped_column(String(20), default="")
    province: Mapped[str] = mapped_column(String(40), default="")
    city: Mapped[str] = mapped_column(String(40), default="")
    district: Mapped[str] = mapped_column(String(40), default="")
    address: Mapped[str] = mapped_column(String(200), default="")
    phone: Mapped[str] = mapped_column(String(60), default="")
    zone: Mapped[str] = mapped_column(String(40), default="Asia/Shanghai")
    about: Mapped[str] = mapped_column(Text, default="")
    transport: Mapped[str] = mapped_column(Text, default="")
    numbers_owner: Mapped[str] = mapped_column(String(4), default="ours")
    external_system: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(120))
    webhook_url: Mapped[str | None] = mapped_column(String(300))
    webhook_secret: Mapped[str | None] = mapped_column(Sealed)


class Specialty(Model):
    """A standard specialty (标准科目), shared by all hospitals; a tree of two levels with a short URL."""

    __tablename__ = "specialty"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("specialty.id"))
    about: Mapped[str] = mapped_column(Text, default="")
    position: Mapped[int] = mapped_column(default=0)
    has_clinic: Mapped[bool] = mapped_column(default=True)
    sensitive: Mapped[bool] = mapped_column(default=False)
    red_flags: Mapped[list[str]] = mapped_column(Json, default=list)
    lay_words: Mapped[list[str]] = mapped_column(Json, default=list)


class Campus(Tenant, Model):
    """A campus (院区): a bookable place of its own."""

    __tablename__ = "campus"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        UniqueConstraint("hospital_id", "slug"),
        UniqueConstraint("hospital_id", "external_system", "external_id"),
    )
    slug: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(60))
    address: Mapped[str] = mapped_column(String(200), default="")
    phone: Mapped[str] = mapped_column(String(60), default="")
    transport: Mapped[str] = mapped_column(Text, default="")
    desk: Mapped[str] = mapped_column(String(120), default="")
    position: Mapped[int] = mapped_column(default=0)
    external_system: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(120))


class Department(Tenant, Model):
    """A hospital's own department (科室), linked to one standard specialty."""

    __tablename__ = "department"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        ForeignKeyConstraint(["hospital_id", "parent_id"], ["department.hospital_id", "department.id"]),
        UniqueConstraint("hospital_id", "name"),
        UniqueConstraint("hospital_id", "external_system", "external_id"),
        Index("ix_department_specialty", "specialty_id"),
    )
    name: Mapped[str] = mapped_column(String(60))
    parent_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    specialty_id: Mapped[int | None] = mapped_column(ForeignKey("specialty.id"))
    about: Mapped[str] = mapped_column(Text, default="")
    has_clinic: Mapped[bool] = mapped_column(default=True)
    sensitive: Mapped[bool] = mapped_column(default=False)
    position: Mapped[int] = mapped_column(default=0)
    external_system: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(120))


class Doctor(Tenant, Model):
    """A doctor (医生): one row per person and hospital. 「执业信息已核验」 is shown only when `verified_at` is stored."""

    __tablename__ = "doctor"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        UniqueConstraint("slug"),
        UniqueConstraint("hospital_id", "external_system", "external_id"),
        Index("ix_doctor_name", "hospital_id", "name"),
    )
    slug: Mapped[str] = mapped_column(String(80))
    name: Mapped[str] = mapped_column(String(60))
    pinyin: Mapped[str] = mapped_column(String(120), default="")
    title: Mapped[str] = mapped_column(String(40), default="")
    sex: Mapped[str] = mapped_column(String(1), default="")
    skill: Mapped[str] = mapped_column(Text, default="")
    about: Mapped[str] = mapped_column(Text, default="")
    training: Mapped[str] = mapped_column(Text, default="")
    licence_no: Mapped[str] = mapped_column(String(40), default="")
    verified_at: Mapped[datetime | None] = mapped_column(Instant)
    active: Mapped[bool] = mapped_column(default=True)
    imported: Mapped[bool] = mapped_column(default=False)
    external_system: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(120))


class Practice(Tenant, Model):
    """Where a doctor sees patients (出诊关系): doctor × department × campus."""

    __tablename__ = "practice"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "doctor_id"], ["doctor.hospital_id", "doctor.id"]),
        ForeignKeyConstraint(["hospital_id", "department_id"], ["department.hospital_id", "department.id"]),
        ForeignKeyConstraint(["hospital_id", "campus_id"], ["campus.hospital_id", "campus.id"]),
        UniqueConstraint("hospital_id", "doctor_id", "department_id", "campus_id"),
        Index("ix_practice_department", "hospital_id", "department_id"),
    )
    doctor_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    department_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    campus_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    active: Mapped[bool] = mapped_column(default=True)
    position: Mapped[int] = mapped_column(default=0)


class ClinicKind(Tenant, Model):
    """A hospital's clinic kind (号别) with the name of its fee; the fee itself stands on the session. `preparation` is what a
    patient should do before the visit (e.g. come fasting), told the evening before."""

    __tablename__ = "clinic_kind"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        UniqueConstraint("hospital_id", "name"),
    )
    name: Mapped[str] = mapped_column(String(40))
    fee_name: Mapped[str] = mapped_column(String(40), default="挂号费")
    fee_cents: Mapped[int] = mapped_column(default=0)
    preparation: Mapped[str] = mapped_column(Text, default="", server_default="")
    position: Mapped[int] = mapped_column(default=0)


class DayPart(Tenant, Model):
    """A hospital's part of day (时段段别), e.g. 上午; wall-clock times of the hospital's zone."""

    __tablename__ = "day_part"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        UniqueConstraint("hospital_id", "name"),
    )
    name: Mapped[str] = mapped_column(String(20))
    starts_local: Mapped[time] = mapped_column(Time)
    ends_local: Mapped[time] = mapped_column(Time)
    position: Mapped[int] = mapped_column(default=0)


class Closure(Tenant, Model):
    """A hospital's own word about a date, over the public calendar: closed, or open although a holiday.

    `follows_weekday` (0 is Monday) names the weekday whose templates count on a day swapped by 调休.
    """

    __tablename__ = "closure"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        UniqueConstraint("hospital_id", "on_date"),
    )
    on_date: Mapped[date]
    is_open: Mapped[bool] = mapped_column(default=False)
    follows_weekday: Mapped[int | None]
    name: Mapped[str] = mapped_column(String(60), default="")


class Policy(Tenant, Model):
    """A hospital's rules (规则), versioned: an appointment keeps the version it was sold under. See domain.md §5 for defaults.

    `reminders` is the ladder: a list of {"kind", "days_before", "at"} or {"kind", "minutes_before"} steps.
    `channels` are the places of a slot kept for other ways than the web, by channel, as a new template or session begins;
    what is left of them is sold online from `roll_time` on, `roll_days_before` days before the visit (None: never).
    `release_waves` are later parts of a release: a list of {"percent", "days_before", "at"}; empty means all at the release.
    Minutes, days and counts are plain integers; times of day are hospital wall time. `return_from` and `return_to` are the
    published window in which a returned place that nobody on the waiting list could use is for everybody again.
    `prepare_time` is when the preparation for the next day's visit is sent; a stop that nobody confirmed to have received
    is told by voice after `voice_after_minutes`, and stands on the desk's call list after `call_after_minutes`.
    """

    __tablename__ = "policy"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id"], ["hospital.id"]),
        UniqueConstraint("hospital_id", "version"),
    )
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(Instant)
    horizon_days: Mapped[int] = mapped_column(default=7)
    release_time: Mapped[time] = mapped_column(Time, default=time(7, 30))
    closing_minutes: Mapped[int] = mapped_column(default=30)
    channels: Mapped[dict[str, int]] = mapped_column(Json, default=dict, server_default="{}")
    roll_days_before: Mapped[int] = mapped_column(default=1, server_default="1")
    roll_time: Mapped[time | None] = mapped_column(Time, default=time(17, 0), server_default="17:00:00")
    extra_cap: Mapped[int] = mapped_column(default=5, server_default="5")
    cancel_days_before: Mapped[int] = mapped_column(default=1)
    cancel_time: Mapped[time] = mapped_column(Time, default=time(17, 0))
    regret_minutes: Mapped[int] = mapped_column(default=10)
    hold_minutes: Mapped[int] = mapped_column(default=5)
    hold_minutes_first: Mapped[int] = mapped_column(default=10)
    hold_extensions: Mapped[int] = mapped_column(default=1)
    holds_per_person: Mapped[int] = mapped_column(default=2)
    anonymous_share: Mapped[int] = mapped_column(default=20)
    offer_minutes: Mapped[int] = mapped_column(default=60)
    pair_minutes: Mapped[int] = mapped_column(default=120)
    wishes_per_patient: Mapped[int] = mapped_column(default=3)
    wish_turns_kept: Mapped[int] = mapped_column(default=1)
    wish_ends_days_before: Mapped[int] = mapped_column(default=1)
    wish_ends_time: Mapped[time] = mapped_column(Time, default=time(23, 0))
    return_from: Mapped[time] = mapped_column(Time, default=time(10, 0))
    return_to: Mapped[time] = mapped_column(Time, default=time(20, 0))
    sign_in_first_minutes: Mapped[int] = mapped_column(default=10)
    per_department_day: Mapped[int] = mapped_column(default=1)
    per_day: Mapped[int] = mapped_column(default=2)
    per_week: Mapped[int] = mapped_column(default=6)
    open_per_account: Mapped[int] = mapped_column(default=10)
    refuse_overlap: Mapped[bool] = mapped_column(default=True)
    checkin_opens_minutes: Mapped[int] = mapped_column(default=120)
    arrive_minutes: Mapped[int] = mapped_column(default=20)
    late_minutes: Mapped[int] = mapped_column(default=30)
    no_show_count: Mapped[int] = mapped_column(default=3)
    no_show_days: Mapped[int] = mapped_column(default=180)
    no_show_block_days: Mapped[int] = mapped_column(default=30)
    no_show_block_max_days: Mapped[int] = mapped_column(default=120)
    no_show_after_minutes: Mapped[int] = mapped_column(default=60)
    quiet_from: Mapped[time] = mapped_column(Time, default=time(22, 0))
    quiet_to: Mapped[time] = mapped_column(Time, default=time(7, 0))
    prepare_time: Mapped[time] = mapped_column(Time, default=time(18, 0), server_default="18:00:00")
    voice_after_minutes: Mapped[int] = mapped_column(default=10, server_default="10")
    call_after_minutes: Mapped[int] = mapped_column(default=20, server_default="20")
    generate_days: Mapped[int] = mapped_column(default=28)
    reminders: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    release_waves: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list, server_default="[]")
