"""What providers call back with: how each proves that it is the one, and what its JSON says. Nothing here asks a database."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from booking.clock import seconds_since
from booking.vault import same

MOST_AT_ONCE = 1000
STALE_SECONDS = 300
BEIJING = ZoneInfo("Asia/Shanghai")
T = TypeVar("T")
_LONG_NUMBER = re.compile(r"\d{7,}")


class NotReadable(Exception):
    """The body is not what this provider sends; `why` says it without its content."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Event:
    """One receipt (回执). `reference` is ours; where a provider does not return it, its own `provider_ref` and the phone
    tell which letter. `said`: delivered, failed or unknown."""

    id: str
    reference: str
    said: str
    detail: str = ""
    said_at: datetime | None = None
    provider_ref: str = ""
    phone: str = ""


@dataclass(frozen=True)
class Word:
    """One short message somebody sent back (回复): from which phone (E.164), what."""

    id: str
    phone: str
    text: str


def key_of(provider: str, settings: Mapping[str, Any]) -> str:
    """Return the secret that a provider's callbacks carry or are signed with; "" where none is set: closed."""
    names = {
        "gateway": "SMS_CALLBACK_KEY",
        "alibaba": "ALIBABA_CALLBACK_SECRET",
        "tencent": "TENCENT_CALLBACK_SECRET",
    }
    return str(settings[names[provider]]) if provider in names else ""


def is_genuine(provider: str, key: str, body: bytes, *, secret: str, stamp: str, signed: str) -> bool:
    """Whether a callback comes from who it says.

    The gateway signs: `X-Signature: sha256=<hex>`, the HMAC-SHA256 under the key of `X-Timestamp` (seconds since 1970), a
    dot and the body; not older or newer than five minutes. Alibaba and Tencent do not sign: their address carries a secret.
    `secret`, `stamp`, `signed` are what the address and the two headers say.
    """
    if not key:
        return False
    if provider != "gateway":
        return same(secret, key)
    if not re.fullmatch(r"[0-9]{9,12}", stamp) or abs(seconds_since(float(stamp))) > STALE_SECONDS:
        return False
    return same(signed, signature(key, stamp, body))


def signature(key: str, at: str, body: bytes) -> str:
    """Return what the gateway puts into `X-Signature` for a body sent at `at`."""
    return "sha256=" + hmac.new(key.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


def receipts(provider: str, body: bytes) -> list[Event]:
    """Return the receipts of a callback; items that are no receipt are left out. Raises NotReadable."""
    return _read(body, _RECEIPTS[provider])


def words(provider: str, body: bytes) -> list[Word]:
    """Return the replies of a callback; items that are no reply are left out. Raises NotReadable."""
    return _read(body, _WORDS[provider])


def answer(provider: str) -> dict[str, Any]:
    """Return the JSON by which this provider knows that it need not call again."""
    return {"alibaba": {"code": 0, "msg": "OK"}, "tencent": {"result": 0, "errmsg": "OK"}}.get(provider, {})


def _read(body: bytes, one: Callable[[dict[str, Any]], T | None]) -> list[T]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise NotReadable("no JSON") from problem
    items = said if isinstance(said, list) else [said]
    if len(items) > MOST_AT_ONCE:
        raise NotReadable(f"more than {MOST_AT_ONCE} at once")
    found = [one(item) for item in items if isinstance(item, dict)]
    return [item for item in found if item is not None]


# --- the generic gateway ---------------------------------------------------------------------------------------------


def _gateway_receipt(item: dict[str, Any]) -> Event | None:
    """{event, reference, status: delivered|failed|unknown, detail, at (RFC 3339), id (the gateway's own)}."""
    said = _text(item, "status", 12)
    event, reference = _text(item, "event", 120), _text(item, "reference", 80)
    if not event or not reference or said not in ("delivered", "failed", "unknown"):
        return None
    at = _instant(_text(item, "at", 40))
    return Event(event, reference, said, _detail(_text(item, "detail", 120)), at, _text(item, "id", 120))


def _gateway_word(item: dict[str, Any]) -> Word | None:
    """{event, from (E.164), text}."""
    event, phone = _text(item, "event", 120), _text(item, "from", 20)
    if not event or not phone:
        return None
    return Word(event, phone, _text(item, "text", 300))


# --- Alibaba Cloud (SmsReport, SmsUp) --------------------------------------------------------------------------------


def _alibaba_receipt(item: dict[str, Any]) -> Event | None:
    reference, success = _text(item, "out_id", 80), item.get("success")
    if not reference or not isinstance(success, bool):
        return None
    at = _text(item, "report_time", 40)
    code, ref = _text(item, "err_code", 60), _text(item, "biz_id", 120)
    event = _digest(ref, reference, str(success), code, at)
    return Event(event, reference, "delivered" if success else "failed", _detail(code), _instant(at), ref)


def _alibaba_word(item: dict[str, Any]) -> Word | None:
    phone, text = _chinese(_text(item, "phone_number", 20)), _text(item, "content", 300)
    number = _text(item, "sequence_id", 40)
    if not phone:
        return None
    return Word(number or _digest(phone, text, _text(item, "send_time", 40)), phone, text)


# --- Tencent Cloud (SMS sending status, SMS reply) -------------------------------------------------------------------


def _tencent_receipt(item: dict[str, Any]) -> Event | None:
    ref, said = _text(item, "sid", 120), _text(item, "report_status", 12)
    phone = _chinese(_text(item, "mobile", 20), _text(item, "nationcode", 5))
    if not ref or not phone or said not in ("SUCCESS", "FAIL"):
        return None
    at, code = _text(item, "user_receive_time", 40), _text(item, "errmsg", 60)
    state = "delivered" if said == "SUCCESS" else "failed"
    return Event(_digest(ref, phone, said, code), "", state, _detail(code), _instant(at), ref, phone)


def _tencent_word(item: dict[str, Any]) -> Word | None:
    phone = _chinese(_text(item, "mobile", 20), _text(item, "nationcode", 5))
    text, at = _text(item, "text", 300), _text(item, "time", 40)
    if not phone:
        return None
    return Word(_digest(phone, text, at), phone, text)


_RECEIPTS: dict[str, Callable[[dict[str, Any]], Event | None]] = {
    "gateway": _gateway_receipt,
    "alibaba": _alibaba_receipt,
    "tencent": _tencent_receipt,
}
_WORDS: dict[str, Callable[[dict[str, Any]], Word | None]] = {
    "gateway": _gateway_word,
    "alibaba": _alibaba_word,
    "tencent": _tencent_word,
}

# --- pieces ----------------------------------------------------------------------------------------------------------


def _text(item: dict[str, Any], name: str, most: int) -> str:
    """Return a field as text of at most `most` signs that any database keeps; "" for what is neither text nor number."""
    said = item.get(name)
    if isinstance(said, bool) or not isinstance(said, str | int):
        return ""
    if isinstance(said, int) and abs(said) >= 10**30:
        return ""
    return "".join(sign for sign in str(said) if sign.isprintable())[:most].strip()


def _detail(text: str) -> str:
    """A provider's words about a failure, without anybody's number."""
    return _LONG_NUMBER.sub("…", text)


def _instant(text: str) -> datetime | None:
    """Read a provider's time; without a zone it is Beijing's. None when it is no time."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=BEIJING)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _chinese(phone: str, country: str = "86") -> str:
    """Return a phone as E.164: what these providers write without its country is Chinese."""
    digits = phone.removeprefix("+")
    if not digits.isascii() or not digits.isdecimal():
        return ""
    if phone.startswith("+"):
        return phone
    country = country if country.isascii() and country.isdecimal() else "86"
    return f"+{digits}" if len(digits) > 11 and digits.startswith(country) else f"+{country}{digits}"


def _digest(*parts: str) -> str:
    """The name of an event whose provider gives it none: the same saying has the same name."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:48]
