"""The letters of the waiting list, word for word, and that they name nobody and nothing they should not."""

from __future__ import annotations

import re
import uuid
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from flask_babel import force_locale

from booking.appointments.wish_queries import WishView
from booking.clock import utc
from booking.notices.segments import segments_of
from booking.notices.wish_letters import ABOUT_A_WISH, wish_letter
from tests import factory
from tests.letters.test_letters import LONGEST, both_languages, invented, same_as_stored, whole

ZONE = "Asia/Shanghai"
NOW = datetime(2026, 11, 23, 9, 12, tzinfo=ZoneInfo(ZONE))


@pytest.fixture
def clinic(within):
    with force_locale("zh_Hans_CN"):
        yield factory.clinic()


def waiting(clinic, **columns):
    return WishView(
        **{
            "hospital_id": clinic.id,
            "id": uuid.UUID("018f0000-0000-7000-8000-000000000002"),
            "ref": "1-018f",
            "account_id": 1,
            "status": "waiting",
            "status_name": "候补中",
            "party": 1,
            "patients": ["李*禾"],
            "patient_names": ["李秋禾"],
            "hospital": "青梧市第一医院",
            "hospital_slug": "first",
            "hospital_phone": "0571-000-0100",
            "zone": ZONE,
            "session_id": uuid.UUID(int=1),
            "session_date": date(2026, 11, 25),
            "doctor": "沈知远",
            "doctor_title": "主任医师",
            "doctor_slug": "shen",
            "department": "呼吸内科",
            "department_id": clinic.department.id,
            "sensitive": False,
            "part": "上午",
            "first_date": date(2026, 11, 25),
            "last_date": date(2026, 11, 25),
            "joined_at": NOW,
            "ends_at": utc(date(2026, 11, 24), time(23), ZONE),
            "line": 3,
            "turns_kept": 1,
            "end_reason": "",
            "doctors": ["沈知远"],
            "parts": ["上午"],
        }
        | columns
    )


def offered(clinic, **columns):
    until = {"held_until": utc(date(2026, 11, 23), time(10, 12), ZONE), "status": "held"}
    return invented(clinic, **(until | columns))


def written(clinic, kind, channel="sms", facts=None, about=None, language=None, **columns):
    if about is None:
        about = [offered(clinic)] if kind in ("wish_offer", "wish_missed") else []
    view, why = waiting(clinic, **columns), facts or {"why": "rule"}
    return wish_letter(kind, channel, view, about, why, now=NOW, language=language)


@both_languages
@pytest.mark.parametrize("channel", ["sms", "app", "email"])
@pytest.mark.parametrize("kind", ABOUT_A_WISH)
def test_each_letter_reads_as_stored(clinic, kind, channel, language):
    same_as_stored(f"{kind}.{channel}", whole(written(clinic, kind, channel, language=language)), language)


@both_languages
@pytest.mark.parametrize("channel", ["sms", "app"])
def test_a_wide_wish_for_two_reads_as_stored(clinic, channel, language):
    wide = {
        "language": language,
        "party": 2,
        "patients": ["李*禾", "李*满"],
        "patient_names": ["李秋禾", "李小满"],
        "last_date": date(2026, 11, 27),
        "doctors": ["沈知远", "陆明溪", "周可"],
        "line": 1,
    }
    same_as_stored(
        f"wish_joined_pair.{channel}", whole(written(clinic, "wish_joined", channel, **wide)), language
    )
    two = [offered(clinic), offered(clinic, starts_local=time(9), patient_name="李小满")]
    same_as_stored(
        f"wish_offer_pair.{channel}",
        whole(written(clinic, "wish_offer", channel, about=two, **wide)),
        language,
    )


@both_languages
@pytest.mark.parametrize("channel", ["sms", "app"])
def test_the_other_reasons_read_as_stored(clinic, channel, language):
    for name, hopeless in (("wish_missed_stopped", False), ("wish_missed_stopped_all", True)):
        words = {"line": 1, "hopeless": hopeless, "language": language}
        stopped = written(clinic, "wish_missed", channel, {"why": "stopped"}, **words)
        same_as_stored(f"{name}.{channel}", whole(stopped), language)
        assert len(stopped.text) <= LONGEST[language] or channel == "app"
    booked = written(clinic, "wish_ended", channel, {"why": "booked"}, language=language)
    same_as_stored(f"wish_ended_booked.{channel}", whole(booked), language)


@both_languages
@pytest.mark.parametrize("kind", ABOUT_A_WISH)
def test_a_short_message_is_short_and_names_nobody_in_full(clinic, kind, language):
    text = written(clinic, kind, language=language).text
    assert text.startswith("【青梧就医】") and len(text) <= LONGEST[language], len(text)
    assert "http" not in text and "\n" not in text
    assert not re.search(r"[{}]|[。，]{2}|[.,]{2}|  | [.,。，]", text)
    assert text.index("11 月 25 日" if language == "zh" else "25 Nov") < 20, "the date comes first"
    for channel in ("sms", "app", "email", "wechat"):
        letter = written(clinic, kind, channel, language=language)
        assert "秋禾" not in letter.subject + letter.text + letter.html + str(letter.variables)


def test_an_offer_says_until_when_and_what_happens_then(clinic):
    for channel in ("sms", "app", "email"):
        text = written(clinic, "wish_offer", channel).text
        assert "今天 10:12" in text and "下一位" in text and "08:30" in text


@both_languages
def test_an_offers_short_message_has_our_short_link_and_is_complete_without(clinic, language):
    text = written(clinic, "wish_offer", language=language).text
    (link,) = re.findall(r" (127\.0\.0\.1:5000/w/[0-9a-z]{11,16}) ", text)
    assert segments_of(text) <= (2 if language == "zh" else 3)
    without = text.replace(link, "")
    assert "“我的候补”" in without and "0571-000-0100" in without


def test_a_sensitive_department_is_not_named(within):
    with force_locale("zh_Hans_CN"):
        clinic = factory.clinic(department={"name": "性病门诊", "sensitive": True})
        words = {"department": "性病门诊", "room": "性病 2 诊室", "desk": "皮肤性病科分诊台"}
        for kind in ABOUT_A_WISH:
            for channel in ("sms", "app", "email", "wechat"):
                about = [offered(clinic, **words)] if kind in ("wish_offer", "wish_missed") else []
                letter = written(clinic, kind, channel, about=about, department="性病门诊")
                everything = letter.subject + letter.text + letter.html + str(letter.variables)
                assert "性病" not in everything, (kind, channel)
