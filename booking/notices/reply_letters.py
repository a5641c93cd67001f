"""What we answer to a short message that somebody sent back."""

from __future__ import annotations

from flask import current_app

from booking.appointments.queries import AppointmentView
from booking.notices.senders.provider import Rendered
from booking.notices.shaping import shape, site
from booking.notices.tongue import tongue

WORDS = ("coming", "over", "refused", "stopped", "wrong", "last", "unclear")
"""What an answer may say; its sentence stands in `reply_<word>.sms.txt`."""


def reply_letter(
    word: str, reason: str, view: AppointmentView | None, *, language: str | None = None
) -> Rendered:
    """Return the answer `word` (one of WORDS): about a visit, or None; `reason` is a refusal's sentence, or ""."""
    spoken = tongue(language)
    words = {
        "site": site(),
        "reason": reason.rstrip("。"),
        "when": spoken.dates.when_long(view.visit_date, view.starts_local, view.part) if view else "",
        "place": view.hospital if view else "",
        "phone": (view.hospital_phone if view else "") or current_app.config["HELP_PHONE"],
    }
    return shape(f"reply_{word}", "sms", words, spoken)
