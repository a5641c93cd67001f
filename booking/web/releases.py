"""When numbers open, for machines and calendars: JSON and iCalendar of a hospital, a doctor, one session."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from flask.wrappers import Response
from flask_babel import gettext as _

from booking.clock import local
from booking.directory.queries import doctor, hospital_page
from booking.directory.views import HospitalCard
from booking.errors import NotFound
from booking.limits import limiter
from booking.notices.release_calendar import releases_ics, releases_json
from booking.refs import Key
from booking.schedule.releases import SessionRelease, releases
from booking.web.session import now

blueprint = Blueprint("releases", __name__)

FRESH_SECONDS = 300
OFTEN_ENOUGH = "60/minute"
Found = tuple[str, HospitalCard, list[SessionRelease]]


@blueprint.get("/h/<slug:slug>/releases.json")
@limiter.limit(OFTEN_ENOUGH)
def hospital_json(slug: str) -> ResponseReturnValue:
    """Return a hospital's release calendar for programs."""
    return _json(_of_hospital(slug))


@blueprint.get("/h/<slug:slug>/releases.ics")
@limiter.limit(OFTEN_ENOUGH)
def hospital_ics(slug: str) -> ResponseReturnValue:
    """Return a hospital's release calendar to subscribe to."""
    return _ics(_of_hospital(slug))


@blueprint.get("/d/<slug:slug>/releases.json")
@limiter.limit(OFTEN_ENOUGH)
def doctor_json(slug: str) -> ResponseReturnValue:
    """Return a doctor's release calendar for programs."""
    return _json(_of_doctor(slug))


@blueprint.get("/d/<slug:slug>/releases.ics")
@limiter.limit(OFTEN_ENOUGH)
def doctor_ics(slug: str) -> ResponseReturnValue:
    """Return a doctor's release calendar to subscribe to."""
    return _ics(_of_doctor(slug))


@blueprint.get("/release/<ref:session>.ics")
@limiter.limit(OFTEN_ENOUGH)
def reminder(session: Key) -> ResponseReturnValue:
    """Return one session's openings as calendar entries that ring ten minutes before."""
    found = releases(session[0], now(), session_id=session[1])
    if not found:
        raise NotFound(_("这个班次没有还没放的号。"))
    name = _("%(doctor)s医生放号", doctor=found[0].doctor)
    return _calendar(releases_ics(name, found, remind=True), found)


def _of_hospital(slug: str) -> Found:
    page = hospital_page(slug)
    if page is None:
        raise NotFound(_("没有找到这家医院。"))
    own = page.hospital
    return _("%(name)s放号", name=own.name), own, releases(own.id, now())


def _of_doctor(slug: str) -> Found:
    row = doctor(slug)
    if row is None:
        raise NotFound(_("没有找到这位医生，可能已不在这家医院出诊。"))
    found = releases(row.hospital_id, now(), doctor_id=row.id)
    return _("%(name)s医生放号", name=row.name), row.hospital, found


def _json(found: Found) -> ResponseReturnValue:
    _name, own, sessions = found
    url = f"{current_app.config['PUBLIC_URL']}/h/{own.slug}"
    answer = jsonify(releases_json({"slug": own.slug, "name": own.name, "url": url}, sessions))
    return _kept(answer, sessions)


def _ics(found: Found) -> ResponseReturnValue:
    name, _own, sessions = found
    return _calendar(releases_ics(name, sessions), sessions)


def _calendar(body: bytes, sessions: Sequence[SessionRelease]) -> Response:
    answer = Response(body, mimetype="text/calendar")
    answer.headers["Content-Disposition"] = 'inline; filename="releases.ics"'
    return _kept(answer, sessions)


def _kept(answer: Response, sessions: Sequence[SessionRelease]) -> Response:
    """Let anybody keep the answer for five minutes and ask again cheaply; it names nobody who asked."""
    changed: datetime | None = max((one.changed_at for one in sessions), default=None)
    answer.cache_control.public = True
    answer.cache_control.max_age = FRESH_SECONDS
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    answer.set_etag(hashlib.sha256(answer.get_data()).hexdigest()[:32])
    if changed is not None:
        answer.last_modified = local(changed, "UTC")
    answer.make_conditional(request)
    return answer
