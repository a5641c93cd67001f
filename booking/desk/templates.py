"""The weekly patterns: list them, write one, and turn them into dated sessions after a preview."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking import wording
from booking.db import db
from booking.desk import labels
from booking.desk.forms import offered, read_date
from booking.desk.grid import read_id, week_name
from booking.desk.house import House, house
from booking.desk.schedule_forms import WEEKS, ApplyForm, TemplateForm
from booking.desk.session import hospital_id, me, staff_page
from booking.directory.policy import current_policy
from booking.errors import Refusal
from booking.schedule.admission import in_words
from booking.schedule.channels import kept_words
from booking.schedule.desk_queries import template, templates
from booking.schedule.models import Template
from booking.schedule.service import Generated, end_template, generate, preview, save_template

blueprint = Blueprint("templates", __name__)

OUTCOMES = {
    "new": (_l("新增"), "ok"),
    "same": (_l("不变"), ""),
    "differs": (_l("冲突"), "few"),
    "holiday": (_l("节假日不生成"), ""),
    "past": (_l("已过，不生成"), ""),
}
WEEKS_AHEAD = 12


@blueprint.get("/templates")
@staff_page("change_template")
def list_templates() -> ResponseReturnValue:
    """List the patterns by doctor; every weekly line is a link to its form. Those that ended stand below, to be read."""
    at = house()
    dept = read_id(request.args.get("dept"))
    dept = dept if dept in at.departments else None
    options = [("", _("全部")), *((str(key), name) for key, name in at.departments.items())]
    return render_template(
        "staff/templates.html",
        rows=_by_practice(at, dept),
        ended=_by_practice(at, dept, active=False),
        filters=[
            {"id": "f-dept", "name": "dept", "label": _("科室"), "options": options, "value": dept or ""}
        ],
        hidden={},
        new_url=url_for("desk.templates.new"),
        apply_url=url_for("desk.templates.apply"),
    )


@blueprint.route("/templates/new", methods=["GET", "POST"])
@staff_page("change_template")
def new() -> ResponseReturnValue:
    """Write a new weekly line; `practice` in the address preselects the doctor."""
    at, form = house(), TemplateForm()
    _offer(form, at)
    if request.method == "GET":
        practice = read_id(request.args.get("practice"))
        form.practice.data = practice.hex if practice else None
        form.minutes.data, form.places.data = 30, 3
        form.keep(current_policy(db.session(), hospital_id()).channels)
        form.skips_holidays.data = form.publishes.data = True
        form.weeks.data = "every"
        return _form_page(_("新建模板"), form)
    return _save(form, None, _("新建模板"), active=True)


@blueprint.route("/templates/<uuid:template_id>", methods=["GET", "POST"])
@staff_page("change_template")
def edit(template_id: uuid.UUID) -> ResponseReturnValue:
    """Change one weekly line; dated sessions that exist stay as they are."""
    at, form = house(), TemplateForm()
    row = template(hospital_id(), template_id)
    heading, active = _heading(row, at), row.active
    _offer(form, at)
    if request.method == "GET":
        _fill(form, row)
        return _form_page(heading, form, template_id, active=active)
    return _save(form, template_id, heading, active=active)


@blueprint.post("/templates/<uuid:template_id>/end")
@staff_page("change_template")
def end(template_id: uuid.UUID) -> ResponseReturnValue:
    """Stop generating from a line."""
    end_template(hospital_id(), template_id, actor=me())
    flash(_("已停用这个模板，已经生成的班次不受影响。"), "ok")
    return redirect(url_for("desk.templates.list_templates"), code=303)


@blueprint.route("/templates/apply", methods=["GET", "POST"])
@staff_page("apply_template")
def apply() -> ResponseReturnValue:
    """Choose weeks, see what would be added, unchanged or in conflict, then make drafts or published sessions."""
    at, form = house(), ApplyForm()
    form.first.choices = offered(_weeks_ahead(at))
    form.dept.choices = offered(
        [("", _("全部科室")), *((key.hex, name) for key, name in at.departments.items())]
    )
    if request.method == "GET":
        first = read_date(request.args.get("first"))
        form.first.data = (first or _next_monday(at)).isoformat()
        form.weeks.data, form.dept.data = 1, ""
        return _apply_page(form)
    if not form.validate_on_submit():
        return _apply_page(form), 422
    first = date.fromisoformat(str(form.first.data))
    last = first + timedelta(days=7 * (form.weeks.data or 1) - 1)
    wanted = _template_ids(read_id(form.dept.data))
    act = request.form.get("act")
    if act not in ("draft", "publish"):
        return _apply_page(form, preview(hospital_id(), first, last, template_ids=wanted), at)
    done = generate(
        hospital_id(),
        first,
        last,
        actor=me(),
        template_ids=wanted,
        publish=None if act == "publish" else False,
    )
    flash(
        _(
            "新增 %(new)s 个班次，不变 %(same)s 个，冲突 %(differs)s 个（保持原样）。",
            new=done.created,
            same=done.unchanged,
            differs=done.conflicts,
        ),
        "ok" if done.created else "soon",
    )
    return redirect(url_for("desk.week.week", w=week_name(first)), code=303)


# --- the list and the form -------------------------------------------------------------------------------------------


def _by_practice(at: House, dept: uuid.UUID | None, *, active: bool = True) -> list[dict[str, Any]]:
    groups: dict[uuid.UUID, dict[str, Any]] = {}
    for row, whose in templates(hospital_id(), department_id=dept, active=active):
        group = groups.setdefault(
            whose.id,
            {
                "doctor": whose.doctor,
                "title": whose.title,
                "department": whose.department,
                "campus": whose.campus if len(at.campuses) > 1 else "",
                "lines": [],
                "add_url": url_for("desk.templates.new", practice=whose.id),
            },
        )
        group["lines"].append(_line(row, at))
    return list(groups.values())


def _line(row: Template, at: House) -> dict[str, Any]:
    notes = [
        _("每 %(minutes)s 分钟 %(places)s 个号", minutes=row.slot_minutes, places=row.places_per_slot),
        _("留给%(kept)s", kept=kept_words(row.channels)) if row.channels else "",
        row.room,
        "，".join(in_words(row.admits)),
        str(dict(WEEKS)[row.weeks]) if row.weeks != "every" else "",
        _valid(row),
    ]
    return {
        "url": url_for("desk.templates.edit", template_id=row.id),
        "label": _label(row, at),
        "hours": f"{wording.clock(row.starts_local)}–{wording.clock(row.ends_local)}",
        "note": "·".join(note for note in notes if note),
        "active": row.active,
    }


def _valid(row: Template) -> str:
    if row.valid_from and row.valid_to:
        return f"{wording.day_short(row.valid_from)}–{wording.day_short(row.valid_to)}"
    if row.valid_from:
        return _("%(day)s起", day=wording.day_short(row.valid_from))
    return _("到 %(day)s", day=wording.day_short(row.valid_to)) if row.valid_to else ""


def _label(row: Template, at: House) -> str:
    return wording.WEEKDAYS[row.weekday] + at.part_name(row.day_part_id)


def _heading(row: Template, at: House) -> str:
    return f"{at.practice_name(row.practice_id)}·{_label(row, at)}"


def _offer(form: TemplateForm, at: House) -> None:
    form.practice.choices = offered(at.practice_choices())
    form.part.choices = offered(at.part_choices())
    form.kind.choices = offered(at.kind_choices())


def _fill(form: TemplateForm, row: Template) -> None:
    form.practice.data, form.part.data, form.kind.data = (
        row.practice_id.hex,
        row.day_part_id.hex,
        row.clinic_kind_id.hex,
    )
    form.weekday.data, form.weeks.data = str(row.weekday), row.weeks
    form.starts.data, form.ends.data = row.starts_local, row.ends_local
    form.minutes.data, form.places.data = row.slot_minutes, row.places_per_slot
    form.fee.data, form.room.data = row.fee_cents, row.room
    form.keep(row.channels)
    form.valid_from.data, form.valid_to.data = row.valid_from, row.valid_to
    form.show_admits(row.admits)
    form.skips_holidays.data, form.publishes.data = row.skips_holidays, row.publishes


def _form_page(
    heading: str,
    form: TemplateForm,
    template_id: uuid.UUID | None = None,
    problems: list[dict[str, Any]] | None = None,
    *,
    active: bool = True,
) -> str:
    return render_template(
        "staff/template.html",
        heading=heading,
        form=form,
        back_url=url_for("desk.templates.list_templates"),
        problems=problems or [],
        ended=not active,
        end_url=url_for("desk.templates.end", template_id=template_id) if template_id and active else "",
    )


def _save(
    form: TemplateForm, template_id: uuid.UUID | None, heading: str, *, active: bool
) -> ResponseReturnValue:
    if not form.validate_on_submit():
        return _form_page(heading, form, template_id, active=active), 422
    at, part = house(), uuid.UUID(form.part.data)
    name = f"{at.practice_name(uuid.UUID(form.practice.data))}·{wording.WEEKDAYS[int(form.weekday.data)]}{at.part_name(part)}"
    try:
        save_template(
            hospital_id(),
            template_id,
            actor=me(),
            practice_id=uuid.UUID(form.practice.data),
            weekday=int(form.weekday.data),
            day_part_id=part,
            starts_local=form.starts.data,
            ends_local=form.ends.data,
            slot_minutes=form.minutes.data or 0,
            places_per_slot=form.places.data or 0,
            clinic_kind_id=uuid.UUID(form.kind.data),
            fee_cents=form.fee.data,
            room=form.room.data or "",
            channels=form.kept(),
            weeks=form.weeks.data,
            valid_from=form.valid_from.data,
            valid_to=form.valid_to.data,
            skips_holidays=form.skips_holidays.data,
            publishes=form.publishes.data,
            admits=form.admits(),
        )
    except Refusal as refusal:
        found = labels.problems(refusal, form)
        return _form_page(heading, form, template_id, found, active=active), refusal.status
    flash(_("已保存「%(name)s」。套用到具体日期后才会生成班次。", name=name), "ok")
    return redirect(url_for("desk.templates.list_templates"), code=303)


# --- applying --------------------------------------------------------------------------------------------------------


def _next_monday(at: House) -> date:
    return at.today + timedelta(days=7 - at.today.weekday())


def _weeks_ahead(at: House) -> list[tuple[str, str]]:
    this = at.today - timedelta(days=at.today.weekday())
    found = []
    for step in range(WEEKS_AHEAD):
        monday = this + timedelta(days=7 * step)
        number = monday.isocalendar().week
        sunday = monday + timedelta(days=6)
        name = _(
            "%(first)s–%(last)s（第 %(n)s 周）",
            first=wording.day_short(monday),
            last=wording.day_short(sunday),
            n=number,
        )
        found.append((monday.isoformat(), _("本周 ") + name if step == 0 else name))
    return found


def _template_ids(dept: uuid.UUID | None) -> list[uuid.UUID] | None:
    if dept is None:
        return None
    return [row.id for row, _whose in templates(hospital_id(), department_id=dept)]


def _apply_page(form: ApplyForm, plan: Generated | None = None, at: House | None = None) -> str:
    return render_template(
        "staff/apply.html",
        form=form,
        problems=[],
        back_url=url_for("desk.templates.list_templates"),
        preview=_preview(plan, at) if plan and at else None,
    )


def _preview(plan: Generated, at: House) -> dict[str, Any]:
    counts = [
        (_("新增"), plan.created, "ok"),
        (_("不变"), plan.unchanged, ""),
        (_("冲突"), plan.conflicts, "few" if plan.conflicts else ""),
        (_("不生成"), plan.skipped, ""),
    ]
    order = {"differs": 0, "new": 1, "holiday": 2, "same": 3, "past": 4}
    planned = sorted(
        plan.planned, key=lambda one: (order[one.outcome], one.local_date, one.template.starts_local)
    )
    return {
        "counts": counts,
        "created": plan.created,
        "conflicts": plan.conflicts,
        "rows": [
            {
                "when_label": wording.day_long(one.local_date) + at.part_name(one.template.day_part_id),
                "who": at.practice_name(one.template.practice_id),
                "hours": f"{wording.clock(one.template.starts_local)}–{wording.clock(one.template.ends_local)}",
                "what_label": OUTCOMES[one.outcome][0] + (f"（{one.note}）" if one.note else ""),
                "tone": OUTCOMES[one.outcome][1],
                "same": one.outcome == "same",
            }
            for one in planned
        ],
    }
