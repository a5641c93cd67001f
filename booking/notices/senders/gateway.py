"""SMS over a plain HTTP gateway, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from booking.notices.senders.provider import Outgoing, Permanent, Provider, Sent, Temporary, one_by_one

REFUSED_FOR_GOOD = frozenset({400, 410, 413, 422})
"""HTTP answers about this one letter. 401, 403, 404 and the like are about our settings, which somebody mends."""
LONGEST_ANSWER = 64 * 1024


def sms_gateway(settings: Mapping[str, Any], open_until: ExitStack) -> Provider:
    """Return the way to a plain HTTP gateway.

    POST of JSON {to, text, reference}, with `X-Signature: sha256=<hex>`, the HMAC of the body under `SMS_GATEWAY_KEY`,
    and the reference again as `Idempotency-Key`. Any 2xx is acceptance; its `id`, if any, is kept.
    """
    url, key = settings["SMS_GATEWAY_URL"], settings["SMS_GATEWAY_KEY"].encode()
    client = open_until.enter_context(httpx.Client(timeout=settings["SEND_TIMEOUT_SECONDS"]))

    def send(outgoing: Outgoing) -> Sent:
        reference = outgoing.reference
        body = json.dumps(
            {"to": outgoing.address, "text": outgoing.letter.text, "reference": reference}, ensure_ascii=False
        ).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": reference,
            "X-Signature": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
        }
        try:
            with client.stream("POST", url, content=body, headers=headers) as answer:
                if answer.is_success:
                    return Sent("accepted", _provider_ref(answer))
                status, wait = answer.status_code, _asked_to_wait(answer.headers)
        except httpx.InvalidURL as problem:
            raise Temporary("the gateway's address cannot be used") from problem
        except httpx.HTTPError as problem:
            raise Temporary(f"gateway: {type(problem).__name__}") from problem
        if status in REFUSED_FOR_GOOD:
            raise Permanent(f"gateway answered {status}")
        raise Temporary(f"gateway answered {status}", wait)

    return Provider("gateway", "sms", at_once=20, per_second=0, send=one_by_one(send))


def _provider_ref(answer: httpx.Response) -> str:
    """The gateway's id; an answer that is no JSON, or far too long, or cut off is acceptance all the same."""
    text = b""
    try:
        for part in answer.iter_bytes():
            text += part
            if len(text) > LONGEST_ANSWER:
                return ""
        said = json.loads(text)
    except (ValueError, RecursionError, httpx.HTTPError):
        return ""
    named = str(said.get("id") or "") if isinstance(said, dict) else ""
    # what no database can keep must not undo the acceptance: the letter would go out again and again
    return "".join(sign for sign in named if sign.isascii() and sign.isprintable())


def _asked_to_wait(headers: httpx.Headers) -> float:
    """Seconds of Retry-After: a number, or a date read by the provider's own clock; 0 when it says nothing."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        there, now = (parsedate_to_datetime(said) for said in (asked, headers.get("Date", "")))
        return max(0.0, (there - now).total_seconds())
    except (ValueError, TypeError):
        return 0
