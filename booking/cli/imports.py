"""`flask import`: bring questions, hospitals, departments and doctors from files."""

from __future__ import annotations

from flask.cli import AppGroup

import_group = AppGroup("import", help="Bring in questions, hospitals, departments and doctors from a file.")
