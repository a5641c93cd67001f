"""The account's own settings: e-mail and reminders."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.errors import BadInput
from booking.people.service import set_email, set_reminders
from booking.web.forms import SettingsForm, put_errors
from booking.web.session import me, signed_in

blueprint = Blueprint("settings", __name__)


@blueprint.route("/me/settings", methods=["GET", "POST"])
@signed_in
def settings() -> ResponseReturnValue:
    """Show the settings; a POST saves them."""
    person = me()
    assert person is not None
    form = SettingsForm(formdata=None, email=person.email, reminders=person.reminders_on)
    if request.method == "GET":
        return render_template("web/settings.html", form=form, phone_masked=person.phone_masked, problems=[])
    form = SettingsForm()
    problems = []
    if form.validate():
        try:
            set_email(person.account_id, form.email.data or "")
            set_reminders(person.account_id, form.reminders.data)
        except BadInput as refusal:
            problems = put_errors(form, refusal)
        else:
            flash(_("已保存。"), "ok")
            return redirect(url_for("settings.settings"), code=303)
    page = render_template(
        "web/settings.html", form=form, phone_masked=person.phone_masked, problems=problems
    )
    return page, 422
