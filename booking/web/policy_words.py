"""A hospital's rules in its own numbers: the lines of 预约须知, generated from the policy row."""

from __future__ import annotations

from flask_babel import gettext as _

from booking import wording
from booking.directory.models import Policy


def rule_lines(policy: Policy) -> list[str]:
    """Return five lines, each a fact with a number: release, closing, cancelling, limits, arriving."""
    return [
        _(
            "提前 %(days)s 天放号：就诊日前 %(days)s 天的 %(time)s，之前任何人都约不到。",
            days=policy.horizon_days,
            time=wording.clock(policy.release_time),
        ),
        _("开始前 %(n)s 分钟停止预约。", n=policy.closing_minutes),
        _(
            "最晚取消时间是%(day)s %(time)s，按时取消不记爽约；刚订的 %(regret)s 分钟内可直接取消。",
            day=day_before(policy.cancel_days_before),
            time=wording.clock(policy.cancel_time),
            regret=policy.regret_minutes,
        ),
        _(
            "同一位就诊人，同一科室一天可约 %(one)s 次，一天一共 %(all)s 次，一周（周一到周日）%(week)s 次。",
            one=policy.per_department_day,
            all=policy.per_day,
            week=policy.per_week,
        ),
        _(
            "请提前 %(early)s 分钟报到；迟到超过 %(late)s 分钟，排到本时段最后。",
            early=policy.arrive_minutes,
            late=policy.late_minutes,
        ),
    ]


def returned_line(policy: Policy) -> str:
    """Return the published rule of returned numbers: whom they go to, and in which window what is left comes back."""
    return _(
        "退回的号先问候补的人；候补的人用不上的，在 %(first)s–%(last)s 之间随机一分钟重新放出，谁也不能转让。",
        first=wording.clock(policy.return_from),
        last=wording.clock(policy.return_to),
    )


def day_before(days: int) -> str:
    """Return 「就诊当天」, 「就诊前一天」 or 「就诊前 2 天」."""
    if days == 0:
        return _("就诊当天")
    return _("就诊前一天") if days == 1 else _("就诊前 %(n)s 天", n=days)


def waiting_lines(policy: Policy) -> list[str]:
    """What happens next, each line a fact with a number from the hospital's policy."""
    return [
        _("候补不等于预约成功。有人退号时，按登记先后一个一个问。"),
        _(
            "轮到你时发短信和站内消息，号为你留 %(n)s 分钟，%(quiet_from)s 到%(quiet_to)s 不计时。",
            n=policy.offer_minutes,
            quiet_from=wording.clock(policy.quiet_from),
            quiet_to=_("次日 %(at)s", at=wording.clock(policy.quiet_to))
            if policy.quiet_to <= policy.quiet_from
            else f" {wording.clock(policy.quiet_to)}",
        ),
        _("不要这个号，或没来得及确认，名次保留一次，第二次排到最后。"),
        returned_line(policy),
        _(
            "%(day)s %(at)s 截止，没等到会告诉你。候补不收费，随时可以退出。",
            day=day_before(policy.wish_ends_days_before),
            at=wording.clock(policy.wish_ends_time),
        ),
    ]
