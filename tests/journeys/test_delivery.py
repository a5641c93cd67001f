"""The desk watches its letters: sends one again, rings whom none reached, and the page is fit for everybody."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import SIZES
from tests.journeys.test_accessible import check
from tests.journeys.test_staff import staff_sign_in


@pytest.mark.parametrize(
    ("size", "script", "admin"),
    [("desk", True, "fangzhiyuan@linlan-1"), ("phone", False, "qinmuyun@linlan-univ")],
    ids=["desk", "phone-no-script"],
)
def test_a_failed_letter_and_a_person_nobody_reached(open_browser, size, script, admin):
    desk = open_browser(size, script=script)
    staff_sign_in(desk, admin)
    wrong = []
    for path in ("/staff/delivery", "/staff/calls") if script else ():
        check(desk, path, wrong)
        desk.set_viewport_size(SIZES[size])
    assert not wrong, "\n".join(wrong)
    desk.goto("/staff/delivery")
    assert desk.locator("figure.chart").count() == 3
    for summary in desk.locator("details.chart-table:not([hidden]) summary").all():
        summary.click()
    assert desk.locator("table.table--figures tbody tr").count() > 14

    if desk.get_by_role("button", name=re.compile("^重发")).count():
        desk.get_by_role("button", name=re.compile("^重发")).first.click()
        assert "已重新排队" in desk.inner_text("main")

    desk.goto("/staff/calls")
    before = desk.locator("li.ring").count()
    assert before, "the demo has somebody to ring in every hospital"
    first = desk.locator("li.ring").first
    assert first.locator("a[href^='tel:']").count()
    assert "停诊" in first.locator("blockquote").inner_text()
    first.get_by_label("备注").fill("响了很久")
    first.get_by_role("button", name="没人接").click()
    assert "打过 1 次，没人接" in desk.inner_text("main") and "响了很久" in desk.inner_text("main")
    desk.locator("li.ring", has_text="响了很久").get_by_role("button", name="已告知").click()
    expect(desk.locator(".flashes")).to_contain_text("已告知")
    expect(desk.locator("li.ring")).to_have_count(before - 1)
    if not desk.locator(".ended[open]").count():
        desk.locator(".ended summary").click()
    assert "已告知" in desk.inner_text(".ended")
