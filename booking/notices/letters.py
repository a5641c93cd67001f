"""What each letter says. The sentences stand in templates/notices/; here their places are filled."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from flask import current_app

from booking.appointments.queries import AppointmentView
from booking.clock import local
from booking.notices import calendar, discretion
from booking.notices.senders.provider import Rendered
from booking.notices.shaping import shape, site, wechat_time
from booking.notices.tongue import Tongue, tongue

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
PAGE = "/me/appointments"
LONGEST_IN_SHORT = 35
"""Signs of somebody's own words that a short message repeats: what carriers take in one place."""


def code_letter(
    code: str, *, lives: timedelta, channel: str = "sms", language: str | None = None
) -> Rendered:
    """Return the letter that carries a one-time code, which works as long as `lives`."""
    words = {"site": site(), "code": code, "minutes": int(lives.total_seconds() // 60)}
    return shape("code", channel, words, tongue(language))


def visit_letter(
    kind: str,
    channel: str,
    view: AppointmentView,
    facts: dict[str, Any],
    *,
    now: datetime,
    address: str = "",
    language: str | None = None,
    reply: str = "",
    sensitive: bool | None = None,
) -> Rendered:
    """Return the letter of `kind` (one of ABOUT_A_VISIT) about an appointment, shaped for its channel.

    `view` is the AppointmentView as it is now; `facts` are what the verb wrote down (a reason, the old time).
    `address` is the e-mail address, which a calendar invitation must name; `language` that of the recipient; `reply` the
    digits by which this phone may answer, or ""; `sensitive`, whether the department stays unnamed (None: ask).
    """
    spoken = tongue(language)
    hidden = discretion.is_sensitive(view) if sensitive is None else sensitive
    words = _words(view, facts, now, spoken, hidden) | {"reply": reply}
    if channel == "sms" and len(words["preparation"]) > LONGEST_IN_SHORT:
        words["preparation"] = spoken.say("prepare_unnamed", site())
    method = CALENDAR_METHODS.get(kind, "") if channel == "email" else ""
    entry = calendar.appointment_ics(view, method, attendee=address, tongue=spoken) if method else b""
    if kind == "cancelled" and words["by_hospital"]:
        kind = "cancelled_by_hospital"
    return shape(kind, channel, words, spoken, page=PAGE, calendar=entry, method=method)


def _words(
    view: AppointmentView, facts: dict[str, Any], now: datetime, spoken: Tongue, sensitive: bool
) -> dict[str, Any]:
    """The places of the sentences: dates in the hospital's wall time, names as far as a letter may name them."""
    here, dates = local(now, view.zone), spoken.dates
    deadline, old = local(view.cancel_deadline, view.zone), _time_before(facts)
    preparation = spoken.say("prepare_unnamed", site()) if sensitive else sentence(view.preparation)
    open_until = deadline if deadline > here else None
    return {
        "site": site(),
        "time": wechat_time(datetime.combine(view.visit_date, view.starts_local)),
        "when": dates.when_long(view.visit_date, view.starts_local, view.part),
        "near": dates.near((view.visit_date - here.date()).days),
        "place": place(view),
        "address": view.address,
        "room": discretion.spot(sensitive, view.room),
        "desk": spoken.say("desk", discretion.spot(sensitive, view.desk)),
        "department": spoken.say("outpatient") if sensitive else view.department,
        "doctor": spoken.say("doctor", view.doctor, view.doctor_pinyin),
        "doctor_full": spoken.say("doctor_full", view.doctor, view.doctor_pinyin),
        "doctor_title": spoken.say("title", view.doctor_title),
        "name": discretion.short_name(view.patient_name),
        "family": discretion.short_name(view.patient_name).rstrip("*"),
        "code": dates.spaced_code(view.visit_code or ""),
        "preparation": preparation if view.preparation else "",
        "prepare_now": bool(view.preparation) and now >= view.prepares_at,
        "fee": dates.fee(view.fee_cents),
        "fee_name": view.fee_name,
        "phone": view.hospital_phone or current_app.config["HELP_PHONE"],
        "deadline": dates.moment(open_until) if open_until else "",
        "deadline_short": f"{dates.day_short(open_until)} {dates.clock(open_until)}" if open_until else "",
        "old_when": dates.when_long(*old) if old else "",
        "old_short": f"{dates.day_short(old[0])} {dates.clock(old[1])}" if old else "",
        # what the verb calls public; a patient's own words stay inside
        "reason": _reason(facts.get("reason", "")),
        "by_hospital": (facts.get("by") or view.cancelled_by) == "hospital",
        "late": bool(view.cancelled_late),
    }


def place(view: AppointmentView) -> str:
    """Return hospital and campus, each named once."""
    return view.hospital if view.campus in view.hospital else f"{view.hospital}{view.campus}"


def _time_before(facts: dict[str, Any]) -> tuple[date, time, str] | None:
    """Day, time and part of day before a move, as the verb wrote them down."""
    old = facts.get("from")
    if not old:
        return None
    return date.fromisoformat(old["visit_date"]), time.fromisoformat(old["starts_local"]), old.get("part", "")


def _reason(text: str) -> str:
    """A reason as somebody typed it: one line, no full stop of its own, not too long for a short message."""
    plain = " ".join(text.split()).rstrip("。.；;，, ")
    return plain if len(plain) <= LONGEST_IN_SHORT else plain[: LONGEST_IN_SHORT - 1] + "…"


def sentence(text: str) -> str:
    """Return what the hospital wrote as sentences that end."""
    plain = " ".join(text.split())
    return plain if not plain or plain[-1] in "。！？.!?" else f"{plain}。"
