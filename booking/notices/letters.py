"""What each letter says. The sentences stand in templates/notices/; here their places are filled."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from flask import current_app
from flask_babel import gettext as _

from booking import wording
from booking.appointments.queries import AppointmentView
from booking.clock import local
from booking.notices import calendar, discretion
from booking.notices.filling import fill, lines_of
from booking.notices.senders.provider import Rendered
from booking.notices.short_text import short_message

ABOUT_A_VISIT = (
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
)
CALENDAR_METHODS = {"confirmed": "REQUEST", "moved": "REQUEST", "cancelled": "CANCEL", "stopped": "CANCEL"}
LONGEST_REASON = 60


def code_letter(code: str) -> Rendered:
    """Return the letter that carries a one-time code."""
    return short_message(_("验证码"), "code", {"site": site(), "code": code})


def visit_letter(
    kind: str,
    channel: str,
    view: AppointmentView,
    facts: dict[str, Any],
    *,
    now: datetime,
    address: str = "",
    sensitive: bool | None = None,
) -> Rendered:
    """Return the letter of `kind` (one of ABOUT_A_VISIT) about an appointment, shaped for its channel.

    `view` is the AppointmentView as it is now; `facts` are what the verb wrote down (a reason, the old time).
    `address` is the e-mail address, which a calendar invitation must name; `sensitive`, whether the department stays
    unnamed (None: ask).
    """
    hidden = discretion.is_sensitive(view) if sensitive is None else sensitive
    words = _words(view, facts, now, hidden)
    subject = _subject(kind, words)
    if channel == "sms":
        return short_message(subject, kind, words)
    if channel == "voice":
        return Rendered(subject, spoken(short_message(subject, kind, words).text))
    lines = lines_of(fill(f"{kind}.txt", words))
    if channel == "app":
        return Rendered(subject, "\n".join(lines))
    if channel == "wechat":
        return Rendered(
            subject, "\n".join(lines), template=f"{kind}.wechat", variables=_wechat_words(view, words)
        )
    lines.append(_("在网上查看：%(url)s", url=f"{current_app.config['PUBLIC_URL']}/me/appointments"))
    method = CALENDAR_METHODS.get(kind, "")
    return Rendered(
        f"{mark()}{subject}",
        "\n".join([*lines, "", _("这封信由%(site)s自动发出，请不要回复。", site=site())]),
        html=fill("letter.html", {"subject": subject, "lines": lines, "site": site()}),
        calendar=calendar.appointment_ics(view, method, attendee=address) if method else b"",
        calendar_method=method,
    )


def _words(view: AppointmentView, facts: dict[str, Any], now: datetime, sensitive: bool) -> dict[str, Any]:
    """The places of the sentences: dates in the hospital's wall time, names as far as a letter may name them."""
    here = local(now, view.zone)
    deadline, old = local(view.cancel_deadline, view.zone), _time_before(facts)
    near = {0: _("今天"), 1: _("明天")}.get((view.visit_date - here.date()).days, "")
    place = view.hospital if view.campus in view.hospital else f"{view.hospital}{view.campus}"
    return {
        "site": site(),
        "when": wording.when_long(view.visit_date, view.starts_local, view.part),
        "near": near,
        "place": place,
        "address": view.address,
        "room": discretion.spot(sensitive, view.room),
        "desk": discretion.spot(sensitive, view.desk),
        "department": discretion.department(view, sensitive),
        "doctor": view.doctor,
        "doctor_title": view.doctor_title,
        "name": discretion.short_name(view.patient_name),
        "code": wording.spaced_code(view.visit_code or ""),
        "preparation": _sentence(view.preparation),
        "fee": wording.fee(view.fee_cents),
        "fee_name": view.fee_name,
        "phone": view.hospital_phone or current_app.config["HELP_PHONE"],
        "deadline": wording.moment(deadline) if deadline > here else "",
        "old_when": wording.when_long(*old) if old else "",
        "old_short": f"{wording.day_short(old[0])} {wording.clock(old[1])}" if old else "",
        "reason": _reason(
            facts.get("reason", "")
        ),  # what the verb calls public; a patient's own words stay inside
        "by_hospital": (facts.get("by") or view.cancelled_by) == "hospital",
        "late": bool(view.cancelled_late),
    }


def spoken(text: str) -> str:
    """Return a short message as a voice reads it: no brackets, and no star for a given name."""
    return text.replace("【", "").replace("】", "：").replace("*", _("某"))


def _wechat_words(view: AppointmentView, words: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What may stand in the fields of a WeChat template; its field 「time」 wants a form of its own."""
    at = f"{view.visit_date:%Y}年{view.visit_date.month}月{view.visit_date.day}日 {view.starts_local:%H:%M}"
    named = ("when", "place", "department", "doctor", "name", "room", "code", "phone", "reason")
    return (("time", at), *((name, str(words[name])) for name in named))


def _subject(kind: str, words: dict[str, Any]) -> str:
    titles = {
        "confirmed": _("预约成功"),
        "reminder_day": _("就诊提醒"),
        "reminder_hours": _("就诊提醒"),
        "preparation": _("请提前准备"),
        "moved": _("已改约"),
        "cancelled": _("预约已取消"),
        "stopped": _("停诊通知"),
        "no_show": _("没有报到记录"),
        "excused": _("爽约已免除"),
        "appeal_declined": _("申诉有答复了"),
    }
    return f"{titles[kind]}：{words['when']}"


def _time_before(facts: dict[str, Any]) -> tuple[date, time, str] | None:
    """Day, time and part of day before a move, as the verb wrote them down."""
    old = facts.get("from")
    if not old:
        return None
    return date.fromisoformat(old["visit_date"]), time.fromisoformat(old["starts_local"]), old.get("part", "")


def _reason(text: str) -> str:
    """A reason as somebody typed it: one line, no full stop of its own, not too long for a short message."""
    plain = " ".join(text.split()).rstrip("。.；;，, ")
    return plain if len(plain) <= LONGEST_REASON else plain[: LONGEST_REASON - 1] + "…"


def _sentence(text: str) -> str:
    """What the hospital wrote, as a sentence with one full stop."""
    plain = " ".join(text.split())
    return f"{plain.rstrip('。')}。" if plain else ""


def site() -> str:
    """Return the name that every letter is signed with."""
    return current_app.config["SITE_NAME"]


def mark() -> str:
    """Return the name as a subject begins with it."""
    return f"【{site()}】"
