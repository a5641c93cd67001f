"""The plain text of a question page: breadcrumb, title, answers with their doctors, related questions, tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

TITLES = (
    "|".join(
        f"{rank}{work}"
        for work in ("医师", "药师", "技师", "护师")
        for rank in ("主任", "副主任", "主治", "主管", "住院", "")
    )
    + "|教授|副教授"
)
_SIGNED = re.compile(rf"(?P<title>{TITLES})\s+(?P<hospital>\S.{{1,58}}?)(?:\s+(?P<department>\S{{1,30}}))?$")
_PERSON = r"[\u3400-\u9fff·]{2,12}|[A-Za-z][A-Za-z .'-]{1,38}"
_DOCTOR = re.compile(rf"(?P<name>{_PERSON})\s+(?P<title>{TITLES})(?:\s+(?P<department>\S+))?$")
_NAME = re.compile(rf"(?:{_PERSON})$")
_REPLIES = re.compile(r"[|｜]?\s*(\d+)\s*人回复$")
_SECTIONS = {
    "问题描述": "body",
    "全部回答": "answers",
    "相关问答": "related",
    "热门标签": "tags",
    "疾病科普": "rest",
    "最新资讯": "rest",
    "医生推荐": "rest",
    "医院推荐": "rest",
}
_BUTTONS = {"立即预约", "立即咨询", "展开全部", "查看更多", "在线咨询"}


@dataclass(frozen=True)
class PageAnswer:
    """One answer with its doctor; `department` is empty where the page does not say it."""

    text: str
    doctor: str
    title: str
    hospital: str
    department: str = ""


@dataclass(frozen=True)
class PageQuestion:
    """One question; `number` is the line of its title."""

    number: int
    title: str
    body: str = ""
    answers: tuple[PageAnswer, ...] = ()
    problem: tuple[str, str, str] | None = None


@dataclass
class Page:
    """What a page says. `crumbs` without 首页 and without a level named like its parent."""

    site: str = ""
    crumbs: list[str] = field(default_factory=list)
    main: PageQuestion | None = None
    related: list[PageQuestion] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


Line = tuple[int, str]


def read_page(lines: Iterable[str]) -> Page:
    """Return the parts of a question page; an unsigned answer or related question carries a problem."""
    parts = _sections(lines)
    page = Page()
    title: Line | None = None
    for number, line in parts["head"]:
        if ">" in line or "＞" in line:
            page.crumbs = _crumbs(line)
        elif _REPLIES.match(line):
            continue
        elif not page.crumbs and not page.site:
            page.site = line
        else:
            title = (number, line)
    if title is None and page.site and not page.crumbs:
        title, page.site = (parts["head"][0][0], page.site), ""
    if title:
        body = "\n".join(line for _, line in parts["body"])
        page.main = PageQuestion(title[0], title[1], body, tuple(_answers(parts["answers"])))
    page.related = list(_related(parts["related"]))
    page.tags = list(dict.fromkeys(word for _, line in parts["tags"] for word in line.split()))
    _fill_departments(page)
    return page


def _sections(lines: Iterable[str]) -> dict[str, list[Line]]:
    parts: dict[str, list[Line]] = {name: [] for name in ("head", *_SECTIONS.values())}
    place = "head"
    for number, raw in enumerate(lines, start=1):
        line = raw.strip().lstrip("\ufeff")
        words = line.split()
        if words and all(word in _SECTIONS for word in words):
            place = _SECTIONS[words[0]]
        elif line and line not in _BUTTONS:
            parts[place].append((number, line))
    return parts


def _crumbs(line: str) -> list[str]:
    levels: list[str] = []
    for level in re.split(r"\s*[>＞]\s*", line):
        if level and level != "首页" and (not levels or levels[-1] != level):
            levels.append(level)
    return levels


def _answers(lines: list[Line]) -> Iterator[PageAnswer]:
    """Answers of the page's own question: text (may be missing), 「姓名 职称」, then the hospital's line."""
    text: list[str] = []
    at = 0
    while at < len(lines):
        signed = _DOCTOR.match(lines[at][1])
        if signed and at + 1 < len(lines):
            hospital, _, department = lines[at + 1][1].partition(" ")
            yield PageAnswer(
                "\n".join(text),
                signed["name"].strip(),
                signed["title"],
                hospital,
                signed["department"] or department,
            )
            text = []
            at += 2
            continue
        text.append(lines[at][1])
        at += 1
    if text:
        yield PageAnswer("\n".join(text), "", "", "")


def _related(lines: list[Line]) -> Iterator[PageQuestion]:
    """Related questions: title, answer, the doctor's name alone, then 「职称 医院 科室」."""
    block: list[Line] = []
    for number, line in lines:
        signed = _SIGNED.match(line)
        if not signed or len(block) < 2 or not _NAME.match(block[-1][1]):
            block.append((number, line))
            continue
        (first, title), *text = block[:-1] or block
        answer = PageAnswer(
            "\n".join(part for _, part in text),
            block[-1][1],
            signed["title"],
            signed["hospital"].strip(),
            signed["department"] or "",
        )
        yield PageQuestion(first, title, answers=(answer,))
        block = []
    if block:
        yield PageQuestion(
            block[0][0],
            block[0][1],
            problem=("answer", "这条相关问答后面没有医生", "补上姓名一行和「职称 医院 科室」一行"),
        )


def _fill_departments(page: Page) -> None:
    """A doctor named twice has one department: what one place says counts for the other, else the breadcrumb."""
    known = {
        (answer.hospital, answer.doctor): answer.department
        for question in page.related
        for answer in question.answers
        if answer.department
    }
    if page.main:
        fallback = page.crumbs[0] if page.crumbs else ""
        answers = tuple(
            replace(
                answer, department=answer.department or known.get((answer.hospital, answer.doctor), fallback)
            )
            for answer in page.main.answers
        )
        page.main = replace(page.main, answers=answers)
