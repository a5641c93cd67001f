"""What the letters of the waiting list say: joined, offered, missed, stopped, ended. Sentences stand in templates/notices/."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import current_app

from booking.appointments.queries import AppointmentView
from booking.appointments.wish_queries import WishView
from booking.clock import local
from booking.notices import discretion
from booking.notices.letters import place
from booking.notices.senders.provider import Rendered
from booking.notices.shaping import host, shape, site, wechat_time
from booking.notices.tongue import Tongue, tongue
from booking.refs import link_code

ABOUT_A_WISH = ("wish_joined", "wish_offer", "wish_missed", "wish_stopped", "wish_ended")
VARIANTS = {
    ("wish_missed", "stopped"): "wish_missed_stopped",
    ("wish_ended", "booked"): "wish_ended_booked",
}
PAGE = "/me/wishes"
NAMED = 2


def wish_letter(
    kind: str,
    channel: str,
    view: WishView,
    about: Sequence[AppointmentView],
    facts: dict[str, Any],
    *,
    now: datetime,
    language: str | None = None,
) -> Rendered:
    """Return the letter of `kind` (one of ABOUT_A_WISH), shaped for its channel.

    `view` is the wish as it is now; `about` are the appointments of the offer the letter tells of, two for a pair; `facts`
    say why an offer or a wish ended; `language` is that of the recipient. Whoever lost an offer to a stop reads whether
    there is anything left to wait for.
    """
    spoken = tongue(language)
    words = _words(view, spoken) | (_offer_words(view, about, now, spoken) if about else {})
    name = VARIANTS.get((kind, facts.get("why", "")), kind)
    if name == "wish_missed_stopped" and view.hopeless:
        name = "wish_missed_stopped_all"
    return shape(name, channel, words, spoken, page=PAGE)


def _words(view: WishView, spoken: Tongue) -> dict[str, Any]:
    dates = spoken.dates
    department = spoken.say("outpatient") if discretion.is_sensitive(view) else view.department
    who = spoken.say("who", department, view.doctors[:NAMED], len(view.doctors) > NAMED)
    days = dates.day_long(view.first_date)
    if view.last_date != view.first_date:
        first, last = dates.day_short(view.first_date), dates.day_short(view.last_date)
        days = spoken.say("dates", first, last)
    parts = [dates.part_named(part) for part in view.parts]
    return {
        "site": site(),
        "host": host(),
        "link": link_code(view.hospital_id, view.id),
        "time": wechat_time(view.first_date),
        "when": days,
        "place": view.hospital,
        "department": department,
        "doctor": spoken.say("several", view.doctors[:NAMED]),
        "who": who,
        "dates": days,
        "what": spoken.say("wished", days, parts, view.hospital, who),
        "name": spoken.say("several", [discretion.short_name(one) for one in view.patient_names]),
        "line": view.line,
        "ahead": spoken.say("ahead", view.line - 1),
        "until": dates.moment(local(view.ends_at, view.zone)),
        "latest": wechat_time(local(view.ends_at, view.zone)),
        "phone": view.hospital_phone or current_app.config["HELP_PHONE"],
        "pair": view.party > 1,
    }


def _offer_words(
    view: WishView, about: Sequence[AppointmentView], now: datetime, spoken: Tongue
) -> dict[str, Any]:
    first, dates = about[0], spoken.dates
    sensitive = discretion.is_sensitive(first)
    until = min((one.held_until for one in about if one.held_until), default=now)
    near = dates.moment_near(local(until, first.zone), local(now, first.zone).date())
    return {
        "time": wechat_time(datetime.combine(first.visit_date, first.starts_local)),
        "latest": wechat_time(local(until, first.zone)),
        "when": dates.when_long(first.visit_date, first.starts_local, first.part),
        "times": [
            {
                "when": dates.when_long(one.visit_date, one.starts_local, one.part),
                "name": discretion.short_name(one.patient_name),
            }
            for one in about
        ],
        "place": place(first),
        "address": first.address,
        "room": discretion.spot(sensitive, first.room),
        "department": spoken.say("outpatient") if sensitive else first.department,
        "doctor": spoken.say("doctor", first.doctor, first.doctor_pinyin),
        "doctor_full": spoken.say("doctor_full", first.doctor, first.doctor_pinyin),
        "doctor_title": spoken.say("title", first.doctor_title),
        "fee": dates.fee(first.fee_cents),
        "fee_name": first.fee_name,
        "accept_by": spoken.say("until", near),
    }
