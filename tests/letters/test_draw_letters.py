"""The letters about a draw, word for word, written from what the verbs left; and that they are sent."""

from __future__ import annotations

import re
from datetime import date, time, timedelta
from itertools import product

import pytest
from flask_babel import force_locale
from sqlalchemy import select, update

from booking.appointments.draw import draw_due
from booking.appointments.draw_entries import set_draw
from booking.appointments.stop import stop_session
from booking.clock import utc
from booking.db import db, transaction
from booking.notices.draw_letters import draw_letter
from booking.notices.queries import messages_of
from booking.notices.service import send_due
from booking.outbox import Message
from booking.people.models import Account
from tests import factory
from tests.letters.test_letters import both_languages, same_as_stored, whole
from tests.verbs.test_after import staff
from tests.verbs.test_draw import put_in

ZONE = "Asia/Shanghai"
RELEASE = utc(date(2026, 11, 26), time(20), ZONE)
ENTRIES = RELEASE - timedelta(days=1)


@pytest.fixture
def drawn(within, now):
    """Two people for one place: one is drawn, one is not."""
    now.at(ENTRIES - timedelta(hours=1))
    at = factory.clinic()
    opened = factory.open_session(
        at, on=date(2026, 12, 3), places=1, starts=time(8, 30), ends=time(9), release_at=RELEASE
    )
    draw = set_draw(at.id, opened.id, actor=staff(at, "scheduler"), entries_from=ENTRIES)
    now.at(ENTRIES)
    people = [
        factory.person(name, id_number=f"ID-{name}", email="li@example.org")
        for name in ("李秋禾", "欧阳静怡")
    ]
    for who in people:
        put_in(at, draw, who)
    with force_locale("zh_Hans_CN"):
        yield at, opened, people


def written(kind, channel, language="zh"):
    """What the letters of a kind say, with the parts that differ from draw to draw replaced."""
    with transaction() as session:
        session.execute(update(Account).values(language=language))
    db.session.expunge_all()
    asked = (
        select(Message).where(Message.kind == kind, Message.channel == channel).order_by(Message.created_at)
    )
    rows = db.session.scalars(asked).all()
    texts = [whole(draw_letter(row, factory.now())[1]) for row in rows]
    texts = [re.sub(r"\b[0-9a-f]{64}\b", "ab12…", text) for text in texts]
    texts = [re.sub(r"\b[0-9a-f]{16}\b", "0f0f0f0f0f0f0f0f", text) for text in texts]
    return [re.sub(r"/draw/\d+-[0-9a-f]{32}", "/draw/1-…", text) for text in texts]


@both_languages
@pytest.mark.parametrize("channel", ["app", "email"])
def test_the_receipt(drawn, channel, language):
    same_as_stored(f"draw_entered.{channel}", written("draw_entered", channel, language)[0], language)


@both_languages
@pytest.mark.parametrize("channel", ["sms", "app", "email"])
def test_the_result_for_who_was_not_drawn(drawn, now, channel, language):
    now.at(RELEASE)
    draw_due()
    (text,) = written("draw_lost", channel, language)
    same_as_stored(f"draw_lost.{channel}", text.replace("欧阳*", "李*"), language)


@both_languages
@pytest.mark.parametrize("channel", ["sms", "app", "email"])
def test_a_draw_called_off(drawn, channel, language):
    at, opened, _people = drawn
    stop_session(at.id, opened.id, actor=staff(at), reason="外出会诊")
    draw_due()
    texts = written("draw_off", channel, language)
    assert len(texts) == 2 and len({text.replace("欧阳*", "李*") for text in texts}) == 1
    same_as_stored(f"draw_off.{channel}", texts[0].replace("欧阳*", "李*"), language)


def test_no_letter_names_the_department_or_a_whole_name(drawn, now):
    now.at(RELEASE)
    draw_due()
    for kind, channel in product(("draw_entered", "draw_lost"), ("sms", "app", "email")):
        for text in written(kind, channel):
            assert "呼吸内科" not in text and "秋禾" not in text and "静怡" not in text


def test_they_are_sent(drawn, now):
    now.at(RELEASE)
    draw_due()
    db.session.rollback()
    send_due("test")
    sent = select(Message.status).where(Message.kind.in_(("draw_entered", "draw_lost")))
    assert set(db.session.scalars(sent)) <= {"delivered", "accepted"}


def test_a_letter_about_a_draw_leads_to_its_page(app, drawn, now):
    _at, _opened, people = drawn
    send_due("test")
    (shown,) = [one for one in messages_of(people[0].id) if one.kind == "draw_entered"]
    assert shown.draw_ref
    assert app.test_client().get(f"/draw/{shown.draw_ref}").status_code == 200
