"""Where a hospital's own system hears of changes, and the secret it knows them by."""

from __future__ import annotations

import base64
import os
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, update

from booking.db import db, transaction
from booking.directory.models import Hospital
from booking.errors import BadInput, NotFound

LONGEST_URL = 300


@dataclass(frozen=True)
class Listener:
    """A hospital's own system: its address, and the secret (`whsec_…`) our calls are signed with."""

    url: str
    secret: str


def listeners(hospital_ids: Collection[int]) -> dict[int, Listener]:
    """Return hospital → listener for those of the hospitals that have one; holds no connection afterwards."""
    try:
        rows = db.session.execute(
            select(Hospital.id, Hospital.webhook_url, Hospital.webhook_secret).where(
                Hospital.id.in_(hospital_ids),
                Hospital.webhook_url.is_not(None),
                Hospital.webhook_secret.is_not(None),
            )
        ).all()
    finally:
        db.session.remove()
    return {row.id: Listener(row.webhook_url, row.webhook_secret) for row in rows}


def set_webhook(slug: str, url: str) -> str:
    """Let the hospital `slug` hear of changes at `url` ("": nowhere); return its new secret ("" for nowhere).

    Each call makes a new secret; the one before is worth nothing from then on. Raises NotFound and BadInput.
    """
    if len(url) > LONGEST_URL:
        raise BadInput("这个网址太长了。", field="url")
    secret = f"whsec_{base64.b64encode(os.urandom(32)).decode()}" if url else ""
    with transaction() as session:
        done = session.execute(
            update(Hospital)
            .where(Hospital.slug == slug)
            .values(webhook_url=url or None, webhook_secret=secret or None)
            .execution_options(synchronize_session=False)
        )
        if getattr(done, "rowcount", 0) != 1:
            raise NotFound
    return secret
