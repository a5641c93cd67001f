"""What we answer to replies, word for word."""

from __future__ import annotations

import pytest
from flask_babel import force_locale

from booking.notices.reply_letters import WORDS, reply_letter
from booking.notices.segments import segments_of
from tests import factory
from tests.letters.test_letters import both_languages, invented, same_as_stored

ABOUT_A_VISIT = ("coming", "over", "refused")


@both_languages
@pytest.mark.parametrize("word", WORDS)
def test_each_answer_reads_as_stored_and_is_short(within, word, language):
    with force_locale("zh_Hans_CN"):
        view = invented(factory.clinic()) if word in ABOUT_A_VISIT else None
        reason = "就诊时间已经开始，不能在网上取消或改约，请联系医院。" if word == "refused" else ""
        letter = reply_letter(word, reason, view, language=language)
    same_as_stored(f"reply_{word}.sms", letter.text, language)
    assert letter.template.endswith(f"reply_{word}.sms") and segments_of(letter.text) <= 2
    assert "李" not in letter.text and "呼吸" not in letter.text
