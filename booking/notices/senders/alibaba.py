"""SMS over Alibaba Cloud (阿里云短信服务): approved templates, one signed request a letter.

The protocol is spoken here directly: the official package would bring twenty others along (an asynchronous web client and a
scheduler among them) and hides whether a request had left when it failed, which decides whether a letter may be tried
elsewhere.

SendSms 2017-05-25: https://help.aliyun.com/document_detail/55284.html — it knows no repeated request ("不支持幂等"), so an
answer that never came is ambiguous. Signature V3 (ACS3-HMAC-SHA256): https://help.aliyun.com/document_detail/2593177.html.
Error codes: https://help.aliyun.com/document_detail/101346.html.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlsplit

from booking.clock import stamp
from booking.notices.approved import Approved
from booking.notices.segments import segments_of
from booking.notices.senders.provider import Outgoing, Permanent, Provider, Sent, Temporary
from booking.notices.senders.wire import (
    LANES,
    Answer,
    client,
    plain_id,
    post,
    refusal,
    side_by_side,
    words,
)

NUMBER_IS_BAD = frozenset(
    {"isv.MOBILE_NUMBER_ILLEGAL", "isv.MOBILE_COUNT_OVER_LIMIT", "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"}
)
CONTENT_IS_BAD = frozenset(
    {
        "isv.BLACK_KEY_CONTROL_LIMIT",
        "isv.PARAM_LENGTH_LIMIT",
        "isv.PARAM_NOT_SUPPORT_URL",
        "isv.SMS_CONTENT_ILLEGAL",
        "isv.TEMPLATE_PARAMS_ILLEGAL",
    }
)
TEMPLATE_IS_BAD = frozenset({"isv.SMS_TEMPLATE_ILLEGAL", "isv.TEMPLATE_MISSING_PARAMETERS"})
"""Somebody must mend the template of this kind; letters of other kinds pass."""
MAY_PASS = frozenset({"isp.SYSTEM_ERROR", "isp.GATEWAY_ERROR", "ServiceUnavailable", "InternalError"})
LIMITS = (("天级", 24 * 3600.0), ("小时级", 3600.0), ("分钟级", 60.0))
"""A number had too many messages (isv.BUSINESS_LIMIT_CONTROL): the words name the window, here with its seconds."""


def alibaba(settings: Mapping[str, Any], approved: Approved, open_until: ExitStack) -> Provider:
    """Return the way over the account of `ALIBABA_KEY_ID`."""
    by, url = client(settings, open_until), settings["ALIBABA_SMS_URL"]

    def send(outgoing: Outgoing) -> Sent:
        letter = outgoing.letter
        template = approved.id_of("alibaba", letter.template)
        asked = {
            "PhoneNumbers": outgoing.address,
            "SignName": settings["SMS_SIGNATURE"],
            "TemplateCode": template,
            "TemplateParam": json.dumps(dict(approved.values(letter)), ensure_ascii=False),
            "OutId": outgoing.reference,
        }
        query = canonical(asked)
        headers = signed(
            settings["ALIBABA_KEY_ID"], settings["ALIBABA_KEY_SECRET"], url, "SendSms", "2017-05-25", query
        )
        return _outcome(post(by, f"{url.rstrip('/')}/?{query}", b"", headers), letter.text)

    return Provider("alibaba", "sms", at_once=LANES, per_second=0, send=side_by_side(send, open_until))


def canonical(asked: Mapping[str, str]) -> str:
    """Return the query as it is signed: by name, RFC 3986."""
    return "&".join(f"{quote(name, safe='~')}={quote(asked[name], safe='~')}" for name in sorted(asked))


def signed(
    key_id: str,
    secret: str,
    url: str,
    action: str,
    version: str,
    query: str,
    *,
    at: str = "",
    nonce: str = "",
) -> dict[str, str]:
    """Return the headers of a POST without a body, signed with V3; `at` and `nonce` are made unless given."""
    headers = {
        "host": urlsplit(url).netloc,
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": at or stamp().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce or secrets.token_hex(16),
        "x-acs-version": version,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n/\n{query}\n{lines}\n{names}\n{headers['x-acs-content-sha256']}"
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(request.encode()).hexdigest()}"
    mac = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={mac}"
    return headers


def _outcome(answer: Answer, text: str) -> Sent:
    """Read the answer; the code in it counts, whatever the status. Raises Permanent and Temporary."""
    try:
        said = answer.json()
    except Temporary:
        if answer.is_success:
            raise
        raise refusal(answer) from None
    code = str(said.get("Code") or "") if isinstance(said, dict) else ""
    if code == "OK" and answer.is_success:
        return Sent("accepted", plain_id(said.get("BizId")), segments_of(text))
    if not code:
        raise Temporary("the answer names no code", ambiguous=True) if answer.is_success else refusal(answer)
    if code in NUMBER_IS_BAD or code in CONTENT_IS_BAD:
        raise Permanent(code)
    if code == "isv.BUSINESS_LIMIT_CONTROL":
        wait = next((seconds for name, seconds in LIMITS if name in str(said.get("Message"))), 60.0)
        raise Temporary(code, wait=wait, this_letter=True)
    if code in TEMPLATE_IS_BAD:
        raise Temporary(code, ours=True, this_letter=True)
    if code in MAY_PASS or code.startswith("Throttling"):
        raise Temporary(words(code), wait=2.0 if code.startswith("Throttling") else 0.0)
    raise Temporary(words(code), ours=True)  # signature, key, balance: somebody must mend it
