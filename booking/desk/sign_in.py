"""Sign-in of staff: name@hospital and password; the delay after wrong passwords grows in the verb."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.desk import labels
from booking.desk.forms import SignInForm
from booking.desk.session import actor, can, forget, keep_signed_in, own_path
from booking.errors import BadInput, TooMany
from booking.limits import limiter
from booking.staff.service import sign_in_staff

blueprint = Blueprint("sign_in", __name__)

FIRST_PAGES = (
    ("read_schedule", "desk.week.week"),
    ("read_day", "desk.day.day"),
    ("read_own_schedule", "desk.mine.mine"),
)


def first_page() -> str:
    """Return the address of the page where the signed-in role starts its day."""
    if can("check_in") and not can("change_session"):
        return url_for("desk.day.day")
    return next(
        (url_for(endpoint) for verb, endpoint in FIRST_PAGES if can(verb)), url_for("desk.sign_in.login")
    )


@blueprint.get("/")
def start() -> ResponseReturnValue:
    """Lead to the role's first page."""
    return redirect(first_page() if actor() else url_for("desk.sign_in.login"), code=303)


@blueprint.route("/login", methods=["GET", "POST"])
@limiter.limit("20/minute;200/hour", methods=["POST"])
def login() -> ResponseReturnValue:
    """Ask for name and password; sign in and lead on to where the person wanted to go."""
    form = SignInForm()
    if request.method == "GET":
        form.next.data = own_path(request.args.get("next"), "")
        if actor():
            return redirect(form.next.data or first_page(), code=303)
        return _page(form)
    if not form.validate_on_submit():
        return _page(form), 422
    try:
        member = sign_in_staff(form.username.data or "", form.password.data or "")
    except TooMany as refusal:
        wait = wording.duration(refusal.facts.get("seconds", 60))
        told = _("连续输错太多次，请 %(wait)s后再试。忘记密码请联系管理员。", wait=wait)
        return _page(form, [{"text": told, "href": "", "more": None}]), refusal.status
    except BadInput as refusal:
        return _page(form, labels.problems(refusal, form)), refusal.status
    keep_signed_in(member)
    return redirect(own_path(form.next.data, url_for("desk.sign_in.start")), code=303)


def _page(form: SignInForm, problems: list[dict[str, Any]] | None = None) -> str:
    return render_template("staff/login.html", form=form, problems=problems or [])


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign out at the desk; a patient signed in in the same browser stays signed in."""
    forget()
    return redirect(url_for("desk.sign_in.login"), code=303)
