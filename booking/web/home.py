"""The first page: search, the next visit, departments, who can be seen soonest, newest answers."""

from __future__ import annotations

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.appointments.queries import next_of_account
from booking.content.queries import articles, hot_tags, newest_answered
from booking.directory.queries import hospitals, recommended_doctors, specialty_tree
from booking.directory.views import SpecialtyNode
from booking.web import cards, lists, passes
from booking.web.session import account_id, now

blueprint = Blueprint("home", __name__)

DEPARTMENTS_SHOWN = 12
DOCTORS_SHOWN = 6
CONSIDERED = 60
EXAMPLES = 6


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Show the first page."""
    person = account_id()
    ahead = next_of_account(person) if person else None
    tags = hot_tags(10)
    return render_template(
        "web/home.html",
        next=passes.ticket(ahead, now(), owner=True, qr=False) if ahead else None,
        departments=_departments(),
        soonest=cards.bookable(cards.cards(recommended_doctors(None, limit=CONSIDERED)), DOCTORS_SHOWN),
        questions=lists.question_rows(newest_answered(10)),
        tags=lists.tag_chips(tags),
        articles=lists.article_rows(articles("article", limit=6)),
        news=lists.article_rows(articles("news", limit=6)),
        hospitals=lists.hospital_rows(hospitals(limit=5)),
        examples=[{"name": one.name, "url": url_for("search.search", q=one.name)} for one in tags[:EXAMPLES]],
    )


def _departments() -> list[lists.Row]:
    """Return the specialties with most doctors: those of the second level where there is one."""
    nodes: list[SpecialtyNode] = []
    for node in specialty_tree():
        nodes += node.children or (node,)
    staffed = sorted(
        (one for one in nodes if one.doctors and one.specialty.has_clinic), key=lambda one: -one.doctors
    )
    return [
        lists.department(one.specialty) | {"note": _("%(n)s 位医生", n=one.doctors)}
        for one in staffed[:DEPARTMENTS_SHOWN]
    ]
