"""flask notices test: one letter over every channel, to see whether it arrives."""

from __future__ import annotations

import json
import uuid
from contextlib import ExitStack
from time import monotonic

import click
from flask import current_app
from flask.cli import with_appcontext

from booking.clock import stamp
from booking.directory.queries import hospital_page
from booking.notices.approved import WECHAT_WORDS, described, wechat_templates
from booking.notices.senders.choose import providers
from booking.notices.senders.provider import Outcome, Outgoing, Permanent, Provider, Rendered, Sent
from booking.notices.short_text import short_message
from booking.people.rules import read_phone


@click.command("test")
@click.option(
    "--to", "addresses", multiple=True, required=True, metavar="PHONE|EMAIL|wechat:OPENID|webhook:SLUG"
)
@with_appcontext
def test_command(addresses: tuple[str, ...]) -> None:
    """Send one letter over every provider of each channel that is switched on; a phone number tries SMS and voice.

    Says of each who took it or why not, and how long that took; ends with an error unless all took it. Addresses are
    neither printed nor logged.
    """
    went_well = True
    with ExitStack() as open_until:
        carriers = providers(current_app.config, open_until)
        tried: set[str] = set()
        for text in addresses:
            address, channels = _read(text.strip())
            there = [channel for channel in channels if channel in carriers]
            if not there:
                click.echo(f"{channels[0]}: nobody carries it here, its settings are not set.")
                went_well = False
            for channel in there:
                tried.add(channel)
                for carrier in carriers[channel]:
                    went_well &= _try(carrier, address)
        for channel in carriers.keys() - tried - {"app"}:
            click.echo(f"{channel}: not tried, no address for it was given.")
    if not went_well:
        raise click.exceptions.Exit(1)


def _try(carrier: Provider, address: str) -> bool:
    """Send one letter and say what became of it; return whether it was taken."""
    letter = _letter(carrier.channel)
    began = monotonic()
    (went,) = carrier.send([Outgoing(address, letter, f"0-{uuid.uuid4().hex}")])
    click.echo(f"{carrier.channel} over {carrier.name}: {_said(went)} ({monotonic() - began:.1f} s)")
    return isinstance(went, Sent)


def _said(went: Outcome) -> str:
    """Return in plain words what became of a letter."""
    if isinstance(went, Sent):
        named = f" as {went.provider_ref}" if went.provider_ref else ""
        return f"{went.status}{named}{f', {went.segments} messages' if went.segments > 1 else ''}"
    if isinstance(went, Permanent):
        return f"refused for good: {went.why}"
    if went.ours:
        return f"refused, our settings are wrong: {went.why}"
    if went.ambiguous:
        return f"perhaps taken, nobody knows: {went.why}"
    return f"not taken now: {went.why}{f', come back in {went.wait:.0f} s' if went.wait else ''}"


def _letter(channel: str) -> Rendered:
    """Return the letter that tries a channel: over SMS the approved text of a one-time code, over WeChat the first template."""
    site = current_app.config["SITE_NAME"]
    if channel == "sms":
        return short_message("测试", "code", {"site": site, "code": "000000"})
    if channel == "webhook":
        told = {"type": "test", "timestamp": f"{stamp():%Y-%m-%dT%H:%M:%SZ}", "data": {}}
        return Rendered("test", json.dumps(told))
    if channel == "wechat":
        kind = min(wechat_templates(current_app.config["WECHAT_TEMPLATES"]), default="")
        at = dict.fromkeys(("time", "latest"), f"{stamp():%Y年%m月%d日 %H:%M}")
        examples = {name: described().words[name].example for name in WECHAT_WORDS if name not in at}
        return Rendered("测试", "测试", template=f"{kind}.wechat", variables=(*at.items(), *examples.items()))
    return Rendered(f"【{site}】测试", f"{site}：这是一条测试消息，不用理会。")


def _read(text: str) -> tuple[str, tuple[str, ...]]:
    """Return an address and the channels it is one for. Raises click.BadParameter without repeating it."""
    kind, _, rest = text.partition(":")
    if kind == "wechat" and rest:
        return rest, ("wechat",)
    if kind == "webhook" and rest:
        page = hospital_page(rest)
        if page is None:
            raise click.BadParameter("no hospital has this short name.")
        return str(page.hospital.id), ("webhook",)
    if "@" in text:
        return text, ("email",)
    phone, _problem = read_phone(text)
    if phone is None:
        raise click.BadParameter("this is no phone number, e-mail address, wechat:… or webhook:….")
    return phone, ("sms", "voice")
