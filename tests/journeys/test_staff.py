"""Staff stop a session; the patient sees it and is told. In a real browser."""

from __future__ import annotations

import re
from datetime import date

import pytest

from tests.journeys.conftest import add_patient, new_phone, sign_in
from tests.journeys.test_patient import _message, expect_booked, quick_times


def staff_sign_in(page, login, password="qingwu-demo"):
    page.goto("/staff/login")
    page.fill("input[name=username], input[name=login]", login)
    page.fill("input[name=password]", password)
    page.locator("main form button").first.click()
    page.wait_for_url(re.compile(r"/staff/(?!login)"))


@pytest.mark.parametrize("size,script", [("desk", True), ("phone", False)], ids=["desk", "phone-no-script"])
def test_stopping_a_session_tells_its_patients(open_browser, size, script):
    patient = open_browser("phone")
    patient.goto("/doctors?hospital=linlan-1")
    slugs = [link.get_attribute("href") for link in patient.locator("main a[href^='/d/']").all()]
    doctor = None
    for address in dict.fromkeys(slug.partition("?")[0].partition("#")[0] for slug in slugs):
        patient.goto(address)
        if quick_times(patient).count() > 2:
            doctor = address
            break
    assert doctor, "no doctor of the demo's first hospital has open times"
    quick_times(patient).last.click()
    sign_in(patient, new_phone())
    patient.get_by_role("link", name="添加就诊人").first.click()
    add_patient(patient, "赵安宁")
    patient.get_by_role("button", name="确认预约").click()
    expect_booked(patient)
    detail = patient.url.partition("?")[0]
    when = re.search(r"(\d+) 月 (\d+) 日 周. (..) (\d\d:\d\d)", patient.inner_text("main"))
    code = re.search(r"(\d{4}) (\d{4})", patient.inner_text("main"))[0]

    desk = open_browser(size, script=script)
    staff_sign_in(desk, "fangzhiyuan@linlan-1")
    year = patient.evaluate("new Date().getFullYear()")
    desk.goto(f"/staff/day?date={year}-{int(when[1]):02d}-{int(when[2]):02d}&q={code.replace(' ', '')}")
    assert "赵" in desk.inner_text("main")
    session = _session_of(desk, doctor, year, when)
    desk.goto(f"{session}/stop")
    assert "影响" in desk.inner_text("main")
    desk.fill("[name=reason_public]", "外出会诊")
    desk.locator("button[value=stop]").click()
    assert "已停诊" in desk.inner_text("h1")

    patient.goto(detail)
    assert "停诊" in patient.inner_text("main") and "外出会诊" in patient.inner_text("main")
    _message(patient, "外出会诊")
    patient.goto(doctor)
    desk.goto("/demo/outbox")
    assert "停诊" in desk.inner_text("main")


def _session_of(desk, doctor, year, when):
    """Find the session in the week grid as staff would: the week of the date, the doctor's row, the part of day."""
    day = date(year, int(when[1]), int(when[2]))
    iso = day.isocalendar()
    desk.goto(f"/staff/week?w={iso.year}-W{iso.week:02d}")
    desk.goto(doctor)
    name = desk.inner_text("h1").split()[0]
    desk.goto(f"/staff/week?w={iso.year}-W{iso.week:02d}&date={day.isoformat()}")
    words = f"{name}，{day.month} 月 {day.day} 日"
    found = desk.locator(f"a[aria-label*='{words}'], button[aria-label*='{words}']").filter(has_text=when[3])
    assert found.count(), f"no unit 「{words} {when[3]}」 in the grid"
    address = found.first.get_attribute("href")
    assert address
    number = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}", address)
    assert number, address
    return f"/staff/sessions/{number[0]}"


def test_the_week_is_edited_by_keyboard(open_browser):
    desk = open_browser("desk")
    staff_sign_in(desk, "heyu@linlan-1")
    desk.goto("/staff/week")
    unit = desk.locator(".unit:not(.unit--none)").first
    unit.focus()
    desk.keyboard.press("ArrowRight")
    assert desk.evaluate("document.activeElement.classList.contains('unit')")
