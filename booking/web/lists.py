"""Rows, pagers and labels that many pages share. Words only; no query."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from flask import request, url_for
from flask_babel import gettext as _

from booking import clock, wording
from booking.content.views import ArticleCard, QuestionCard, TagCard
from booking.directory.views import HospitalCard, SpecialtyCard
from booking.web.session import now

HOME_ZONE = "Asia/Shanghai"

Row = dict[str, Any]


def pager(page: int, pages: int, endpoint: str, **values: Any) -> Row | None:
    """Return the pager of a list, or None when there is one page; the other arguments of the address are kept."""
    if pages < 2:
        return None
    kept = {name: value for name, value in request.args.items() if name != "page"} | values

    def to(number: int) -> str | None:
        if not 1 <= number <= pages:
            return None
        return url_for(endpoint, **kept, page=number if number > 1 else None)

    return {"page": page, "pages": pages, "prev_url": to(page - 1), "next_url": to(page + 1)}


def day_label(at: datetime | None) -> str:
    """Return 「11 月 20 日」, with the year when it is another one; "" for no date."""
    if at is None:
        return ""
    return wording.day_past(clock.local(at, HOME_ZONE).date(), clock.local(now(), HOME_ZONE).date())


def question_rows(questions: Iterable[QuestionCard]) -> list[Row]:
    """Return questions as list entries."""
    return [
        {
            "title": one.title,
            "url": url_for("questions.question", question=one.id),
            "gist": one.gist,
            "doctor_line": _answered(one),
            "answered_label": day_label(one.asked_at),
        }
        for one in questions
    ]


def _answered(one: QuestionCard) -> str:
    if not one.replies:
        return ""
    if one.doctor and one.replies == 1:
        return _("%(name)s医生回复", name=one.doctor)
    if one.doctor:
        return _("%(name)s等 %(n)s 位医生回复", name=one.doctor, n=one.replies)
    return _("%(n)s 条回复", n=one.replies)


def short_question_rows(questions: Iterable[QuestionCard]) -> list[Row]:
    """Return questions as plain rows: title and address."""
    return [
        {"title": one.title, "url": url_for("questions.question", question=one.id), "note": ""}
        for one in questions
    ]


def article_rows(found: Iterable[ArticleCard]) -> list[Row]:
    """Return articles or news as rows with their date."""
    return [
        {"title": one.title, "url": article_url(one.id, one.kind), "note": day_label(one.published_at)}
        for one in found
    ]


def article_url(number: int, kind: str) -> str:
    """Return the address of an article or a news item."""
    return url_for("articles.article" if kind == "article" else "articles.news", number=number)


def tag_chips(tags: Iterable[TagCard]) -> list[Row]:
    """Return tags as chips."""
    return [
        {"name": one.name, "url": url_for("questions.tag", slug=one.slug), "current": False} for one in tags
    ]


def hospital_rows(found: Iterable[HospitalCard]) -> list[Row]:
    """Return hospitals as rows with level and district."""
    return [
        {
            "title": one.name,
            "url": url_for("hospitals.hospital", slug=one.slug),
            "note": " ".join(word for word in (one.level, one.district or one.city) if word),
        }
        for one in found
    ]


def department(one: SpecialtyCard) -> Row:
    """Return a specialty as a link."""
    return {"name": one.name, "url": url_for("departments.department", slug=one.slug), "current": False}


def specialty_crumbs(one: SpecialtyCard | None) -> list[Row]:
    """Return home, the specialty's group and the specialty; a level named like its parent is dropped by the page."""
    listed: list[Row] = [{"name": _("首页"), "url": "/"}]
    if one and one.parent_slug:
        parent = url_for("departments.department", slug=one.parent_slug)
        listed.append({"name": one.parent_name, "url": parent})
    if one:
        listed.append(department(one))
    return listed
