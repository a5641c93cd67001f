"""The visit as a calendar entry (iCalendar, RFC 5545 and 5546)."""

from __future__ import annotations

from email.utils import parseaddr
from urllib.parse import urlsplit

from flask import current_app
from flask_babel import gettext as _
from icalendar import Calendar, Event, vCalAddress, vText

from booking import wording
from booking.appointments.queries import AppointmentView
from booking.clock import db_now, local
from booking.db import db
from booking.notices import discretion


def appointment_ics(view: AppointmentView, method: str = "PUBLISH", *, attendee: str = "") -> bytes:
    """Return the .ics of an appointment: PUBLISH for a download, REQUEST and CANCEL (with `attendee`) for e-mail.

    The UID stays the same for the life of the appointment and SEQUENCE is its version, so a calendar that has the
    entry moves or removes it. Carries no alarm: the reminders are ours. Names what a letter may name.
    """
    settings = current_app.config
    sensitive = discretion.is_sensitive(view)
    called = method == "CANCEL" or view.status == "cancelled"
    entry = Event()
    entry.add("uid", f"{view.id}@{urlsplit(settings['PUBLIC_URL']).hostname}")
    entry.add("sequence", view.version)
    entry.add("dtstamp", db_now(db.session()).replace(microsecond=0))
    entry.add("dtstart", local(view.starts_at, view.zone))
    entry.add("dtend", local(view.ends_at, view.zone))
    entry.add("status", "CANCELLED" if called else "CONFIRMED")
    entry.add("transp", "TRANSPARENT" if called else "OPAQUE")
    entry.add("class", "PRIVATE")
    entry.add(
        "summary",
        _(
            "%(department)s就诊：%(doctor)s医生",
            department=discretion.department(view, sensitive),
            doctor=view.doctor,
        ),
    )
    room = discretion.spot(sensitive, view.room)
    entry.add(
        "location", "，".join(part for part in (view.hospital, view.campus, room, view.address) if part)
    )
    entry.add(
        "description",
        _(
            "预约码 %(code)s，就诊人%(name)s。要取消或改时间，请打电话 %(phone)s。",
            code=wording.spaced_code(view.visit_code or ""),
            name=discretion.short_name(view.patient_name),
            phone=view.hospital_phone or settings["HELP_PHONE"],
        ),
    )
    if method != "PUBLISH":
        organizer = vCalAddress(f"mailto:{parseaddr(settings['MAIL_FROM'])[1]}")
        organizer.params["CN"] = vText(settings["SITE_NAME"])
        entry.add("organizer", organizer)
        entry.add("attendee", vCalAddress(f"mailto:{attendee}"))
    calendar = Calendar()
    calendar.add("prodid", f"-//{settings['SITE_NAME']}//booking//ZH")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", method)
    calendar.add_component(entry)
    calendar.add_missing_timezones()
    return calendar.to_ical()
