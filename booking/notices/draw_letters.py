"""What the letters about a draw say: a receipt with the anonymous token, a result, a draw called off."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from flask import current_app

from booking.appointments.draw_queries import DrawView, EntryView, draw_view, entry_view
from booking.claims import Claimed
from booking.clock import local
from booking.db import db
from booking.errors import NotFound
from booking.notices import discretion
from booking.notices.reaching import address_of, language_of
from booking.notices.senders.provider import Rendered
from booking.notices.shaping import shape, site, wechat_time
from booking.notices.tongue import Tongue, tongue
from booking.people.models import Account

ABOUT_A_DRAW = ("draw_entered", "draw_lost", "draw_off")


def draw_letter(message: Claimed, now: datetime) -> tuple[str, Rendered] | None:
    """Return address and text of a letter about a draw, from the newest rows; None when there is nobody to tell.

    Raises NoWay when the account has no address on the letter's channel any more. Names the doctor and the day, never the
    department, and of the patient only the family name.
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
    spoken = tongue(language_of(account))
    page = _page(view) if message.channel == "wechat" else ""  # elsewhere the sentences say where it is
    letter = shape(message.kind, message.channel, _words(view, found[1], spoken), spoken, page=page)
    return address_of(message, account), letter


def _page(view: DrawView) -> str:
    return f"/draw/{view.hospital_id}-{view.id.hex}"


def _words(view: DrawView, entry: EntryView, spoken: Tongue) -> dict[str, Any]:
    dates = spoken.dates
    return {
        "site": site(),
        "hospital": view.hospital,
        "place": view.hospital,
        "time": wechat_time(view.visit_date),
        "latest": wechat_time(local(view.draws_at, view.zone)),
        "doctor": view.doctor,
        "when": f"{dates.day_long(view.visit_date)} {dates.part_named(view.part)}",
        "draws": dates.moment(local(view.draws_at, view.zone)),
        "name": discretion.short_name(entry.patient_name),
        "token": entry.token,
        "commitment": view.commitment,
        "entries": view.entries,
        "places": view.places,
        "closed": spoken.say("several", entry.refused),
        "phone": view.hospital_phone or current_app.config["HELP_PHONE"],
        "url": f"{current_app.config['PUBLIC_URL']}{_page(view)}",
    }
