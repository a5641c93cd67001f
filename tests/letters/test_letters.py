"""Every letter, word for word. After a wanted change: `LETTERS_WRITE=1 pytest tests/letters`, then read the difference."""

from __future__ import annotations

import os
import re
import uuid
from datetime import date, datetime, time, timedelta
from email import message_from_bytes, policy
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
from tests import factory

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
            "cancel_deadline": utc(date(2026, 11, 24), time(17), ZONE),
        }
        | columns
    )


def same_as_stored(name: str, text: str) -> None:
    path = EXPECTED / f"{name}.txt"
    if os.environ.get("LETTERS_WRITE"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


@pytest.fixture
def clinic(within):
    with force_locale("zh_Hans_CN"):
        yield factory.clinic()


def written(clinic, kind, channel="sms", **columns):
    return letters.visit_letter(
        kind,
        channel,
        invented(clinic, **columns),
        FACTS.get(kind, {}),
        now=AT[kind],
        address="li@example.org",
    )


@pytest.mark.parametrize("channel", ["sms", "app", "email"])
@pytest.mark.parametrize("kind", letters.ABOUT_A_VISIT)
def test_each_letter_reads_as_stored(clinic, kind, channel):
    letter = written(clinic, kind, channel)
    same_as_stored(
        f"{kind}.{channel}", f"{letter.subject}\n\n{letter.text}" if channel != "sms" else letter.text
    )


def test_the_page_of_an_email_reads_as_stored(clinic):
    same_as_stored("confirmed.html", written(clinic, "confirmed", "email").html)


def test_the_code_letter_reads_as_stored(clinic):
    assert letters.code_letter("123456").text == "【青梧就医】验证码 123456，5 分钟内有效。不要告诉任何人。"


def test_a_cancellation_by_the_hospital_reads_as_stored(clinic):
    view = invented(clinic, status="cancelled", cancelled_by="hospital")
    for channel in ("sms", "app"):
        letter = letters.visit_letter("cancelled", channel, view, {"by": "hospital"}, now=AT["cancelled"])
        same_as_stored(f"cancelled_by_hospital.{channel}", letter.text)


def test_a_late_cancellation_says_that_it_was_recorded(clinic):
    assert "已记录" in written(clinic, "cancelled", "app", cancelled_late=True).text
    assert "已记录" not in written(clinic, "cancelled", "app").text


def test_a_deadline_already_past_is_not_named(clinic):
    letter = letters.visit_letter("confirmed", "sms", invented(clinic), {}, now=AT["reminder_hours"])
    same_as_stored("confirmed_same_day.sms", letter.text)
    assert "17:00" not in letter.text


def test_a_sensitive_department_is_not_named_anywhere(within):
    with force_locale("zh_Hans_CN"):
        clinic = factory.clinic(department={"name": "性病门诊", "sensitive": True})
        for kind in letters.ABOUT_A_VISIT:
            for channel in ("sms", "app", "email"):
                letter = written(
                    clinic, kind, channel, department="性病门诊", room="性病 2 诊室", desk="皮肤性病科分诊台"
                )
                everything = letter.subject + letter.text + letter.html + letter.calendar.decode()
                assert "性病" not in everything and "皮肤" not in everything, (kind, channel)
        assert "302 诊室" in written(clinic, "confirmed", department="性病门诊").text


def test_a_department_of_a_sensitive_specialty_is_not_named(within):
    with force_locale("zh_Hans_CN"):
        clinic = factory.clinic(specialty_id=factory.specialty(sensitive=True).id)
        assert "呼吸" not in written(clinic, "confirmed").text


@pytest.mark.parametrize("channel", ["sms", "app", "email"])
@pytest.mark.parametrize("kind", letters.ABOUT_A_VISIT)
def test_no_letter_names_a_patient_in_full_or_what_ails_them(clinic, kind, channel):
    letter = written(clinic, kind, channel)
    everything = letter.subject + letter.text + letter.html + letter.calendar.decode()
    for secret in ("李秋禾", "秋禾", "咳嗽", "不想看了"):
        assert secret not in everything


@pytest.mark.parametrize("kind", letters.ABOUT_A_VISIT)
def test_a_short_message_is_short_has_no_link_and_begins_with_who_writes(clinic, kind):
    text = written(clinic, kind).text
    assert text.startswith("【青梧就医】")
    assert len(text) <= (155 if kind == "moved" else 140)
    assert "http" not in text and "\n" not in text
    assert not re.search(r"%\(|[。，]{2}|  ", text)
    assert text.index("11 月 25 日") < 20, "the date comes first"


def test_every_letter_about_a_coming_visit_tells_code_place_and_way_out(clinic):
    for kind in ("confirmed", "reminder_day", "reminder_hours", "moved"):
        for channel in ("sms", "app", "email"):
            text = written(clinic, kind, channel).text
            for part in ("青梧市第一医院", "4827 1936", "取消", "0571-000-0100", "08:30"):
                assert part in text, (kind, channel, part)


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
    assert ended[1]["ATTENDEE"] == "mailto:li@example.org"


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
    assert kinds == ["text/plain", "text/html", "text/calendar"]
    (calendar,) = [part for part in read.walk() if part.get_content_type() == "text/calendar"]
    assert calendar.get_param("method") == "REQUEST"


@pytest.mark.parametrize("address", ["li@example.org\nBcc: other@example.org", "li@example.org\r\nX: y"])
def test_an_address_cannot_add_a_header(clinic, address):
    with pytest.raises(ValueError):
        mail(address, written(clinic, "confirmed", "email"), "abc", "noreply@example.org")
