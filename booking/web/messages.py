"""Messages: reminders and changes, newest first."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.notices.queries import InAppLetter, LetterState, messages_of, sent_beside, unread_of
from booking.notices.service import mark_read
from booking.web import lists
from booking.web.inputs import whole
from booking.web.sent import state_of
from booking.web.session import account_id, now, signed_in

blueprint = Blueprint("messages", __name__)

PAGE = 20


@blueprint.get("/me/messages")
@signed_in
def list_messages() -> ResponseReturnValue:
    """Show the account's letters, each with its appointment."""
    page = whole(request.args.get("page"))
    account = account_id() or 0
    rows = messages_of(account, limit=PAGE + 1, offset=(page - 1) * PAGE)
    today = clock.local(now(), lists.HOME_ZONE).date()
    beside = sent_beside(rows[:PAGE])
    shown = [
        {
            "title": row.title,
            "text": row.text,
            "lines": row.lines,
            "when_label": wording.moment_near(clock.local(row.sent_at, lists.HOME_ZONE), today),
            **_leads_to(row),
            "unread": row.unread,
            "beside": [_beside(one) for one in beside.get(row.id, [])],
        }
        for row in rows[:PAGE]
    ]
    pages = page + 1 if len(rows) > PAGE else page
    return render_template(
        "web/messages.html",
        messages=shown,
        pager=lists.pager(page, pages, "messages.list_messages"),
        unread=unread_of(account),
    )


def _beside(one: LetterState) -> str:
    """What went out with an in-app letter, e.g. 「就诊人的短信：已送达」."""
    to = (
        _("就诊人的%(channel)s", channel=one.channel_label)
        if one.recipient == "patient"
        else one.channel_label
    )
    return _("%(to)s：%(state)s", to=to, state=state_of(one, now())[0])


def _leads_to(row: InAppLetter) -> dict[str, str | None]:
    """Where a letter leads, and what that is called."""
    if row.wish_ref:
        return {"url": url_for("wishes.wish", wish=row.wish_ref), "link": _("看候补")}
    if row.draw_ref:
        return {"url": url_for("draws.show", draw=row.draw_ref), "link": _("看抽签")}
    if row.appointment_ref:
        return {"url": url_for("appointments.detail", appointment=row.appointment_ref), "link": _("看预约")}
    return {"url": None, "link": None}


@blueprint.post("/me/messages/read")
@signed_in
def read() -> ResponseReturnValue:
    """Mark every letter as seen; a repeat changes nothing."""
    mark_read(account_id() or 0)
    return redirect(url_for("messages.list_messages"), code=303)
