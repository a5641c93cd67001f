"""The legal moves of an appointment, what each refusal says, and the visit code."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from stdnum.iso7064 import mod_11_10

from booking.errors import NotFound, Refusal

LEGAL: dict[str, frozenset[str]] = {
    "held": frozenset({"booked", "confirming", "expired"}),
    "confirming": frozenset({"booked", "expired", "cancelled"}),
    "booked": frozenset({"booked", "arrived", "cancelled", "no_show", "entered_in_error"}),
    "arrived": frozenset({"booked", "in_visit", "cancelled", "fulfilled", "entered_in_error"}),
    "in_visit": frozenset({"fulfilled", "cancelled", "entered_in_error"}),
    "no_show": frozenset({"excused"}),
}
"""booked → booked is a move to another place, arrived → booked a check-in that was a mistake. Every status that is not a
key is terminal."""
HERE = ("arrived", "in_visit")
"""Somebody who has checked in and has not been seen yet."""


def is_legal(before: str, after: str) -> bool:
    """Whether an appointment may go from one status to another."""
    return after in LEGAL.get(before, frozenset())


class SlotFull(Refusal):
    message = "%(time)s 刚被约走了。下面是最近还能约的时间。"


class ExtraFull(Refusal):
    """R19: added places have a cap for each session."""

    message = "这个班次已经加满 %(cap)s 个号，不能再加。可以换一个班次，或等有人取消。"


class NotReleased(Refusal):
    message = "这个班次还没有放号，%(release)s 开始预约，之前任何人都约不到。"


class BookingClosed(Refusal):
    status = 410
    message = "这个时间已经停止预约了，请选一个晚一些的时间。"


class SessionStopped(Refusal):
    status = 410
    message = "这个班次停诊了，请选别的时间或同科室的其他医生。"


class SignInFirst(Refusal):
    status = 401
    message = "现在约的人多，请先登录，再选时间。"


class TooManyHolds(Refusal):
    message = "你已经有保留中的时间，请先确认或放弃它，再选别的时间。"


class HoldExpired(Refusal):
    message = "保留时间已到。"


class NotLinked(Refusal):
    status = 422
    message = "请选择就诊人"


class AlreadyBooked(Refusal):
    message = "%(patient)s已预约这位医生的这个班次，同一班次只能约一次。"


class SameDepartment(Refusal):
    message = "%(patient)s已预约同一天的%(department)s，同一科室一天只能约 %(limit)s 次。"


class DayLimit(Refusal):
    message = (
        "%(patient)s这一天已经有 %(count)s 个预约，一天最多 %(limit)s 个。可以换一天，或先取消其中一个。"
    )


class WeekLimit(Refusal):
    message = (
        "%(patient)s这一周（%(first)s到%(last)s）已经有 %(count)s 个预约，一周最多 %(limit)s 个。"
        "可以约别的星期，或先取消其中一个。"
    )


class AccountLimit(Refusal):
    message = (
        "这个账号在这家医院已经有 %(count)s 个待就诊的预约，最多同时有 %(limit)s 个。"
        "请先取消不需要的，或就诊以后再约；确实需要，请打电话给医院。"
    )


class Overlap(Refusal):
    message = "%(patient)s在 %(time)s 已有另一个预约（%(doctor)s），两个时间重叠了。"


class AlreadyStarted(Refusal):
    message = "就诊时间已经开始，不能在网上取消或改约，请联系医院。"


class TooLateToSay(Refusal):
    message = "就诊时间已经到了，不用再确认，直接到分诊台报到。"


class MoveTooLate(Refusal):
    message = "已过改约时间（%(deadline)s）。你可以取消后重新预约，或打电话给医院。"


class NotActive(Refusal):
    message = "这个预约现在不能这样操作，它的状态是：%(status)s。"


class NotArrived(Refusal):
    message = "这位患者还没有报到，请先报到。"


class JustArrived(Refusal):
    message = "这位患者刚刚报到（不到 1 分钟）。确实看完了，请稍后再点「看完了」。"


class SeenLongAgo(Refusal):
    message = "这一页打开得太久了（超过 30 分钟），还没有停诊。请按现在的名单再看一遍，再点停诊。"


class NotCheckedIn(Refusal):
    message = "这个预约没有在分诊台报到过，没有可以撤销的报到。"


class SameTime(Refusal):
    status = 422
    message = "新时间和原来的时间一样，请选另一个时间。"


class WrongDay(Refusal):
    message = "这个预约是 %(date)s 的，今天不能报到。"


class TooEarly(Refusal):
    message = "还没到报到时间，%(time)s 起可以报到。"


class KeyReused(Refusal):
    status = 422
    message = "这次提交和之前同一编号的提交内容不同，请回到上一页重新操作。"


class NoSuchAppointment(NotFound):
    message = "没有找到这个预约。"


STATUS_NAMES = {
    "held": "保留中",
    "confirming": "等待医院确认",
    "booked": "待就诊",
    "arrived": "已报到",
    "in_visit": "就诊中",
    "fulfilled": "已就诊",
    "cancelled": "已取消",
    "expired": "已过期",
    "no_show": "爽约",
    "excused": "已免责",
    "entered_in_error": "已更正",
}


def new_visit_code(random_digits: Callable[[], str] = lambda: f"{secrets.randbelow(10**7):07d}") -> str:
    """Return 8 digits: 7 random and an ISO 7064 MOD 11,10 check digit, which catches one wrong or two swapped digits."""
    digits = random_digits()
    return digits + mod_11_10.calc_check_digit(digits)


def is_visit_code(code: str) -> bool:
    """Whether 8 typed digits are a possible visit code."""
    return len(code) == 8 and code.isascii() and code.isdecimal() and mod_11_10.is_valid(code)


def open_seats(capacity: int, share_percent: int) -> int:
    """How many places of a session may be held without sign-in at one moment: a share, at least one."""
    return max(1, capacity * share_percent // 100)


def extensions_allowed(by_policy: int) -> int:
    """How often a hold may be given its minutes again: as the policy says, but at least once (WCAG 2.2.1)."""
    return max(1, by_policy)


def may_be_seen(starts_at: datetime, arrived_at: datetime | None, by: datetime) -> bool:
    """Whether somebody who is here may have been seen by an instant: checked in, and their time had begun."""
    return arrived_at is not None and arrived_at <= by and starts_at <= by


def is_late(now: datetime, deadline: datetime, regret: datetime | None) -> bool:
    """Whether a cancellation at `now` is recorded as late: after the deadline and after the time to regret."""
    return now > deadline and (regret is None or now > regret)


def overlaps(a_starts: datetime, a_ends: datetime, b_starts: datetime, b_ends: datetime) -> bool:
    """Whether two visits share time; one may begin when the other ends."""
    return a_starts < b_ends and b_starts < a_ends


def hold_ends(now: datetime, minutes: int) -> datetime:
    """When a hold of that many minutes ends."""
    return now + timedelta(minutes=minutes)
