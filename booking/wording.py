"""Dates, times, money and numbers in Chinese words: one style on every page and in every letter."""

from __future__ import annotations

import sys
from datetime import date, datetime, time, timedelta
from typing import Any

from booking import wording_english

WEEKDAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")


def in_language(language: str) -> Any:
    """Return the functions of this module that letters use, in `language`: "zh" these, "en" the English ones."""
    return wording_english if language == "en" else sys.modules[__name__]


def near(days: int) -> str:
    """Return 「今天」 or 「明天」 for 0 or 1 days from now, else nothing."""
    return {0: "今天", 1: "明天"}.get(days, "")


def weekday(day: date) -> str:
    """Return 「周三」."""
    return WEEKDAYS[day.weekday()]


def weekday_near(day: date, today: date) -> str:
    """Return 「今天」 or 「明天」 where they fit, else 「周三」."""
    return {today: "今天", today + timedelta(days=1): "明天"}.get(day) or weekday(day)


def day_short(day: date) -> str:
    """Return 「11 月 25 日」."""
    return f"{day.month} 月 {day.day} 日"


def day_long(day: date) -> str:
    """Return 「11 月 25 日 周三」."""
    return f"{day_short(day)} {weekday(day)}"


def day_with_year(day: date) -> str:
    """Return 「2026 年 11 月 25 日」, for dates that may lie far back."""
    return f"{day.year} 年 {day_short(day)}"


def day_past(day: date, today: date) -> str:
    """Return 「11 月 20 日」 within the present year, else with the year: the date of an answer or an article."""
    return day_short(day) if day.year == today.year else day_with_year(day)


def clock(at: time | datetime) -> str:
    """Return 「08:30」, always 24 hours."""
    return f"{at.hour:02d}:{at.minute:02d}"


def part_of_day(at: time) -> str:
    """Return the part of the day a time falls into, for times no hospital's own part of day is known of."""
    for ends, name in ((6, "凌晨"), (12, "上午"), (13, "中午"), (18, "下午")):
        if at.hour < ends:
            return name
    return "晚上"


def when_long(day: date, at: time, part: str = "") -> str:
    """Return 「11 月 25 日 周三 上午 08:30」; without `part` the one the time falls into is named."""
    return f"{day_long(day)} {part or part_of_day(at)} {clock(at)}"


def part_named(name: str) -> str:
    """Return the name of a part of day: the hospital's own."""
    return name


def when_short(day: date, at: time, today: date) -> str:
    """Return 「今天 08:30」, 「周三 08:30」 within the coming week, else 「12 月 2 日 08:30」: never ambiguous."""
    near = timedelta() <= day - today < timedelta(days=7)
    return f"{weekday_near(day, today) if near else day_short(day)} {clock(at)}"


def moment(at: datetime) -> str:
    """Return 「11 月 23 日 周一 07:30」 of a wall-clock moment: releases, deadlines, events."""
    return f"{day_long(at.date())} {clock(at)}"


def moment_near(at: datetime, today: date) -> str:
    """Return 「今天 17:00」, 「昨天 17:00」 or 「明天 17:00」 where they fit, else the whole moment."""
    near = {-1: "昨天", 0: "今天", 1: "明天"}.get((at.date() - today).days)
    return f"{near} {clock(at)}" if near else moment(at)


def opening(at: datetime, today: date) -> str:
    """Return when numbers open: 「今晚 20:00」, 「今天 07:30」 or 「明天 07:30」 where they fit, else the whole moment."""
    days = (at.date() - today).days
    near = {0: "今晚" if at.hour >= 18 else "今天", 1: "明天"}.get(days)
    return f"{near} {clock(at)}" if near else moment(at)


def yuan(cents: int) -> str:
    """Return 「25」, or 「25.50」 when there are cents."""
    return f"{cents // 100}" if cents % 100 == 0 else f"{cents // 100}.{cents % 100:02d}"


def fee(cents: int) -> str:
    """Return 「25 元」."""
    return f"{yuan(cents)} 元"


def duration(seconds: float) -> str:
    """Return 「43 秒」, 「5 分钟」, 「2 小时」 or 「3 天」, rounded up so that waiting that long is enough."""
    whole = max(1, -int(-seconds // 1))
    for size, unit in ((86400, "天"), (3600, "小时"), (60, "分钟")):
        if whole > size or (whole == size and size > 60):
            return f"{-(-whole // size)} {unit}"
    return f"{whole} 秒" if whole < 60 else "1 分钟"


def spaced_code(code: str) -> str:
    """Return a visit code as people read it aloud: 「4827 1936」."""
    return f"{code[:4]} {code[4:]}"
