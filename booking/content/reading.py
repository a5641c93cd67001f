"""Reading a file to import: its encoding, its form, its columns, and its rows numbered as in the file."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from booking.content.report import ERROR_COLUMN
from booking.errors import BadInput

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "qid", "externalid", "编号", "序号", "问题编号", "外部编号"),
    "source": ("source", "来源", "数据来源"),
    "title": ("title", "标题", "问题标题", "题目", "职称"),
    "question": (
        "question",
        "ask",
        "body",
        "content",
        "description",
        "问题",
        "提问",
        "问题描述",
        "描述",
        "病情描述",
    ),
    "answer": ("answer", "reply", "response", "回答", "答案", "医生回答", "回复", "解答"),
    "department": ("department", "dept", "科室", "科室名称", "所属科室", "科目"),
    "doctor": ("doctor", "doctorname", "医生", "医生姓名", "回答医生"),
    "doctor_title": ("doctortitle", "医生职称", "职称"),
    "hospital": ("hospital", "hospitalname", "医院", "医院名称", "所属医院", "就职医院"),
    "tags": ("tags", "tag", "标签", "关键词"),
    "asked": ("askedat", "asked", "提问时间", "提问日期", "date", "时间", "日期"),
    "answered": ("answeredat", "answered", "回答时间", "回答日期"),
    "name": ("name", "名称", "姓名", "医院名称", "科室名称", "医生姓名"),
    "short_name": ("shortname", "简称"),
    "level": ("level", "grade", "等级", "级别", "医院等级"),
    "province": ("province", "省", "省份"),
    "city": ("city", "市", "城市"),
    "district": ("district", "area", "区", "区县", "县区"),
    "address": ("address", "地址", "医院地址"),
    "phone": ("phone", "tel", "telephone", "电话", "联系电话"),
    "about": ("about", "简介", "介绍", "医院简介", "科室简介", "医生简介"),
    "transport": ("transport", "交通", "乘车路线"),
    "departments": ("departments", "科室", "开设科室", "科室列表"),
    "code": ("code", "代码", "编码", "科室代码"),
    "parent": ("parentcode", "parent", "上级", "上级代码", "上级科室", "父级"),
    "campus": ("campus", "site", "院区"),
    "skill": ("skill", "goodat", "擅长", "专长"),
    "licence_no": (
        "licenceno",
        "licenseno",
        "licence",
        "license",
        "执业证号",
        "执业证书编号",
        "医师执业证号",
    ),
    "pinyin": ("pinyin", "拼音"),
    "sex": ("sex", "gender", "性别"),
    "training": ("training", "education", "教育经历", "学习经历"),
}
"""Column names in both languages, compared without case, spaces and signs."""

PROBES = ("utf-8", "gb18030")
ESCAPED = set("=+-@＝＋－＠")
CELL_LIMIT = 1_000_000
LINE_LIMIT = 2_000_000
csv.field_size_limit(CELL_LIMIT)


@dataclass(frozen=True)
class Form:
    """What a file is: `form` is jsonl, csv or page; `encoding` as Python names it; `digest` of its bytes."""

    form: str
    encoding: str
    digest: str
    size: int
    delimiter: str = ","


@dataclass
class Row:
    """One row: `number` as a person finds it (line of a JSONL file, row of the sheet), or `problem` when unreadable.

    `values` are by our column names, `raw` as in the file, `headings` says what the file calls our columns.
    """

    number: int
    values: dict[str, str] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    headings: dict[str, str] = field(default_factory=dict)
    problem: tuple[str, str, str] | None = None


def recognise(path: Path) -> Form:
    """Return the form of a file after reading it once. Raises BadInput with a sentence when it is none of ours."""
    digest = hashlib.sha256()
    decoders = {name: codecs.getincrementaldecoder(name)(errors="replace") for name in PROBES}
    faults = dict.fromkeys(PROBES, 0)
    with path.open("rb") as file:
        head = file.read(65536)
        block = head
        while block:
            digest.update(block)
            for name, decoder in decoders.items():
                faults[name] += decoder.decode(block).count("\ufffd")
            block = file.read(1 << 20)
    for name, decoder in decoders.items():
        faults[name] += decoder.decode(b"", final=True).count("\ufffd")
    if not head.strip():
        raise BadInput("文件是空的：%(file)s。", file=path.name)
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"\x1f\x8b")):
        raise BadInput(
            "%(file)s 是表格、压缩包或 PDF。请在表格软件里另存为「CSV UTF-8」再导入。", file=path.name
        )
    encoding = _encoding(head, faults)
    text = head.decode(encoding, errors="replace").lstrip("\ufeff")
    form = _form(path, text)
    return Form(form, encoding, digest.hexdigest(), path.stat().st_size, _delimiter(path, text))


def _encoding(head: bytes, faults: dict[str, int]) -> str:
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8" if faults["utf-8"] <= faults["gb18030"] else "gb18030"


def _form(path: Path, text: str) -> str:
    ending = path.suffix.lower()
    if ending in (".jsonl", ".ndjson"):
        return "jsonl"
    if ending in (".csv", ".tsv"):
        return "csv"
    if re.search(r"^\s*全部回答", text, re.MULTILINE) or re.search(r"^\s*问题描述\s*$", text, re.MULTILINE):
        return "page"
    if text.lstrip().startswith("{"):
        return "jsonl"
    if text.lstrip().startswith("["):
        raise BadInput("%(file)s 是一整个 JSON 列表。请改成每行一个对象（JSONL）再导入。", file=path.name)
    return "csv"


def _delimiter(path: Path, text: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    line = text.splitlines()[0] if text.splitlines() else ""
    return max(",\t;", key=line.count) if any(mark in line for mark in ",\t;") else ","


def open_text(path: Path, form: Form) -> tuple[io.TextIOWrapper, BinaryIO]:
    """Return the file as text and the raw file below, whose position tells how far the reading is.

    Bytes that are no text become lone surrogates: the row that holds them is refused, not the file.
    """
    raw = path.open("rb")
    return io.TextIOWrapper(raw, encoding=form.encoding, errors="surrogateescape", newline=""), raw


def column_of(name: str, wanted: tuple[str, ...]) -> str | None:
    """Return which of the wanted columns a heading means, in the order they are wanted."""
    key = re.sub(r"[\s_\-:：()（）*]+", "", name.replace("\ufeff", "")).lower()
    return next((column for column in wanted if key in COLUMNS[column]), None)


def read_rows(text: io.TextIOWrapper, form: Form, wanted: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows of a JSONL or CSV file, blank ones left out. Raises BadInput when no heading is known."""
    if form.form == "jsonl":
        yield from _json_rows(text, wanted)
    else:
        yield from _csv_rows(text, form.delimiter, wanted)


def _json_rows(text: io.TextIOWrapper, wanted: tuple[str, ...]) -> Iterator[Row]:
    number = 0
    while line := text.readline(LINE_LIMIT):
        number += 1
        if len(line) >= LINE_LIMIT:
            while line and not line.endswith("\n"):
                line = text.readline(LINE_LIMIT)
            yield Row(number, problem=("", "这一行太长", "检查换行是否丢失"))
            continue
        if not line.strip():
            continue
        try:
            values = json.loads(line.lstrip("\ufeff"))
        except (ValueError, RecursionError):
            yield Row(
                number, raw={"line": line.rstrip("\r\n")}, problem=("", "不是完整的 JSON", "检查引号和括号")
            )
            continue
        if not isinstance(values, dict):
            yield Row(
                number,
                raw={"line": line.rstrip("\r\n")},
                problem=("", "这一行不是对象", "每行写成 {“列名”: “内容”} 的样子"),
            )
            continue
        yield _json_row(number, values, wanted)


def _json_row(number: int, values: dict[str, Any], wanted: tuple[str, ...]) -> Row:
    row = Row(number, raw=values)
    for name, value in values.items():
        column = column_of(name, wanted)
        if column is None or value is None or row.values.get(column):
            continue
        if column in ("tags", "departments") and isinstance(value, list):
            value = ";".join(str(item) for item in value)
        if isinstance(value, dict | list | bool):
            row.problem = (name, "内容不是文字", "改成一段文字")
            continue
        row.values[column] = str(value)
        row.headings[column] = name
    return row


def _csv_rows(text: io.TextIOWrapper, delimiter: str, wanted: tuple[str, ...]) -> Iterator[Row]:
    reader = csv.reader(text, delimiter=delimiter)
    heading: list[str] = []
    columns: list[str | None] = []
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Row(number, problem=("", "单元格太长，或引号没有配对", "检查这一行的引号"))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if heading:
            yield _csv_row(number, heading, columns, cells)
            continue
        heading = cells
        columns = [column_of(cell, wanted) for cell in heading]
        if not any(columns):
            known = "、".join(name for column in wanted for name in COLUMNS[column][:1])
            raise BadInput("第一行没有认识的列名。认识的列名有：%(names)s（对应的中文也可以）。", names=known)


def _csv_row(number: int, heading: list[str], columns: list[str | None], cells: list[str]) -> Row:
    row = Row(number, raw=dict(zip(heading, cells, strict=False)))
    returned = heading[-1] == ERROR_COLUMN  # a file of refused rows comes back: its cells were escaped
    if any(cell.strip() for cell in cells[len(heading) :]):
        row.raw["+"] = " | ".join(cells[len(heading) :])
        row.problem = ("", "这一行的列比表头多", "内容里有逗号或引号时，整格要用英文双引号括起来")
        return row
    for name, column, cell in zip(heading, columns, cells, strict=False):
        if column and not row.values.get(column):
            row.values[column] = cell.removeprefix("'") if returned and cell[1:2] in ESCAPED else cell
            row.headings[column] = name.strip("\ufeff ")
    return row
