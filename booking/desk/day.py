"""The day list: who comes today, in which state; the scanner's field for checking in, and the button of who has been seen."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, flash, get_flashed_messages, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.appointments.checkin import CheckedIn, check_in
from booking.appointments.desk_queries import DayLine, by_code, day_list
from booking.appointments.finish import finish
from booking.appointments.queries import appointment
from booking.appointments.rules import HERE
from booking.desk import labels
from booking.desk.forms import narrow, read_date
from booking.desk.grid import read_id
from booking.desk.house import House, house
from booking.desk.session import can, hospital_id, me, own_path, staff_page
from booking.desk.visit_forms import CheckInForm
from booking.errors import Refusal

blueprint = Blueprint("day", __name__)

STATES = ("booked", "arrived", "in_visit", "fulfilled", "no_show", "cancelled")
GONE = ("cancelled", "expired", "entered_in_error")
ALL = "all"
FEW = 40
"""So many visits are shown at once; more begin with the part of the day that is going on, its sessions folded."""


@blueprint.get("/day")
@staff_page("read_day")
def day() -> ResponseReturnValue:
    """List the visits of a day, of one doctor or session, of one state, or those that fit a code, phone tail or name."""
    said: list[tuple[str, str]] = list(get_flashed_messages(True, ("scan-ok", "scan-few")))  # type: ignore[arg-type]
    return _page({"text": said[-1][1], "tone": said[-1][0].removeprefix("scan-")} if said else None)


@blueprint.post("/day/check-in")
@staff_page("check_in")
def scan() -> ResponseReturnValue:
    """Check in by visit code; the result stands in one big line and the field waits for the next code."""
    form, at = CheckInForm(), house()
    if not form.validate_on_submit():
        return _page({"text": form.code.errors[0] if form.code.errors else "", "tone": "stop"}), 422
    found = by_code(hospital_id(), form.code.data or "", at.today)
    if found is None:
        return _page({"text": _("没有这个预约码。请再扫一次，或按手机尾号、姓名找人。"), "tone": "stop"}), 404
    return _check_in(found)


@blueprint.post("/appointment/<uuid:appointment_id>/check-in")
@staff_page("check_in")
def check_in_one(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Check in one visit from its row or its own page."""
    return _check_in(appointment_id)


def _check_in(appointment_id: uuid.UUID) -> ResponseReturnValue:
    back = own_path(request.form.get("back"), url_for("desk.day.day"))
    try:
        done = check_in(hospital_id(), appointment_id, actor=me())
    except Refusal as refusal:
        return _page({"text": refusal.text, "tone": "stop"}), refusal.status
    flash(_said(done), "scan-few" if done.again or done.late else "scan-ok")
    return redirect(back, code=303)


@blueprint.post("/appointment/<uuid:appointment_id>/finish")
@staff_page("finish")
def finish_one(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Note that one patient has been seen, from the row or the visit's own page."""
    back = own_path(request.form.get("back"), url_for("desk.day.day"))
    try:
        done = finish(hospital_id(), appointment_id, actor=me())
    except Refusal as refusal:
        return _page({"text": refusal.text, "tone": "stop"}), refusal.status
    shown = appointment(hospital_id(), done.id)
    flash(_("%(name)s看完了", name=shown.patient_masked if shown else ""), "scan-ok")
    return redirect(back, code=303)


def _said(done: CheckedIn) -> str:
    shown = appointment(hospital_id(), done.appointment.id)
    facts = {"name": shown.patient_masked if shown else "", "n": done.queue_number}
    where = "，".join(word for word in (shown.doctor, shown.room) if word) if shown else ""
    if done.again:
        text = _("%(name)s已经报到过，排队号 %(n)s", **facts)
    elif done.late:
        text = _("%(name)s已报到，排队号 %(n)s。迟到，排到本时段最后", **facts)
    else:
        text = _("%(name)s已报到，排队号 %(n)s", **facts)
    return f"{text}（{where}）" if where else text


# --- the page --------------------------------------------------------------------------------------------------------


def _page(result: dict[str, str] | None = None) -> str:
    at = house()
    args = _asked()
    on = read_date(args.get("date")) or at.today
    doctor, session = read_id(args.get("doctor")), read_id(args.get("session"))
    doctor = doctor if doctor in at.doctors else None
    status = args.get("status") if args.get("status") in STATES else None
    q = narrow(args.get("q"))[:40]
    narrowed = any((doctor, session, status, q))
    everyone = day_list(hospital_id(), on, doctor_id=doctor, session_id=session)
    shown = [line for line in everyone if not status or line.status == status]
    if q:
        fits = {line.id for line in day_list(hospital_id(), on, doctor_id=doctor, session_id=session, q=q)}
        shown = [line for line in shown if line.id in fits]
    parts = list(dict.fromkeys(line.part for line in everyone))
    part = _part(args.get("part"), everyone, on, at) if len(parts) > 1 and not narrowed else ""
    shown = [line for line in shown if not part or line.part == part]
    unfolded = narrowed or len(shown) <= FEW or args.get("fold") == "no"
    kept = {"doctor": doctor, "session": session, "status": status, "q": q or None}
    told = {"part": args.get("part") and (part or ALL), "fold": "no" if args.get("fold") == "no" else None}
    here = _url(on, at, kept | told)
    return render_template(
        "staff/day.html",
        day={
            "title": wording.day_long(on),
            "is_today": on == at.today,
            "prev_url": _url(on - timedelta(days=1), at, {"doctor": doctor}),
            "next_url": _url(on + timedelta(days=1), at, {"doctor": doctor}),
            "today_url": _url(at.today, at, {"doctor": doctor}),
        },
        filters=_filters(doctor, status, at),
        hidden={"date": on.isoformat()} | ({"session": session} if session else {}),
        scan_url=url_for("desk.day.scan", **_args(on, at, kept | told))
        if can("check_in") and on == at.today
        else "",
        result=result,
        here=here,
        search=q,
        parts=_parts(everyone, part, on, at) if len(parts) > 1 and not narrowed else [],
        groups=_groups(shown, on, at, unfolded=unfolded, asked=read_id(args.get("open")), here=here),
        unfold_url=_url(on, at, kept | told | {"fold": "no"}) if not unfolded else "",
        sums=_sums(everyone),
        alerts=[],
        all_url=_url(on, at, {}) if any(kept.values()) else "",
        printed=_("%(when)s打印", when=wording.moment(at.wall(at.now))),
    )


def _asked() -> Mapping[str, str]:
    """Return what the address asks for; after a check-in that failed, what the list it was pressed in had asked for."""
    if request.method == "GET":
        return request.args
    return request.args or dict(parse_qsl(urlsplit(own_path(request.form.get("back"), "")).query))


def _args(on: date, at: House, kept: dict[str, Any]) -> dict[str, Any]:
    args = {name: value for name, value in kept.items() if value}
    return args if on == at.today else {"date": on.isoformat(), **args}


def _url(on: date, at: House, kept: dict[str, Any]) -> str:
    return url_for("desk.day.day", **_args(on, at, kept))


def _filters(doctor: uuid.UUID | None, status: str | None, at: House) -> list[dict[str, Any]]:
    every = [("", _("全部"))]
    return [
        {
            "id": "f-doctor",
            "name": "doctor",
            "label": _("医生"),
            "options": every + [(str(key), name) for key, name in at.doctors.items()],
            "value": doctor or "",
        },
        {
            "id": "f-status",
            "name": "status",
            "label": _("状态"),
            "options": every + [(name, labels.APPOINTMENT[name][0]) for name in STATES],
            "value": status or "",
        },
    ]


def _part(asked: str | None, lines: list[DayLine], on: date, at: House) -> str:
    """Return the part of the day to show, or "" for the whole day: a long day begins with what is going on or next."""
    if asked and any(line.part == asked for line in lines):
        return asked
    if asked == ALL or len(lines) <= FEW:
        return ""
    to_come = [line for line in lines if on != at.today or line.ends_local > at.clock]
    return (to_come or lines[-1:])[0].part


def _parts(lines: list[DayLine], part: str, on: date, at: House) -> list[dict[str, Any]]:
    """Return the ways to the parts of the day, with how many come then."""
    coming = [line.part for line in lines if line.status not in GONE]
    ways = [(one, one, coming.count(one)) for one in dict.fromkeys(line.part for line in lines)]
    return [
        {"name": f"{words} {count}", "url": _url(on, at, {"part": one}), "current": one == (part or ALL)}
        for one, words, count in [*ways, (ALL, _("全天"), len(coming))]
    ]


def _groups(
    lines: list[DayLine], on: date, at: House, *, unfolded: bool, asked: uuid.UUID | None, here: str
) -> list[dict[str, Any]]:
    """Return the sessions' lists; folded ones but the one asked for, else the first that still waits for somebody."""
    groups: dict[tuple[uuid.UUID, str], list[DayLine]] = {}
    for line in lines:
        groups.setdefault((line.doctor_id, line.part), []).append(line)
    waiting = [there for there in groups.values() if any(_still_waits(line, on, at) for line in there)]
    wanted = [there for there in groups.values() if there[0].session_id == asked]
    first = next(iter(wanted or waiting), None)
    return [
        {
            "heading": "·".join(word for word in (there[0].doctor, there[0].part, there[0].room) if word),
            "note": _(
                "%(n)s 人，已报到 %(m)s",
                n=sum(line.status not in GONE for line in there),
                m=sum(line.arrived_at is not None for line in there),
            ),
            "id": there[0].session_id.hex,
            "open": unfolded or there is first,
            "back": here if unfolded else _with(here, "open", there[0].session_id.hex),
            "rows": [_row(line, on, at) for line in there],
        }
        for there in groups.values()
    ]


def _still_waits(line: DayLine, on: date, at: House) -> bool:
    return line.status in ("booked", "arrived", "in_visit") and (on != at.today or line.ends_local > at.clock)


def _with(address: str, name: str, value: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{name}={value}"


def _row(line: DayLine, on: date, at: House) -> dict[str, Any]:
    label, tone = labels.APPOINTMENT[line.status]
    if line.status == "booked" and line.coming:
        label = _("已确认来")
    arrived = wording.clock(at.wall(line.arrived_at)) if line.arrived_at else ""
    open_to_check_in = line.status == "booked" and on == at.today and can("check_in")
    open_to_finish = line.status in HERE and on == at.today and can("finish")
    return {
        "number": line.queue_number or "",
        "time": wording.clock(line.starts_local),
        "name_masked": line.patient_masked,
        "age_label": "" if line.patient_age is None else _("%(n)s 岁", n=line.patient_age),
        "phone": line.phone_masked,
        "status_label": label,
        "tone": tone,
        "arrived_label": _("%(time)s，迟到", time=arrived) if line.arrived_late else arrived,
        "url": url_for("desk.appointments.detail", appointment_id=line.id),
        "checkin_url": url_for("desk.day.check_in_one", appointment_id=line.id) if open_to_check_in else "",
        "finish_url": url_for("desk.day.finish_one", appointment_id=line.id) if open_to_finish else "",
        "late": line.arrived_late,
        "gone": line.status in GONE,
    }


def _sums(lines: list[DayLine]) -> list[dict[str, Any]]:
    coming = [line for line in lines if line.status not in GONE]
    arrived = sum(line.arrived_at is not None for line in coming)
    waiting = sum(line.status == "booked" for line in coming)
    return [
        {"label": _("已约"), "value": len(coming), "tone": ""},
        {"label": _("已报到"), "value": arrived, "tone": ""},
        {"label": _("待报到"), "value": waiting, "tone": "few" if waiting else ""},
        {"label": _("已完成"), "value": sum(line.status == "fulfilled" for line in coming), "tone": ""},
    ]
