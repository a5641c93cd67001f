"""What the content's questions return: small values without a way back to the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from booking.content.rules import AnswerBody
from booking.directory.views import DoctorCard, HospitalCard, Key, SpecialtyCard


@dataclass(frozen=True)
class TagCard:
    slug: str
    name: str
    questions: int = 0


@dataclass(frozen=True)
class AnswerView:
    """An answer in parts. Without `doctor` it is imported and leads to `specialty` (its department's, else the topic's)."""

    id: int
    position: int
    doctor: DoctorCard | None
    department_name: str
    specialty: SpecialtyCard | None
    body: AnswerBody
    text: str
    answered_at: datetime | None
    reviewed_at: datetime | None
    reviewer: str
    imported: bool
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuestionCard:
    """A question in a list; `gist` is the first sentence of its description, else of its first answer."""

    id: int
    title: str
    gist: str
    specialty_id: int | None
    department_name: str
    asked_at: datetime | None
    replies: int
    doctor: str = ""
    doctor_key: Key | None = None


@dataclass(frozen=True)
class RelatedView:
    """A related question with its whole first answer."""

    id: int
    title: str
    answer: AnswerView | None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuestionPage:
    """Everything the page of a question shows except next times, which are the schedule's.

    `title` is trimmed for display, `original_title` as stored; `alarms` are the specialty's red flags, then those that
    the words of the question raise.
    """

    id: int
    title: str
    original_title: str
    paragraphs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    department_name: str
    topic: str
    specialty: SpecialtyCard | None
    asked_at: datetime | None
    answers: tuple[AnswerView, ...]
    related: tuple[RelatedView, ...]
    tags: tuple[TagCard, ...]
    alarms: tuple[str, ...] = ()
    urgent: tuple[str, ...] = ()

    @property
    def replies(self) -> int:
        return len(self.answers)

    @property
    def doctors(self) -> tuple[DoctorCard, ...]:
        """The doctors of the answers, then of the related ones, each once."""
        answers = (*self.answers, *(each.answer for each in self.related if each.answer))
        found = {answer.doctor.key: answer.doctor for answer in answers if answer.doctor}
        return tuple(found.values())


@dataclass(frozen=True)
class QuestionList:
    total: int
    page: int
    pages: int
    questions: tuple[QuestionCard, ...]


@dataclass(frozen=True)
class ArticleCard:
    id: int
    kind: str
    title: str
    gist: str
    published_at: datetime
    specialty_id: int | None = None


@dataclass(frozen=True)
class ArticlePage:
    """An article or news item; `sections` are (head, paragraphs), head may be empty."""

    id: int
    kind: str
    title: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]
    author: str
    reviewer: str
    reviewed_at: datetime | None
    published_at: datetime
    specialty: SpecialtyCard | None
    hospital_id: int | None
    tags: tuple[TagCard, ...]
    questions: tuple[QuestionCard, ...]


@dataclass(frozen=True)
class TagPage:
    tag: TagCard
    about: str
    specialty: SpecialtyCard | None
    questions: QuestionList
    articles: tuple[ArticleCard, ...]


@dataclass(frozen=True)
class SearchResult:
    """What a search found; `counts` by kind: questions, doctors, hospitals, articles."""

    query: str
    terms: tuple[str, ...]
    counts: dict[str, int] = field(default_factory=dict)
    questions: tuple[QuestionCard, ...] = ()
    doctors: tuple[DoctorCard, ...] = ()
    hospitals: tuple[HospitalCard, ...] = ()
    articles: tuple[ArticleCard, ...] = ()
    specialties: tuple[SpecialtyCard, ...] = ()
    urgent: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class SuggestedSpecialty:
    """A specialty with the words of the text that lead to it."""

    specialty: SpecialtyCard
    reason: str


@dataclass(frozen=True)
class Suggestion:
    """The assistant's answer: red-flag sentences stand above everything; no diagnosis."""

    text: str
    urgent: tuple[str, ...]
    specialties: tuple[SuggestedSpecialty, ...] = ()
    doctors: tuple[DoctorCard, ...] = ()
    questions: tuple[QuestionCard, ...] = ()
