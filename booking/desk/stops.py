"""Stopping a session: who is affected and what they will read first, then the deed, then what became of each letter."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking import wording
from booking.appointments.desk_queries import DayLine, stop_preview, stopped_people
from booking.appointments.queries import appointment
from booking.appointments.stop import reopen_session, stop_session
from booking.desk import labels
from booking.desk.grid import week_url
from booking.desk.house import House, house
from booking.desk.schedule_forms import StopForm
from booking.desk.session import can, hospital_id, me, staff_page
from booking.errors import NotFound, Refusal
from booking.notices.call_queries import calls_about
from booking.notices.calls import reach
from booking.notices.letters import visit_letter
from booking.notices.queries import LetterState, messages_about
from booking.schedule.desk_queries import SessionDetail, session_detail

blueprint = Blueprint("stops", __name__)


@blueprint.route("/sessions/<uuid:session_id>/stop", methods=["GET", "POST"])
@staff_page("stop_session")
def stop(session_id: uuid.UUID) -> ResponseReturnValue:
    """Show who is affected; on POST stop the session and tell everyone. Already stopped: what became of the letters."""
    form = StopForm()
    if request.method == "GET":
        return _page(session_id, form)
    if request.form.get("act") == "preview":
        form.validate_on_submit()
        return _page(session_id, form)
    if not form.validate_on_submit():
        return _page(session_id, form), 422
    try:
        done = stop_session(
            hospital_id(),
            session_id,
            actor=me(),
            reason=form.reason_public.data or "",
            note=form.reason_internal.data or "",
            seen_until=form.seen_until(),
        )
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(session_id, form, labels.problems(refusal, form)), refusal.status
    if done.again:
        flash(_("这个班次之前已经停诊，没有重复通知。"), "soon")
    elif done.count:
        flash(_("已停诊，正在通知 %(n)s 人。", n=done.count), "ok")
    elif done.letters:
        flash(_("已停诊，没有预约受影响，正在通知候补的人。"), "ok")
    else:
        flash(_("已停诊，没有需要通知的患者。"), "ok")
    if done.seen:
        flash(_("%(n)s 位已经看完的记为完成，没有取消，也没有通知。", n=done.seen), "ok")
    return redirect(url_for("desk.stops.stop", session_id=session_id), code=303)


@blueprint.post("/sessions/<uuid:session_id>/reopen")
@staff_page("reopen_session")
def reopen(session_id: uuid.UUID) -> ResponseReturnValue:
    """Publish a stopped session again; cancelled visits stay cancelled."""
    opened = reopen_session(hospital_id(), session_id, actor=me())
    flash(_("已重新开诊，放出 %(n)s 个空着的号。已取消的预约没有恢复。", n=opened), "ok")
    return redirect(url_for("desk.sessions.edit", session_id=session_id), code=303)


def _page(session_id: uuid.UUID, form: StopForm, problems: list[dict[str, Any]] | None = None) -> str:
    at, found = house(), session_detail(hospital_id(), session_id)
    form.show_at(at.now)
    row = found.session
    stopped = row.status == "stopped"
    over = not stopped and (row.status == "finished" or row.ends_at <= at.now)
    before = (
        None
        if stopped
        else stop_preview(hospital_id(), session_id, at.now, arrived_are_seen=form.arrived_are_seen.data)
    )
    return render_template(
        "staff/stop.html",
        s=_heading(found, at),
        back_url=url_for("desk.sessions.edit", session_id=session_id),
        form=form,
        problems=problems or [],
        over=over,
        draft=row.status == "draft",
        people=[_person(line) for line in before.people] if before else [],
        totals={
            "affected": before.count if before else 0,
            "elderly": before.elders if before else 0,
            "arrived": before.arrived if before else 0,
            "seen": len(before.seen) if before else 0,
            "held": before.holds if before else 0,
            "phone_only": before.without_phone if before else 0,
        },
        **_letter(before.people[0] if before and before.people else None, form, at),
        done=_done(session_id, found, at) if stopped else None,
        undo_url=url_for("desk.stops.reopen", session_id=session_id)
        if stopped and row.ends_at > at.now and can("reopen_session")
        else "",
        week_url=week_url(row.local_date),
    )


def _heading(found: SessionDetail, at: House) -> dict[str, Any]:
    row = found.session
    return {
        "heading": f"{found.practice.doctor}·{wording.weekday(row.local_date)}{found.part}",
        "date_label": f"{wording.day_long(row.local_date)} {wording.clock(row.starts_local)}–{wording.clock(row.ends_local)}",
        "place": "，".join(
            word for word in (found.practice.department, found.practice.campus, row.room) if word
        ),
        "reason": row.stop_reason,
        "note": row.stop_note,
        "who": _("%(who)s，%(when)s", who=row.changed_by, when=at.moment(row.changed_at))
        if row.changed_by
        else "",
    }


def _person(line: DayLine) -> dict[str, Any]:
    label, tone = labels.APPOINTMENT[line.status]
    ways = [word for word, there in ((_("短信"), line.phone_tail), (_("站内消息"), line.in_app)) if there]
    reach = (_("和").join(ways), "ok") if line.phone_tail else (_("只能打电话"), "stop")
    return {
        "name_masked": line.patient_masked,
        "age_label": "" if line.patient_age is None else _("%(n)s 岁", n=line.patient_age),
        "elderly": (line.patient_age or 0) >= 65,
        "when_label": wording.clock(line.starts_local),
        "status_label": label,
        "status_tone": tone,
        "phone_masked": line.phone_masked,
        "reach_label": reach[0],
        "reach_tone": reach[1],
    }


def _letter(first: DayLine | None, form: StopForm, at: House) -> dict[str, str]:
    """The message as the first person affected will read it."""
    view = appointment(hospital_id(), first.id) if first else None
    if view is None:
        return {"letter": "", "letter_label": ""}
    reason = form.reason_public.data or _("（这里是上面填的原因）")
    text = visit_letter("stopped", "sms", view, {"reason": reason}, now=at.now).text
    pieces = -(-len(text) // 67) if len(text) > 70 else 1
    label = _("以第一位患者为例，约 %(chars)s 字，按 %(n)s 条短信计", chars=len(text), n=pieces)
    return {"letter": text, "letter_label": label}


def _done(session_id: uuid.UUID, found: SessionDetail, at: House) -> dict[str, Any]:
    rows = []
    counts = {"reached": 0, "accepted": 0, "leaving": 0, "call": 0}
    people = stopped_people(hospital_id(), session_id)
    about = messages_about(hospital_id(), [line.id for line in people])
    rung = calls_about(hospital_id(), about)
    for line in people:
        letters = [one for one in about[line.id] if one.kind == "stopped"]
        state, label, tone = _outcome(letters, rung.get(line.id, ""))
        counts[state] += 1
        phone = line.phone if state == "call" else ""
        rows.append(
            {
                "name_masked": line.patient_masked,
                "when_label": wording.clock(line.starts_local),
                "state_label": label,
                "tone": tone,
                "channels": [{"label": one.channel_label, **labels.letter(one)} for one in letters],
                "phone": phone or line.phone_masked,
                "phone_url": f"tel:{phone}" if phone else "",
            }
        )
    return {
        "rows": rows,
        "calls_url": url_for("desk.calls.list_calls") if counts["call"] and can("make_calls") else "",
        "counts": [
            (_("受影响"), len(rows), ""),
            (_("已送达"), counts["reached"], "ok"),
            (_("已通知，等回执"), counts["accepted"], ""),
            (_("正在通知"), counts["leaving"], ""),
            (_("待电话"), counts["call"], "stop" if counts["call"] else ""),
        ],
    }


OUTCOMES = {
    "reached": (_l("已送达"), "ok"),
    "accepted": (_l("已通知"), "ok"),
    "leaving": (_l("正在通知"), "soon"),
    "call": (_l("待电话"), "stop"),
}


def _outcome(letters: list[LetterState], rung: str) -> tuple[str, Any, str]:
    """What became of one person: as the call list says, when they are or were on it, else as their letters say.

    The letters are judged by the same question that puts people on the list, which asks it once a minute.
    """
    if rung == "reached":
        return "reached", _("电话已告知"), "ok"
    if rung == "wrong_number":
        return "call", _("号码不对"), "stop"
    state = "call" if rung == "open" else reach(letters)
    if state == "call" and rung == "not_needed":
        return "reached", _("不用再打"), "off"
    return state, *OUTCOMES[state]
