"""Letters put straight into the outbox, and what became of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import time as time_of_day
from datetime import timedelta
from typing import Any

from sqlalchemy import select, text, update

from booking.appointments.models import Appointment
from booking.clock import db_now
from booking.db import db, transaction
from booking.outbox import PLATFORM, Letter, Message, put
from booking.people.models import OneTimeCode
from booking.vault import blind_index
from tests import factory


def post(
    row: Appointment,
    kind: str = "confirmed",
    channels: tuple[str, ...] = ("app", "sms"),
    *,
    recipient: str = "account",
    lives: timedelta = timedelta(hours=20),
    due_in: timedelta = timedelta(),
    version: int | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Put letters about an appointment, as the verb that made its present version would."""
    with transaction() as session:
        now = db_now(session)
        letters = [
            Letter(
                kind,
                channel,
                recipient,
                due_at=now + due_in,
                expires_at=now + due_in + lives,
                account_id=row.account_id if recipient == "account" else None,
                patient_id=row.patient_id if recipient == "patient" else None,
                facts=facts,
            )
            for channel in channels
        ]
        version = row.version if version is None else version
        put(session, row.hospital_id, letters, now=now, appointment_id=row.id, version=version)


def booked(
    count: int = 1, *, email: str | None = None, own_phone: str | None = None, **columns: Any
) -> list[Appointment]:
    """Write one clinic and `count` booked visits of different people in one session; no letters yet.

    The clinic has no quiet hours: what these tests send goes at whatever time of day they run.
    """
    clinic = factory.clinic(policy={"quiet_from": time_of_day(0), "quiet_to": time_of_day(0)})
    session = factory.open_session(clinic, places=max(count, 1), slot_minutes=60)
    return [
        factory.booked(
            clinic,
            session,
            factory.person(email=email, own_phone=own_phone),
            visit_code=f"{10000000 + number}",
            **columns,
        )
        for number in range(count)
    ]


def post_code(phone: str = "+8613800130777") -> OneTimeCode:
    """Write a live one-time code and its letter, as asking for one does."""
    with transaction() as session:
        now = db_now(session)
        code = OneTimeCode(
            phone=phone,
            phone_hash=blind_index("phone", phone),
            purpose="sign_in",
            salt="salt-of-a-test",
            created_at=now,
            expires_at=now + timedelta(minutes=5),
        )
        session.add(code)
        session.flush()
        letter = Letter("code", "sms", "code", now, now + timedelta(minutes=5), code_id=code.id)
        put(session, PLATFORM, [letter], now=now)
    return code


def change(row: Appointment, **columns: Any) -> None:
    """Change an appointment's row directly, raising its version, as a verb would that puts no letters."""
    if columns.get("status") == "cancelled":
        columns |= {"holds_place_id": None, "cancelled_at": factory.now(), "cancelled_by": "patient"}
        with transaction() as session:
            session.execute(
                text("UPDATE place SET appointment_id = NULL WHERE id = :id"),
                {"id": row.place_id.hex if db.engine.dialect.name == "sqlite" else row.place_id},
            )
            _update(session, row, columns)
        return
    with transaction() as session:
        _update(session, row, columns)


def _update(session: Any, row: Appointment, columns: dict[str, Any]) -> None:
    session.execute(
        update(Appointment)
        .where(Appointment.hospital_id == row.hospital_id, Appointment.id == row.id)
        .values(version=Appointment.version + 1, **columns)
        .execution_options(synchronize_session=False)
    )


def letters(**columns: Any) -> list[Message]:
    """Return the rows of the outbox as they are now, in the order they were put."""
    db.session.rollback()
    db.session.expunge_all()
    found = db.session.scalars(
        select(Message).filter_by(**columns).order_by(Message.due_at, Message.id)
    ).all()
    db.session.expunge_all()
    db.session.rollback()
    return list(found)


def states(**columns: Any) -> Counter[str]:
    """Count the rows of the outbox by status."""
    return Counter(letter.status for letter in letters(**columns))


def only(**columns: Any) -> Message:
    """Return the one row that fits."""
    (found,) = letters(**columns)
    return found


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is true; fail after `seconds`."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)
