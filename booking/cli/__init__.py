"""Terminal commands; each file of this folder is one group and is named here."""

from __future__ import annotations

from flask import Flask

from booking.cli.imports import import_group


def register_commands(app: Flask) -> None:
    """Attach the terminal commands to `flask`."""
    app.cli.add_command(import_group)
