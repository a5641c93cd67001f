"""One visit at the desk: its facts and history, cancelling it and moving it for the patient, taking a check-in back."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.appointments.cancel import cancel as cancel_appointment
from booking.appointments.checkin import undo_check_in as undo_the_check_in
from booking.appointments.desk_queries import events_of
from booking.appointments.move import move as move_appointment
from booking.appointments.move_queries import MoveSlot, slots_to_move_to
from booking.appointments.queries import AppointmentView, appointment
from booking.appointments.rules import HERE, NoSuchAppointment, SlotFull
from booking.desk import history, labels
from booking.desk.grid import read_id
from booking.desk.house import House, house
from booking.desk.session import can, hospital_id, me, staff_page
from booking.desk.visit_forms import CancelForm, MoveForm, UndoCheckInForm
from booking.errors import Refusal
from booking.notices.letters import LONGEST_IN_SHORT
from booking.notices.queries import messages_about
from booking.people.rules import mask_phone
from booking.schedule.channels import NAMES
from booking.schedule.desk_slots import DeskSlot
from booking.staff.queries import names_of
from booking.staff.rules import ROLES

blueprint = Blueprint("appointments", __name__)

STANDING = ("booked", "arrived")
MOVABLE = ("booked",)


@blueprint.get("/appointment/<uuid:appointment_id>")
@staff_page("read_appointment")
def detail(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Show one visit of this hospital with its history and its letters."""
    return _page(_view(appointment_id), CancelForm())


@blueprint.post("/appointment/<uuid:appointment_id>/cancel")
@staff_page("cancel")
def cancel(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Cancel for the patient, with the reason; the patient is told."""
    form = CancelForm()
    if not form.validate_on_submit():
        return _page(_view(appointment_id), form), 422
    try:
        cancel_appointment(
            hospital_id(), appointment_id, actor=me(), by=form.by.data, reason=form.reason.data or ""
        )
    except NoSuchAppointment:
        raise
    except Refusal as refusal:
        return _page(_view(appointment_id), form, labels.problems(refusal)), refusal.status
    flash(_("已取消，号已放回，正在通知患者。"), "ok")
    return redirect(url_for("desk.appointments.detail", appointment_id=appointment_id), code=303)


@blueprint.post("/appointment/<uuid:appointment_id>/undo-check-in")
@staff_page("undo_check_in")
def undo_check_in(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Take back a check-in that was a mistake, with the reason."""
    form = UndoCheckInForm()
    if not form.validate_on_submit():
        return _page(_view(appointment_id), CancelForm(formdata=None), undo_form=form), 422
    try:
        undo_the_check_in(hospital_id(), appointment_id, actor=me(), reason=form.why.data or "")
    except NoSuchAppointment:
        raise
    except Refusal as refusal:
        problems = labels.problems(refusal)
        return _page(_view(appointment_id), CancelForm(formdata=None), problems, form), refusal.status
    flash(_("已撤销报到，这个预约回到待报到。排队号不会再发给别人。"), "ok")
    return redirect(url_for("desk.appointments.detail", appointment_id=appointment_id), code=303)


@blueprint.route("/appointment/<uuid:appointment_id>/move", methods=["GET", "POST"])
@staff_page("move")
def move(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Offer the free times of the same doctor, then of the department; on POST move the visit to one of them."""
    form = MoveForm()
    if request.method == "GET":
        return _move_page(appointment_id, form)
    if not form.validate_on_submit():
        return _move_page(appointment_id, form), 422
    slot = read_id(form.slot.data)
    if slot is None:
        form.slot.errors = [*form.slot.errors, _("请选择新的时间")]
        return _move_page(appointment_id, form), 422
    try:
        move_appointment(
            hospital_id(),
            appointment_id,
            slot,
            actor=me(),
            by=form.by.data,
            reason=form.reason.data or "",
            override=form.override.data or "",
        )
    except NoSuchAppointment:
        raise
    except Refusal as refusal:
        may_insist = bool(refusal.facts.get("overridable")) or isinstance(refusal, SlotFull)
        page = _move_page(appointment_id, form, labels.problems(refusal), may_insist=may_insist)
        return page, refusal.status
    flash(_("已改约，正在通知患者。"), "ok")
    return redirect(url_for("desk.appointments.detail", appointment_id=appointment_id), code=303)


def _view(appointment_id: uuid.UUID) -> AppointmentView:
    found = appointment(hospital_id(), appointment_id)
    if found is None or found.patient_id is None:
        raise NoSuchAppointment()
    return found


def _page(
    a: AppointmentView,
    form: CancelForm,
    problems: list[dict[str, Any]] | None = None,
    undo_form: UndoCheckInForm | None = None,
) -> str:
    at = house()
    own: dict[str, Any] = {"appointment_id": a.id}
    standing = a.status in STANDING
    today = a.visit_date == at.today
    events = events_of(hospital_id(), [a.id])
    names = names_of(hospital_id(), {event.actor_id for event in events if event.actor_kind in ROLES})
    checked_in = a.status == "arrived" and a.queue_number is not None
    return render_template(
        "staff/appointment.html",
        a=_facts(a, at),
        back_url=url_for("desk.day.day", date=a.visit_date.isoformat(), doctor=a.doctor_id),
        own_url=url_for("desk.appointments.detail", **own),
        checkin_url=url_for("desk.day.check_in_one", **own)
        if a.status == "booked" and today and can("check_in")
        else "",
        finish_url=url_for("desk.day.finish_one", **own) if a.status in HERE and can("finish") else "",
        undo_url=url_for("desk.appointments.undo_check_in", **own)
        if checked_in and can("undo_check_in")
        else "",
        undo_form=undo_form or UndoCheckInForm(formdata=None),
        move_url=url_for("desk.appointments.move", **own) if a.status in MOVABLE and can("move") else "",
        cancel_url=url_for("desk.appointments.cancel", **own) if standing and can("cancel") else "",
        cancel_form=form,
        events=history.lines(events, names, at),
        letters=_letters(a, at),
        previews_url=url_for("desk.previews.previews", **own),
        problems=problems or [],
    )


def _facts(a: AppointmentView, at: House) -> dict[str, Any]:
    label, tone = labels.APPOINTMENT[a.status]
    phone = a.patient_phone or a.booker_phone
    who = [a.patient_name, _("女") if a.patient_sex == "f" else _("男")]
    if a.patient_age is not None:
        who.append(_("%(n)s 岁", n=a.patient_age))
    return {
        "code": a.visit_code,
        "qr": "",
        "status_label": "",
        "state_label": label,
        "tone": tone or "off",
        "when_label": wording.when_long(a.visit_date, a.starts_local, a.part),
        "doctor": a.doctor,
        "title": a.doctor_title,
        "place": "，".join(word for word in (a.campus, a.department, a.room) if word),
        "patient_label": "，".join(who),
        "name": a.patient_name,
        "id_tail": a.id_tail,
        "fee": wording.fee(a.fee_cents) if a.fee_cents else "",
        "fee_label": a.fee_name,
        "cancel_by_label": wording.moment(at.wall(a.cancel_deadline))
        if a.status == "booked" and not a.deadline_passed
        else "",
        "queue_label": _("排队号 %(n)s", n=a.queue_number) if a.queue_number else "",
        "late": a.arrived_late,
        "referral_label": _("转诊单：%(text)s", text=a.referral) if a.referral else "",
        "phone_masked": mask_phone(phone) if phone else "",
        "phone_url": f"tel:{phone}" if phone else "",
        "complaint": "",
        "cancelled": _cancelled(a, at),
    }


def _cancelled(a: AppointmentView, at: House) -> str:
    if a.status != "cancelled":
        return ""
    who = _("医院取消") if a.cancelled_by == "hospital" else _("患者取消")
    late = _("（已过按时取消时间）") if a.cancelled_late else ""
    reason = _("，原因：%(reason)s", reason=a.cancel_reason) if a.cancel_reason else ""
    return f"{at.moment(a.cancelled_at)} {who}{late}{reason}"


def _letters(a: AppointmentView, at: House) -> list[dict[str, Any]]:
    found = []
    for one in messages_about(hospital_id(), [a.id])[a.id]:
        to = {"patient": _("就诊人"), "hospital": _("医院")}.get(one.recipient, _("预约人"))
        what = _("%(kind)s·%(channel)s·%(to)s", kind=one.kind_label, channel=one.channel_label, to=to)
        if one.merged:
            what = _("%(what)s（和当天的其他预约写在同一条里）", what=what)
        found.append({"text": what, "when": at.moment(one.at), **labels.letter(one)})
    return found


# --- moving ----------------------------------------------------------------------------------------------------------


def _move_page(
    appointment_id: uuid.UUID,
    form: MoveForm,
    problems: list[dict[str, Any]] | None = None,
    *,
    may_insist: bool = False,
) -> str:
    a, at = _view(appointment_id), house()
    own, others = slots_to_move_to(hospital_id(), appointment_id, at.now)
    asks = any(slot.asks for slot in (*own, *others))
    return render_template(
        "staff/move.html",
        a=_facts(a, at),
        form=form,
        problems=problems or [],
        movable=a.status in MOVABLE,
        back_url=url_for("desk.appointments.detail", appointment_id=a.id),
        own=_by_session(own, at),
        others=_by_session(others, at),
        asks=asks,
        told=LONGEST_IN_SHORT,
        insist=may_insist or bool(form.override.data),
    )


def _by_session(slots: list[MoveSlot], at: House) -> list[dict[str, Any]]:
    groups: dict[uuid.UUID, list[MoveSlot]] = {}
    for one in slots:
        groups.setdefault(one.slot.session_id, []).append(one)
    return [_session(there[0].slot, there, at) for there in groups.values()]


def _session(first: DeskSlot, there: list[MoveSlot], at: House) -> dict[str, Any]:
    release = _("%(when)s放号", when=at.moment(first.release_at)) if first.release_at > at.now else ""
    notes = (first.campus, first.room, first.kind, wording.fee(first.fee_cents), release)
    doctor = at.doctors.get(first.doctor_id, "")
    return {
        "heading": f"{doctor}·{wording.day_long(first.local_date)}{first.part}",
        "note": "，".join(word for word in notes if word),
        "slots": [_slot(one, doctor) for one in there],
    }


def _slot(one: MoveSlot, doctor: str) -> dict[str, Any]:
    slot = one.slot
    free = [f"{NAMES[channel]} {slot.free[channel]}" for channel in NAMES if slot.free.get(channel)]
    when = wording.when_long(slot.local_date, slot.starts_local, slot.part)
    said = _("改到%(doctor)s，%(when)s，空号：%(free)s", doctor=doctor, when=when, free="，".join(free))
    return {
        "id": slot.slot_id.hex,
        "time": wording.clock(slot.starts_local),
        "free": free,
        "asks": one.asks,
        "name": _("%(said)s，要写原因", said=said) if one.asks else said,
    }
