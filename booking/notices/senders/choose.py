"""Who carries which channel, by the settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from booking.notices.senders.demo import demo_page
from booking.notices.senders.gateway import sms_gateway
from booking.notices.senders.in_app import in_app
from booking.notices.senders.mail import mail_server
from booking.notices.senders.provider import Provider


def providers(settings: Mapping[str, Any], open_until: ExitStack) -> dict[str, list[Provider]]:
    """Return the providers of each channel that has one, in order of preference: the next takes over from the one before.

    The demo's page stands in for a channel that no setting switches on. What providers keep open is closed with
    `open_until`.
    """
    chosen: dict[str, list[Provider]] = {"app": [in_app()]}
    if settings["SMS_GATEWAY_URL"]:
        chosen["sms"] = [sms_gateway(settings, open_until)]
    if settings["SMTP_URL"]:
        chosen["email"] = [mail_server(settings)]
    if settings["DEMO"]:
        for channel in ("sms", "email"):
            chosen.setdefault(channel, [demo_page(channel, settings)])
    return chosen
