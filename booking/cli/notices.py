"""flask notices: the texts as carriers want them filed, one letter over every channel to see whether it arrives, webhooks."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup

from booking.cli.try_channels import test_command
from booking.directory.webhooks import set_webhook
from booking.errors import BadInput, NotFound
from booking.notices.approved import DESCRIBED, Description, Unreadable, approved, described
from booking.notices.segments import segments_of
from booking.notices.senders.webhook import NotAllowed, target
from booking.notices.short_text import LONGEST_HOST
from booking.notices.template_check import Variant, filled, kinds, problems, variants

notices_group = AppGroup("notices", help="Letters: texts to file with carriers, and a test of every channel.")
notices_group.add_command(test_command)
_PLACE = re.compile(r"\$\{[a-z_0-9]+\}")


@notices_group.command("templates")
@click.option("--carrier", type=click.Choice(["alibaba", "tencent"]), default="alibaba", show_default=True)
@click.option(
    "--format", "shape", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True
)
@click.option("--write", is_flag=True, help="Write the texts into templates/notices/sms_templates.toml.")
def templates_command(carrier: str, shape: str, write: bool) -> None:
    """Print every short message as it is filed with a carrier (模板报备), with an example of each.

    Ends with an error when the description no longer fits the sentences, or a carrier would refuse a text.
    """
    try:
        description = described()
        if write:
            DESCRIBED.write_text(
                _written(DESCRIBED.read_text(encoding="utf-8"), description), encoding="utf-8"
            )
            described.cache_clear()
            description = described()
        ids = approved(current_app.config).ids.get(carrier, {})
    except Unreadable as problem:
        raise click.ClickException(str(problem)) from problem
    rows = [_row(one, carrier, ids.get(one.name, "")) for one in _all(description)]
    if shape == "json":
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    elif shape == "csv":
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(["name", "type", "text", "variables", "example", "messages", "id"])
        for row in rows:
            sorts = "; ".join(f"{one['place']} {one['sort']} ≤{one['longest']}" for one in row["variables"])
            writer.writerow(
                [row["name"], row["type"], row["text"], sorts, row["example"], row["messages"], row["id"]]
            )
        click.echo(table.getvalue(), nl=False)
    else:
        for row in rows:
            click.echo(
                f"{row['name']}  ({row['type']}, {row['messages']} 条{'，' + row['id'] if row['id'] else ''})"
            )
            click.echo(f"  {row['text']}")
            click.echo(f"  例：{row['example']}")
    found = problems(current_app.config, description, None)
    if found:
        raise click.ClickException("\n".join(found))


@notices_group.command("webhook")
@click.argument("slug")
@click.option("--url", help="Where the hospital's own system listens.")
@click.option("--off", is_flag=True, help="Tell it no longer.")
def webhook_command(slug: str, url: str | None, off: bool) -> None:
    """Let the hospital SLUG's own system hear of each change, and print the secret it checks our calls with, once.

    A repeat makes a new secret.
    """
    if bool(url) == off:
        raise click.UsageError("Name --url or --off.")
    try:
        if url:
            target(url, current_app.config)
        secret = set_webhook(slug, url or "")
    except NotAllowed as problem:
        raise click.ClickException(f"{problem}.") from problem
    except NotFound as problem:
        raise click.ClickException("No hospital has this short name.") from problem
    except BadInput as problem:
        raise click.ClickException("The address is too long.") from problem
    click.echo(secret or "Nobody is told any longer.")


def _all(description: Description) -> list[Variant]:
    return [one for kind in kinds() for one in variants(kind, description)]


def _row(one: Variant, carrier: str, known: str) -> dict[str, Any]:
    """One text as a carrier's form wants it; Tencent Cloud numbers the places, Alibaba Cloud names them."""
    settings = current_app.config
    places = [
        {
            "place": f"{{{number}}}" if carrier == "tencent" else f"${{{name}}}",
            "name": name,
            "example": example,
        }
        for number, (name, example) in enumerate(one.example.variables, 1)
    ]
    description = described()
    for place, (_, longest) in zip(places, one.longest.variables, strict=True):
        word = description.word(one.kind, str(place["name"])) or description.words[str(place["name"])]
        place |= {"sort": word.sort, "longest": len(longest)}  # type: ignore[dict-item]
    text = filled(one.filed, {str(place["name"]): str(place["place"]) for place in places}, settings)
    example = f"【{settings['SMS_SIGNATURE']}】{filled(one.filed, dict(one.example.variables), settings)}"
    return {
        "name": one.name,
        "type": "验证码" if one.kind == "code" else "通知",
        "text": text,
        "variables": places,
        "example": example,
        "messages": segments_of(example),
        "id": known,
    }


def _written(text: str, description: Description) -> str:
    """Return the description with the texts of today; how many messages one may take is kept where it is enough.

    What a text takes is counted with room for the longest address of a site.
    """
    kept = {one.name: one.segments for one in description.templates}
    roomy = current_app.config | {"PUBLIC_URL": f"https://{'x' * LONGEST_HOST}"}
    parts = [text.split("\n[[template]]\n", 1)[0].rstrip() + "\n"]
    for one in _all(description):
        signature = current_app.config["SMS_SIGNATURE"]
        longest = f"【{signature}】{filled(one.filed, dict(one.longest.variables), roomy)}"
        parts.append(
            f"[[template]]\nname = {json.dumps(one.name)}\ntext = {json.dumps(one.filed, ensure_ascii=False)}\n"
            f"segments = {max(kept.get(one.name, 0), segments_of(longest))}\n"
        )
    return "\n".join(parts)
