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
from booking.schedule.admission import in_words
from booking.schedule.channels import NAMES
from booking.schedule.doctor_days import Day, DaySession
from booking.schedule.doctor_sessions import SessionView, SlotView
from booking.schedule.open_slots import OpenSlot


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
    admits: str = ""
    slots: list[SlotTile] = field(default_factory=list)
    release_label: str = ""
    release_at: str = ""
    release_in: int = 0
    rest_line: str = ""
    remind_url: str = ""
    draw_text: str = ""
    draw_url: str = ""
    draw_link: str = ""
    same_dept_url: str = ""
    same_dept_count: int = 0
    wait_url: str = ""
    wait_count: int = 0
    kept_line: str = ""


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


@dataclass(frozen=True)
class DrawLine:
    """The draw of a session: where its page is, and how many have entered."""

    url: str
    entries: int


def quick(slot: OpenSlot, today: date) -> Quick:
    """Return an open slot as a button: 「周三 08:30」, named in full for those who hear it."""
    when = wording.when_long(slot.local_date, slot.starts_local, slot.part)
    return Quick(
        ref(slot.hospital_id, slot.slot_id),
        wording.when_short(slot.local_date, slot.starts_local, today),
        _("%(when)s，还剩 %(n)s 个号，预约", when=when, n=slot.left),
    )


def strip(
    days: Sequence[Day], chosen: date | None, today: date, address: Callable[[date], str], zone: str
) -> list[DayTile]:
    """Return the strip's days; `chosen` is shown also when it lies beyond them."""
    known = {one.day: one for one in days}
    if chosen and chosen >= today:
        known.setdefault(chosen, Day(chosen))
    return [_tile(known[day], chosen, today, address, zone) for day in sorted(known)]


def _tile(one: Day, chosen: date | None, today: date, address: Callable[[date], str], zone: str) -> DayTile:
    lines = [_day_line(part, today, zone) for part in one.parts]
    words = "，".join(_day_words(part, today, zone) for part in one.parts) or _("不出诊")
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


def _day_line(session: DaySession, today: date, zone: str) -> tuple[str, str]:
    part, left = session.part, session.left
    at = clock.local(session.release_at, zone)
    soon = wording.opening(at, today) if 0 <= (at.date() - today).days < 2 else wording.day_short(at.date())
    tone, words = {
        "open": ("ok", _("余 %(n)s", n=left)),
        "few": ("few", _("仅剩 %(n)s", n=left)),
        "full": ("wait", _("约满")),
        "later": ("soon", _("%(when)s放号", when=soon)),
        "rest": ("soon", _("%(when)s再放", when=soon)),
        "draw": ("soon", _("抽签")),
        "stopped": ("stop", _("停诊")),
        "closed": ("off", _("已截止")),
    }.get(session.status, ("off", _("已结束")))
    return tone, f"{part} {words}"


def _day_words(session: DaySession, today: date, zone: str) -> str:
    """The line as it is read aloud: with the whole date where numbers come later."""
    at = wording.moment(clock.local(session.release_at, zone))
    whole = {
        "later": _("%(part)s %(at)s 放号", part=session.part, at=at),
        "rest": _("%(part)s 现在没有号，%(at)s 再放", part=session.part, at=at),
        "draw": _("%(part)s %(at)s 抽签放号", part=session.part, at=at),
    }
    return whole.get(session.status) or _day_line(session, today, zone)[1]


def session_card(
    session: SessionView,
    *,
    now: datetime,
    zone: str,
    same_dept_url: str,
    holds: Mapping[uuid.UUID, Hold],
    remind_url: str = "",
    draw: DrawLine | None = None,
    wait: tuple[str, int] = ("", 0),
) -> SessionCard:
    """Return one session with its slots, or with the reason there are none; `holds` are this browser's, by slot.

    `remind_url` is the calendar entry of what opens later; `draw` is there for a session that is, or was, drawn; `wait` is
    where one joins the waiting list of a full session, and how many are on it.
    """
    hours = f"{wording.clock(session.starts_local)}–{wording.clock(session.ends_local)}"
    fee = f"{session.fee_name} {wording.fee(session.fee_cents)}" if session.fee_cents else ""
    place = " ".join(part for part in (session.campus, session.room) if part)
    later = session.status == "later"
    today = clock.local(now, zone).date()
    waits = later or session.status == "draw"
    opens_at = session.release_at if waits else session.opens_at
    rest = ""
    if not waits and session.opens_at and session.coming:
        when = wording.opening(clock.local(session.opens_at, zone), today)
        rest = _("还有 %(n)s 个号 %(when)s 放出", n=session.coming, when=when)
    return SessionCard(
        id=session.id.hex,
        heading=f"{wording.weekday(session.local_date)}{session.part}",
        status={"closed": "past"}.get(session.status, session.status),
        left=session.left,
        meta_line="·".join(part for part in (hours, session.kind, place, fee) if part),
        admits="，".join(in_words(session.admits)),
        slots=[_slot(slot, session, zone, holds.get(slot.id), today) for slot in session.slots],
        release_label=release_label(session.release_at, zone, today) if later else "",
        release_at=wording.moment(clock.local(opens_at, zone)) if opens_at else "",
        release_in=_seconds_until(opens_at, now) if opens_at else 0,
        rest_line=rest,
        remind_url=remind_url if opens_at and opens_at > now else "",
        draw_text=draw_text(session, now, zone, draw) if draw else "",
        draw_url=draw.url if draw else "",
        draw_link=_draw_link(session, now) if draw else "",
        same_dept_url=same_dept_url,
        wait_url=wait[0],
        wait_count=wait[1],
        kept_line=kept_line(session, now, zone),
    )


def kept_line(session: SessionView, now: datetime, zone: str) -> str:
    """Return 「另有 3 个号留给电话、现场，未用完的今天 17:00 起网上可约。」, or nothing when no number is kept."""
    count = sum(session.kept.values())
    if not count or session.status not in ("open", "full", "later"):
        return ""
    names = "、".join(NAMES[name] for name in session.kept)
    if session.rolls_at is None:
        return _("另有 %(n)s 个号留给%(names)s，请打电话给医院或到现场预约。", n=count, names=names)
    at = clock.local(max(session.rolls_at, session.release_at), zone)
    when = wording.moment_near(at, clock.local(now, zone).date())
    return _("另有 %(n)s 个号留给%(names)s，未用完的 %(when)s 起网上可约。", n=count, names=names, when=when)


def release_label(at: datetime, zone: str, today: date, coming: int = 0) -> str:
    """Return 「今晚 20:00 放号」, 「11 月 23 日 周一 07:30 放号」, or 「今晚 20:00 放 12 个号」 of a later wave."""
    when = wording.opening(clock.local(at, zone), today)
    return _("%(when)s 放 %(n)s 个号", when=when, n=coming) if coming else _("%(when)s 放号", when=when)


def draw_text(session: SessionView, now: datetime, zone: str, draw: DrawLine) -> str:
    """Return what stands about a draw: when entries open, how many there are, when it is, or that it is over."""
    today = clock.local(now, zone).date()
    draws = wording.opening(clock.local(session.release_at, zone), today)
    if session.status != "draw":
        return _("这个班次已经抽签，%(n)s 人报名。", n=draw.entries)
    if session.entries_from and now < session.entries_from:
        entries = wording.opening(clock.local(session.entries_from, zone), today)
        return _("%(entries)s 起报名，%(draws)s 抽签", entries=entries, draws=draws)
    if now < session.release_at:
        said = _("正在报名，%(draws)s 抽签", draws=draws)
        return _("%(said)s，已有 %(n)s 人报名", said=said, n=draw.entries) if draw.entries else said
    return _("正在抽签，一般一分钟内出结果")


def _draw_link(session: SessionView, now: datetime) -> str:
    if session.status != "draw":
        return _("看抽签结果")
    if session.entries_from and session.entries_from <= now < session.release_at:
        return _("报名抽签")
    return _("看抽签说明")


def _seconds_until(at: datetime, now: datetime) -> int:
    """Seconds to a release that is near enough for a page to wait for it, else 0."""
    seconds = int((at - now).total_seconds()) + 1
    return seconds if 0 < seconds <= 3600 else 0


def _slot(slot: SlotView, session: SessionView, zone: str, hold: Hold | None, today: date) -> SlotTile:
    when = wording.when_long(session.local_date, slot.starts_local, session.part)
    name, at = ref(slot.hospital_id, slot.id), wording.clock(slot.starts_local)
    if hold:
        until = wording.clock(clock.local(hold.until, zone))
        words = _("%(when)s，为你保留到 %(until)s，继续确认", when=when, until=until)
        return SlotTile(name, at, slot.left, "mine", words, hold.url, _("保留到 %(time)s", time=until))
    if slot.state == "rest" and slot.opens_at:
        again = _("%(when)s再放", when=wording.opening(clock.local(slot.opens_at, zone), today))
        return SlotTile(name, at, 0, "rest", "", label=again)
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
