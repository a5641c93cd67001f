"""When a visit counts as a no-show, and what earlier ones lead to: pure functions of the facts and the policy's numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from booking.errors import Refusal

APPEAL_LENGTH = 300
TOLD_BY = ("confirmed", "moved", "reminder_day", "reminder_hours")
REACHED = ("delivered", "accepted")


class Blocked(Refusal):
    """R27: who says so, why, until when and what to do stand in the sentence; `facts` carry `until` and `hospital_id`."""

    message = (
        "%(hospital)s：%(patient)s在 %(days)s 天内有 %(count)s 次预约了没有来（%(dates)s），"
        "%(until_text)s前不能在网上预约这家医院。可以到医院窗口挂号，或打电话%(phone)s请医院代约；"
        "如果记错了，请到「爽约记录」里申诉。"
    )


class NotANoShow(Refusal):
    message = "这个预约没有记爽约，不需要申诉。"


class AlreadyAnswered(Refusal):
    message = "这次申诉已经有答复，不能再改。如有疑问，请打电话给医院。"


class Numbers(Protocol):
    """The numbers of a policy version that decide over a block."""

    no_show_count: int
    no_show_days: int
    no_show_block_days: int
    no_show_block_max_days: int


@dataclass(frozen=True)
class Kept:
    """One visit as it ended: its status (`no_show`, `excused`, `cancelled`, …) and local date. `late`: cancelled late."""

    status: str
    on: date
    late: bool = False


@dataclass(frozen=True)
class Block:
    """Online booking is closed before `until`, because of no-shows on `dates` (oldest first)."""

    until: date
    dates: tuple[date, ...]

    @property
    def count(self) -> int:
        return len(self.dates)


def block_days(count: int, policy: Numbers) -> int:
    """How long the `count`-th no-show of a window closes online booking: nothing below the limit, then doubling up to the
    longest block."""
    over = count - policy.no_show_count
    if policy.no_show_count <= 0 or over < 0:
        return 0
    return min(policy.no_show_block_days * 2 ** min(over, 10), policy.no_show_block_max_days)


def block(history: Iterable[Kept], policy: Numbers, today: date) -> Block | None:
    """Return the block that stands on `today`, or None.

    Only no-shows count; an excused one, a cancellation in time or late, and a kept visit never do. Each no-show is
    weighed with those of the `no_show_days` up to it; its block begins on its own date and expires by itself. Taking a
    no-show out of the history (an appeal, a desk ticket) takes its consequences with it.
    """
    missed = sorted(one.on for one in history if one.status == "no_show" and one.on <= today)
    longest: Block | None = None
    for place, on in enumerate(missed):
        window = tuple(day for day in missed[: place + 1] if on - day < timedelta(days=policy.no_show_days))
        days = block_days(len(window), policy)
        until = on + timedelta(days=days)
        if days and today < until and (longest is None or until >= longest.until):
            longest = Block(until, window)
    return longest


def counting_since(policy: Numbers, today: date) -> date:
    """The oldest date whose no-show may still have a say today."""
    return today - timedelta(days=policy.no_show_days + policy.no_show_block_max_days)


def rule_time(session_ends_at: datetime, policy: Any) -> datetime:
    """From when a visit that nobody has seen may count as a no-show: the end of its session and some minutes, because who
    comes late is seen at the end."""
    return session_ends_at + timedelta(minutes=policy.no_show_after_minutes)


@dataclass(frozen=True)
class Evidence:
    """What was found about a visit nobody has seen, in the moment it was judged."""

    session_stopped: bool
    hospital_cancelled: bool
    checked_in: bool
    desk_ticket: bool
    desk_open: bool
    told: tuple[dict[str, str], ...] = ()

    def why_not(self) -> str:
        """Return why this must not count as a no-show; nothing when it may.

        `desk_open`: somebody was checked in at this hospital on that day. Where nobody's presence is recorded, nobody's
        absence can be.
        """
        if self.session_stopped:
            return "stopped"
        if self.hospital_cancelled:
            return "cancelled"
        if self.checked_in:
            return "checked_in"
        if self.desk_ticket:
            return "desk_ticket"
        if not self.desk_open:
            return "desk_closed"
        return "" if self.told else "not_told"
