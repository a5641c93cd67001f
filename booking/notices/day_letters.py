"""What the reminder says when somebody has several visits on one day."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from flask import current_app

from booking.appointments.queries import AppointmentView
from booking.clock import local
from booking.notices import discretion
from booking.notices.letters import PAGE, place, sentence
from booking.notices.senders.provider import Rendered
from booking.notices.shaping import shape, site
from booking.notices.tongue import Tongue, tongue

PLACES = ("first", "second", "third")
"""A short message names so many visits; of more it says where the others stand."""


def day_letter(
    channel: str,
    day: Sequence[AppointmentView],
    *,
    now: datetime,
    language: str | None = None,
    sensitive: Collection[uuid.UUID],
) -> Rendered:
    """Return the reminder of a day with several visits of one patient at one campus, the earliest first.

    `sensitive` are the ids of those whose department stays unnamed.
    """
    spoken = tongue(language)
    visits = [_visit(one, one.id in sensitive, spoken) for one in day]
    first, dates = day[0], spoken.dates
    here = local(now, first.zone)
    open_until = min(local(one.cancel_deadline, one.zone) for one in day)
    words: dict[str, Any] = {
        "site": site(),
        "day": dates.day_long(first.visit_date),
        "near": dates.near((first.visit_date - here.date()).days),
        "place": place(first),
        "address": first.address,
        "name": discretion.short_name(first.patient_name),
        "count": len(day),
        "visits": visits,
        "deadline": dates.moment(open_until) if open_until > here else "",
        "desk": spoken.say("desk", discretion.spot(any(one.id in sensitive for one in day), first.desk)),
        "phone": first.hospital_phone or current_app.config["HELP_PHONE"],
        "more": len(day) > len(PLACES),
    }
    for number, name in enumerate(PLACES):
        one = visits[number] if number < len(visits) else {}
        words |= {f"{name}_{what}": one.get(what, "") for what in ("at", "department", "code")}
    return shape("several", channel, words, spoken, page=PAGE)


def _visit(view: AppointmentView, sensitive: bool, spoken: Tongue) -> dict[str, str]:
    unnamed = spoken.say("prepare_unnamed", site()) if sensitive else sentence(view.preparation)
    return {
        "at": spoken.dates.clock(view.starts_local),
        "department": spoken.say("outpatient") if sensitive else view.department,
        "doctor": spoken.say("doctor_full", view.doctor, view.doctor_pinyin),
        "room": discretion.spot(sensitive, view.room),
        "code": spoken.dates.spaced_code(view.visit_code or ""),
        "preparation": unnamed if view.preparation else "",
    }
