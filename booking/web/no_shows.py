"""No-shows as the patient reads them: which count, since when, what follows, and how to say that one is wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.no_show_queries import Fact, Judgement, Standing, standings_of
from booking.refs import ref
from booking.web.session import account_id, now, signed_in

blueprint = Blueprint("no_shows", __name__)


@blueprint.get("/me/no-shows")
@signed_in
def list_no_shows() -> ResponseReturnValue:
    """Show, for each patient and hospital, the visits that count as no-shows, and those that do not."""
    found = standings_of(account_id() or 0)
    return render_template("web/no_shows.html", standings=[_shown(one) for one in found])


def summary(found: list[Standing]) -> dict[str, Any] | None:
    """Return the line above my appointments: the worst that stands, None when nothing counts."""
    worst = next((one for one in found if one.count), None)
    if worst is None:
        return None
    return {
        "count": worst.block.count if worst.block else worst.count,
        "limit": worst.limit,
        "days": worst.days,
        "hospital": worst.hospital,
        "patient": worst.patient,
        "until_label": wording.day_short(worst.block.until) if worst.block else "",
        "url": url_for("no_shows.list_no_shows"),
    }


def evidence(found: Judgement, zone: str) -> list[str]:
    """Return in sentences why a visit was recorded as a no-show."""
    said = [
        _("班次结束 %(n)s 分钟后，没有查到报到记录，也没有现场挂号记录。", n=found.after_minutes)
        if found.after_minutes
        else _("没有查到报到记录，也没有现场挂号记录。"),
        _("没有收到取消，医院也没有停诊。"),
    ]
    for letter in found.told[:3]:
        said.append(_told(letter, zone))
    return said


def _told(letter: dict[str, str], zone: str) -> str:
    what = {
        "confirmed": _("预约成功"),
        "moved": _("改约"),
        "reminder_day": _("前一天提醒"),
        "reminder_hours": _("当天提醒"),
    }.get(letter.get("kind", ""), _("通知"))
    how = {"sms": _("短信"), "email": _("邮件"), "app": _("站内消息")}.get(letter.get("channel", ""), "")
    when = letter.get("at", "")
    at = wording.moment(clock.local(datetime.fromisoformat(when), zone)) if when else ""
    return _("%(at)s %(what)s%(how)s已发出。", at=at, what=what, how=how)


def _shown(one: Standing) -> dict[str, Any]:
    return {
        "patient": one.patient,
        "hospital": one.hospital,
        "phone": one.phone,
        "count": one.count,
        "limit": one.limit,
        "days": one.days,
        "block_days": one.block_days,
        "until_label": wording.day_long(one.block.until) if one.block else "",
        "blocked_count": one.block.count if one.block else 0,
        "facts": [_fact(fact, one.hospital_id) for fact in one.facts],
    }


def _fact(fact: Fact, hospital_id: int) -> dict[str, Any]:
    today = clock.local(now(), "Asia/Shanghai").date()
    label, tone = {
        "no_show": (_("爽约，计数") if fact.counts else _("爽约，已过期"), "stop" if fact.counts else "off"),
        "excused": (_("已免除，不计数"), "ok"),
    }.get(fact.status, (_("临时取消，不算爽约"), "off"))
    if fact.status == "no_show" and fact.appeal == "open":
        label, tone = (_("申诉中，暂时计数") if fact.counts else _("申诉中")), "soon"
    return {
        "day": wording.day_past(fact.on, today) + " " + wording.weekday(fact.on),
        "what": f"{fact.department} {fact.doctor}".strip() if fact.mine else _("由家人的账号预约"),
        "label": label,
        "tone": tone,
        "url": url_for("appointments.detail", appointment=ref(hospital_id, fact.id)) if fact.mine else "",
        "appeal": fact.mine and fact.status == "no_show" and not fact.appeal,
    }
