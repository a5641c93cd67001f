"""Questions to the content: question and article pages, lists, tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, or_, select

from booking.content.models import (
    Answer,
    Article,
    ArticleTag,
    Question,
    QuestionTag,
    RelatedQuestion,
    Tag,
)
from booking.content.red_flags import red_flags
from booking.content.rules import (
    display_title,
    first_sentence,
    like_pattern,
    paragraphs,
    shortened,
    split_answer,
)
from booking.content.views import (
    AnswerView,
    ArticleCard,
    ArticlePage,
    QuestionCard,
    QuestionList,
    QuestionPage,
    RelatedView,
    TagCard,
    TagPage,
)
from booking.db import db
from booking.directory.models import Doctor
from booking.directory.queries import doctor_cards, specialties
from booking.directory.rules import specialty_names
from booking.directory.views import DoctorCard, Key, SpecialtyCard

NEWEST = (Question.asked_at.desc().nulls_last(), Question.id.desc())
PER_PAGE = 20


def question_page(question_id: int, *, related: int = 5) -> QuestionPage | None:
    """Return the page of a published question with answers, doctors, tags and related ones. At most eight queries."""
    question = db.session.scalars(
        select(Question).where(Question.id == question_id, Question.published)
    ).one_or_none()
    if question is None:
        return None
    alike = _related(question, related)
    rows = _answers([question.id, *(each.id for each in alike)])
    doctors = doctor_cards(_keys(rows))
    cards = specialties()
    topic = cards.get(question.specialty_id or 0)
    by_question: dict[int, list[AnswerView]] = {}
    for row in rows:
        by_question.setdefault(row.question_id, []).append(_answer_view(row, doctors, cards, topic))
    return QuestionPage(
        question.id,
        display_title(question.title),
        question.title,
        paragraphs(question.body),
        tuple((str(name), str(value)) for name, value in question.facts or ()),
        question.department_name,
        question.topic,
        topic,
        question.asked_at,
        tuple(by_question.get(question.id, ())),
        tuple(_related_view(each, by_question.get(each.id, [])) for each in alike),
        tuple(tags_of(question.id)),
        topic.red_flags if topic else (),
        tuple(red_flags(f"{question.title} {question.body}")),
    )


def _related_view(question: Question, answers: Sequence[AnswerView]) -> RelatedView:
    return RelatedView(
        question.id,
        display_title(question.title),
        answers[0] if answers else None,
        tuple(red_flags(f"{question.title} {question.body}")),
    )


def _related(question: Question, limit: int) -> list[Question]:
    """The stored list in its order, filled up with the newest of the same specialty."""
    stored = db.session.scalars(
        select(Question)
        .join(RelatedQuestion, RelatedQuestion.related_id == Question.id)
        .where(RelatedQuestion.question_id == question.id, Question.published)
        .order_by(RelatedQuestion.position, Question.id)
        .limit(limit)
    ).all()
    found = list(stored)
    if len(found) < limit and question.specialty_id:
        known = [question.id, *(each.id for each in found)]
        found += db.session.scalars(
            select(Question)
            .where(
                Question.specialty_id == question.specialty_id, Question.published, Question.id.not_in(known)
            )
            .order_by(*NEWEST)
            .limit(limit - len(found))
        )
    return found


def _answers(question_ids: Iterable[int]) -> Sequence[Answer]:
    return db.session.scalars(
        select(Answer)
        .where(Answer.question_id.in_(list(question_ids)), Answer.published)
        .order_by(Answer.question_id, Answer.position, Answer.id)
    ).all()


def _keys(answers: Iterable[Answer]) -> list[Key]:
    return [(row.hospital_id, row.doctor_id) for row in answers if row.hospital_id and row.doctor_id]


def _answer_view(
    row: Answer,
    doctors: Mapping[Key, DoctorCard],
    cards: Mapping[int, SpecialtyCard],
    topic: SpecialtyCard | None,
) -> AnswerView:
    doctor = doctors.get((row.hospital_id, row.doctor_id)) if row.hospital_id and row.doctor_id else None
    own = None if doctor else _specialty_named(row.department_name, cards)
    return AnswerView(
        row.id,
        row.position,
        doctor,
        row.department_name,
        own or topic,
        split_answer(row.text),
        row.text,
        row.answered_at,
        row.reviewed_at,
        row.reviewer,
        row.imported,
        topic.red_flags if topic else (),
    )


def _specialty_named(name: str, cards: Mapping[int, SpecialtyCard]) -> SpecialtyCard | None:
    names = specialty_names(name) if name else []
    by_name = {card.name: card for card in cards.values()}
    return next((by_name[each] for each in names if each in by_name), None)


def tags_of(question_id: int) -> list[TagCard]:
    """Return a question's tags in their order. One query."""
    rows = db.session.execute(
        select(Tag.slug, Tag.name)
        .join(QuestionTag, QuestionTag.tag_id == Tag.id)
        .where(QuestionTag.question_id == question_id)
        .order_by(QuestionTag.position, Tag.id)
    )
    return [TagCard(slug, name) for slug, name in rows]


def hot_tags(limit: int = 10) -> list[TagCard]:
    """Return the tags with the most questions. One query."""
    uses = select(QuestionTag.tag_id, func.count().label("uses")).group_by(QuestionTag.tag_id).subquery("use")
    rows = db.session.execute(
        select(Tag.slug, Tag.name, uses.c.uses)
        .join(uses, uses.c.tag_id == Tag.id)
        .order_by(uses.c.uses.desc(), Tag.id)
        .limit(limit)
    )
    return [TagCard(slug, name, count) for slug, name, count in rows]


def question_cards(questions: Sequence[Question]) -> tuple[QuestionCard, ...]:
    """Return list entries with reply counts and the first answering doctor. One query for all of them."""
    if not questions:
        return ()
    rows = db.session.execute(
        select(
            Answer.question_id, func.substr(Answer.text, 1, 200), Doctor.name, Doctor.hospital_id, Doctor.id
        )
        .join(
            Doctor, (Doctor.hospital_id == Answer.hospital_id) & (Doctor.id == Answer.doctor_id), isouter=True
        )
        .where(Answer.question_id.in_([each.id for each in questions]), Answer.published)
        .order_by(Answer.question_id, Answer.position)
    )
    answers: dict[int, list[Any]] = {}
    for row in rows:
        answers.setdefault(row[0], []).append(row)
    return tuple(_question_card(each, answers.get(each.id, [])) for each in questions)


def _question_card(question: Question, answers: Sequence[Any]) -> QuestionCard:
    _, text, doctor, hospital_id, doctor_id = answers[0] if answers else (0, "", "", None, None)
    return QuestionCard(
        question.id,
        display_title(question.title),
        first_sentence(question.body or text or "", 80),
        question.specialty_id,
        question.department_name,
        question.asked_at,
        len(answers),
        doctor or "",
        (hospital_id, doctor_id) if hospital_id and doctor_id else None,
    )


def question_list(
    *, specialty_ids: Iterable[int] = (), tag_id: int | None = None, page: int = 1, per_page: int = PER_PAGE
) -> QuestionList:
    """Return published questions, newest first, of specialties (any of them) or a tag. Three queries.

    A page past the end comes back empty with the right number of pages.
    """
    wanted: list[Any] = [Question.published]
    ids = list(specialty_ids)
    if ids:
        wanted.append(Question.specialty_id.in_(ids))
    if tag_id is not None:
        wanted.append(Question.id.in_(select(QuestionTag.question_id).where(QuestionTag.tag_id == tag_id)))
    total = db.session.scalar(select(func.count()).select_from(Question).where(*wanted)) or 0
    page = max(page, 1)
    pages = max(-(-total // per_page), 1)
    rows: Sequence[Question] = ()
    if page <= pages:
        rows = db.session.scalars(
            select(Question).where(*wanted).order_by(*NEWEST).limit(per_page).offset((page - 1) * per_page)
        ).all()
    return QuestionList(total, page, pages, question_cards(rows))


def newest_answered(limit: int = 10) -> tuple[QuestionCard, ...]:
    """Return the newest questions that a doctor has answered. Two queries."""
    answered = select(Answer.id).where(
        Answer.question_id == Question.id, Answer.published, Answer.doctor_id.is_not(None)
    )
    rows = db.session.scalars(
        select(Question).where(Question.published, answered.exists()).order_by(*NEWEST).limit(limit)
    ).all()
    return question_cards(rows)


def question_counts() -> dict[int, int]:
    """Return how many published questions each specialty has, by its id."""
    rows = db.session.execute(
        select(Question.specialty_id, func.count())
        .where(Question.published, Question.specialty_id.is_not(None))
        .group_by(Question.specialty_id)
    )
    return {key: count for key, count in rows if key is not None}


def answers_of(key: Key, *, page: int = 1, per_page: int = PER_PAGE) -> QuestionList:
    """Return the questions a doctor has answered, newest answers first. Three queries."""
    own = (
        select(Answer.question_id, func.max(Answer.answered_at).label("at"))
        .where(Answer.hospital_id == key[0], Answer.doctor_id == key[1], Answer.published)
        .group_by(Answer.question_id)
        .subquery("own")
    )
    total = db.session.scalar(select(func.count()).select_from(own)) or 0
    rows = db.session.scalars(
        select(Question)
        .join(own, own.c.question_id == Question.id)
        .where(Question.published)
        .order_by(own.c.at.desc().nulls_last(), Question.id.desc())
        .limit(per_page)
        .offset((max(page, 1) - 1) * per_page)
    ).all()
    return QuestionList(total, max(page, 1), max(-(-total // per_page), 1), question_cards(rows))


def tag_page(slug: str, *, page: int = 1, per_page: int = PER_PAGE) -> TagPage | None:
    """Return a tag with its questions (also those whose title names it) and articles. At most six queries."""
    tag = db.session.scalars(select(Tag).where(Tag.slug == slug)).one_or_none()
    if tag is None:
        return None
    named = Question.title.like(like_pattern(tag.name), escape="\\")
    linked = Question.id.in_(select(QuestionTag.question_id).where(QuestionTag.tag_id == tag.id))
    wanted = (Question.published, or_(named, linked))
    total = db.session.scalar(select(func.count()).select_from(Question).where(*wanted)) or 0
    rows = db.session.scalars(
        select(Question)
        .where(*wanted)
        .order_by(named.desc(), *NEWEST)
        .limit(per_page)
        .offset((max(page, 1) - 1) * per_page)
    ).all()
    articles = db.session.scalars(
        select(Article)
        .join(ArticleTag, ArticleTag.article_id == Article.id)
        .where(ArticleTag.tag_id == tag.id)
        .order_by(Article.published_at.desc())
        .limit(10)
    )
    questions = QuestionList(total, max(page, 1), max(-(-total // per_page), 1), question_cards(rows))
    return TagPage(
        TagCard(tag.slug, tag.name, total),
        tag.about,
        specialties().get(tag.specialty_id) if tag.specialty_id else None,
        questions,
        tuple(article_card(row) for row in articles),
    )


def article_card(row: Article) -> ArticleCard:
    """Return an article as a list shows it."""
    text = next((str(block.get("text", "")) for block in row.blocks or () if block.get("text")), "")
    return ArticleCard(row.id, row.kind, row.title, shortened(text, 80), row.published_at, row.specialty_id)


def articles(
    kind: str, *, specialty_ids: Iterable[int] = (), limit: int = 6, offset: int = 0
) -> list[ArticleCard]:
    """Return the newest of a kind (`article` or `news`); with specialties, theirs before the others. One query."""
    found = select(Article).where(Article.kind == kind)
    ids = list(specialty_ids)
    if ids:
        found = found.order_by(func.coalesce(Article.specialty_id.in_(ids), False).desc())
    rows = db.session.scalars(
        found.order_by(Article.published_at.desc(), Article.id.desc()).limit(limit).offset(offset)
    )
    return [article_card(row) for row in rows]


def article_page(article_id: int, kind: str) -> ArticlePage | None:
    """Return an article or news item with its tags and questions of its specialty. At most five queries."""
    row = db.session.scalars(
        select(Article).where(Article.id == article_id, Article.kind == kind)
    ).one_or_none()
    if row is None:
        return None
    tags = db.session.execute(
        select(Tag.slug, Tag.name)
        .join(ArticleTag, ArticleTag.tag_id == Tag.id)
        .where(ArticleTag.article_id == row.id)
        .order_by(Tag.id)
    )
    questions: tuple[QuestionCard, ...] = ()
    if row.specialty_id:
        questions = question_list(specialty_ids=[row.specialty_id], per_page=5).questions
    return ArticlePage(
        row.id,
        row.kind,
        row.title,
        tuple(
            (str(each.get("head", "")), paragraphs(str(each.get("text", "")))) for each in row.blocks or ()
        ),
        row.author,
        row.reviewer,
        row.reviewed_at,
        row.published_at,
        specialties().get(row.specialty_id) if row.specialty_id else None,
        row.hospital_id,
        tuple(TagCard(slug, name) for slug, name in tags),
        questions,
    )
