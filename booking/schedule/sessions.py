"""Verbs on dated sessions: add one, change one, publish drafts. Capacity is rows; it never falls below what is sold."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.clock import db_now, local, utc
from booking.db import broken_constraint, db, new_id, retried, transaction
from booking.directory.models import ClinicKind, DayPart, Doctor, Hospital, Practice
from booking.directory.policy import current_policy, release_instant
from booking.directory.policy import policy_version as policy_version_of
from booking.errors import BadInput, NotFound
from booking.schedule.admission import Admits, in_words, make_admits
from booking.schedule.channels import KEPT, in_order, kept_words, reachable, rolls_instant, share, tidy
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.openings import assign_openings
from booking.schedule.rules import (
    BelowSold,
    Conflict,
    SessionExists,
    SessionOver,
    SlotsInUse,
    cut,
    ensure_dates,
    ensure_release_stands,
    ensure_shape,
)
from booking.schedule.wanted import keep_back_for_wishes
from booking.schedule.waves import Wave, stored_waves
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

CHANGEABLE = ("draft", "published", "running")
BY_RULE: Any = object()
"""In the place of an instant: as the hospital's policy says. None is taken, it means never."""
AS_IT_IS: Any = object()
"""In the place of an instant: leave it."""


@dataclass(frozen=True)
class Shape:
    """What a session looks like: wall-clock hours, slot length in minutes, numbers per slot, kind, fee in cents, room.

    `admits` says whom it is for (`admission.make_admits`); None is everybody.
    `channels` says how many of a slot's numbers are kept for phone, desk, elder, return, referral; the rest are online.
    """

    starts_local: time
    ends_local: time
    slot_minutes: int
    places_per_slot: int
    clinic_kind_id: uuid.UUID
    fee_cents: int
    room: str
    admits: Admits | None = None
    channels: dict[str, int] = field(default_factory=dict)


@dataclass
class Impact:
    """What saving would do: numbers before and after, and the sentences that say it."""

    before: int = 0
    after: int = 0
    sold: int = 0
    added: int = 0
    withdrawn: int = 0
    sentences: list[str] = field(default_factory=list)


@dataclass
class _Layout:
    """The difference between the slots and places there are and those a shape asks for."""

    new_slots: list[tuple[time, time]] = field(default_factory=list)
    ends: dict[uuid.UUID, time] = field(default_factory=dict)
    reopen: dict[uuid.UUID, str] = field(default_factory=dict)
    extend: list[tuple[uuid.UUID, int, list[str]]] = field(default_factory=list)
    withdraw: list[uuid.UUID] = field(default_factory=list)
    relabel: dict[uuid.UUID, str] = field(default_factory=dict)
    impact: Impact = field(default_factory=Impact)


def slot_times(day: date, starts: time, ends: time, minutes: int, zone: str) -> list[tuple[time, time]]:
    """Cut working hours of a date into slots; a wall time that a daylight-saving change skips does not happen."""
    return [one for one in cut(starts, ends, minutes) if local(utc(day, one[0], zone), zone).time() == one[0]]


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
    slots = [_slot_row(hospital_id, session_id, local_date, zone, closing_minutes, *one) for one in times]
    session.execute(insert(Slot), slots)
    order = in_order(share(shape.places_per_slot, shape.channels))
    places = [
        _place_row(hospital_id, session_id, slot["id"], position, publish, channel, rolls_at)
        for slot in slots
        for position, channel in enumerate(order, start=1)
    ]
    session.execute(insert(Place), places)
    if waves or (waves is None and policy_version_of(session, hospital_id, policy_version).release_waves):
        row = session.get_one(ClinicSession, (hospital_id, session_id))
        assign_openings(session, row, now=now, fresh=[place["id"] for place in places])
    return session_id


def _slot_row(
    hospital_id: int,
    session_id: uuid.UUID,
    day: date,
    zone: str,
    closing_minutes: int,
    starts: time,
    ends: time,
) -> dict[str, Any]:
    starts_at = utc(day, starts, zone)
    return {
        "hospital_id": hospital_id,
        "id": new_id(),
        "session_id": session_id,
        "starts_local": starts,
        "ends_local": ends,
        "starts_at": starts_at,
        "ends_at": utc(day, ends, zone),
        "closes_at": starts_at - timedelta(minutes=closing_minutes),
    }


def _place_row(
    hospital_id: int,
    session_id: uuid.UUID,
    slot_id: uuid.UUID,
    position: int,
    is_open: bool,
    channel: str,
    rolls_at: datetime | None,
) -> dict[str, Any]:
    return {
        "hospital_id": hospital_id,
        "id": new_id(),
        "session_id": session_id,
        "slot_id": slot_id,
        "position": position,
        "open": is_open,
        "channel": channel,
        "rolls_at": rolls_at if channel in KEPT else None,
    }


def _belongs(session: Session, hospital_id: int, **ids: tuple[type[Any], uuid.UUID]) -> dict[str, Any]:
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
            rows = _belongs(
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


def _plan(session: Session, row: ClinicSession, shape: Shape) -> _Layout:
    """Compare what is there with what `shape` asks for; raises BelowSold or SlotsInUse when sold places stand against it."""
    plan = _Layout()
    slots = list(
        session.scalars(
            select(Slot)
            .where(Slot.hospital_id == row.hospital_id, Slot.session_id == row.id)
            .order_by(Slot.starts_at)
        )
    )
    places: dict[uuid.UUID, list[Place]] = {slot.id: [] for slot in slots}
    found = select(Place).where(Place.hospital_id == row.hospital_id, Place.session_id == row.id)
    for place in session.scalars(found.order_by(Place.position)):
        places[place.slot_id].append(place)
    wanted = dict(
        slot_times(row.local_date, shape.starts_local, shape.ends_local, shape.slot_minutes, row.zone)
    )
    counts = share(shape.places_per_slot, shape.channels)
    standing = {slot.starts_local: slot for slot in slots}
    in_use: list[str] = []
    most_sold = 0
    for slot in slots:
        mine = [place for place in places[slot.id] if not place.withdrawn]
        sold = [place for place in mine if place.appointment_id]
        usual = [place for place in mine if place.extra_number is None]
        plan.impact.before += len(mine)
        plan.impact.sold += len(sold)
        ends = wanted.get(slot.starts_local)
        if sold and ends != slot.ends_local:
            in_use.append(slot.starts_local.strftime("%H:%M"))
            continue
        if ends and ends != slot.ends_local:
            plan.ends[slot.id] = ends
        usual_sold = sum(place.appointment_id is not None for place in usual)
        if ends and usual_sold > shape.places_per_slot:
            most_sold = max(most_sold, usual_sold)
            continue
        _plan_slot(plan, slot.id, places[slot.id], counts if ends else {})
    if in_use:
        raise SlotsInUse(times="、".join(in_use))
    if most_sold:
        raise BelowSold(sold=plan.impact.sold, need=most_sold)
    plan.new_slots = [(starts, ends) for starts, ends in wanted.items() if starts not in standing]
    plan.impact.withdrawn = len(plan.withdraw)
    plan.impact.added = (
        len(plan.reopen)
        + sum(len(more) for _, _, more in plan.extend)
        + len(plan.new_slots) * shape.places_per_slot
    )
    plan.impact.after = plan.impact.before + plan.impact.added - plan.impact.withdrawn
    return plan


def _plan_slot(plan: _Layout, slot_id: uuid.UUID, places: list[Place], wanted: dict[str, int]) -> None:
    """Plan the places of one slot: free ones change their channel before any is withdrawn or added.

    Places that were added (加号) belong to their patient and are not counted here.
    """
    usual = [place for place in places if place.extra_number is None]
    mine = [place for place in usual if not place.withdrawn]
    have = Counter(place.channel for place in mine)
    target = reachable(wanted, Counter(place.channel for place in mine if place.appointment_id))
    missing = [name for name, count in target.items() for _ in range(count - have[name])]
    surplus = []
    for place in sorted(mine, key=lambda one: -one.position):
        if place.appointment_id is None and have[place.channel] > target.get(place.channel, 0):
            have[place.channel] -= 1
            surplus.append(place)
    back = [place for place in usual if place.withdrawn]
    for place in surplus[: len(missing)]:
        plan.relabel[place.id] = missing.pop(0)
    plan.withdraw += [place.id for place in surplus if place.id not in plan.relabel]
    for place in back[: len(missing)]:
        plan.reopen[place.id] = missing.pop(0)
    if missing:
        plan.extend.append((slot_id, max((place.position for place in places), default=0) + 1, missing))


def _say(
    row: ClinicSession, shape: Shape, impact: Impact, publish: bool, now: datetime, release_at: datetime
) -> list[str]:
    said = []
    live = publish or row.status != "draft"
    if impact.after == impact.before:
        said.append(f"总号数不变，仍是 {impact.after} 个")
    elif impact.after > impact.before:
        soon = "立即多出" if live and release_at <= now else "放号时多出"
        said.append(f"总号数 {impact.before} → {impact.after}，{soon} {impact.added - impact.withdrawn} 个号")
    else:
        said.append(
            f"总号数 {impact.before} → {impact.after}，收回 {impact.before - impact.after} 个还没人约的号"
        )
    if shape.channels != row.channels:
        kept = kept_words(shape.channels)
        said.append(f"每段留给：{kept}，其余网上可约" if kept else "每段的号全部网上可约")
    if impact.sold:
        said.append(f"已约的 {impact.sold} 人时间不变，不会收到通知")
    if impact.sold and shape.room != row.room:
        said.append(f"诊室改为 {shape.room or '（空）'}，已约患者的凭条会显示新诊室，不另发短信")
    if impact.sold and shape.fee_cents != row.fee_cents:
        said.append("新费用只对之后的预约生效，已约患者按原费用")
    if shape.admits != row.admits:
        who = "，".join(in_words(shape.admits)) or "不限患者"
        said.append(f"以后预约：{who}{'；已约的患者不受影响' if impact.sold else ''}")
    if row.status == "draft":
        said.append("保存并立即生效：患者马上能看到" if publish else "存为草稿：患者看不到，发布后才生效")
    return said


def _ensure_shape(shape: Shape, note: str) -> None:
    ensure_shape(
        shape.starts_local,
        shape.ends_local,
        shape.slot_minutes,
        shape.places_per_slot,
        shape.fee_cents,
        shape.room,
        note,
    )
    make_admits(**(shape.admits or {}))
    tidy(shape.channels, shape.places_per_slot)


def preview_change(
    hospital_id: int,
    session_id: uuid.UUID,
    shape: Shape,
    *,
    release_at: datetime | None = None,
    publish: bool = False,
) -> Impact:
    """Return what `change_session` would do (保存后会发生什么); changes nothing, raises what the change would raise."""
    _ensure_shape(shape, "")
    row = db.session.get(ClinicSession, (hospital_id, session_id))
    if row is None:
        raise NotFound("没有找到这个班次。")
    if row.status not in CHANGEABLE:
        raise SessionOver()
    impact = _plan(db.session(), row, shape).impact
    impact.sentences = _say(row, shape, impact, publish, db_now(db.session()), release_at or row.release_at)
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
    _ensure_shape(shape, note)
    with transaction() as session:
        # FOR NO KEY UPDATE: a booking's foreign key to this row must not wait, or the two would wait for each other
        row = session.get(ClinicSession, (hospital_id, session_id), with_for_update={"key_share": True})
        if row is None:
            raise NotFound("没有找到这个班次。")
        _belongs(session, hospital_id, clinic_kind_id=(ClinicKind, shape.clinic_kind_id))
        if row.version != version:
            session.expunge(row)  # the page compares what was read here, not what the row becomes later
            raise Conflict(theirs=row)
        if row.status not in CHANGEABLE:
            raise SessionOver()
        now = db_now(session)
        ensure_release_stands(row.sale, row.entries_from, row.release_at, release_at or row.release_at, now)
        plan = _plan(session, row, shape)
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
        fresh = _apply(session, row, plan, shape, live)
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


def _ensure_nobody_has(session: Session, hospital_id: int, slot_id: uuid.UUID) -> None:
    """Lock the places of a slot whose end changes; raise when one was taken since the plan was made."""
    places = select(Place.appointment_id).where(
        Place.hospital_id == hospital_id, Place.slot_id == slot_id, Place.withdrawn.is_(False)
    )
    if any(session.scalars(places.order_by(Place.id).with_for_update())):
        raise BelowSold("刚刚又有人约了，请重新预览后再保存。")


def _apply(session: Session, row: ClinicSession, plan: _Layout, shape: Shape, live: bool) -> list[uuid.UUID]:
    """Make slots and places as planned; return the places that are new in the session."""
    hospital_id = row.hospital_id
    for slot_id, ends in plan.ends.items():
        ends_at = utc(row.local_date, ends, row.zone)
        mine = (Slot.hospital_id == hospital_id, Slot.id == slot_id)
        _ensure_nobody_has(session, hospital_id, slot_id)
        session.execute(update(Slot).where(*mine).values(ends_local=ends, ends_at=ends_at))
    if plan.withdraw:
        # a place sold since the plan was made no longer matches: then the whole change is refused
        still_free = update(Place).where(
            Place.hospital_id == hospital_id, Place.id.in_(plan.withdraw), Place.appointment_id.is_(None)
        )
        done = session.execute(still_free.values(withdrawn=True, open=False))
        if getattr(done, "rowcount", 0) != len(plan.withdraw):
            raise BelowSold("刚刚又有人约了，请重新预览后再保存。")
    for place_id, channel in plan.relabel.items():
        free = update(Place).where(
            Place.hospital_id == hospital_id, Place.id == place_id, Place.appointment_id.is_(None)
        )
        if getattr(session.execute(free.values(channel=channel)), "rowcount", 0) != 1:
            raise BelowSold("刚刚又有人约了，请重新预览后再保存。")
    for place_id, channel in plan.reopen.items():
        again = update(Place).where(Place.hospital_id == hospital_id, Place.id == place_id)
        afresh = {"rests_until": None, "freed_at": None}  # how it rested before says nothing any more
        session.execute(again.values(withdrawn=False, open=live, channel=channel, **afresh))
    slots = [
        _slot_row(hospital_id, row.id, row.local_date, row.zone, row.closing_minutes, *times)
        for times in plan.new_slots
    ]
    if slots:
        session.execute(insert(Slot), slots)
    order = in_order(share(shape.places_per_slot, shape.channels))
    numbered = [(slot["id"], 1, order) for slot in slots] + plan.extend
    places = [
        _place_row(hospital_id, row.id, slot_id, first + step, live, channel, row.rolls_at)
        for slot_id, first, channels in numbered
        for step, channel in enumerate(channels)
    ]
    if places:
        session.execute(insert(Place), places)
    _roll(session, row)
    if live:
        _open_places(session, hospital_id, [row.id])
    return [*plan.reopen, *(place["id"] for place in places)]


def _roll(session: Session, row: ClinicSession) -> None:
    """Give the places of a session its roll-over: every kept one rolls at the session's instant, those of the web never."""
    mine = (Place.hospital_id == row.hospital_id, Place.session_id == row.id)
    for theirs, at in ((Place.channel.in_(KEPT), row.rolls_at), (Place.channel.not_in(KEPT), None)):
        session.execute(
            update(Place).where(*mine, theirs, Place.rolls_at.is_distinct_from(at)).values(rolls_at=at)
        )


def _open_places(session: Session, hospital_id: int, session_ids: list[uuid.UUID]) -> None:
    session.execute(
        update(Place)
        .where(
            Place.hospital_id == hospital_id,
            Place.session_id.in_(session_ids),
            Place.withdrawn.is_(False),
            Place.open.is_(False),
        )
        .values(open=True)
    )


@retried
def publish(hospital_id: int, session_ids: Iterable[uuid.UUID], *, actor: Actor) -> int:
    """Publish drafts; return how many became visible. Those already published are left alone."""
    ensure_may(actor, "publish", hospital_id)
    with transaction() as session:
        now = db_now(session)
        drafts = select(ClinicSession.id).where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.id.in_(list(session_ids)),
            ClinicSession.status == "draft",
        )
        ready = list(session.scalars(drafts.order_by(ClinicSession.id).with_for_update(key_share=True)))
        if not ready:
            return 0
        session.execute(
            update(ClinicSession)
            .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id.in_(ready))
            .values(
                status="published", version=ClinicSession.version + 1, changed_at=now, changed_by=actor.name
            )
        )
        _open_places(session, hospital_id, ready)
        for session_id in ready:
            record(session, hospital_id, actor, "publish", "session", session_id, now=now)
    return len(ready)
