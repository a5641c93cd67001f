"""What a worker writes about letters it has claimed: leases that go on, ends, tries to come; by the fence, or not at all."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.orm import Session

from booking.claims import LEASE, Claimed
from booking.clock import db_now
from booking.db import Instant, transaction
from booking.vault import seal

SENT = ("accepted", "delivered")


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one claimed letter: an end, or `waiting` until `retry_at` (None: at once due again).

    `ambiguous`: nobody knows whether the provider took it. `untried`: it was not handed over, the try does not count.
    `subject` and `text` are kept of in-app letters only.
    """

    letter: Claimed
    status: str
    error: str = ""
    retry_at: datetime | None = None
    ambiguous: bool = False
    untried: bool = False
    provider: str = ""
    provider_ref: str = ""
    segments: int = 0
    to_hash: str | None = None
    subject: str | None = None
    text: str | None = None


def extend(letters: Sequence[Claimed]) -> set[uuid.UUID]:
    """Let the leases of one hospital's letters run for `LEASE` from now; return the ids that are still this worker's.

    The heartbeat of a batch that takes long. A lease that has gone to another claim is not touched.
    """
    if not letters:
        return set()
    with transaction() as session:
        until = db_now(session) + LEASE
        statement = _EXTEND[session.get_bind().dialect.name == "sqlite"]
        mine = json.dumps([{"id": _name(session, one.id), "fence": one.fence} for one in letters])
        values = {"hospital": letters[0].hospital_id, "until": until, "rows": mine}
        return {_id(row.id) for row in session.connection().execute(statement, values)}


def give_back(letters: Iterable[Claimed]) -> None:
    """Return claimed letters that were not tried, at once due again; those whose lease went to another stay there."""
    settle([Ended(one, "waiting", untried=True) for one in letters])


def settle(ended: Sequence[Ended]) -> set[uuid.UUID]:
    """Record what became of claimed letters of one hospital, all in one statement; return the ids it came too late for.

    Compare-and-swap on each fence: a letter that went to another claim, or that was ended while it was being sent,
    keeps what the other wrote. Only what a letter's own receipt could not know (see _COMPLETE) is added to it.
    """
    if not ended:
        return set()
    with transaction() as session:
        now = db_now(session)
        sqlite = session.get_bind().dialect.name == "sqlite"
        rows = {one.letter.id: _row(session, one, now) for one in ended}
        values = {"hospital": ended[0].letter.hospital_id, "now": now}
        told = values | {"rows": json.dumps(list(rows.values()))}
        known = {_id(row.id) for row in session.connection().execute(_SETTLE[sqlite], told)}
        late = [row for letter, row in rows.items() if letter not in known and row["status"] in SENT]
        if late:
            told = values | {"rows": json.dumps(late)}
            known |= {_id(row.id) for row in session.connection().execute(_COMPLETE[sqlite], told)}
        return set(rows) - known


def _row(session: Session, one: Ended, now: datetime) -> dict[str, Any]:
    return {
        "id": _name(session, one.letter.id),
        "fence": one.letter.fence,
        "status": one.status,
        "error": one.error[:500],
        "next_at": _moment(session, one.retry_at or now),
        "ambiguous": int(one.ambiguous),
        "untried": int(one.untried),
        "provider": one.provider[:20],
        "provider_ref": one.provider_ref[:120],
        "segments": one.segments,
        "to_hash": one.to_hash,
        "subject": None if one.subject is None else seal(one.subject),
        "body": None if one.text is None else seal(one.text),
    }


_FIELDS = {
    "id": "uuid",
    "fence": "integer",
    "status": "text",
    "error": "text",
    "next_at": "timestamptz",
    "ambiguous": "integer",
    "untried": "integer",
    "provider": "text",
    "provider_ref": "text",
    "segments": "integer",
    "to_hash": "text",
    "subject": "text",
    "body": "text",
}
_STILL_OURS = "message.status = 'sending' AND message.fence = v.fence"
_PROVED = """
    provider = CASE WHEN v.provider <> '' THEN v.provider ELSE message.provider END,
    provider_ref = CASE WHEN v.provider_ref <> '' THEN v.provider_ref ELSE message.provider_ref END,
    segments = CASE WHEN v.segments > 0 THEN v.segments ELSE message.segments END,
    to_hash = coalesce(v.to_hash, message.to_hash)"""


def _in_json(sqlite: bool, names: Iterable[str]) -> str:
    """The rows of a JSON list as a table `v`: one parameter, whatever their number, so that the plan is kept."""
    if sqlite:
        columns = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in names)
        return f"(SELECT {columns} FROM json_each(:rows)) AS v"
    columns = ", ".join(f"{name} {_FIELDS[name]}" for name in names)
    return f"json_to_recordset(CAST(:rows AS json)) AS v({columns})"


@cache
def _statement(sqlite: bool, sets: str, condition: str, *names: str) -> TextClause:
    return text(
        f"UPDATE message SET {sets} FROM {_in_json(sqlite, names or _FIELDS)}"
        f" WHERE message.hospital_id = :hospital AND message.id = v.id AND {condition} RETURNING message.id AS id"
    )


def _both(sets: str, condition: str, instant: str, *names: str) -> list[TextClause]:
    """The same change for PostgreSQL and for SQLite; `instant` is the one it binds."""
    return [
        _statement(sqlite, sets, condition, *names).bindparams(bindparam(instant, type_=Instant()))
        for sqlite in (False, True)
    ]


_EXTEND = _both("lease_until = :until, next_at = :until", _STILL_OURS, "until", "id", "fence")
_ENDS = (
    "status = v.status, lease_until = NULL, last_error = v.error, next_at = v.next_at,"
    " attempts = message.attempts - v.untried, ambiguous = message.ambiguous + v.ambiguous,"
    " sent_at = CASE WHEN v.status IN ('accepted', 'delivered') THEN :now ELSE message.sent_at END,"
    " delivered_at = CASE WHEN v.status = 'delivered' THEN :now ELSE message.delivered_at END,"
    f" subject = coalesce(v.subject, message.subject), body = coalesce(v.body, message.body), {_PROVED}"
)
_SETTLE = _both(_ENDS, _STILL_OURS, "now")
_COMPLETE = _both(
    f"sent_at = coalesce(message.sent_at, :now), {_PROVED}",
    "message.status IN ('delivered', 'failed') AND message.sent_at IS NOT NULL AND message.fence = v.fence",
    "now",
)
"""For a letter whose receipt was here before its own sender: who carried it, in how many parts, to which address."""


def _name(session: Session, id: uuid.UUID) -> str:
    return id.hex if session.get_bind().dialect.name == "sqlite" else str(id)


def _id(found: Any) -> uuid.UUID:
    return found if isinstance(found, uuid.UUID) else uuid.UUID(found)


def _moment(session: Session, at: datetime) -> str:
    plain = at.astimezone(UTC)
    if session.get_bind().dialect.name == "sqlite":
        return plain.replace(tzinfo=None).isoformat(" ", "microseconds")
    return plain.isoformat()
