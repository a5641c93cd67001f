"""`flask doctor`: whether every invariant of the reservation core holds; reads only unless it is asked to repair."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import date

import click
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from booking.appointments.checkup import MOST_ROWS, Finding, check_up
from booking.db import db, end_read
from booking.directory.models import Hospital
from booking.notices.reconcile import sweep

SHOWN = 20


@click.command(
    "doctor",
    help="Check every invariant of the bookings. Reads only, unless --repair; safe beside a busy system.",
)
@click.option("--hospital", "slug", help="Only this hospital, by its slug as in /h/<slug>.")
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds each question may take.",
)
@click.option(
    "--repair", is_flag=True, help="First put the letters that visits lack (may be cut off and begun again)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding.")
@with_appcontext
def doctor_command(slug: str | None, timeout: float, repair: bool, as_json: bool) -> None:
    """Print each invariant with what breaks it, by ids only; exit 0 when all hold, 1 when not or not known."""
    try:
        names = {row.id: row.slug for row in db.session.execute(select(Hospital.id, Hospital.slug))}
        end_read()
        ids = {name: number for number, name in names.items()}
        if slug is not None and slug not in ids:
            raise click.ClickException(
                f"没有网址短名为 {slug} 的医院。已有：{'、'.join(ids) or '（还没有）'}"
            )
        if repair:
            _repair([ids[slug]] if slug else list(ids.values()))
        findings = list(check_up(ids[slug] if slug else None, seconds=timeout))
    except SQLAlchemyError as problem:
        raise click.ClickException("数据库没有回答，什么也没有检查。") from problem
    for line in _as_json(findings, names) if as_json else _as_text(findings, names):
        click.echo(line)
    sys.exit(not all(one.holds for one in findings))


def _repair(hospitals: Iterable[int]) -> None:
    """Put what visits lack, hospital by hospital, and say on the error channel how far it is."""
    for hospital_id in hospitals:
        found = sweep(hospital_id, say=_progress)
        if found.looked_at:
            said = f"看过 {found.looked_at} 个预约，{found.lacking} 个缺通知，补上 {found.put} 条"
            click.echo(f"医院 {hospital_id}：{said}", err=True)


def _progress(slug: str, day: date, looked_at: int, put: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{slug} {day} 看过 {looked_at} 补上 {put}", err=True, nl=False)


def _as_json(findings: Iterable[Finding], names: dict[int, str]) -> Iterable[str]:
    for one in findings:
        said = {
            "rule": one.invariant.rule,
            "name": one.invariant.name,
            "hospital": names.get(one.hospital_id) if one.hospital_id is not None else None,
            "state": "unread" if one.unread else "broken" if one.rows else "holds",
            "rows": [list(row) for row in one.rows],
            "seconds": round(one.seconds, 3),
        }
        yield json.dumps(said, ensure_ascii=False)


def _as_text(findings: list[Finding], names: dict[int, str]) -> Iterable[str]:
    wrong = unread = 0
    for title in dict.fromkeys(one.invariant.title for one in findings):
        mine = [one for one in findings if one.invariant.title == title]
        rule = mine[0].invariant
        broken, late = [one for one in mine if one.rows], [one for one in mine if one.unread]
        mark = "✗" if broken else "?" if late else "✓"
        yield f"{mark} {rule.rule:<4}{rule.says}"
        for one in broken:
            wrong += 1
            count = f"{len(one.rows)} 处" if len(one.rows) < MOST_ROWS else f"至少 {MOST_ROWS} 处"
            where = names.get(one.hospital_id, "") if one.hospital_id is not None else "全平台"
            yield f"      {where} {count}：{rule.name}"
            yield from (f"        {' '.join(row)}" for row in one.rows[:SHOWN])
            if len(one.rows) > SHOWN:
                yield "        …"
        if late:
            unread += len(late)
            yield f"      {len(late)} 家没有在规定时间内查完，可用 --timeout 放宽后再试"
    if wrong or unread:
        yield f"有问题：{wrong} 项不成立，{unread} 项没有查完。编号的含义和处理见 docs/storm.md。"
    else:
        yield f"全部成立：{len(findings)} 项，{len(names)} 家医院。"
