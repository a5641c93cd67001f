"""States and refusals in the desk's words."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm

from booking.errors import Refusal
from booking.notices.queries import LetterState

APPOINTMENT = {
    "held": (_l("正在填写"), "wait"),
    "confirming": (_l("等待确认"), "wait"),
    "booked": (_l("待报到"), ""),
    "arrived": (_l("已报到"), "ok"),
    "in_visit": (_l("就诊中"), "brand"),
    "fulfilled": (_l("已完成"), ""),
    "cancelled": (_l("已取消"), ""),
    "expired": (_l("已失效"), ""),
    "no_show": (_l("爽约"), "stop"),
    "excused": (_l("爽约已免除"), ""),
    "entered_in_error": (_l("登记有误"), ""),
}
LETTER = {
    "waiting": (_l("待发"), "soon"),
    "sending": (_l("正在发"), "soon"),
    "accepted": (_l("已通知"), "ok"),
    "delivered": (_l("已送达"), "ok"),
    "failed": (_l("没有发到"), "stop"),
    "expired": (_l("过期未发"), "few"),
    "superseded": (_l("已被新通知代替"), ""),
    "suppressed": (_l("按设置不发"), ""),
}
WISHES = {"patient": _l("患者要求"), "hospital": _l("医院原因")}
"""At whose wish a visit is moved or cancelled."""
FIELDS = {
    "starts_local": "starts",
    "ends_local": "ends",
    "slot_minutes": "minutes",
    "places_per_slot": "places",
    "clinic_kind_id": "kind",
    "fee_cents": "fee",
    "practice_id": "practice",
    "local_date": "date",
    "day_part_id": "part",
    "release_at": "release_date",
    "rolls_at": "rolls_date",
    "channels": "kept_phone",
    "reason": "reason_public",
}
"""What the verbs call a value, and what the form calls its field."""


def problems(refusal: Refusal, form: FlaskForm | None = None) -> list[dict[str, Any]]:
    """Return the refusal for the summary; its sentences about single values go to their fields in `form`."""
    told = refusal.facts.get("errors") or {}
    if refusal.facts.get("field"):
        told = {refusal.facts["field"]: refusal.text}
    left = []
    for name, sentence in told.items():
        field = form and (form._fields.get(name) or form._fields.get(FIELDS.get(name, "")))
        if field is None:
            left.append(sentence)
        else:
            field.errors = [*field.errors, sentence]
    if not told:
        left.append(refusal.text)
    return [{"text": sentence, "href": "", "more": None} for sentence in left]


def letter(one: LetterState) -> dict[str, Any]:
    """Return a letter's state in the desk's words: accepted by the provider, delivered, or somebody has to call."""
    label, tone = LETTER[one.status]
    return {"status_label": label, "tone": tone}
