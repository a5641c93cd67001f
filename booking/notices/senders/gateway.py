"""Short messages and voice calls over a plain HTTP gateway, signed (docs/gateway.md)."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from booking.clock import seconds_since
from booking.errors import where
from booking.notices.segments import segments_of
from booking.notices.senders.provider import (
    Outcome,
    Outgoing,
    Permanent,
    Provider,
    Sent,
    Temporary,
)
from booking.notices.senders.wire import (
    REFUSED_FOR_GOOD,
    client,
    plain_id,
    post,
    refusal,
    words,
)

AT_ONCE = 100
LONGEST_WAIT = 24 * 3600.0


def sms_gateway(settings: Mapping[str, Any], open_until: ExitStack) -> Provider:
    """Return the way to `SMS_GATEWAY_URL`."""
    return _gateway(
        "gateway", "sms", settings["SMS_GATEWAY_URL"], settings["SMS_GATEWAY_KEY"], settings, open_until
    )


def voice_gateway(settings: Mapping[str, Any], open_until: ExitStack) -> Provider:
    """Return the way to `VOICE_GATEWAY_URL`, which rings people up and reads the text to them."""
    return _gateway(
        "voice", "voice", settings["VOICE_GATEWAY_URL"], settings["VOICE_GATEWAY_KEY"], settings, open_until
    )


def _gateway(
    name: str, kind: str, url: str, key: str, settings: Mapping[str, Any], open_until: ExitStack
) -> Provider:
    """POST a JSON list of {kind, to, text, reference}; the answer is a list of {reference, status, id, …}.

    A letter is known to the gateway by its reference, which stays the same at every try.
    """
    by = client(settings, open_until)

    def send(batch: list[Outgoing]) -> list[Outcome]:
        try:
            return _send(batch)
        except (Permanent, Temporary) as trouble:
            return [trouble for _ in batch]
        except Exception as problem:
            return [Temporary(f"unforeseen: {where(problem)}", ambiguous=True) for _ in batch]

    def _send(batch: list[Outgoing]) -> list[Outcome]:
        letters = [
            {"kind": kind, "to": one.address, "text": one.letter.text, "reference": one.reference}
            for one in batch
        ]
        body = json.dumps(letters, ensure_ascii=False).encode()
        answer = post(by, url, body, signed(key, body))
        if answer.status in REFUSED_FOR_GOOD and len(batch) > 1:  # somebody in it, and not everybody
            half = len(batch) // 2
            return send(batch[:half]) + send(batch[half:])
        if not answer.is_success:
            raise refusal(answer)
        return _outcomes(batch, answer.json(), kind)

    return Provider(name, kind, at_once=AT_ONCE, per_second=0, send=send, keeps_reference=True)


def signed(key: str, body: bytes) -> dict[str, str]:
    """Return the headers of a signed request: its time, a word used once, and the HMAC over both and the body.

    Whoever overhears it can repeat it only within the minutes a gateway accepts, and not even then, as the word was used.
    """
    at, nonce = str(int(seconds_since(0))), secrets.token_hex(16)
    mac = hmac.new(key.encode(), f"{at}.{nonce}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json; charset=utf-8",
        "X-Timestamp": at,
        "X-Nonce": nonce,
        "X-Signature": f"sha256={mac.hexdigest()}",
    }


def _outcomes(batch: list[Outgoing], said: Any, kind: str) -> list[Outcome]:
    """Read the answer of 2xx: a list with one result for each letter; one letter's result may come without the list."""
    if isinstance(said, dict):
        if "reference" not in said and (said.get("error") or said.get("code")):
            return [Temporary(f"answered 200 with an error: {_why(said)}") for _ in batch]
        said = [{"reference": batch[0].reference, **said}] if len(batch) == 1 else []
    if not isinstance(said, list):
        said = []
    results = {one["reference"]: one for one in said if isinstance(one, dict) and "reference" in one}
    return [_outcome(one, results.get(one.reference), kind) for one in batch]


def _outcome(one: Outgoing, result: dict[str, Any] | None, kind: str) -> Outcome:
    """Return what the gateway's result says of one letter; a missing one says nothing."""
    if result is None:
        return Temporary("the answer does not name the letter", ambiguous=True)
    status = result.get("status") or ("later" if result.get("error") else "accepted")
    if status in ("accepted", "delivered"):
        counted = result.get("segments")
        told = counted if isinstance(counted, int) and 0 < counted < 100 else segments_of(one.letter.text)
        return Sent(str(status), plain_id(result.get("id")), told if kind == "sms" else 0)
    if status == "refused":
        return Permanent(f"refused: {_why(result)}")
    if status == "later":
        return Temporary(f"put off: {_why(result)}", wait=_seconds(result.get("wait")), this_letter=True)
    return Temporary(f"an unknown status: {words(status)}", ambiguous=True)


def _why(said: dict[str, Any]) -> str:
    return words(said.get("error") or said.get("message") or said.get("code")) or "no reason given"


def _seconds(said: object) -> float:
    return min(max(float(said), 0.0), LONGEST_WAIT) if isinstance(said, int | float) else 0.0
