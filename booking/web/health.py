"""For machines: is the process alive, can it serve, what may be searched."""

from __future__ import annotations

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from booking.clock import db_now
from booking.db import db

blueprint = Blueprint("health", __name__)

ROBOTS = """User-agent: *
Disallow: /me
Disallow: /book
Disallow: /login
Disallow: /find
Disallow: /w/
Disallow: /search
Disallow: /ask
Disallow: /staff
"""


def _plain(text: str, status: int = 200) -> Response:
    return Response(text, status, mimetype="text/plain", headers={"Cache-Control": "no-store"})


@blueprint.get("/healthz")
def alive() -> ResponseReturnValue:
    """Say that the process answers; asks nothing of anybody."""
    return _plain("ok\n")


@blueprint.get("/readyz")
def ready() -> ResponseReturnValue:
    """Say whether the database answers; 503 when it does not."""
    try:
        db_now(db.session())
    except SQLAlchemyError:
        current_app.logger.exception("not ready: the database does not answer")
        db.session.remove()
        return _plain("the database does not answer\n", 503)
    return _plain("ready\n")


@blueprint.get("/robots.txt")
def robots() -> ResponseReturnValue:
    """Ask search engines to leave personal pages and endless lists alone."""
    return Response(ROBOTS, mimetype="text/plain")
