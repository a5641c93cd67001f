"""What each letter about a visit says, as it would be sent: by kind and language, over every channel."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.appointments.queries import AppointmentView, appointment
from booking.appointments.rules import NoSuchAppointment
from booking.desk.house import house
from booking.desk.session import hospital_id, staff_page
from booking.notices.preview import KINDS, page, preview
from booking.notices.queries import kind_label
from booking.people.preferences import LANGUAGES

blueprint = Blueprint("previews", __name__)

ALONE = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""A letter brings its own style, as it must in a mailbox; nothing else is let in."""


@blueprint.get("/appointment/<uuid:appointment_id>/letters")
@staff_page("read_appointment")
def previews(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Show what one kind of letter about this visit says over each channel, in one language."""
    view, at = _view(appointment_id), house()
    kind, language = _kind(), _language()
    missing = kind == "preparation" and not view.preparation
    return render_template(
        "staff/letters.html",
        when_label=wording.when_long(view.visit_date, view.starts_local, view.part),
        doctor=view.doctor,
        filters=[
            {
                "id": "f-kind",
                "name": "kind",
                "label": _("哪种通知"),
                "value": kind,
                "options": [(one, _label(one)) for one in KINDS],
            },
            {
                "id": "f-language",
                "name": "language",
                "label": _("语言"),
                "value": language,
                "options": list(LANGUAGES.items()),
            },
        ],
        kind_label=_label(kind),
        letters=[] if missing else preview(view, kind, language=language, now=at.now, reason=_reason()),
        language=language,
        page_url=url_for("desk.previews.mail", appointment_id=view.id, kind=kind, language=language),
        back_url=url_for("desk.appointments.detail", appointment_id=view.id),
    )


@blueprint.get("/appointment/<uuid:appointment_id>/letters/mail")
@staff_page("read_appointment")
def mail(appointment_id: uuid.UUID) -> Response:
    """Show the e-mail as its reader sees it."""
    text = page(_view(appointment_id), _kind(), language=_language(), now=house().now, reason=_reason())
    answer = make_response(text)
    answer.headers["Content-Security-Policy"] = ALONE
    return answer


def _view(appointment_id: uuid.UUID) -> AppointmentView:
    found = appointment(hospital_id(), appointment_id)
    if found is None or found.patient_id is None:
        raise NoSuchAppointment()
    return found


def _kind() -> str:
    asked = request.args.get("kind", "")
    return asked if asked in KINDS else KINDS[0]


def _language() -> str:
    asked = request.args.get("language", "")
    return asked if asked in LANGUAGES else "zh"


def _label(kind: str) -> str:
    by_hospital = {"moved_by_hospital": _("改约（医院）"), "cancelled_by_hospital": _("取消预约（医院）")}
    return by_hospital.get(kind) or kind_label(kind)


def _reason() -> str:
    """What stands where the hospital gives a reason."""
    return _("医生临时有急诊手术")
