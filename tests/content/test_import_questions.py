"""`flask import questions`: forms, encodings, repeats, refused rows, hostile text."""

from __future__ import annotations

import csv
import json

import pytest
from sqlalchemy import func, select, text

from booking.content import queries, question_rows
from booking.content.importing import import_file
from booking.content.models import Answer, ImportRun, Question
from booking.db import db, transaction
from booking.directory.models import Doctor, Specialty
from booking.errors import BadInput

ROWS = [
    {
        "标题": "手抖是怎么回事？",
        "问题描述": "端水的时候抖。\n休息后好些。",
        "科室": "神经科",
        "回答": "先量血压。",
    },
    {"标题": "头晕怎么办", "问题描述": "起身时头晕", "科室": "心血管科", "回答": "慢慢起身，\n多喝水。"},
    {"标题": "", "问题描述": "嗓子疼三天了，要不要吃药？没有发烧。", "科室": "", "回答": ""},
]


def sheet(rows, **options) -> str:
    lines: list[str] = []

    class Sink:
        write = staticmethod(lines.append)

    writer = csv.DictWriter(Sink, list(rows[0]), lineterminator="\r\n", **options)
    writer.writeheader()
    writer.writerows(rows)
    return "".join(lines)


def counted(report):
    counts = report.counts
    return (
        report.read,
        counts["created"],
        counts["changed"],
        counts["unchanged"] + counts["duplicate"],
        counts["refused"],
    )


def questions():
    return db.session.scalars(select(Question).order_by(Question.id)).all()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_sheet_is_read_in_every_usual_encoding(within, tmp_path, encoding, delimiter):
    file = tmp_path / "问答.csv"
    file.write_bytes(sheet(ROWS, delimiter=delimiter).encode(encoding))
    assert counted(import_file("questions", file)) == (3, 3, 0, 0, 0)
    first, _, last = questions()
    assert (first.title, first.body) == ("手抖是怎么回事？", "端水的时候抖。\n休息后好些。")
    assert last.title == "嗓子疼三天了，要不要吃药？"


def test_json_lines_with_english_names_are_read_in_gb18030(within, tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [
        {"id": "a1", "title": "手麻", "ask": "左手", "department": "呼吸科", "answer": "看看"},
        {"title": "甲", "question": None},
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows) + "\r\n\r\n"
    file.write_bytes(text.encode("gb18030"))
    assert counted(import_file("questions", file, source="旧站")) == (2, 2, 0, 0, 0)
    row = questions()[0]
    assert (row.source, row.external_id, row.body) == ("旧站", "a1", "左手")
    assert db.session.get_one(Specialty, row.specialty_id).name == "呼吸内科"


def test_an_answer_without_a_doctor_is_imported_and_leads_to_its_department(within, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(sheet(ROWS), encoding="utf-8")
    import_file("questions", file)
    page = queries.question_page(questions()[0].id)
    assert page is not None
    (answer,) = page.answers
    assert answer.imported and answer.doctor is None
    assert answer.specialty is not None and answer.specialty.name == "神经内科"
    assert answer.reviewed_at is None and answer.answered_at is None


def test_a_second_run_changes_nothing(within, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(sheet(ROWS), encoding="utf-8")
    import_file("questions", file)
    before = [(row.id, row.digest) for row in questions()]
    for _ in range(2):
        assert counted(import_file("questions", file, batch=1)) == (3, 0, 0, 3, 0)
    assert [(row.id, row.digest) for row in questions()] == before
    assert db.session.scalar(select(func.count()).select_from(Answer)) == 2


def test_the_same_rows_in_another_file_and_encoding_change_nothing(within, tmp_path):
    one, two = tmp_path / "a.csv", tmp_path / "b.jsonl"
    one.write_text(sheet(ROWS), encoding="utf-8")
    two.write_bytes("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode("gb18030"))
    import_file("questions", one)
    assert counted(import_file("questions", two)) == (3, 0, 0, 3, 0)


def test_a_changed_row_changes_its_question_and_keeps_the_answer_row(within, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "1", "title": "甲乙丙", "answer": "旧"}\n', encoding="utf-8")
    import_file("questions", file)
    kept = db.session.scalars(select(Answer.id)).one()
    file.write_text('{"id": "1", "title": "甲乙丙", "answer": "新"}\n', encoding="utf-8")
    assert counted(import_file("questions", file)) == (1, 0, 1, 0, 0)
    answer = db.session.scalars(select(Answer)).one()
    assert (answer.id, answer.text) == (kept, "新")
    file.write_text('{"id": "1", "title": "甲乙丙"}\n', encoding="utf-8")
    assert counted(import_file("questions", file)) == (1, 0, 1, 0, 0)
    assert db.session.scalars(select(Answer.published)).one() is False


def test_exact_duplicates_are_told_apart_from_the_same_title(within, tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [
        {"id": "x", "title": "头痛", "answer": "休息"},
        {"id": "x-2", "title": "头痛", "answer": "休息"},
        {"id": "y", "title": "头痛", "answer": "喝水"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = import_file("questions", file, batch=1)
    assert report.counts == {"created": 2, "changed": 0, "unchanged": 0, "duplicate": 1, "refused": 0}
    assert import_file("questions", file).counts["duplicate"] == 1


def test_an_id_used_twice_for_different_questions_is_refused_the_second_time(within, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "1", "title": "甲甲"}\n{"id": "1", "title": "乙乙"}\n', encoding="utf-8")
    for expected in ((2, 1, 0, 0, 1), (2, 0, 0, 1, 1)):
        report = import_file("questions", file)
        assert counted(report) == expected
        assert report.refused[0].number == 2 and report.refused[0].column == "id"


def test_refused_rows_carry_the_number_of_the_sheet(within, tmp_path):
    file, refused = tmp_path / "a.csv", tmp_path / "refused.csv"
    file.write_text(
        "标题,问题描述,提问时间\r\n"
        '好的,"第一行\r\n第二行\r\n第三行",2025-01-02\r\n'  # row 2, three physical lines
        ",,2025-01-02\r\n"  # row 3
        "\r\n"  # row 4, blank
        "好的,x,昨天\r\n"  # row 5
        "多了,一,2025-01-02,=1+1\r\n"  # row 6
        f"{'长' * 501},x,\r\n"  # row 7
        "=HYPERLINK(1),b,2025/1/2\r\n"  # row 8, taken
        "-,@cmd,不是日期\r\n"  # row 9
        "\r\n,,\r\n",
        encoding="utf-8",
        newline="",
    )
    report = import_file("questions", file, refused=refused, batch=2)
    assert [(row.number, row.column) for row in report.refused] == [
        (3, "标题"),
        (5, "提问时间"),
        (6, ""),
        (7, "标题"),
        (9, "提问时间"),
    ]
    assert all(row.reason and row.suggestion for row in report.refused)
    assert counted(report) == (7, 2, 0, 0, 5)
    with refused.open(encoding="utf-8-sig", newline="") as out:
        rows = list(csv.reader(out))
    assert rows[0] == ["标题", "问题描述", "提问时间", "error"]
    assert [row[-1].split("：")[0] for row in rows[1:]] == [
        "第 3 行",
        "第 5 行",
        "第 6 行",
        "第 7 行",
        "第 9 行",
    ]
    assert rows[5][0] == "'-" and rows[5][1] == "'@cmd"
    assert questions()[1].title == "=HYPERLINK(1)"


def test_refused_rows_come_back_unescaped_once_mended(within, tmp_path):
    file = tmp_path / "mended.csv"
    file.write_text("标题,问题描述,error\n'=1+1 是什么,'@cmd,第 3 行：……\n", encoding="utf-8")
    assert counted(import_file("questions", file)) == (1, 1, 0, 0, 0)
    assert (questions()[0].title, questions()[0].body) == ("=1+1 是什么", "@cmd")


def test_refused_json_lines_carry_the_line_number(within, tmp_path):
    file, refused = tmp_path / "a.jsonl", tmp_path / "refused.jsonl"
    lines = [
        '{"title": "一二"}',
        "",
        '{"title": "断了',
        '["不是对象"]',
        '{"title": {"a": 1}}',
        '{"title": "\\ud800"}',
        "[" * 5000,
        '{"title": "有医生", "doctor": "林某"}',
        '{"title": 12345}',
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    report = import_file("questions", file, refused=refused)
    assert [row.number for row in report.refused] == [3, 4, 5, 6, 7, 8]
    assert counted(report) == (8, 2, 0, 0, 6)
    out = [json.loads(line) for line in refused.read_text(encoding="utf-8").splitlines()]
    assert len(out) == 6 and all(row["error"] for row in out)


def test_bytes_of_no_encoding_refuse_their_row_only(within, tmp_path):
    file = tmp_path / "a.csv"
    good = "".join(f"问题第{number}号怎么办,回答\n" for number in range(200))
    file.write_bytes(b"title,answer\n" + good.encode() + b"\xe4\xb8 bad \xff,x\n" + "尾巴问题,y\n".encode())
    report = import_file("questions", file)
    assert counted(report) == (202, 201, 0, 0, 1)
    assert report.refused[0].number == 202


HOSTILE = [
    "😀👨‍👩‍👧‍👦 头痛",
    "\u202eעברית مرحبا\u202c 痛",
    "空\x00字\x1b[31m符",
    "'; DROP TABLE question; --",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{ 7*7 }}{% raw %}${7*7}#{7*7}",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "%s %(name)s %n {0} \\",
    "ｆｕｌｌ　ｗｉｄｔｈ　１２３",
    "Z̷̢͈̪͎a̸l̷g̵o̶",
    "\u0000\u200b\ufeff\u2028隐形",
    "null",
    "true",
    "1e400",
    "../../../../etc/passwd",
]


def test_hostile_text_is_stored_as_it_is_and_found_again(within, tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [
        {"title": text, "question": text * 20, "answer": text, "department": "神经科", "tags": text}
        for text in HOSTILE
    ]
    rows.append({"title": "很长", "question": "长" * 20_000, "answer": "1、" * 20_000})
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = import_file("questions", file)
    assert counted(report) == (17, 17, 0, 0, 0)
    assert counted(import_file("questions", file)) == (17, 0, 0, 17, 0)
    stored = {row.title for row in questions()}
    assert "'; DROP TABLE question; --" in stored and "空字[31m符" in stored
    for row in questions():
        assert queries.question_page(row.id) is not None


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "空"),
        (b"  \n", "空"),
        (b"PK\x03\x04rest", "CSV"),
        (b"[{}]", "JSON"),
        (b"foo,bar\n1,2\n", "列名"),
    ],
)
def test_a_file_of_no_known_form_is_one_clear_sentence(within, tmp_path, content, word):
    file = tmp_path / "a"
    file.write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        import_file("questions", file)
    assert word in refusal.value.text
    assert not questions()


@pytest.fixture
def strict_ids(within, monkeypatch):
    """Takes the first guard, the check of lengths, away, so that the database's own refusal stops the row.

    PostgreSQL refuses by the column's length; SQLite takes any, so it gets a trigger for this test.
    """
    monkeypatch.setitem(question_rows.LIMITS, "id", 10**6)
    if db.engine.dialect.name == "postgresql":
        yield
        return
    with transaction() as session:
        session.execute(
            text(
                "CREATE TRIGGER only_short_ids BEFORE INSERT ON question WHEN length(new.external_id) > 160"
                " BEGIN SELECT RAISE(ABORT, 'too long'); END"
            )
        )
    yield
    with transaction() as session:
        session.execute(text("DROP TRIGGER only_short_ids"))


def test_a_row_the_database_refuses_takes_no_other_row_with_it(strict_ids, tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [
        {"id": "1", "title": "甲"},
        {"id": "2" * 500, "title": "乙", "department": "骨科"},
        {"id": "3", "title": "丙"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = import_file("questions", file)
    assert counted(report) == (3, 2, 0, 0, 1)
    assert report.refused[0].number == 2
    assert [row.title for row in questions()] == ["甲", "丙"]


def test_a_doctor_named_in_a_row_is_one_doctor_and_never_verified(within, tmp_path):
    file = tmp_path / "a.csv"
    rows = [
        {
            "title": f"问题{n}号",
            "answer": "好",
            "医生": "林子衡",
            "医院": "青萍市人民医院",
            "职称": "主任医师",
            "科室": "骨科",
        }
        for n in range(3)
    ]
    file.write_text(sheet(rows), encoding="utf-8")
    import_file("questions", file, batch=1)
    doctor = db.session.scalars(select(Doctor)).one()
    assert doctor.imported and doctor.verified_at is None and doctor.title == "主任医师"
    page = queries.question_page(1)
    assert page is not None and page.answers[0].doctor is not None
    assert page.answers[0].doctor.department == "骨科"


def test_a_run_says_how_far_it_came(within, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(sheet(ROWS), encoding="utf-8")
    told = []
    import_file("questions", file, batch=1, tell=lambda *facts: told.append(facts))
    assert told[-1] == (file.stat().st_size, file.stat().st_size, 3)
    run = db.session.scalars(select(ImportRun)).one()
    assert run.rows_done == 3 and run.finished_at and run.counts["created"] == 3


def test_a_stopped_run_goes_on_where_it_was(within, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(
        sheet([*ROWS, {"标题": "", "问题描述": "", "科室": "", "回答": "无"}, *ROWS]), encoding="utf-8"
    )
    first = import_file("questions", file, batch=2, stop=lambda: True)
    assert first.stopped and counted(first) == (2, 2, 0, 0, 0)
    second = import_file("questions", file, batch=2)
    assert second.resumed_at == 2 and not second.stopped
    assert counted(second) == (7, 3, 0, 3, 1)
    assert second.refused[0].number == 5
