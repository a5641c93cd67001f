"""Search over questions, doctors, hospitals and articles, and the assistant's way to a department."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, case, func, or_, select, type_coerce

from booking.content.models import Answer, Article, Question, Tag
from booking.content.queries import NEWEST, article_card, question_cards
from booking.content.red_flags import red_flags
from booking.content.rules import bigrams, half_width, like_pattern, like_patterns, search_terms
from booking.content.views import QuestionCard, SearchResult, SuggestedSpecialty, Suggestion
from booking.db import db
from booking.directory.models import Department, Doctor, Hospital, Practice
from booking.directory.queries import (
    doctor_cards,
    hospital_cards,
    lay_words,
    recommended_doctors,
    specialties,
)
from booking.directory.rules import specialty_names
from booking.directory.views import SpecialtyCard

KINDS = ("questions", "doctors", "hospitals", "articles")
_KEYS_OF_BLOCKS = '[{"head": "", "text": ""}]'  # stored text of every article: no word to search for
ON_THE_ALL_TAB = {"questions": 8, "doctors": 4, "hospitals": 4, "articles": 4}


def search(query: str, *, kind: str = "all", page: int = 1, per_page: int = 20) -> SearchResult:
    """Return what was found for a query: every word must occur; a hit in the title ranks above one in the text.

    `kind` is all, questions, doctors, hospitals or articles; counts always tell all four. At most eleven queries.
    """
    terms = search_terms(query)
    if not terms:
        return SearchResult(query, ())
    plans = {
        "questions": _questions(terms),
        "doctors": _doctors(terms),
        "hospitals": _hospitals(terms),
        "articles": _articles(terms),
    }
    counts = {
        name: db.session.scalar(select(func.count()).select_from(model).where(*wanted)) or 0
        for name, (model, wanted, _) in plans.items()
    }
    found: dict[str, Sequence[Any]] = {}
    for name, (model, wanted, order) in plans.items():
        limit = ON_THE_ALL_TAB[name] if kind == "all" else per_page if kind == name else 0
        rows = select(model).where(*wanted).order_by(*order).limit(limit)
        if kind != "all":
            rows = rows.offset((max(page, 1) - 1) * per_page)
        found[name] = db.session.scalars(rows).all() if limit and counts[name] else ()
    return SearchResult(
        query,
        tuple(terms),
        counts,
        question_cards(found["questions"]),
        tuple(doctor_cards([(row.hospital_id, row.id) for row in found["doctors"]]).values()),
        tuple(hospital_cards(found["hospitals"])),
        tuple(article_card(row) for row in found["articles"]),
        tuple(_named_specialties(terms)),
        tuple(red_flags(query)),
    )


Plan = tuple[Any, list[ColumnElement[bool]], list[Any]]


def _has(term: str, *columns: Any) -> ColumnElement[bool]:
    return or_(*(column.ilike(pattern, escape="\\") for column in columns for pattern in like_patterns(term)))


def _score(terms: Sequence[str], *weighted: tuple[int, Any]) -> ColumnElement[int]:
    """The sum over the terms of the best place each occurs in."""
    total: Any = 0
    for term in terms:
        total = total + case(*((_has(term, column), weight) for weight, column in weighted), else_=0)
    return total


def _questions(terms: Sequence[str]) -> Plan:
    def answered(term: str) -> ColumnElement[bool]:
        return (
            select(Answer.id)
            .where(Answer.question_id == Question.id, Answer.published, _has(term, Answer.text))
            .exists()
        )

    wanted = [or_(_has(term, Question.title, Question.body), answered(term)) for term in terms]
    order = [_score(terms, (4, Question.title), (1, Question.body)).desc(), *NEWEST]
    return Question, [Question.published.is_(True), *wanted], order


def _doctors(terms: Sequence[str]) -> Plan:
    spelled = func.replace(Doctor.pinyin, " ", "")

    def placed(term: str) -> ColumnElement[bool]:
        return (
            select(Practice.id)
            .join(
                Department,
                (Department.hospital_id == Practice.hospital_id) & (Department.id == Practice.department_id),
            )
            .join(Hospital, Hospital.id == Practice.hospital_id)
            .where(
                Practice.hospital_id == Doctor.hospital_id,
                Practice.doctor_id == Doctor.id,
                Practice.active,
                or_(
                    _has(term, Department.name, Hospital.name),
                    Department.name.in_(specialty_names(term)),
                ),
            )
            .exists()
        )

    wanted = [
        or_(_has(term, Doctor.name, Doctor.pinyin, spelled, Doctor.skill, Doctor.title), placed(term))
        for term in terms
    ]
    score = _score(terms, (4, Doctor.name), (4, spelled), (4, Doctor.pinyin), (1, Doctor.skill))
    return (
        Doctor,
        [Doctor.active.is_(True), *wanted],
        [score.desc(), Doctor.verified_at.is_(None), Doctor.id],
    )


def _hospitals(terms: Sequence[str]) -> Plan:
    columns = (
        Hospital.name,
        Hospital.short_name,
        Hospital.province,
        Hospital.city,
        Hospital.district,
        Hospital.address,
    )
    score = _score(terms, (4, Hospital.name), (3, Hospital.short_name), (1, Hospital.address))
    return Hospital, [_has(term, *columns) for term in terms], [score.desc(), Hospital.id]


def _articles(terms: Sequence[str]) -> Plan:
    text = type_coerce(Article.blocks, Text)
    wanted = [
        _has(term, Article.title) if term in _KEYS_OF_BLOCKS else _has(term, Article.title, text)
        for term in terms
    ]
    score = _score(terms, (4, Article.title))
    return Article, wanted, [score.desc(), Article.published_at.desc(), Article.id.desc()]


def _named_specialties(terms: Sequence[str]) -> list[SpecialtyCard]:
    names = {name for term in terms for name in specialty_names(term)}
    return [
        card
        for card in specialties().values()
        if card.name in names or any(len(term) > 1 and term in card.name for term in terms)
    ][:4]


def suggest(text: str, *, doctors: int = 6, questions: int = 5) -> Suggestion:
    """Return where a text in everyday words leads: red flags first, then departments with their reason, doctors, answers.

    Departments come from everyday words, names and tags that occur in the text; without any, from the most alike
    question. Says nothing about what the asker has. At most nine queries.
    """
    said = "".join(half_width(text[:2000]).lower().split())
    urgent = tuple(red_flags(said))
    if not said:
        return Suggestion(text, urgent)
    cards = specialties()
    matched = _matched_specialties(said, cards)
    alike = _alike(said, {each.specialty.id for each in matched}, questions)
    if not matched and alike:
        pairs = bigrams(said)
        best = next(
            (card for card in alike if card.specialty_id in cards and len(pairs & bigrams(card.title)) >= 3),
            None,
        )
        if best and best.specialty_id:
            matched = [SuggestedSpecialty(cards[best.specialty_id], f"和「{best.title}」相近")]
    keys = recommended_doctors(matched[0].specialty.id, limit=doctors) if matched else []
    return Suggestion(text, urgent, tuple(matched), tuple(doctor_cards(keys).values()), tuple(alike))


def _matched_specialties(said: str, cards: Mapping[int, SpecialtyCard]) -> list[SuggestedSpecialty]:
    """Specialties by the words that occur, longest and most words first; at most three, groups only without a child."""
    words: dict[int, set[str]] = {}
    for key, everyday in lay_words().items():
        words.setdefault(key, set()).update(word for word in everyday if word and word.lower() in said)
    for key, card in cards.items():
        words.setdefault(key, set()).update(
            name for name in specialty_names(card.name) if len(name) > 1 and name.lower() in said
        )
    tags = select(Tag.name, Tag.specialty_id).where(Tag.specialty_id.is_not(None))
    for name, tagged in db.session.execute(tags):
        if tagged and tagged in cards and len(name) > 1 and name.lower() in said:
            words.setdefault(tagged, set()).add(name)
    scored = sorted(
        (
            (sum(len(word) for word in found), -at, key)
            for at, (key, found) in enumerate(words.items())
            if found
        ),
        reverse=True,
    )
    parents = {cards[key].parent_slug for _, _, key in scored if key in cards}
    chosen = [key for _, _, key in scored if key in cards and cards[key].slug not in parents]
    return [
        SuggestedSpecialty(
            cards[key],
            "提到"
            + "".join(f"「{word}」" for word in sorted(words[key], key=lambda word: (-len(word), word))[:3]),
        )
        for key in chosen[:3]
    ]


def _alike(said: str, specialty_ids: set[int], limit: int) -> list[QuestionCard]:
    """Published questions whose titles share the most pairs of characters with the text.

    At least two pairs, or one when the question is of a specialty that is suggested anyway.
    """
    pairs = bigrams(said)
    if not pairs:
        return []
    found = db.session.scalars(
        select(Question)
        .where(
            Question.published,
            or_(*(Question.title.like(like_pattern(pair), escape="\\") for pair in sorted(pairs)[:40])),
        )
        .order_by(*NEWEST)
        .limit(300)
    )
    scored = [(len(pairs & bigrams(row.title)), row) for row in found]
    enough = [each for each in scored if each[0] >= 2 or each[1].specialty_id in specialty_ids]
    best = sorted(enough, key=lambda each: (-each[0], -each[1].id))
    return list(question_cards([row for _, row in best[:limit]]))
