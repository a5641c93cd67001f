"""The week as a table: which week and day the address asks for, and every position of the grid in words."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from typing import Any

from flask import request, url_for
from flask_babel import gettext as _

from booking import wording
from booking.db import db
from booking.desk.forms import read_date
from booking.desk.house import House
from booking.directory.calendar import day_rules
from booking.schedule.desk_queries import DoctorRow, Unit

_WEEK = re.compile(r"(20[0-9]{2})-W([0-9]{2})")
ALWAYS = ("上午", "下午")
"""Parts of the day that keep their place in the grid also in a week without them."""


@dataclass(frozen=True)
class Shown:
    """Which part of the schedule the address asks for; what cannot be read means the default."""

    monday: date
    day: date
    dept: uuid.UUID | None = None
    site: uuid.UUID | None = None
    session: uuid.UUID | None = None

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def dates(self) -> list[date]:
        return [self.monday + timedelta(days=step) for step in range(7)]

    def url(self, **changes: Any) -> str:
        """Return the address of the week with some of it changed."""
        at = replace(self, **changes)
        kept: dict[str, Any] = {
            "w": week_name(at.monday),
            "day": at.day.isoformat(),
            "dept": at.dept,
            "site": at.site,
        }
        kept["session"] = at.session
        return url_for("desk.week.week", **{name: value for name, value in kept.items() if value})


def week_name(day: date) -> str:
    """Return the ISO name of the week of a date, 「2026-W48」."""
    year, number, _weekday = day.isocalendar()
    return f"{year}-W{number:02d}"


def week_url(day: date) -> str:
    """Return the address of the week around a date."""
    return url_for("desk.week.week", w=week_name(day), day=day.isoformat())


def read_week(text: str | None, today: date) -> date:
    """Return the Monday of the week named 2026-W48, else of this week."""
    found = _WEEK.fullmatch(text or "")
    if found:
        try:
            return date.fromisocalendar(int(found[1]), int(found[2]), 1)
        except ValueError:
            pass
    return today - timedelta(days=today.weekday())


def read_id(text: str | None) -> uuid.UUID | None:
    """Return the id written in an address or a form, else None."""
    try:
        return uuid.UUID(text or "")
    except ValueError:
        return None


def read_shown(at: House) -> Shown:
    """Read what the address asks for; a department or campus that is not ours means all of them."""
    monday = read_week(request.args.get("w"), at.today)
    shown = Shown(monday, at.today)
    day = read_date(request.args.get("day"))
    day = day if day in shown.dates else at.today if at.today in shown.dates else monday
    dept, site = read_id(request.args.get("dept")), read_id(request.args.get("site"))
    return Shown(
        monday,
        day,
        dept if dept in at.departments else None,
        site if site in at.campuses else None,
        read_id(request.args.get("session")),
    )


def week_head(shown: Shown, at: House) -> dict[str, Any]:
    """Return the heading of the week and the ways to its neighbours."""
    week, this = timedelta(days=7), at.today - timedelta(days=at.today.weekday())
    first, last = shown.monday, shown.sunday
    until = wording.day_short(last) if last.month != first.month else _("%(n)s 日", n=last.day)
    year, number, _weekday = first.isocalendar()
    beside: dict[str, Any] = {"session": None}
    return {
        "title": _("%(first)s至 %(last)s", first=wording.day_short(first), last=until),
        "number": number,
        "year": year,
        "prev_url": shown.url(monday=first - week, day=shown.day - week, **beside),
        "next_url": shown.url(monday=first + week, day=shown.day + week, **beside),
        "this_url": shown.url(monday=this, day=at.today, **beside),
        "is_this": first == this,
    }


def days(shown: Shown, hospital_id: int, at: House) -> list[dict[str, Any]]:
    """Return the seven days of the head row, with the names of holidays."""
    rules = day_rules(db.session(), hospital_id, shown.dates)
    return [
        {
            "date": day.isoformat(),
            "weekday": wording.weekday(day) if day != at.today else _("今天"),
            "number": day.day,
            "month": day.month,
            "url": shown.url(day=day, session=None) + "#h-grid",
            "today": day == at.today,
            "current": day == shown.day,
            "note": rules[day].name if day in rules else "",
            "lines": [],
            "off": False,
            "name": wording.day_long(day),
        }
        for day in shown.dates
    ]


def rows(found: list[DoctorRow], shown: Shown, at: House, *, can_edit: bool) -> list[dict[str, Any]]:
    """Return a row for every doctor under the name of the department; 上午 and 下午 keep their places in every row,
    other parts of the day stand in the rows that use them this week."""
    by_department: list[dict[str, Any]] = []
    for row in found:
        used = {part_id for _day, part_id in row.cells}
        parts = [part for part in at.parts if part.id in used or part.name in ALWAYS] or at.parts[:2]
        department = row.practices[0].department if row.practices else ""
        if not by_department or by_department[-1]["department"] != department:
            by_department.append({"department": department, "rows": []})
        by_department[-1]["rows"].append(
            {
                "doctor": {"name": row.name, "title": row.title, "surname": row.name[:1]},
                "cells": [
                    {
                        "today": day == at.today,
                        "current": day == shown.day,
                        "units": [
                            unit for part in parts for unit in _position(row, day, part, shown, at, can_edit)
                        ],
                    }
                    for day in shown.dates
                ],
            }
        )
    return by_department


def _position(
    row: DoctorRow, day: date, part: Any, shown: Shown, at: House, can_edit: bool
) -> Iterator[dict[str, Any]]:
    there = row.cells.get((day, part.id), [])
    for unit in there:
        yield _unit(unit, row.name, shown, at)
    if not there:
        when = _("%(doctor)s，%(day)s%(part)s", doctor=row.name, day=wording.day_long(day), part=part.name)
        url = ""
        if can_edit and day >= at.today:
            url = url_for("desk.sessions.new", doctor=row.doctor_id, date=day.isoformat(), part=part.id.hex)
        yield {"kind": "none", "url": url, "name": _("%(when)s，无出诊，新增", when=when)}


def _unit(unit: Unit, doctor: str, shown: Shown, at: House) -> dict[str, Any]:
    kind, told = state_of(unit, at)
    campus = unit.campus.removesuffix("院区")
    if unit.campus == at.first_campus or campus in unit.room:
        campus = ""
    place = "".join([unit.campus if campus else "", _("诊室 %(room)s", room=unit.room) if unit.room else ""])
    when = f"{wording.day_long(unit.local_date)}{unit.part}"
    count = (
        _("已约 %(taken)s，共 %(all)s 号", taken=unit.taken, all=unit.capacity)
        if kind != "stop"
        else _("停诊")
    )
    return {
        "kind": kind,
        "part": unit.part,
        "booked": unit.taken,
        "total": unit.capacity,
        "campus": campus,
        "sub": told if kind == "stop" else "·".join(word for word in (unit.room, told) if word),
        "name": "，".join(word for word in (doctor, when, place, count, told) if word),
        "url": url_for("desk.sessions.edit", session_id=unit.id),
        "panel_url": shown.url(session=unit.id, day=unit.local_date),
        "selected": unit.id == shown.session,
    }


def state_of(unit: Unit, at: House) -> tuple[str, str]:
    """Return the mark of the grid and the words for it, by the hospital's wall clock."""
    if unit.status == "stopped":
        return "stop", _("%(n)s 人受影响", n=unit.stopped_count) if unit.stopped_count else _("无人受影响")
    if unit.status == "draft":
        return "draft", _("未发布")
    clock: time = at.clock
    if unit.status == "finished" or unit.local_date < at.today:
        return "past", ""
    if unit.local_date == at.today and unit.ends_local <= clock:
        return "past", _("已结束")
    if unit.local_date == at.today and unit.starts_local <= clock:
        return "now", _("接诊中")
    if unit.capacity and unit.taken >= unit.capacity:
        return "full", _("约满")
    return "open", ""


def _units(found: list[DoctorRow]) -> list[Unit]:
    return [unit for row in found for units in row.cells.values() for unit in units]


def drafts(found: list[DoctorRow]) -> list[uuid.UUID]:
    """Return the ids of the drafts in view."""
    return [unit.id for unit in _units(found) if unit.status == "draft"]


def sums(found: list[DoctorRow]) -> list[dict[str, Any]]:
    """Return the week's sums; what is not published or does not happen counts no numbers."""
    units = _units(found)
    live = [unit for unit in units if unit.status in ("published", "running", "finished")]
    stopped = sum(unit.status == "stopped" for unit in units)
    waiting = len(drafts(found))
    taken, total = sum(unit.taken for unit in live), sum(unit.capacity for unit in live)
    lines = [
        {"label": _("班次"), "value": len(live), "tone": ""},
        {"label": _("已约/总号"), "value": f"{taken} / {total}", "tone": ""},
    ]
    if waiting:
        lines.append({"label": _("未发布"), "value": _("%(n)s 个", n=waiting), "tone": "few"})
    if stopped:
        lines.append({"label": _("停诊"), "value": _("%(n)s 个", n=stopped), "tone": "stop"})
    return lines
