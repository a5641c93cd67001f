"""The visit as a calendar entry (iCalendar, RFC 5545 and 5546)."""

from __future__ import annotations

from email.utils import parseaddr
from urllib.parse import urlsplit

from flask import current_app
from icalendar import Calendar, Event, vCalAddress, vText

from booking.appointments.queries import AppointmentView
from booking.clock import db_now, local
from booking.db import db
from booking.notices import discretion
from booking.notices.filling import fill, lines_of
from booking.notices.tongue import Tongue

CHINESE = Tongue("zh")


def appointment_ics(
    view: AppointmentView, method: str = "PUBLISH", *, attendee: str = "", tongue: Tongue = CHINESE
) -> bytes:
    """Return the .ics of an appointment: PUBLISH for a download, REQUEST and CANCEL (with `attendee`) for e-mail.

    The UID stays the same for the life of the appointment and SEQUENCE is its version, so a calendar that has the
    entry moves or removes it. Carries no alarm: the reminders are ours. Names what a letter may name.
    Whom it is for counts as coming already, so that nobody is asked to answer an address nobody reads.
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
    words = {
        "department": tongue.say("outpatient") if sensitive else view.department,
        "doctor": tongue.say("doctor_full", view.doctor, view.doctor_pinyin),
        "code": tongue.dates.spaced_code(view.visit_code or ""),
        "name": discretion.short_name(view.patient_name),
        "phone": view.hospital_phone or settings["HELP_PHONE"],
    }
    summary, description = lines_of(fill(f"{tongue.sentences('calendar')}.txt", words))
    entry.add("summary", summary)
    room = discretion.spot(sensitive, view.room)
    entry.add(
        "location", "，".join(part for part in (view.hospital, view.campus, room, view.address) if part)
    )
    entry.add("description", description)
    if method != "PUBLISH":
        organizer = vCalAddress(f"mailto:{parseaddr(settings['MAIL_FROM'])[1]}")
        organizer.params["CN"] = vText(settings["SITE_NAME"])
        entry.add("organizer", organizer)
        guest = vCalAddress(f"mailto:{attendee}")
        guest.params |= {"ROLE": "REQ-PARTICIPANT", "PARTSTAT": "ACCEPTED", "RSVP": "FALSE"}
        entry.add("attendee", guest)
    calendar = Calendar()
    calendar.add("prodid", f"-//{settings['SITE_NAME']}//booking//{tongue.language.upper()}")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", method)
    calendar.add_component(entry)
    calendar.add_missing_timezones()
    return calendar.to_ical()
