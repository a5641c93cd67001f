"""Signing in with a phone and a one-time code; a hold taken before waits meanwhile."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import vault
from booking.errors import BadInput, TooMany
from booking.limits import limiter
from booking.people.codes import CODE_PAUSE
from booking.people.rules import mask_phone, read_phone
from booking.people.service import code_waits, demo_code, end_sign_ins, request_code, sign_in
from booking.web import held
from booking.web.forms import CodeForm, PhoneForm, put_errors
from booking.web.inputs import local_path
from booking.web.session import PHONE, account_id, browser, forget, keep_signed_in, me

blueprint = Blueprint("login", __name__)

AFTER = "/me/appointments"


def _next() -> str:
    """Return where the person wanted to go: a page of this site, or ""."""
    return local_path(request.values.get("next"), "")


def _asked_phone() -> str | None:
    kept = session.get(PHONE)
    try:
        return vault.open_sealed(kept) if isinstance(kept, str) else None
    except ValueError:
        return None


@blueprint.route("/login", methods=["GET", "POST"])
@limiter.limit("30/minute;200/hour", methods=["POST"])
@limiter.limit("6/minute;20/hour", methods=["POST"], key_func=browser)
def login() -> ResponseReturnValue:
    """Ask for the phone; a POST sends a code and leads on to it, also when the one sent before still works."""
    if me():
        return redirect(_next() or AFTER, code=303)
    form = PhoneForm()
    if request.method == "GET":
        return _phone_page(form)
    form.validate()
    try:
        number = request_code(form.phone.data or "")
    except TooMany as refusal:
        asked = read_phone(form.phone.data or "")[0]
        if asked is None or not code_waits(asked):
            return _phone_page(form, [{"text": refusal.text, "href": "#phone", "more": None}]), refusal.status
        number = asked  # the code that was sent still works: on to its page instead of a dead end
        wait = refusal.facts.get("seconds", 0)
        if wait <= CODE_PAUSE.total_seconds():
            flash(_("验证码已经发过了，%(n)s 秒后可以重新发送。", n=wait), "soon")
        else:
            flash(_("验证码已经发过了，请用最近收到的一条。"), "soon")
    except BadInput as refusal:
        return _phone_page(form, put_errors(form, refusal)), refusal.status
    session[PHONE] = vault.seal(number)
    return redirect(url_for("login.code", next=_next() or None), code=303)


@blueprint.route("/login/code", methods=["GET", "POST"])
@limiter.limit("60/minute;300/hour", methods=["POST"])
@limiter.limit("10/minute;40/hour", methods=["POST"], key_func=browser)
def code() -> ResponseReturnValue:
    """Ask for the code; a POST signs in and leads back to where the person wanted to go."""
    phone = _asked_phone()
    if me() or phone is None:
        return redirect(_next() or AFTER if me() else url_for("login.login", next=_next() or None), code=303)
    form = CodeForm()
    if request.method == "GET":
        return _code_page(form, phone)
    if not form.validate():
        return _code_page(form, phone), 422
    try:
        account = sign_in(phone, form.code.data or "")
    except BadInput as refusal:
        return _code_page(form, phone, put_errors(form, refusal)), refusal.status
    keep_signed_in(account.id, account.session_version)
    return redirect(_next() or AFTER, code=303)


@blueprint.post("/login/resend")
@limiter.limit("30/minute;200/hour")
@limiter.limit("6/minute;20/hour", key_func=browser)
def resend() -> ResponseReturnValue:
    """Send another code to the same phone; too soon is said on the page."""
    phone = _asked_phone()
    if phone is None:
        return redirect(url_for("login.login", next=_next() or None), code=303)
    try:
        request_code(phone)
    except TooMany as refusal:
        return _code_page(CodeForm(formdata=None), phone, [_loose(refusal.text)]), refusal.status
    flash(_("已重新发送，请用最新的一条。"), "ok")
    return redirect(url_for("login.code", next=_next() or None), code=303)


@blueprint.post("/logout")
def sign_out() -> ResponseReturnValue:
    """Sign out, here and wherever else this account is signed in; a repeat changes nothing."""
    person = account_id()
    if person is not None:
        end_sign_ins(person)
    forget()
    return redirect("/", code=303)


def _loose(text: str) -> dict[str, Any]:
    return {"text": text, "href": "", "more": None}


def _phone_page(form: PhoneForm, problems: list[dict[str, Any]] | None = None) -> str:
    return render_template(
        "web/login.html", form=form, next=_next(), held=held.waiting(), problems=problems or []
    )


def _code_page(form: CodeForm, phone: str, problems: list[dict[str, Any]] | None = None) -> str:
    return render_template(
        "web/login_code.html",
        form=form,
        phone_masked=mask_phone(phone),
        demo_code=(demo_code(phone) or "") if current_app.config["DEMO"] else "",
        resend_url=url_for("login.resend"),
        resend_after=0,
        held=held.waiting(),
        next=_next(),
        problems=problems or [],
        back_url=url_for("login.login", next=_next() or None),
    )
