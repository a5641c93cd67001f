"""SMS over Tencent Cloud (腾讯云短信): approved templates, one signed request a letter.

Spoken directly, for the same reason as Alibaba Cloud's: whether a request had left when it failed must be known.

SendSms 2021-01-11: https://cloud.tencent.com/document/api/382/55981 — our reference travels as SessionContext and comes back.
Signature v3 (TC3-HMAC-SHA256): https://cloud.tencent.com/document/api/382/52072. Error codes:
https://cloud.tencent.com/document/api/382/59177.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

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
    {"InvalidParameterValue.IncorrectPhoneNumber", "FailedOperation.PhoneNumberInBlacklist"}
)
CONTENT_IS_BAD = frozenset(
    {
        "FailedOperation.ContainSensitiveWord",
        "InvalidParameterValue.ContentLengthLimit",
        "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter",
        "InvalidParameterValue.TemplateParameterFormatError",
        "InvalidParameterValue.TemplateParameterLengthLimit",
    }
)
TEMPLATE_IS_BAD = frozenset(
    {
        "FailedOperation.TemplateIncorrectOrUnapproved",
        "FailedOperation.TemplateParamSetNotMatchApprovedTemplate",
    }
)
"""Somebody must mend the template of this kind; letters of other kinds pass."""
LIMITS = {
    "LimitExceeded.PhoneNumberThirtySecondLimit": 30.0,
    "LimitExceeded.PhoneNumberSameContentDailyLimit": 24 * 3600.0,
    "LimitExceeded.PhoneNumberOneHourLimit": 3600.0,
    "LimitExceeded.PhoneNumberDailyLimit": 24 * 3600.0,
    "LimitExceeded.DeliveryFrequencyLimit": 60.0,
}
"""A number had too many messages: the code names the window, here with its seconds."""
OUR_SIGNATURE = ("InternalError.Sig", "InternalError.RestApi")
CONTENT_TYPE = "application/json; charset=utf-8"


def tencent(settings: Mapping[str, Any], approved: Approved, open_until: ExitStack) -> Provider:
    """Return the way over the account of `TENCENT_SECRET_ID`."""
    by, url = client(settings, open_until), settings["TENCENT_SMS_URL"]

    def send(outgoing: Outgoing) -> Sent:
        letter = outgoing.letter
        asked = {
            "PhoneNumberSet": [outgoing.address],
            "SmsSdkAppId": settings["TENCENT_SMS_APP_ID"],
            "TemplateId": approved.id_of("tencent", letter.template),
            "SignName": settings["SMS_SIGNATURE"],
            "TemplateParamSet": [value for _, value in approved.values(letter)],
            "SessionContext": outgoing.reference,
        }
        body = json.dumps(asked, ensure_ascii=False).encode()
        headers = signed(settings["TENCENT_SECRET_ID"], settings["TENCENT_SECRET_KEY"], url, "SendSms", body)
        headers |= {"X-TC-Version": "2021-01-11", "X-TC-Region": settings["TENCENT_SMS_REGION"]}
        return _outcome(post(by, url, body, headers), letter.text)

    return Provider("tencent", "sms", at_once=LANES, per_second=0, send=side_by_side(send, open_until))


def signed(
    key_id: str, secret: str, url: str, action: str, body: bytes, *, service: str = "sms", at: int = 0
) -> dict[str, str]:
    """Return the headers of a POST of JSON, signed with v3; `at` (seconds since 1970) is now unless given."""
    now = at or int(stamp().timestamp())
    day = stamp(now).strftime("%Y-%m-%d")
    host = urlsplit(url).netloc
    names = "content-type;host;x-tc-action"
    request = (
        f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\nx-tc-action:{action.lower()}\n\n{names}\n"
        + hashlib.sha256(body).hexdigest()
    )
    scope = f"{day}/{service}/tc3_request"
    to_sign = f"TC3-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"TC3{secret}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    mac = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return {
        "Authorization": f"TC3-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={mac}",
        "Content-Type": CONTENT_TYPE,
        "Host": host,
        "X-TC-Action": action,
        "X-TC-Timestamp": str(now),
    }


def _outcome(answer: Answer, text: str) -> Sent:
    """Read the answer: an error of the request, or the status of the one number. Raises Permanent and Temporary."""
    if not answer.is_success:
        raise refusal(answer)
    said = answer.json()
    response = said.get("Response") if isinstance(said, dict) else None
    response = response if isinstance(response, dict) else {}
    error, told = response.get("Error"), response.get("SendStatusSet")
    status = error if isinstance(error, dict) else told[0] if isinstance(told, list) and told else {}
    code = str(status.get("Code") or "") if isinstance(status, dict) else ""
    if code == "Ok" and status is not error:
        fee = status.get("Fee")
        counted = fee if isinstance(fee, int) and fee > 0 else segments_of(text)
        return Sent("accepted", plain_id(status.get("SerialNo")), counted)
    if not code:
        raise Temporary("the answer names no code", ambiguous=True)
    if code in NUMBER_IS_BAD or code in CONTENT_IS_BAD:
        raise Permanent(code)
    if code in LIMITS:
        raise Temporary(code, wait=LIMITS[code], this_letter=True)
    if code in TEMPLATE_IS_BAD:
        raise Temporary(code, ours=True, this_letter=True)
    if code == "InternalError.Timeout":  # between their servers, after ours had been read
        raise Temporary(code, ambiguous=True)
    if code.startswith("RequestLimitExceeded"):
        raise Temporary(words(code), wait=2.0)
    if code.startswith(("InternalError", "ResourceUnavailable")) and not code.startswith(OUR_SIGNATURE):
        raise Temporary(words(code))
    raise Temporary(words(code), ours=True)  # signature, key, balance: somebody must mend it
