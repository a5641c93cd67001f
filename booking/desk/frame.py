"""What every staff page shares: who is signed in, where they may go, and what a refusal looks like."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking.appointments.no_show_queries import open_appeals
from booking.db import db
from booking.desk.session import actor, can, hospital_id
from booking.directory.models import Hospital
from booking.errors import Refusal
from booking.notices.call_queries import calls_open
from booking.staff.rules import ROLES

NAV = (
    ("read_schedule", _l("周排班"), "desk.week.week", ("desk.week.", "desk.sessions.", "desk.stops.")),
    ("read_day", _l("今日接诊"), "desk.day.day", ("desk.day.", "desk.appointments.")),
    ("excuse", _l("爽约申诉"), "desk.no_shows.list_no_shows", ("desk.no_shows.",)),
    ("book_at_desk", _l("代患者预约"), "desk.booking.sessions", ("desk.booking.",)),
    ("make_calls", _l("电话名单"), "desk.calls.list_calls", ("desk.calls.",)),
    ("read_delivery", _l("消息送达"), "desk.delivery.delivery", ("desk.delivery.",)),
    ("change_template", _l("出诊模板"), "desk.templates.list_templates", ("desk.templates.",)),
)


def dress(blueprint: Blueprint) -> None:
    """Give the staff door its frame: names for its templates, and refusals inside it. Headers are the application's."""
    blueprint.context_processor(_names)
    blueprint.register_error_handler(Refusal, _refused)


def _names() -> dict[str, Any]:
    if "bare_frame" in g:  # the database is away: the frame must not ask it
        return {"staff": None}
    present = actor()
    if present is None or present.hospital_id is None:
        return {"staff": None}
    return {
        "staff": {
            "name": present.name,
            "role_label": ROLES[present.kind],
            "hospital": db.session.get_one(Hospital, present.hospital_id).name,
            "nav": _nav(present.doctor_id),
        },
        "can": can,
    }


def _nav(doctor_id: str | None) -> list[dict[str, Any]]:
    here = request.endpoint or ""
    items = [
        {"label": label, "url": url_for(endpoint), "current": here.startswith(family), "count": None}
        for verb, label, endpoint, family in NAV
        if can(verb)
    ]
    if doctor_id and can("read_own_schedule"):
        items.append(
            {
                "label": _("我的出诊"),
                "url": url_for("desk.mine.mine"),
                "current": here.startswith("desk.mine."),
                "count": None,
            }
        )
    for item in items:
        if item["url"] == url_for("desk.no_shows.list_no_shows"):
            item["count"] = open_appeals(hospital_id()) or None
        if item["url"] == url_for("desk.calls.list_calls"):
            item["count"] = calls_open(hospital_id()) or None
            item["alert"] = True
    return items


def _page(status: int, heading: str, text: str) -> ResponseReturnValue:
    return render_template("staff/problem.html", heading=heading, text=text), status


def _refused(refusal: Refusal) -> ResponseReturnValue:
    headings = {403: _("没有权限"), 404: _("没有找到"), 429: _("请稍后再试")}
    return _page(refusal.status, headings.get(refusal.status, _("没有成功")), refusal.text)
