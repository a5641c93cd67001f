"""The demo's outbox page: what would have left the building. Production refuses to use it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Instant, Model, Sealed, Serial


class DemoLetter(Model):
    __tablename__ = "demo_letter"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    channel: Mapped[str] = mapped_column(String(8))
    reference: Mapped[str] = mapped_column(String(80), unique=True)
    to: Mapped[str] = mapped_column(Sealed)
    subject: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[str] = mapped_column(Sealed)
