"""Add a dated session with its slots and places."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.clock import db_now, utc
from booking.db import broken_constraint, db, new_id, retried, transaction
from booking.directory.models import ClinicKind, DayPart, Doctor, Hospital, Practice
from booking.directory.policy import current_policy, release_instant
from booking.directory.policy import policy_version as policy_version_of
from booking.errors import BadInput
from booking.schedule.admission import Admits, make_admits
from booking.schedule.channels import in_order, rolls_instant, share, tidy
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.openings import assign_openings
from booking.schedule.rules import (
    SessionExists,
    ensure_dates,
    ensure_shape,
)
from booking.schedule.shape import Shape, place_row, slot_row, slot_times
from booking.schedule.waves import Wave, stored_waves
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

BY_RULE: Any = object()
"""In the place of an instant: as the hospital's policy says. None is taken, it means never."""


def insert_session(
    session: Session,
    hospital_id: int,
    practice: Practice,
    local_date: date,
    day_part_id: uuid.UUID,
    shape: Shape,
    *,
    zone: str,
    policy_version: int,
    release_at: datetime,
    closing_minutes: int,
    owner: str,
    publish: bool,
    template_id: uuid.UUID | None = None,
    rolls_at: datetime | None = None,
    note: str = "",
    waves: Sequence[Wave] | None = None,
    now: datetime,
    by: str = "",
) -> uuid.UUID:
    """Write one session with its slots and places in the caller's transaction; return its id.

    `waves` are the session's own later parts of the release; None means by the policy. Raises IntegrityError when the
    practice already has a session on that date and part of day.
    """
    session_id = new_id()
    session.execute(
        insert(ClinicSession).values(
            hospital_id=hospital_id,
            id=session_id,
            practice_id=practice.id,
            doctor_id=practice.doctor_id,
            day_part_id=day_part_id,
            clinic_kind_id=shape.clinic_kind_id,
            template_id=template_id,
            policy_version=policy_version,
            local_date=local_date,
            starts_local=shape.starts_local,
            ends_local=shape.ends_local,
            zone=zone,
            starts_at=utc(local_date, shape.starts_local, zone),
            ends_at=utc(local_date, shape.ends_local, zone),
            slot_minutes=shape.slot_minutes,
            places_per_slot=shape.places_per_slot,
            channels=shape.channels,
            rolls_at=rolls_at,
            fee_cents=shape.fee_cents,
            room=shape.room,
            admits=shape.admits,
            status="published" if publish else "draft",
            release_at=release_at,
            release_waves=None if waves is None else stored_waves(waves),
            closing_minutes=closing_minutes,
            owner=owner,
            note=note,
            changed_at=now,
            changed_by=by,
        )
    )
    times = slot_times(local_date, shape.starts_local, shape.ends_local, shape.slot_minutes, zone)
    slots = [slot_row(hospital_id, session_id, local_date, zone, closing_minutes, *one) for one in times]
    session.execute(insert(Slot), slots)
    order = in_order(share(shape.places_per_slot, shape.channels))
    places = [
        place_row(hospital_id, session_id, slot["id"], position, publish, channel, rolls_at)
        for slot in slots
        for position, channel in enumerate(order, start=1)
    ]
    session.execute(insert(Place), places)
    if waves or (waves is None and policy_version_of(session, hospital_id, policy_version).release_waves):
        row = session.get_one(ClinicSession, (hospital_id, session_id))
        assign_openings(session, row, now=now, fresh=[place["id"] for place in places])
    return session_id


def belongs(session: Session, hospital_id: int, **ids: tuple[type[Any], uuid.UUID]) -> dict[str, Any]:
    """Load rows of this hospital by id; a foreign id is BadInput on its field, as if it did not exist."""
    found = {name: session.get(model, (hospital_id, row_id)) for name, (model, row_id) in ids.items()}
    missing = {name: "请重新选择这一项" for name, row in found.items() if row is None}
    if missing:
        raise BadInput("有的选项不属于本医院，请重新选择。", errors=missing)
    return found


@retried
def add_session(
    hospital_id: int,
    *,
    actor: Actor,
    practice_id: uuid.UUID,
    local_date: date,
    day_part_id: uuid.UUID,
    starts_local: time,
    ends_local: time,
    slot_minutes: int,
    places_per_slot: int,
    clinic_kind_id: uuid.UUID,
    fee_cents: int,
    room: str,
    admits: Admits | None = None,
    channels: Mapping[str, int] | None = None,
    release_at: datetime | None = None,
    rolls_at: datetime | None = BY_RULE,
    waves: Sequence[Wave] | None = None,
    note: str = "",
    publish: bool = False,
) -> ClinicSession:
    """Add a single session (单次加开) as a draft, or published at once.

    `release_at` None means by the hospital's policy, and so do `waves`; `rolls_at` None never. Raises BadInput, NotAllowed,
    and SessionExists when the practice already has one on that date and part of day; a repeat is therefore refused, never
    doubled.
    """
    ensure_may(actor, "change_session", hospital_id)
    if publish:
        ensure_may(actor, "publish", hospital_id)
    ensure_shape(starts_local, ends_local, slot_minutes, places_per_slot, fee_cents, room, note)
    ensure_dates(local_date, local_date)
    shape = Shape(
        starts_local,
        ends_local,
        slot_minutes,
        places_per_slot,
        clinic_kind_id,
        fee_cents,
        room.strip(),
        make_admits(**(admits or {})),
        tidy(channels, places_per_slot),
    )
    try:
        with transaction() as session:
            rows = belongs(
                session,
                hospital_id,
                practice_id=(Practice, practice_id),
                day_part_id=(DayPart, day_part_id),
                clinic_kind_id=(ClinicKind, clinic_kind_id),
            )
            hospital = session.get_one(Hospital, hospital_id)
            now = db_now(session)
            doctor = session.get_one(Doctor, (hospital_id, rows["practice_id"].doctor_id))
            if not (rows["practice_id"].active and doctor.active):
                wrong = "这位医生已经不在这里出诊"
                raise BadInput(wrong, errors={"practice_id": wrong})
            if not slot_times(local_date, starts_local, ends_local, slot_minutes, hospital.zone):
                wrong = "这一天因夏令时没有这段时间"
                raise BadInput(wrong, errors={"starts_local": wrong})
            if utc(local_date, ends_local, hospital.zone) <= now:
                raise BadInput("这个时间已经过去。", errors={"local_date": "这个时间已经过去，请换一天"})
            policy = current_policy(session, hospital_id)
            session_id = insert_session(
                session,
                hospital_id,
                rows["practice_id"],
                local_date,
                day_part_id,
                shape,
                zone=hospital.zone,
                policy_version=policy.version,
                release_at=release_at or release_instant(policy, local_date, hospital.zone),
                closing_minutes=policy.closing_minutes,
                owner=hospital.numbers_owner,
                publish=publish,
                rolls_at=rolls_instant(policy, local_date, hospital.zone)
                if rolls_at is BY_RULE
                else rolls_at,
                note=note.strip(),
                waves=waves,
                now=now,
                by=actor.name,
            )
            facts = {"date": local_date.isoformat(), "publish": publish}
            record(session, hospital_id, actor, "add_session", "session", session_id, now=now, change=facts)
    except IntegrityError as problem:
        if broken_constraint(problem) == "uq_one_session_per_practice_and_part":
            raise SessionExists() from problem
        raise
    return db.session.get_one(ClinicSession, (hospital_id, session_id))
