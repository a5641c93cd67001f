"""One session: add it, change it, with what saving would do said before it happens."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.appointments.wish_lines import line_of_session
from booking.db import db
from booking.desk import editor, labels
from booking.desk.editor import Panel
from booking.desk.forms import offered, read_date
from booking.desk.grid import read_id, week_url
from booking.desk.house import House, house
from booking.desk.schedule_forms import NewSessionForm, SessionForm
from booking.desk.session import can, hospital_id, me, own_path, staff_page
from booking.directory.policy import current_policy
from booking.errors import Refusal
from booking.schedule.add_session import add_session
from booking.schedule.change_session import change_session, preview_change
from booking.schedule.desk_queries import session_detail
from booking.schedule.rules import Conflict

blueprint = Blueprint("sessions", __name__)


@blueprint.route("/sessions/new", methods=["GET", "POST"])
@staff_page("change_session")
def new() -> ResponseReturnValue:
    """Add one session outside the templates: preview, draft, or published at once."""
    at, form = house(), NewSessionForm()
    doctor = read_id(request.args.get("doctor"))
    form.practice.choices = offered(at.practice_choices(doctor))
    back = _back(form.back.data, url_for("desk.week.week"))
    if request.method == "GET":
        _start(form, at)
        return _page(editor.of_new(form, at, back=back))
    editor.offer(form, at)
    if not form.validate_on_submit():
        return _page(editor.of_new(form, at, back=back)), 422
    said = editor.say_new(form, at)
    act = request.form.get("act")
    if act not in ("draft", "publish"):
        return _page(editor.of_new(form, at, back=back, impact=said))
    wanted = editor.shape(form)
    day = form.date.data
    try:
        add_session(
            hospital_id(),
            actor=me(),
            practice_id=uuid.UUID(form.practice.data),
            local_date=day,
            day_part_id=uuid.UUID(form.part.data),
            **vars(wanted),
            release_at=editor.release_at(form, day, at),
            rolls_at=editor.rolls_at(form, day, at),
            note=form.note.data or "",
            publish=act == "publish",
        )
    except Refusal as refusal:
        found = labels.problems(refusal, form)
        return _page(editor.of_new(form, at, back=back, impact=said), found), refusal.status
    flash(_("已加开并发布。") if act == "publish" else _("已存为草稿，发布后患者才能看到。"), "ok")
    return redirect(week_url(day), code=303)


@blueprint.route("/sessions/<uuid:session_id>", methods=["GET", "POST"])
@staff_page("read_schedule", post="change_session")
def edit(session_id: uuid.UUID) -> ResponseReturnValue:
    """Show one session; on POST preview or save a change. Who may only read sees facts and no form."""
    at, detail = house(), session_detail(hospital_id(), session_id)
    row = detail.session
    was_draft = row.status == "draft"
    if request.method == "GET":
        return _page(editor.of_session(detail, at, back=_back(None, week_url(row.local_date))))
    form = SessionForm()
    back = _back(form.back.data, week_url(row.local_date))
    editor.offer(form, at)
    if not form.validate_on_submit():
        return _page(editor.of_session(detail, at, back=back, form=form)), 422
    wanted, released = editor.shape(form), editor.release_at(form, row.local_date, at)
    rolls = editor.rolls_at(form, row.local_date, at)
    act = request.form.get("act", "preview")
    publish = act == "publish"
    try:
        said = preview_change(
            hospital_id(), session_id, wanted, release_at=released, publish=publish
        ).sentences
    except Refusal as refusal:
        found = labels.problems(refusal, form)
        panel = editor.of_session(detail, at, back=back, form=form, refused=refusal.text)
        return _page(panel, [] if act == "preview" else found), refusal.status
    if act not in ("save", "draft", "publish"):
        return _page(editor.of_session(detail, at, back=back, form=form, impact=said))
    try:
        change_session(
            hospital_id(),
            session_id,
            wanted,
            actor=me(),
            version=form.seen_version(),
            release_at=released,
            rolls_at=rolls,
            note=form.note.data or "",
            publish=publish,
        )
    except Conflict as refusal:
        return _conflict(session_id, form, back, refusal), 409
    except Refusal as refusal:
        found = labels.problems(refusal, form)
        detail = session_detail(hospital_id(), session_id)
        return _page(editor.of_session(detail, at, back=back, form=form, impact=said), found), refusal.status
    flash(_("已保存并生效。") if publish or not was_draft else _("已存为草稿。"), "ok")
    return redirect(back, code=303)


def _conflict(session_id: uuid.UUID, form: SessionForm, back: str, refusal: Conflict) -> str:
    """Show theirs beside yours; saving again from here knows of theirs and replaces it."""
    at, detail = house(), session_detail(hospital_id(), session_id)
    compared = {"text": refusal.text, **editor.compare(form, detail.session, at)}
    form.version.data = str(detail.session.version)
    panel = editor.of_session(detail, at, back=back, form=form, conflict=compared)
    return _page(panel)


def _start(form: NewSessionForm, at: House) -> None:
    form.date.data = read_date(request.args.get("date"))
    part = read_id(request.args.get("part"))
    form.part.data = part.hex if part else None
    form.minutes.data, form.places.data = 30, 3
    form.keep(current_policy(db.session(), hospital_id()).channels)
    form.release.data = form.rolls.data = "rule"
    for one in at.parts:
        if one.id == part:
            form.starts.data, form.ends.data = one.starts_local, one.ends_local
    if at.kinds:
        form.kind.data, form.fee.data = at.kinds[0].id.hex, at.kinds[0].fee_cents


def _back(kept: str | None, otherwise: str) -> str:
    """Return to the page the person came from: the week as it was filtered there."""
    if kept:
        return own_path(kept, otherwise)
    came = urlsplit(request.referrer or "")
    if came.netloc == request.host and came.path in (url_for("desk.week.week"), url_for("desk.mine.mine")):
        return own_path(came.path + (f"?{came.query}" if came.query else ""), otherwise)
    return otherwise


def _page(panel: Panel, problems: list[dict[str, Any]] | None = None) -> str:
    row_id = panel.view["id"]
    day_url = waiting_url = ""
    waiting = line_of_session(db.session(), hospital_id(), uuid.UUID(row_id)) if row_id else 0
    if waiting:
        waiting_url = url_for("desk.waiting.waiting", session_id=row_id)
    if row_id and can("read_day"):
        day_url = url_for("desk.day.day", date=panel.view["date"], session=row_id)
    book_url = ""
    if row_id and panel.view["state"] in ("published", "running") and can("book_at_desk"):
        book_url = url_for("desk.booking.slots", session_id=uuid.UUID(row_id))
    return render_template(
        "staff/session.html",
        book_url=book_url,
        s=panel.view,
        form=panel.form,
        problems=problems or [],
        back_url=panel.view["cancel_url"],
        day_url=day_url,
        waiting_url=waiting_url,
        waiting=waiting,
        last_change=panel.view["last_change"],
    )
