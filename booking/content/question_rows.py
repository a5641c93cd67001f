"""Questions and answers from rows and pages, checked: what may be stored, or why not."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time

from booking import clock
from booking.content import rules
from booking.content.page_text import Page, PageQuestion
from booking.content.reading import Row
from booking.content.report import Refused

WANTED = (
    "id", "source", "doctor_title", "title", "question", "answer", "department", "doctor", "hospital", "tags",
    "asked", "answered",
)  # fmt: skip
LIMITS = {
    "title": 500,
    "question": 20_000,
    "answer": 50_000,
    "department": 60,
    "doctor": 60,
    "doctor_title": 40,
    "hospital": 120,
    "source": 80,
    "id": 160,
}
ZONE = "Asia/Shanghai"


@dataclass(frozen=True)
class AnswerEntry:
    """One answer to store; without a doctor it is an imported answer that leads to its department."""

    text: str
    doctor: str = ""
    title: str = ""
    hospital: str = ""
    department: str = ""
    answered_at: datetime | None = None


@dataclass(frozen=True)
class QuestionEntry:
    """One checked question. `department` is the topic's, `leads_to` the external ids of related questions in order."""

    number: int
    source: str
    external_id: str
    title: str
    body: str
    department: str
    answers: tuple[AnswerEntry, ...]
    topic: str = ""
    tags: tuple[str, ...] = ()
    asked_at: datetime | None = None
    leads_to: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The hash of everything that is stored, the id apart."""
        told = [
            self.source,
            self.title,
            self.body,
            self.department,
            self.topic,
            list(self.tags),
            str(self.asked_at or ""),
            [
                [
                    answer.text,
                    answer.doctor,
                    answer.title,
                    answer.hospital,
                    answer.department,
                    str(answer.answered_at or ""),
                ]
                for answer in self.answers
            ],
            list(self.leads_to),
        ]
        return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


def instant(text: str) -> datetime | None:
    """Return a date or date and time (Beijing wall time unless it names a zone); None for empty. Raises ValueError."""
    tidy = re.sub(r"[年月/.](?=\d)", "-", text.strip()).replace("日", " ").strip()
    if not tidy:
        return None
    if re.fullmatch(r"\d{4}-\d{1,2}-\d{1,2}", tidy):
        year, month, day = map(int, tidy.split("-"))
        return clock.utc(datetime(year, month, day).date(), time(), ZONE)
    at = datetime.fromisoformat(tidy)
    return at.astimezone(UTC) if at.tzinfo else clock.utc(at.date(), at.time(), ZONE)


def check_row(row: Row, source: str) -> QuestionEntry | Refused:
    """Return a row as a question, or why it is refused. An empty title takes the question's first sentence."""
    values: dict[str, str] = {}
    for column, text in row.values.items():
        try:
            values[column] = rules.cleaned(text)
        except ValueError:
            return Refused(row.number, column, "有无法识别的字符", "检查文件的编码，另存为 UTF-8")
        limit = LIMITS.get(column)
        if limit and len(values[column]) > limit:
            return Refused(
                row.number, column, f"有 {len(values[column])} 个字，最多 {limit} 个", "缩短，或拆成几行"
            )
    title, body = " ".join(values.get("title", "").split()), values.get("question", "")
    if not title:
        title = rules.first_sentence(body)
    if not any(letter.isalnum() for letter in title + body):
        return Refused(row.number, "title", "标题和问题都是空的", "至少填写一项")
    if values.get("doctor") and not values.get("hospital"):
        return Refused(row.number, "hospital", "有医生但没有医院", "补上医院，或去掉医生一列")
    try:
        asked_at = instant(values.get("asked", ""))
        answered_at = instant(values.get("answered", ""))
    except ValueError:
        return Refused(row.number, "asked", "看不懂这个日期", "写成 2025-11-25 或 2025-11-25 08:30")
    department = "".join(values.get("department", "").split())
    answers: tuple[AnswerEntry, ...] = ()
    if values.get("answer") or values.get("doctor"):
        answers = (
            AnswerEntry(
                values.get("answer", ""),
                "".join(values.get("doctor", "").split(" ")),
                values.get("doctor_title", ""),
                values.get("hospital", ""),
                department,
                answered_at,
            ),
        )
    tags = tuple(
        dict.fromkeys(
            tag for tag in re.split(r"[;；,，、|\s]+", values.get("tags", "")) if 0 < len(tag) <= 30
        )
    )
    entry = QuestionEntry(
        row.number,
        values.get("source") or source,
        values.get("id", ""),
        title,
        body,
        department,
        answers,
        tags=tags,
        asked_at=asked_at,
    )
    return entry if entry.external_id else replace(entry, external_id=entry.digest)


def check_page(page: Page, source: str) -> Iterator[QuestionEntry | Refused]:
    """Yield the related questions of a page and last its own, which leads to them in the page's order."""
    source = (page.site or source)[:80]
    department = page.crumbs[0] if page.crumbs else ""
    topic = page.crumbs[-1] if len(page.crumbs) > 1 else ""
    related: list[str] = []
    for question in page.related:
        checked = _page_entry(question, source, department, topic, (), ())
        if isinstance(checked, QuestionEntry):
            related.append(checked.external_id)
        yield checked
    if page.main is None:
        yield Refused(1, "title", "没有找到问题的标题", "第一行是网站名，第二行是位置，接着是标题")
        return
    yield _page_entry(page.main, source, department, topic, tuple(page.tags), tuple(related))


def _page_entry(
    question: PageQuestion,
    source: str,
    department: str,
    topic: str,
    tags: tuple[str, ...],
    leads_to: tuple[str, ...],
) -> QuestionEntry | Refused:
    if question.problem:
        return Refused(question.number, *question.problem)
    try:
        answers = tuple(
            AnswerEntry(rules.cleaned(each.text), each.doctor, each.title, each.hospital, each.department)
            for each in question.answers
        )
        title, body = rules.cleaned(question.title), rules.cleaned(question.body)
    except ValueError:
        return Refused(question.number, "title", "有无法识别的字符", "检查文件的编码，另存为 UTF-8")
    texts = {"title": title, "question": body, "department": department}
    texts |= {f"answer {at}": answer.text for at, answer in enumerate(answers)}
    for column, text in texts.items():
        limit = LIMITS[column.split(" ")[0]]
        if len(text) > limit:
            return Refused(question.number, column, f"有 {len(text)} 个字，最多 {limit} 个", "缩短")
    signed = "|".join(f"{answer.hospital}/{answer.doctor}" for answer in answers)
    key = hashlib.sha256(f"{title}|{signed}".encode()).hexdigest()
    return QuestionEntry(
        question.number, source, key, title, body, department, answers, topic, tags, leads_to=leads_to
    )
