"""Search over everything, and the assistant that names a department; neither keeps what was typed."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.content.search import search as search_for
from booking.content.search import suggest
from booking.content.views import SearchResult, Suggestion
from booking.web import cards, lists
from booking.web.forms import AskForm
from booking.web.inputs import line, whole

blueprint = Blueprint("search", __name__)

ELDER_WORDS = ("长辈版", "关怀版", "亲情版", "关爱版", "老年版", "大字版")
PAGE = 20


@blueprint.get("/search")
def search() -> ResponseReturnValue:
    """Show what was found, all kinds or one; the words for large print answer with its switch."""
    query = line(request.args.get("q"))
    kinds = {
        "all": _("全部"),
        "questions": _("问题"),
        "doctors": _("医生"),
        "hospitals": _("医院"),
        "articles": _("科普"),
    }
    kind = request.args.get("type", "all")
    kind = kind if kind in kinds else "all"
    page = whole(request.args.get("page"), most=500)
    found = search_for(query, kind=kind, page=page, per_page=PAGE) if query else SearchResult("", ())
    pages = 1 if kind == "all" else max(1, -(-found.counts.get(kind, 0) // PAGE))
    doctors = {one.key: one for one in found.doctors}
    return render_template(
        "web/search.html",
        q=query,
        tabs=[
            {
                "text": text,
                "url": url_for("search.search", q=query, type=name if name != "all" else None),
                "current": name == kind,
                "count": found.total if name == "all" else found.counts.get(name, 0),
            }
            for name, text in kinds.items()
        ]
        if query
        else [],
        questions=lists.question_rows(found.questions),
        doctors=cards.cards(doctors, rows=doctors),
        hospitals=lists.hospital_rows(found.hospitals),
        articles=lists.article_rows(found.articles),
        departments=[lists.department(one) for one in found.specialties] if kind == "all" else [],
        pager=lists.pager(page, pages, "search.search"),
        red_flags=list(found.urgent),
        offer_elder=any(word in query for word in ELDER_WORDS),
    )


@blueprint.get("/ask")
def ask() -> ResponseReturnValue:
    """Answer a description with red flags first, then departments, doctors and answers alike; never a diagnosis."""
    form = AskForm(request.args)
    asked = form.q.data or ""
    wrong = bool(asked) and not form.validate()
    turns = [{"question": asked, "answer": _answer(suggest(asked))}] if asked and not wrong else []
    page = render_template("web/ask.html", form=form, turns=turns, problems=[])
    return page, 422 if wrong else 200


def _answer(found: Suggestion) -> lists.Row:
    doctors = {one.key: one for one in found.doctors}
    return {
        "urgent": bool(found.urgent),
        "text": " ".join(found.urgent) or _sentence(found),
        "departments": [lists.department(one.specialty) for one in found.specialties],
        "doctors": cards.bookable(cards.cards(doctors, rows=doctors), 3),
        "questions": lists.short_question_rows(found.questions),
    }


def _sentence(found: Suggestion) -> str:
    if not found.specialties:
        return _("没有找到相近的内容。换个说法再试，或按科室找；拿不准可以先看全科。")
    first = found.specialties[0]
    return _("%(why)s，可以先看%(name)s。", why=first.reason, name=first.specialty.name)
