"""Filling the sentences of templates/notices/."""

from __future__ import annotations

import re
from typing import Any

from flask import current_app


def fill(name: str, words: dict[str, Any]) -> str:
    """Render without the pages' context processors: there is no request here."""
    return current_app.jinja_env.get_template(f"notices/{name}").render(**words)


def lines_of(text: str) -> list[str]:
    """Return the lines of a filled template that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def one_line(text: str) -> str:
    """Join the template's lines without a space, as Chinese is written."""
    return re.sub(r" {2,}", " ", "".join(lines_of(text)))
