"""How somebody wants to be told: language, channels, reminders, an e-mail address that was confirmed, a WeChat."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from booking.db import db, transaction
from booking.errors import BadInput, TooMany
from booking.notices.service import send_due
from booking.people.models import Account, OneTimeCode, Patient
from booking.people.preferences import (
    bind_wechat,
    confirm_email,
    demo_email_code,
    request_email_code,
    set_email,
    set_preferences,
    unbind_wechat,
)
from tests import factory
from tests.notices.posting import letters

ADDRESS = "chen@example.org"


@pytest.fixture(autouse=True)
def inside(within):
    """Every test of this file works on the database."""


def now_of(model, id_):
    return db.session.get(model, id_, populate_existing=True)


def waiting(address: str = ADDRESS) -> Account:
    """An account whose address waits to be confirmed, with the code on its way."""
    who = factory.account()
    set_email(who.id, address)
    request_email_code(who.id)
    return who


# --- preferences -----------------------------------------------------------------------------------------------------


def test_preferences_are_kept_and_nobody_elses():
    mine, theirs = factory.account(), factory.account()
    set_preferences(mine.id, language="en", reminders=False, channels={"sms": False, "email": True})
    row = now_of(Account, mine.id)
    assert (row.language, row.reminders_on, row.quiet_channels) == ("en", False, ["sms"])
    other = now_of(Account, theirs.id)
    assert (other.language, other.reminders_on, other.quiet_channels) == (None, True, [])


def test_a_channel_that_was_not_asked_about_stays_as_it_was():
    who = factory.account(quiet_channels=["wechat"])
    set_preferences(who.id, language="zh", reminders=True, channels={"sms": False})
    assert now_of(Account, who.id).quiet_channels == ["sms", "wechat"]
    set_preferences(who.id, language="zh", reminders=True, channels={"sms": True, "app": False})
    assert now_of(Account, who.id).quiet_channels == ["wechat"], (
        "messages on the pages cannot be switched off"
    )


def test_a_language_we_do_not_write_is_refused():
    who = factory.account()
    with pytest.raises(BadInput) as refused:
        set_preferences(who.id, language="fr", reminders=False)
    assert "language" in refused.value.facts["errors"]
    assert now_of(Account, who.id).reminders_on, "nothing was changed"


def test_the_patients_own_phone_is_switched_for_ones_own_patients_only():
    mine = factory.person(own_phone="+8613800139002")
    theirs = factory.person(own_phone="+8613800139003")
    ids = (mine.patient.id, theirs.patient.id)
    set_preferences(mine.id, language="zh", reminders=True, patients=dict.fromkeys(ids, False))
    assert [now_of(Patient, one).reminders_on for one in ids] == [False, True]
    set_preferences(mine.id, language="zh", reminders=True, patients={ids[0]: True})
    assert now_of(Patient, ids[0]).reminders_on


# --- e-mail ----------------------------------------------------------------------------------------------------------


def test_an_address_is_confirmed_by_the_code_that_was_sent_there(app):
    app.config.update(DEMO=True)
    who = waiting()
    (letter,) = letters(kind="code")
    assert (letter.channel, letter.account_id) == ("email", who.id)
    send_due()
    assert letters(kind="code")[0].status == "accepted"
    code = demo_email_code(who.id)
    confirm_email(who.id, f"{code[:3]} {code[3:]}")
    assert now_of(Account, who.id).email_verified_at is not None
    confirm_email(who.id, "000000")  # a repeat changes nothing
    assert demo_email_code(who.id) is None


def test_a_wrong_code_counts_and_after_five_even_the_right_one_is_worth_nothing():
    who = waiting()
    code = demo_email_code(who.id)
    wrong = str((int(code) + 1) % 1_000_000).zfill(6)
    for said in ["再看一下邮件"] * 4 + ["太多次"]:
        with pytest.raises(BadInput) as refused:
            confirm_email(who.id, wrong)
        assert said in refused.value.facts["errors"]["code"]
    with pytest.raises(BadInput):
        confirm_email(who.id, code)
    assert now_of(Account, who.id).email_verified_at is None


def test_a_code_that_is_too_old_confirms_nothing(now):
    who = waiting()
    code = demo_email_code(who.id)
    now.at(factory.now() + timedelta(minutes=5, seconds=1))
    with pytest.raises(BadInput) as refused:
        confirm_email(who.id, code)
    assert "过期" in refused.value.facts["errors"]["code"]


def test_the_code_of_one_address_does_not_confirm_another():
    who = waiting()
    code = demo_email_code(who.id)
    set_email(who.id, "other@example.org")
    with pytest.raises(BadInput):
        confirm_email(who.id, code)
    assert now_of(Account, who.id).email_verified_at is None


def test_another_address_is_unconfirmed_and_the_same_one_stays_confirmed():
    who = factory.account(email=ADDRESS)
    assert not set_email(who.id, ADDRESS)
    assert now_of(Account, who.id).email_verified_at is not None
    assert set_email(who.id, "other@example.org")
    assert now_of(Account, who.id).email_verified_at is None
    set_email(who.id, "")
    assert not set_email(who.id, "")
    with pytest.raises(BadInput) as refused:
        confirm_email(who.id, "123456")
    assert "还没有填写邮箱" in refused.value.facts["errors"]["code"]


def test_codes_are_sent_a_minute_apart_and_ten_a_day(now):
    who = waiting()
    with pytest.raises(TooMany):
        request_email_code(who.id)
    assert len(letters(kind="code")) == 1
    for _ in range(9):
        now.at(factory.now() + timedelta(seconds=61))
        request_email_code(who.id)
    now.at(factory.now() + timedelta(seconds=61))
    with pytest.raises(TooMany):
        request_email_code(who.id)
    live = [code for code in db.session.query(OneTimeCode) if code.ended_at is None]
    assert len(live) == 1, "a new code ends the one before it"


def test_an_account_sends_ten_codes_a_day_to_whichever_addresses(now):
    who = waiting("chen0@example.org")
    for number in range(1, 10):
        set_email(who.id, f"chen{number}@example.org")
        request_email_code(who.id)
    set_email(who.id, "chen10@example.org")
    with pytest.raises(TooMany):
        request_email_code(who.id)
    assert len(letters(kind="code")) == 10
    waiting("another@example.org")  # others are not held up
    now.at(factory.now() + timedelta(days=1, seconds=1))
    request_email_code(who.id)
    assert len(letters(kind="code")) == 12


def test_nothing_is_sent_to_nobody_and_to_an_address_already_confirmed():
    for who in (factory.account(), factory.account(email=ADDRESS)):
        request_email_code(who.id)
    assert not letters(kind="code")


def test_a_code_to_sign_in_confirms_no_address():
    who = waiting()
    code = demo_email_code(who.id)
    with transaction() as session:
        session.execute(update(OneTimeCode).values(purpose="sign_in"))
    with pytest.raises(BadInput):
        confirm_email(who.id, code)


# --- WeChat ----------------------------------------------------------------------------------------------------------


def test_whoever_binds_a_wechat_wants_reminders_there_and_a_repeat_changes_nothing():
    who = factory.account(quiet_channels=["sms", "wechat"])
    bind_wechat(who.id, "o-li")
    row = now_of(Account, who.id)
    assert (row.wechat_openid, row.quiet_channels) == ("o-li", ["sms"])
    set_preferences(who.id, language="zh", reminders=True, channels={"wechat": False})
    bind_wechat(who.id, "o-li")
    assert now_of(Account, who.id).quiet_channels == ["sms", "wechat"], "said after it was bound"
    bind_wechat(who.id, "o-other")
    row = now_of(Account, who.id)
    assert (row.wechat_openid, row.quiet_channels) == ("o-other", ["sms"])


def test_a_family_may_bind_one_wechat_to_several_accounts_and_each_unbinds_its_own():
    mine, theirs = factory.account(), factory.account()
    for who in (mine, theirs):
        bind_wechat(who.id, "o-li")
    unbind_wechat(mine.id)
    unbind_wechat(mine.id)
    assert [now_of(Account, who.id).wechat_openid for who in (mine, theirs)] == [None, "o-li"]
