"""Finding an appointment by visit code and phone tail, without signing in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.appointments.queries import appointment as appointment_of
from booking.appointments.queries import find as find_appointment
from booking.limits import limiter
from booking.people.rules import phone_tail, plain_digits
from booking.refs import Key
from booking.web.forms import FindForm
from booking.web.session import browser, open_found

blueprint = Blueprint("find", __name__)


@blueprint.route("/find", methods=["GET", "POST"])
@limiter.limit("20/minute;120/hour", methods=["POST"])
@limiter.limit("6/minute;30/hour", methods=["POST"], key_func=browser)
def find() -> ResponseReturnValue:
    """Ask for both; a POST opens the appointment for half an hour. Every mismatch gets the same words."""
    form = FindForm()
    if request.method == "GET":
        return _page(form)
    if not form.validate():
        return _page(form), 422
    found = find_appointment(form.code.data or "", form.tail.data or "")
    if found is None:
        sentence = _("没有找到。请核对 8 位预约码和手机号后四位")
        return _page(form, [{"text": sentence, "href": "#code", "more": None}]), 422
    open_found(found, own=_is_patients_own(found, form.tail.data or ""))
    return redirect(url_for("appointments.detail", appointment=found), code=303)


def _is_patients_own(found: Key, tail: str) -> bool:
    """Whether the tail is that of the patient's own phone and not the booker's: then it is the patient who looks."""
    view = appointment_of(*found)
    if view is None or not view.patient_phone or view.patient_phone == view.booker_phone:
        return False
    tails = [phone_tail(phone) for phone in (view.patient_phone, view.booker_phone) if phone]
    return tails[0] == plain_digits(tail) and tails.count(tails[0]) == 1


def _page(form: FindForm, problems: list[dict[str, Any]] | None = None) -> str:
    return render_template("web/find.html", form=form, problems=problems or [])
