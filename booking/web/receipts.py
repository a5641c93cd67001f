"""Where providers call back: receipts of letters, and what people write back. For machines alone: no session, no token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import RequestEntityTooLarge

from booking.db import db
from booking.notices import callbacks
from booking.notices.callbacks import NotReadable
from booking.notices.receipts import record_receipts
from booking.notices.replies import answer_replies, keep_replies

blueprint = Blueprint("receipts", __name__)


class NotYet(Exception):
    """Something is told of a letter before anybody here can know which; the rest has been taken."""


@blueprint.post("/receipts/<provider>")
@blueprint.post("/receipts/<provider>/<secret>")
def record(provider: str, secret: str = "") -> ResponseReturnValue:
    """Keep the receipts of a provider. One about no letter of ours is taken too: refused, it would come again and again."""

    def keep(body: bytes) -> dict[str, Any]:
        taken = record_receipts(provider, callbacks.receipts(provider, body))
        if taken.early:
            raise NotYet
        return {"kept": taken.kept, "repeated": taken.repeated, "unknown": taken.unknown}

    return _taken_from(provider, secret, keep)


@blueprint.post("/replies/<provider>")
@blueprint.post("/replies/<provider>/<secret>")
def answer(provider: str, secret: str = "") -> ResponseReturnValue:
    """Keep what people wrote back, then act on it; what cannot be acted on now is kept, and a worker goes on with it."""

    def keep(body: bytes) -> dict[str, Any]:
        new = keep_replies(provider, callbacks.words(provider, body))
        if new:
            answer_replies()
        return {"kept": new}

    return _taken_from(provider if current_app.config["SMS_REPLIES"] else "", secret, keep)


def _taken_from(provider: str, secret: str, take: Callable[[bytes], dict[str, Any]]) -> ResponseReturnValue:
    """Answer a provider's call: 401 unless it is genuine, 404 where none is set up, 400 for what cannot be read, 413 for
    too much, 503 when it should come again. Whatever is not 200 has changed nothing."""
    g.path_for_the_log = f"{request.path.split('/')[1]} of {provider[:20]}"  # the address may carry a secret
    key = callbacks.key_of(provider, current_app.config)
    if not key:
        return _said(404, "no such provider here")
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return _said(413, "too much at once")
    said = {
        "stamp": request.headers.get("X-Timestamp", ""),
        "signed": request.headers.get("X-Signature", ""),
    }
    if not callbacks.is_genuine(provider, key, body, secret=secret, **said):
        return _said(401, "signature or secret is wrong, or too old")
    try:
        taken = take(body)
    except NotReadable as problem:
        return _said(400, problem.why)
    except (SQLAlchemyError, NotYet) as problem:
        if not isinstance(problem, NotYet):
            current_app.logger.exception("%s not taken", g.path_for_the_log)
            db.session.remove()
        answer = jsonify({"error": "come again"})
        answer.headers["Retry-After"] = str(current_app.config["RETRY_AFTER_SECONDS"])
        return answer, 503
    return jsonify(callbacks.answer(provider) | taken)


def _said(status: int, why: str) -> ResponseReturnValue:
    return jsonify({"error": why}), status
