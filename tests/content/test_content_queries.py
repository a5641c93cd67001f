"""What the pages ask of the content, and how many queries that takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import event, select

from booking.clock import db_now
from booking.content import queries
from booking.content.importing import import_file
from booking.content.models import Answer, Article, ArticleTag, Question, Tag
from booking.content.search import search, suggest
from booking.db import db, transaction
from booking.directory import queries as directory
from booking.directory import service

PAGE = Path(__file__).with_name("question_page.txt")


@pytest.fixture
def counting(within):
    """Counts the statements sent to the database."""
    sent: list[str] = []

    def note(_connection, _cursor, statement, *_rest):
        if statement.split(" ", 1)[0] == "SELECT":
            sent.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield sent
    event.remove(db.engine, "before_cursor_execute", note)


@pytest.fixture
def shelf(within, tmp_path):
    """The page, forty questions, an article and the everyday words of two specialties."""
    import_file("questions", PAGE)
    rows = [
        {
            "id": str(n),
            "title": f"头晕要紧吗，第{n}次" if n % 2 else f"咳嗽第{n}天",
            "question": "１００％ 确定？a_b",
            "department": "神经科" if n % 2 else "呼吸科",
            "answer": "多休息" if n < 39 else "",
            "asked": f"2025-01-{n % 28 + 1:02}",
            "tags": "头晕" if n % 2 else "",
        }
        for n in range(40)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    import_file("questions", file)
    ids = {card.name: card.id for card in directory.specialties().values()}
    service.change_specialty(ids["呼吸内科"], lay_words=["咳嗽", "咳痰"], red_flags=["喘得说不成整句话"])
    service.change_specialty(ids["神经内科"], lay_words=["头晕", "手麻"])
    with transaction() as session:
        article = Article(
            kind="article",
            title="咳嗽多久要看医生",
            blocks=[
                {"head": "先说结论", "text": "两周以上的咳嗽要看。"},
                {"head": "", "text": "再看痰的颜色。"},
            ],
            published_at=db_now(session),
            specialty_id=ids["呼吸内科"],
        )
        session.add(article)
        session.flush()
        session.add(
            ArticleTag(
                article_id=article.id, tag_id=session.scalars(select(Tag.id).where(Tag.name == "头晕")).one()
            )
        )
    return ids


def test_a_question_page_takes_few_queries(shelf, counting):
    main = db.session.scalars(select(Question.id).where(Question.title.startswith("小腿夜里"))).one()
    counting.clear()
    page = queries.question_page(main)
    queries.hot_tags()
    queries.articles("article", specialty_ids=[page.specialty.id])
    queries.articles("news")
    directory.doctor_cards(
        directory.recommended_doctors(page.specialty.id, exclude=[d.key for d in page.doctors])
    )
    directory.hospitals(specialty_id=page.specialty.id)
    assert len(counting) <= 14
    assert len(page.related) == 5 and len(page.doctors) == 5


def test_related_questions_are_filled_up_with_the_newest_of_the_specialty(shelf):
    question = db.session.scalars(select(Question).where(Question.title == "咳嗽第0天")).one()
    page = queries.question_page(question.id)
    assert len(page.related) == 5
    assert all(each.title.startswith("咳嗽") and each.id != question.id for each in page.related)
    assert page.alarms == ("喘得说不成整句话",)
    assert queries.question_page(10**9) is None


def test_an_unpublished_question_or_answer_is_not_shown(shelf):
    question = db.session.scalars(select(Question).where(Question.title == "咳嗽第0天")).one()
    with transaction() as session:
        session.get_one(Question, question.id)
        session.scalars(select(Answer).where(Answer.question_id == question.id)).one().published = False
    page = queries.question_page(question.id)
    assert page.replies == 0 and page.answers == ()
    with transaction() as session:
        session.get_one(Question, question.id).published = False
    assert queries.question_page(question.id) is None
    assert question.id not in [card.id for card in queries.question_list(per_page=100).questions]


def test_lists_are_paged_and_narrowed(shelf, counting):
    counting.clear()
    listed = queries.question_list(specialty_ids=[shelf["呼吸内科"]], page=2, per_page=15)
    assert (listed.total, listed.pages, len(listed.questions)) == (20, 2, 5)
    assert len(counting) <= 3
    dates = [card.asked_at for card in queries.question_list(per_page=100).questions]
    known = [at for at in dates if at]
    assert known == sorted(known, reverse=True) and dates[-1] is None
    assert queries.question_list(page=99).questions == ()
    assert queries.question_list(page=-3).page == 1
    assert queries.question_counts()[shelf["神经内科"]] == 20


def test_a_tag_shows_its_questions_and_articles(shelf):
    tag = queries.hot_tags(1)[0]
    assert (tag.name, tag.questions) == ("头晕", 20)
    page = queries.tag_page(tag.slug)
    assert page.questions.total == 20 and [each.title for each in page.articles] == ["咳嗽多久要看医生"]
    assert queries.tag_page("nothing") is None


def test_an_article_has_its_sections_and_questions(shelf):
    (card,) = queries.articles("article")
    page = queries.article_page(card.id, "article")
    assert page.sections == (("先说结论", ("两周以上的咳嗽要看。",)), ("", ("再看痰的颜色。",)))
    assert page.specialty.name == "呼吸内科" and len(page.questions) == 5
    assert queries.article_page(card.id, "news") is None


def test_a_doctors_answers_are_listed(shelf):
    page = queries.question_page(
        db.session.scalars(select(Question.id).where(Question.title.startswith("小腿夜里"))).one()
    )
    assert queries.answers_of(page.answers[0].doctor.key).total == 2


@pytest.mark.parametrize(
    ("query", "questions", "doctors", "hospitals", "articles"),
    [
        ("咳嗽", 20, 0, 0, 1),
        ("ｋésou", 0, 0, 0, 0),
        ("100% 头晕", 20, 0, 0, 0),
        ("a_b", 40, 0, 0, 0),
        ("a%b", 0, 0, 0, 0),
        ("林子衡", 0, 1, 0, 0),
        ("LINZIHENG", 0, 1, 0, 0),
        ("lin zi", 0, 1, 0, 0),
        ("青萍市", 0, 1, 1, 0),
        ("咳嗽 头晕", 0, 0, 0, 0),
        ("text", 0, 0, 0, 0),
        ("'; --", 0, 0, 0, 0),
        ("", 0, 0, 0, 0),
    ],
)
def test_search_finds_and_counts(shelf, query, questions, doctors, hospitals, articles):
    found = search(query)
    wanted = {"questions": questions, "doctors": doctors, "hospitals": hospitals, "articles": articles}
    assert {name: found.counts.get(name, 0) for name in wanted} == wanted


def test_a_hit_in_the_title_ranks_above_one_in_the_text(shelf, tmp_path):
    file = tmp_path / "more.jsonl"
    rows = [
        {"title": "扁桃体怎么查", "question": "想问问", "asked": "2020-01-01"},
        {"title": "体检怎么做", "question": "扁桃体也查吗", "asked": "2025-01-01"},
        {"title": "挂什么科", "answer": "先看扁桃体", "asked": "2025-02-01"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    import_file("questions", file)
    assert [card.title for card in search("扁桃体").questions] == ["扁桃体怎么查", "体检怎么做", "挂什么科"]
    assert len(search("咳嗽", kind="questions", page=2, per_page=15).questions) == 5
    assert search("心血管科").specialties == () and search("神经科").specialties[0].name == "神经内科"


def test_the_assistant_names_the_department_and_why(shelf, counting):
    counting.clear()
    told = suggest("这几天一直咳嗽，还有点咳痰")
    assert len(counting) <= 9
    assert [each.specialty.name for each in told.specialties] == ["呼吸内科"]
    assert told.specialties[0].reason == "提到「咳嗽」「咳痰」"
    assert told.urgent == () and told.questions


def test_the_assistant_sends_an_emergency_to_120_first(shelf):
    told = suggest("胸口疼，冒冷汗，还咳嗽")
    assert told.urgent and "120" in told.urgent[0]


@pytest.mark.parametrize("text", ["", "？？？", "asdf", "的", "%_\\", "\x00", "甲" * 5000])
def test_the_assistant_says_nothing_when_nothing_fits(shelf, text):
    told = suggest(text)
    assert told.specialties == () and told.urgent == ()


def test_the_assistant_falls_back_on_the_most_alike_question(shelf):
    told = suggest("老人夜里小腿抽筋")
    assert told.specialties[0].specialty.name == "骨科" and "相近" in told.specialties[0].reason


def test_the_tree_counts_doctors_and_hospitals(shelf):
    nodes = {node.specialty.name: node for node in directory.specialty_tree()}
    assert (nodes["全科"].doctors, nodes["全科"].hospitals) == (2, 2)
    assert nodes["内科"].doctors == 1
    assert {child.specialty.name for child in nodes["内科"].children} >= {"呼吸内科", "神经内科", "内分泌科"}
    assert directory.specialty("quanke").name == "全科"
    assert directory.specialty("nothing") is None
