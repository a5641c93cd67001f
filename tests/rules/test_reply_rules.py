"""What people write back, as they write it."""

from __future__ import annotations

import uuid

import pytest

from booking.notices.reply_rules import Asked, read_reply, reply_code


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Q8264", Asked("confirm", "8264")),
        ("q8264", Asked("confirm", "8264")),
        ("Ｑ８２６４", Asked("confirm", "8264")),
        (" Q 8264 。", Asked("confirm", "8264")),
        ("回复Q8264确认", Asked("confirm", "8264")),
        ("「T8264」", Asked("cancel", "8264")),
        ("T-8264", Asked("cancel", "8264")),
        ("T8264退号", Asked("cancel", "8264")),
        ("8264 确认", Asked("confirm", "8264")),
        ("退号8264", Asked("cancel", "8264")),
        ("取消 8264", Asked("cancel", "8264")),
        ("TD", Asked("stop")),
        ("td", Asked("stop")),
        ("退订", Asked("stop")),
        ("我要退订。", Asked("stop")),
        ("STOP", Asked("stop")),
        ("stop.", Asked("stop")),
        ("退订，别再发", Asked("stop")),
        ("不来请回复T1234", Asked("cancel", "1234")),
        ("不来T1234", Asked("cancel", "1234")),
        ("不要了，T1234", Asked("cancel", "1234")),
        ("来不了 T1234", Asked("cancel", "1234")),
        ("Q1234，我能来", Asked("confirm", "1234")),
        ("能来请回复Q1234", Asked("confirm", "1234")),
        ("不要T1234", Asked("unclear")),
        ("不要 T1234", Asked("unclear")),
        ("别T1234", Asked("unclear")),
        ("没T1234", Asked("unclear")),
        ("T1234?", Asked("unclear")),
        ("T1234？", Asked("unclear")),
        ("T1234吗", Asked("unclear")),
        ("T1234 T1234？", Asked("unclear")),
        ("Q1234？", Asked("unclear")),
        ("别Q1234", Asked("unclear")),
        ("not Q1234", Asked("unclear")),
        ("don’t T1234", Asked("unclear")),
        ("Q1234 不来了", Asked("unclear")),
        ("Q1234 不能来", Asked("unclear")),
        ("我来不了Q1234", Asked("unclear")),
        ("Q1234 取消", Asked("unclear")),
        ("Q1234 cancel", Asked("unclear")),
        ("Q1234 I can't come", Asked("unclear")),
        ("8264 确认吗", Asked("unclear")),
        ("不要退订", Asked("unclear")),
        ("我不退订", Asked("unclear")),
        ("没有退订", Asked("unclear")),
        ("别退订", Asked("unclear")),
        ("don't stop", Asked("unclear")),
        ("", Asked("unclear")),
        ("谢谢", Asked("unclear")),
        ("8264", Asked("unclear")),
        ("Q82645", Asked("unclear")),
        ("Q826", Asked("unclear")),
        ("确认", Asked("unclear")),
        ("Q8264 确认、T8264 退号", Asked("unclear")),
        ("Q8264 Q1234", Asked("unclear")),
        ("8264 确认还是退号?", Asked("unclear")),
        ("不确认 8264", Asked("unclear")),
        ("8264 不取消", Asked("unclear")),
        ("T", Asked("unclear")),
        ("请问1380013800怎么确认", Asked("unclear")),
    ],
)
def test_a_reply_is_read_as_it_is_meant(text, asked):
    assert read_reply(text) == asked


def test_a_code_belongs_to_one_visit_and_one_phone():
    visit, other = uuid.uuid4(), uuid.uuid4()
    code = reply_code(visit, "a" * 64)
    assert len(code) == 4 and code.isdigit() and code == reply_code(visit, "a" * 64)
    assert {reply_code(visit, f"{n}" * 64) for n in range(10)} != {code}
    assert {reply_code(one, "a" * 64) for one in (visit, other)} != {code} or visit == other
