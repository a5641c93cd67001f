"""An appointment as its ticket shows it: on the success page, in lists, on the slip. Words only; no query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import segno
from flask import url_for
from flask_babel import gettext as _
from markupsafe import Markup

from booking import clock, wording
from booking.appointments.queries import AppointmentView

TONES = {
    "held": "soon",
    "confirming": "soon",
    "booked": "ok",
    "arrived": "ok",
    "in_visit": "ok",
    "no_show": "stop",
}
WAITING = ("arrived", "in_visit")
"""While somebody waits to be called, their number is worth saying."""


@dataclass(frozen=True)
class Pass:
    """See templates/parts/ticket.html pass() and templates/web/appointment.html, slip.html, my_appointments.html."""

    status: str
    code: str
    status_label: str
    tone: str
    when_label: str
    time_range: str
    doctor: str
    title: str
    department: str
    hospital: str
    place: str
    patient_label: str
    fee_label: str
    fee: str
    cancel_by_label: str
    qr: Markup
    url: str
    calendar_url: str
    slip_url: str
    change_url: str
    cancel_url: str
    doctor_url: str
    map_url: str
    late: bool
    phone: str
    share_text: str
    cancelled_label: str
    queue_label: str
    arrive_label: str = ""
    bring: str = ""
    printed_at: str = ""


def ticket(view: AppointmentView, now: datetime, *, owner: bool, qr: bool = False) -> Pass:
    """Return the ticket of an appointment.

    `owner` is false for whoever came with the visit code: they see, cancel and print, but do not change.
    """
    when = wording.when_long(view.visit_date, view.starts_local, view.part)
    place = " ".join(part for part in (view.campus, view.room) if part)
    live = view.status == "booked"
    code = view.visit_code
    name = view.ref
    stopped = view.status == "cancelled" and view.cancelled_by == "hospital"
    return Pass(
        status=view.status,
        code=code if view.status in ("booked", "arrived", "in_visit") else "",
        status_label=_("医院已取消") if stopped else view.status_name,
        tone="stop" if stopped else TONES.get(view.status, "off"),
        when_label=when,
        time_range=f"{wording.clock(view.starts_local)}–{wording.clock(view.ends_local)}",
        doctor=view.doctor,
        title=view.doctor_title,
        department=view.department,
        hospital=view.hospital,
        place=" ".join(part for part in (view.hospital, place) if part),
        patient_label=view.patient_masked,
        fee_label=view.fee_name,
        fee=wording.fee(view.fee_cents) if view.fee_cents else "",
        cancel_by_label=cancel_by(view, now) if live else "",
        qr=qr_svg(code) if qr and code else Markup(""),
        url=url_for("appointments.detail", appointment=name),
        calendar_url=url_for("appointments.calendar", appointment=name),
        slip_url=url_for("appointments.slip", appointment=name),
        change_url=url_for("change.choose", appointment=name) if owner and view.can_move else "",
        cancel_url=url_for("appointments.cancel", appointment=name) if view.can_cancel else "",
        doctor_url=url_for("doctors.doctor", doctor=view.doctor_slug),
        map_url=url_for("hospitals.hospital", slug=view.hospital_slug, _anchor="h-where"),
        late=bool(view.cancel_is_late),
        phone=view.hospital_phone,
        share_text=_("%(when)s，%(where)s就诊", when=when, where=f"{view.hospital} {view.campus}".strip()),
        cancelled_label=_cancelled(view),
        queue_label=_("排队号 %(n)s", n=view.queue_number)
        if view.queue_number and view.status in WAITING
        else "",
        arrive_label=_("%(time)s 前到%(desk)s", time=arrive_time(view), desk=view.desk or _("分诊台")),
        bring=_("身份证或电子医保凭证"),
        printed_at=wording.moment(clock.local(now, view.zone)),
    )


def arrive_time(view: AppointmentView) -> str:
    """Return the wall-clock time by which to be at the desk, 「08:10」."""
    return wording.clock(clock.local(view.starts_at - timedelta(minutes=view.arrive_minutes), view.zone))


def doctor_line(view: AppointmentView) -> dict[str, Any]:
    """Return the doctor of an appointment as a card's head."""
    return {
        "name": view.doctor,
        "title": view.doctor_title,
        "surname": view.doctor[:1],
        "hospital": view.hospital,
        "department": view.department,
        "url": url_for("doctors.doctor", doctor=view.doctor_slug),
        "skill": "",
        "verified": False,
    }


def summary(view: AppointmentView, now: datetime) -> dict[str, str]:
    """Return what the confirm page says is about to be booked."""
    return {
        "when_label": wording.when_long(view.visit_date, view.starts_local, view.part),
        "place": " ".join(one for one in (view.hospital, view.campus, view.room) if one),
        "meta_line": view.kind_name,
        "fee_label": view.fee_name,
        "fee": wording.fee(view.fee_cents) if view.fee_cents else "",
        "cancel_by_label": cancel_by(view, now),
    }


def cancel_by(view: AppointmentView, now: datetime) -> str:
    """Return the latest moment to cancel without trace, or "" when it has passed: never a deadline already past."""
    if view.cancel_deadline is None or view.cancel_deadline <= now:
        return ""
    return _(
        "%(when)s 前按时取消，不记爽约", when=wording.moment(clock.local(view.cancel_deadline, view.zone))
    )


def regret_label(view: AppointmentView, now: datetime) -> str:
    """Return 「09:27」, until when a fresh booking is cancelled without trace, or ""."""
    if view.status != "booked" or view.regret_until is None or view.regret_until <= now:
        return ""
    return wording.clock(clock.local(view.regret_until, view.zone))


def late_text(view: AppointmentView, now: datetime) -> str:
    """Return the sentence that says what cancelling now means once the deadline has passed."""
    deadline = clock.local(view.cancel_deadline, view.zone)
    when = wording.moment_near(deadline, clock.local(now, view.zone).date())
    return _("已过按时取消时间（%(when)s）。现在取消会记为临时取消，不算爽约。", when=when)


def _cancelled(view: AppointmentView) -> str:
    if view.status != "cancelled" or view.cancelled_at is None:
        return ""
    when = wording.moment(clock.local(view.cancelled_at, view.zone))
    if view.cancelled_by == "hospital":
        if not view.stop_reason:  # the desk's own reason is a note for the record, not for the patient
            return _("医院于 %(when)s 取消了这个预约。", when=when)
        said = _("医院于 %(when)s 停诊，这个预约已取消。给你带来不便，很抱歉。", when=when)
        return said + _("原因：%(reason)s。", reason=view.stop_reason)
    late = _("，记为临时取消") if view.cancelled_late else ""
    return _("%(when)s 已取消%(late)s", when=when, late=late)


def qr_svg(code: str) -> Markup:
    """Return the code as an inline SVG without style attributes (the pages' policy allows none)."""
    drawn = segno.make_qr(code, error="m").svg_inline(
        border=2, omitsize=True, svgclass=None, lineclass=None, scale=4
    )
    return Markup(drawn)
