"""Tables of the content slice; platform-wide, short ids in URLs, never pointing at a distributed table."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Instant, Json, Model, Serial


class Tag(Model):
    """A topic word that leads to questions, articles and doctors."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    about: Mapped[str] = mapped_column(Text, default="")
    specialty_id: Mapped[int | None] = mapped_column(ForeignKey("specialty.id"))


class Question(Model):
    """A patient's question as it was asked; titles keep their original punctuation and are trimmed on display.

    `digest` is the hash of the imported row: a second import of the same row changes nothing.
    `facts` is a list of [name, value] pairs that the asker gave (患者, 持续, 检查).
    """

    __tablename__ = "question"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        Index("ix_question_specialty", "specialty_id", "asked_at"),
        Index("ix_question_asked", "asked_at"),
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text, default="")
    department_name: Mapped[str] = mapped_column(String(60), default="")
    topic: Mapped[str] = mapped_column(String(60), default="")
    specialty_id: Mapped[int | None] = mapped_column(ForeignKey("specialty.id"))
    facts: Mapped[list[Any]] = mapped_column(Json, default=list)
    asked_at: Mapped[datetime | None] = mapped_column(Instant)
    published: Mapped[bool] = mapped_column(default=True)
    source: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(160))
    digest: Mapped[str] = mapped_column(String(64), default="")


class Answer(Model):
    """An answer. `paragraphs` is its text as stored; the page splits lead, causes and closing by a pure rule.

    Without a doctor it is an imported answer and leads to its department.
    """

    __tablename__ = "answer"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "doctor_id"], ["doctor.hospital_id", "doctor.id"]),
        UniqueConstraint("question_id", "position"),
        CheckConstraint("(hospital_id IS NULL) = (doctor_id IS NULL)", name="doctor_whole"),
        Index("ix_answer_doctor", "hospital_id", "doctor_id"),
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("question.id"))
    position: Mapped[int] = mapped_column(default=0)
    hospital_id: Mapped[int | None] = mapped_column(Serial)
    doctor_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    department_name: Mapped[str] = mapped_column(String(60), default="")
    text: Mapped[str] = mapped_column(Text, default="")
    answered_at: Mapped[datetime | None] = mapped_column(Instant)
    reviewed_at: Mapped[datetime | None] = mapped_column(Instant)
    reviewer: Mapped[str] = mapped_column(String(60), default="")
    imported: Mapped[bool] = mapped_column(default=False)
    published: Mapped[bool] = mapped_column(default=True)


class RelatedQuestion(Model):
    """An editor's or a source page's list of related questions, in order."""

    __tablename__ = "related_question"
    question_id: Mapped[int] = mapped_column(ForeignKey("question.id"), primary_key=True)
    related_id: Mapped[int] = mapped_column(ForeignKey("question.id"), primary_key=True)
    position: Mapped[int] = mapped_column(default=0)


class QuestionTag(Model):
    __tablename__ = "question_tag"
    question_id: Mapped[int] = mapped_column(ForeignKey("question.id"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id"), primary_key=True, index=True)
    position: Mapped[int] = mapped_column(default=0)


class Article(Model):
    """疾病科普 (`article`) or 最新资讯 (`news`). `blocks` is a list of {"head", "text"}; head may be empty."""

    __tablename__ = "article"
    __table_args__ = (
        CheckConstraint("kind IN ('article', 'news')", name="kind"),
        UniqueConstraint("source", "external_id"),
        Index("ix_article_kind", "kind", "published_at"),
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    title: Mapped[str] = mapped_column(Text)
    blocks: Mapped[list[Any]] = mapped_column(Json, default=list)
    author: Mapped[str] = mapped_column(String(60), default="")
    reviewer: Mapped[str] = mapped_column(String(60), default="")
    reviewed_at: Mapped[datetime | None] = mapped_column(Instant)
    published_at: Mapped[datetime] = mapped_column(Instant)
    specialty_id: Mapped[int | None] = mapped_column(ForeignKey("specialty.id"))
    hospital_id: Mapped[int | None] = mapped_column(ForeignKey("hospital.id"))
    source: Mapped[str | None] = mapped_column(String(80))
    external_id: Mapped[str | None] = mapped_column(String(160))


class ArticleTag(Model):
    __tablename__ = "article_tag"
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id"), primary_key=True, index=True)


class ImportRun(Model):
    """One run of `flask import`: how far it got, so that an interrupted run of the same file goes on from there."""

    __tablename__ = "import_run"
    __table_args__ = (UniqueConstraint("kind", "file_digest"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    file_digest: Mapped[str] = mapped_column(String(64))
    rows_done: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    counts: Mapped[dict[str, int]] = mapped_column(Json, default=dict)
