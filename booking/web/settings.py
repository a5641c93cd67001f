"""The account's own settings: language of letters, reminders and where they go, e-mail and its confirmation."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.errors import BadInput, TooMany
from booking.limits import limiter
from booking.notices.queries import channel_label
from booking.notices.senders.choose import binds_wechat, has_email
from booking.people.preferences import (
    confirm_email,
    demo_email_code,
    request_email_code,
    set_email,
    set_preferences,
)
from booking.people.queries import patients_of
from booking.people.rules import mask_email
from booking.web.forms import CodeForm, SettingsForm, offered, put_errors
from booking.web.session import Me, browser, me, signed_in

blueprint = Blueprint("settings", __name__)


@blueprint.route("/me/settings", methods=["GET", "POST"])
@limiter.limit("30/minute;200/hour", methods=["POST"])
@limiter.limit("6/minute;20/hour", methods=["POST"], key_func=browser)
@signed_in
def settings() -> ResponseReturnValue:
    """Show the settings; a POST saves them, and leads on to the confirmation of a new e-mail address."""
    person = _me()
    form = _offer(SettingsForm(), person)
    if request.method == "GET":
        form = _offer(SettingsForm(formdata=None, **_as_kept(person)), person)
        return _page(form, person)
    if not form.validate():
        return _page(form, person), 422
    try:
        unconfirmed = bool(form.email) and set_email(person.account_id, form.email.data or "")
        set_preferences(
            person.account_id,
            language=form.language.data,
            reminders=form.reminders.data,
            channels=_ticked(form.channels),
            patients={int(name): on for name, on in _ticked(form.patients).items()},
        )
    except BadInput as refusal:
        return _page(form, person, put_errors(form, refusal)), refusal.status
    flash(_("已保存。"), "ok")
    if unconfirmed and (form.email.data or "") != person.email:
        _send_code(person.account_id)
        return redirect(url_for("settings.email"), code=303)
    return redirect(url_for("settings.settings"), code=303)


@blueprint.route("/me/settings/email", methods=["GET", "POST"])
@limiter.limit("60/minute;300/hour", methods=["POST"])
@limiter.limit("10/minute;40/hour", methods=["POST"], key_func=browser)
@signed_in
def email() -> ResponseReturnValue:
    """Ask for the code that was sent to the e-mail address; a POST confirms the address with it."""
    if not has_email(current_app.config):
        abort(404)
    person = _me()
    if not person.email or person.email_verified:
        return redirect(url_for("settings.settings"), code=303)
    form = CodeForm()
    if request.method == "GET":
        return _email_page(form, person)
    if not form.validate():
        return _email_page(form, person), 422
    try:
        confirm_email(person.account_id, form.code.data or "")
    except BadInput as refusal:
        return _email_page(form, person, put_errors(form, refusal)), refusal.status
    flash(_("邮箱已确认，以后的通知也会发到这里。"), "ok")
    return redirect(url_for("settings.settings"), code=303)


@blueprint.post("/me/settings/email/resend")
@limiter.limit("30/minute;200/hour")
@limiter.limit("6/minute;20/hour", key_func=browser)
@signed_in
def resend() -> ResponseReturnValue:
    """Send a code to the unconfirmed address again; too soon is said on the page."""
    if not has_email(current_app.config):
        abort(404)
    if _send_code(_me().account_id):
        flash(_("已发送，请用最新的一封。"), "ok")
    return redirect(url_for("settings.email"), code=303)


def _me() -> Me:
    person = me()
    assert person is not None
    return person


def _send_code(account_id: int) -> bool:
    try:
        request_email_code(account_id)
    except TooMany as refusal:
        flash(refusal.text, "soon")
        return False
    return True


def _ways(person: Me) -> list[str]:
    """Where reminders of this account may go, beside the messages on the pages."""
    email = person.email_verified and has_email(current_app.config)
    return ["sms", *(["wechat"] if person.has_wechat else []), *(["email"] if email else [])]


def _as_kept(person: Me) -> dict[str, Any]:
    return {
        "language": person.language,
        "reminders": person.reminders_on,
        "channels": [way for way in _ways(person) if way not in person.quiet_channels],
        "patients": [str(one.id) for one in patients_of(person.account_id) if one.reminders_on],
        "email": person.email,
    }


def _offer(form: SettingsForm, person: Me) -> SettingsForm:
    if not has_email(current_app.config):
        del form.email
    form.channels.choices = offered((way, channel_label(way)) for way in _ways(person))
    form.patients.choices = offered(
        (str(one.id), f"{one.masked_name} {one.phone_masked}")
        for one in patients_of(person.account_id)
        if one.phone and one.phone != person.phone
    )
    return form


def _ticked(field: Any) -> dict[str, bool]:
    """Return every choice that was shown on the page that was sent, and whether it is ticked.

    One that appeared since (in another tab) was never looked at, and stays as it is.
    """
    ticked, shown = set(field.data or ()), set(request.form.getlist(f"shown_{field.name}"))
    return {one.value: one.value in ticked for one in field.choices if one.value in shown | ticked}


def _page(form: SettingsForm, person: Me, problems: list[dict[str, Any]] | None = None) -> str:
    return render_template(
        "web/settings.html",
        form=form,
        phone_masked=person.phone_masked,
        wechat_state="" if not binds_wechat(current_app.config) else "bound" if person.has_wechat else "free",
        email_state="" if not person.email else "confirmed" if person.email_verified else "waiting",
        problems=problems or [],
    )


def _email_page(form: CodeForm, person: Me, problems: list[dict[str, Any]] | None = None) -> str:
    return render_template(
        "web/settings_email.html",
        form=form,
        email_masked=mask_email(person.email),
        demo_code=(demo_email_code(person.account_id) or "") if current_app.config["DEMO"] else "",
        problems=problems or [],
    )
