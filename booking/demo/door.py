"""The demo's own pages and what it adds to every page; nothing here exists outside the demo configuration."""

from flask import Flask


def register_demo(app: Flask) -> None:
    """Attach the demo's pages and commands; does nothing outside the demo configuration."""
