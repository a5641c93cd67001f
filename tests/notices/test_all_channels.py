"""From a row to each channel's far end: who is asked, what it hears, and what the row says afterwards."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from booking.appointments.queries import appointment
from booking.clock import db_now
from booking.db import db, transaction
from booking.notices.approved import described
from booking.notices.letters import visit_letter
from booking.notices.senders.wechat import _tokens
from booking.notices.service import send_due
from booking.outbox import reference
from booking.people.models import Account
from tests import far_ends, provider_ends
from tests.notices.posting import booked, only, post


@pytest.fixture
def set_up(app):
    """Change settings for one test."""
    before = dict(app.config)
    yield app.config.update
    app.config.clear()
    app.config.update(before)


def test_a_short_message_says_how_many_it_took(within, set_up):
    with far_ends.sms_gateway() as gateway:
        set_up(SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="k", SEND_TIMEOUT_SECONDS=1)
        (row,) = booked()
        post(row, channels=("sms",))
        assert send_due() == 1
    assert (only().status, only().provider, only().segments) == ("accepted", "gateway", 2)


def test_alibaba_carries_a_visits_letter_as_its_approved_template(within, set_up, tmp_path):
    ids = {one.name: f"SMS_{number}" for number, one in enumerate(described().templates)}
    texts = {
        ids[one.name]: one.text.replace("{site}", "青梧就医").replace("{host}", "127.0.0.1:5000")
        for one in described().templates
    }
    file = tmp_path / "ids.toml"
    file.write_text("[alibaba]\n" + "".join(f'"{name}" = "{one}"\n' for name, one in ids.items()))
    with provider_ends.running(provider_ends.Alibaba(texts)) as ali:
        set_up(
            SMS_PROVIDERS=["alibaba"],
            SMS_TEMPLATE_IDS=str(file),
            ALIBABA_KEY_ID=ali.key_id,
            ALIBABA_KEY_SECRET=ali.secret,
            ALIBABA_SMS_URL=ali.url,
            SEND_TIMEOUT_SECONDS=1,
        )
        (row,) = booked()
        post(row, channels=("sms",))
        assert send_due() == 1
    (taken,) = ali.taken
    assert taken["OutId"] == reference(only())
    assert (only().status, only().provider, only().provider_ref) == ("accepted", "alibaba", "9006-1")
    view = appointment(row.hospital_id, row.id)
    ours = visit_letter("confirmed", "sms", view, {}, now=db_now(db.session()))
    assert taken["text"] == ours.text, "a template filled in reads as the text"


def test_wechat_hears_the_words_its_template_asks_for(within, set_up, tmp_path):
    file = tmp_path / "wechat.toml"
    file.write_text(
        '[confirmed]\nid = "T1"\n[confirmed.fields]\ntime2 = "time"\nthing5 = "place"\nthing1 = "doctor"\n'
        'character_string4 = "code"\n'
    )
    _tokens.clear()
    with provider_ends.running(provider_ends.Wechat()) as wx:
        set_up(
            WECHAT_APP_ID=wx.app,
            WECHAT_APP_SECRET=wx.secret,
            WECHAT_TEMPLATES=str(file),
            WECHAT_URL=wx.url,
            SEND_TIMEOUT_SECONDS=1,
        )
        (row,) = booked()
        with transaction() as session:
            session.execute(update(Account).values(wechat_openid="o-li-1"))
        post(row, channels=("wechat",))
        assert send_due() == 1
        (sent,) = wx.taken
        assert sent["touser"] == "o-li-1"
        at = f"{row.visit_date.year}年{row.visit_date.month}月{row.visit_date.day}日 {row.starts_local:%H:%M}"
        assert sent["data"]["time2"]["value"] == at
        assert sent["data"]["character_string4"]["value"] == "1000 0000"
        assert (only().status, only().provider_ref) == ("accepted", "1701")
        wx.refused = {"o-li-1"}
        (other,) = booked()
        with transaction() as session:
            session.execute(update(Account).values(wechat_openid="o-li-1"))
        post(other, channels=("wechat",))
        assert send_due() == 0
        assert only(appointment_id=other.id).status == "failed"
        (without,) = booked()
        with transaction() as session:
            session.execute(update(Account).values(wechat_openid="o-li-2"))
        post(without, "moved", facts={"from": {}}, channels=("wechat",))
        asked = len(wx.asked)
        assert send_due() == 0
        assert len(wx.asked) == asked
    unsent = only(appointment_id=without.id)
    assert (unsent.status, unsent.last_error) == ("suppressed", "no text for the kind")


def test_who_has_no_wechat_is_not_told_there(within, set_up):
    set_up(WECHAT_APP_ID="wx", WECHAT_APP_SECRET="s", WECHAT_URL="http://127.0.0.1:9")
    (row,) = booked()
    post(row, channels=("wechat",))
    assert send_due() == 0
    assert (only().status, only().last_error) == ("suppressed", "no WeChat")


def test_a_call_is_spoken_without_brackets_and_stars(within, set_up):
    with far_ends.sms_gateway() as gateway:
        set_up(VOICE_GATEWAY_URL=gateway.url, VOICE_GATEWAY_KEY="k", SEND_TIMEOUT_SECONDS=1)
        (row,) = booked()
        before = {"visit_date": "2027-03-04", "starts_local": "10:30", "part": "上午"}
        post(row, "moved", channels=("voice",), facts={"from": before, "by": "hospital"})
        assert send_due() == 1
        (call,) = gateway.calls
    assert call["kind"] == "voice" and call["text"].startswith("您好，这里是")
    assert not set("【】*") & set(call["text"]) and "姓李的就诊人" in call["text"]
    assert "原来 3 月 4 日 10:30 的不用来了" in call["text"]
    assert (only().status, only().provider) == ("accepted", "voice")
