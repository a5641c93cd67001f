"""Every letter, word for word. After a wanted change: `LETTERS_WRITE=1 pytest tests/letters`, then read the difference."""

from __future__ import annotations

import os
import re
import uuid
from datetime import date, datetime, time, timedelta
from email import message_from_bytes, policy
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import icalendar
import pytest
from flask_babel import force_locale

from booking.clock import utc
from booking.notices import letters
from booking.notices.calendar import appointment_ics
from booking.notices.discretion import short_name
from booking.notices.senders.mail import mail
from booking.notices.tongue import LANGUAGES
from booking.people.codes import CODE_LIVES
from tests import factory

both_languages = pytest.mark.parametrize("language", LANGUAGES)
EXPECTED = Path(__file__).parent / "expected"
ZONE = "Asia/Shanghai"
VISIT = date(2026, 11, 25)
BOOKED_AT = utc(date(2026, 11, 23), time(9, 12), ZONE)
AT = {  # when each letter is sent
    "confirmed": BOOKED_AT,
    "reminder_day": utc(date(2026, 11, 24), time(15), ZONE),
    "reminder_hours": utc(VISIT, time(7), ZONE),
    "preparation": utc(date(2026, 11, 24), time(18), ZONE),
    "moved": BOOKED_AT + timedelta(hours=2),
    "cancelled": BOOKED_AT + timedelta(hours=3),
    "stopped": utc(date(2026, 11, 24), time(18), ZONE),
    "no_show": utc(VISIT, time(13), ZONE),
    "excused": utc(date(2026, 11, 26), time(9), ZONE),
    "appeal_declined": utc(date(2026, 11, 26), time(9), ZONE),
}
FACTS = {
    "moved": {"from": {"visit_date": "2026-11-24", "starts_local": "10:00", "part": "上午"}},
    "cancelled": {"by": "patient"},
    "stopped": {"reason": "医生临时有急诊手术。"},
    "appeal_declined": {"reason": "当天的报到名单里没有查到"},
}


CHANNELS = ("sms", "app", "email", "wechat", "voice")


def invented(clinic, **columns):
    """An appointment of nobody, as `appointments.queries.appointment` describes one."""
    return SimpleNamespace(
        **{
            "hospital_id": clinic.id,
            "id": uuid.UUID("018f0000-0000-7000-8000-000000000001"),
            "status": "booked",
            "version": 3,
            "department_id": clinic.department.id,
            "visit_date": VISIT,
            "starts_local": time(8, 30),
            "ends_local": time(9),
            "zone": ZONE,
            "starts_at": utc(VISIT, time(8, 30), ZONE),
            "ends_at": utc(VISIT, time(9), ZONE),
            "part": "上午",
            "sensitive": False,
            "visit_code": "48271936",
            "complaint": "咳嗽两周",
            "cancel_reason": "不想看了",
            "cancelled_by": None,
            "cancelled_late": False,
            "doctor": "沈知远",
            "doctor_title": "主任医师",
            "hospital": "青梧市第一医院",
            "department": "呼吸内科",
            "campus": "东院区",
            "room": "302 诊室",
            "address": "青梧市梧桐路 1 号",
            "desk": "门诊楼 3 层分诊台",
            "hospital_phone": "0571-000-0100",
            "patient_name": "李秋禾",
            "fee_cents": 2500,
            "fee_name": "挂号费",
            "preparation": "空腹来，早上不要吃东西，可以喝少量白开水",
            "prepares_at": utc(date(2026, 11, 24), time(18), ZONE),
            "doctor_pinyin": "shen zhiyuan",
            "cancel_deadline": utc(date(2026, 11, 24), time(17), ZONE),
        }
        | columns
    )


def same_as_stored(name: str, text: str, language: str | None = None) -> None:
    path = EXPECTED / ("en" if language == "en" else ".") / f"{name}.txt"
    if os.environ.get("LETTERS_WRITE"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


@pytest.fixture
def clinic(within):
    with force_locale("zh_Hans_CN"):
        yield factory.clinic()


def written(clinic, kind, channel="sms", language=None, facts=None, **columns):
    return letters.visit_letter(
        kind,
        channel,
        invented(clinic, **columns),
        FACTS.get(kind, {}) if facts is None else facts,
        now=AT[kind],
        address="li@example.org",
        language=language,
    )


def whole(letter) -> str:
    """What somebody reads of a letter: its subject, where it has one, and its text."""
    return f"{letter.subject}\n\n{letter.text}" if letter.subject else letter.text


@both_languages
@pytest.mark.parametrize("channel", ["sms", "app", "email"])
@pytest.mark.parametrize("kind", letters.ABOUT_A_VISIT)
def test_each_letter_reads_as_stored(clinic, kind, channel, language):
    same_as_stored(f"{kind}.{channel}", whole(written(clinic, kind, channel, language)), language)


@both_languages
def test_the_page_of_an_email_reads_as_stored(clinic, language):
    same_as_stored("confirmed.html", written(clinic, "confirmed", "email", language).html, language)


@both_languages
@pytest.mark.parametrize("channel", ["sms", "email"])
def test_the_code_letter_reads_as_stored(clinic, channel, language):
    letter = letters.code_letter("123456", lives=CODE_LIVES, channel=channel, language=language)
    same_as_stored(f"code.{channel}", whole(letter), language)
    assert timedelta(minutes=5) == CODE_LIVES, "the short message is filed with this number"


@both_languages
@pytest.mark.parametrize("channel", ["sms", "app", "voice"])
def test_a_cancellation_by_the_hospital_reads_as_stored(clinic, channel, language):
    letter = written(clinic, "cancelled", channel, language, {"by": "hospital"}, status="cancelled")
    same_as_stored(f"cancelled_by_hospital.{channel}", whole(letter), language)


@both_languages
@pytest.mark.parametrize("kind", ["moved", "stopped"])
def test_what_the_telephone_says_reads_as_stored(clinic, kind, language):
    same_as_stored(f"{kind}.voice", whole(written(clinic, kind, "voice", language)), language)


@both_languages
@pytest.mark.parametrize("kind", ["reminder_day", "reminder_hours"])
def test_a_reminder_says_how_to_answer_it(clinic, kind, language):
    letter = letters.visit_letter(
        kind, "sms", invented(clinic), {}, now=AT[kind], language=language, reply="0417"
    )
    same_as_stored(f"{kind}_answered.sms", letter.text, language)
    assert "T0417" in letter.text and len(letter.text) <= LONGEST[language]
    assert "回 TD" in letter.text or "reply TD" in letter.text, "how to get no more of them"
    assert "TD" not in written(clinic, kind, language=language).text, "nobody would read the answer"
    if kind == "reminder_day":
        assert "0571-000-0100" in letter.text and "17:00" in letter.text, "the telephone, and until when"


@both_languages
def test_who_books_in_the_evening_is_told_at_once_how_to_prepare(clinic, language):
    late = {"now": utc(date(2026, 11, 24), time(18), ZONE), "language": language}
    letter = letters.visit_letter("confirmed", "sms", invented(clinic), {}, **late)
    same_as_stored("confirmed_prepare.sms", letter.text, language)
    nothing = letters.visit_letter("confirmed", "sms", invented(clinic, preparation=""), {}, **late)
    assert "空腹" in letter.text and "空腹" not in nothing.text
    assert "空腹" not in written(clinic, "confirmed", "sms", language).text, "the evening before tells it"
    long = letters.visit_letter("confirmed", "sms", invented(clinic, preparation="空腹来。" * 10), {}, **late)
    assert "空腹" not in long.text and "我的预约" in long.text, "half of an instruction is worse than none"


@both_languages
def test_a_late_cancellation_says_that_it_was_recorded(clinic, language):
    late = written(clinic, "cancelled", "sms", language, cancelled_late=True)
    same_as_stored("cancelled_late.sms", late.text, language)
    said = {"zh": "已记录", "en": "has been recorded"}[language]
    assert said in written(clinic, "cancelled", "app", language, cancelled_late=True).text
    assert said not in written(clinic, "cancelled", "app", language).text


@both_languages
def test_a_move_by_the_hospital_says_so(clinic, language):
    letter = written(clinic, "moved", "sms", language, FACTS["moved"] | {"by": "hospital"})
    same_as_stored("moved_by_hospital.sms", letter.text, language)
    assert len(letter.text) <= LONGEST[language]


@both_languages
def test_the_telephone_too_says_that_the_new_time_is_near(clinic, language):
    said = written(clinic, "moved", "voice", language, visit_date=date(2026, 11, 24)).text
    assert {"zh": "改到 明天 11 月 24 日", "en": "new time: tomorrow Tue 24 Nov"}[language] in said


def test_a_deadline_already_past_is_not_named(clinic):
    letter = letters.visit_letter("confirmed", "sms", invented(clinic), {}, now=AT["reminder_hours"])
    same_as_stored("confirmed_same_day.sms", letter.text)
    assert "17:00" not in letter.text


def test_a_sensitive_department_is_not_named_anywhere(within):
    with force_locale("zh_Hans_CN"):
        clinic = factory.clinic(department={"name": "性病门诊", "sensitive": True})
        words = {"department": "性病门诊", "room": "性病 2 诊室", "desk": "皮肤性病科分诊台"}
        for kind, channel, language in product(
            letters.ABOUT_A_VISIT, ("sms", "app", "email", "wechat"), LANGUAGES
        ):
            letter = written(clinic, kind, channel, language, **words)
            everything = letter.subject + letter.text + letter.html + letter.calendar.decode()
            assert "性病" not in everything and "皮肤" not in everything, (kind, channel)
            assert "空腹" not in everything, "how to prepare tells what for"
        assert "302 诊室" in written(clinic, "confirmed", department="性病门诊").text


def test_a_department_of_a_sensitive_specialty_is_not_named(within):
    with force_locale("zh_Hans_CN"):
        clinic = factory.clinic(specialty_id=factory.specialty(sensitive=True).id)
        assert "呼吸" not in written(clinic, "confirmed").text


@both_languages
@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", letters.ABOUT_A_VISIT)
def test_no_letter_names_a_patient_in_full_or_what_ails_them(clinic, kind, channel, language):
    if channel == "voice" and kind not in ("moved", "stopped"):
        return
    letter = written(clinic, kind, channel, language)
    everything = letter.subject + letter.text + letter.html + letter.calendar.decode()
    everything += str(letter.variables)
    for secret in ("李秋禾", "秋禾", "咳嗽", "不想看了"):
        assert secret not in everything


TWO_SEGMENTS = 2 * 67
LONGEST = {"zh": TWO_SEGMENTS, "en": 3 * 67}
"""English takes more signs, and the Chinese names in it make each of them as dear as a Chinese one."""


@both_languages
@pytest.mark.parametrize("kind", letters.ABOUT_A_VISIT)
def test_a_short_message_is_short_has_no_link_and_begins_with_who_writes(clinic, kind, language):
    text = written(clinic, kind, language=language).text
    assert text.startswith("【青梧就医】")
    assert len(text) <= LONGEST[language], len(text)
    assert "http" not in text and "\n" not in text
    assert not re.search(r"[{}]|[。，]{2}|[.,]{2}|  | [.,。，]", text)
    assert text.index("11 月 25 日" if language == "zh" else "25 Nov") < 25, "the date comes first"


def test_every_letter_about_a_coming_visit_tells_code_place_and_way_out(clinic):
    kinds = ("confirmed", "reminder_day", "reminder_hours", "moved")
    for kind, channel, language in product(kinds, ("sms", "app", "email"), LANGUAGES):
        text = written(clinic, kind, channel, language).text
        for part in ("青梧市第一医院", "4827 1936", "0571-000-0100", "08:30"):
            assert part in text, (kind, channel, part)
        assert "取消" in text or "ancel" in text or "Cannot come" in text, (kind, channel)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("李秋禾", "李*"),
        ("李", "李*"),
        ("欧阳静", "欧阳*"),
        ("司马", "司*"),
        ("Anna Smith", "A*"),
        (" 周 小满", "周*"),
    ],
)
def test_a_name_becomes_a_surname_and_a_star(name, short):
    assert short_name(name) == short


# --- calendar --------------------------------------------------------------------------------------------------------


def entry_of(ics: bytes):
    calendar = icalendar.Calendar.from_ical(ics)
    (event,) = calendar.walk("VEVENT")
    return calendar, event


def test_the_calendar_entry_has_the_visit_in_the_hospitals_own_zone(clinic):
    calendar, event = entry_of(appointment_ics(invented(clinic)))
    assert calendar["METHOD"] == "PUBLISH"
    assert event["UID"] == "018f0000-0000-7000-8000-000000000001@127.0.0.1"
    assert event["SEQUENCE"] == 3
    assert event["STATUS"] == "CONFIRMED"
    assert event["DTSTART"].dt == AT["reminder_hours"] + timedelta(hours=1, minutes=30)
    assert event["DTSTART"].params["TZID"] == ZONE
    assert event["DTSTAMP"].dt <= datetime.now(event["DTSTAMP"].dt.tzinfo) + timedelta(seconds=1)
    (zone,) = calendar.walk("VTIMEZONE")
    assert zone["TZID"] == ZONE
    assert not calendar.walk("VALARM")
    assert "ATTENDEE" not in event


def test_a_zone_with_summer_time_comes_along(clinic):
    view = invented(clinic, zone="Europe/Berlin", starts_at=utc(VISIT, time(8, 30), "Europe/Berlin"))
    calendar, event = entry_of(appointment_ics(view))
    (zone,) = calendar.walk("VTIMEZONE")
    assert zone["TZID"] == "Europe/Berlin" and zone.walk("DAYLIGHT")
    assert event["DTSTART"].dt.hour == 8


def test_a_move_and_a_cancellation_reach_the_same_entry(clinic):
    first, moved, ended = (
        entry_of(written(clinic, kind, "email", version=version).calendar)
        for kind, version in (("confirmed", 2), ("moved", 3), ("cancelled", 4))
    )
    assert first[1]["UID"] == moved[1]["UID"] == ended[1]["UID"]
    assert [one[1]["SEQUENCE"] for one in (first, moved, ended)] == [2, 3, 4]
    assert [one[0]["METHOD"] for one in (first, moved, ended)] == ["REQUEST", "REQUEST", "CANCEL"]
    assert ended[1]["STATUS"] == "CANCELLED"
    for _, event in (first, moved, ended):
        assert event["ATTENDEE"] == "mailto:li@example.org" and event["ORGANIZER"].startswith("mailto:")
        asked = event["ATTENDEE"].params
        assert (asked["PARTSTAT"], asked["RSVP"]) == ("ACCEPTED", "FALSE"), "nobody reads an answer"


def test_the_calendar_entry_speaks_the_language_of_the_letter(clinic):
    said = [
        (str(event["SUMMARY"]), str(event["DESCRIPTION"]))
        for _, event in (
            entry_of(written(clinic, "confirmed", "email", language).calendar) for language in LANGUAGES
        )
    ]
    assert said == [
        ("呼吸内科就诊：沈知远医生", "预约码 4827 1936，就诊人李*。要取消或改时间，请打电话 0571-000-0100。"),
        (
            "Visit: Dr Shen Zhiyuan 沈知远",
            "Visit code 4827 1936, patient 李*. To cancel or change the time, ring 0571-000-0100.",
        ),
    ]


def test_an_email_carries_text_page_and_calendar(clinic):
    message = mail(
        "li@example.org", written(clinic, "confirmed", "email"), "abc", "青梧就医 <noreply@example.org>"
    )
    raw = message.as_bytes(policy=policy.SMTP)
    read = message_from_bytes(raw, policy=policy.default)
    assert all(byte < 128 for byte in raw), "old relays carry seven bits only"
    assert read["Subject"].replace("\u00a0", " ") == "【青梧就医】预约成功：11 月 25 日 周三 上午 08:30"
    assert read["Message-ID"] == "<abc@example.org>"
    kinds = [part.get_content_type() for part in read.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "text/calendar", "application/ics"]
    assert [part.get_content_type() for part in read.iter_parts()] == [
        "multipart/alternative",
        "application/ics",
    ]
    shown, kept = (part for part in read.walk() if part.get_content_type() in kinds[2:])
    assert shown.get_param("method") == "REQUEST" and shown.get_content_charset() == "utf-8"
    assert kept.get_filename() == "appointment.ics"
    entries = [entry_of(part.get_payload(decode=True)) for part in (shown, kept)]
    assert entries[0][0].to_ical() == entries[1][0].to_ical()
    assert entries[0][1]["UID"] == "018f0000-0000-7000-8000-000000000001@127.0.0.1"
    assert entries[0][0].walk("VTIMEZONE"), "a calendar that knows no zone by name reads its rules"


@pytest.mark.parametrize("address", ["li@example.org\nBcc: other@example.org", "li@example.org\r\nX: y"])
def test_an_address_cannot_add_a_header(clinic, address):
    with pytest.raises(ValueError):
        mail(address, written(clinic, "confirmed", "email"), "abc", "noreply@example.org")
