"""The patient pages: one blueprint per file, each view parses, calls one verb or query, and renders."""

from flask import Flask

from booking.refs import CONVERTERS
from booking.web import display, frame, health

BLUEPRINTS = (display.blueprint, health.blueprint)


def register_web(app: Flask) -> None:
    """Attach this door's blueprints, its converters and its frame to the application."""
    app.url_map.converters.update(CONVERTERS)
    frame.dress(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
