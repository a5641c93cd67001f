"""How places are shared out among channels: tables of cases."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from types import SimpleNamespace

import pytest

from booking.errors import BadInput
from booking.schedule.channels import in_order, kept_words, reachable, rolls_instant, share, tidy


@pytest.mark.parametrize(
    ("places", "channels", "shared"),
    [
        (3, {}, {"web": 3}),
        (5, {"desk": 2, "phone": 1}, {"web": 2, "phone": 1, "desk": 2}),
        (2, {"elder": 2}, {"web": 0, "elder": 2}),
    ],
)
def test_what_is_not_kept_is_online(places, channels, shared):
    assert share(places, channels) == shared
    assert len(in_order(share(places, channels))) == places


@pytest.mark.parametrize(
    ("channels", "field"),
    [
        ({"phone": 2, "desk": 2}, "channels"),
        ({"phone": -1}, "phone"),
        ({"extra": 1}, "extra"),
        ({"web": 1}, "web"),
    ],
)
def test_a_share_that_cannot_be_meant_is_refused_on_its_field(channels, field):
    with pytest.raises(BadInput) as refused:
        tidy(channels, 3)
    assert list(refused.value.facts["errors"]) == [field]


def test_a_share_is_kept_in_one_order_without_zeros():
    assert list(tidy({"desk": 1, "return": 0, "phone": 1}, 3).items()) == [("phone", 1), ("desk", 1)]
    assert tidy(None, 3) == {}


@pytest.mark.parametrize(
    ("wanted", "sold", "found"),
    [
        ({"web": 3, "phone": 1}, {}, {"web": 3, "phone": 1}),
        ({"web": 3, "phone": 1}, {"phone": 2}, {"web": 2, "phone": 2}),
        ({"web": 1, "desk": 1}, {"phone": 1}, {"web": 0, "phone": 1, "desk": 1}),
        ({"web": 1, "desk": 1}, {"phone": 2}, {"web": 0, "phone": 2}),
        ({"web": 0, "phone": 2}, {"web": 1}, {"web": 1, "phone": 1}),
        ({"web": 2}, {"web": 1, "elder": 1}, {"web": 1, "elder": 1}),
    ],
)
def test_a_channel_keeps_what_it_has_sold_and_the_total_stays(wanted, sold, found):
    assert reachable(wanted, sold) == found
    assert sum(found.values()) == sum(wanted.values())


def test_kept_places_roll_over_at_the_policys_wall_time():
    rule = SimpleNamespace(roll_days_before=1, roll_time=time(17))
    assert rolls_instant(rule, date(2026, 11, 27), "Asia/Shanghai") == datetime(2026, 11, 26, 9, tzinfo=UTC)
    assert (
        rolls_instant(
            SimpleNamespace(roll_days_before=1, roll_time=None), date(2026, 11, 27), "Asia/Shanghai"
        )
        is None
    )


def test_a_share_kept_words():
    assert kept_words({"desk": 2, "phone": 1, "elder": 1}) == "电话 1、现场 2、60 岁以上 1"
    assert kept_words({}) == ""
