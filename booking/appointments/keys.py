"""Idempotency keys: the same key gives the same appointment; the same key with another body is refused."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from booking.appointments.models import RequestKey
from booking.appointments.rules import KeyReused
from booking.clock import db_now
from booking.db import retried, transaction

KEPT = timedelta(days=7)


def claim_key(
    session: Session,
    hospital_id: int,
    key: str | None,
    verb: str,
    body: dict[str, Any],
    appointment_id: uuid.UUID,
    now: datetime,
) -> uuid.UUID | None:
    """Insert the key first; return None when it is new, or the appointment an earlier request with it led to.

    A request with the same key that is still running is waited for. Raises KeyReused when the body differs. The key is
    part of the verb's transaction: a refused request leaves no key.
    """
    if not key:
        return None
    if len(key) > 80:  # the column's width; two long keys that begin alike stay two
        key = hashlib.sha256(key.encode()).hexdigest()
    said = json.dumps([verb, body], sort_keys=True, default=str, ensure_ascii=False)
    digest = hashlib.sha256(said.encode()).hexdigest()
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    row = {
        "hospital_id": hospital_id,
        "key": key,
        "verb": verb,
        "body_digest": digest,
        "appointment_id": appointment_id,
        "created_at": now,
    }
    new = session.scalar(insert(RequestKey).values(**row).on_conflict_do_nothing().returning(RequestKey.key))
    if new is not None:
        return None
    known = session.execute(
        select(RequestKey.body_digest, RequestKey.appointment_id).where(
            RequestKey.hospital_id == hospital_id, RequestKey.key == key
        )
    ).one()
    if known.body_digest != digest:
        raise KeyReused()
    return known.appointment_id


@retried
def remove_old_keys() -> int:
    """Delete keys older than seven days (retention); return how many."""
    with transaction() as session:
        done = session.execute(delete(RequestKey).where(RequestKey.created_at < db_now(session) - KEPT))
        return int(getattr(done, "rowcount", 0))
