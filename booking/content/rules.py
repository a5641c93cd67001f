"""How stored text is read: titles for display, the parts of an answer, search words, likeness of two questions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

CHINESE = re.compile(r"[\u3400-\u9fff]")
SENTENCE = re.compile(r"[^。！？!?\n]+[。！？!?]*")

_TAG_QUESTION = re.compile(r"[,，、。\s]*(?:你们?|大家)?(?:都?知道|了解|清楚)(?:吗|么|嘛)[?？!！。~～\s]*$")
_ENDS = re.compile(r"[?？!！。,，、;；~～….\s]+$")
_RUN_OF_MARKS = re.compile(r"([?？!！])(?:\s*[?？!！])+")

_MARK = re.compile(r"(?:^|(?<=[\s。；;！？!?：:]))(\d{1,2})[、.．)）](?!\d)\s*")
_LINE_MARK = re.compile(r"(\d{1,2})[、.．)）](?!\d)\s*")
_HEAD = re.compile(r"([^：:。！？!?，,；;\n]{1,18})[：:](?!//)\s*(?=\S)")
_CLOSING = re.compile(r"(?<=[。！？!?])\s+")


@dataclass(frozen=True)
class Point:
    """One numbered point of an answer; `title` may be empty."""

    title: str
    text: str


@dataclass(frozen=True)
class AnswerBody:
    """An answer in parts. When the text could not be parsed for sure all of it stands in `lead`, unchanged."""

    lead: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    closing: tuple[str, ...] = ()


class Publishable(Protocol):
    @property
    def published(self) -> bool: ...


def display_title(title: str) -> str:
    """Return the title as a page shows it: no doubled marks, no 「你知道吗??」; the stored title stays as it is."""
    kept = " ".join(title.split())
    shown = _TAG_QUESTION.sub("", kept)
    if not _ENDS.sub("", shown):
        shown = kept
    asks = bool(re.search(r"[?？][!！?？。\s]*$", kept)) or shown != kept
    exclaims = bool(re.search(r"[!！]\s*$", shown))
    shown = _RUN_OF_MARKS.sub(r"\1", _ENDS.sub("", shown))
    if not shown:  # nothing but marks
        return _RUN_OF_MARKS.sub(r"\1", kept)
    if CHINESE.search(shown):
        shown = shown.replace("?", "？").replace("!", "！")
        return shown + ("？" if asks else "！" if exclaims else "")
    return shown + ("?" if asks else "!" if exclaims else "")


def cleaned(text: str) -> str:
    """Return text as it may be stored: plain line ends, no control characters, nothing around it.

    Raises ValueError for broken characters (lone surrogates), which no database takes.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("broken characters")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    return "".join(
        letter for letter in text if letter in "\n\t" or unicodedata.category(letter) != "Cc"
    ).strip()


def paragraphs(text: str) -> tuple[str, ...]:
    """Return the non-empty lines of a text."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def split_answer(text: str) -> AnswerBody:
    """Return an answer as lead, numbered points and closing.

    Knows two shapes: paragraphs that begin 「1、…：…」, and one paragraph that runs on with 「1、… 2、…」. The numbers
    must count 1, 2, 3 … without a gap; otherwise the paragraphs come back unchanged as the lead.
    """
    lines = paragraphs(text)
    return _numbered_lines(lines) or _run_on(lines) or AnswerBody(lead=lines)


def _point(text: str) -> Point:
    head = _HEAD.match(text)
    return Point(head[1].strip(), text[head.end() :].strip()) if head else Point("", text.strip())


def _counts_up(numbers: list[int]) -> bool:
    return len(numbers) >= 2 and numbers == list(range(1, len(numbers) + 1))


def _numbered_lines(lines: tuple[str, ...]) -> AnswerBody | None:
    marks = [(at, mark) for at, line in enumerate(lines) if (mark := _LINE_MARK.match(line))]
    if not _counts_up([int(mark[1]) for _, mark in marks]):
        return None
    first, last = marks[0][0], marks[-1][0]
    if last - first + 1 != len(marks):  # a loose paragraph between two points: whose is it?
        return None
    points = tuple(_point(lines[at][mark.end() :]) for at, mark in marks)
    if not all(point.text for point in points):
        return None
    return AnswerBody(lines[:first], points, lines[last + 1 :])


def _run_on(lines: tuple[str, ...]) -> AnswerBody | None:
    found = [(at, list(_MARK.finditer(line))) for at, line in enumerate(lines)]
    found = [(at, marks) for at, marks in found if marks]
    if len(found) != 1:
        return None
    at, marks = found[0]
    if not _counts_up([int(mark[1]) for mark in marks]):
        return None
    line = lines[at]
    ends = [mark.start() for mark in marks[1:]] + [len(line)]
    texts = [line[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    last, *rest = _CLOSING.split(texts[-1], maxsplit=1)
    points = tuple(_point(part) for part in (*texts[:-1], last))
    if not all(point.text for point in points):
        return None
    before = line[: marks[0].start()].strip()
    lead = (*lines[:at], before) if before else lines[:at]
    return AnswerBody(lead, points, (*(part.strip() for part in rest if part.strip()), *lines[at + 1 :]))


def reply_count(answers: Iterable[Publishable]) -> int:
    """Return how many doctors have answered: published answers only."""
    return sum(1 for answer in answers if answer.published)


def shortened(text: str, limit: int) -> str:
    """Return at most `limit` characters; a cut is marked."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def first_sentence(text: str, limit: int = 60) -> str:
    """Return the first sentence that says something, at most `limit` characters; empty for an empty text."""
    for sentence in SENTENCE.findall(text):
        words = sentence.strip()
        if sum(1 for letter in words if letter.isalnum()) >= 4:
            return shortened(words, limit)
    return shortened(text, limit)


def half_width(text: str) -> str:
    """Return the text with full-width letters, digits and signs in their ordinary form (NFKC)."""
    return unicodedata.normalize("NFKC", text)


def full_width(text: str) -> str:
    """Return the text with printable ASCII in its full-width form, as some sources store it."""
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


def search_terms(query: str) -> list[str]:
    """Return the words to look for: half width, lower case, without punctuation; at most five of 40 characters."""
    cleaned = "".join(
        letter if not unicodedata.category(letter).startswith(("P", "C", "Z")) or letter in "%_-+\\" else " "
        for letter in half_width(query[:400]).lower()
    )
    terms = [
        term[:40] for term in cleaned.split() if any(letter.isalnum() for letter in term) or len(term) > 1
    ]
    return list(dict.fromkeys(terms or cleaned.split()))[:5]


def like_pattern(term: str) -> str:
    r"""Return the LIKE pattern that finds `term` anywhere, with `\` as the escape character."""
    escaped = term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def like_patterns(term: str) -> list[str]:
    """Return the patterns for a term in both widths."""
    return list(dict.fromkeys([like_pattern(term), like_pattern(full_width(term))]))


def bigrams(text: str) -> set[str]:
    """Return the pairs of neighbouring Chinese characters; the measure of likeness between two questions."""
    runs = re.findall(r"[\u3400-\u9fff]+", half_width(text))
    return {run[at : at + 2] for run in runs for at in range(len(run) - 1)} - _EMPTY_PAIRS


_QUESTION_WORDS = (
    "什么 怎么 么办 么回 回事 怎样 如何 是什 为什 么原 原因 因是 可以 医生 应该 需要 请问 是不 不是 我的 是否 吃什 么药"
    " 治疗 一下 这个 没有 有什 好吗 最近 经常 有点 感觉 觉得"
)
_EMPTY_PAIRS = frozenset(_QUESTION_WORDS.split())
