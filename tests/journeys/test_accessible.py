"""axe on every page: 390 and 1280, light, dark and large print; no sideways scrolling at 320."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from tests.journeys.conftest import SIZES, sign_in
from tests.journeys.test_patient import an_open_answer, expect_booked, quick_times, returning
from tests.journeys.test_staff import staff_sign_in

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PUBLIC = [
    "/",
    "/q/1",
    "/q/88",
    "/questions",
    "/dept",
    "/doctors",
    "/doctors?title=主任医师&sort=soonest",
    "/d/shenzhiwei",
    "/d/shenzhiwei/about",
    "/d/shenzhiwei/answers",
    "/d/peixiuyuan",
    "/h",
    "/h/linlan-1",
    "/a/1",
    "/news/17",
    "/search",
    "/search?q=发烧",
    "/search?q=长辈版",
    "/ask",
    "/ask?q=胸口疼喘不上气",
    "/rules",
    "/privacy",
    "/help",
    "/about",
    "/find",
    "/login",
    "/demo/outbox",
    "/no-such-page",
    "/staff/login",
]
OWN = [
    "/me/appointments",
    "/me/appointments?tab=cancelled",
    "/me/patients",
    "/me/patients/new",
    "/me/messages",
    "/me/settings",
]
STAFF = [
    "/staff/week",
    "/staff/templates",
    "/staff/templates/new",
    "/staff/templates/apply",
    "/staff/day",
    "/staff/delivery",
    "/staff/calls",
    "/staff/sessions/new",
]


RUN = """options => axe.run(document, options).then(found => found.violations.map(
    one => [one.id, one.nodes.slice(0, 3).map(node => String(node.target[0]))]))"""


def check(page, path, wrong, *, dark=True):
    """Add to `wrong` what axe finds on a page at both widths (and both themes), and sideways scrolling at 320."""
    page.goto(path)
    page.evaluate(AXE_SCRIPT)
    options = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
    for theme in ("light", "dark") if dark else ("light",):
        page.evaluate("theme => document.documentElement.setAttribute('data-theme', theme)", theme)
        for size, view in SIZES.items():
            page.set_viewport_size(view)
            wrong += [f"{path} {size} {theme}: {rule} {where}" for rule, where in page.evaluate(RUN, options)]
    page.set_viewport_size({"width": 320, "height": 700})
    sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if sideways > 0:
        wrong.append(f"{path}: {sideways} px sideways at 320")
    page.set_viewport_size(SIZES["phone"])


def large_print(page):
    page.goto("/")
    page.get_by_role("button", name="长辈版").click()
    page.wait_for_selector("html[data-mode=elder]", state="attached")


@pytest.mark.parametrize("mode", ["standard", "large-print"])
def test_patient_pages(open_browser, mode):
    page = open_browser("phone")
    wrong: list[str] = []
    if mode == "large-print":
        large_print(page)
    for path in PUBLIC:
        check(page, path, wrong, dark=mode == "standard")
    page.goto("/login")
    sign_in(page, "13800130001" if mode == "standard" else "13800130002")
    for path in OWN:
        check(page, path, wrong, dark=mode == "standard")
    page.context.clear_cookies()  # the demo's person may have a visit in that session already
    if mode == "large-print":
        large_print(page)
    returning(page, "周又安")
    an_open_answer(page)
    quick_times(page).first.click()
    check(page, page.url, wrong)
    page.get_by_role("button", name="确认预约").click()
    expect_booked(page)
    detail = page.url.partition("?")[0]
    for path in (page.url, detail, f"{detail}/slip", f"{detail}/cancel", f"{detail}/change"):
        check(page, path, wrong, dark=mode == "standard")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("mode", ["standard", "large-print"])
def test_staff_pages(open_browser, mode):
    page = open_browser("desk")
    wrong: list[str] = []
    if mode == "large-print":
        large_print(page)
    staff_sign_in(page, "fangzhiyuan@linlan-1")
    paths = list(STAFF)
    page.goto("/staff/week")
    unit = page.locator("a.unit:not(.unit--none):not(.unit--past)").first.get_attribute("href") or ""
    number = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}", unit)
    if number:
        paths += [f"/staff/sessions/{number[0]}", f"/staff/sessions/{number[0]}/stop"]
    page.goto("/staff/templates")
    template = page.locator("main a[href^='/staff/templates/']:not([href$='new']):not([href$='apply'])").first
    paths.append(template.get_attribute("href"))
    page.goto("/staff/day")
    visit = page.locator("main a[href^='/staff/appointment/']").first
    if visit.count():
        paths.append(visit.get_attribute("href"))
    for path in paths:
        check(page, path, wrong, dark=mode == "standard")
    assert not wrong, "\n".join(wrong)
