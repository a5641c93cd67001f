"""The gate in front of the application: nobody waits without end, and whoever cannot be served soon is told so at once.

A server that takes every request in makes all of them late: by the time a person's turn comes, the person has gone and
pressed again. So each request has a time to wait; one that is older when its turn comes, and one for which there is no
room, gets a page that was made before the rush: 503, Retry-After, what to do, and it loads itself again.

Order and room belong to the server (worker/lanes.py): it knows what is waiting. It says here, by `came`, when a request
arrived and whether it has room. Any other WSGI server is bounded by the number of requests in progress.
Static files and the health pages are never turned away.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from booking.clock import seconds_since

NEVER_SHED = ("/healthz", "/readyz", "/robots.txt", "/static/", "/favicon")
BODY_KEPT = 16 * 1024
ARRIVED, BESIDE = "booking.arrived", "booking.beside"
CROWD = 3
"""So many others in the same process at once are a crowd: what is drawn for one then keeps all of them waiting."""

_here = threading.local()


def came(at: float, *, room: bool) -> None:
    """Say when the request that this thread is about to serve arrived (monotonic seconds), and whether there is room."""
    _here.at, _here.room = at, room


def arrived(environ: dict[str, Any]) -> float:
    """When a request arrived at this process, by `time.monotonic()`."""
    at = environ.get(ARRIVED)
    return at if isinstance(at, float) else time.monotonic()


def is_crowded(environ: dict[str, Any]) -> bool:
    """Whether many others were being served here when this request's turn came: the time to answer shortly."""
    beside = environ.get(BESIDE, 0)
    return isinstance(beside, int) and beside >= CROWD


def is_exempt(path: str) -> bool:
    """Whether requests of this path are never turned away."""
    return path.startswith(NEVER_SHED)


class Gate:
    """WSGI: lets a request through, or answers it itself.

    `wait_seconds`: how old a request may be when its turn comes; `at_once`: how many may be in progress in this process;
    `trusts_proxy`: whether `X-Request-Start: t=seconds` was set by a proxy of ours.
    """

    def __init__(
        self, app: Any, *, wait_seconds: float, at_once: int, trusts_proxy: bool, page: BusyPage
    ) -> None:
        self.app, self.page = app, page
        self.wait_seconds, self.at_once, self.trusts_proxy = wait_seconds, at_once, trusts_proxy
        self.lock = threading.Lock()
        self.inside = 0
        self.shed = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve or shed one request."""
        at, room = getattr(_here, "at", None), getattr(_here, "room", True)
        _here.at, _here.room = None, True  # what the server said counts once
        environ[ARRIVED] = at = time.monotonic() if at is None else at
        if is_exempt(environ["PATH_INFO"]):
            return self.app(environ, start_response)
        if not room or self._waited(environ, at) > self.wait_seconds:
            return self._turn_away(environ, start_response)
        with self.lock:
            environ[BESIDE] = self.inside
            room = self.inside < self.at_once
            self.inside += room
        if not room:
            return self._turn_away(environ, start_response)
        try:
            return self.app(environ, start_response)
        finally:
            with self.lock:
                self.inside -= 1

    def _waited(self, environ: dict[str, Any], at: float) -> float:
        here = time.monotonic() - at
        if not self.trusts_proxy:
            return here
        said = environ.get("HTTP_X_REQUEST_START", "").removeprefix("t=")
        try:
            # two machines' clocks: an answer that cannot be true is left out
            before = seconds_since(float(said))
        except (ValueError, OverflowError):
            return here
        return before if here < before < 120 else here

    def _turn_away(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self.lock:
            self.shed += 1
        return self.page.answer(environ, start_response)


class BusyPage:
    """The page that says: many people at this moment, nothing is lost, this is what to do. Made once, at the start."""

    def __init__(self, *, site: str, styles: tuple[str, ...], retry_seconds: int) -> None:
        links = "".join(f'<link rel="stylesheet" href="{escape(one)}">' for one in styles)
        self.retry_seconds = retry_seconds
        self.before = (
            '<!doctype html>\n<html lang="zh-CN" data-mode="{mode}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
            f"<title>请稍等 - {escape(site)}</title>{links}</head><body>"
            f'<header class="top"><div class="top-in"><a class="logo" href="/">{escape(site)}</a></div></header>'
            '<main id="main" class="page page--one"><div class="oops" role="status">'
        )
        self.after = (
            '<p class="note">已有的预约不受影响。突发急症请直接拨打 <a class="sos" href="tel:120">120</a> 或前往急诊。</p>'
            '<p class="note" lang="en">Existing appointments are not affected. In an emergency call 120.</p>'
            "</div></main></body></html>\n"
        )

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer 503 with Retry-After. A page asks again by itself; a form waits for one press, with what was typed."""
        # spread over twice the time: a crowd that is sent away together must not come back together
        seconds = self.retry_seconds + random.randint(0, self.retry_seconds)
        asked_again = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        middle = self._reading(seconds) if asked_again else self._form(environ)
        refresh = f'<meta http-equiv="refresh" content="{seconds}">' if asked_again else ""
        mode = "elder" if "show=elder" in environ.get("HTTP_COOKIE", "") else "standard"
        text = self.before.format(mode=mode, refresh=refresh) + middle + self.after
        body = text.encode()
        start_response(
            "503 Service Unavailable",
            [
                ("Content-Type", "text/html; charset=utf-8"),
                ("Content-Length", str(len(body))),
                ("Retry-After", str(seconds)),
                ("Cache-Control", "private, no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "same-origin"),
                (
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
                ),
            ],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _reading(self, seconds: int) -> str:
        return (
            "<h1>现在访问的人很多，请稍等</h1>"
            f"<p>不用做什么，{seconds} 秒后自动再打开这一页。</p>"
            f'<p lang="en">Very busy right now. This page opens again by itself in {seconds} seconds.</p>'
            '<p class="empty-go"><a class="btn btn--go" href="">现在再试 <span lang="en">Try now</span></a></p>'
        )

    def _form(self, environ: dict[str, Any]) -> str:
        said = (
            "<h1>现在操作的人很多，这一步还没有办成</h1>"
            "<p>刚才的操作没有执行，没有重复预约。请等几秒，再点一次下面的按钮。</p>"
            '<p lang="en">Very busy right now. Nothing was done yet. Wait a few seconds, then press once more.</p>'
        )
        kept = _typed(environ)
        if kept is None:
            where = _own_path(environ)
            return (
                f'{said}<p class="empty-go"><a class="btn btn--go" href="{where}">'
                '回上一页 <span lang="en">Back</span></a></p>'
            )
        address = escape(environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"])
        query = escape(environ.get("QUERY_STRING", ""))
        fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in kept
        )
        return (
            f'{said}<form method="post" action="{address}{"?" if query else ""}{query}">{fields}<p class="empty-go">'
            '<button class="btn btn--go">再试一次 <span lang="en">Try again</span></button></p></form>'
        )


def _typed(environ: dict[str, Any]) -> list[tuple[str, str]] | None:
    """What the form held, or None when it cannot be shown again: no plain form, too long, or with a password in it."""
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    length = environ.get("CONTENT_LENGTH", "")
    if kind != "application/x-www-form-urlencoded" or not length.isdecimal() or int(length) > BODY_KEPT:
        return None
    try:
        fields = parse_qsl(environ["wsgi.input"].read(int(length)).decode(), keep_blank_values=True)
    except (OSError, ValueError):
        return None
    return None if any(name == "password" for name, _value in fields) else fields


def _own_path(environ: dict[str, Any]) -> str:
    """The page the form came from when it is one of ours, else the first page."""
    try:
        there = urlsplit(environ.get("HTTP_REFERER", ""))
    except ValueError:
        return "/"
    if (
        there.netloc != environ.get("HTTP_HOST", "")
        or not there.path.startswith("/")
        or there.path[1:2] in ("/", "\\")
    ):
        return "/"
    return escape(there.path + (f"?{there.query}" if there.query else ""))
