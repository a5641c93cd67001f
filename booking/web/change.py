"""Moving an appointment: choose another time with the same picker, confirm old → new, one transaction."""

from __future__ import annotations

import secrets
from datetime import date
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.facts import SlotFacts, slot_facts
from booking.appointments.move import move as move_appointment
from booking.appointments.queries import AppointmentView
from booking.appointments.rules import NoSuchAppointment, SlotFull
from booking.db import db
from booking.directory.policy import cancel_deadline, current_policy
from booking.directory.queries import doctor
from booking.errors import NotFound, Refusal
from booking.refs import Key, parse_ref, ref
from booking.schedule.admission import in_words
from booking.web import cards, day_page, passes, picker
from booking.web.appointments import is_owner, opened, sign_in_first
from booking.web.forms import MoveForm
from booking.web.inputs import day, line
from booking.web.policy_words import rule_lines
from booking.web.session import actor, me, now

blueprint = Blueprint("change", __name__)


def _own(appointment: Key) -> AppointmentView | None:
    """Return the account's own appointment; a visit code alone may not move it. None to sign in first.

    Somebody else's is not found, also when its code was given here: signing in again would lead back for ever.
    """
    view = opened(appointment)
    if view is None or is_owner(view):
        return view
    if me():
        raise NoSuchAppointment
    return None


@blueprint.get("/me/appointments/<ref:appointment>/change")
def choose(appointment: Key) -> ResponseReturnValue:
    """Show the doctor's times; while choosing, the old time stays."""
    view = _own(appointment)
    if view is None:
        return sign_in_first()
    if not view.can_move:
        return redirect(url_for("appointments.detail", appointment=view.ref), code=303)
    chosen = day_page.Chosen(day(request.args.get("date")), line(request.args.get("site")))
    return _picker(view, chosen)


@blueprint.post("/me/appointments/<ref:appointment>/change")
def pick(appointment: Key) -> ResponseReturnValue:
    """Lead from the tapped time to the page that confirms old → new; nothing is changed yet."""
    slot = parse_ref(line(request.form.get("slot")))
    return redirect(url_for("change.move", appointment=appointment, slot=slot), code=303)


@blueprint.route("/me/appointments/<ref:appointment>/change/<ref:slot>", methods=["GET", "POST"])
def move(appointment: Key, slot: Key) -> ResponseReturnValue:
    """Show old and new time; a POST moves. A lost time shows the picker again with the nearest ones."""
    view = _own(appointment)
    if view is None:
        return sign_in_first()
    if slot[0] != appointment[0]:
        raise NotFound(_("改约只能在同一家医院内，请取消后重新预约。"))
    facts = slot_facts(db.session(), *slot)
    form = MoveForm() if request.method == "POST" else MoveForm(formdata=None)
    if request.method == "GET":
        form.request_key.data = secrets.token_hex(16)
        return _confirm_page(view, facts, form)
    try:
        move_appointment(*appointment, slot[1], actor=actor(), key=form.request_key.data or None)
    except SlotFull as refusal:
        box = day_page.taken_box(facts, refusal)
        chosen = day_page.Chosen(refusal.facts.get("local_date"))
        return _picker(view, chosen, taken=box), refusal.status
    except Refusal as refusal:
        if isinstance(refusal, NoSuchAppointment):
            raise
        problem = {"text": refusal.text, "href": "", "more": None}
        return _confirm_page(view, slot_facts(db.session(), *slot), form, [problem]), refusal.status
    return redirect(url_for("appointments.detail", appointment=view.ref, done="moved"), code=303)


def _picker(view: AppointmentView, chosen: day_page.Chosen, taken: picker.Taken | None = None) -> str:
    row = doctor(view.doctor_slug)
    if row is None:
        raise NotFound(_("这位医生已不在这里出诊，请取消后重新预约。"))

    def address(at: date | None, site: str) -> str:
        return url_for(
            "change.choose",
            appointment=view.ref,
            date=at.isoformat() if at else None,
            site=site or None,
            _anchor="h-day" if at else None,
        )

    shown = passes.ticket(view, now(), owner=True)
    return render_template(
        "web/change.html",
        a=shown,
        back_url=shown.url,
        action=url_for("change.pick", appointment=view.ref),
        doctor=cards.card(row, None),
        **day_page.picker_values(row, chosen, address),
        taken=taken,
        problems=[],
    )


def _confirm_page(
    view: AppointmentView, facts: SlotFacts, form: MoveForm, problems: list[dict[str, Any]] | None = None
) -> str:
    sold = facts.sold()
    policy = current_policy(db.session(), view.hospital_id)
    deadline = cancel_deadline(policy, facts.clinic.local_date, facts.clinic.zone)
    by = wording.moment(clock.local(deadline, facts.clinic.zone)) if deadline > now() else ""
    back = url_for(
        "change.choose", appointment=view.ref, date=facts.clinic.local_date.isoformat(), _anchor="h-day"
    )
    return render_template(
        "web/confirm.html",
        hold={"id": "", "until": "", "left": 0, "extend_url": None, "expired": False, "back_url": back},
        doctor={
            "name": sold["doctor"],
            "title": sold["title"],
            "surname": cards.surname(sold["doctor"]),
            "hospital": sold["hospital"],
            "department": sold["department"],
            "url": cards.address(facts.doctor.slug),
        },
        ticket={
            "when_label": wording.when_long(facts.clinic.local_date, facts.slot.starts_local, sold["part"]),
            "place": " ".join(one for one in (sold["hospital"], sold["campus"], sold["room"]) if one),
            "meta_line": sold["kind"],
            "fee_label": sold["fee_name"],
            "fee": wording.fee(sold["fee_cents"]) if sold["fee_cents"] else "",
            "cancel_by_label": _("%(when)s 前按时取消，不记爽约", when=by) if by else "",
        },
        form=form,
        action=url_for("change.move", appointment=view.ref, slot=ref(facts.slot)),
        release_url="",
        patient_notes={},
        warnings=[],
        admits=in_words(sold.get("admits")),
        needs_referral=False,
        no_patients=False,
        add_patient_url="",
        phone_text="",
        rules=rule_lines(policy),
        regret_minutes=policy.regret_minutes,
        problems=problems or [],
        near=[],
        moving={"from_label": passes.ticket(view, now(), owner=True).when_label},
        other_hospital_warning="",
        submit_label="",
        lost=False,
    )
