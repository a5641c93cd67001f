"""Give a dated session another shape, or say what that would do. Capacity is rows; it never falls below what is sold."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from booking.clock import db_now, utc
from booking.db import db, retried, transaction
from booking.directory.models import ClinicKind
from booking.errors import NotFound
from booking.schedule.add_session import belongs
from booking.schedule.layout import Impact, apply_layout, in_sentences, plan_layout
from booking.schedule.models import ClinicSession
from booking.schedule.openings import assign_openings
from booking.schedule.rules import (
    Conflict,
    SessionOver,
    ensure_release_stands,
)
from booking.schedule.shape import Shape, ensure_whole
from booking.schedule.wanted import keep_back_for_wishes
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

CHANGEABLE = ("draft", "published", "running")
AS_IT_IS: Any = object()
"""In the place of an instant: leave it."""


def preview_change(
    hospital_id: int,
    session_id: uuid.UUID,
    shape: Shape,
    *,
    release_at: datetime | None = None,
    publish: bool = False,
) -> Impact:
    """Return what `change_session` would do (保存后会发生什么); changes nothing, raises what the change would raise."""
    ensure_whole(shape, "")
    row = db.session.get(ClinicSession, (hospital_id, session_id))
    if row is None:
        raise NotFound("没有找到这个班次。")
    if row.status not in CHANGEABLE:
        raise SessionOver()
    impact = plan_layout(db.session(), row, shape).impact
    impact.sentences = in_sentences(
        row, shape, impact, publish, db_now(db.session()), release_at or row.release_at
    )
    return impact


@retried
def change_session(
    hospital_id: int,
    session_id: uuid.UUID,
    shape: Shape,
    *,
    actor: Actor,
    version: int,
    release_at: datetime | None = None,
    rolls_at: datetime | None = AS_IT_IS,
    note: str = "",
    publish: bool = False,
) -> ClinicSession:
    """Give a session another shape. Sold places keep their time and channel; free ones change theirs, are withdrawn or added.

    `rolls_at` is when kept places left over are sold online too: None never, AS_IT_IS leaves it.

    The waves of its release stay (see openings.set_waves); while entries for a draw are taken the release cannot move
    (DrawRunning). Raises Conflict (facts `theirs`: the row as it is now) when `version` is no longer the newest, BelowSold,
    SlotsInUse, SessionOver, BadInput, NotAllowed. A repeat with the old version is a Conflict, so nothing happens twice.
    """
    ensure_may(actor, "change_session", hospital_id)
    if publish:
        ensure_may(actor, "publish", hospital_id)
    ensure_whole(shape, note)
    with transaction() as session:
        # FOR NO KEY UPDATE: a booking's foreign key to this row must not wait, or the two would wait for each other
        row = session.get(ClinicSession, (hospital_id, session_id), with_for_update={"key_share": True})
        if row is None:
            raise NotFound("没有找到这个班次。")
        belongs(session, hospital_id, clinic_kind_id=(ClinicKind, shape.clinic_kind_id))
        if row.version != version:
            session.expunge(row)  # the page compares what was read here, not what the row becomes later
            raise Conflict(theirs=row)
        if row.status not in CHANGEABLE:
            raise SessionOver()
        now = db_now(session)
        ensure_release_stands(row.sale, row.entries_from, row.release_at, release_at or row.release_at, now)
        plan = plan_layout(session, row, shape)
        live = publish or row.status != "draft"
        before = _said(row, shape) | {"places": plan.impact.before}
        if publish and row.status == "draft":
            row.status = "published"
        for name, value in vars(shape).items():
            setattr(row, name, value)
        row.starts_at = utc(row.local_date, shape.starts_local, row.zone)
        row.ends_at = utc(row.local_date, shape.ends_local, row.zone)
        row.release_at = release_at or row.release_at
        row.rolls_at = row.rolls_at if rolls_at is AS_IT_IS else rolls_at
        row.note, row.version = note.strip(), row.version + 1
        row.changed_at, row.changed_by = now, actor.name
        session.flush()
        fresh = apply_layout(session, row, plan, shape, live)
        assign_openings(session, row, now=now, fresh=fresh)
        keep_back_for_wishes(session, hospital_id, row.id, fresh)
        after = _said(row, shape) | {"places": plan.impact.after}
        change = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        record(session, hospital_id, actor, "change_session", "session", row.id, now=now, change=change)
    return row


def _said(row: ClinicSession, shape: Shape) -> dict[str, Any]:
    """Return what the audit trail compares before and after."""
    return {
        name: str(getattr(row, name)) for name in (*vars(shape), "status", "release_at", "rolls_at", "note")
    }
