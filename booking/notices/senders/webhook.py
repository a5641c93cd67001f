"""Telling a hospital's own system of each change, signed as Standard Webhooks says (docs/webhook.md).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: `webhook-id` is the same at every
try, `webhook-timestamp` that of the try; a receiver refuses what is older than some minutes and what it has had.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import httpx

from booking.clock import seconds_since
from booking.directory.webhooks import Listener, listeners
from booking.notices.senders.provider import Outcome, Outgoing, Permanent, Provider, Sent, Temporary
from booking.notices.senders.wire import LANES, client, post, side_by_side

GONE = 410
WRAPPED = ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
"""Addresses of version 6 that lead to one of version 4 written inside them."""

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)


class NotAllowed(Exception):
    """The address must not be asked; the text says why."""


def webhook(settings: Mapping[str, Any], open_until: ExitStack) -> Provider:
    """Return the way to the hospitals' own systems; the address of a letter is the hospital's number.

    Any 2xx is delivery. 410 ends this letter; everything else is tried again, as the receiver may be mended meanwhile.
    """
    by = client(settings, open_until, trust_env=False)
    known: dict[int, Listener] = {}

    def send_one(outgoing: Outgoing) -> Sent:
        to = known.get(int(outgoing.address))
        if to is None:
            raise Permanent("the hospital listens no longer")
        body = outgoing.letter.text.encode()
        try:
            url, host = target(to.url, settings)
            headers = signed(to.secret, outgoing.reference, body)
        except NotAllowed as why:
            raise Temporary(str(why)) from why
        answer = post(
            by, url, body, headers | {"Host": host}, extensions={"sni_hostname": httpx.URL(to.url).host}
        )
        if answer.is_success:
            return Sent("delivered")
        if answer.status == GONE:
            raise Permanent("answered 410")
        raise Temporary(f"answered {answer.status}")

    lanes = side_by_side(send_one, open_until)

    def send(batch: list[Outgoing]) -> list[Outcome]:
        known.clear()
        known.update(listeners({int(one.address) for one in batch}))
        return lanes(batch)

    return Provider("webhook", "webhook", at_once=LANES, per_second=0, send=send, keeps_reference=True)


def signed(secret: str, message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers of one try. Raises NotAllowed for a secret that is none."""
    at = str(int(seconds_since(0)))
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise NotAllowed("the webhook's secret cannot be read") from problem
    if len(key) < 24:
        raise NotAllowed("the webhook's secret is too short")
    mac = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def target(url: str, settings: Mapping[str, Any]) -> tuple[httpx.URL, str]:
    """Return the address to ask, with the host looked up once, and the host's own name. Raises NotAllowed.

    What was looked at is what is asked: a name that leads somewhere else a moment later is not looked up again. No address
    inside this house, as whoever may set a webhook may not look around in here (SSRF).
    """
    try:
        asked = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as problem:
        raise NotAllowed("the webhook's address cannot be read") from problem
    if asked.scheme != "https" and not (settings["DEMO"] and asked.scheme == "http"):
        raise NotAllowed("the webhook's address must begin with https://")
    if not asked.host or asked.userinfo:
        raise NotAllowed("the webhook's address must name a host and nobody")
    addresses = _addresses(asked.host, asked.port or (443 if asked.scheme == "https" else 80))
    if not settings["WEBHOOK_ALLOW_PRIVATE"] and not all(is_public(one) for one in addresses):
        raise NotAllowed("the webhook's host is inside a private network")
    return asked.copy_with(host=addresses[0]), asked.netloc.decode("ascii")


def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses `host` leads to. Raises NotAllowed, also for a number written as no address usually is."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise NotAllowed("the webhook's host is a number") from None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        raise NotAllowed("the webhook's host is not known") from problem
    return [str(one[4][0]) for one in found]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open Internet: nothing private, local, shared, reserved or for many."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.is_site_local or any(ip in ipaddress.ip_network(net) for net in WRAPPED):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)
