"""Binding one's WeChat in a real browser: out to a service account's far end and back, confirmed, unbound; axe on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import provider_ends
from tests.journeys.conftest import Site, new_phone, sign_in
from tests.journeys.test_accessible import check

IN_WECHAT = "Mozilla/5.0 (Linux; Android 13) Chrome/111.0 Mobile Safari/537.36 MicroMessenger/8.0.49"


@pytest.fixture(scope="module")
def wx() -> Iterator[provider_ends.Wechat]:
    with provider_ends.running(provider_ends.Wechat()) as wx:
        wx.person = "o-journey"
        yield wx


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, wx: provider_ends.Wechat) -> Iterator[Site]:
    """The product with its WeChat switched on."""
    folder: Path = tmp_path_factory.mktemp("wechat")
    site = Site(
        folder,
        WECHAT_APP_ID=wx.app,
        WECHAT_APP_SECRET=wx.secret,
        WECHAT_KIND="template",
        WECHAT_URL=wx.url,
        WECHAT_AUTHORIZE_URL=f"{wx.url}/connect/oauth2/authorize",
    )
    wx.back_at = site.address
    yield site
    site.stop()


@pytest.mark.parametrize("script", [True, False])
def test_wechat_is_bound_and_unbound(open_browser, script):
    page = open_browser("phone", script=script, user_agent=IN_WECHAT)
    page.goto("/login?next=/me/settings")
    sign_in(page, new_phone())
    page.get_by_role("link", name="绑定微信提醒").click()
    page.get_by_role("button", name="用微信授权").click()
    page.get_by_role("heading", name="确认绑定微信").wait_for()
    page.get_by_role("button", name="确认绑定").click()
    page.get_by_text("微信已绑定，以后的通知也会发到那里。").wait_for()
    page.get_by_role("link", name="设置", exact=True).click()
    assert page.get_by_label("微信", exact=True).is_checked()
    page.get_by_role("link", name="查看或解除绑定").click()
    page.get_by_role("button", name="解除绑定").click()
    page.get_by_text("微信已解除绑定，通知不再发到那里。").wait_for()
    assert page.get_by_role("button", name="用微信授权").is_visible()


def test_its_pages_are_accessible(open_browser):
    page = open_browser("phone")
    wrong: list[str] = []
    page.goto("/login?next=/me/settings")
    sign_in(page, new_phone())
    for path in ("/me/settings", "/me/settings/wechat", "/privacy"):
        check(page, path, wrong)
    page.goto("/me/settings/wechat")
    page.get_by_role("button", name="用微信授权").click()
    page.get_by_role("heading", name="确认绑定微信").wait_for()
    back = page.url
    check(page, back, wrong)
    page.goto(back)
    page.get_by_role("button", name="确认绑定").click()
    page.get_by_text("微信已绑定，以后的通知也会发到那里。").wait_for()
    for path in ("/me/settings", "/me/settings/wechat"):
        check(page, path, wrong)
    page.goto(back)  # used up
    page.get_by_role("alert").wait_for()
    check(page, back, wrong)
    assert not wrong, "\n".join(wrong)
