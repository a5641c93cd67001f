"""Why a letter did not arrive, in words: what the ledger notes is for engineers, this is for the people who read pages."""

from __future__ import annotations

from flask_babel import gettext as _


def why(status: str, error: str) -> str:
    """Return a short reason for a letter that was not sent, failed or is tried again; "" where there is none to give.

    Known notes of the ledger have their own words; an unknown one is named by what kind of trouble it was.
    """
    if status == "expired":
        return _("过了有用的时间")
    if not error:
        return ""
    for part, words in _known():
        if part in error:
            return words
    if status == "suppressed":
        return _("按设置没有发")
    return _("对方服务出了问题") if status == "failed" else _("对方服务暂时有问题，会再试")


def _known() -> tuple[tuple[str, str], ...]:
    return (
        ("reminders are switched off", _("提醒已关闭")),
        ("the booker has the same number", _("和预约人是同一个号码")),
        ("no phone number", _("没有手机号")),
        ("no verified e-mail address", _("没有确认过的邮箱")),
        ("no WeChat", _("没有绑定微信")),
        ("no reminders on this channel", _("这个渠道不收提醒")),
        ("quiet hours", _("夜里不打扰，早上再发")),
        ("provider is set", _("医院没有开通这个渠道")),
        ("no text for the kind", _("这类通知不走这个渠道")),
        ("merged", _("并到另一条里一起发了")),
        ("recipient with 5", _("邮箱地址不存在")),
        ("no such number", _("号码不存在")),
        ("given up after", _("试了多次都没发成")),
        ("answered 429", _("对方忙，稍后再试")),
        ("refused", _("对方拒收")),
        ("answered 4", _("对方拒收")),
        ("answered 5", _("对方服务出错")),
        ("Timeout", _("对方没有回应")),
        ("Connect", _("连不上对方")),
    )
