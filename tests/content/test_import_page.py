"""The plain text of a question page becomes a page with every part."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from booking.content import queries
from booking.content.importing import import_file
from booking.content.models import Question, Tag
from booking.content.page_text import read_page
from booking.db import db
from booking.directory.models import Doctor, Hospital, Practice
from booking.directory.queries import doctor_cards

PAGE = Path(__file__).with_name("question_page.txt")


def test_every_part_of_the_page_is_there(within):
    report = import_file("questions", PAGE)
    assert report.counts == {"created": 6, "changed": 0, "unchanged": 0, "duplicate": 0, "refused": 0}
    main = db.session.scalars(select(Question).where(Question.title == "小腿夜里抽筋是什么原因")).one()
    page = queries.question_page(main.id)
    assert page is not None
    assert page.specialty is not None and page.specialty.name == "骨科"
    assert page.topic == "" and page.paragraphs == ()
    assert page.replies == 1 and page.answers[0].text == ""
    doctor = page.answers[0].doctor
    assert doctor is not None
    assert (doctor.name, doctor.title, doctor.hospital.name, doctor.department) == (
        "林子衡",
        "主任医师",
        "青萍市人民医院",
        "全科",
    )
    assert [each.title for each in page.related] == [
        "脚底抽筋怎么回事？",
        "腿抽筋以后还一直疼是什么原因造成的？",
        "怀孕后期小腿抽筋特点？",
        "跑步后小腿肚总是抽筋是什么原因？",
        "老人夜里腿抽筋是什么原因？",
    ]
    assert [len(each.answer.body.points) for each in page.related if each.answer] == [5, 0, 3, 5, 4]
    assert [each.name for each in page.tags][:3] == ["滑囊炎", "足底筋膜炎", "静脉曲张"]
    assert len(page.tags) == 10


def test_the_same_doctor_on_the_page_is_one_doctor(within):
    import_file("questions", PAGE)
    assert db.session.scalar(select(func.count()).select_from(Doctor)) == 5
    assert db.session.scalar(select(func.count()).select_from(Hospital)) == 5
    assert db.session.scalar(select(func.count()).select_from(Practice)) == 5
    assert all(row.imported and row.verified_at is None for row in db.session.scalars(select(Doctor)))


def test_a_pathologist_has_no_clinic_and_the_question_still_leads_to_its_topic(within):
    import_file("questions", PAGE)
    key = db.session.execute(select(Doctor.hospital_id, Doctor.id).where(Doctor.name == "江远帆")).one()
    card = doctor_cards([(key[0], key[1])])[key[0], key[1]]
    assert card.department == "病理科" and not card.has_clinic
    related = db.session.scalars(select(Question).where(Question.title.startswith("老人"))).one()
    page = queries.question_page(related.id)
    assert page is not None and page.specialty is not None and page.specialty.name == "骨科"


def test_a_second_import_of_the_page_changes_nothing(within):
    import_file("questions", PAGE)
    report = import_file("questions", PAGE)
    assert report.counts == {"created": 0, "changed": 0, "unchanged": 6, "duplicate": 0, "refused": 0}
    assert db.session.scalar(select(func.count()).select_from(Tag)) == 10


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_the_page_is_read_in_other_encodings_and_line_ends(within, tmp_path, encoding):
    file = tmp_path / "page.txt"
    file.write_bytes(PAGE.read_text(encoding="utf-8").replace("\n", "\r\n").encode(encoding))
    assert import_file("questions", file).counts["created"] == 6
    assert import_file("questions", PAGE).counts["unchanged"] == 6


def test_a_related_question_without_a_doctor_is_refused_with_its_line(within, tmp_path):
    text = PAGE.read_text(encoding="utf-8").replace("主任医师 沅陂自治州人民医院 病理科\n", "")
    file = tmp_path / "page.txt"
    file.write_text(text, encoding="utf-8")
    report = import_file("questions", file)
    assert report.counts["created"] == 5 and report.counts["refused"] == 1
    line = next(at for at, words in enumerate(text.splitlines(), start=1) if words.startswith("老人夜里"))
    assert report.refused[0].number == line


@pytest.mark.parametrize(
    "text",
    [
        "全部回答\n",
        "某站\n首页 > 骨科\n\n问题描述\n\n全部回答\n",
        "\n\n问题描述\n\n\n全部回答\n热门标签\n甲 乙\n",
    ],
)
def test_a_page_without_a_title_is_refused(within, tmp_path, text):
    file = tmp_path / "page.txt"
    file.write_text(text, encoding="utf-8")
    report = import_file("questions", file)
    assert report.read == report.counts["refused"] == 1


def test_levels_named_like_their_parent_are_dropped():
    assert read_page(["某站", "首页 > 内科 > 内科 > 头痛", "标题"]).crumbs == ["内科", "头痛"]
