"""The demo's tags, questions with answers, articles and news, dated relative to today."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from sqlalchemy import insert

from booking.clock import utc
from booking.content.models import Answer, Article, ArticleTag, Question, QuestionTag, RelatedQuestion, Tag
from booking.db import transaction
from booking.demo.files import read
from booking.demo.house import ZONE, House

SOURCE = "demo"


class Dates:
    """Instants of the past, the same for the same day: nothing lies after the beginning of today."""

    def __init__(self, today: date, name: str) -> None:
        self.today = today
        self.midnight = utc(today, time(0), ZONE)
        self.chance = Random(f"{today.isoformat()} {name}")

    def ago(self, days: int) -> datetime:
        """An hour of the day, `days` ago; 0 counts as 1."""
        at = time(self.chance.randint(8, 20), self.chance.randint(0, 59))
        return utc(self.today - timedelta(days=max(days, 1)), at, ZONE)

    def not_today(self, at: datetime) -> datetime:
        return min(at, self.midnight - timedelta(minutes=self.chance.randint(90, 240)))


def add_content(house: House, today: date) -> None:
    """Write tags, then questions, then articles: one transaction each."""
    tags = _add_tags(house)
    _add_questions(house, tags, today)
    _add_articles(house, tags, today)


def _add_tags(house: House) -> dict[str, int]:
    tags: dict[str, int] = {}
    with transaction() as session:
        for row in read("tags"):
            specialty_id = house.specialties.get(row["specialty"])
            tag = Tag(slug=row["slug"], name=row["name"], about=row["about"], specialty_id=specialty_id)
            session.add(tag)
            session.flush()
            tags[row["name"]] = tag.id
    return tags


def answer_text(answer: dict[str, Any]) -> str:
    """Return an answer as it is stored: the gist, numbered points, a closing, one line each."""
    points = [f"{at}、{point['head']}：{point['text']}" for at, point in enumerate(answer["points"], start=1)]
    return "\n".join(line for line in (answer["gist"], *points, answer["closing"]) if line)


def _facts(asker: dict[str, Any] | None) -> list[list[str]]:
    if not asker:
        return []
    who = "，".join(
        part
        for part in (asker.get("sex"), f"{asker['age']} 岁" if asker.get("age") is not None else None)
        if part
    )
    named = (("患者", who), ("持续", asker.get("duration")), ("检查", asker.get("checked")))
    return [[name, value] for name, value in named if value]


def _add_questions(house: House, tags: dict[str, int], today: date) -> None:
    dates, rows = Dates(today, "questions"), read("questions")
    ids: dict[str, int] = {}
    department = {row["slug"]: row["name"] for row in read("specialties")}
    with transaction() as session:
        for row in rows:
            question = Question(
                title=row["title"],
                body=row["body"] or "",
                department_name=department[row["specialty"]],
                topic=row["topic"] or "",
                specialty_id=house.specialties[row["specialty"]],
                facts=_facts(row["asker"]),
                asked_at=dates.ago(row["days_ago"]),
                source=SOURCE,
                external_id=row["id"],
            )
            session.add(question)
            session.flush()
            ids[row["id"]] = question.id
            for position, answer in enumerate(row["answers"]):
                session.add(_answer(house, question, position, answer, dates))
        session.flush()
        related = [
            (row, place, other) for row in rows for place, other in enumerate(row["related"]) if other in ids
        ]
        links = [
            {"question_id": ids[row["id"]], "related_id": ids[other], "position": at}
            for row, at, other in related
        ]
        session.execute(insert(RelatedQuestion), links)
        tagged = [
            (ids[row["id"]], at, tags[name])
            for row in rows
            for at, name in enumerate(row["tags"])
            if name in tags
        ]
        session.execute(
            insert(QuestionTag),
            [{"question_id": one, "tag_id": tag, "position": at} for one, at, tag in tagged],
        )


def _answer(house: House, question: Question, position: int, row: dict[str, Any], dates: Dates) -> Answer:
    hospital_id, doctor_id = house.doctors[row["doctor"]]
    asked_at = question.asked_at or dates.midnight
    answered_at = dates.not_today(
        asked_at + timedelta(hours=row["hours_after"], minutes=dates.chance.randint(2, 50))
    )
    answered_at = max(answered_at, asked_at + timedelta(minutes=9))
    reviewed = row["reviewed_days_after"] if row["reviewer"] else None
    return Answer(
        question_id=question.id,
        position=position,
        hospital_id=hospital_id,
        doctor_id=doctor_id,
        text=answer_text(row),
        answered_at=answered_at,
        reviewed_at=None
        if reviewed is None
        else max(
            answered_at + timedelta(minutes=30), dates.not_today(answered_at + timedelta(days=reviewed))
        ),
        reviewer=row["reviewer"] or "",
    )


def _add_articles(house: House, tags: dict[str, int], today: date) -> None:
    dates = Dates(today, "articles")
    with transaction() as session:
        for row in read("articles"):
            published_at = dates.ago(row["days_ago"])
            article = Article(
                kind=row["kind"],
                title=row["title"],
                blocks=[{"head": block["head"] or "", "text": block["text"]} for block in row["body"]],
                author=row["author"] or "",
                reviewer=row["reviewer"] or "",
                reviewed_at=published_at - timedelta(hours=20) if row["reviewer"] else None,
                published_at=published_at,
                specialty_id=house.specialties.get(row["specialty"] or ""),
                hospital_id=house.hospitals.get(row["hospital"] or ""),
                source=SOURCE,
                external_id=row["id"],
            )
            session.add(article)
            session.flush()
            for name in dict.fromkeys(row["tags"]):
                if name in tags:
                    session.add(ArticleTag(article_id=article.id, tag_id=tags[name]))
