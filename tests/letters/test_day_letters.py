"""The reminder of a day with several visits, word for word."""

from __future__ import annotations

import uuid
from datetime import time

import pytest
from flask_babel import force_locale

from booking.clock import utc
from booking.notices.day_letters import day_letter
from booking.notices.segments import segments_of
from tests import factory
from tests.letters.test_letters import AT, VISIT, ZONE, both_languages, invented, same_as_stored, whole

KIND = "reminder_day"


@pytest.fixture
def clinic(within):
    with force_locale("zh_Hans_CN"):
        yield factory.clinic()


def day(clinic, visits: int):
    """So many visits of one morning, in different departments."""
    units = (
        ("呼吸内科", "沈知远", "302 诊室"),
        ("眼科", "陆明溪", "501 诊室"),
        ("骨科", "周可", ""),
        ("皮肤科", "何予", "208 诊室"),
    )
    return [
        invented(
            clinic,
            id=uuid.UUID(int=number),
            starts_local=time(8 + number, 30),
            starts_at=utc(VISIT, time(8 + number, 30), ZONE),
            department=unit,
            doctor=doctor,
            room=room,
            doctor_pinyin="shen zhiyuan" if number == 0 else "",
            visit_code=f"{48271936 + number}",
            preparation="空腹来" if number == 0 else "",
        )
        for number, (unit, doctor, room) in enumerate(units[:visits])
    ]


def written(clinic, channel, language, visits=2, sensitive=()):
    return day_letter(channel, day(clinic, visits), now=AT[KIND], language=language, sensitive=set(sensitive))


@both_languages
@pytest.mark.parametrize("channel", ["sms", "app", "email"])
def test_two_visits_read_as_stored(clinic, channel, language):
    same_as_stored(f"several.{channel}", whole(written(clinic, channel, language)), language)


@both_languages
def test_four_visits_name_three_and_say_where_the_fourth_stands(clinic, language):
    letter = written(clinic, "sms", language, 4)
    same_as_stored("several_four.sms", letter.text, language)
    assert segments_of(letter.text) <= 3
    assert all(f"4827 193{6 + number}" in written(clinic, "app", language, 4).text for number in range(4))


@both_languages
def test_only_the_sensitive_one_is_unnamed(clinic, language):
    for channel in ("sms", "app", "email"):
        letter = written(clinic, channel, language, sensitive=[uuid.UUID(int=0)])
        everything = letter.subject + letter.text + letter.html
        assert "呼吸" not in everything and "空腹" not in everything and "眼科" in everything
        assert "秋禾" not in everything and "咳嗽" not in everything


@both_languages
def test_two_visits_are_two_short_messages(clinic, language):
    text = written(clinic, "sms", language).text
    assert segments_of(text) <= 2 and "http" not in text and "\n" not in text
