"""The call list: whom no letter reached, the number to ring, what to say, and ticking off."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking import wording
from booking.desk import labels
from booking.desk.house import House, house
from booking.desk.session import can, hospital_id, me, staff_page
from booking.desk.visit_forms import CallForm
from booking.errors import NotFound, Refusal
from booking.notices.call_queries import Call, calls, calls_open
from booking.notices.tick_off import tick_off

blueprint = Blueprint("calls", __name__)

REASONS = {
    "failed": _l("短信没有发到"),
    "no_receipt": _l("短信一直没有送达的回音"),
}
OUTCOMES = {
    "reached": (_l("已告知"), "ok"),
    "no_answer": (_l("没人接"), "few"),
    "wrong_number": (_l("号码不对"), "stop"),
    "not_needed": (_l("不用再打"), "off"),
}
SHOWN = 100
ENDED = 30


@blueprint.get("/calls")
@staff_page("make_calls")
def list_calls() -> ResponseReturnValue:
    """Show who must be rung, the soonest day and those not tried first, and what came of the last calls."""
    return _page()


@blueprint.post("/calls/<uuid:call_id>")
@staff_page("make_calls")
def tick(call_id: uuid.UUID) -> ResponseReturnValue:
    """Record what came of ringing; nobody there keeps the call on the list."""
    form = CallForm()
    if not form.validate_on_submit():
        said = next((errors[0] for errors in form.errors.values() if errors), _("页面停留太久，请再点一次"))
        return _page([{"text": said, "href": f"#c-{call_id.hex}", "more": None}]), 422
    outcome = request.form.get("outcome", "")
    try:
        tick_off(
            hospital_id(),
            call_id,
            actor=me(),
            outcome=outcome,
            tries=form.tries.data or 0,
            note=form.note.data or "",
        )
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(labels.problems(refusal)), refusal.status
    if outcome == "no_answer":
        flash(_("已记下没人接，还留在名单上，过一会儿再打。"), "soon")
    else:
        flash(_("已记下：%(what)s。", what=OUTCOMES[outcome][0]), "ok")
    return redirect(url_for("desk.calls.list_calls"), code=303)


def _page(problems: list[dict[str, Any]] | None = None) -> str:
    at = house()
    rows = [_row(one, at) for one in calls(hospital_id(), limit=SHOWN)]
    return render_template(
        "staff/calls.html",
        rows=rows,
        hidden=max(calls_open(hospital_id()) - len(rows), 0),
        ended=[_row(one, at) for one in calls(hospital_id(), done=True, limit=ENDED)],
        outcomes=[(value, label) for value, (label, _tone) in OUTCOMES.items()],
        problems=problems or [],
    )


def _row(one: Call, at: House) -> dict[str, Any]:
    label, tone = OUTCOMES.get(one.outcome, ("", ""))
    return {
        "id": one.id.hex,
        "name_masked": one.patient_masked,
        "what": one.kind_label,
        "when_label": wording.when_long(one.visit_date, one.starts_local, one.part),
        "who": f"{one.department} {one.doctor}".strip(),
        "urgent": one.visit_date <= at.today,
        "reason": REASONS[one.reason],
        "since_label": at.moment(one.created_at),
        "tries": one.tries,
        "tries_label": _("打过 %(n)s 次，没人接", n=one.tries) if one.tries and not one.done_at else "",
        "note": one.note,
        "by_label": " ".join(word for word in (one.by or _("系统"), at.moment(one.done_at)) if word)
        if one.done_at
        else one.by,
        "outcome_label": label,
        "tone": tone,
        "phones": [
            {"whose": whose, "shown": spaced(phone), "url": f"tel:{phone}"} for whose, phone in one.phones
        ],
        "say": one.say,
        "url": url_for("desk.appointments.detail", appointment_id=one.appointment_id)
        if can("read_appointment")
        else "",
        "until_label": _("请在 %(until)s 前答复", until=at.moment(one.answer_by)) if one.answer_by else "",
        "answer_url": url_for("desk.waiting.accept", session_id=one.session_id, wish_id=one.wish_id)
        if one.wish_id and can("accept_offer")
        else "",
        "tick_url": url_for("desk.calls.tick", call_id=one.id),
    }


def spaced(phone: str) -> str:
    """Return a number as people dial it: 「138 0013 0001」; a foreign one keeps its prefix."""
    digits = phone.removeprefix("+86")
    return f"{digits[:3]} {digits[3:7]} {digits[7:]}" if len(digits) == 11 and digits.isdecimal() else phone
