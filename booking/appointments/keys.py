"""Idempotency keys: the same key gives the same appointment; the same key with another body is refused."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from booking.appointments.models import RequestKey
from booking.appointments.rules import KeyReused
from booking.clock import db_now
from booking.db import core, retried, transaction

KEPT = timedelta(days=7)

_KEYS = core(RequestKey)
_CLAIM = [
    insert(_KEYS).on_conflict_do_nothing().returning(_KEYS.c.key)
    for insert in (postgresql_insert, sqlite_insert)
]
_KNOWN = select(_KEYS.c.body_digest, _KEYS.c.appointment_id).where(
    _KEYS.c.hospital_id == bindparam("hospital"), _KEYS.c.key == bindparam("its_key")
)


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
    row = {
        "hospital_id": hospital_id,
        "key": key,
        "verb": verb,
        "body_digest": digest,
        "appointment_id": appointment_id,
        "created_at": now,
    }
    link = session.connection()
    if link.execute(_CLAIM[session.get_bind().dialect.name == "sqlite"], row).first() is not None:
        return None
    known = link.execute(_KNOWN, {"hospital": hospital_id, "its_key": key}).one()
    if known.body_digest != digest:
        raise KeyReused()
    found: uuid.UUID = known.appointment_id
    return found


@retried
def remove_old_keys() -> int:
    """Delete keys older than seven days (retention); return how many."""
    with transaction() as session:
        done = session.execute(delete(RequestKey).where(RequestKey.created_at < db_now(session) - KEPT))
        return int(getattr(done, "rowcount", 0))
