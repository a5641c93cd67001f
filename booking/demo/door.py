"""The demo's own pages: the letters that would have left the building, and the clock. Only in the demo configuration."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import select

from booking.db import db
from booking.demo import moving, people
from booking.demo.letters import coming_letters, sent_letters
from booking.directory.models import Hospital
from booking.errors import BadInput
from booking.limits import limiter
from booking.staff.models import StaffMember

blueprint = Blueprint("demo", __name__, url_prefix="/demo")

STEPS = ("1h", "1d", "reset")
SIGN_IN = "desk.sign_in.login"


def register_demo(app: Flask) -> None:
    """Attach the demo's pages; does nothing outside the demo configuration."""
    if not app.config["DEMO"]:
        return
    app.register_blueprint(blueprint)
    app.context_processor(_frame)
    app.context_processor(_sign_ins)


@blueprint.get("/outbox")
def outbox() -> ResponseReturnValue:
    """Show what was sent, newest first, and what will go out next."""
    return render_template(
        "web/demo_outbox.html",
        messages=sent_letters(),
        coming=coming_letters(),
        refresh_url=url_for("demo.outbox"),
        clock=moving.now_words(),
        clock_url=url_for("demo.move_clock"),
        is_moved=bool(moving.moved_sentence()),
    )


@blueprint.post("/clock")
@limiter.limit("60/minute")
def move_clock() -> ResponseReturnValue:
    """Move the clock an hour or a day forward, or put it back; lead back to the letters."""
    by = request.form.get("by", "")
    if by not in STEPS:
        raise BadInput("请选择拨快多少。", field="by")
    if by == "reset":
        moving.reset_clock()
        flash(_("演示时钟已复位，现在是 %(now)s。已经发出的消息不会收回。", now=moving.now_words()), "ok")
    else:
        moving.advance_clock(moving.read_span(by))
        flash(_("现在是 %(now)s。到点的消息会在几秒内发出，请刷新。", now=moving.now_words()), "ok")
    return redirect(url_for("demo.outbox"), code=303)


def _frame() -> dict[str, Any]:
    """What every page's frame shows of the demo; nothing while the database is away."""
    if "bare_frame" in g:
        return {}
    return {"demo": {"clock_moved": moving.moved_sentence(), "outbox_url": url_for("demo.outbox")}}


def _sign_ins() -> dict[str, Any]:
    """The sign-ins shown beside the staff form: those of the demo that are really there."""
    if request.endpoint != SIGN_IN or "bare_frame" in g:
        return {}
    rows = db.session.execute(
        select(StaffMember.username, Hospital.slug).join(Hospital, Hospital.id == StaffMember.hospital_id)
    )
    known = {f"{username}@{slug}" for username, slug in rows}
    shown = [
        {"role_label": role, "username": name, "password": people.PASSWORD}
        for role, name in people.staff_lines()
        if name in known
    ]
    return {"demo_accounts": shown}
