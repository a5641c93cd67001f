"""The patient pages: one blueprint per file, each view parses, calls one verb or query, and renders."""

from flask import Flask


def register_web(app: Flask) -> None:
    """Attach this door's blueprints to the application."""
