"""`flask release`: check a published draw from its file alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from booking.appointments.draw_check import check

release_group = AppGroup("release", help="Releases: check a published draw.")


@release_group.command("verify", help="Replay a published draw from its FILE (JSON) and say PASS or FAIL.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--commitment", default="", help="The commitment you noted before the draw, to compare with.")
@click.option("--token", default="", help="Say also what this anonymous token got.")
def verify_command(file: Path, commitment: str, token: str) -> None:
    """Check seed, list, order and result; ends with 0 for PASS and 1 for FAIL. Asks no database."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = None
    done = check(said, commitment)
    for fine, sentence in done.lines:
        click.echo(f"{'✓' if fine else '✗'} {sentence}")
    if token and isinstance(said, dict):
        click.echo(_of_token(said, token.strip().lower()))
    click.echo("PASS 通过：按公布的种子和名单重算，结果完全一致。" if done.passed else "FAIL 不通过。")
    sys.exit(0 if done.passed else 1)


def _of_token(file: dict[str, Any], token: str) -> str:
    entries = file.get("entries")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("token") == token:
            result = entry.get("result")
            got = f"抽中 {result}" if result else "没有抽中"
            return f"抽签号 {token}：第 {entry.get('rank')} 位，{got}"
    return f"名单里没有抽签号 {token}"
