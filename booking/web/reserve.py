"""Taking a time: hold, the confirm page, confirm, extend, release."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments import reserve as verbs
from booking.appointments.draw_rules import DrawFirst
from booking.appointments.models import Appointment
from booking.appointments.queries import AppointmentView, elsewhere
from booking.appointments.queries import appointment as appointment_of
from booking.appointments.rules import (
    HoldExpired,
    KeyReused,
    NoSuchAppointment,
    NotReleased,
    SignInFirst,
    SlotFull,
)
from booking.db import db
from booking.directory.policy import current_policy
from booking.directory.queries import doctor_slug
from booking.errors import Refusal
from booking.limits import Pace, limiter, network
from booking.people.queries import PatientView, patients_of
from booking.refs import Key, parse_ref, ref
from booking.schedule.admission import ReferralNeeded, in_words
from booking.web import cards, day_page, early, passes, short, suits
from booking.web.forms import COMPLAINT_MOST, REFERRAL_MOST, ConfirmForm, offered, one_line
from booking.web.frame import display
from booking.web.inputs import line, plain, row_id
from booking.web.picker import near
from booking.web.policy_words import rule_lines
from booking.web.session import account_id, actor, browser, holder, known_holder, me, now

blueprint = Blueprint("reserve", __name__)

Problem = dict[str, Any]

PER_NETWORK = (Pace(120, 60), Pace(1500, 3600))
PER_BROWSER = (Pace(20, 60), Pace(120, 3600))
WITHOUT_ACCOUNT = Pace(20, 600)
"""Holds of one network before sign-in; beyond that its people sign in first (R7)."""
CONFIRMS = Pace(30, 60)
NEARLY_THE_SAME = timedelta(hours=2)


@blueprint.post("/hold")
@limiter.exempt
def hold() -> ResponseReturnValue:
    """Hold the time `slot` for this browser and lead to its confirm page; a lost time shows the doctor's day again."""
    for pace, who in ((PER_NETWORK, network()), (PER_BROWSER, browser())):
        for one in pace:
            one.ensure(who)
    slot = parse_ref(line(request.form.get("slot")))
    answer = row_id(request.form.get("answer"))
    useless = short.answer(slot, answer)
    if useless is not None:
        return useless
    try:
        if account_id() is None and WITHOUT_ACCOUNT.is_over(network()):
            raise SignInFirst
        taken = verbs.hold(
            *slot, holder=holder(), actor=actor(), answer_id=answer, generous=display().mode == "elder"
        )
    except SignInFirst:
        return redirect(url_for("login.login", next=day_page.address(slot)), code=303)
    except (NotReleased, DrawFirst) as refusal:
        if isinstance(refusal, NotReleased):
            short.note(slot)
        return early.early(slot, refusal)
    except Refusal as refusal:
        if refusal.status == 404:
            raise
        if isinstance(refusal, SlotFull):
            short.note(slot)
        in_short = short.instead_of(slot, refusal, answer)
        if in_short is not None:
            return in_short
        return day_page.lost(slot, refusal, answer), refusal.status
    return redirect(url_for("reserve.book", hold=ref(taken)), code=303)


@blueprint.route("/book/<ref:hold>", methods=["GET", "POST"])
@limiter.exempt
def book(hold: Key) -> ResponseReturnValue:
    """Show what is about to be booked; a POST confirms it for the chosen patient."""
    refusal = None
    if request.method == "POST":
        CONFIRMS.ensure(browser())
        try:
            booked = _confirm(hold)
        except Refusal as said:
            refusal = said
        else:
            if booked is not None:
                return redirect(
                    url_for("appointments.detail", appointment=ref(booked), done="booked"), code=303
                )
    view = _mine(hold)
    if isinstance(refusal, KeyReused):
        raise refusal
    if view.status not in ("held", "expired"):
        return redirect(url_for("appointments.detail", appointment=view.ref), code=303)
    if me() is None:
        return redirect(url_for("login.login", next=request.full_path.rstrip("?")), code=303)
    form = _form(view)
    if request.method == "GET":
        return _page(view, form)
    if refusal is None:
        form.validate()
        return _page(view, form), 422
    if isinstance(refusal, HoldExpired):
        return _again(view, form)
    if refusal.status == 404:
        raise refusal
    if isinstance(refusal, ReferralNeeded):
        return _page(view, form, problems=[_problem(refusal, href="#referral")]), refusal.status
    return _page(view, form, problems=[_problem(refusal, more=suits.way_on(refusal, view))]), refusal.status


def _confirm(hold: Key) -> Appointment | None:
    """Confirm for what was typed; None when nobody is signed in or it has not the shape of the form, which then says why.

    Reads no page: whoever presses the button in the release minute waits for the booking, not for the page around it.
    """
    patient = row_id(request.form.get("patient"))
    complaint = plain(request.form.get("complaint"))
    referral = one_line(request.form.get("referral"))
    if account_id() is None or patient is None or len(complaint) > COMPLAINT_MOST:
        return None
    if len(referral) > REFERRAL_MOST:
        return None
    return verbs.confirm(
        *hold,
        holder=holder(),
        actor=actor(),
        patient_id=patient,
        complaint=complaint,
        referral=referral,
        remind=request.form.get("reminders", "") not in ("", "false"),
        key=line(request.form.get("request_key")) or None,
    )


@blueprint.post("/book/<ref:hold>/extend")
def extend(hold: Key) -> ResponseReturnValue:
    """Keep the time a little longer, once; a refusal is said on the confirm page."""
    try:
        verbs.extend_hold(*hold, holder=holder(), actor=actor())
    except Refusal as refusal:
        if me() is None or refusal.status == 404:
            raise
        view = _mine(hold)
        form = _form(view, formdata=False)
        return _page(view, form, problems=[_problem(refusal, href="")]), refusal.status
    return redirect(url_for("reserve.book", hold=hold), code=303)


@blueprint.post("/book/<ref:hold>/release")
def release(hold: Key) -> ResponseReturnValue:
    """Give the held time back and return to the doctor's day; a repeat changes nothing."""
    row = verbs.release_hold(*hold, holder=holder(), actor=actor())
    slug = doctor_slug(row.hospital_id, row.doctor_id)
    return redirect(cards.address(slug, row.visit_date), code=303)


def _mine(hold: Key) -> AppointmentView:
    """Return the hold when this browser's key or the signed-in account took it; anybody else's is not found."""
    me()  # the page names the account: read it whole at once
    view = appointment_of(*hold, now())
    person = account_id()
    if view is None:
        raise NoSuchAppointment
    by_browser = view.holder is not None and view.holder == known_holder()
    by_account = person is not None and person in (view.holder_account_id, view.account_id)
    if not (by_browser or by_account):
        raise NoSuchAppointment
    return view


def _people() -> list[PatientView]:
    """Return the account's patients, read once for the form and the page around it."""
    if "reserve_people" not in g:
        g.reserve_people = patients_of(account_id() or 0, now())
    return g.reserve_people


def _form(view: AppointmentView, *, formdata: bool = True) -> ConfirmForm:
    people = _people()
    form = ConfirmForm() if formdata and request.method == "POST" else ConfirmForm(formdata=None)
    known = {str(one.id): _named(one) for one in people}
    form.patient.choices = offered(known.items())
    if request.method == "GET" and people:
        asked = request.args.get("patient")
        form.patient.data = asked if asked in known else next(iter(known))
    if not form.request_key.data:
        form.request_key.data = secrets.token_hex(16)
    return form


def _named(one: PatientView) -> str:
    return _(
        "%(name)s（%(relation)s），%(age)s 岁", name=one.masked_name, relation=one.relation_name, age=one.age
    )


def _problem(refusal: Refusal, href: str = "#patient-0", more: dict[str, str] | None = None) -> Problem:
    """Return a refusal as a line of the summary; one about another appointment leads there."""
    other = refusal.facts.get("appointment_id")
    if other is not None:
        name = ref(refusal.facts["hospital_id"], other)
        more = {"text": _("看那个预约"), "url": url_for("appointments.detail", appointment=name)}
    return {"text": refusal.text, "href": href, "more": more}


def _again(view: AppointmentView, form: ConfirmForm) -> ResponseReturnValue:
    """The hold ran out: take the same time again when a place is left, keep what was typed, ask to confirm once more."""
    form.request_key.data = secrets.token_hex(16)
    try:
        slot = (view.hospital_id, view.slot_id)
        fresh = verbs.hold(
            *slot, holder=holder(), actor=actor(), answer_id=view.source_answer_id, generous=True
        )
    except Refusal as refusal:
        text = _("保留时间已到，%(why)s", why=refusal.text)
        today = clock.local(now(), view.zone).date()
        times = near(refusal.facts.get("alternatives"), today)
        problem = {"text": text, "href": "", "more": None}
        lost = refusal.status in (409, 410)
        return _page(view, form, problems=[problem], near=times, lost=lost), 409
    again = appointment_of(fresh.hospital_id, fresh.id) or view
    text = _("保留时间已到，这个时间还有号，已重新为你保留，点确认可继续。")
    return _page(again, form, problems=[{"text": text, "href": "", "more": None}]), 409


def _elsewhere(view: AppointmentView) -> str:
    """Warn of a visit of this account at another hospital at nearly the same time; within one hospital the rules decide."""
    other = elsewhere(account_id() or 0, view.hospital_id, view.starts_at, NEARLY_THE_SAME)
    if other is None:
        return ""
    return _(
        "你在 %(when)s 还有%(where)s的预约，两边时间很近，请确认来得及。",
        when=wording.when_long(other.visit_date, other.starts_local, other.part),
        where=other.hospital,
    )


def _page(
    view: AppointmentView,
    form: ConfirmForm,
    *,
    problems: list[Problem] | None = None,
    near: Any = None,
    lost: bool = False,
) -> str:
    expired = view.held_until is None or view.held_until <= now() or view.status != "held"
    policy = current_policy(db.session(), view.hospital_id)
    people = _people()
    person = me()
    here = url_for("reserve.book", hold=view.ref)
    return render_template(
        "web/confirm.html",
        hold={
            "id": view.ref,
            "until": wording.clock(clock.local(view.held_until, view.zone)) if view.held_until else "",
            "left": max(0, int((view.held_until - now()).total_seconds())) if view.held_until else 0,
            "extend_url": url_for("reserve.extend", hold=view.ref)
            if view.may_extend and not expired
            else None,
            "minutes": policy.hold_minutes,
            "expired": expired,
            "back_url": cards.address(view.doctor_slug, view.visit_date),
        },
        doctor=passes.doctor_line(view),
        ticket=passes.summary(view, now()),
        form=form,
        action=here,
        release_url=url_for("reserve.release", hold=view.ref) if not expired else "",
        patient_notes=suits.notes(view, people, policy),
        warnings=[
            text
            for text in suits.warnings(view, people, policy)
            if text not in [problem["text"] for problem in problems or []]
        ],
        admits=in_words(view.admits),
        needs_referral=bool((view.admits or {}).get("referral")),
        no_patients=not people,
        add_patient_url=url_for("patients.add", next=here),
        phone_text=person.phone_masked if person else "",
        rules=rule_lines(policy),
        regret_minutes=policy.regret_minutes,
        problems=problems or [],
        near=near or [],
        moving=None,
        other_hospital_warning=_elsewhere(view),
        submit_label="",
        lost=lost,
    )
