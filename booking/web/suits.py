"""Who of an account's people can take a held time: said on the confirm page before the button, decided by the verb."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from flask import url_for
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.no_show_rules import Blocked
from booking.appointments.patient_rules import blocked, blocks_of
from booking.db import db
from booking.directory.models import Policy
from booking.errors import Refusal
from booking.people.queries import PatientView
from booking.schedule.admission import (
    Admits,
    BirthDateUnknown,
    NotAdmitted,
    NotThisAge,
    NotThisSex,
    SexUnknown,
    ensure_admitted,
    full_years,
)
from booking.web.session import now


class Visit(Protocol):
    """What is asked of a time, held or waited for: where and when it is, and whom its session is for."""

    @property
    def hospital_id(self) -> int: ...
    @property
    def hospital_slug(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def visit_date(self) -> date: ...
    @property
    def admits(self) -> Admits | None: ...


def notes(view: Visit, people: list[PatientView], policy: Policy) -> dict[str, str]:
    """Return what stands beside each patient's name: why this time is not for them, else the end of their ID number."""
    found = blocks_of(db.session(), policy, view.hospital_id, [one.id for one in people], _today(view))
    said = {}
    for one in people:
        standing = found.get(one.id)
        if standing:
            said[str(one.id)] = _("%(day)s前不能在网上预约", day=wording.day_short(standing.until))
        else:
            said[str(one.id)] = _unsuited(view, one) or (
                _("证件尾号 %(t)s", t=one.id_tail) if one.id_tail else ""
            )
    return {name: text for name, text in said.items() if text}


def warnings(view: Visit, people: list[PatientView], policy: Policy) -> list[str]:
    """Return a sentence for each patient whose online booking is closed at this hospital."""
    session = db.session()
    found = blocks_of(session, policy, view.hospital_id, [one.id for one in people], _today(view))
    return [
        blocked(session, policy, view.hospital_id, patient_id, one).text for patient_id, one in found.items()
    ]


def way_on(refusal: Refusal, view: Visit) -> dict[str, str] | None:
    """Return the link that leads on from a refusal about the patient, None when there is none."""
    if isinstance(refusal, Blocked):
        return {"text": _("看爽约记录"), "url": url_for("no_shows.list_no_shows")}
    if isinstance(refusal, (BirthDateUnknown, SexUnknown)):
        return {"text": _("去补上"), "url": url_for("patients.list_patients")}
    if isinstance(refusal, NotAdmitted):
        url = url_for("doctors.list_doctors", hospital=view.hospital_slug)
        return {"text": _("看这家医院的其他门诊"), "url": url}
    return None


def _today(view: Visit) -> date:
    return clock.local(now(), view.zone).date()


def _unsuited(view: Visit, one: PatientView) -> str:
    """Why age or sex keeps this patient out, in a few words; earlier visits and referrals are asked at confirm."""
    years = full_years(one.birth_date, view.visit_date)
    try:
        ensure_admitted(view.admits, age=years, sex=one.sex, been_before=None, vouched=True, patient="")
    except NotThisAge:
        return _("就诊当天 %(n)s 岁，不在接诊范围", n=years)
    except NotThisSex:
        return _("不在接诊范围")
    except Refusal:
        return _("资料还不全")
    return ""
