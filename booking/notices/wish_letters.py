"""What the letters of the waiting list say: joined, offered, missed, ended. Sentences stand in templates/notices/."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import current_app
from flask_babel import gettext as _

from booking import wording
from booking.appointments.queries import AppointmentView
from booking.appointments.wish_queries import WishView
from booking.clock import local
from booking.notices import discretion
from booking.notices.filling import fill, lines_of
from booking.notices.letters import mark, site
from booking.notices.senders.provider import Rendered
from booking.notices.short_text import short_message

ABOUT_A_WISH = ("wish_joined", "wish_offer", "wish_missed", "wish_ended")
NAMED = 2


def wish_letter(
    kind: str,
    channel: str,
    view: WishView,
    about: Sequence[AppointmentView],
    facts: dict[str, Any],
    *,
    now: datetime,
) -> Rendered:
    """Return the letter of `kind` (one of ABOUT_A_WISH), shaped for its channel.

    `view` is the wish as it is now; `about` are the appointments of the offer the letter tells of, two for a pair; `facts`
    say why an offer or a wish ended.
    """
    words = _words(view, facts, now) | (_offer_words(view, about, now) if about else {})
    titles = {
        "wish_joined": _("候补已登记"),
        "wish_offer": _("有号了，请在%(until)s 前确认", until=words.get("accept_by", "")),
        "wish_missed": _("号已让给下一位，你仍在候补"),
        "wish_ended": _("候补已结束"),
    }
    subject = titles[kind]
    if channel == "sms":
        return short_message(subject, kind, words)
    lines = lines_of(fill(f"{kind}.txt", words))
    if channel == "app":
        return Rendered(subject, "\n".join(lines))
    lines.append(_("在网上查看：%(url)s", url=f"{current_app.config['PUBLIC_URL']}/me/wishes"))
    return Rendered(
        f"{mark()}{subject}",
        "\n".join([*lines, "", _("这封信由%(site)s自动发出，请不要回复。", site=site())]),
        html=fill("letter.html", {"subject": subject, "lines": lines, "site": site()}),
    )


def _words(view: WishView, facts: dict[str, Any], now: datetime) -> dict[str, Any]:
    sensitive = discretion.is_sensitive(view)
    department = _("门诊") if sensitive else view.department
    named = _("、").join(view.doctors[:NAMED]) + (_("等医生") if len(view.doctors) > NAMED else _("医生"))
    who = department + (named if view.doctors else "")
    dates = wording.day_long(view.first_date)
    if view.last_date != view.first_date:
        first, last = wording.day_short(view.first_date), wording.day_short(view.last_date)
        dates = _("%(first)s到 %(last)s", first=first, last=last)
    name = _("、").join(discretion.short_name(one) for one in view.patient_names)
    ahead = view.line - 1
    parts = f" {_('、').join(view.parts)}" if view.parts else ""
    return {
        "site": site(),
        "place": view.hospital,
        "who": who,
        "dates": dates,
        "what": f"{dates}{parts}，{view.hospital} {who}",
        "name": name,
        "line": view.line,
        "ahead": _("前面还有 %(n)s 人", n=ahead) if ahead > 0 else _("排在最前面"),
        "until": wording.moment(local(view.ends_at, view.zone)),
        "phone": view.hospital_phone or current_app.config["HELP_PHONE"],
        "stopped": facts.get("why") == "stopped",
        "booked": facts.get("why") == "booked",
        "pair": view.party > 1,
    }


def _offer_words(view: WishView, about: Sequence[AppointmentView], now: datetime) -> dict[str, Any]:
    first = about[0]
    sensitive = discretion.is_sensitive(first)
    until = min((one.held_until for one in about if one.held_until), default=now)
    place = first.hospital if first.campus in first.hospital else f"{first.hospital}{first.campus}"
    return {
        "when": wording.when_long(first.visit_date, first.starts_local, first.part),
        "times": [
            {
                "when": wording.when_long(one.visit_date, one.starts_local, one.part),
                "name": discretion.short_name(one.patient_name),
            }
            for one in about
        ],
        "place": place,
        "address": first.address,
        "room": discretion.spot(sensitive, first.room),
        "department": discretion.department(first, sensitive),
        "doctor": first.doctor,
        "doctor_title": first.doctor_title,
        "fee": wording.fee(first.fee_cents),
        "fee_name": first.fee_name,
        "accept_by": _spaced(wording.moment_near(local(until, first.zone), local(now, first.zone).date())),
    }


def _spaced(moment: str) -> str:
    """A moment after a Chinese word: a blank before a digit, none before 「今天」."""
    return f" {moment}" if moment[:1].isdigit() else moment
