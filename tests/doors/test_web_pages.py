"""The pages that lead from an answer to a doctor's time: every part of a question's page, lists, search, assistant."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from booking.content.models import Answer, Article, Question, QuestionTag, RelatedQuestion, Tag
from booking.db import db
from tests import factory
from tests.doors.visitor import Visitor, links

TEXT = "晨僵超过半小时，先看风湿免疫科。\n1、关节滑膜发炎：休息一夜后僵硬最重。\n2、反复用力：减少用力会好转。\n记下每天僵硬多少分钟。"


@pytest.fixture
def visitor(app):
    return Visitor(app)


@pytest.fixture
def house(app):
    """A specialty with a doctor who can be booked, one without clinic, a question they answered and what is around it."""
    with app.app_context():
        topic = factory.specialty(
            "rheum", name="风湿免疫科", red_flags=["关节突然红肿发烫，同时发热"], about="看关节和免疫"
        )
        lab = factory.specialty("lab", name="检验科", has_clinic=False)
        clinic = factory.clinic(
            specialty_id=topic.id, doctor={"skill": "关节肿痛", "verified_at": factory.now()}
        )
        session = factory.open_session(clinic)
        without = factory.clinic(specialty_id=lab.id, department={"name": "检验科", "has_clinic": False})
        at = factory.now() - timedelta(days=3)
        question = Question(
            title="手指发僵该挂哪个科??", specialty_id=topic.id, asked_at=at, facts=[["患者", "女，46 岁"]]
        )
        other = Question(title="抗体偏高能确诊吗？", specialty_id=topic.id, asked_at=at)
        empty = Question(title="还没有人回答的问题", specialty_id=topic.id, asked_at=at)
        tag = Tag(slug="chenjiang", name="晨僵", specialty_id=topic.id)
        article = Article(
            kind="article",
            title="晨僵和手酸怎么分",
            blocks=[{"head": "", "text": "看时间。"}, {"head": "什么时候就医", "text": "超过半小时。"}],
            author="编辑部",
            published_at=at,
            specialty_id=topic.id,
        )
        news = Article(
            kind="news", title="周日开设门诊", blocks=[{"head": "", "text": "从下周起。"}], published_at=at
        )
        db.session.add_all([question, other, empty, tag, article, news])
        db.session.flush()
        mine = {"hospital_id": clinic.id, "doctor_id": clinic.doctor.id}
        theirs = {"hospital_id": without.id, "doctor_id": without.doctor.id}
        db.session.add_all(
            [
                Answer(
                    question_id=question.id,
                    text=TEXT,
                    answered_at=at,
                    reviewed_at=at,
                    reviewer="医学编辑",
                    **mine,
                ),
                Answer(question_id=question.id, position=1, text="", imported=True, department_name="检验科"),
                Answer(question_id=other.id, text="不能，要结合症状。", answered_at=at, **theirs),
                QuestionTag(question_id=question.id, tag_id=tag.id),
                RelatedQuestion(question_id=question.id, related_id=other.id),
            ]
        )
        db.session.commit()
        return {
            "clinic": clinic,
            "session": session,
            "without": without,
            "question": question.id,
            "other": other.id,
            "empty": empty.id,
            "article": article.id,
            "news": news.id,
        }


def test_the_page_of_a_question_has_every_part(visitor, house):
    page = visitor.get(f"/q/{house['question']}")
    assert page.status_code == 200
    for words in (
        "手指发僵该挂哪个科？",
        "2 位医生回复",
        "问题描述",
        "提问者没有补充描述",
        "女，46 岁",
        "全部回答",
        "沈知远",
        "执业信息已核验",
        "关节滑膜发炎",
        "出现这些情况，不要等预约",
        "关节突然红肿发烫",
        "最近可约",
        "立即预约",
        "或直接选时间",
        "除 25 元外不收任何费用",
        "回答只供参考，不能代替面诊",
        "医学编辑",
        "导入的回答",
        "回答整理中",
        "相关问答",
        "不能，要结合症状。",
        "看同类门诊",
        "热门标签",
        "晨僵",
        "疾病科普",
        "晨僵和手酸怎么分",
        "最新资讯",
        "周日开设门诊",
        "医院推荐",
        "健康助手在线答疑",
        "立即咨询",
        "近期出诊",
    ):
        assert words in page.text, words
    assert "??" not in page.text
    alarm, ticket = page.text.index("不要等预约"), page.text.index("立即预约")
    assert alarm < ticket  # the red flag outranks the booking


def test_search_engines_read_the_question_and_its_answers(visitor, house):
    page = visitor.get(f"/q/{house['question']}").text
    blocks = [
        json.loads(one) for one in re.findall(r'<script type="application/ld\+json">(.*?)</script>', page)
    ]
    entity = blocks[0]["mainEntity"]
    assert (blocks[0]["@type"], entity["@type"], entity["answerCount"]) == ("QAPage", "Question", 2)
    assert entity["acceptedAnswer"]["author"]["@type"] == "Physician"
    assert blocks[1]["@type"] == "BreadcrumbList"


def test_search_engines_read_the_doctor(visitor, house):
    page = visitor.get(f"/d/{house['clinic'].doctor.slug}").text
    blocks = [
        json.loads(one) for one in re.findall(r'<script type="application/ld\+json">(.*?)</script>', page)
    ]
    assert [one["@type"] for one in blocks] == ["Physician", "BreadcrumbList"]


def test_no_link_of_the_first_pages_is_dead(visitor, house):
    seen, wrong = set(), []
    for path in (
        "/",
        f"/q/{house['question']}",
        f"/d/{house['clinic'].doctor.slug}",
        "/dept",
        "/questions",
        "/doctors",
    ):
        for link in [path, *links(visitor.get(path))]:
            at = link.split("#")[0]
            if at in seen:
                continue
            seen.add(at)
            answer = visitor.get(at)
            if answer.status_code not in (200, 303):
                wrong.append(f"{path} → {at}: {answer.status_code}")
    assert len(seen) > 15 and not wrong, wrong


def test_an_unanswered_question_leads_to_its_department(visitor, house):
    page = visitor.get(f"/q/{house['empty']}").text
    assert "等待医生回复" in page and 'href="/dept/rheum"' in page


def test_a_doctor_without_clinic_leads_to_the_topic(visitor, house):
    page = visitor.get(f"/q/{house['other']}").text
    assert "不开设门诊" in page and 'href="/dept/rheum"' in page
    own = visitor.get(f"/d/{house['without'].doctor.slug}").text
    assert "不开设门诊" in own and 'href="/dept/lab"' in own and "/hold" not in own


def test_the_doctors_page_has_days_slots_and_rules(visitor, house):
    session = house["session"].session
    page = visitor.get(f"/d/{house['clinic'].doctor.slug}").text
    day = session.local_date
    assert f"{day.month} 月 {day.day} 日" in page and 'aria-current="date"' in page
    assert page.count('class="slot"') == 4 and "还剩 12 个号" in page
    assert re.search(rf'aria-label="{day.month} 月 {day.day} 日 周. 上午 08:30，还剩 3 个号，预约"', page)
    for rule in (
        "提前 7 天放号",
        "开始前 30 分钟停止预约",
        "就诊前一天 17:00",
        "一天可约 1 次",
        "提前 20 分钟报到",
    ):
        assert rule in page


def test_a_day_without_clinic_or_long_past_still_leads_on(visitor, house):
    slug = house["clinic"].doctor.slug
    for date in ("2020-01-01", "2026-02-30", "nonsense", "2099-01-01"):
        page = visitor.get(f"/d/{slug}?date={date}")
        assert page.status_code == 200 and "选择日期" in page.text


def test_the_doctor_list_filters_and_names_the_filter_that_helps(visitor, house):
    assert "沈知远" in visitor.get("/doctors?dept=rheum&title=主任医师").text
    session = house["session"].session
    assert "沈知远" in visitor.get(f"/doctors?date={session.local_date}&half=上午").text
    none = visitor.get(f"/doctors?dept=rheum&date={session.local_date}&half=夜间").text
    assert "没有符合的医生" in none and "去掉“夜间”后有 1 位" in none


def test_lists_and_articles(visitor, house):
    assert "手指发僵" in visitor.get("/questions?dept=rheum").text
    assert "手指发僵" in visitor.get("/tag/chenjiang").text
    department = visitor.get("/dept/rheum").text
    assert "看关节和免疫" in department and "关节突然红肿发烫" in department and "选时间" in department
    article = visitor.get(f"/a/{house['article']}").text
    assert "什么时候就医" in article and "编辑部" in article
    assert visitor.get(f"/news/{house['news']}").status_code == 200
    assert visitor.get(f"/news/{house['article']}").status_code == 404
    assert visitor.get(f"/a/{house['news']}").status_code == 404
    hospital = visitor.get(f"/h/{house['clinic'].hospital.slug}").text
    assert "东院区" in hospital and "选科室" in hospital and "预约须知" in hospital


def test_an_empty_system_says_so_and_offers_nothing_that_does_nothing(visitor):
    home, places = visitor.get("/").text, visitor.get("/h").text
    assert "这里还没有医院、医生和问答" in home and "新近回答" not in home and "按科室找" not in home
    assert "还没有医院。" in places and "flask import hospitals" in places
    for path, words in (
        ("/doctors", "还没有医生。"),
        ("/dept", "还没有科室。"),
        ("/questions", "还没有问答"),
    ):
        page = visitor.get(path).text
        assert words in page and "去掉这个条件" not in page and 'class="empty-go"' in page
    assert "去掉这个条件" in visitor.get("/doctors?sex=f").text


def test_a_group_of_departments_is_a_heading_not_a_card_in_itself(app, visitor):
    with app.app_context():
        group = factory.specialty("inner", name="内科")
        factory.specialty("heart", name="心内科", parent_id=group.id)
    page = visitor.get("/dept").text
    assert links_to(page, "/dept/inner") == 1 and links_to(page, "/dept/heart") == 1
    assert re.search(r'<h2 id="g-inner"><a href="/dept/inner">内科', page)


def links_to(page, path):
    return page.count(f'href="{path}"')


def test_searching(visitor, house):
    found = visitor.get("/search?q=手指").text
    assert "手指发僵" in found and "全部" in found
    assert "没有找到“" in visitor.get("/search?q=zzzz").text
    assert "打开长辈版" in visitor.get("/search?q=关怀版").text
    assert "120" in visitor.get("/search?q=胸痛大汗").text


def test_the_assistant_names_a_department_and_sends_emergencies_to_120(visitor, house):
    answer = visitor.get("/ask?q=早上手指晨僵半小时")
    assert 'href="/dept/rheum"' in answer.text and "不做诊断" in answer.text
    urgent = visitor.get("/ask?q=胸痛出冷汗喘不上气").text
    assert "这可能是急症" in urgent and 'href="tel:120"' in urgent and "最近能约的医生" not in urgent
    long = visitor.get("/ask?q=" + "疼" * 301)
    assert long.status_code == 422 and "最多 300 字，现在是 301 字" in long.text


def test_plain_pages(visitor, house):
    for path in (
        "/rules",
        "/privacy",
        "/help",
        "/about",
        "/healthz",
        "/readyz",
        "/robots.txt",
        "/h",
        "/dept",
    ):
        assert visitor.get(path).status_code == 200, path
    assert "就诊前一天 17:00" in visitor.get("/rules").text
    assert "0571-000-0100" in visitor.get("/help").text
    assert "Disallow: /me" in visitor.get("/robots.txt").text
