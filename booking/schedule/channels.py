"""How the places of a slot are shared out among channels, and from when those left over are sold online too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Protocol

from booking.clock import utc
from booking.errors import BadInput
from booking.schedule.models import CHANNELS

KEPT = ("phone", "desk", "elder", "return", "referral")
"""Channels whose places are kept from the web until they roll over."""
NAMES = {
    "web": "网上",
    "phone": "电话",
    "desk": "现场",
    "elder": "60 岁以上",
    "return": "复诊",
    "referral": "转诊",
    "extra": "加号",
}
ELDER_AGE = 60
"""Full years on the day of the visit (老年人权益保障法, article 2)."""


class RollRule(Protocol):
    """What is read of a hospital's policy here."""

    roll_days_before: int
    roll_time: time | None


def tidy(channels: Mapping[str, int] | None, places_per_slot: int) -> dict[str, int]:
    """Return the kept places of a slot by channel, in one order and without zeros.

    Raises BadInput with `errors` by channel for an unknown channel, a count below 0, or more kept places than there are.
    """
    counts = {name: count for name, count in (channels or {}).items() if count}
    errors = {name: "没有这种号" for name in counts if name not in KEPT}
    errors |= {name: "号数不能小于 0" for name, count in counts.items() if count < 0}
    if not errors and sum(counts.values()) > places_per_slot:
        errors["channels"] = f"留出的号共 {sum(counts.values())} 个，比每段的 {places_per_slot} 个还多"
    if errors:
        raise BadInput("填写的内容有误，请检查。", errors=errors)
    return {name: counts[name] for name in KEPT if name in counts}


def share(places_per_slot: int, channels: Mapping[str, int]) -> dict[str, int]:
    """Return how many places each channel has in a slot, those of the web first.

    >>> share(5, {"phone": 1, "desk": 2})
    {'web': 2, 'phone': 1, 'desk': 2}
    """
    kept = {name: channels[name] for name in KEPT if channels.get(name)}
    return {"web": places_per_slot - sum(kept.values()), **kept}


def in_order(counts: Mapping[str, int]) -> list[str]:
    """Return the channel of each place of a slot, by position."""
    return [name for name, count in counts.items() for _ in range(count)]


def reachable(wanted: Mapping[str, int], sold: Mapping[str, int]) -> dict[str, int]:
    """Return the counts nearest to `wanted` that no sold place stands against; their sum stays the same.

    A channel keeps what it has sold; what it has too many is taken from the others' free places, the web's first.
    Sold places of channels that are not wanted at all count like the others'. The sum of `sold` must not be larger.

    >>> reachable({"web": 3, "phone": 1}, {"phone": 2})
    {'web': 2, 'phone': 2}
    """
    target = {name: max(wanted.get(name, 0), sold.get(name, 0)) for name in CHANNELS}
    over = sum(target.values()) - sum(wanted.values())
    for name in CHANNELS:
        given = min(over, target[name] - sold.get(name, 0))
        target[name] -= given
        over -= given
    return {name: count for name, count in target.items() if count or name == "web"}


def rolls_instant(rule: RollRule, local_date: date, zone: str) -> datetime | None:
    """When kept places of a date that are left over are sold online too: the policy's wall time some days before, or never."""
    at = rule.roll_time
    if at is None:
        return None
    return utc(local_date - timedelta(days=rule.roll_days_before), at, zone)


def kept_words(channels: Mapping[str, int]) -> str:
    """Return 「电话 1、现场 2」, or nothing.

    >>> kept_words({"desk": 2, "phone": 1})
    '电话 1、现场 2'
    """
    return "、".join(f"{NAMES[name]} {channels[name]}" for name in KEPT if channels.get(name))
