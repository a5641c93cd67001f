"""The difference between the slots and places a session has and those another shape asks for: planned, told, made."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from booking.clock import utc
from booking.schedule.admission import in_words
from booking.schedule.channels import KEPT, in_order, kept_words, reachable, share
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.publish import open_places
from booking.schedule.rules import (
    BelowSold,
    SlotsInUse,
)
from booking.schedule.sellable import USED
from booking.schedule.shape import Shape, place_row, slot_row, slot_times


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
class Layout:
    """The difference between the slots and places there are and those a shape asks for."""

    new_slots: list[tuple[time, time]] = field(default_factory=list)
    ends: dict[uuid.UUID, time] = field(default_factory=dict)
    reopen: dict[uuid.UUID, str] = field(default_factory=dict)
    extend: list[tuple[uuid.UUID, int, list[str]]] = field(default_factory=list)
    withdraw: list[uuid.UUID] = field(default_factory=list)
    relabel: dict[uuid.UUID, str] = field(default_factory=dict)
    impact: Impact = field(default_factory=Impact)


def plan_layout(session: Session, row: ClinicSession, shape: Shape) -> Layout:
    """Compare what is there with what `shape` asks for; raises BelowSold or SlotsInUse when sold places stand against it."""
    plan = Layout()
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
        sold = [place for place in mine if _is_sold(place)]
        usual = [place for place in mine if place.extra_number is None]
        plan.impact.before += len(mine)
        plan.impact.sold += len(sold)
        ends = wanted.get(slot.starts_local)
        if sold and ends != slot.ends_local:
            in_use.append(slot.starts_local.strftime("%H:%M"))
            continue
        if ends and ends != slot.ends_local:
            plan.ends[slot.id] = ends
        usual_sold = sum(_is_sold(place) for place in usual)
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


def _is_sold(place: Place) -> bool:
    """Whether somebody has a place, or had it and has been seen."""
    return place.appointment_id is not None or place.rests_until == USED


def _plan_slot(plan: Layout, slot_id: uuid.UUID, places: list[Place], wanted: dict[str, int]) -> None:
    """Plan the places of one slot: free ones change their channel before any is withdrawn or added.

    Places that were added (加号) belong to their patient and are not counted here.
    """
    usual = [place for place in places if place.extra_number is None]
    mine = [place for place in usual if not place.withdrawn]
    have = Counter(place.channel for place in mine)
    target = reachable(wanted, Counter(place.channel for place in mine if _is_sold(place)))
    missing = [name for name, count in target.items() for _ in range(count - have[name])]
    surplus = []
    for place in sorted(mine, key=lambda one: -one.position):
        if not _is_sold(place) and have[place.channel] > target.get(place.channel, 0):
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


def in_sentences(
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


def apply_layout(
    session: Session, row: ClinicSession, plan: Layout, shape: Shape, live: bool
) -> list[uuid.UUID]:
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
        slot_row(hospital_id, row.id, row.local_date, row.zone, row.closing_minutes, *times)
        for times in plan.new_slots
    ]
    if slots:
        session.execute(insert(Slot), slots)
    order = in_order(share(shape.places_per_slot, shape.channels))
    numbered = [(slot["id"], 1, order) for slot in slots] + plan.extend
    places = [
        place_row(hospital_id, row.id, slot_id, first + step, live, channel, row.rolls_at)
        for slot_id, first, channels in numbered
        for step, channel in enumerate(channels)
    ]
    if places:
        session.execute(insert(Place), places)
    _roll(session, row)
    if live:
        open_places(session, hospital_id, [row.id])
    return [*plan.reopen, *(place["id"] for place in places)]


def _ensure_nobody_has(session: Session, hospital_id: int, slot_id: uuid.UUID) -> None:
    """Lock the places of a slot whose end changes; raise when one was taken since the plan was made."""
    places = select(Place.appointment_id).where(
        Place.hospital_id == hospital_id, Place.slot_id == slot_id, Place.withdrawn.is_(False)
    )
    if any(session.scalars(places.order_by(Place.id).with_for_update())):
        raise BelowSold("刚刚又有人约了，请重新预览后再保存。")


def _roll(session: Session, row: ClinicSession) -> None:
    """Give the places of a session its roll-over: every kept one rolls at the session's instant, those of the web never."""
    mine = (Place.hospital_id == row.hospital_id, Place.session_id == row.id)
    for theirs, at in ((Place.channel.in_(KEPT), row.rolls_at), (Place.channel.not_in(KEPT), None)):
        session.execute(
            update(Place).where(*mine, theirs, Place.rolls_at.is_distinct_from(at)).values(rolls_at=at)
        )
