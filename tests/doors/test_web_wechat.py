"""Binding one's WeChat: out to WeChat and back, whose browser it was, what goes wrong there, and unbinding."""

from __future__ import annotations

import http.client
import logging
import socket
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select, text

from booking.db import db
from booking.notices.senders.wechat import _tokens
from booking.notices.service import send_due
from booking.people.models import Account
from booking.people.preferences import bind_wechat
from tests import factory, provider_ends
from tests.doors.visitor import Visitor, hidden
from tests.notices.posting import booked, only, post

PAGE, CONFIRM = "/me/settings/wechat", "/me/settings/wechat/confirm"


@pytest.fixture
def wx(app):
    """A service account, switched on."""
    with provider_ends.running(provider_ends.Wechat()) as wx:
        app.config.update(
            WECHAT_APP_ID=wx.app,
            WECHAT_APP_SECRET=wx.secret,
            WECHAT_KIND="template",
            WECHAT_URL=wx.url,
            WECHAT_AUTHORIZE_URL=f"{wx.url}/connect/oauth2/authorize",
            SEND_TIMEOUT_SECONDS=1,
        )
        wx.person, wx.back_at = "o-li-qiuhe", app.config["PUBLIC_URL"]
        yield wx


@pytest.fixture
def visitor(app, wx):
    visitor = Visitor(app)
    visitor.sign_in("13800130931")
    return visitor


def asked_at_wechat(answer) -> str:
    """Go where our answer leads, as the browser does; return where WeChat leads back to, as a path on this site."""
    assert answer.status_code == 303
    to = urlsplit(answer.headers["Location"])
    assert to.fragment == "wechat_redirect"
    line = http.client.HTTPConnection(to.netloc, timeout=5)
    line.request("GET", f"{to.path}?{to.query}")
    back = urlsplit(line.getresponse().headers["Location"])
    line.close()
    return f"{back.path}?{back.query}"


def come_back(visitor) -> str:
    """Begin in this browser; return the path that WeChat leads back to."""
    return asked_at_wechat(visitor.post(PAGE))


def press(visitor, back: str):
    """Open the way back and press the button."""
    page = visitor.get(back)
    assert page.status_code == 200, page.text
    return visitor.post(CONFIRM, state=hidden(page, "state"), code=hidden(page, "code"))


def openids(app) -> list[str | None]:
    with app.app_context():
        return list(db.session.scalars(select(Account.wechat_openid).order_by(Account.id)))


# --- the whole way ---------------------------------------------------------------------------------------------------


def test_wechat_is_bound_by_the_button_and_not_by_the_way_back(app, visitor):
    settings = visitor.get("/me/settings").text
    assert f'href="{PAGE}"' in settings and "还没有绑定" in settings and 'value="wechat"' not in settings
    assert "没有关注的收不到" in visitor.get(PAGE).text
    back = come_back(visitor)
    assert back.startswith(f"{CONFIRM}?code=")
    asked = visitor.get(back)
    assert "138****0931" in asked.text and "确认绑定" in asked.text
    assert openids(app) == [None], "a link changes nothing"
    done = visitor.follow(press(visitor, back))
    assert "微信已绑定" in done.text and "解除绑定" in done.text
    assert openids(app) == ["o-li-qiuhe"]
    with app.app_context():
        raw = db.session.execute(text("SELECT wechat_openid FROM account")).scalar()
    assert raw.startswith("aesgcm.") and "o-li-qiuhe" not in raw
    settings = visitor.get("/me/settings").text
    assert "已绑定" in settings and 'value="wechat"' in settings
    for page in (settings, done.text):
        assert "o-li-qiuhe" not in page


def test_a_letter_goes_to_the_wechat_that_was_bound(app, wx, visitor, tmp_path):
    file = tmp_path / "wechat.toml"
    file.write_text('[confirmed]\nid = "T1"\n[confirmed.fields]\nthing5 = "place"\n')
    app.config.update(WECHAT_TEMPLATES=str(file))
    _tokens.clear()
    press(visitor, come_back(visitor))
    with app.app_context():
        (row,) = booked()
        bind_wechat(row.account_id, openids(app)[0])  # a family with one WeChat
        assert openids(app) == ["o-li-qiuhe", "o-li-qiuhe"]
        post(row, channels=("wechat",))
        assert send_due() == 1
    assert [one["touser"] for one in wx.taken] == ["o-li-qiuhe"]


def test_the_code_in_the_address_is_told_to_nobody(visitor):
    """Whatever the page of the way back leads on to gets our origin as referrer, not its address."""
    page = visitor.get(come_back(visitor))
    assert page.headers["Referrer-Policy"] == "strict-origin"


def test_another_wechat_takes_the_place_of_the_first(app, wx, visitor):
    press(visitor, come_back(visitor))
    wx.person = "o-zhang-san"
    assert "换一个微信" in visitor.get(PAGE).text
    press(visitor, come_back(visitor))
    assert openids(app) == ["o-zhang-san"]


def test_unbinding_is_a_button_and_ends_what_waits(app, visitor):
    press(visitor, come_back(visitor))
    assert visitor.get(f"{PAGE}/unbind").status_code == 405
    with app.app_context():
        clinic = factory.clinic()
        who = db.session.scalars(select(Account)).one()
        mine = factory.Person(who, factory.patient(who, "李秋禾"))
        post(factory.booked(clinic, factory.open_session(clinic), mine), channels=("wechat",))
    for _repeat in range(2):
        done = visitor.follow(visitor.post(f"{PAGE}/unbind"))
        assert "已解除绑定" in done.text and "还没有绑定" in done.text
    assert openids(app) == [None]
    with app.app_context():
        send_due()
        assert (only(channel="wechat").status, only(channel="wechat").last_error) == (
            "suppressed",
            "no WeChat",
        )


# --- whose browser it was --------------------------------------------------------------------------------------------


def test_a_way_back_that_another_browser_began_binds_nothing(app, wx, visitor):
    stranger = Visitor(app)
    stranger.sign_in("13800130932")
    wx.person = "o-stranger"
    link = come_back(stranger)
    state, code = link.partition("state=")[2], link.partition("code=")[2].partition("&")[0]
    for _begun in (False, True):
        assert visitor.get(link).status_code == 410
        refused = visitor.post(CONFIRM, state=state, code=code)
        assert refused.status_code == 410 and "不是在这个浏览器里开始的" in refused.text
        come_back(visitor)  # and also when this browser began one of its own
    mine = come_back(visitor).partition("state=")[2]
    assert visitor.post(CONFIRM, state=mine + "0", code=code).status_code == 410
    assert visitor.post(CONFIRM, code=code).status_code == 410
    assert openids(app) == [None, None]
    assert not [one for one in wx.asked if "access_token" in one["path"]], "the code was taken nowhere"


def test_the_way_back_is_good_once_and_for_ten_minutes(app, wx, visitor, now):
    back = come_back(visitor)
    assert press(visitor, back).status_code == 303
    assert visitor.get(back).status_code == 410
    late = come_back(visitor)
    now.shift(minutes=11)
    assert visitor.get(late).status_code == 410
    first, _second = come_back(visitor), come_back(visitor)
    assert visitor.get(first).status_code == 410, "whoever begins again means the second"


def test_the_way_back_is_good_only_for_the_account_that_began(app, visitor):
    back = come_back(visitor)
    with visitor.client.session_transaction() as cookie:
        kept = cookie["wechat"]
    visitor.post("/logout")
    assert visitor.get(back).headers["Location"] == "/login?next=/me/settings/wechat", "without the code"
    visitor.sign_in("13800130933")
    assert visitor.get(back).status_code == 410
    with visitor.client.session_transaction() as cookie:
        cookie["wechat"] = kept  # an old cookie kept aside
    assert visitor.get(back).status_code == 410
    assert openids(app) == [None, None]


def test_a_form_of_another_site_binds_and_unbinds_nothing(app, visitor):
    press(visitor, come_back(visitor))
    link = come_back(visitor)
    state, code = link.partition("state=")[2], link.partition("code=")[2].partition("&")[0]
    for path, values in ((CONFIRM, {"state": state, "code": code}), (f"{PAGE}/unbind", {}), (PAGE, {})):
        assert visitor.client.post(path, data=values).status_code == 400
    assert openids(app) == ["o-li-qiuhe"]


# --- what goes wrong at WeChat ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "status", "sentence"),
    [
        ({"errcode": 40029}, 410, "授权已经失效"),
        ({"errcode": 40163}, 410, "授权已经失效"),
        ({"errcode": -1}, 503, "暂时联系不上微信"),
        ({"errcode": 45011}, 503, "暂时联系不上微信"),
        ({"secret": "another"}, 503, "暂时联系不上微信"),
        ({"mode": "500"}, 503, "暂时联系不上微信"),
        ({"mode": "302"}, 503, "暂时联系不上微信"),
        ({"mode": "odd"}, 503, "暂时联系不上微信"),
        ({"mode": "drop"}, 503, "暂时联系不上微信"),
        ({"who": {"openid": None}}, 503, "暂时联系不上微信"),
        ({"who": {"openid": "a b"}}, 503, "暂时联系不上微信"),
        ({"who": {"openid": {"x": 1}}}, 503, "暂时联系不上微信"),
        ({"who": {"is_snapshotuser": 1}}, 409, "使用完整服务"),
    ],
)
def test_what_goes_wrong_is_said_and_changes_nothing(app, wx, visitor, trouble, status, sentence, caplog):
    back = come_back(visitor)
    for name, value in trouble.items():
        setattr(wx, name, value)
    with caplog.at_level(logging.DEBUG):
        refused = press(visitor, back)
    assert refused.status_code == status and sentence in refused.text
    assert 'action="/me/settings/wechat"' in refused.text, "the way to begin again"
    assert openids(app) == [None]
    code = back.partition("code=")[2].partition("&")[0]
    for word in (code, app.config["WECHAT_APP_SECRET"], wx.person):
        assert word not in caplog.text and word not in refused.text


def test_our_own_mistake_is_in_the_log(app, visitor, caplog):
    app.config.update(WECHAT_APP_SECRET="another")
    press(visitor, come_back(visitor))
    assert "code 40125" in caplog.text and "another" not in caplog.text


def test_silence_is_waited_for_only_shortly(app, visitor):
    back = come_back(visitor)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app.config.update(WECHAT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        refused = press(visitor, back)
    assert refused.status_code == 503 and openids(app) == [None]


def test_an_authorization_that_was_not_given_is_said(app, visitor):
    back = come_back(visitor)
    state = back.partition("state=")[2]
    for answer in (
        visitor.get(f"{CONFIRM}?state={state}"),
        visitor.get(f"{CONFIRM}?state={state}&code=%00"),
        visitor.post(CONFIRM, state=state),
    ):
        assert answer.status_code == 422 and "微信没有授权" in answer.text
    assert press(visitor, back).status_code == 303, "nothing was used up"


# --- where it is offered ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"WECHAT_APP_ID": ""}, {"WECHAT_KIND": "subscribe"}])
def test_where_wechat_cannot_tell_who_somebody_is_nothing_is_offered(app, visitor, settings):
    app.config.update(settings)
    assert PAGE not in visitor.get("/me/settings").text and "openid" not in visitor.get("/privacy").text
    for path in (PAGE, CONFIRM):
        assert visitor.get(path).status_code == 404
    for path in (PAGE, CONFIRM, f"{PAGE}/unbind"):
        assert visitor.post(path).status_code == 404


def test_the_page_says_where_to_open_it_and_lets_its_form_lead_out(app, wx, visitor):
    page = visitor.get(PAGE)
    assert "请在微信里打开" in page.text and f"{app.config['PUBLIC_URL']}{PAGE}" in page.text
    inside = visitor.get(PAGE, headers={"User-Agent": "Mozilla/5.0 MicroMessenger/8.0.49"})
    assert "请在微信里打开" not in inside.text
    assert f"form-action 'self' {wx.url};" in page.headers["Content-Security-Policy"]
    assert "form-action 'self';" in visitor.get("/me/settings").headers["Content-Security-Policy"]
    assert "openid" in visitor.get("/privacy").text


def test_nobody_binds_without_signing_in(app, wx):
    stranger = Visitor(app)
    for answer in (stranger.get(PAGE), stranger.post(PAGE), stranger.post(f"{PAGE}/unbind")):
        assert answer.status_code == 303 and answer.headers["Location"].startswith("/login?next=")
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Account)) == 0
