"""The three charts of the delivery page: by day, by hour, by channel; each with the figures of its table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking import wording
from booking.desk import charts
from booking.desk.house import House
from booking.desk.session import hospital_id
from booking.notices import delivery as figures
from booking.notices.delivery_list import GROUPS
from booking.notices.queries import channel_label

DAYS = 14
CHANNELS = ("sms", "app", "email", "wechat", "voice", "webhook")
STATES = {
    "delivered": (_l("已送达"), "ok"),
    "accepted": (_l("已发出"), "soon"),
    "waiting": (_l("待发"), "few"),
    "failed": (_l("失败"), "stop"),
    "not_sent": (_l("没有发"), "off"),
}
"""What the page calls a group of states, and its tone in charts and tags; in the order in which bars are stacked."""
GROUP_OF = {status: group for group, statuses in GROUPS.items() for status in statuses}


def _by_group(counts: figures.Tally, **fixed: Any) -> dict[str, int]:
    """Add up a tally by the page's states, of one span or one channel."""
    found = dict.fromkeys(STATES, 0)
    for (span, status, channel), count in counts.items():
        if fixed.get("span", span) == span and fixed.get("channel", channel) == channel:
            found[GROUP_OF[status]] += count
    return found


def _legend(*groups: str) -> list[dict[str, Any]]:
    return [{"tone": group, "label": STATES[group][0]} for group in groups]


def by_day(counts: figures.Tally, today: figures.Today, at: House) -> dict[str, Any]:
    """Return the columns of the last days by state; `counts` is a tally of these days, `today` says what still waits."""
    days = [at.today - timedelta(days=DAYS - 1 - n) for n in range(DAYS)]
    groups = [_by_group(counts, span=n) for n in range(DAYS)]
    groups[-1]["waiting"] = today.waiting
    top = charts.ceiling(max(sum(one.values()) for one in groups))
    return {
        "id": "by-day",
        "title": _("最近 14 天，按结果"),
        "kind": "columns",
        "axis": [f"{int(top):,}", f"{top / 2:,.0f}" if top > 1 else "", "0"],
        "unit": _("条"),
        "columns": [
            {
                "label": str(day.day) if day.day > 1 and n else f"{day.month}/{day.day}",
                "bar": charts.stack(list(one.items()), top),
                "mark": str(one["failed"]) if one["failed"] else "",
                "today": day == at.today,
            }
            for n, (day, one) in enumerate(zip(days, groups, strict=True))
        ],
        "marks": _("柱子上方的数字是失败条数"),
        "legend": _legend(*STATES),
        "head": [_("日期"), *(label for label, _tone in STATES.values())],
        "rows": [
            [wording.day_long(day), *(f"{one[group]:,}" for group in STATES)]
            for day, one in zip(days, groups, strict=True)
        ],
    }


def by_hour(at: House) -> dict[str, Any]:
    """Return the columns of today's hours: how long letters took from due to sent, for half and for nearly all of them."""
    start = figures.day_bounds(at.today, at.zone)[0]
    bounds = [start + timedelta(hours=n) for n in range(at.wall(at.now).hour + 2)]
    found = figures.delays(hospital_id(), bounds)
    top = _round_time(max((p95 for _p50, p95, _n in found.values()), default=0))
    hours = range(24)
    return {
        "id": "by-hour",
        "title": _("今天从应发到发出，按小时"),
        "kind": "columns",
        "axis": [_seconds(top), _seconds(top / 2), "0"],
        "unit": "",
        "columns": [
            {
                "label": str(hour) if hour % 3 == 0 else "",
                "bar": charts.over(
                    [("p50", found[hour][0]), ("p95", found[hour][1])] if hour in found else [], top
                ),
                "mark": "",
                "today": hour == at.wall(at.now).hour,
            }
            for hour in hours
        ],
        "marks": "" if found else _("今天还没有发出短信或邮件"),
        "legend": [
            {"tone": "p50", "label": _("一半在这以内（p50）")},
            {"tone": "p95", "label": _("几乎全部（95/100）在这以内（p95）")},
        ],
        "head": [_("小时"), _("条数"), "p50", "p95"],
        "rows": [
            [f"{hour:02d}:00", f"{n:,}", _seconds(p50), _seconds(p95)]
            for hour, (p50, p95, n) in sorted(found.items())
        ],
    }


def _round_time(seconds: float) -> float:
    return next((one for one in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600) if one >= seconds), seconds)


def _seconds(seconds: float) -> str:
    """Return 「0.4 秒」, 「12 秒」 or 「3 分」."""
    if seconds < 10:
        return _("%(n)s 秒", n=f"{seconds:.1f}".removesuffix(".0"))
    return _("%(n)s 秒", n=f"{seconds:.0f}") if seconds < 120 else _("%(n)s 分", n=f"{seconds / 60:.0f}")


def by_channel(counts: figures.Tally) -> dict[str, Any]:
    """Return one lying bar for each channel in use, by state."""
    used = [one for one in CHANNELS if any(channel == one for (_n, _s, channel) in counts)]
    groups = {one: _by_group(counts, channel=one) for one in used}
    top = charts.ceiling(max((sum(one.values()) for one in groups.values()), default=0))
    shown = ("delivered", "accepted", "failed", "not_sent")
    return {
        "id": "by-channel",
        "title": _("最近 14 天，按渠道"),
        "kind": "rows",
        "bars": [
            {
                "label": channel_label(channel),
                "bar": charts.stack(list(one.items()), top),
                "total": f"{sum(one.values()):,}",
                "note": _("失败 %(share)s%%", share=_share(one["failed"], sum(one.values())))
                if one["failed"]
                else "",
            }
            for channel, one in groups.items()
        ],
        "marks": "" if used else _("最近 14 天没有通知"),
        "legend": _legend(*shown),
        "head": [_("渠道"), *(STATES[group][0] for group in shown)],
        "rows": [
            [channel_label(channel), *(f"{one[group]:,}" for group in shown)]
            for channel, one in groups.items()
        ],
    }


def _share(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0
    return f"{share:.1f}".removesuffix(".0") if share >= 0.1 else "<0.1"
