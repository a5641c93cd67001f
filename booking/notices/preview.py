"""What the letters about one appointment say, before any is sent: for the staff to read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from booking.appointments.queries import AppointmentView
from booking.notices.letters import ABOUT_A_VISIT, visit_letter
from booking.notices.queries import channel_label
from booking.notices.segments import segments_of
from booking.notices.senders.provider import Rendered

CHANNELS = ("sms", "app", "email", "wechat")
RUNG = ("moved_by_hospital", "stopped", "cancelled_by_hospital")
"""What a telephone is rung about as well."""
_OFTEN = (
    "confirmed",
    "reminder_day",
    "reminder_hours",
    "preparation",
    "moved",
    "moved_by_hospital",
    "cancelled",
    "cancelled_by_hospital",
)
KINDS = (*_OFTEN, *(kind for kind in ABOUT_A_VISIT if kind not in _OFTEN))
"""In the order of a visit's life; a move and a cancellation say something else when they are the hospital's."""
NOWHERE = "you@example.org"


@dataclass(frozen=True)
class Shown:
    """One letter as it would be sent: `length` in signs, `segments` short messages (0 where that does not count)."""

    channel: str
    channel_label: str
    subject: str
    text: str
    html: str
    length: int
    segments: int
    calendar: str


def preview(view: AppointmentView, kind: str, *, language: str, now: datetime, reason: str) -> list[Shown]:
    """Return the letters of `kind` (one of KINDS) about an appointment over each channel, in `language`, at `now`.

    Written by the very function that writes what is sent. What a verb would have to say beside (a time before the move, a
    `reason` of the hospital) is filled in. Nothing is put and nothing is sent.
    """
    told, seen, facts = _as_if(view, kind, reason)
    channels = [*CHANNELS, *(["voice"] if kind in RUNG else [])]
    return [
        _shown(
            channel,
            visit_letter(told, channel, seen, facts, now=now, address=NOWHERE, language=language),
        )
        for channel in channels
    ]


def page(view: AppointmentView, kind: str, *, language: str, now: datetime, reason: str) -> str:
    """Return the e-mail of `kind` as the page its reader sees."""
    told, seen, facts = _as_if(view, kind, reason)
    return visit_letter(told, "email", seen, facts, now=now, address=NOWHERE, language=language).html


def _as_if(view: AppointmentView, kind: str, reason: str) -> tuple[str, AppointmentView, dict[str, Any]]:
    """The kind, the appointment and what the verb would have noted, had it just happened."""
    if kind in ("moved", "moved_by_hospital"):
        whose = {"by": "hospital", "reason": reason} if kind == "moved_by_hospital" else {"by": "patient"}
        before = {"visit_date": view.visit_date.isoformat(), "starts_local": f"{view.starts_local:%H:%M}"}
        return "moved", view, {"from": before | {"part": view.part}} | whose
    if kind in ("cancelled", "cancelled_by_hospital"):
        by = "hospital" if kind == "cancelled_by_hospital" else "patient"
        return "cancelled", replace(view, cancelled_late=False), {"by": by}
    if kind in ("stopped", "appeal_declined"):
        return kind, view, {"reason": reason}
    return kind, view, {}


def _shown(channel: str, letter: Rendered) -> Shown:
    return Shown(
        channel=channel,
        channel_label=channel_label(channel),
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        length=len(letter.text),
        segments=segments_of(letter.text) if channel == "sms" else 0,
        calendar=letter.calendar_method if letter.calendar else "",
    )
