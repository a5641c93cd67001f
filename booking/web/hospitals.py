"""Hospitals: the list, and a hospital's page."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.db import db
from booking.directory.policy import current_policy
from booking.directory.queries import count_hospitals, hospital_page
from booking.directory.queries import hospitals as hospitals_of
from booking.directory.views import DepartmentView, HospitalCard
from booking.errors import NotFound
from booking.web import cards, lists
from booking.web.inputs import whole
from booking.web.policy_words import rule_lines

blueprint = Blueprint("hospitals", __name__)

PAGE = 30
DOCTORS_SHOWN = 6
CONSIDERED = 60


def _crumbs(last: str = "", slug: str = "") -> list[lists.Row]:
    listed: list[lists.Row] = [
        {"name": _("首页"), "url": "/"},
        {"name": _("医院"), "url": url_for("hospitals.list_hospitals")},
    ]
    return [*listed, {"name": last, "url": url_for("hospitals.hospital", slug=slug)}] if last else listed


@blueprint.get("/h")
def list_hospitals() -> ResponseReturnValue:
    """Show the hospitals, those that can be booked first."""
    page = whole(request.args.get("page"))
    pages = max(1, -(-count_hospitals() // PAGE))
    rows = [_entry(one) for one in hospitals_of(limit=PAGE, offset=(page - 1) * PAGE)]
    return render_template(
        "web/hospitals.html",
        crumbs=_crumbs(),
        hospitals=rows,
        pager=lists.pager(page, pages, "hospitals.list_hospitals"),
    )


def _entry(one: HospitalCard) -> lists.Row:
    return {
        "name": one.name,
        "url": url_for("hospitals.hospital", slug=one.slug),
        "grade": one.level,
        "district": " ".join(word for word in (one.city, one.district) if word),
        "address": one.address,
        "note": "",
    }


@blueprint.get("/h/<slug:slug>")
def hospital(slug: str) -> ResponseReturnValue:
    """Show where a hospital is, its departments, and who can be seen soonest."""
    found = hospital_page(slug)
    if found is None:
        raise NotFound(_("没有找到这家医院。"))
    own = found.hospital
    campuses = [
        {
            "name": one.name,
            "address": one.address or own.address,
            "transport": one.transport or found.transport,
            "map_url": None,
            "phone": one.phone,
        }
        for one in found.campuses
    ]
    return render_template(
        "web/hospital.html",
        crumbs=_crumbs(own.name, own.slug),
        hospital={
            "name": own.name,
            "slug": own.slug,
            "grade": own.level,
            "gist": found.about,
            "phone": own.phone,
        },
        campuses=campuses,
        notices=[],
        departments=[_department(one, own) for one in found.departments if one.has_clinic or one.doctors],
        doctors=cards.bookable(cards.cards(found.doctors[:CONSIDERED]), DOCTORS_SHOWN),
        rules=rule_lines(current_policy(db.session(), own.id)),
    )


def _department(one: DepartmentView, own: HospitalCard) -> lists.Row:
    url = url_for("doctors.list_doctors", dept=one.specialty_slug or None, hospital=own.slug)
    return {"name": one.name, "url": url, "note": _("%(n)s 位医生", n=one.doctors) if one.doctors else ""}
