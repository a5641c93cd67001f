"""`flask import`: bring questions, hospitals, departments and doctors from files."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from flask.cli import AppGroup
from tqdm import tqdm

from booking.content.importing import import_file
from booking.errors import Refusal

import_group = AppGroup("import", help="Bring in questions, hospitals, departments and doctors from a file.")
NAMES = {"questions": "问答", "hospitals": "医院", "departments": "科室", "doctors": "医生"}
SECONDS_BETWEEN_LINES = 3


def _add(kind: str, about: str) -> None:
    @import_group.command(kind, help=about)
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
    @click.option(
        "--refused", type=click.Path(dir_okay=False, path_type=Path), help="Write refused rows to this file."
    )
    @click.option(
        "--batch", default=500, show_default=True, type=click.IntRange(1, 10000), help="Rows per commit."
    )
    @click.option(
        "--source", default="import", show_default=True, help="Name of the source, kept with each id."
    )
    def command(file: Path, refused: Path | None, batch: int, source: str) -> None:
        _run(kind, file, refused, batch, source)


_add("questions", "Questions with answers: JSONL, CSV, or the plain text of a question page.")
_add("hospitals", "Hospitals, with their departments: JSONL or CSV.")
_add(
    "departments",
    "Departments of hospitals, or standard specialties where no hospital is named: JSONL or CSV.",
)
_add("doctors", "Doctors of hospitals that are already here: JSONL or CSV.")


def _run(kind: str, file: Path, refused: Path | None, batch: int, source: str) -> None:
    if refused and refused.resolve() == file.resolve():
        raise click.ClickException("--refused 不能写到要导入的文件上。")
    began = time.monotonic()
    try:
        with _stopping() as stop, _progress(file) as tell:
            report = import_file(
                kind, file, refused=refused, batch=batch, source=source[:80] or "import", tell=tell, stop=stop
            )
    except Refusal as problem:
        raise click.ClickException(problem.text) from problem
    except OSError as problem:
        raise click.ClickException(f"读写文件时出错：{problem.strerror}（{problem.filename}）。") from problem
    seconds = max(time.monotonic() - began, 0.001)
    if report.resumed_at:
        click.echo(f"接着上次中断的地方，从第 {report.resumed_at + 1} 条开始。")
    click.echo(f"{NAMES[kind]}：{file.name}")
    for line in report.lines("行"):
        click.echo(line)
    click.echo(f"用时 {seconds:.1f} 秒，每秒 {max(report.read - report.resumed_at, 0) / seconds:.0f} 条。")
    if refused and report.counts["refused"]:
        click.echo(f"拒收的行写在 {refused}，改好后可以直接导入这个文件。")
    if report.stopped:
        click.echo("已停止，前面的批次都已保存。再运行同一条命令，会从这里接着导入。")
        sys.exit(130)


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Ctrl-C (and a polite kill) asks to stop after the present batch; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    kept = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, previous in kept.items():
            signal.signal(number, previous)


@contextmanager
def _progress(file: Path) -> Iterator[Callable[[int, int, int], None]]:
    """A bar with rate and time left on a terminal; elsewhere a line every few seconds."""
    began = last = time.monotonic()

    def line(done: int, size: int, rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < size:
            last = now
            left = (now - began) * (size - done) / max(done, 1)
            click.echo(
                f"{done * 100 // size}%，{rows} 条，每秒 {rows / (now - began):.0f} 条，大约还要 {left:.0f} 秒",
                err=True,
            )

    if not sys.stderr.isatty():
        yield line
        return
    with tqdm(total=file.stat().st_size, unit="B", unit_scale=True, desc=file.name[:24]) as bar:

        def move(done: int, size: int, rows: int) -> None:
            bar.set_postfix_str(f"{rows} 条", refresh=False)
            bar.update(done - bar.n)

        yield move
