"""Questions and answers: the list, a tag, and the page of a question with the way to its doctor's next time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.content.queries import (
    articles,
    hot_tags,
    question_counts,
    question_list,
    question_page,
    tag_page,
)
from booking.content.rules import AnswerBody, shortened
from booking.content.views import AnswerView, QuestionPage, RelatedView
from booking.directory.queries import hospitals, recommended_doctors, specialties, specialty
from booking.directory.views import DoctorCard, Key, SpecialtyCard
from booking.errors import NotFound
from booking.schedule.doctor_days import doctor_days
from booking.web import cards, held, lists
from booking.web.cards import Card
from booking.web.inputs import line, whole
from booking.web.session import now

blueprint = Blueprint("questions", __name__)

STALE_AFTER = timedelta(days=2 * 365)
TAGS_SHOWN = 10
WEEK_SHOWN = 5
RECOMMENDED = 3


@blueprint.get("/questions")
def list_questions() -> ResponseReturnValue:
    """Show questions, newest first, of all departments or one."""
    wanted = specialty(line(request.args.get("dept")))
    page = whole(request.args.get("page"))
    known = specialties()
    ids = _with_children(wanted, known) if wanted else []
    found = question_list(specialty_ids=ids, page=page)
    counts = question_counts()
    everything = {"name": _("全部"), "url": url_for("questions.list_questions"), "current": not wanted}
    chips = [everything] + [
        {
            "name": one.name,
            "url": url_for("questions.list_questions", dept=one.slug),
            "current": wanted is not None and one.id == wanted.id,
        }
        for one in known.values()
        if counts.get(one.id)
    ]
    crumbs: list[lists.Row] = [
        {"name": _("首页"), "url": "/"},
        {"name": _("问答"), "url": url_for("questions.list_questions")},
    ]
    if wanted:
        crumbs.append({"name": wanted.name, "url": url_for("questions.list_questions", dept=wanted.slug)})
    return render_template(
        "web/questions.html",
        crumbs=crumbs,
        heading=_("%(name)s问答", name=wanted.name) if wanted else "",
        departments=chips,
        questions=lists.question_rows(found.questions),
        pager=lists.pager(found.page, found.pages, "questions.list_questions"),
        total=found.total,
    )


def _with_children(wanted: SpecialtyCard, known: dict[int, SpecialtyCard]) -> list[int]:
    return [wanted.id, *(one.id for one in known.values() if one.parent_slug == wanted.slug)]


@blueprint.get("/tag/<slug:slug>")
def tag(slug: str) -> ResponseReturnValue:
    """Show what there is about a tag."""
    found = tag_page(slug, page=whole(request.args.get("page")))
    if found is None:
        raise NotFound(_("没有这个标签。"))
    keys = recommended_doctors(found.specialty.id) if found.specialty else []
    own = {"name": found.tag.name, "url": url_for("questions.tag", slug=slug)}
    return render_template(
        "web/tag.html",
        crumbs=[*lists.specialty_crumbs(found.specialty), own],
        tag={"name": found.tag.name, "gist": found.about},
        questions=lists.question_rows(found.questions.questions),
        articles=lists.article_rows(found.articles),
        doctors=cards.bookable(cards.cards(keys), RECOMMENDED),
        pager=lists.pager(found.questions.page, found.questions.pages, "questions.tag", slug=slug),
    )


@blueprint.get("/q/<number:question>")
def question(question: int) -> ResponseReturnValue:
    """Show a question with its answers, each with the doctor's next time, and everything around it."""
    page = question_page(question)
    if page is None:
        raise NotFound(_("没有找到这个问题，可能已被删除。"))
    topic = page.specialty
    rows = {one.key: one for one in page.doctors}
    wanted = recommended_doctors(topic.id if topic else None, exclude=rows)
    shown = {one.key: one for one in cards.cards([*rows, *wanted], topic_url=_topic_url(topic))}
    lead, lead_answer = _lead(page, shown)
    tags = list(page.tags)
    tags += [one for one in hot_tags(TAGS_SHOWN) if one.slug not in {known.slug for known in tags}]
    alarms = [*page.urgent, *(one for one in page.alarms if one not in page.urgent)]
    return render_template(
        "web/question.html",
        crumbs=_crumbs(page),
        question=_question(page),
        answers=[_answer(one, shown, alarms, topic) for one in page.answers],
        lead=lead,
        lead_answer=lead_answer,
        week=_week(rows[lead.key]) if lead and lead.has_clinic else [],
        held=held.waiting(only_time=True),
        related=[_related(one, shown, topic) for one in page.related],
        tags=lists.tag_chips(tags[:TAGS_SHOWN]),
        articles=lists.article_rows(articles("article", specialty_ids=[topic.id] if topic else [], limit=6)),
        news=lists.article_rows(articles("news", specialty_ids=[topic.id] if topic else [], limit=6)),
        doctors=cards.bookable([shown[key] for key in wanted if key in shown], RECOMMENDED),
        hospitals=lists.hospital_rows(hospitals(specialty_id=topic.id if topic else None, limit=5)),
        department=lists.department(topic) if topic else None,
        desk_phone=rows[lead.key].hospital.phone if lead else "",
        summary=_summary(page),
        jsonld=_jsonld(page),
    )


def _topic_url(topic: SpecialtyCard | None) -> str:
    return url_for("departments.department", slug=topic.slug) if topic else ""


def _lead(page: QuestionPage, shown: dict[Key, Card]) -> tuple[Card | None, int | None]:
    """Return the doctor of the aside and the dock: the first answering one who can be booked, else the first at all."""
    answered = [
        (shown[one.doctor.key], one.id) for one in page.answers if one.doctor and one.doctor.key in shown
    ]
    best = [pair for pair in answered if pair[0].state == "bookable"] or answered
    return best[0] if best else (None, None)


def _crumbs(page: QuestionPage) -> list[lists.Row]:
    listed = lists.specialty_crumbs(page.specialty)
    own = {"name": page.topic or _("问答"), "url": url_for("questions.question", question=page.id)}
    return [*listed, own] if page.topic or len(listed) == 1 else listed


def _question(page: QuestionPage) -> lists.Row:
    asked = lists.day_label(page.asked_at)
    dates = [one.answered_at for one in page.answers if one.answered_at]
    return {
        "id": page.id,
        "title": page.title,
        "url": url_for("questions.question", question=page.id),
        "description": page.paragraphs,
        "facts": page.facts,
        "asked_label": _("%(day)s 提问", day=asked) if asked else "",
        "answer_count": page.replies,
        "stale": bool(page.answers) and (not dates or max(dates) < now() - STALE_AFTER),
    }


def _answer(
    one: AnswerView, shown: dict[Key, Card], alarms: list[str], topic: SpecialtyCard | None
) -> lists.Row:
    card = shown.get(one.doctor.key) if one.doctor else None
    replied, reviewed = lists.day_label(one.answered_at), lists.day_label(one.reviewed_at)
    return {
        "id": one.id,
        "body": one.body,
        "doctor": card,
        "imported": one.imported,
        "department_url": _topic_url(one.specialty or topic),
        "red_flags": alarms,
        "replied_label": _("%(day)s 回复", day=replied) if replied else "",
        "reviewed_label": _reviewed(one.reviewer, reviewed),
        "quick": card.quick if card else [],
    }


def _reviewed(reviewer: str, day: str) -> str:
    if not day:
        return ""
    return _("%(name)s %(day)s 审核", name=reviewer, day=day) if reviewer else _("%(day)s 审核", day=day)


def _related(one: RelatedView, shown: dict[Key, Card], topic: SpecialtyCard | None) -> lists.Row:
    """Return a related question with its whole first answer: the first paragraph open, the rest folded."""
    answer = one.answer
    body = answer.body if answer else AnswerBody()
    lead, rest = (
        (body.lead[0], AnswerBody(body.lead[1:], body.points, body.closing)) if body.lead else ("", body)
    )
    if not lead and body.points:
        lead = body.points[0].text
        rest = AnswerBody((), body.points, body.closing)
    return {
        "title": one.title,
        "url": url_for("questions.question", question=one.id),
        "lead": lead,
        "rest": rest,
        "doctor": shown.get(answer.doctor.key) if answer and answer.doctor else None,
        "department_url": _topic_url((answer.specialty if answer else None) or topic),
        "red_flag": bool(one.alarms),
    }


def _week(row: DoctorCard) -> list[lists.Row]:
    """Return the doctor's next sessions for the aside."""
    listed = []
    for one in doctor_days(row.hospital_id, row.id, now(), zone=row.hospital.zone):
        for part in one.parts:
            if part.status == "closed":
                continue
            release = wording.moment(clock.local(part.release_at, row.hospital.zone))
            listed.append(
                {
                    "label": f"{wording.day_long(one.day)} {part.part}",
                    "note": "",
                    "url": cards.address(row.slug, one.day),
                    "state": part.status,
                    "left": part.left,
                    "text": _("%(when)s 放号", when=release) if part.status == "later" else "",
                }
            )
    return listed[:WEEK_SHOWN]


def _summary(page: QuestionPage) -> str:
    text = next((one.text for one in page.answers if one.text), "") or " ".join(page.paragraphs)
    return shortened(text, 120)


def _jsonld(page: QuestionPage) -> list[dict[str, Any]]:
    """Return what search engines read: the question with its answers and their doctors, and where the page stands."""
    root = current_app.config["PUBLIC_URL"]
    entity: dict[str, Any] = {
        "@type": "Question",
        "name": page.title,
        "text": " ".join(page.paragraphs) or page.title,
        "answerCount": page.replies,
    }
    if page.asked_at:
        entity["datePublished"] = page.asked_at.isoformat()
    answers = [_answer_jsonld(one, root, page.id) for one in page.answers if one.text]
    if answers:
        entity["acceptedAnswer"], *others = answers
        if others:
            entity["suggestedAnswer"] = others
    places = [
        {"@type": "ListItem", "position": at, "name": one["name"], "item": root + one["url"]}
        for at, one in enumerate(_crumbs(page), start=1)
    ]
    return [
        {"@context": "https://schema.org", "@type": "QAPage", "mainEntity": entity},
        {"@context": "https://schema.org", "@type": "BreadcrumbList", "itemListElement": places},
    ]


def _answer_jsonld(one: AnswerView, root: str, question: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "@type": "Answer",
        "text": one.text,
        "url": f"{root}{url_for('questions.question', question=question)}#a{one.id}",
    }
    if one.answered_at:
        said["datePublished"] = one.answered_at.isoformat()
    if one.doctor:
        said["author"] = {
            "@type": "Physician",
            "name": one.doctor.name,
            "url": root + url_for("doctors.doctor", doctor=one.doctor.slug),
            "medicalSpecialty": one.doctor.department,
            "hospitalAffiliation": {"@type": "Hospital", "name": one.doctor.hospital.name},
        }
    return said
