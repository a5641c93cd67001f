"""What people type at the desk, and what it means."""

from __future__ import annotations

from datetime import date, time

import pytest

from booking.desk.forms import narrow, plain, read_clock, read_date, read_yuan
from booking.desk.grid import read_id, read_week, week_name
from booking.desk.session import own_path


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("8", time(8)),
        ("08", time(8)),
        ("830", time(8, 30)),
        ("0830", time(8, 30)),
        ("8:30", time(8, 30)),
        ("08:30", time(8, 30)),
        ("８：３０", time(8, 30)),
        (" 8 : 30 ", time(8, 30)),
        ("8点", time(8)),
        ("8点30分", time(8, 30)),
        ("8.30", time(8, 30)),
        ("23:59", time(23, 59)),
        ("0", time(0)),
        ("24", None),
        ("2460", None),
        ("8:60", None),
        ("83", None),
        ("八点", None),
        ("8:3", None),
        ("", None),
        ("\x00", None),
        ("-8", None),
        ("8:30:00", None),
    ],
)
def test_a_time_as_typed(typed, meant):
    assert read_clock(typed) == meant


@pytest.mark.parametrize(
    ("typed", "cents"),
    [
        ("25", 2500),
        ("25.5", 2550),
        ("25.50", 2550),
        ("25 元", 2500),
        ("２５", 2500),
        ("0", 0),
        ("25.555", None),
        ("-1", None),
        ("1e3", None),
        ("NaN", None),
        ("", None),
        ("123456", None),
    ],
)
def test_an_amount_as_typed(typed, cents):
    assert read_yuan(typed) == cents


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-11-25", date(2026, 11, 25)),
        ("2026/11/5", date(2026, 11, 5)),
        ("2026年11月25日", date(2026, 11, 25)),
        ("20261125", date(2026, 11, 25)),
        ("２０２６－１１－２５", date(2026, 11, 25)),
        ("2026-02-30", None),
        ("2026-13-01", None),
        ("0000-00-00", None),
        ("1999-12-31", None),
        ("9999-01-01", None),
        ("昨天", None),
        (None, None),
    ],
)
def test_a_date_as_typed(typed, meant):
    assert read_date(typed) == meant


def test_plain_text_keeps_words_and_loses_what_cannot_be_seen():
    assert plain(" 外出\x00会诊\r\n\t明天 ") == "外出会诊 明天"
    assert narrow("４８２７　１９３６") == "4827 1936"


@pytest.mark.parametrize(
    ("typed", "monday"),
    [
        ("2026-W48", date(2026, 11, 23)),
        ("2026-W53", date(2026, 12, 28)),
        ("2026-W54", date(2026, 11, 23)),
        ("2026-W00", date(2026, 11, 23)),
        ("x", date(2026, 11, 23)),
        (None, date(2026, 11, 23)),
    ],
)
def test_a_week_in_the_address(typed, monday):
    assert read_week(typed, date(2026, 11, 25)) == monday
    assert read_week(week_name(monday), date(2000, 1, 1)) == monday


def test_an_id_in_the_address_is_an_id_or_nothing():
    assert read_id("zz") is None and read_id(None) is None
    assert read_id("0" * 32) is not None


@pytest.mark.parametrize(
    "text",
    [
        "https://elsewhere.example/staff/",
        "//elsewhere.example",
        "/staff/\\x",
        "/staff/ x",
        "/me",
        "",
        None,
        "/staff/\n",
    ],
)
def test_the_way_back_leads_nowhere_else(text):
    assert own_path(text, "/staff/week") == "/staff/week"


def test_the_way_back_may_be_any_page_of_the_desk():
    assert own_path("/staff/week?w=2026-W48", "/") == "/staff/week?w=2026-W48"
