"""Words that lead to 120."""

from __future__ import annotations

import pytest

from booking.content.red_flags import ALARMS, red_flags


@pytest.mark.parametrize(
    "text",
    [
        "胸痛，还出冷汗",
        "喘 不 上 气",
        "突然嘴歪，说话不清",
        "奶奶晕倒了叫不醒",
        "吐血了怎么办",
        "我有没有咯血的可能",
        "孩子误服了药片",
        "不想活了",
        "怀孕七个月出血",
        "宝宝两个月大发烧不吃奶",
        "从来没有这么剧烈的头痛，还喷射呕吐",
        "肚子疼得打滚",
        "被车祸撞了",
    ],
)
def test_an_emergency_raises_the_alarm(text):
    found = red_flags(text)
    assert found
    assert all("120" in sentence for sentence in found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "膝盖疼两周",
        "没有胸痛，没有咯血",
        "宝宝三个月大，有点湿疹",
        "头痛一周",
        "怀孕能吃螃蟹吗",
        "过敏性鼻炎",
    ],
)
def test_everyday_words_raise_none(text):
    assert red_flags(text) == []


def test_a_denial_silences_only_the_word_it_stands_before():
    assert red_flags("以前没有呕血，今天呕血了")


def test_every_word_of_the_list_is_found():
    for alarm in ALARMS:
        for word in alarm.words:
            assert alarm.sentence in red_flags(f"我{word}")
