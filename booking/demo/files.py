"""The demo's own texts, beside this file, and how far their loading is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

Say = Callable[[str, float], None]
"""Told what is being loaded and which share of it is done (0 to 1)."""


def read(name: str) -> Any:
    """Return what `<name>.json` holds."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
