"""`flask demo`: load and clear the demo, move its clock, give imported doctors clinics."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from booking.demo import imported, load, moving
from booking.errors import Refusal

demo_group = AppGroup("demo", help="The demo: load, clear, move its clock.")


def _only_in_demo() -> None:
    if not current_app.config["DEMO"]:
        raise click.ClickException("这不是演示环境（APP_ENV=production），demo 命令在这里不能用。")


@demo_group.command("load", help="Empty the system and load the demo.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def load_command(yes: bool) -> None:
    """Load the demo into an empty system; anything that is there is removed first."""
    _only_in_demo()
    if load.rows() and not yes:
        click.confirm(f"现有的 {load.rows()} 行数据会全部删除，再装入演示数据。继续吗？", abort=True)
    load.load_demo(load.progress())
    click.echo("\n".join(load.lines(current_app.config["PUBLIC_URL"])))


@demo_group.command("clear", help="Remove every row, keep the schema: ready for a real hospital.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear_command(yes: bool) -> None:
    """Empty the system; it stays empty until `flask demo load`."""
    _only_in_demo()
    if not yes:
        click.confirm(f"现有的 {load.rows()} 行数据会全部删除，不能恢复。继续吗？", abort=True)
    count = load.clear_all()
    click.echo(f"已删除 {count} 行，系统是空的，重新启动也不会再装入演示数据。")
    click.echo("带入自己的数据：flask import hospitals 文件，flask import doctors 文件，flask staff add")


@demo_group.command("advance", help="Move the demo's clock forward: 90m, 23h, 2d.")
@click.argument("by")
def advance_command(by: str) -> None:
    """Move the clock; due letters go out within seconds."""
    _only_in_demo()
    try:
        moving.advance_clock(moving.read_span(by))
    except Refusal as refusal:
        raise click.ClickException(refusal.text) from refusal
    click.echo(f"{moving.moved_sentence()}。到点的消息会在几秒内发出。")


@demo_group.command("reset", help="Put the demo's clock back to the real time.")
def reset_command() -> None:
    """Put the clock back; a repeat changes nothing."""
    _only_in_demo()
    moving.reset_clock()
    click.echo(f"演示时钟已复位，现在是 {moving.now_words()}。已经发出的消息不会收回。")


@demo_group.command("schedule", help="Give doctors weekly clinics and make their coming sessions.")
@click.option(
    "--imported", is_flag=True, required=True, help="Doctors that came with an import and have none."
)
@click.option(
    "--limit", type=click.IntRange(1), default=500, show_default=True, help="How many doctors at most."
)
def schedule_command(imported: bool, limit: int) -> None:
    """Give imported doctors clinics; departments without clinics get none. A repeat finds nothing left to do."""
    _only_in_demo()
    done = imported_schedule(limit)
    click.echo(
        f"{done.doctors} 位医生有了出诊，新增 {done.sessions} 个班次；{done.without} 位所在科室不开门诊，页面会引到科室。"
    )
    if done.left:
        click.echo(f"还有 {done.left} 位没有排，再运行一次继续，或用 --limit 调大。")


def imported_schedule(limit: int) -> imported.Done:
    """Run the schedule of imported doctors with a progress bar."""
    with click.progressbar(length=100, label="排班") as bar:
        shown = [0]

        def say(_what: str, share: float) -> None:
            step = int(share * 100) - shown[0]
            shown[0] += step
            bar.update(step)

        return imported.give_clinics(limit, say)
