"""Who carries which channel, by the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from booking.notices.approved import approved
from booking.notices.senders.alibaba import alibaba
from booking.notices.senders.demo import demo_page
from booking.notices.senders.gateway import sms_gateway, voice_gateway
from booking.notices.senders.in_app import in_app
from booking.notices.senders.mail import mail_server
from booking.notices.senders.provider import Provider
from booking.notices.senders.tencent import tencent
from booking.notices.senders.webhook import webhook
from booking.notices.senders.wechat import wechat

SMS: dict[str, tuple[str, Callable[[Mapping[str, Any], ExitStack], Provider]]] = {
    "gateway": ("SMS_GATEWAY_URL", sms_gateway),
    "alibaba": ("ALIBABA_KEY_ID", lambda settings, until: alibaba(settings, approved(settings), until)),
    "tencent": ("TENCENT_SECRET_ID", lambda settings, until: tencent(settings, approved(settings), until)),
}
"""Who can carry short messages: the setting that switches each on, and how it is made."""


def providers(settings: Mapping[str, Any], open_until: ExitStack) -> dict[str, list[Provider]]:
    """Return the providers of each channel that has one, in order of preference: the next takes over from the one before.

    The demo's page stands in for a channel that no setting switches on. What providers keep open is closed with
    `open_until`.
    """
    chosen: dict[str, list[Provider]] = {"app": [in_app()], "webhook": [webhook(settings, open_until)]}
    for name in settings["SMS_PROVIDERS"]:
        switch, made = SMS[name]
        if settings[switch]:
            chosen.setdefault("sms", []).append(made(settings, open_until))
    if settings["SMTP_URL"]:
        chosen["email"] = [mail_server(settings)]
    if settings["WECHAT_APP_ID"]:
        chosen["wechat"] = [wechat(settings, open_until)]
    if settings["VOICE_GATEWAY_URL"]:
        chosen["voice"] = [voice_gateway(settings, open_until)]
    if settings["DEMO"]:
        for channel in ("sms", "email"):
            chosen.setdefault(channel, [demo_page(channel, settings)])
    return chosen


def has_email(settings: Mapping[str, Any]) -> bool:
    """Whether anybody carries e-mail here; without, nobody is asked for an address."""
    return bool(settings["SMTP_URL"] or settings["DEMO"])


def binds_wechat(settings: Mapping[str, Any]) -> bool:
    """Whether people bind their WeChat on a page here: a service account tells who they are, a mini program does not."""
    return bool(settings["WECHAT_APP_ID"]) and settings["WECHAT_KIND"] == "template"


def optional_channels(settings: Mapping[str, Any]) -> list[str]:
    """Return which of the channels that only some installations have are switched on here."""
    switches = {"wechat": "WECHAT_APP_ID", "voice": "VOICE_GATEWAY_URL"}
    return [channel for channel, switch in switches.items() if settings[switch]]
