"""The staff pages of a hospital: week, session editor, templates, day list; each view calls one verb or query."""

from flask import Flask


def register_desk(app: Flask) -> None:
    """Attach this door's blueprints to the application."""
