"""create_app(): settings, extensions, doors. Nothing else knows them all."""

from __future__ import annotations

from gettext import NullTranslations
from wsgiref.headers import Headers

from flask import Flask, g
from flask_babel import Babel, Domain
from flask_migrate import Migrate
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

import booking.models
import config
from booking import clock, failpoints, outbox, vault
from booking.cli import register_commands
from booking.db import Instant, Json, Sealed, db
from booking.demo.door import register_demo
from booking.desk import register_desk
from booking.gate import BusyPage, Gate
from booking.limits import limiter
from booking.notices.senders.choose import optional_channels
from booking.notices.template_check import filing_problems
from booking.web import MACHINES, register_web
from booking.web.frame import asset

csrf = CSRFProtect()
babel = Babel()


def _render_type(kind: str, item: object, _autogen: object) -> str | bool:
    """Keep our own column types out of migrations: a migration must run when these classes have moved on."""
    if kind == "type" and isinstance(item, Sealed | Json):
        return "sa.Text()"
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    return False


migrate = Migrate(
    directory=str(config.ROOT / "migrations"),
    render_item=_render_type,
    render_as_batch=False,
    compare_type=False,
)


def _static_headers(headers: Headers, _path: str, _url: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"


def _gate(app: Flask) -> Gate:
    with app.test_request_context():
        styles = (asset("css/tokens.css"), asset("css/app.css"))
    return Gate(
        app.wsgi_app,
        wait_seconds=app.config["WAIT_SECONDS"],
        at_once=app.config["REQUESTS_AT_ONCE"],
        trusts_proxy=app.config["TRUSTED_PROXIES"] > 0,
        page=BusyPage(
            site=app.config["SITE_NAME"], styles=styles, retry_seconds=app.config["RETRY_AFTER_SECONDS"]
        ),
    )


def _ensure_templates(app: Flask) -> None:
    """Refuse to start where a carrier of approved templates would refuse our texts. Raises config.Refused."""
    if app.config["TESTING"] or app.config["DEMO"]:
        return
    with app.app_context():
        found = filing_problems(app.config)
    if found:
        raise config.Refused("\n".join(found))


_domain = Domain()


def _translations() -> NullTranslations:
    """Return the words of this request, looked up once: a page asks for some two hundred of them."""
    if "words" not in g:
        g.words = _domain.get_translations()
    words: NullTranslations = g.words
    return words


def _word(text: str) -> str:
    return _translations().gettext(text)


def _words(one: str, many: str, count: int) -> str:
    return _translations().ngettext(one, many, count)


def create_app(settings: config.Settings | None = None) -> Flask:
    """Return the web application for `settings` (default: named by the environment)."""
    settings = settings or config.from_environment()
    app = Flask("booking", root_path=str(config.ROOT), template_folder="templates", static_folder="static")
    app.config.from_object(settings)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True

    vault.set_keys(app.config["FIELD_KEYS"])
    clock.allow_moving(app.config["DEMO"])
    failpoints.arm(app.config["FAILPOINTS"])
    outbox.offer(optional_channels(app.config))
    outbox.expect_receipts(app.config["RECEIPTS_FROM"])
    db.init_app(app)
    migrate.init_app(app, db)
    csrf.init_app(app)
    for door in MACHINES:
        csrf.exempt(door)
    babel.init_app(app)
    app.jinja_env.install_gettext_callables(_word, _words, newstyle=True)  # type: ignore[attr-defined]
    limiter.init_app(app)

    register_web(app)
    register_desk(app)
    register_demo(app)
    register_commands(app)

    _ensure_templates(app)

    if app.config["TRUSTED_PROXIES"]:
        hops = app.config["TRUSTED_PROXIES"]
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.wsgi_app = _gate(app)  # type: ignore[method-assign]
    if not app.config["TESTING"]:
        app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
            app.wsgi_app,
            root=config.ROOT / "static",
            prefix="static/",
            max_age=31536000,
            autorefresh=False,
            allow_all_origins=False,
            add_headers_function=_static_headers,
        )
    return app


__all__ = ["booking", "create_app"]
