"""No-shows at the desk: those of a day, each correctable, and the appeals that wait for an answer."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking import wording
from booking.appointments.appeals import answer_appeal
from booking.appointments.desk_queries import DayLine, day_list
from booking.appointments.no_show import record_ticket
from booking.appointments.no_show_queries import DeskAppeal, appeals, told_about
from booking.desk import labels
from booking.desk.forms import read_date
from booking.desk.house import House, house
from booking.desk.session import can, hospital_id, me, own_path, staff_page
from booking.desk.visit_forms import AnswerForm, TicketForm
from booking.errors import NotFound, Refusal

blueprint = Blueprint("no_shows", __name__)

ANSWERS = {
    "open": (_l("等待答复"), "soon"),
    "accepted": (_l("已同意，已免除"), "ok"),
    "declined": (_l("未同意"), "off"),
    "cleared": (_l("现场确认，已免除"), "ok"),
}


@blueprint.get("/no-shows")
@staff_page("excuse")
def list_no_shows() -> ResponseReturnValue:
    """List who did not come on a day, and above it the appeals that wait."""
    return _page()


@blueprint.post("/no-shows/<uuid:appointment_id>/was-here")
@staff_page("excuse")
def was_here(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Record that a patient was here after all; a no-show is excused and the patient is told."""
    form = TicketForm()
    back = own_path(request.form.get("back"), url_for("desk.no_shows.list_no_shows"))
    if not form.validate_on_submit():
        said = next(iter(form.note.errors), _("页面停留太久，请再点一次"))
        return _page(problems=[{"text": said, "href": "", "more": None}]), 422
    try:
        done = record_ticket(hospital_id(), appointment_id, actor=me(), note=form.note.data or "")
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(problems=labels.problems(refusal)), refusal.status
    if done.status == "excused":
        flash(_("已记下患者来过，爽约已免除，正在通知患者。"), "ok")
    else:
        flash(_("已记下患者来过，不会记爽约。"), "ok")
    return redirect(back, code=303)


@blueprint.post("/no-shows/<uuid:appointment_id>/answer")
@staff_page("answer_appeal")
def answer(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Accept an appeal, or decline it with a reason; the patient is told either way."""
    form = AnswerForm()
    accept = form.act.data == "accept"
    if not form.validate_on_submit():
        return _page(wrong=(appointment_id, form)), 422
    try:
        answer_appeal(hospital_id(), appointment_id, actor=me(), accept=accept, answer=form.answer.data or "")
    except NotFound:
        raise
    except Refusal as refusal:
        left = labels.problems(refusal, form)
        return _page(problems=left, wrong=(appointment_id, form)), refusal.status
    flash(_("已同意，爽约已免除，正在通知患者。") if accept else _("已答复，正在通知患者。"), "ok")
    return redirect(url_for("desk.no_shows.list_no_shows"), code=303)


def _page(
    problems: list[dict[str, Any]] | None = None, wrong: tuple[uuid.UUID, AnswerForm] | None = None
) -> str:
    at = house()
    on = read_date(request.args.get("date")) or at.today
    on = min(on, at.today)
    missed = [line for line in day_list(hospital_id(), on) if _is_shown(line, on, at)]
    told = told_about(hospital_id(), [line.id for line in missed])
    here = _url(on, at)
    return render_template(
        "staff/no_shows.html",
        day={
            "title": wording.day_long(on),
            "is_today": on == at.today,
            "prev_url": _url(on - timedelta(days=1), at),
            "next_url": _url(on + timedelta(days=1), at) if on < at.today else "",
            "today_url": _url(at.today, at),
        },
        here=here,
        rows=[_row(line, told, at) for line in missed],
        waiting=[_appeal(one, at, wrong) for one in appeals(hospital_id())],
        answered=[_appeal(one, at) for one in appeals(hospital_id(), answered=True, limit=10)],
        may_answer=can("answer_appeal"),
        problems=problems or [],
    )


def _is_shown(line: DayLine, on: date, at: House) -> bool:
    """No-shows and excused ones; also whoever has not come to a session that is over and is still to be judged."""
    return line.status in ("no_show", "excused") or (
        line.status == "booked" and (on < at.today or line.ends_local <= at.clock)
    )


def _url(on: date, at: House) -> str:
    return url_for("desk.no_shows.list_no_shows", date=None if on == at.today else on.isoformat())


def _row(line: DayLine, told: dict[uuid.UUID, int], at: House) -> dict[str, Any]:
    label, tone = labels.APPOINTMENT[line.status]
    if line.status == "booked":
        label, tone = _("还没判断"), "soon"
    return {
        "time": wording.clock(line.starts_local),
        "name_masked": line.patient_masked,
        "phone": line.phone_masked,
        "doctor": line.doctor,
        "department": line.department,
        "status_label": label,
        "tone": tone,
        "told_label": _("通知 %(n)s 条已发出", n=told[line.id]) if told.get(line.id) else "",
        "url": url_for("desk.appointments.detail", appointment_id=line.id),
        "was_here_url": url_for("desk.no_shows.was_here", appointment_id=line.id)
        if line.status in ("no_show", "booked")
        else "",
    }


def _appeal(one: DeskAppeal, at: House, wrong: tuple[uuid.UUID, AnswerForm] | None = None) -> dict[str, Any]:
    label, tone = ANSWERS[one.status]
    form = wrong[1] if wrong and wrong[0] == one.appointment_id else None
    return {
        "id": one.appointment_id.hex,
        "name_masked": one.patient,
        "phone": one.phone,
        "when_label": wording.when_long(one.visit_date, one.starts_local, one.part),
        "who": f"{one.department} {one.doctor}".strip(),
        "reason": one.reason,
        "made_label": at.moment(one.made_at),
        "status_label": label,
        "tone": tone,
        "answer": one.answer,
        "answered_label": f"{one.decided_by} {at.moment(one.decided_at)}".strip() if one.decided_at else "",
        "url": url_for("desk.appointments.detail", appointment_id=one.appointment_id),
        "answer_url": url_for("desk.no_shows.answer", appointment_id=one.appointment_id),
        "typed": (form.answer.data or "") if form else "",
        "error": form.answer.errors[0] if form and form.answer.errors else "",
    }
