"""What people and programs send, made safe to use: text, dates, numbers, addresses. Nothing here raises."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from urllib.parse import urlsplit

_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def plain(text: str | None) -> str:
    """Return `text` without what no database or reader can use: control signs, lone surrogates, direction overrides.

    Line ends become newlines; blanks at both ends go.
    """
    kept = [
        sign
        for sign in (text or "").replace("\r\n", "\n").replace("\r", "\n")
        if sign in "\n\t" or (unicodedata.category(sign) not in ("Cc", "Cs", "Cn") and sign not in _BIDI)
    ]
    return "".join(kept).strip()


def line(text: str | None, limit: int = 60) -> str:
    """Return `text` as one line of at most `limit` signs: what is searched for, a filter's value."""
    return " ".join(plain((text or "")[: limit * 4]).split())[:limit].strip()


def digits(text: str | None) -> str:
    """Return `text` with full-width digits made narrow and blanks and hyphens taken out; other signs stay."""
    narrow = unicodedata.normalize("NFKC", plain((text or "")[:200]))
    return re.sub(r"[\s\-]", "", narrow)


def whole(text: str | None, otherwise: int = 1, most: int = 100_000) -> int:
    """Return the positive number that `text` is, at most `most`, else `otherwise`."""
    return min(int(text), most) if text and re.fullmatch(r"[1-9][0-9]{0,8}", text) else otherwise


def row_id(text: str | None) -> int | None:
    """Return the platform-wide id that `text` is (as in `<number:id>`), else None."""
    return int(text) if text and re.fullmatch(r"[1-9][0-9]{0,15}", text) else None


def day(text: str | None) -> date | None:
    """Return the date that `text` (YYYY-MM-DD) is, or None for anything else, impossible dates too."""
    if not text or not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def local_path(text: str | None, otherwise: str = "/") -> str:
    """Return `text` when it is an address of this site (path and query), else `otherwise`."""
    if not text or len(text) > 500 or not text.startswith("/") or text.startswith("//") or "\\" in text:
        return otherwise
    if any(ord(sign) < 33 or ord(sign) == 127 or unicodedata.category(sign) == "Cs" for sign in text):
        return otherwise
    try:
        parts = urlsplit(text)
    except ValueError:
        return otherwise
    return otherwise if parts.scheme or parts.netloc else text
