"""Joining the waiting list (候补) from a full session."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.rules import KeyReused
from booking.appointments.wish_choices import Offered, what_to_offer
from booking.appointments.wish_lines import line_of_session
from booking.appointments.wish_rules import NotFull
from booking.appointments.wishes import ensure_full
from booking.appointments.wishes import join as join_list
from booking.db import db
from booking.directory.policy import current_policy
from booking.errors import NotFound, Refusal
from booking.limits import limiter
from booking.people.queries import PatientView, patients_of
from booking.refs import Key, ref
from booking.schedule.admission import Admits, in_words
from booking.schedule.sellable import SELLING
from booking.web import cards, suits
from booking.web.forms import WishForm, offered, put_errors
from booking.web.inputs import day
from booking.web.policy_words import waiting_lines
from booking.web.session import account_id, actor, browser, now, signed_in

blueprint = Blueprint("waiting", __name__)

AHEAD = timedelta(days=30)
Problem = dict[str, Any]


@dataclass(frozen=True)
class _Visit:
    """The session as `suits` asks of it whom it is for."""

    hospital_id: int
    hospital_slug: str
    zone: str
    visit_date: date
    admits: Admits | None


@blueprint.route("/wait/<ref:clinic>", methods=["GET", "POST"])
@signed_in
@limiter.limit("20/minute", methods=["POST"], key_func=browser)
def join(clinic: Key) -> ResponseReturnValue:
    """Show what to wait for, beginning with a full session; a POST joins and leads to the place in line."""
    offer = what_to_offer(*clinic, clock.local(now(), "Asia/Shanghai").date() + AHEAD)
    if offer is None or offer.clinic.status == "draft":
        raise NotFound(_("没有找到这个班次，请回到医生页面重新选择。"))
    if request.method == "GET" and (offer.clinic.status not in SELLING or offer.clinic.ends_at <= now()):
        return redirect(_doctor_page(offer), code=303)  # the doctor's page says what became of it
    people = patients_of(account_id() or 0, now())
    form = WishForm() if request.method == "POST" else WishForm(formdata=None)
    _fill_choices(form, offer, people)
    if request.method == "GET":
        _start(form, offer, people)
        return _join_page(clinic, offer, form, people)
    if not form.validate():
        return _join_page(clinic, offer, form, people), 422
    own = [offer.department.id] if form.department.data else []
    try:
        made = join_list(
            *clinic,
            actor=actor(),
            patient_ids=[int(one) for one in form.patients.data or ()],
            first_date=day(form.first.data),
            last_date=day(form.last.data),
            doctor_ids=[] if own else _ids(form.doctors.data),
            department_ids=[*own, *_ids(form.departments.data)],
            part_ids=_ids(form.parts.data),
            campus_ids=_ids(form.campuses.data),
            kind_ids=_ids(form.kinds.data),
            key=form.request_key.data or None,
        )
    except Refusal as refusal:
        if refusal.status == 404:
            raise
        if isinstance(refusal, KeyReused):
            form.request_key.data = secrets.token_hex(16)  # what is shown now is another request
        problems = put_errors(form, refusal)
        for one in problems:
            one["more"] = _way_on(refusal, offer)
        return _join_page(clinic, offer, form, people, problems), refusal.status
    return redirect(url_for("wishes.wish", wish=ref(made), joined=1), code=303)


def _ids(values: Iterable[str] | None) -> list[uuid.UUID]:
    return [uuid.UUID(one) for one in values or ()]


def _way_on(refusal: Refusal, offer: Offered) -> dict[str, str] | None:
    """Return the link that helps after a refusal: the wish there is, the visit there is, or the doctor's page."""
    facts, hospital_id = refusal.facts, offer.hospital.id
    if "wish_id" in facts:
        return {"text": _("看我的候补"), "url": url_for("wishes.list_wishes")}
    if "appointment_id" in facts:
        name = ref(hospital_id, facts["appointment_id"])
        return {"text": _("看那个预约"), "url": url_for("appointments.detail", appointment=name)}
    way = suits.way_on(refusal, _visit(offer))
    if way is not None:
        return way
    return {"text": _("看这位医生的时间"), "url": _doctor_page(offer)} if refusal.status != 422 else None


def _visit(offer: Offered) -> _Visit:
    row = offer.clinic
    return _Visit(row.hospital_id, offer.hospital.slug, row.zone, row.local_date, row.admits)


def _doctor_page(offer: Offered) -> str:
    return cards.address(offer.doctor.slug, offer.clinic.local_date)


def _fill_choices(form: WishForm, offer: Offered, people: list[PatientView]) -> None:
    names = ((str(one.id), f"{one.masked_name}（{one.relation_name}）") for one in people)
    form.patients.choices = offered(names)
    days = [(one.isoformat(), wording.day_long(one)) for one in offer.dates]
    form.first.choices = form.last.choices = offered(days)
    for field, pairs in (
        (form.doctors, offer.doctors),
        (form.departments, offer.departments),
        (form.parts, offer.parts),
        (form.campuses, offer.campuses),
        (form.kinds, offer.kinds),
    ):
        field.choices = offered((one.hex, words) for one, words in pairs)
    form.department.label.text = _("%(dept)s的医生都可以", dept=offer.department.name)


def _start(form: WishForm, offer: Offered, people: list[PatientView]) -> None:
    """What stands in the form at first: this doctor, day, part of day, campus and kind; the only patient."""
    form.request_key.data = secrets.token_hex(16)
    form.patients.data = [str(one.id) for one in people] if len(people) == 1 else []
    form.first.data = form.last.data = offer.clinic.local_date.isoformat()
    form.doctors.data = [offer.doctor.id.hex]
    form.parts.data = [offer.clinic.day_part_id.hex]
    form.campuses.data = [offer.practice.campus_id.hex]
    form.kinds.data = [offer.clinic.clinic_kind_id.hex]


def _join_page(
    clinic: Key,
    offer: Offered,
    form: WishForm,
    people: list[PatientView],
    problems: list[Problem] | None = None,
) -> str:
    row, here = offer.clinic, url_for("waiting.join", clinic=clinic)
    policy = current_policy(db.session(), row.hospital_id)
    wide = request.method == "POST"
    return render_template(
        "web/wait.html",
        back_url=_doctor_page(offer),
        what=_session_words(offer),
        not_full=_not_full(offer),
        ahead=line_of_session(db.session(), *clinic),
        form=form,
        action=here,
        problems=problems or [],
        admits=in_words(row.admits),
        patient_notes=suits.notes(_visit(offer), people, policy),
        no_patients=not people,
        add_patient_url=url_for("patients.add", next=here),
        several_campuses=len(offer.campuses) > 1,
        several_doctors=len(offer.doctors) > 1,
        several_kinds=len(offer.kinds) > 1,
        other_departments=bool(offer.departments),
        rules=waiting_lines(policy),
        wide=wide,
    )


def _not_full(offer: Offered) -> str:
    """Return why nobody needs to wait for this session, "" when it is full."""
    try:
        ensure_full(db.session(), offer.clinic, now())
    except NotFull as refusal:
        return refusal.text
    return ""


def _session_words(offer: Offered) -> dict[str, Any]:
    row = offer.clinic
    hours = f"{wording.clock(row.starts_local)}–{wording.clock(row.ends_local)}"
    return {
        "doctor": {
            "name": offer.doctor.name,
            "title": offer.doctor.title,
            "surname": cards.surname(offer.doctor.name),
            "hospital": offer.hospital.name,
            "department": offer.department.name,
            "url": _doctor_page(offer),
        },
        "when_label": f"{wording.day_long(row.local_date)} {offer.part.name} {hours}",
    }
