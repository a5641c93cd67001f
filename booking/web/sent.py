"""What we have sent somebody about a visit (「我们发给你的」): what, when, over which channel, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.queries import AppointmentView
from booking.notices.queries import LetterState, messages_about
from booking.notices.why import why
from booking.outbox import receipts_from
from booking.people.rules import mask_phone

TONES = {"warn": "soon"}


def sent(view: AppointmentView, now: datetime) -> list[dict[str, Any]]:
    """Return what was or will be told about a visit, in order; each with its ways and what became of each, addresses masked.

    Letters of one kind and time stand together, and their state once when it is the same everywhere. Superseded letters
    are left out: a change ended them, and its own letters stand here. So is the hospital's own copy. A reminder that was
    told in another visit's says so, with what became of that one.
    """
    today = clock.local(now, view.zone).date()
    told: dict[tuple[str, datetime], dict[str, Any]] = {}
    for one in messages_about(view.hospital_id, [view.id])[view.id]:
        if one.recipient == "hospital":
            continue
        state, tone = state_of(one, now)
        at = wording.moment_near(clock.local(one.at, view.zone), today)
        planned = one.status == "waiting" and one.due_at > now
        about = told.setdefault(
            (one.kind, one.due_at),
            {
                "what": one.kind_label,
                "when": _("计划 %(when)s 发", when=at) if planned else at,
                "ways": [],
                "state": "",
                "tone": "",
            },
        )
        beside = _("和当天的其他预约写在同一条里") if one.merged else ""
        how = " ".join(word for word in (one.channel_label, _whose(one, view), beside) if word)
        about["ways"].append({"how": how, "state": "" if planned else state, "tone": tone})
    for about in told.values():
        states = {(way["state"], way["tone"]) for way in about["ways"]}
        if len(states) == 1:
            ((about["state"], about["tone"]),) = states
    return list(told.values())


def state_of(one: LetterState, now: datetime) -> tuple[str, str]:
    """Return what became of a letter in plain words, and their tone."""
    tone = TONES.get(one.tone, one.tone)
    if one.status == "waiting" and one.due_at > now:
        return _("还没到时间"), "off"
    if one.status in ("waiting", "sending"):
        return _("正在发"), "soon"
    if one.status == "accepted":
        return (_("已发出，还没有送达回执") if one.provider in receipts_from() else _("已发出")), "soon"
    if one.status == "delivered":
        return (_("已放进站内消息") if one.channel == "app" else _("已送达")), "ok"
    because = why(one.status, one.error)
    if one.status == "failed":
        return (_("没有发成：%(why)s", why=because) if because else _("没有发成")), "stop"
    return (_("没有发：%(why)s", why=because) if because else _("没有发")), tone


def _whose(one: LetterState, view: AppointmentView) -> str:
    """Whose phone it went to, masked; the patient's own is named, because the booker reads this too."""
    if one.channel not in ("sms", "voice"):
        return ""
    if one.recipient == "patient":
        return (
            _("就诊人 %(phone)s", phone=mask_phone(view.patient_phone)) if view.patient_phone else _("就诊人")
        )
    return mask_phone(view.booker_phone) if view.booker_phone else ""
