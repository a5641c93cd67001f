"""Storing a batch of checked questions with their answers, doctors, tags and related questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from booking import clock
from booking.content.import_names import Directory
from booking.content.models import Answer, Question, QuestionTag, RelatedQuestion, Tag
from booking.content.question_rows import QuestionEntry
from booking.directory.rules import numbered, slug_of


@dataclass
class Shelf:
    """What a run remembers between batches: digests already stored, ids already seen, the directory's names."""

    directory: Directory = field(default_factory=Directory)
    digests: set[int] = field(default_factory=set)
    seen: dict[int, int] = field(default_factory=dict)
    filled: bool = False

    def forget(self) -> None:
        """Drop what a rolled-back batch may have put here."""
        self.directory = Directory()
        self.digests, self.filled = set(), False


def short(digest: str) -> int:
    """Return the first 64 bits of a digest: enough to know a row again, small enough for millions."""
    return int(digest[:16], 16)


def store(session: Session, shelf: Shelf, entries: Sequence[QuestionEntry]) -> list[str]:
    """Store checked questions in the caller's transaction; return created, changed, unchanged or duplicate for each.

    A question is known again by (source, external id); one with another id and the very same content is a duplicate.
    """
    if not shelf.filled:
        stored = session.scalars(select(Question.digest).where(Question.digest != ""))
        shelf.digests = {short(digest) for digest in stored}
        shelf.filled = True
    now = clock.db_now(session)
    known = _known(session, entries)
    outcomes: list[str] = []
    work: list[tuple[QuestionEntry, Question]] = []
    for entry in entries:
        digest = entry.digest
        question = known.get((entry.source, entry.external_id))
        if question and question.digest == digest:
            outcomes.append("unchanged" if question.id else "duplicate")
            continue
        if question is None and short(digest) in shelf.digests:
            outcomes.append("duplicate")
            continue
        outcomes.append("changed" if question else "created")
        if question is None:
            question = Question(source=entry.source, external_id=entry.external_id)
            session.add(question)
            known[entry.source, entry.external_id] = question
        question.title, question.body, question.topic = entry.title, entry.body, entry.topic[:60]
        question.department_name, question.asked_at, question.digest = (
            entry.department,
            entry.asked_at,
            digest,
        )
        question.specialty_id = shelf.directory.specialty(session, entry.department)
        shelf.digests.add(short(digest))
        work.append((entry, question))
    session.flush()
    _store_answers(session, shelf, work, now)
    _store_tags(session, work)
    _store_related(session, work)
    return outcomes


def _known(session: Session, entries: Sequence[QuestionEntry]) -> dict[tuple[str, str], Question]:
    ids: dict[str, set[str]] = {}
    for entry in entries:
        ids.setdefault(entry.source, set()).add(entry.external_id)
    found = session.scalars(
        select(Question).where(
            or_(
                *(
                    and_(Question.source == source, Question.external_id.in_(own))
                    for source, own in ids.items()
                )
            )
        )
    )
    return {(question.source or "", question.external_id or ""): question for question in found}


def _store_answers(
    session: Session, shelf: Shelf, work: Sequence[tuple[QuestionEntry, Question]], now: datetime
) -> None:
    """Answers keep their rows (an appointment may name one); those a newer row no longer has are unpublished."""
    stored: dict[int, list[Answer]] = {}
    for answer in session.scalars(
        select(Answer)
        .where(Answer.question_id.in_([question.id for _, question in work]))
        .order_by(Answer.position)
    ):
        stored.setdefault(answer.question_id, []).append(answer)
    for entry, question in work:
        rows = stored.get(question.id, [])
        for position, told in enumerate(entry.answers):
            answer = (
                rows[position] if position < len(rows) else Answer(question_id=question.id, position=position)
            )
            session.add(answer)
            doctor = None
            if told.doctor:
                doctor = shelf.directory.doctor(
                    session, now, told.hospital, told.doctor, told.title, told.department
                )
            answer.hospital_id = doctor.hospital_id if doctor else None
            answer.doctor_id = doctor.id if doctor else None
            answer.department_name, answer.text = told.department, told.text
            answer.answered_at, answer.imported, answer.published = told.answered_at, True, True
        for answer in rows[len(entry.answers) :]:
            answer.published = False
    session.flush()


def _store_tags(session: Session, work: Sequence[tuple[QuestionEntry, Question]]) -> None:
    names = dict.fromkeys(name for entry, _ in work for name in entry.tags)
    if not names:
        return
    tags = {tag.name: tag for tag in session.scalars(select(Tag).where(Tag.name.in_(list(names))))}
    for name in [name for name in names if name not in tags]:
        slug = slug_of(name)
        taken = set(session.scalars(select(Tag.slug).where(Tag.slug.startswith(slug, autoescape=True))))
        tags[name] = Tag(name=name, slug=numbered(slug, taken, 80))
        session.add(tags[name])
        session.flush()
    linked = {
        (link.question_id, link.tag_id): link
        for link in session.scalars(
            select(QuestionTag).where(QuestionTag.question_id.in_([question.id for _, question in work]))
        )
    }
    for entry, question in work:
        for position, name in enumerate(entry.tags):
            link = linked.get((question.id, tags[name].id)) or QuestionTag(
                question_id=question.id, tag_id=tags[name].id
            )
            link.position = position
            session.add(link)
    session.flush()


def _store_related(session: Session, work: Sequence[tuple[QuestionEntry, Question]]) -> None:
    for entry, question in work:
        if not entry.leads_to:
            continue
        ids: Mapping[str, int] = {
            row.external_id: row.id
            for row in session.execute(
                select(Question.external_id, Question.id).where(
                    Question.source == entry.source, Question.external_id.in_(entry.leads_to)
                )
            )
        }
        for position, key in enumerate(entry.leads_to):
            if key in ids and ids[key] != question.id:
                session.merge(
                    RelatedQuestion(question_id=question.id, related_id=ids[key], position=position)
                )
    session.flush()
