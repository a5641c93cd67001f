"""My appointments: list, detail, calendar file, slip, cancel. Also what a visit code opens."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking import clock, wording
from booking.appointments.appeals import appeal as make_appeal
from booking.appointments.cancel import cancel as cancel_appointment
from booking.appointments.no_show_queries import Judgement, judgement, standings_of
from booking.appointments.queries import AppointmentView, next_of_account, of_account
from booking.appointments.queries import appointment as appointment_of
from booking.appointments.rules import NoSuchAppointment
from booking.appointments.wish_queries import wishes_of
from booking.errors import Refusal
from booking.limits import limiter
from booking.notices.calendar import appointment_ics
from booking.notices.queries import messages_about
from booking.people.queries import is_reminded
from booking.people.quiet import remind_own_phone
from booking.people.rules import mask_phone
from booking.refs import Key
from booking.web import no_shows, passes, sent
from booking.web.forms import REASONS, AppealForm, CancelForm, put_errors
from booking.web.session import (
    account_id,
    actor_on,
    browser,
    found,
    found_by_patient,
    me,
    now,
    signed_in,
    way_back,
)

blueprint = Blueprint("appointments", __name__)

TABS = (("coming", _l("待就诊")), ("past", _l("已就诊")), ("cancelled", _l("已取消")))
ACTIVE = ("booked", "arrived", "in_visit")
SHOWN = (*ACTIVE, "confirming", "fulfilled", "cancelled", "no_show", "excused")


def tabs(current: str) -> list[dict[str, Any]]:
    """Return the tabs of 我的预约, 候补中 after those to come; with how many wait."""
    waiting = len(wishes_of(account_id() or 0))
    shown = [
        {
            "name": name,
            "text": text,
            "url": url_for("appointments.list_appointments", tab=name),
            "current": name == current,
            "count": None,
        }
        for name, text in TABS
    ]
    wishes = {
        "name": "wishes",
        "text": _("候补中"),
        "url": url_for("wishes.list_wishes"),
        "current": current == "wishes",
        "count": waiting or None,
    }
    return [shown[0], wishes, *shown[1:]]


def opened(appointment: Key) -> AppointmentView | None:
    """Return the appointment when the signed-in account booked it or its visit code was given here; None to sign in first.

    Somebody else's is not found.
    """
    view = appointment_of(*appointment)
    if found(appointment) and view is not None and view.status in SHOWN:
        return view
    if me() is None:
        return None
    if view is None or view.account_id != account_id() or view.status not in SHOWN:
        raise NoSuchAppointment
    return view


def sign_in_first() -> ResponseReturnValue:
    """Send to the sign-in page and back to this one."""
    return redirect(url_for("login.login", next=way_back()), code=303)


def is_owner(view: AppointmentView) -> bool:
    """Whether the signed-in account booked it (and not only the visit code is known)."""
    return account_id() is not None and view.account_id == account_id()


@blueprint.get("/me/appointments")
@signed_in
def list_appointments() -> ResponseReturnValue:
    """Show the next visit as a ticket and the others by tab."""
    tab = request.args.get("tab", "")
    tab = tab if tab in dict(TABS) else "coming"
    rows = of_account(account_id() or 0, tab)
    ahead = next_of_account(account_id() or 0) if tab == "coming" else None
    return render_template(
        "web/my_appointments.html",
        tabs=tabs(tab),
        next=passes.ticket(ahead, now(), owner=True, qr=True) if ahead else None,
        rows=[passes.ticket(row, now(), owner=True) for row in rows if ahead is None or row.id != ahead.id],
        no_show=no_shows.summary(standings_of(account_id() or 0)),
        pager=None,
        empty_why="",
    )


@blueprint.get("/me/appointments/<ref:appointment>")
def detail(appointment: Key) -> ResponseReturnValue:
    """Show one appointment; right after booking (`done`) with the words of success."""
    view = opened(appointment)
    if view is None:
        return sign_in_first()
    return _detail_page(view)


@blueprint.post("/me/appointments/<ref:appointment>/appeal")
def appeal(appointment: Key) -> ResponseReturnValue:
    """Say that a no-show is wrong; the page then shows that the hospital has it."""
    view = opened(appointment)
    if view is None:
        return sign_in_first()
    form = AppealForm()
    if not form.validate():
        return _detail_page(view, form), 422
    try:
        make_appeal(
            *appointment, actor=actor_on(appointment, owner=is_owner(view)), reason=form.reason.data or ""
        )
    except Refusal as refusal:
        return _detail_page(view, form, put_errors(form, refusal)), refusal.status
    return redirect(url_for("appointments.detail", appointment=view.ref, _anchor="h-missed"), code=303)


def _detail_page(
    view: AppointmentView, form: AppealForm | None = None, problems: list[dict[str, Any]] | None = None
) -> str:
    done = request.args.get("done", "") if view.status == "booked" else ""
    missed = judgement(view.hospital_id, view.id) if view.status in ("no_show", "excused") else None
    return render_template(
        "web/appointment.html",
        a=passes.ticket(view, now(), owner=is_owner(view), qr=True),
        fresh=done in ("booked", "moved"),
        changed=done == "moved",
        letters=_letters(view, fresh=done in ("booked", "moved")),
        sent=sent.sent(view, now()),
        steps=_steps(view),
        reminders=_reminders(view),
        back_url=url_for("appointments.list_appointments") if is_owner(view) else None,
        undo_until=passes.regret_label(view, now()),
        missed=_missed(view, missed) if missed else None,
        form=form or AppealForm(formdata=None),
        problems=problems or [],
    )


def _missed(view: AppointmentView, found: Judgement) -> dict[str, Any]:
    """Return why this visit counts as a no-show and what became of the appeal, in words."""
    at = wording.moment(clock.local(found.made_at, view.zone)) if found.made_at else ""
    answered = wording.moment(clock.local(found.decided_at, view.zone)) if found.decided_at else ""
    return {
        "counts": view.status == "no_show",
        "evidence": no_shows.evidence(found, view.zone),
        "appeal": found.appeal,
        "reason": found.reason,
        "made_label": at,
        "answer": found.answer,
        "answered_label": answered,
        "url": url_for("appointments.appeal", appointment=view.ref)
        if view.status == "no_show" and not found.appeal
        else "",
    }


def _letters(view: AppointmentView, *, fresh: bool) -> list[dict[str, str]]:
    """Return what the ledger says about the newest letters; while an SMS still waits, where it will go."""
    shown = []
    for letter in messages_about(view.hospital_id, [view.id])[view.id]:
        if letter.channel == "app" or letter.kind.startswith("reminder"):
            continue
        phone = view.booker_phone if letter.recipient == "account" else view.patient_phone
        to = mask_phone(phone) if phone and letter.channel == "sms" else ""
        if letter.status in ("waiting", "sending") and to:
            text = _("短信一般 1 分钟内发到 %(to)s", to=to)
        else:
            text = " ".join(one for one in (letter.kind_label, letter.channel_label, to) if one)
        tone = {"warn": "soon"}.get(letter.tone, letter.tone)
        shown.append({"text": text, "status_label": letter.status_label, "tone": tone})
    return shown if fresh else shown[-2:]


def _steps(view: AppointmentView) -> list[dict[str, str]]:
    desk = view.desk or _("分诊台")
    when = passes.arrive_time(view)
    before = [{"title": _("提前准备"), "text": view.preparation}] if view.preparation else []
    return [
        *before,
        {"title": _("带上证件"), "text": _("就诊人的身份证或电子医保凭证，以前的病历和检查结果。")},
        {
            "title": _("%(time)s 前到%(desk)s报到", time=when, desk=desk),
            "text": _("说预约码就行。迟到超过 %(n)s 分钟，排到本时段最后。", n=view.late_minutes),
        },
        {
            "title": _("等叫号"),
            "text": _("报到后拿到排队号，在%(room)s外等。", room=_room(view.room)),
        },
    ]


def _room(room: str) -> str:
    return _(" %(n)s 诊室", n=room) if room.isdigit() else room or _("诊室")


@blueprint.post("/me/appointments/<ref:appointment>/reminders")
@limiter.limit("30/minute;200/hour")
@limiter.limit("6/minute;30/hour", key_func=browser)
def remind(appointment: Key) -> ResponseReturnValue:
    """Switch reminders to the patient's own phone off or on again, for whoever opened the visit with that phone's tail."""
    view = opened(appointment)
    if view is None:
        return sign_in_first()
    if not found_by_patient(appointment) or view.patient_id is None:
        raise NoSuchAppointment
    on = request.form.get("on") == "1"
    remind_own_phone(view.patient_id, on=on)
    to = mask_phone(view.patient_phone)
    if on:
        flash(_("已恢复：就诊提醒又会发到 %(to)s。", to=to), "ok")
    else:
        flash(_("已关闭：就诊提醒不再发到 %(to)s。取消、停诊和改约仍会通知。", to=to), "ok")
    return redirect(url_for("appointments.detail", appointment=view.ref, _anchor="h-remind"), code=303)


def _reminders(view: AppointmentView) -> dict[str, Any] | None:
    """Return whether the patient's own phone is reminded, for whoever opened the visit with it; None for everybody else."""
    if not found_by_patient((view.hospital_id, view.id)) or view.patient_id is None:
        return None
    return {
        "on": is_reminded(view.patient_id),
        "to": mask_phone(view.patient_phone),
        "url": url_for("appointments.remind", appointment=view.ref),
    }


@blueprint.get("/me/appointments/<ref:appointment>/calendar.ics")
def calendar(appointment: Key) -> ResponseReturnValue:
    """Send the visit as a calendar file."""
    view = opened(appointment)
    if view is None:
        return sign_in_first()
    name = f"visit-{view.visit_date.isoformat()}.ics"
    return Response(
        appointment_ics(view),
        mimetype="text/calendar",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@blueprint.get("/me/appointments/<ref:appointment>/slip")
def slip(appointment: Key) -> ResponseReturnValue:
    """Show the slip to print."""
    view = opened(appointment)
    if view is None:
        return sign_in_first()
    shown = passes.ticket(view, now(), owner=is_owner(view), qr=True)
    return render_template("web/slip.html", a=shown, back_url=shown.url)


@blueprint.route("/me/appointments/<ref:appointment>/cancel", methods=["GET", "POST"])
def cancel(appointment: Key) -> ResponseReturnValue:
    """Say what cancelling means; a POST cancels and shows the appointment as it then is."""
    view = opened(appointment)
    if view is None:
        return sign_in_first()
    if not view.can_cancel and request.method == "GET":
        return redirect(url_for("appointments.detail", appointment=view.ref), code=303)
    form = CancelForm() if request.method == "POST" else CancelForm(formdata=None)
    if request.method == "GET":
        form.request_key.data = secrets.token_hex(16)
        return _cancel_page(view, form)
    if not form.validate():
        return _cancel_page(view, form), 422
    reason = str(dict(REASONS)[form.reason.data]) if form.reason.data else ""
    key = form.request_key.data or None
    try:
        cancel_appointment(
            *appointment, actor=actor_on(appointment, owner=is_owner(view)), reason=reason, key=key
        )
    except Refusal as refusal:
        problem = {"text": refusal.text, "href": "", "more": None}
        return _cancel_page(view, form, [problem]), refusal.status
    return redirect(url_for("appointments.detail", appointment=view.ref), code=303)


def _cancel_page(
    view: AppointmentView, form: CancelForm, problems: list[dict[str, Any]] | None = None
) -> str:
    shown = passes.ticket(view, now(), owner=is_owner(view))
    return render_template(
        "web/cancel.html",
        a=shown,
        back_url=shown.url,
        form=form,
        problems=problems or [],
        late=view.cancel_is_late,
        late_text=passes.late_text(view, now()),
        undo=_regret_minutes(view) if passes.regret_label(view, now()) else 0,
    )


def _regret_minutes(view: AppointmentView) -> int:
    """How long after booking a visit may be cancelled without trace, by the policy it was sold under."""
    if view.regret_until is None or view.booked_at is None:
        return 0
    return int((view.regret_until - view.booked_at).total_seconds() // 60)
