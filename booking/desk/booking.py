"""Book for a patient who calls or stands at the counter: session, slot, patient, confirm, slip; and 加号."""

from __future__ import annotations

import secrets
import uuid
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.appointments.at_desk import book_at_desk
from booking.appointments.desk_patients import find_patients, patient_here, register_patient
from booking.appointments.extra import add_extra
from booking.appointments.facts import SlotFacts, slot_facts
from booking.appointments.queries import appointment
from booking.appointments.rules import KeyReused, NoSuchAppointment, SlotFull
from booking.db import db
from booking.desk import labels
from booking.desk.booking_forms import BookForm, ExtraForm, NewPatientForm
from booking.desk.forms import narrow, offered, plain, read_date
from booking.desk.grid import read_id
from booking.desk.house import House, house
from booking.desk.session import can, hospital_id, me, staff_page
from booking.errors import NotFound, Refusal
from booking.people.models import Patient
from booking.people.rules import age, mask_phone
from booking.people.service import PatientKnown
from booking.schedule.channels import KEPT, NAMES
from booking.schedule.desk_queries import Unit, session_detail, units
from booking.schedule.desk_slots import SlotFree, free_by_channel

blueprint = Blueprint("booking", __name__)

DAYS = 7


@blueprint.get("/book")
@staff_page("book_at_desk")
def sessions() -> ResponseReturnValue:
    """List the sessions of the coming days that a patient could still be booked into."""
    at = house()
    first = max(read_date(request.args.get("date")) or at.today, at.today)
    dept = read_id(request.args.get("dept"))
    dept = dept if dept in at.departments else None
    found = [
        unit
        for unit in units(
            hospital_id(),
            first,
            first + timedelta(days=DAYS - 1),
            department_id=dept,
            statuses=("published", "running"),
        )
        if unit.local_date > at.today or unit.ends_local > at.clock
    ]
    days = [first + timedelta(days=step) for step in range(DAYS)]
    options = [("", _("全部科室")), *((str(key), name) for key, name in at.departments.items())]
    step: dict[str, Any] = {"dept": dept} if dept else {}
    return render_template(
        "staff/book_sessions.html",
        filters=[
            {"id": "f-dept", "name": "dept", "label": _("科室"), "options": options, "value": dept or ""}
        ],
        hidden={"date": first.isoformat()},
        title=_("%(first)s起 7 天", first=wording.day_short(first)),
        prev_url=url_for("desk.booking.sessions", date=(first - timedelta(days=DAYS)).isoformat(), **step)
        if first > at.today
        else "",
        today_url=url_for("desk.booking.sessions", **step),
        next_url=url_for("desk.booking.sessions", date=(first + timedelta(days=DAYS)).isoformat(), **step),
        is_first=first == at.today,
        days=[
            {
                "label": wording.day_long(day),
                "rows": [_unit(one, at) for one in found if one.local_date == day],
            }
            for day in days
            if any(one.local_date == day for one in found)
        ],
    )


@blueprint.get("/sessions/<uuid:session_id>/book")
@staff_page("book_at_desk")
def slots(session_id: uuid.UUID) -> ResponseReturnValue:
    """Show the times of a session with their free numbers by channel; each is a link to the next step."""
    at, detail = house(), session_detail(hospital_id(), session_id)
    row = detail.session
    lines = free_by_channel(hospital_id(), session_id, at.now)
    shown = [name for name in ("web", *KEPT) if name == "web" or row.channels.get(name)]
    rolls = (
        wording.moment_near(at.wall(row.rolls_at), at.today) if row.rolls_at and row.rolls_at > at.now else ""
    )
    return render_template(
        "staff/book_slots.html",
        back_url=url_for("desk.booking.sessions", date=row.local_date.isoformat()),
        heading=f"{detail.practice.doctor}·{wording.weekday(row.local_date)}{detail.part}",
        notes=[wording.day_long(row.local_date), detail.practice.department, row.room, detail.kind],
        channels=[_channel(name) for name in shown],
        released="" if row.release_at <= at.now else at.moment(row.release_at),
        rolls=rolls if len(shown) > 1 else "",
        open=row.status in ("published", "running"),
        rows=[_line(line, shown, at) for line in lines],
    )


@blueprint.route("/slots/<uuid:slot_id>/book", methods=["GET", "POST"])
@staff_page("book_at_desk")
def patient(slot_id: uuid.UUID) -> ResponseReturnValue:
    """Look for the patient by ID number, telephone or name; or enter a new one.

    What is typed is posted, so that no full number stands in an address, a browser's history or a log.
    """
    at, facts = house(), _facts(slot_id)
    typed = plain(request.form.get("q"))[:60]
    found = find_patients(hospital_id(), typed, at.today) if typed else []
    return render_template(
        "staff/book_patient.html",
        s=_shown(facts),
        typed=typed,
        found=[
            {
                "url": url_for("desk.booking.book", slot_id=slot_id, patient_id=one.id),
                "name": one.masked_name,
                "facts": [
                    _("女") if one.sex == "f" else _("男"),
                    _("%(n)s 岁", n=one.age),
                    *([_("证件尾号 %(tail)s", tail=one.id_tail)] if one.id_tail else []),
                    *([_("手机尾号 %(tail)s", tail=one.phone_tail)] if one.phone_tail else []),
                ],
            }
            for one in found
        ],
        new_url=url_for("desk.booking.new_patient", slot_id=slot_id),
    )


@blueprint.route("/slots/<uuid:slot_id>/patient", methods=["GET", "POST"])
@staff_page("register_patient")
def new_patient(slot_id: uuid.UUID) -> ResponseReturnValue:
    """Enter a new patient with the consents given aloud or on paper, and go on to the last page."""
    form, facts = NewPatientForm(), _facts(slot_id)
    if request.method == "GET":
        return _new_page(form, facts)
    if not form.validate_on_submit():
        return _new_page(form, facts), 422
    given: dict[str, Any] = {
        name: field.data or "" for name, field in form._fields.items() if name != "csrf_token"
    }
    given |= {name: bool(given[name]) for name in given if name.startswith("consent") or name == "id_seen"}
    given["birth_date"] = form.birth_date.data
    try:
        made = register_patient(hospital_id(), actor=me(), **given)
    except PatientKnown as refusal:
        there = url_for("desk.booking.book", slot_id=slot_id, patient_id=refusal.facts["patient_id"])
        problem = {"text": refusal.text, "href": "", "more": {"text": _("用这位患者"), "url": there}}
        return _new_page(form, _facts(slot_id), [problem]), refusal.status
    except Refusal as refusal:
        found = labels.problems(refusal, form)
        return _new_page(form, _facts(slot_id), found if refusal.facts.get("errors") is None else []), 422
    flash(_("已登记。请核对时间和患者，再确认预约。"), "ok")
    return redirect(url_for("desk.booking.book", slot_id=slot_id, patient_id=made.id), code=303)


@blueprint.route("/slots/<uuid:slot_id>/book/<number:patient_id>", methods=["GET", "POST"])
@staff_page("book_at_desk")
def book(slot_id: uuid.UUID, patient_id: int) -> ResponseReturnValue:
    """Say once more what and for whom; a POST books, and shows the code to read aloud."""
    form = BookForm()
    if request.method == "GET":
        form.key.data = secrets.token_hex(16)
        return _book_page(slot_id, patient_id, form)
    if not form.validate_on_submit():
        return _book_page(slot_id, patient_id, form), 422
    try:
        row = book_at_desk(
            hospital_id(),
            slot_id,
            actor=me(),
            patient_id=patient_id,
            via=form.via.data,
            referral=form.referral.data or "",
            override=form.override.data or "",
            complaint=form.complaint.data or "",
            key=form.key.data or None,
        )
    except NotFound:
        raise
    except Refusal as refusal:
        if isinstance(refusal, KeyReused):
            form.key.data = secrets.token_hex(16)  # what is shown now is another request
        may_insist = bool(refusal.facts.get("overridable")) or isinstance(refusal, SlotFull)
        page = _book_page(slot_id, patient_id, form, labels.problems(refusal, form), may_insist=may_insist)
        return page, refusal.status
    return redirect(url_for("desk.booking.done", appointment_id=row.id), code=303)


@blueprint.route("/slots/<uuid:slot_id>/extra/<number:patient_id>", methods=["GET", "POST"])
@staff_page("add_extra")
def extra(slot_id: uuid.UUID, patient_id: int) -> ResponseReturnValue:
    """Add a number for one patient (加号): who answers for it, and why."""
    form, facts = ExtraForm(), _facts(slot_id)
    form.owner.choices = offered(
        [
            ("doctor", _("%(name)s医生本人", name=facts.doctor.name)),
            ("staff", _("我（%(name)s）", name=me().name)),
        ]
    )
    if request.method == "GET":
        form.key.data = secrets.token_hex(16)
        return _extra_page(facts, patient_id, form)
    if not form.validate_on_submit():
        return _extra_page(facts, patient_id, form), 422
    try:
        row = add_extra(
            hospital_id(),
            slot_id,
            actor=me(),
            patient_id=patient_id,
            owner=form.owner.data,
            reason=form.reason.data or "",
            via=form.via.data,
            override=form.override.data or "",
            key=form.key.data or None,
        )
    except NotFound:
        raise
    except Refusal as refusal:
        if isinstance(refusal, KeyReused):
            form.key.data = secrets.token_hex(16)  # what is shown now is another request
        may_insist = bool(refusal.facts.get("overridable"))
        found = labels.problems(refusal, form)
        return _extra_page(_facts(slot_id), patient_id, form, found, may_insist=may_insist), refusal.status
    return redirect(url_for("desk.booking.done", appointment_id=row.id), code=303)


@blueprint.get("/appointment/<uuid:appointment_id>/done")
@staff_page("read_appointment")
def done(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Show the visit code in large digits to read aloud, and the slip to print."""
    found = appointment(hospital_id(), appointment_id)
    if found is None or found.patient_id is None:
        raise NoSuchAppointment()
    at = house()
    phone = found.patient_phone or found.booker_phone
    standing = found.status == "booked"
    sex = _("女") if found.patient_sex == "f" else _("男")
    return render_template(
        "staff/book_done.html",
        a={
            "hospital": found.hospital,
            "code": found.visit_code,
            "when_label": wording.when_long(found.visit_date, found.starts_local, found.part),
            "time_range": f"{wording.clock(found.starts_local)}–{wording.clock(found.ends_local)}",
            "doctor": found.doctor,
            "title": found.doctor_title,
            "place": "，".join(word for word in (found.campus, found.department, found.room) if word),
            "desk": found.desk,
            "patient_label": f"{found.patient_masked}，{sex}",
            "fee": wording.fee(found.fee_cents) if found.fee_cents else "",
            "fee_label": found.fee_name,
            "cancel_by_label": wording.moment(at.wall(found.cancel_deadline))
            if standing and not found.deadline_passed
            else "",
            "state_label": "" if standing else labels.APPOINTMENT[found.status][0],
            "phone": found.hospital_phone,
            "told": mask_phone(phone) if phone else "",
            "extra": found.kind == "extra",
            "standing": standing,
            "printed_at": wording.moment(at.wall(at.now)),
        },
        detail_url=url_for("desk.appointments.detail", appointment_id=appointment_id),
        again_url=url_for("desk.booking.slots", session_id=found.session_id),
    )


# --- what the pages show ---------------------------------------------------------------------------------------------


def _facts(slot_id: uuid.UUID) -> SlotFacts:
    return slot_facts(db.session(), hospital_id(), slot_id)


def _channel(name: str) -> dict[str, str]:
    return {"name": name, "label": NAMES[name]}


def _unit(unit: Unit, at: House) -> dict[str, Any]:
    left = max(0, unit.capacity - unit.taken)
    return {
        "url": url_for("desk.booking.slots", session_id=unit.id),
        "doctor": at.doctors.get(unit.doctor_id, ""),
        "department": next((one.department for one in at.practices if one.id == unit.practice_id), ""),
        "part": unit.part,
        "hours": f"{wording.clock(unit.starts_local)}–{wording.clock(unit.ends_local)}",
        "place": "·".join(word for word in (unit.campus if len(at.campuses) > 1 else "", unit.room) if word),
        "left": left,
    }


def _line(line: SlotFree, shown: list[str], at: House) -> dict[str, Any]:
    past = line.ends_at <= at.now
    time = f"{wording.clock(line.starts_local)}–{wording.clock(line.ends_local)}"
    said = "，".join(f"{NAMES[name]} {line.free[name]}" for name in shown if line.free.get(name))
    return {
        "time": time,
        "free": [line.free.get(name, 0) for name in shown],
        "taken": line.taken,
        "extra": line.extra,
        "left": line.left,
        "past": past,
        "url": "" if past else url_for("desk.booking.patient", slot_id=line.id),
        "name": _("%(time)s，%(free)s，选这个时间", time=time, free=said or _("没有空号，只能加号")),
    }


def _shown(facts: SlotFacts) -> dict[str, Any]:
    day, at = facts.clinic.local_date, facts.slot.starts_local
    return {
        "when": wording.when_long(day, at, facts.part.name),
        "doctor": f"{facts.doctor.name} {facts.doctor.title}",
        "place": "，".join(
            word for word in (facts.campus.name, facts.department.name, facts.clinic.room) if word
        ),
        "fee": f"{facts.kind.fee_name} {wording.fee(facts.clinic.fee_cents)}"
        if facts.clinic.fee_cents
        else "",
        "back_url": url_for("desk.booking.slots", session_id=facts.clinic.id),
    }


def _who(slot_id: uuid.UUID, patient_id: int) -> dict[str, Any]:
    found: Patient | None = patient_here(hospital_id(), patient_id)
    if found is None:
        raise NotFound(_("没有找到这位患者。"))
    years = _("%(n)s 岁", n=age(date.fromisoformat(found.birth_date), house().today))
    sex = _("女") if found.sex == "f" else _("男")
    return {
        "name": "，".join([found.name, sex, years]),
        "id_tail": (found.id_number or "")[-4:],
        "phone": mask_phone(found.phone) if found.phone else "",
        "other_url": url_for("desk.booking.patient", slot_id=slot_id),
    }


def _new_page(form: NewPatientForm, facts: SlotFacts, problems: list[dict[str, Any]] | None = None) -> str:
    return render_template(
        "staff/book_new_patient.html",
        s=_shown(facts),
        form=form,
        problems=problems or [],
        back_url=url_for("desk.booking.patient", slot_id=facts.slot.id),
    )


def _book_page(
    slot_id: uuid.UUID,
    patient_id: int,
    form: BookForm,
    problems: list[dict[str, Any]] | None = None,
    *,
    may_insist: bool = False,
) -> str:
    facts, at = _facts(slot_id), house()
    lines = free_by_channel(hospital_id(), facts.clinic.id, at.now)
    here = next((line for line in lines if line.id == slot_id), None)
    return render_template(
        "staff/book_confirm.html",
        s=_shown(facts),
        p=_who(slot_id, patient_id),
        form=form,
        problems=problems or [],
        insist=may_insist or bool(narrow(form.override.data)),
        free="、".join(f"{NAMES[name]} {count}" for name, count in (here.free if here else {}).items()),
        extra_url=url_for("desk.booking.extra", slot_id=slot_id, patient_id=patient_id)
        if can("add_extra")
        else "",
    )


def _extra_page(
    facts: SlotFacts,
    patient_id: int,
    form: ExtraForm,
    problems: list[dict[str, Any]] | None = None,
    *,
    may_insist: bool = False,
) -> str:
    return render_template(
        "staff/book_extra.html",
        s=_shown(facts),
        p=_who(facts.slot.id, patient_id),
        form=form,
        problems=problems or [],
        insist=may_insist or bool(narrow(form.override.data)),
        back_url=url_for("desk.booking.book", slot_id=facts.slot.id, patient_id=patient_id),
    )
