"""Large print, light or dark: one button each, and back to where one was."""

from __future__ import annotations

from flask import Blueprint, current_app, redirect, request
from flask.typing import ResponseReturnValue

from booking.web import frame
from booking.web.inputs import local_path

blueprint = Blueprint("display", __name__)

KEEP_SECONDS = 365 * 24 * 3600


@blueprint.post("/display")
def switch() -> ResponseReturnValue:
    """Switch `mode` (elder, standard) or `theme` (light, dark) for this browser, then go `back` on this site."""
    now = frame.display()
    mode = request.form.get("mode", now.mode)
    theme = request.form.get("theme", now.theme)
    kept = frame.Display(
        mode if mode in frame.MODES else now.mode, theme if theme in frame.THEMES else now.theme
    )
    answer = redirect(local_path(request.form.get("back"), "/"), code=303)
    answer.set_cookie(
        "show",
        f"{kept.mode}.{kept.theme}",
        max_age=KEEP_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
    )
    return answer
