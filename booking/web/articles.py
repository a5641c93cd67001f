"""Articles (疾病科普) and news, each with doctors who can be seen about it."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.content.queries import article_page
from booking.content.views import ArticlePage
from booking.directory.queries import recommended_doctors
from booking.errors import NotFound
from booking.web import cards, lists

blueprint = Blueprint("articles", __name__)

DOCTORS_SHOWN = 3


@blueprint.get("/a/<number:number>")
def article(number: int) -> ResponseReturnValue:
    """Show an article."""
    return _page(number, "article")


@blueprint.get("/news/<number:number>")
def news(number: int) -> ResponseReturnValue:
    """Show a news item."""
    return _page(number, "news")


def _page(number: int, kind: str) -> str:
    found = article_page(number, kind)
    if found is None:
        raise NotFound(_("没有找到这篇文章。"))
    topic = found.specialty
    keys = recommended_doctors(topic.id) if topic else []
    first, *rest = found.sections or (("", ()),)
    plain = first[1] if not first[0] else ()
    headed = rest if not first[0] else [first, *rest]
    return render_template(
        "web/article.html",
        crumbs=[
            *lists.specialty_crumbs(topic),
            {"name": found.title, "url": lists.article_url(found.id, kind)},
        ],
        article={
            "title": found.title,
            "author": found.author,
            "date_label": lists.day_label(found.published_at),
            "reviewed_label": _reviewed(found),
            "paragraphs": plain,
            "sections": [{"title": head, "paragraphs": texts} for head, texts in headed],
            "kind": kind,
        },
        red_flags=list(topic.red_flags) if topic and kind == "article" else [],
        doctors=cards.bookable(cards.cards(keys), DOCTORS_SHOWN),
        questions=lists.question_rows(found.questions),
    )


def _reviewed(found: ArticlePage) -> str:
    if found.reviewed_at is None:
        return ""
    day = lists.day_label(found.reviewed_at)
    return (
        _("%(name)s于 %(day)s 审核", name=found.reviewer, day=day)
        if found.reviewer
        else _("%(day)s 审核", day=day)
    )
