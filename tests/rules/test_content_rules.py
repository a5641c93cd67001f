"""How titles, answers and search words are read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from booking.content import rules


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("小腿抽筋是什么原因,你知道吗??", "小腿抽筋是什么原因？"),
        ("脚底发麻怎么回事?", "脚底发麻怎么回事？"),
        ("手抖是什么原因", "手抖是什么原因"),
        ("头晕？？怎么缓解？？", "头晕？怎么缓解？"),
        ("孕期抽筋特点??", "孕期抽筋特点？"),
        ("你知道吗??", "你知道吗？"),
        ("??", "?"),
        ("快帮帮我！！！", "快帮帮我！"),
        ("Why??", "Why?"),
        ("  a   b ", "a b"),
        ("", ""),
    ],
)
def test_a_title_is_trimmed_for_display(stored, shown):
    assert rules.display_title(stored) == shown


def test_paragraphs_with_numbers_become_lead_points_and_closing():
    body = rules.split_answer(
        "多由两种原因引起。\n\n1、受凉:注意保暖。\n\n2、久站:多活动，比例 1:2。\n\n若不缓解请就医。"
    )
    assert body.lead == ("多由两种原因引起。",)
    assert body.points == (rules.Point("受凉", "注意保暖。"), rules.Point("久站", "多活动，比例 1:2。"))
    assert body.closing == ("若不缓解请就医。",)


def test_a_run_on_answer_becomes_the_same_parts():
    body = rules.split_answer(
        "通常与疲劳有关。 1、拉伸是最简单的办法。每天两次。 2、补水：少量多次,每小时 1.5 杯。 平时注意休息。"
    )
    assert body.lead == ("通常与疲劳有关。",)
    assert body.points == (
        rules.Point("", "拉伸是最简单的办法。每天两次。"),
        rules.Point("补水", "少量多次,每小时 1.5 杯。"),
    )
    assert body.closing == ("平时注意休息。",)


@pytest.mark.parametrize(
    "text",
    [
        "只有一段，没有编号。",
        "1、只有一条。",
        "1、先这样。 3、缺了第二条。",
        "2、从二开始。\n3、再来。",
        "1、第一条。\n这一段是谁的？\n2、第二条。",
        "体温 1.5 度，2.5 度。",
        "1、 2、",
        "",
    ],
)
def test_an_unsure_text_comes_back_unchanged(text):
    assert rules.split_answer(text) == rules.AnswerBody(lead=rules.paragraphs(text))


@pytest.mark.parametrize(
    "text", ["1、甲：乙\n2、丙：丁", "开头。 1、甲。 2、乙。 结尾。", "甲\n乙\n丙", "1) 甲\n2) 乙\n尾"]
)
def test_no_word_is_lost_when_an_answer_is_split(text):
    body = rules.split_answer(text)
    told = "".join([*body.lead, *(point.title + point.text for point in body.points), *body.closing])
    for word in "甲乙丙丁":
        assert told.count(word) == text.count(word)


@dataclass
class Reply:
    published: bool


def test_only_published_answers_are_counted():
    assert rules.reply_count([Reply(True), Reply(False), Reply(True)]) == 2


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("１２３　ＡＢＣ，头疼？", ["123", "abc", "头疼"]),
        ("  头疼   头疼 ", ["头疼"]),
        ("???", []),
        ("", []),
        ("100% a_b", ["100%", "a_b"]),
        ("😀头疼\x00", ["😀头疼"]),
        ("一 二 三 四 五 六", ["一", "二", "三", "四", "五"]),
    ],
)
def test_search_words_are_half_width_and_few(query, terms):
    assert rules.search_terms(query) == terms


def test_like_signs_are_escaped():
    assert rules.like_pattern("50%_\\") == "%50\\%\\_\\\\%"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("好！\n晚上有点着凉，该怎么办？\n很久了", "晚上有点着凉，该怎么办？"),
        ("短", "短"),
        ("", ""),
        ("甲" * 80, "甲" * 59 + "…"),
    ],
)
def test_an_empty_title_takes_the_first_sentence_that_says_something(text, sentence):
    assert rules.first_sentence(text) == sentence


def test_control_characters_go_and_broken_ones_are_refused():
    assert rules.cleaned(" a\x00b\r\nc\x1b ") == "ab\nc"
    with pytest.raises(ValueError):
        rules.cleaned("\ud800")
