"""Terminal commands; each file of this folder is one group and is named here."""

from __future__ import annotations

from flask import Flask

from booking.cli.demo import demo_group
from booking.cli.doctor import doctor_command
from booking.cli.imports import import_group
from booking.cli.notices import notices_group
from booking.cli.release import release_group
from booking.cli.staff import staff_group


def register_commands(app: Flask) -> None:
    """Attach the terminal commands to `flask`."""
    for group in (demo_group, doctor_command, import_group, notices_group, release_group, staff_group):
        app.cli.add_command(group)
