"""What the letters about a draw say: a receipt with the anonymous token, a result, a draw called off."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from flask import current_app
from flask_babel import gettext as _

from booking import wording
from booking.appointments.draw_queries import DrawView, EntryView, draw_view, entry_view
from booking.claims import Claimed
from booking.clock import local
from booking.db import db
from booking.errors import NotFound
from booking.notices import discretion
from booking.notices.filling import fill, lines_of
from booking.notices.senders.provider import Rendered
from booking.notices.short_text import short_message
from booking.people.models import Account

ABOUT_A_DRAW = ("draw_entered", "draw_lost", "draw_off")


def draw_letter(message: Claimed, now: datetime) -> tuple[str, Rendered] | None:
    """Return address and text of a letter about a draw, from the newest rows; None when there is nobody to tell.

    Names the doctor and the day, never the department, and of the patient only the family name.
    """
    try:
        found = entry_view(message.hospital_id, uuid.UUID(message.facts["entry"]))
        if found is None:
            return None
        view = draw_view(message.hospital_id, found[0].draw_id, now)
    except (KeyError, ValueError, NotFound):
        return None
    account = db.session.get(Account, message.account_id)
    if account is None:
        return None
    words = _words(view, found[1])
    if message.channel == "app":
        text = fill(f"{message.kind}.txt", words)
        return str(account.id), Rendered(_subject(message.kind), "\n".join(lines_of(text)))
    return account.phone, short_message(_subject(message.kind), message.kind, words)


def _subject(kind: str) -> str:
    return {
        "draw_entered": _("抽签报名成功"),
        "draw_lost": _("抽签结果"),
        "draw_off": _("抽签取消"),
    }[kind]


def _words(view: DrawView, entry: EntryView) -> dict[str, Any]:
    return {
        "site": current_app.config["SITE_NAME"],
        "hospital": view.hospital,
        "doctor": view.doctor,
        "when": f"{wording.day_long(view.visit_date)} {view.part}",
        "draws": wording.moment(local(view.draws_at, view.zone)),
        "name": discretion.short_name(entry.patient_name),
        "token": entry.token,
        "commitment": view.commitment,
        "entries": view.entries,
        "places": view.places,
        "closed": "、".join(entry.refused),
        "phone": view.hospital_phone or current_app.config["HELP_PHONE"],
        "url": f"{current_app.config['PUBLIC_URL']}/draw/{view.hospital_id}-{view.id.hex}",
    }
