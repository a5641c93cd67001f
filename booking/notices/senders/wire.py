"""One request to a provider over HTTP, and an honest word of what is known when it goes wrong."""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from time import monotonic
from typing import Any

import httpx

from booking.notices.senders.provider import Outcome, Outgoing, Permanent, Sent, Temporary, one_by_one

REFUSED_FOR_GOOD = frozenset({400, 410, 413, 422})
"""HTTP answers about this one letter. 401, 403, 404 and the like are about our settings, which somebody mends."""
MAY_HAVE_PASSED = frozenset({502, 504})
"""Answers of something in between, which does not know what the provider did."""
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
LONGEST_ANSWER = 256 * 1024
LONGEST_WORDS = 80
LANES = 10
_TELLING = re.compile(r"\S*@\S*|\+?\d[\d -]{3,}\d|[A-Za-z0-9_=+/-]{25,}")

# the library tells every address it asks, and an address may carry a token
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers, body."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return what the body says. Raises Temporary, ambiguous, when it is no JSON: what was done stays unknown."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as problem:
            raise Temporary(f"answered {self.status} in words nobody can read", ambiguous=True) from problem


def client(settings: Mapping[str, Any], open_until: ExitStack, **more: Any) -> httpx.Client:
    """Return a client that keeps its connections until `open_until` closes and follows nobody elsewhere."""
    trusted = _trusted(more.get("trust_env", True))
    made = httpx.Client(
        timeout=settings["SEND_TIMEOUT_SECONDS"], follow_redirects=False, verify=trusted, **more
    )
    return open_until.enter_context(made)


@cache
def _trusted(trust_env: bool) -> ssl.SSLContext:
    """The authorities we trust, read once per process: reading them takes 20 ms, longer than sending a few letters.

    With `trust_env` those that `SSL_CERT_FILE` or `SSL_CERT_DIR` name, in place of the usual ones.
    """
    return httpx.create_ssl_context(trust_env=trust_env)


def post(
    by: httpx.Client, url: str | httpx.URL, body: bytes, headers: Mapping[str, str], **more: Any
) -> Answer:
    """POST `body`; return the answer, whatever its status. Raises Temporary.

    It is ambiguous once the request may have been read: a refused connection is not, a silence after sending is. An
    answer takes at most three timeouts in all.
    """
    return _ask(by, "POST", url, content=body, headers=dict(headers), **more)


def get(by: httpx.Client, url: str, params: Mapping[str, str]) -> Answer:
    """GET the address with `params`; return the answer as `post` does. Raises Temporary."""
    return _ask(by, "GET", url, params=dict(params))


def _ask(by: httpx.Client, method: str, url: str | httpx.URL, **more: Any) -> Answer:
    timeout = by.timeout.read or 10
    ends_at = monotonic() + 3 * timeout
    try:
        with by.stream(method, url, **more) as answer:
            read = b""
            for part in answer.iter_bytes():
                read += part
                if len(read) > LONGEST_ANSWER or monotonic() > ends_at:
                    raise Temporary("the answer has no end", ambiguous=True)
            return Answer(answer.status_code, answer.headers, read)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as problem:
        raise Temporary("the provider's address cannot be used", ours=True) from problem
    except NOT_SENT as problem:
        raise Temporary(f"not reached: {type(problem).__name__}") from problem
    except httpx.HTTPError as problem:
        raise Temporary(f"no answer: {type(problem).__name__}", ambiguous=True) from problem


def refusal(answer: Answer) -> Permanent | Temporary:
    """Return what an answer outside 2xx means for the letters of its request."""
    status, why = answer.status, f"answered {answer.status}"
    if status in REFUSED_FOR_GOOD:
        return Permanent(why)
    if status >= 500 or status in (408, 425, 429):
        return Temporary(why, wait=asked_to_wait(answer.headers), ambiguous=status in MAY_HAVE_PASSED)
    return Temporary(why, ours=True)


def asked_to_wait(headers: httpx.Headers) -> float:
    """Seconds of Retry-After: a number, or a date read by the provider's own clock; 0 when it says nothing."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdecimal():
        return float(asked[:9])
    try:
        there, now = (parsedate_to_datetime(said) for said in (asked, headers.get("Date", "")))
        return max(0.0, (there - now).total_seconds())
    except (ValueError, TypeError):
        return 0


def words(said: object) -> str:
    """Return a provider's own words, short and without what may be a number, an address or a key."""
    text = "".join(sign if sign.isprintable() else " " for sign in str(said or ""))
    return _TELLING.sub("…", text)[:LONGEST_WORDS].strip()


def plain_id(said: object) -> str:
    """Return a provider's name for a letter; what no database can keep must not undo the acceptance."""
    return "".join(sign for sign in str(said or "") if sign.isascii() and sign.isprintable())[:120]


def side_by_side(
    send_one: Callable[[Outgoing], Sent], open_until: ExitStack, lanes: int = LANES
) -> Callable[[list[Outgoing]], list[Outcome]]:
    """Return a `send` for a provider that takes one letter a request: up to `lanes` requests at the same time.

    So a batch of `lanes` letters takes no longer than its slowest one.
    """
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="send")
    open_until.callback(pool.shutdown, wait=True, cancel_futures=True)
    single = one_by_one(send_one)

    def send(batch: list[Outgoing]) -> list[Outcome]:
        if len(batch) == 1:
            return single(batch)
        return [outcome for (outcome,) in pool.map(single, [[one] for one in batch])]

    return send
