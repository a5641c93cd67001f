"""The account's patients (就诊人): list, add, change, remove; back to the waiting hold afterwards."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.errors import NotFound, Refusal
from booking.people.models import PATIENTS_PER_ACCOUNT
from booking.people.queries import PatientView, patients_of
from booking.people.rules import check_birth_date
from booking.people.service import add_patient, change_patient, remove_patient, today_at_home
from booking.web import held
from booking.web.forms import BIRTH, PatientForm, put_errors
from booking.web.inputs import local_path
from booking.web.session import account_id, signed_in

blueprint = Blueprint("patients", __name__)


def _next() -> str:
    return local_path(request.values.get("next"), "")


def _account() -> int:
    return account_id() or 0


def _mine(patient: int) -> PatientView:
    found = next((one for one in patients_of(_account()) if one.id == patient), None)
    if found is None:
        raise NotFound(_("没有找到这位就诊人。"))
    return found


@blueprint.get("/me/patients")
@signed_in
def list_patients() -> ResponseReturnValue:
    """Show whom this account books for, names masked."""
    rows = [
        {
            "id": one.id,
            "name_masked": one.masked_name,
            "relation": one.relation_name,
            "age_label": _("%(n)s 岁", n=one.age),
            "id_tail": one.id_tail,
            "is_default": one.is_last,
            "url": url_for("patients.change", patient=one.id, next=_next() or None),
            "phone_masked": one.phone_masked,
        }
        for one in patients_of(_account())
    ]
    waiting = held.waiting()
    return render_template(
        "web/patients.html",
        patients=rows,
        limit=PATIENTS_PER_ACCOUNT,
        full=len(rows) >= PATIENTS_PER_ACCOUNT,
        add_url=url_for("patients.add", next=_next() or None),
        back_url=_next() or (waiting.url if waiting else ""),
    )


@blueprint.route("/me/patients/new", methods=["GET", "POST"])
@signed_in
def add() -> ResponseReturnValue:
    """Show the empty form; a POST adds the patient and leads back to the hold that waits."""
    form = PatientForm()
    if request.method == "GET":
        return _page(form, None)
    form.validate()
    try:
        added = add_patient(_account(), **_values(form))
    except Refusal as refusal:
        return _page(form, None, _explained(form, refusal)), refusal.status
    return redirect(_with_choice(_next(), added.id) or url_for("patients.list_patients"), code=303)


@blueprint.route("/me/patients/<number:patient>", methods=["GET", "POST"])
@signed_in
def change(patient: int) -> ResponseReturnValue:
    """Show what is stored; a POST changes it. The stored ID number is not shown: leaving the field empty keeps it."""
    kept = _mine(patient)
    form = PatientForm() if request.method == "POST" else PatientForm(formdata=None, **_stored(kept))
    if request.method == "GET":
        return _page(form, kept)
    form.validate()
    given = _values(form)
    if not given["id_number"] and given["id_type"] == kept.id_type:
        given["id_number"] = kept.id_number
    try:
        change_patient(_account(), patient, **given)
    except Refusal as refusal:
        return _page(form, kept, _explained(form, refusal)), refusal.status
    flash(_("已保存。"), "ok")
    return redirect(_next() or url_for("patients.list_patients"), code=303)


@blueprint.post("/me/patients/<number:patient>/remove")
@signed_in
def remove(patient: int) -> ResponseReturnValue:
    """Take the patient off this account; their appointments stay as they are. A repeat is 404."""
    kept = _mine(patient)
    remove_patient(_account(), patient)
    flash(_("已移除%(name)s。已有的预约不受影响。", name=kept.masked_name), "ok")
    return redirect(url_for("patients.list_patients"), code=303)


def _with_choice(path: str, patient: int) -> str:
    """Return the page to go back to; a confirm page opens with the new patient chosen."""
    if not path.startswith("/book/"):
        return path
    return f"{path}{'&' if '?' in path else '?'}patient={patient}"


PLAIN = ("name", "id_type", "id_number", "sex", "phone", "relation", "guardian_name", "guardian_phone")
MORE = ("guardian_relation", "consent_id", "consent_health", "consent_guardian")


def _values(form: PatientForm) -> dict[str, Any]:
    """Return what the verbs take. The three boxes of the birth date are read only where no ID number tells it."""
    given: dict[str, Any] = {name: form[name].data for name in (*PLAIN, *MORE)}
    return given | {"sex": given["sex"] or "", "birth_date": _birth(form)[0]}


def _birth(form: PatientForm) -> tuple[date | None, str]:
    boxes = [form[name].data or "" for name in BIRTH]
    if form.id_type.data == "resident" or not any(boxes):
        return None, ""
    return check_birth_date(boxes[0], boxes[1], boxes[2], today_at_home())


def _explained(form: PatientForm, refusal: Refusal) -> list[dict[str, Any]]:
    """Put the sentences on their fields; an impossible date gets its own instead of 「请填写」."""
    wrong = _birth(form)[1]
    errors = dict(refusal.facts.get("errors") or {})
    if wrong and "birth_date" in errors:
        refusal.facts["errors"] = errors | {"birth_date": wrong}
    return put_errors(form, refusal)


def _stored(kept: PatientView) -> dict[str, Any]:
    born = kept.birth_date
    return {
        "relation": kept.relation,
        "name": kept.name,
        "id_type": kept.id_type,
        "birth_year": str(born.year),
        "birth_month": str(born.month),
        "birth_day": str(born.day),
        "sex": kept.sex,
        "phone": kept.phone.removeprefix("+86"),
        "guardian_name": kept.guardian_name,
        "guardian_phone": kept.guardian_phone.removeprefix("+86"),
        "guardian_relation": kept.guardian_relation,
        "consent_id": bool(kept.id_number and kept.consented_at),
        "consent_health": bool(kept.consented_at),
        "consent_guardian": bool(kept.guardian_name and kept.consented_at),
    }


def _page(form: PatientForm, kept: PatientView | None, problems: list[dict[str, Any]] | None = None) -> str:
    removing = url_for("patients.remove", patient=kept.id) if kept else ""
    return render_template(
        "web/patient_form.html",
        form=form,
        patient={"name_masked": kept.masked_name, "id_tail": kept.id_tail} if kept else None,
        back_url=_next() or url_for("patients.list_patients"),
        held=held.waiting(),
        problems=problems or [],
        remove_url=removing,
    )
