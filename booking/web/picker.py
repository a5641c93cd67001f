"""The slot picker's values: days of the strip, sessions with their slots, quick times. Words only; no query."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from flask_babel import gettext as _

from booking import clock, wording
from booking.refs import ref
from booking.schedule.queries import Day, DaySession, OpenSlot, SessionView, SlotView


@dataclass(frozen=True)
class DayTile:
    """One day of the strip; `off` ones are not links and say 「不出诊」."""

    date: date
    weekday: str
    number: int
    month: int
    url: str
    current: bool
    off: bool
    lines: list[tuple[str, str]]
    name: str


@dataclass(frozen=True)
class SlotTile:
    id: str
    time: str
    left: int
    state: str
    name: str
    action: str = ""
    label: str = ""


@dataclass(frozen=True)
class SessionCard:
    id: str
    heading: str
    status: str
    left: int
    meta_line: str
    slots: list[SlotTile] = field(default_factory=list)
    release_label: str = ""
    release_in: int = 0
    same_dept_url: str = ""
    same_dept_count: int = 0


@dataclass(frozen=True)
class Quick:
    """A time as a submit button."""

    slot_id: str
    label: str
    name: str
    campus: str = ""


@dataclass(frozen=True)
class Taken:
    """The box after a lost time: what happened, up to three times near it, and ways on."""

    text: str
    near: list[Quick]
    links: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Hold:
    """A live hold of this browser: until when, and the page where it is confirmed."""

    until: datetime
    url: str


def quick(slot: OpenSlot, today: date) -> Quick:
    """Return an open slot as a button: 「周三 08:30」, named in full for those who hear it."""
    when = wording.when_long(slot.local_date, slot.starts_local, slot.part)
    return Quick(
        ref(slot.hospital_id, slot.slot_id),
        wording.when_short(slot.local_date, slot.starts_local, today),
        _("%(when)s，还剩 %(n)s 个号，预约", when=when, n=slot.left),
    )


def strip(
    days: Sequence[Day], chosen: date | None, today: date, address: Callable[[date], str]
) -> list[DayTile]:
    """Return the strip's days; `chosen` is shown also when it lies beyond them."""
    known = {one.day: one for one in days}
    if chosen and chosen >= today:
        known.setdefault(chosen, Day(chosen))
    return [_tile(known[day], chosen, today, address) for day in sorted(known)]


def _tile(one: Day, chosen: date | None, today: date, address: Callable[[date], str]) -> DayTile:
    lines = [_day_line(part) for part in one.parts]
    words = "，".join(text for _tone, text in lines) or _("不出诊")
    return DayTile(
        one.day,
        wording.weekday_near(one.day, today),
        one.day.day,
        one.day.month,
        address(one.day),
        one.day == chosen,
        not lines,
        lines,
        f"{wording.day_long(one.day)}，{words}",
    )


def _day_line(session: DaySession) -> tuple[str, str]:
    part, left = session.part, session.left
    tone, words = {
        "open": ("ok", _("余 %(n)s", n=left)),
        "few": ("few", _("仅剩 %(n)s", n=left)),
        "full": ("wait", _("约满")),
        "later": ("soon", _("待放号")),
        "stopped": ("stop", _("停诊")),
        "closed": ("off", _("已截止")),
    }.get(session.status, ("off", _("已结束")))
    return tone, f"{part} {words}"


def session_card(
    session: SessionView, *, now: datetime, zone: str, same_dept_url: str, holds: Mapping[uuid.UUID, Hold]
) -> SessionCard:
    """Return one session with its slots, or with the reason there are none; `holds` are this browser's, by slot."""
    hours = f"{wording.clock(session.starts_local)}–{wording.clock(session.ends_local)}"
    fee = f"{session.fee_name} {wording.fee(session.fee_cents)}" if session.fee_cents else ""
    place = " ".join(part for part in (session.campus, session.room) if part)
    later = session.status == "later"
    return SessionCard(
        id=session.id.hex,
        heading=f"{wording.weekday(session.local_date)}{session.part}",
        status={"closed": "past"}.get(session.status, session.status),
        left=session.left,
        meta_line="·".join(part for part in (hours, session.kind, place, fee) if part),
        slots=[_slot(slot, session, zone, holds.get(slot.id)) for slot in session.slots],
        release_label=release_label(session.release_at, zone) if later else "",
        release_in=_seconds_until(session.release_at, now) if later else 0,
        same_dept_url=same_dept_url,
    )


def release_label(at: datetime, zone: str) -> str:
    """Return 「11 月 23 日 周一 07:30 放号」."""
    return _("%(when)s 放号", when=wording.moment(clock.local(at, zone)))


def _seconds_until(at: datetime, now: datetime) -> int:
    """Seconds to a release that is near enough for a page to wait for it, else 0."""
    seconds = int((at - now).total_seconds()) + 1
    return seconds if 0 < seconds <= 3600 else 0


def _slot(slot: SlotView, session: SessionView, zone: str, hold: Hold | None) -> SlotTile:
    when = wording.when_long(session.local_date, slot.starts_local, session.part)
    name, at = ref(slot.hospital_id, slot.id), wording.clock(slot.starts_local)
    if hold:
        until = wording.clock(clock.local(hold.until, zone))
        words = _("%(when)s，为你保留到 %(until)s，继续确认", when=when, until=until)
        return SlotTile(name, at, slot.left, "mine", words, hold.url, _("保留到 %(time)s", time=until))
    state = "full" if slot.state == "mine" else slot.state
    words = _("%(when)s，还剩 %(n)s 个号，预约", when=when, n=slot.left)
    return SlotTile(name, at, slot.left, state, words)


def near(slots: Iterable[OpenSlot] | None, today: date) -> list[Quick]:
    """Return up to three times as buttons."""
    return [quick(slot, today) for slot in list(slots or [])[:3]]


def campus_links(
    campuses: Sequence[tuple[str, Any]], chosen: Any, address: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Return the choice of campuses as links (name, slug); 全部 first when there are several."""
    if len(campuses) < 2:
        return []
    every = {"name": _("全部院区"), "url": address(""), "current": not chosen}
    return [every, *({"name": n, "url": address(s), "current": s == chosen} for n, s in campuses)]
