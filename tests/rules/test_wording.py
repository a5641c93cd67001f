"""One style of dates, times and money."""

from datetime import date, datetime, time

import pytest

from booking import wording

WEDNESDAY = date(2026, 11, 25)


def test_a_day_names_month_day_and_weekday():
    assert wording.day_short(WEDNESDAY) == "11 月 25 日"
    assert wording.day_long(WEDNESDAY) == "11 月 25 日 周三"
    assert wording.day_with_year(WEDNESDAY) == "2026 年 11 月 25 日"


@pytest.mark.parametrize(
    "today, said",
    [
        (date(2026, 11, 25), "今天"),
        (date(2026, 11, 24), "明天"),
        (date(2026, 11, 23), "周三"),
        (date(2026, 11, 26), "周三"),
    ],
)
def test_a_weekday_is_today_or_tomorrow_where_it_fits(today, said):
    assert wording.weekday_near(WEDNESDAY, today) == said


def test_the_long_form_names_the_part_of_the_day_and_the_exact_time():
    assert wording.when_long(WEDNESDAY, time(8, 30), "上午") == "11 月 25 日 周三 上午 08:30"
    assert wording.when_long(WEDNESDAY, time(19, 5)) == "11 月 25 日 周三 晚上 19:05"


@pytest.mark.parametrize(
    "today, said",
    [
        (date(2026, 11, 25), "今天 08:30"),
        (date(2026, 11, 24), "明天 08:30"),
        (date(2026, 11, 19), "周三 08:30"),
        (date(2026, 11, 18), "11 月 25 日 08:30"),
        (date(2026, 11, 26), "11 月 25 日 08:30"),
    ],
)
def test_the_short_form_is_never_ambiguous(today, said):
    assert wording.when_short(WEDNESDAY, time(8, 30), today) == said


@pytest.mark.parametrize(
    "hour, part",
    [
        (0, "凌晨"),
        (6, "上午"),
        (11, "上午"),
        (12, "中午"),
        (13, "下午"),
        (17, "下午"),
        (18, "晚上"),
        (23, "晚上"),
    ],
)
def test_parts_of_the_day(hour, part):
    assert wording.part_of_day(time(hour)) == part


def test_moments_say_yesterday_today_tomorrow_or_the_whole_date():
    at = datetime(2026, 11, 24, 17, 0)
    assert wording.moment(at) == "11 月 24 日 周二 17:00"
    assert wording.moment_near(at, date(2026, 11, 25)) == "昨天 17:00"
    assert wording.moment_near(at, date(2026, 11, 24)) == "今天 17:00"
    assert wording.moment_near(at, date(2026, 11, 23)) == "明天 17:00"
    assert wording.moment_near(at, date(2026, 11, 20)) == "11 月 24 日 周二 17:00"


def test_a_date_of_another_year_names_the_year():
    assert wording.day_past(WEDNESDAY, date(2026, 12, 1)) == "11 月 25 日"
    assert wording.day_past(WEDNESDAY, date(2027, 1, 1)) == "2026 年 11 月 25 日"


@pytest.mark.parametrize("cents, said", [(0, "0 元"), (2500, "25 元"), (2550, "25.50 元"), (5, "0.05 元")])
def test_fees(cents, said):
    assert wording.fee(cents) == said


@pytest.mark.parametrize(
    "seconds, said",
    [
        (0, "1 秒"),
        (0.2, "1 秒"),
        (43, "43 秒"),
        (60, "1 分钟"),
        (61, "2 分钟"),
        (300, "5 分钟"),
        (3600, "1 小时"),
        (3601, "2 小时"),
        (86400, "1 天"),
        (90000, "2 天"),
    ],
)
def test_waiting_that_long_is_enough(seconds, said):
    assert wording.duration(seconds) == said


def test_a_visit_code_is_shown_in_two_groups_of_four():
    assert wording.spaced_code("48271936") == "4827 1936"


# --- in English, for letters -----------------------------------------------------------------------------------------


def test_the_english_words_have_the_same_names_and_say_the_same():
    english = wording.in_language("en")
    assert wording.in_language("zh") is wording
    for name, said in vars(english).items():
        if callable(said) and getattr(said, "__module__", "") == english.__name__:
            assert callable(getattr(wording, name)), name
    at = datetime(2026, 11, 25, 8, 30)
    assert english.day_long(WEDNESDAY) == "Wed 25 Nov"
    assert english.when_long(WEDNESDAY, time(8, 30), "上午") == "Wed 25 Nov 08:30"
    assert english.moment(at) == "Wed 25 Nov 08:30"
    assert [english.moment_near(at, date(2026, 11, day)) for day in (24, 25, 26, 27)] == [
        "tomorrow 08:30",
        "today 08:30",
        "yesterday 08:30",
        "Wed 25 Nov 08:30",
    ]
    assert [english.near(days) for days in (-1, 0, 1, 2)] == ["", "today", "tomorrow", ""]
    assert [wording.near(days) for days in (-1, 0, 1, 2)] == ["", "今天", "明天", ""]
    assert (english.fee(2500), english.fee(2550)) == ("CNY 25", "CNY 25.50")
    assert (english.part_named("上午"), english.part_named("黎明")) == ("morning", "黎明")
