"""Letters of wishes and draws go by the ways of the account: WeChat where it is bound, e-mail once it is confirmed."""

from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from sqlalchemy import update

from booking import outbox
from booking.appointments.draw import draw_due
from booking.appointments.offers import offer_places
from booking.appointments.stop import stop_session
from booking.clock import local
from booking.db import db, transaction
from booking.notices.senders.wechat import _tokens
from booking.notices.service import send_due
from booking.people.models import Account
from booking.people.preferences import set_preferences
from tests import factory, provider_ends
from tests.notices.posting import letters, only
from tests.verbs.test_after import staff
from tests.verbs.test_draw import drawn_session, entrant, put_in
from tests.verbs.test_wishes import full, give_back, wait

TEMPLATES = """
[wish_offer]
id = "T-offer"
[wish_offer.fields]
time2 = "time"
time3 = "latest"
thing5 = "place"
name1 = "name"
[wish_joined]
id = "T-joined"
[wish_joined.fields]
thing1 = "doctor"
thing2 = "department"
thing3 = "when"
time4 = "latest"
[draw_lost]
id = "T-lost"
[draw_lost.fields]
time2 = "time"
thing1 = "doctor"
thing5 = "place"
"""


@pytest.fixture(autouse=True)
def by_day(within, now):
    """Half past nine: no quiet hours hold anything up."""
    here = local(now(), "Asia/Shanghai")
    now.at(here.replace(hour=9, minute=30, second=0) + timedelta(days=1))


@pytest.fixture
def wx(app, tmp_path):
    file = tmp_path / "wechat.toml"
    file.write_text(TEMPLATES)
    _tokens.clear()
    outbox.offer(["wechat"])
    with provider_ends.running(provider_ends.Wechat()) as wx:
        app.config.update(
            WECHAT_APP_ID=wx.app,
            WECHAT_APP_SECRET=wx.secret,
            WECHAT_TEMPLATES=str(file),
            WECHAT_URL=wx.url,
            WECHAT_KIND="template",
            SEND_TIMEOUT_SECONDS=1,
        )
        yield wx
    outbox.offer([])


def set_to(who, **values):
    with transaction() as session:
        session.execute(update(Account).where(Account.id == who.id).values(**values))


def offered(who):
    """A place is offered to `who`, who waits for it."""
    at = factory.clinic()
    opened, rows = full(at)
    wait(at, opened, who)
    give_back(at, rows)
    offer_places()
    db.session.remove()


def channels(kind):
    return {letter.channel for letter in letters(kind=kind)}


def test_an_offer_reaches_the_wechat_of_whoever_waits(wx):
    who = factory.person()
    set_to(who, wechat_openid="o-li")
    offered(who)
    send_due()
    joined, offer = sorted(wx.taken, key=lambda one: one["template_id"])  # which leaves first is chance
    assert {one["touser"] for one in wx.taken} == {"o-li"}
    assert (joined["template_id"], offer["template_id"]) == ("T-joined", "T-offer")
    assert joined["data"]["thing1"]["value"] == "沈知远" and joined["data"]["thing2"]["value"] == "呼吸内科"
    assert offer["url"].endswith("/me/wishes")
    assert re.fullmatch(r"\d{4}年\d{1,2}月\d{1,2}日 \d\d:\d\d", offer["data"]["time3"]["value"])
    assert only(kind="wish_offer", channel="wechat").status == "accepted"
    assert channels("wish_offer") == {"app", "sms", "wechat"}


def test_an_address_nobody_confirmed_hears_of_no_wish_and_no_draw(wx, now):
    who = entrant(email="li@example.org")
    set_to(who, email_verified_at=None)
    offered(who)
    assert channels("wish_joined") == channels("wish_offer") == {"app", "sms"}
    at, opened, draw = drawn_session(places=1)
    now.shift(minutes=70)
    put_in(at, draw, who)
    stop_session(at.id, opened.id, actor=staff(at), reason="外出会诊")
    draw_due()
    assert channels("draw_entered") == {"app"} and channels("draw_off") == {"app", "sms"}


def test_a_confirmed_address_hears_of_both(now):
    who = entrant(email="li@example.org")
    offered(who)
    assert channels("wish_joined") == channels("wish_offer") == {"app", "sms", "email"}
    at, opened, draw = drawn_session(places=1)
    now.shift(minutes=70)
    put_in(at, draw, who)
    stop_session(at.id, opened.id, actor=staff(at), reason="外出会诊")
    draw_due()
    assert channels("draw_entered") == {"app", "email"}
    assert channels("draw_off") == {"app", "sms", "email"}
    db.session.remove()
    send_due()
    assert {letter.status for letter in letters(kind="draw_off")} <= {"delivered", "accepted"}


def test_no_switch_for_reminders_keeps_an_offer_back(wx):
    who = factory.person(email="li@example.org")
    set_to(who, wechat_openid="o-li")
    quiet = dict.fromkeys(("sms", "email", "wechat"), False)
    set_preferences(who.id, language="zh", reminders=False, channels=quiet)
    offered(who)
    send_due()
    sent = {letter.channel: letter.status for letter in letters(kind="wish_offer")}
    assert sent == {"app": "delivered", "sms": "accepted", "email": "accepted", "wechat": "accepted"}


def test_who_was_not_drawn_hears_it_over_wechat_unless_it_was_unbound_meanwhile(wx, now):
    people = [entrant(name) for name in ("甲", "乙", "丙")]
    at, _opened, draw = drawn_session(places=1, ends=time(9))
    now.shift(minutes=70)
    for number, who in enumerate(people):
        set_to(who, wechat_openid=f"o-{number}")
        put_in(at, draw, who)
    now.shift(minutes=120)
    draw_due()
    lost = letters(kind="draw_lost", channel="wechat")
    assert len(lost) == 2 and channels("draw_lost") == {"app", "sms", "wechat"}
    set_to(db.session.get(Account, lost[0].account_id), wechat_openid=None)
    db.session.remove()
    send_due()
    after = {letter.id: letter for letter in letters(kind="draw_lost", channel="wechat")}
    assert (after[lost[0].id].status, after[lost[0].id].last_error) == ("suppressed", "no WeChat")
    others = [one for one in after.values() if one.id != lost[0].id]
    assert {one.status for one in others} == {"accepted"}
    told = [one for one in wx.taken if one["template_id"] == "T-lost"]
    assert len(told) == len(others)
    assert all("/draw/" in one["url"] for one in told)
