"""The staff pages of a hospital: week, session editor, templates, day list; each view calls one verb or query."""

from __future__ import annotations

from flask import Blueprint, Flask

from booking.desk import (
    appointments,
    booking,
    calls,
    day,
    delivery,
    draws,
    mine,
    no_shows,
    previews,
    sessions,
    sign_in,
    stops,
    templates,
    waiting,
    week,
)
from booking.desk.frame import dress


def register_desk(app: Flask) -> None:
    """Attach this door's blueprints to the application."""
    desk = Blueprint("desk", __name__, url_prefix="/staff")
    dress(desk)
    for room in (
        draws,
        sign_in,
        week,
        sessions,
        stops,
        templates,
        day,
        appointments,
        previews,
        no_shows,
        mine,
        waiting,
        booking,
        calls,
        delivery,
    ):
        desk.register_blueprint(room.blueprint)
    app.register_blueprint(desk)
