"""Personal fields at rest: sealed with AES-256-GCM under a named key, findable by a keyed hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")  # no dot: it separates the parts of a sealed field
_SECRET = re.compile(r"(?:[0-9A-Fa-f]{2}){32,}")
_keys: dict[str, bytes] = {}
_current = ""
_index_key = b""
_code_key = b""


def set_keys(spec: str) -> None:
    """Read `keyid:hex[,keyid:hex…]`; the first seals, all open. The blind-index key derives from the LAST (oldest) one,
    so that rotation — putting a new key in front — keeps every stored hash findable.

    Raises ValueError for a spec with no key, a name used twice, a dot in a name or less than 32 bytes of secret.
    """
    global _current, _index_key, _code_key
    pairs = [part.strip().split(":", 1) for part in spec.split(",") if part.strip()]
    names = [pair[0] for pair in pairs]
    fine = all(
        len(pair) == 2 and _KEY_NAME.fullmatch(pair[0]) and _SECRET.fullmatch(pair[1]) for pair in pairs
    )
    if not pairs or not fine or len(set(names)) != len(names):
        raise ValueError("field keys are written keyid:64 hex digits, separated by commas, each name once")
    _keys.clear()
    for key_id, secret in pairs:
        _keys[key_id] = hashlib.sha256(bytes.fromhex(secret)).digest()
    _current = pairs[0][0]
    oldest = _keys[pairs[-1][0]]
    _index_key = hmac.digest(oldest, b"blind index", "sha256")
    _code_key = hmac.digest(oldest, b"one-time codes", "sha256")


def seal(value: str) -> str:
    """Return `aesgcm.<key id>.<base64 of nonce and ciphertext>`."""
    nonce = os.urandom(12)
    body = AESGCM(_keys[_current]).encrypt(nonce, value.encode(), _current.encode())
    return f"aesgcm.{_current}.{base64.urlsafe_b64encode(nonce + body).decode()}"


def open_sealed(sealed: str) -> str:
    """Return the clear text; raises ValueError when the key is unknown or the text was changed."""
    algorithm, key_id, body = sealed.split(".", 2)
    if algorithm != "aesgcm" or key_id not in _keys:
        raise ValueError(f"no key {key_id!r} for a field sealed with {algorithm!r}")
    raw = base64.urlsafe_b64decode(body)
    try:
        return AESGCM(_keys[key_id]).decrypt(raw[:12], raw[12:], key_id.encode()).decode()
    except InvalidTag as refused:
        raise ValueError(f"a field sealed with key {key_id!r} does not open") from refused


def blind_index(purpose: str, value: str) -> str:
    """Return the keyed hash under which `value` is found; equal values of one purpose give equal hashes."""
    return hmac.digest(_index_key, f"{purpose}\0{value}".encode(), "sha256").hex()


def short_code(salt: str, digits: int = 6) -> str:
    """Derive the one-time code of a stored `salt`: the code itself is never stored or queued."""
    number = int.from_bytes(hmac.digest(_code_key, salt.encode(), "sha256")[:8], "big")
    return str(number % 10**digits).zfill(digits)


def same(a: str, b: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(a.encode(), b.encode())
