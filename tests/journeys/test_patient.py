"""From an answer to a kept appointment, in a real browser."""

from __future__ import annotations

import re
import time

import pytest

from tests.journeys.conftest import add_patient, new_phone, sign_in


def quick_times(page):
    return page.locator("form[action='/hold'] button[name=slot], form[action='/hold'] button").filter(
        has_text=re.compile(r"\d\d:\d\d")
    )


def an_open_answer(page):
    """Open the first question whose doctor has a quick time."""
    for number in range(1, 12):
        page.goto(f"/q/{number}")
        if quick_times(page).count():
            return number
    raise AssertionError("no answer of the demo has an open time")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("size", ["phone", "desk"])
def test_answer_booked_message_seen_cancelled(open_browser, size, script):
    page = open_browser(size, script=script)
    an_open_answer(page)
    quick_times(page).first.click()
    assert "/login" in page.url and "保留到" in page.inner_text("main")
    sign_in(page, new_phone())
    page.get_by_role("link", name="添加就诊人").first.click()
    add_patient(page, "李秋禾")
    assert "/book/" in page.url
    page.get_by_role("button", name="确认预约").click()
    expect_booked(page)
    assert re.search(r"\d{4} \d{4}", page.inner_text("main"))
    detail = page.url.partition("?")[0]
    seen = _message(page, "预约成功：")
    assert "李**" in seen or "李*" in seen
    page.goto(detail)
    page.get_by_role("link", name="取消预约").click()
    page.get_by_role("button", name=re.compile("取消预约")).click()
    page.goto(detail)
    assert "已取消" in page.inner_text("main")
    _message(page, "已取消")


def _message(page, words):
    """Wait, as a person would, until the messages page shows a letter; return what it says."""
    for _ in range(30):
        page.goto("/me/messages")
        text = page.inner_text("main")
        if words in text:
            return text
        time.sleep(1)
    raise AssertionError(f"no letter 「{words}」 after 30 s")


def expect_booked(page):
    """Wait for the success page, as one does after the button."""
    page.wait_for_url("**/me/appointments/**")
    page.get_by_role("heading", name="预约成功").wait_for()


def returning(page, name):
    """Sign in as somebody who has been here before: the account has its patient."""
    page.goto("/login")
    sign_in(page, new_phone())
    page.goto("/me/patients/new")
    add_patient(page, name)
    page.wait_for_url("**/me/patients")


def test_two_taps_for_a_returning_patient(open_browser):
    page = open_browser("phone")
    returning(page, "周若溪")
    an_open_answer(page)
    taps = 0
    quick_times(page).last.click()
    taps += 1
    page.get_by_role("button", name="确认预约").click()
    taps += 1
    expect_booked(page)
    assert taps == 2


def test_a_visit_is_found_by_code_without_sign_in(open_browser):
    page = open_browser("phone")
    phone = new_phone()
    an_open_answer(page)
    quick_times(page).first.click()
    sign_in(page, phone)
    page.get_by_role("link", name="添加就诊人").first.click()
    add_patient(page, "王若水")
    page.get_by_role("button", name="确认预约").click()
    expect_booked(page)
    code = re.search(r"(\d{4}) (\d{4})", page.inner_text("main"))
    other = open_browser("phone", script=False)
    other.goto("/find")
    other.fill("input[name=code]", code[0])
    other.fill("input[name=tail]", "0000")
    other.get_by_role("button", name="查询").click()
    assert "没有找到" in other.inner_text("main") and other.title().startswith("错误：")
    other.fill("input[name=code]", code[0])
    other.fill("input[name=tail]", phone[-4:])
    other.get_by_role("button", name="查询").click()
    assert code[0] in other.inner_text("main")


def test_the_whole_booking_by_keyboard(open_browser):
    """No mouse: Tab to a time, Enter; Tab to the button, Enter; the focus is always to be seen."""
    page = open_browser("phone")
    returning(page, "孙明远")
    an_open_answer(page)
    wanted = quick_times(page).last.get_attribute("value")
    _tab_to(page, f"button[value='{wanted}']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/book/**")
    _tab_to(page, ".form-go button")
    page.keyboard.press("Enter")
    expect_booked(page)


def _tab_to(page, selector):
    for _ in range(120):
        page.keyboard.press("Tab")
        here = page.evaluate(
            """selector => { const one = document.activeElement, r = one.getBoundingClientRect(), s = getComputedStyle(one);
            return {hit: one.matches(selector), ring: s.outlineStyle !== 'none' || s.boxShadow !== 'none',
                    drawn: r.width > 1 && r.height > 1}; }""",
            selector,
        )
        if here["hit"]:
            assert here["ring"], "the focused button shows no focus"
            return
    raise AssertionError(f"Tab never reached {selector}")


def test_the_demo_clock_brings_tomorrows_reminder_now(open_browser):
    page = open_browser("phone")
    page.goto("/login")
    sign_in(page, new_phone())
    page.goto("/demo/outbox")
    assert page.locator("form[action='/demo/clock']").count()
