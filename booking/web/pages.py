"""Pages of plain text: rules, privacy, help, about."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.db import db
from booking.directory.policy import current_policy
from booking.directory.queries import hospitals
from booking.notices.senders.choose import binds_wechat
from booking.web.policy_words import returned_line, rule_lines

blueprint = Blueprint("pages", __name__)


def platform_lines() -> list[str]:
    """Return the rules that hold at every hospital."""
    return [
        _("号由各医院自己放出，平台不加价、不卖号，费用到医院付给医院。"),
        _("选好的时间先为你保留几分钟，期间别人约不走；过时自动放回。"),
        _("用真实姓名和证件预约，就诊时核对。一个账号最多添加 5 位就诊人。"),
        _("未满 14 岁的就诊人需要填写监护人。"),
        _("停诊和改约会短信通知，“消息”页也留一份。"),
    ]


@blueprint.get("/rules")
def rules() -> ResponseReturnValue:
    """Show what holds everywhere and each hospital's own numbers."""
    policies = {row.name: current_policy(db.session(), row.id) for row in hospitals()[:50]}
    listed = [
        {"name": name, "lines": [*rule_lines(policy), returned_line(policy)]}
        for name, policy in policies.items()
    ]
    return render_template("web/rules.html", rules=platform_lines(), hospitals=listed)


@blueprint.get("/privacy")
def privacy() -> ResponseReturnValue:
    """Say what is kept and why."""
    return render_template("web/privacy.html", wechat=binds_wechat(current_app.config))


@blueprint.get("/help")
def help_page() -> ResponseReturnValue:
    """Show the hospitals' telephone numbers and frequent questions."""
    listed = [{"name": row.name, "phone": row.phone, "hours": ""} for row in hospitals()[:50] if row.phone]
    return render_template("web/help.html", hospitals=listed, faq=[])


@blueprint.get("/about")
def about() -> ResponseReturnValue:
    """Say who we are and what 推荐 and 已核验 mean."""
    return render_template("web/about.html")
