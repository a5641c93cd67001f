"""Delivery: how today's letters went, three charts, what is wrong now, the letters one by one, and sending again."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.desk.delivery_charts import CHANNELS, DAYS, GROUP_OF, STATES, by_channel, by_day, by_hour
from booking.desk.forms import read_date
from booking.desk.house import House, house
from booking.desk.session import can, hospital_id, me, own_path, staff_page
from booking.errors import NotFound, Refusal
from booking.notices import delivery as figures
from booking.notices.call_queries import calls_open
from booking.notices.delivery_list import DEEPEST, Line, letters_of_day
from booking.notices.queries import channel_label, kind_label
from booking.notices.resend import resend as resend_letter
from booking.notices.why import why

blueprint = Blueprint("delivery", __name__)

PAGE = 50
LATE = timedelta(seconds=60)
KINDS = (
    "confirmed",
    "reminder_day",
    "reminder_hours",
    "preparation",
    "moved",
    "cancelled",
    "stopped",
    "no_show",
    "excused",
    "appeal_declined",
    "wish_joined",
    "wish_offer",
    "wish_missed",
    "wish_stopped",
    "wish_ended",
    "draw_entered",
    "draw_lost",
    "draw_off",
)


@blueprint.get("/delivery")
@staff_page("read_delivery")
def delivery() -> ResponseReturnValue:
    """Show the figures of today, the charts, and the letters of a day by state, channel and kind."""
    return _page()


@blueprint.post("/delivery/<uuid:message_id>/resend")
@staff_page("resend")
def resend(message_id: uuid.UUID) -> ResponseReturnValue:
    """Send a failed or expired letter once more; a second click sends nothing more."""
    back = own_path(request.form.get("back"), url_for("desk.delivery.delivery"))
    try:
        done = resend_letter(hospital_id(), message_id, actor=me())
    except NotFound:
        raise
    except Refusal as refusal:
        return _page([{"text": refusal.text, "href": "", "more": None}]), refusal.status
    flash(
        _("已重新排队，马上发出。") if done else _("这条之前已经重发过，没有再发一次。"),
        "ok" if done else "soon",
    )
    return redirect(back, code=303)


def _page(problems: list[dict[str, Any]] | None = None) -> str:
    at = house()
    bounds = figures.day_bounds(at.today - timedelta(days=DAYS - 1), at.zone, DAYS)
    counts = figures.tally(hospital_id(), bounds)
    of_today = {key: count for key, count in counts.items() if key[0] == DAYS - 1}
    day = figures.today(hospital_id(), at.today, at.zone, of_today)
    return render_template(
        "staff/delivery.html",
        notes=[wording.day_long(at.today), _("时间均为北京时间")],
        tiles=_tiles(day),
        alerts=_alerts(at),
        charts=[by_day(counts, day, at), by_hour(at), by_channel(counts)],
        list=_list(at),
        problems=problems or [],
    )


# --- what is so now --------------------------------------------------------------------------------------------------


def _tiles(day: figures.Today) -> list[dict[str, Any]]:
    shown = [
        (_("今天计划"), day.planned, "", ""),
        (_("已发出"), day.sent, "accepted", ""),
        (_("已送达"), day.delivered, "delivered", "ok"),
        (_("失败"), day.failed, "failed", "stop" if day.failed else ""),
        (_("待发"), day.waiting, "waiting", ""),
    ]
    return [
        {
            "label": label,
            "value": value,
            "tone": tone,
            "url": url_for("desk.delivery.delivery", status=status or None, _anchor="h-list"),
        }
        for label, value, status, tone in shown
    ]


def _alerts(at: House) -> list[dict[str, Any]]:
    found = []
    alarm = figures.alarm(hospital_id(), at.now)
    if alarm.rings:
        said = _(
            "近 15 分钟失败 %(failed)s 条，占 %(share)s%%（共 %(tried)s 条），超过 2%%。",
            failed=alarm.failed,
            tried=alarm.tried,
            share=f"{100 * alarm.share:.1f}".removesuffix(".0"),
        )
        found.append(
            {
                "text": said,
                "tone": "stop",
                "url": url_for("desk.delivery.delivery", status="failed", _anchor="h-list"),
                "link": _("看失败的"),
            }
        )
    for one in figures.providers_in_trouble(at.now):
        name = channel_name(one.name)
        if one.rests_until and one.rests_until > at.now:
            said = _(
                "%(name)s暂停到 %(until)s，之后自动再试。",
                name=name,
                until=wording.clock(at.wall(one.rests_until)),
            )
        else:
            said = _("%(name)s最近 %(n)s 次没有成功，还在继续试。", name=name, n=one.failures)
        error = why("waiting", one.last_error)
        found.append(
            {"text": said + (_("最近一次：%(why)s。", why=error) if error else ""), "tone": "few", "url": ""}
        )
    behind = figures.backlog(hospital_id(), at.now)
    if behind.oldest is not None and at.now - behind.oldest > LATE:
        waited = wording.duration((at.now - behind.oldest).total_seconds())
        said = _("积压 %(n)s 条，最久的一条已经等了 %(time)s。", n=behind.due, time=waited)
        found.append({"text": said, "tone": "few", "url": ""})
    waiting = calls_open(hospital_id())
    if waiting:
        found.append(
            {
                "text": _("%(n)s 位患者没有通知到，需要打电话。", n=waiting),
                "tone": "stop",
                "url": url_for("desk.calls.list_calls") if can("make_calls") else "",
                "link": _("打开电话名单"),
            }
        )
    return found


def channel_name(provider: str) -> str:
    """Return what the desk calls a provider: the settings' own name, in quotation marks that set it apart."""
    return f"「{provider}」"


# --- the list --------------------------------------------------------------------------------------------------------


def _list(at: House) -> dict[str, Any]:
    args = request.args if request.method == "GET" else {}
    on = read_date(args.get("date")) or at.today
    status = args.get("status", "") if args.get("status") in STATES else ""
    channel = args.get("channel", "") if args.get("channel") in CHANNELS else ""
    kind = args.get("kind", "") if args.get("kind") in KINDS else ""
    page = int(args["page"]) if args.get("page", "").isdecimal() and len(args["page"]) < 4 else 1
    page = min(max(page, 1), DEEPEST // PAGE)
    start, end = figures.day_bounds(on, at.zone)
    found = letters_of_day(
        hospital_id(),
        start,
        end,
        at.now,
        group=status,
        channel=channel,
        kind=kind,
        limit=PAGE + 1,
        offset=(page - 1) * PAGE,
    )
    kept: dict[str, Any] = {
        "date": None if on == at.today else on.isoformat(),
        "status": status or None,
        "channel": channel or None,
        "kind": kind or None,
    }

    def to(number: int) -> str:
        return url_for(
            "desk.delivery.delivery", **kept, page=number if number > 1 else None, _anchor="h-list"
        )

    more = len(found) > PAGE
    return {
        "title": wording.day_long(on),
        "date": on.isoformat(),
        "filters": _filters(status, channel, kind),
        "rows": [_line(one, at) for one in found[:PAGE]],
        "here": to(page),
        "all_url": url_for("desk.delivery.delivery", _anchor="h-list") if any(kept.values()) else "",
        "day": _day_links(on, at, kept),
        "pager": {
            "page": page,
            "prev_url": to(page - 1) if page > 1 else "",
            "next_url": to(page + 1) if more and page < DEEPEST // PAGE else "",
        },
    }


def _day_links(on: date, at: House, kept: dict[str, Any]) -> dict[str, Any]:
    def to(day: date) -> str:
        shown: dict[str, Any] = kept | {"date": None if day == at.today else day.isoformat()}
        return url_for("desk.delivery.delivery", **shown, _anchor="h-list")

    return {
        "prev_url": to(on - timedelta(days=1)),
        "today_url": to(at.today),
        "next_url": to(on + timedelta(days=1)),
        "is_today": on == at.today,
    }


def _filters(status: str, channel: str, kind: str) -> list[dict[str, Any]]:
    return [
        {
            "id": "f-status",
            "name": "status",
            "label": _("状态"),
            "options": [("", _("全部")), *((name, label) for name, (label, _tone) in STATES.items())],
            "value": status,
        },
        {
            "id": "f-channel",
            "name": "channel",
            "label": _("渠道"),
            "options": [("", _("全部")), *((one, channel_label(one)) for one in CHANNELS)],
            "value": channel,
        },
        {
            "id": "f-kind",
            "name": "kind",
            "label": _("内容"),
            "options": [("", _("全部")), *((one, kind_label(one)) for one in KINDS)],
            "value": kind,
        },
    ]


def _line(one: Line, at: House) -> dict[str, Any]:
    label, tone = STATES[GROUP_OF[one.status]]
    if one.status == "sending":
        label, tone = _("正在发"), "soon"
    notes = [
        why(one.status, one.error),
        _("试了 %(n)s 次", n=one.attempts) if one.attempts > 1 else "",
        _("重发的") if one.again else "",
        _("系统补发") if one.repaired else "",
    ]
    return {
        "time": wording.clock(at.wall(one.at)),
        "name_masked": one.patient_masked,
        "to": one.address_masked or (_("就诊人") if one.recipient == "patient" else ""),
        "kind": kind_label(one.kind),
        "channel": channel_label(one.channel),
        "status_label": label,
        "tone": tone,
        "notes": "，".join(word for word in notes if word),
        "url": url_for("desk.appointments.detail", appointment_id=one.appointment_id)
        if one.appointment_id and one.patient_masked and can("read_appointment")
        else "",
        "resend_url": url_for("desk.delivery.resend", message_id=one.id)
        if one.may_resend and can("resend")
        else "",
    }
