"""The release calendar: when numbers open, for programs (JSON) and for calendars (iCalendar, RFC 5545 and 7986)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from flask_babel import gettext as _
from icalendar import Alarm, Calendar, Event

from booking import wording
from booking.clock import local
from booking.refs import ref
from booking.schedule.releases import Opening, SessionRelease

FORMAT = "qingwu-releases/1"
LASTS = timedelta(minutes=10)
REMIND_BEFORE = timedelta(minutes=10)


def releases_json(hospital: dict[str, str], sessions: Iterable[SessionRelease]) -> dict[str, Any]:
    """Return the calendar for programs; instants in ISO 8601 with the clinic's offset. See docs/releases.md."""
    return {
        "format": FORMAT,
        "hospital": hospital,
        "sessions": [
            {
                "id": ref(one.hospital_id, one.id),
                "version": one.version,
                "doctor": {
                    "slug": one.doctor_slug,
                    "name": one.doctor,
                    "title": one.doctor_title,
                },
                "department": one.department,
                "campus": one.campus,
                "kind": one.kind,
                "visit_date": one.local_date.isoformat(),
                "part_of_day": one.part,
                "starts": f"{one.starts_local:%H:%M}",
                "ends": f"{one.ends_local:%H:%M}",
                "time_zone": one.zone,
                "sale": one.sale,
                "entries_from": local(one.entries_from, one.zone).isoformat() if one.entries_from else None,
                "openings": [
                    {
                        "name": opening.name,
                        "at": local(opening.at, one.zone).isoformat(),
                        "places": opening.places,
                    }
                    for opening in one.openings
                ],
                "url": _page(one),
            }
            for one in sessions
        ],
    }


def releases_ics(name: str, sessions: Iterable[SessionRelease], *, remind: bool = False) -> bytes:
    """Return the calendar for subscribers: an entry for every opening, and for the window of a draw.

    UIDs stay the same for the life of a session, SEQUENCE is its version. With `remind` each entry rings ten minutes
    before; a subscribed calendar leaves that to the subscriber.
    """
    calendar = Calendar()
    calendar.add("prodid", f"-//{current_app.config['SITE_NAME']}//releases//ZH")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("name", name)
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    for one in sessions:
        for opening in one.openings:
            calendar.add_component(_entry(one, opening, remind))
        if one.entries_from:
            calendar.add_component(_entry(one, Opening("entries", one.entries_from, 0), remind))
    calendar.add_missing_timezones()
    return calendar.to_ical()


def _entry(one: SessionRelease, opening: Opening, remind: bool) -> Event:
    session = f"{wording.day_long(one.local_date)} {one.part}"
    entry = Event()
    host = urlsplit(current_app.config["PUBLIC_URL"]).hostname
    entry.add("uid", f"{opening.name}-{ref(one.hospital_id, one.id)}@{host}")
    entry.add("sequence", one.version)
    entry.add("dtstamp", one.changed_at.replace(microsecond=0))
    starts = local(opening.at, one.zone).replace(microsecond=0)
    entry.add("dtstart", starts)
    entry.add("dtend", starts + LASTS)
    entry.add("transp", "TRANSPARENT")
    entry.add("summary", _title(one, opening))
    entry.add("description", _about(one, opening, session))
    entry.add("url", _page(one))
    if remind:
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("trigger", -REMIND_BEFORE)
        alarm.add("description", _title(one, opening))
        entry.add_component(alarm)
    return entry


def _title(one: SessionRelease, opening: Opening) -> str:
    day = f"{wording.day_short(one.local_date)}{one.part}"
    words = {
        "entries": _("抽签开始报名：%(doctor)s医生 %(day)s", doctor=one.doctor, day=day),
        "draw": _("抽签：%(doctor)s医生 %(day)s", doctor=one.doctor, day=day),
    }
    return words.get(opening.name) or _(
        "放号：%(doctor)s医生 %(day)s，%(n)s 个号", doctor=one.doctor, day=day, n=opening.places
    )


def _about(one: SessionRelease, opening: Opening, session: str) -> str:
    at = wording.moment(local(opening.at, one.zone))
    facts = {"at": at, "doctor": one.doctor, "title": one.doctor_title, "session": session}
    if opening.name == "entries":
        return _("%(doctor)s %(title)s，%(session)s。%(at)s 起报名，一人一次，先报后报机会一样。", **facts)
    if opening.name == "draw":
        return _("%(doctor)s %(title)s，%(session)s。%(at)s 抽签，结果发短信。", **facts)
    return _(
        "%(doctor)s %(title)s，%(session)s。%(at)s 放号，之前任何人都约不到。请提前登录并添加好就诊人。",
        **facts,
    )


def _page(one: SessionRelease) -> str:
    root = current_app.config["PUBLIC_URL"]
    return f"{root}/d/{one.doctor_slug}?date={one.local_date.isoformat()}#h-day"
