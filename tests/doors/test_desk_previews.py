"""What a letter will say, read by the staff with a real visit before anything is sent."""

from __future__ import annotations

from datetime import date, time

import pytest
from sqlalchemy import update

from booking.appointments.queries import appointment
from booking.clock import utc
from booking.db import transaction
from booking.directory.models import ClinicKind
from booking.notices.letters import visit_letter
from booking.notices.preview import KINDS, preview
from tests import factory
from tests.doors.desk_people import HOSTILE, row_counts, seat, text_of

DAY = date(2030, 1, 8)


@pytest.fixture
def at(within, now):
    now.at(utc(DAY, time(8), "Asia/Shanghai"))
    return factory.clinic()


@pytest.fixture
def visit(at):
    opened = factory.open_session(at, DAY)
    return factory.booked(at, opened, factory.person("李秋禾", email="li@example.org"), visit_code="48271936")


@pytest.fixture
def desk(app, at):
    return seat(app, at, "desk")


def address(visit, **asked) -> str:
    words = "&".join(f"{name}={value}" for name, value in asked.items())
    return f"/staff/appointment/{visit.id}/letters?{words}"


def test_each_channel_is_shown_with_its_length_and_parts(visit, desk):
    page = desk.get(address(visit))
    assert page.status_code == 200
    shown = text_of(page)
    for word in ("短信", "站内消息", "邮件", "预约成功", "预约码 4827 1936", "2 条短信", "附日历文件"):
        assert word in shown, word
    assert "李*" in shown and "秋禾" not in shown


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_read_in_both_languages(at, visit, desk, kind, language):
    with transaction() as session:
        session.execute(update(ClinicKind).values(preparation="空腹来"))
    before = row_counts()
    page = desk.get(address(visit, kind=kind, language=language))
    assert page.status_code == 200 and 'class="letter-text"' in page.text
    assert row_counts() == before, "reading puts nothing and sends nothing"
    mail = desk.get(f"/staff/appointment/{visit.id}/letters/mail?kind={kind}&language={language}")
    assert mail.status_code == 200 and mail.text.startswith("<!doctype html>")
    assert "sandbox" in mail.headers["Content-Security-Policy"]


def test_the_text_is_the_one_that_would_be_sent(at, visit):
    view, now = appointment(at.id, visit.id), factory.now()
    shown = {one.channel: one for one in preview(view, "confirmed", language="en", now=now, reason="")}
    for channel in ("sms", "app", "email"):
        sent = visit_letter("confirmed", channel, view, {}, now=now, address="you@example.org", language="en")
        assert (shown[channel].subject, shown[channel].text) == (sent.subject, sent.text)
    assert shown["sms"].length == len(shown["sms"].text) and shown["sms"].segments in (1, 2)
    assert shown["email"].calendar == "REQUEST"


def test_a_move_of_the_hospitals_own_is_read_as_the_hospitals(visit, desk):
    own, theirs = (text_of(desk.get(address(visit, kind=kind))) for kind in ("moved", "moved_by_hospital"))
    assert (
        "改约（医院）" in theirs and "医院已把李*的预约改到这时" in theirs and "医生临时有急诊手术" in theirs
    )
    assert "语音电话" in theirs, "the hospital's own change of the day is rung"
    assert "李*已改到这时" in own and "医院已把" not in own and "语音电话" not in own


def test_what_is_not_sent_is_said(visit, desk):
    page = desk.get(address(visit, kind="preparation"))
    assert page.status_code == 200 and "没有要提前准备的" in text_of(page)


def test_only_who_may_read_the_visit_reads_its_letters(app, at, visit):
    for role, status in (("desk", 200), ("admin", 200), ("doctor", 403), ("scheduler", 403)):
        assert seat(app, at, role).get(address(visit)).status_code == status, role
    elsewhere = seat(app, factory.clinic(), "desk")
    assert elsewhere.get(address(visit)).status_code == 404


def test_what_nobody_offers_counts_as_nothing(visit, desk):
    for value in HOSTILE:
        page = desk.client.get(
            f"/staff/appointment/{visit.id}/letters",
            query_string={"kind": value.encode("utf-8", "replace"), "language": "xx"},
        )
        assert page.status_code == 200 and "预约成功" in page.text
