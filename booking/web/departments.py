"""Departments: the tree of standard specialties, and one specialty's doctors and questions."""

from __future__ import annotations

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.content.queries import question_list
from booking.directory.queries import doctor_keys, hospitals, specialty, specialty_tree
from booking.directory.views import DoctorFilter, SpecialtyNode
from booking.errors import NotFound
from booking.web import cards, lists

blueprint = Blueprint("departments", __name__)

DOCTORS_SHOWN = 8
CONSIDERED = 60


def _note(node: SpecialtyNode) -> str:
    return _("%(n)s 位医生", n=node.doctors) if node.doctors else ""


def _item(node: SpecialtyNode) -> lists.Row:
    return lists.department(node.specialty) | {"note": _note(node)}


@blueprint.get("/dept")
def list_departments() -> ResponseReturnValue:
    """Show every specialty by its group."""
    groups, alone = [], []
    for node in specialty_tree():
        if node.children:
            items = [_item(child) for child in node.children]
            groups.append(_item(node) | {"id": node.specialty.slug, "items": items})
        else:
            alone.append(_item(node))
    if alone:
        rest = _("其他科室") if groups else _("科室")
        groups.append({"name": rest, "url": "", "id": "more", "items": alone})
    crumbs = [
        {"name": _("首页"), "url": "/"},
        {"name": _("科室"), "url": url_for("departments.list_departments")},
    ]
    return render_template("web/departments.html", crumbs=crumbs, groups=groups, hospital=None)


@blueprint.get("/dept/<slug:slug>")
def department(slug: str) -> ResponseReturnValue:
    """Show what a specialty treats, its doctors soonest first, its questions and hospitals."""
    found = specialty(slug)
    if found is None:
        raise NotFound(_("没有这个科室。"))
    keys = doctor_keys(DoctorFilter(dept=slug), limit=CONSIDERED)
    doctors = [one for one in cards.soonest(cards.cards(keys)) if one.has_clinic]
    return render_template(
        "web/department.html",
        crumbs=lists.specialty_crumbs(found),
        department={"name": found.name, "gist": found.about, "hospital": ""},
        doctors=doctors[:DOCTORS_SHOWN],
        more_url=url_for("doctors.list_doctors", dept=slug) if len(doctors) > DOCTORS_SHOWN else "",
        red_flags=list(found.red_flags),
        questions=lists.question_rows(question_list(specialty_ids=[found.id], per_page=8).questions),
        hospitals=lists.hospital_rows(hospitals(specialty_id=found.id, limit=6)),
        phone="",
    )
