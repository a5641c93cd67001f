"""What the senders remember: receipts and replies as they came in, how providers do, calls to make; and the demo's page."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, Float, Index, String, Text, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Instant, Model, Sealed, Serial, Tenant


class Receipt(Tenant, Model):
    """What a provider later said about a letter (回执), as it came in; `event_id` makes the same saying count once.

    Owned by the hospital of the letter (0: the platform). `said_at` is the provider's own time. Rows are only added.
    """

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("hospital_id", "provider", "event_id", name="uq_one_receipt_per_event"),
        CheckConstraint("said IN ('delivered', 'failed', 'unknown')", name="said"),
        Index("ix_receipt_message", "hospital_id", "message_id"),
    )
    provider: Mapped[str] = mapped_column(String(20))
    event_id: Mapped[str] = mapped_column(String(120))
    message_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    said: Mapped[str] = mapped_column(String(10))
    detail: Mapped[str] = mapped_column(String(120), default="")
    said_at: Mapped[datetime | None] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)


class Reply(Model):
    """A short message somebody sent back (回复), and what came of it; the same event counts once. Platform-wide: a phone
    belongs to no hospital; `hospital_id` and `appointment_id` name what it was found to be about."""

    __tablename__ = "reply"
    __table_args__ = (
        UniqueConstraint("provider", "event_id", name="uq_one_reply_per_event"),
        Index("ix_reply_phone", "phone_hash", "received_at"),
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    provider: Mapped[str] = mapped_column(String(20))
    event_id: Mapped[str] = mapped_column(String(120))
    phone_hash: Mapped[str] = mapped_column(String(64))
    said: Mapped[str] = mapped_column(Sealed)
    received_at: Mapped[datetime] = mapped_column(Instant)
    did: Mapped[str] = mapped_column(String(20), default="")
    hospital_id: Mapped[int | None] = mapped_column(Serial)
    appointment_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)


class ProviderState(Model):
    """How a provider does, shared by all workers: its failures in a row, until when it rests, its tokens of rate."""

    __tablename__ = "provider_state"
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    rests_until: Mapped[datetime | None] = mapped_column(Instant)
    tokens: Mapped[float] = mapped_column(Float, default=0, server_default="0")
    tokens_at: Mapped[datetime | None] = mapped_column(Instant)
    last_ok_at: Mapped[datetime | None] = mapped_column(Instant)
    last_failure_at: Mapped[datetime | None] = mapped_column(Instant)
    last_error: Mapped[str] = mapped_column(Text, default="", server_default="")


class PhoneCall(Tenant, Model):
    """Somebody the desk must ring (电话名单) because no letter reached them; at most one open call per appointment."""

    __tablename__ = "phone_call"
    __table_args__ = (
        Index(
            "uq_one_open_call_per_appointment",
            "hospital_id",
            "appointment_id",
            unique=True,
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
        CheckConstraint("reason IN ('failed', 'no_receipt')", name="reason"),
        CheckConstraint(
            "outcome IN ('', 'reached', 'no_answer', 'wrong_number', 'not_needed')", name="outcome"
        ),
    )
    appointment_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    message_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(String(12))
    created_at: Mapped[datetime] = mapped_column(Instant)
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    done_at: Mapped[datetime | None] = mapped_column(Instant)
    done_by: Mapped[str] = mapped_column(String(40), default="", server_default="")
    outcome: Mapped[str] = mapped_column(String(12), default="", server_default="")
    note: Mapped[str] = mapped_column(Text, default="", server_default="")


class DemoLetter(Model):
    """The demo's outbox page: what would have left the building. Production refuses to use it."""

    __tablename__ = "demo_letter"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    channel: Mapped[str] = mapped_column(String(8))
    reference: Mapped[str] = mapped_column(String(80), unique=True)
    to: Mapped[str] = mapped_column(Sealed)
    subject: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[str] = mapped_column(Sealed)
