"""What every answer shares: the names templates use, safe headers, freshness, and pages for what went wrong."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, current_app, g, render_template, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask.wrappers import Request, Response
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy.exc import OperationalError, SQLAlchemyError, TimeoutError
from werkzeug.exceptions import HTTPException

from booking import clock, wording
from booking.db import db
from booking.errors import Refusal
from booking.limits import limiter
from booking.web.inputs import plain
from booking.web.session import me, now

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""No inline script or style anywhere; `application/ld+json` blocks are no scripts to this policy."""

PERSONAL = ("/me", "/book", "/hold", "/login", "/logout", "/find", "/wait", "/staff", "/demo")
FRESH_TOKEN_EVERY = 6 * 3600
FRESH_COOKIE_EVERY = 24 * 3600
MODES, THEMES = ("elder", "standard"), ("light", "dark")


@dataclass(frozen=True)
class Display:
    """How this browser wants its pages: large print or not, light, dark or as the system says."""

    mode: str
    theme: str


def dress(app: Flask) -> None:
    """Give the application its frame: template names, headers, error pages."""
    app.jinja_env.globals["asset"] = asset  # a global: imported macros see no context
    app.context_processor(_names)
    app.after_request(_finish)
    app.session_interface = _Sessions()
    app.register_error_handler(Refusal, refused)
    app.register_error_handler(CSRFError, _stale)
    app.register_error_handler(RateLimitExceeded, _too_fast)
    app.register_error_handler(HTTPException, _failed)
    app.register_error_handler(SQLAlchemyError, _database_failed)
    app.register_error_handler(Exception, _broken)


# --- names for the templates -----------------------------------------------------------------------------------------


def display() -> Display:
    """Return the display settings of this browser, from its own cookie."""
    mode, _dot, theme = request.cookies.get("show", "").partition(".")
    return Display(mode if mode in MODES else "standard", theme if theme in THEMES else "")


def asset(name: str) -> str:
    """Return the address of a static file, with its content's hash so that it may be kept for a year."""
    folder = current_app.static_folder or ""
    mark = _hash(folder, name) if not current_app.debug else _hash.__wrapped__(folder, name)
    return f"{request.script_root}/static/{name}?v={mark}"


@cache
def _hash(folder: str, name: str) -> str:
    try:
        with open(f"{folder}/{name}", "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:12]
    except OSError:
        return "0"


def _names() -> dict[str, Any]:
    bare = "bare_frame" in g  # the database is away: the frame must not ask it
    return {
        "site": {"name": current_app.config["SITE_NAME"], "phone": current_app.config["HELP_PHONE"]},
        "me": None if bare else me(),
        "display": display(),
    }


# --- headers ---------------------------------------------------------------------------------------------------------


def _finish(answer: Response) -> Response:
    headers = answer.headers
    headers.setdefault("Content-Security-Policy", CSP)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if current_app.config["SESSION_COOKIE_SECURE"]:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if request.endpoint == "static" or answer.direct_passthrough:
        return answer
    if _is_personal() or request.method not in ("GET", "HEAD") or answer.status_code >= 400:
        headers["Cache-Control"] = "private, no-store"
        if _is_personal():
            headers["X-Robots-Tag"] = "noindex, nofollow"
    elif "Cache-Control" not in headers:
        headers["Cache-Control"] = "private, no-cache"
        if answer.status_code == 200:
            answer.set_etag(_mark(answer), weak=True)
            answer.make_conditional(request)
    return answer


class _Session(SecureCookieSession):
    """What the cookie says, and when it was signed (seconds since 1970; 0 for a new one)."""

    signed_at = 0.0


class _Sessions(SecureCookieSessionInterface):
    """The cookie sessions of Flask, but never in an answer that anybody may keep: a shared cache would hand the cookie on.

    An unchanged cookie is sent again once a day, so that who comes back within half a year stays signed in, and not with
    every answer: to sign it anew takes a tenth of a short one.
    """

    def __init__(self) -> None:
        self.signers: dict[Any, URLSafeTimedSerializer | None] = {}

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        if app.secret_key not in self.signers:
            self.signers[app.secret_key] = super().get_signing_serializer(app)
        return self.signers[app.secret_key]

    def open_session(self, app: Flask, request: Request) -> _Session | None:
        signer = self.get_signing_serializer(app)
        if signer is None:
            return None
        kept = request.cookies.get(self.get_cookie_name(app))
        if not kept:
            return _Session()
        longest = int(app.permanent_session_lifetime.total_seconds())
        try:
            values, signed_at = signer.loads(kept, max_age=longest, return_timestamp=True)
        except BadSignature:
            return _Session()
        opened = _Session(values)
        opened.signed_at = signed_at.timestamp()
        return opened

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        signed_at = getattr(session, "signed_at", 0.0)
        old = clock.seconds_since(signed_at) > FRESH_COOKIE_EVERY
        return session.modified or (session.permanent and old)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if not response.cache_control.public:
            super().save_session(app, session, response)


def _is_personal() -> bool:
    return any(request.path == path or request.path.startswith(f"{path}/") for path in PERSONAL)


def _mark(answer: Response) -> str:
    """The page's mark: its text without the forgery token, which differs at every rendering, and instead of it the
    browser's own part of the token and a step of time, so that a kept page never carries a token near its end."""
    text = answer.get_data()
    token = g.get("csrf_token")
    if token:
        step = int(now().timestamp()) // FRESH_TOKEN_EVERY
        text = text.replace(token.encode(), f"{session.get('csrf_token')}.{step}".encode())
    return hashlib.sha256(text).hexdigest()[:32]


# --- what went wrong -------------------------------------------------------------------------------------------------


def problem(
    status: int,
    heading: str,
    text: str,
    *,
    retry: str = "",
    links: list[dict[str, str]] | None = None,
    **more: Any,
) -> tuple[str, int]:
    """Return the page that says what happened and what to do, with its status."""
    error = {"code": status, "heading": heading, "text": text, "retry": retry}
    shown = {"error": error, "links": links, "near": None} | more
    try:
        return render_template("web/error.html", **shown), status
    except SQLAlchemyError:
        if "bare_frame" in g:
            raise
        g.bare_frame = (
            True  # the page of another trouble met this one: say what it was to say, without the database
        )
        db.session.remove()
        return render_template("web/error.html", **shown), status


def _words(status: int) -> tuple[str, str]:
    known = {
        400: (_("请求看不懂"), _("地址或表单不完整，什么也没有改变。请返回上一页再试一次。")),
        403: (_("不能这样做"), _("你没有做这件事的权限，什么也没有改变。")),
        404: (_("没有找到"), _("这个地址没有内容，可能已经移走，或链接不完整。")),
        405: (_("不能这样打开"), _("这个地址只能由页面上的按钮提交，请回到上一页操作。")),
        409: (_("没有成功"), _("情况刚刚有变化，什么也没有改变。请返回上一页，看看最新的内容。")),
        410: (_("已经结束"), _("这个内容已经不在了。")),
        413: (_("内容太多"), _("提交的内容太大，没有保存。请减少后再试。")),
        422: (_("填写有误"), _("填写的内容有误，请返回检查。")),
        429: (_("操作太快了"), _("请稍等一会儿再试，已经填写的内容没有丢。")),
        500: (_("出错了"), _("这是我们的问题，已经记录。你的操作没有生效，请稍后再试，着急可以打电话。")),
        503: (_("暂时打不开"), _("系统正在忙或维护，已有的预约不受影响。请过一两分钟再试。")),
    }
    return known.get(status) or known[500 if status >= 500 else 400]


def refused(refusal: Refusal) -> ResponseReturnValue:
    """Answer a refusal that no page of its own shows: its sentence, its status, when to come back."""
    heading = _words(refusal.status)[0]
    answer = current_app.make_response(problem(refusal.status, heading, refusal.text))
    seconds = refusal.facts.get("seconds")
    if refusal.status == 429 and isinstance(seconds, int | float):
        answer.headers["Retry-After"] = str(max(1, -int(-seconds // 1)))
    return answer


def _failed(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400 or error.response is not None:
        return error.get_response()
    heading, text = _words(status)
    answer = current_app.make_response(problem(status, heading, text))
    for name in ("Allow", "Retry-After"):
        for kept, value in error.get_headers():
            if kept == name:
                answer.headers[name] = value
    return answer


def _too_fast(error: RateLimitExceeded) -> ResponseReturnValue:
    try:
        real = clock.db_now(db.session()) - clock.offset(db.session())
    except SQLAlchemyError as away:
        return _database_failed(away)
    seconds = max(1, limiter.current_limit.reset_at - int(real.timestamp())) if limiter.current_limit else 60
    heading, _text = _words(429)
    retry = _("请 %(time)s后再试。", time=wording.duration(seconds))
    answer = current_app.make_response(problem(429, heading, _("操作太快了。"), retry=retry))
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _database_failed(error: SQLAlchemyError) -> ResponseReturnValue:
    """The database is away or overloaded: say so without asking it anything. Anything else it says is our mistake."""
    lost = isinstance(error, OperationalError | TimeoutError) or getattr(
        error, "connection_invalidated", False
    )
    return _quietly(error, 503 if lost else 500)


def _broken(error: Exception) -> ResponseReturnValue:
    return _quietly(error, 500)


def _quietly(error: Exception, status: int) -> ResponseReturnValue:
    path = g.get("path_for_the_log", request.path)
    current_app.logger.error("%s %s failed", request.method, path, exc_info=error)
    g.bare_frame = True
    db.session.remove()
    answer = current_app.make_response(problem(status, *_words(status)))
    if status == 503:
        answer.headers["Retry-After"] = str(current_app.config["RETRY_AFTER_SECONDS"])
    return answer


# --- a page that stayed open too long --------------------------------------------------------------------------------


def _stale(error: CSRFError) -> ResponseReturnValue:
    """The forgery token is missing or old. When the form came from our own page, show it again with a fresh token and
    everything that was typed but a password; from elsewhere nothing is repeated."""
    if not _from_our_own_page() or not request.endpoint:
        return problem(400, *_words(400))
    kept = [
        (plain(name), plain(value))
        for name, values in request.form.lists()
        if name not in ("csrf_token", "password")
        for value in values
    ]
    return render_template("web/stale.html", action=request.full_path.rstrip("?"), kept=kept), 400


def _from_our_own_page() -> bool:
    said = request.headers.get("Origin") or request.headers.get("Referer") or ""
    try:
        there = urlsplit(said)
    except ValueError:
        return False
    return (there.scheme, there.netloc) == (request.scheme, request.host)
