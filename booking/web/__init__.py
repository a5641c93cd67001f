"""The patient pages: one blueprint per file, each view parses, calls one verb or query, and renders."""

from flask import Flask

from booking.refs import CONVERTERS
from booking.web import (
    appointments,
    articles,
    change,
    departments,
    display,
    doctors,
    draws,
    find,
    frame,
    health,
    home,
    hospitals,
    login,
    messages,
    metrics,
    no_shows,
    pages,
    patients,
    questions,
    receipts,
    releases,
    reserve,
    search,
    settings,
    waiting,
    wechat,
    wishes,
)

BLUEPRINTS = (
    home.blueprint,
    questions.blueprint,
    departments.blueprint,
    doctors.blueprint,
    hospitals.blueprint,
    articles.blueprint,
    search.blueprint,
    pages.blueprint,
    reserve.blueprint,
    draws.blueprint,
    releases.blueprint,
    appointments.blueprint,
    change.blueprint,
    no_shows.blueprint,
    waiting.blueprint,
    wishes.blueprint,
    find.blueprint,
    login.blueprint,
    patients.blueprint,
    messages.blueprint,
    settings.blueprint,
    wechat.blueprint,
    display.blueprint,
    health.blueprint,
    metrics.blueprint,
    receipts.blueprint,
)

MACHINES = (receipts.blueprint,)
"""Doors that programs use: they carry a signature of their own and no forgery token."""


def register_web(app: Flask) -> None:
    """Attach this door's blueprints, its converters and its frame to the application."""
    app.url_map.converters.update(CONVERTERS)
    frame.dress(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
