"""Dates, times and money in English words, for letters; each function says what its namesake in `wording` says."""

from __future__ import annotations

from datetime import date, datetime, time

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def near(days: int) -> str:
    """Return 「today」 or 「tomorrow」 for 0 or 1 days from now, else nothing."""
    return {0: "today", 1: "tomorrow"}.get(days, "")


def day_short(day: date) -> str:
    """Return 「25 Nov」: with the month as a word no reader takes one for the other."""
    return f"{day.day} {MONTHS[day.month - 1]}"


def day_long(day: date) -> str:
    """Return 「Wed 25 Nov」."""
    return f"{DAYS[day.weekday()]} {day_short(day)}"


def clock(at: time | datetime) -> str:
    """Return 「08:30」, always 24 hours."""
    return f"{at.hour:02d}:{at.minute:02d}"


def when_long(day: date, at: time, part: str = "") -> str:
    """Return 「Wed 25 Nov 08:30」; the 24-hour time says which part of the day it is."""
    return f"{day_long(day)} {clock(at)}"


def moment(at: datetime) -> str:
    """Return 「Mon 23 Nov 07:30」 of a wall-clock moment."""
    return f"{day_long(at.date())} {clock(at)}"


def moment_near(at: datetime, today: date) -> str:
    """Return 「today 17:00」, 「yesterday 17:00」 or 「tomorrow 17:00」 where they fit, else the whole moment."""
    days = (at.date() - today).days
    word = "yesterday" if days == -1 else near(days)
    return f"{word} {clock(at)}" if word else moment(at)


def part_named(name: str) -> str:
    """Return the English name of a usual part of day, else the hospital's own."""
    known = {
        "上午": "morning",
        "中午": "noon",
        "下午": "afternoon",
        "黄昏": "dusk",
        "夜间": "evening",
        "晚上": "evening",
    }
    return known.get(name, name)


def fee(cents: int) -> str:
    """Return 「CNY 25」."""
    return f"CNY {cents // 100}" if cents % 100 == 0 else f"CNY {cents // 100}.{cents % 100:02d}"


def spaced_code(code: str) -> str:
    """Return a visit code as people read it aloud: 「4827 1936」."""
    return f"{code[:4]} {code[4:]}"
