"""How times are cut, on which dates a pattern falls, and what a session cannot look like."""

from __future__ import annotations

import itertools
from datetime import date, time, timedelta

import pytest

from booking.directory.calendar import _public_rules
from booking.errors import BadInput
from booking.schedule.rules import cut, ensure_dates, ensure_pattern, ensure_shape, falls_on, is_few
from booking.schedule.shape import slot_times


@pytest.mark.parametrize(
    ("starts", "ends", "minutes", "expected"),
    [
        (time(8), time(9), 30, ["08:00-08:30", "08:30-09:00"]),
        (time(8), time(9, 10), 30, ["08:00-08:30", "08:30-09:00"]),
        (time(8), time(8, 29), 30, []),
        (time(8), time(8, 30), 30, ["08:00-08:30"]),
        (time(13, 45), time(15, 30), 45, ["13:45-14:30", "14:30-15:15"]),
        (time(23), time(23, 59), 20, ["23:00-23:20", "23:20-23:40"]),
        (time(0), time(1), 60, ["00:00-01:00"]),
    ],
)
def test_working_hours_are_cut_into_whole_slots_only(starts, ends, minutes, expected):
    assert [f"{one:%H:%M}-{two:%H:%M}" for one, two in cut(starts, ends, minutes)] == expected


def test_slots_follow_each_other_without_a_gap():
    times = cut(time(8), time(12), 25)
    assert len(times) == 9
    assert all(one[1] == two[0] for one, two in itertools.pairwise(times))


FIXED = {"weekday": 0, "weeks": "every", "valid_from": None, "valid_to": None}


@pytest.mark.parametrize(
    ("day", "number"),
    [
        (date(2026, 12, 21), 52),
        (date(2026, 12, 28), 53),
        (date(2027, 1, 4), 1),
        (date(2027, 1, 11), 2),
        (date(2024, 12, 30), 1),  # the Monday before new year is week 1 of 2025
        (date(2025, 1, 6), 2),
    ],
)
def test_odd_and_even_weeks_are_iso_weeks_over_the_end_of_a_year(day, number):
    assert day.isocalendar().week == number
    odd, even = (falls_on(day, **FIXED | {"weeks": weeks}) for weeks in ("odd", "even"))
    assert (odd, even) == (number % 2 == 1, number % 2 == 0)


def test_after_week_53_two_odd_weeks_follow_each_other():
    mondays = [date(2026, 12, 21) + timedelta(weeks=step) for step in range(4)]
    assert [falls_on(day, **FIXED | {"weeks": "odd"}) for day in mondays] == [False, True, True, False]


@pytest.mark.parametrize(
    ("day", "limits", "falls"),
    [
        (date(2026, 11, 23), {}, True),
        (date(2026, 11, 24), {}, False),
        (date(2026, 11, 23), {"valid_from": date(2026, 11, 23)}, True),
        (date(2026, 11, 23), {"valid_from": date(2026, 11, 24)}, False),
        (date(2026, 11, 23), {"valid_to": date(2026, 11, 23)}, True),
        (date(2026, 11, 23), {"valid_to": date(2026, 11, 22)}, False),
        (date(2026, 11, 28), {"as_weekday": 0}, True),  # a Saturday worked as a Monday
        (date(2026, 11, 23), {"as_weekday": 5}, False),
    ],
)
def test_a_pattern_falls_on_its_weekday_within_its_dates(day, limits, falls):
    assert falls_on(day, **FIXED | limits) is falls


@pytest.mark.parametrize(
    ("left", "capacity", "few"),
    [
        (1, 1, True),
        (1, 100, True),
        (2, 19, False),
        (2, 20, True),
        (3, 20, False),
        (3, 30, True),
        (0, 5, False),
    ],
)
def test_few_is_said_when_it_is_honest(left, capacity, few):
    assert is_few(left, capacity) is few


SHAPE = {
    "starts": time(8),
    "ends": time(10),
    "slot_minutes": 30,
    "places_per_slot": 3,
    "fee_cents": 2500,
    "room": "302 诊室",
    "note": "",
}


@pytest.mark.parametrize(
    ("wrong", "errors"),
    [
        ({"ends": time(8)}, {"ends_local": "结束时间要晚于开始时间"}),
        ({"ends": time(7)}, {"ends_local": "结束时间要晚于开始时间"}),
        ({"ends": time(8, 20)}, {"ends_local": "出诊时间比一段还短"}),
        ({"slot_minutes": 9}, {"slot_minutes": "每段时长应为 10–60 分钟"}),
        ({"slot_minutes": 61}, {"slot_minutes": "每段时长应为 10–60 分钟"}),
        ({"slot_minutes": 0}, {"slot_minutes": "每段时长应为 10–60 分钟"}),
        ({"places_per_slot": 0}, {"places_per_slot": "号数应为 1–60"}),
        ({"places_per_slot": 61}, {"places_per_slot": "号数应为 1–60"}),
        ({"fee_cents": -1}, {"fee_cents": "费用应在 0–10000 元之间"}),
        ({"fee_cents": 1_000_001}, {"fee_cents": "费用应在 0–10000 元之间"}),
        ({"room": "长" * 61}, {"room": "诊室最多 60 个字"}),
        ({"note": "长" * 201}, {"note": "备注最多 200 个字"}),
        (
            {"ends": time(7), "slot_minutes": 5, "places_per_slot": 99},
            {
                "ends_local": "结束时间要晚于开始时间",
                "slot_minutes": "每段时长应为 10–60 分钟",
                "places_per_slot": "号数应为 1–60",
            },
        ),
    ],
)
def test_a_shape_that_cannot_be_meant_is_refused_field_by_field(wrong, errors):
    with pytest.raises(BadInput) as refused:
        ensure_shape(**SHAPE | wrong)
    assert refused.value.facts["errors"] == errors
    assert refused.value.text == "填写的内容有误，请检查。"


@pytest.mark.parametrize(
    "edge",
    [
        {},
        {"slot_minutes": 10},
        {"slot_minutes": 60},
        {"places_per_slot": 60},
        {"fee_cents": 0},
        {"room": "长" * 60},
    ],
)
def test_a_shape_at_the_edge_passes(edge):
    ensure_shape(**SHAPE | edge)


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        (date(1, 1, 1), date(2026, 1, 1), "日期应在 2000 到 2100 年之间"),
        (date(2026, 1, 1), date(9999, 12, 31), "日期应在 2000 到 2100 年之间"),
        (date(2026, 1, 2), date(2026, 1, 1), "结束日期不能早于开始日期"),
        (date(2026, 1, 1), date(2027, 6, 1), "一次最多 400 天"),
    ],
)
def test_a_span_nobody_means_is_refused(first, last, sentence):
    with pytest.raises(BadInput) as refused:
        ensure_dates(first, last)
    assert refused.value.facts["errors"] == {"local_date": sentence}


def test_a_pattern_needs_a_weekday_a_week_rule_and_dates_in_order():
    ensure_pattern(6, "odd", None, None)
    with pytest.raises(BadInput) as refused:
        ensure_pattern(7, "fourth", date(2026, 2, 1), date(2026, 1, 1))
    assert set(refused.value.facts["errors"]) == {"weekday", "weeks", "valid_to"}


@pytest.mark.parametrize(
    ("zone", "day", "starts", "expected"),
    [
        ("America/New_York", date(2026, 3, 8), time(1), ["01:00", "01:30", "03:00", "03:30"]),
        ("Europe/Berlin", date(2026, 3, 29), time(1), ["01:00", "01:30", "03:00", "03:30"]),
        (
            "America/New_York",
            date(2026, 11, 1),
            time(1),
            ["01:00", "01:30", "02:00", "02:30", "03:00", "03:30"],
        ),
        ("Asia/Shanghai", date(2026, 3, 29), time(1), ["01:00", "01:30", "02:00", "02:30", "03:00", "03:30"]),
        ("America/New_York", date(2026, 3, 8), time(8), None),
    ],
)
def test_a_wall_time_that_summer_time_skips_is_no_slot(zone, day, starts, expected):
    ends = time(starts.hour + 3)
    found = [f"{one:%H:%M}" for one, _ in slot_times(day, starts, ends, 30, zone)]
    assert found == (expected or [f"{one:%H:%M}" for one, _ in cut(starts, ends, 30)])


OFF_2026 = [
    # the spans of the notice for 2026, first and last day off
    (date(2026, 1, 1), date(2026, 1, 3)),
    (date(2026, 2, 15), date(2026, 2, 23)),
    (date(2026, 4, 4), date(2026, 4, 6)),
    (date(2026, 5, 1), date(2026, 5, 5)),
    (date(2026, 6, 19), date(2026, 6, 21)),
    (date(2026, 9, 25), date(2026, 9, 27)),
    (date(2026, 10, 1), date(2026, 10, 7)),
]
WORKED_2026 = {
    date(2026, 1, 4): 4,
    date(2026, 2, 14): 4,
    date(2026, 2, 28): 0,
    date(2026, 5, 9): 1,
    date(2026, 9, 20): 1,
    date(2026, 10, 10): 2,
}


def test_the_public_calendar_of_2026_is_that_of_the_notice():
    rules = {day: rule for day, rule in _public_rules(2026, 2026).items() if day.year == 2026}
    off = {
        first + timedelta(days=step) for first, last in OFF_2026 for step in range((last - first).days + 1)
    }
    assert {day for day, rule in rules.items() if rule.closed} == off
    assert {day: rule.as_weekday for day, rule in rules.items() if not rule.closed} == WORKED_2026
    assert all(rule.name for rule in rules.values())
