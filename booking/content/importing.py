"""One import run: rows in batches, each batch a transaction that also says how far the run has come."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from booking import clock
from booking.content import import_directory, import_questions, question_rows
from booking.content.import_names import Directory
from booking.content.import_questions import Shelf
from booking.content.models import ImportRun
from booking.content.page_text import read_page
from booking.content.question_rows import QuestionEntry
from booking.content.reading import Form, open_text, read_rows, recognise
from booking.content.report import Refused, RefusedFile, Report
from booking.db import transaction
from booking.errors import BadInput, Refusal

KEPT = 1000
"""Refusals kept in memory for the report; the file of refused rows has them all."""


@dataclass(frozen=True)
class Step:
    """A checked entry (or Refused), the row as it came in, and what the file calls our columns."""

    entry: Any
    raw: dict[str, Any]
    headings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """How one kind of file is taken: the columns it knows, the check of a row, the storing of a batch."""

    columns: tuple[str, ...]
    check: Callable[..., Any]
    store: Callable[..., Sequence[str | Refused]]
    shelf: Callable[[], Any]
    pages: bool = False


KINDS = {
    "questions": Kind(
        question_rows.WANTED, question_rows.check_row, import_questions.store, Shelf, pages=True
    ),
    "hospitals": Kind(
        import_directory.HOSPITAL_COLUMNS,
        import_directory.check_hospital,
        import_directory.store_hospitals,
        Directory,
    ),
    "departments": Kind(
        import_directory.DEPARTMENT_COLUMNS,
        import_directory.check_department,
        import_directory.store_departments,
        Directory,
    ),
    "doctors": Kind(
        import_directory.DOCTOR_COLUMNS,
        import_directory.check_doctor,
        import_directory.store_doctors,
        Directory,
    ),
}


@dataclass
class _Run:
    """What one run carries from batch to batch."""

    kind: Kind
    key: tuple[str, str]
    report: Report
    out: RefusedFile
    shelf: Any
    rows: int = 0
    steps: list[Step] = field(default_factory=list)


def import_file(
    kind: str,
    path: Path,
    *,
    refused: Path | None = None,
    batch: int = 500,
    source: str = "import",
    tell: Callable[[int, int, int], None] = lambda done, size, rows: None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Import a file and return what was done.

    Commits every `batch` rows together with the number of rows done, so a killed run of the same file goes on from
    there; a finished file read again creates and changes nothing. `tell(bytes done, size of the file, rows)` is called
    for every batch and `stop()` asked after each. Raises BadInput when the file cannot be read at all.
    """
    if kind not in KINDS:
        raise BadInput("不认识的导入种类：%(kind)s。", kind=kind)
    form = recognise(path)
    if form.form == "page" and not KINDS[kind].pages:
        raise BadInput("%(file)s 是问答网页的文字，只能用 import questions 导入。", file=path.name)
    digest = hashlib.sha256(f"{form.digest} {source}".encode()).hexdigest()
    done, counts = _begin(kind, digest)
    report = Report(resumed_at=done)
    report.counts.update(counts)
    run = _Run(KINDS[kind], (kind, digest), report, RefusedFile(refused, form.form), KINDS[kind].shelf())
    text, raw = open_text(path, form)
    with closing(text), closing(run.out):
        for step in _steps(run.kind, text, form, source):
            run.rows += 1
            if run.rows <= done:
                _note_again(run, step)
                continue
            run.steps.append(step)
            if len(run.steps) >= batch:
                _commit(run)
                tell(raw.tell(), form.size, run.rows)
                if stop():
                    report.stopped = True
                    return report
        _commit(run, finished=True)
        tell(form.size, form.size, run.rows)
    return report


def _steps(kind: Kind, text: Any, form: Form, source: str) -> Iterator[Step]:
    if form.form == "page":
        for entry in question_rows.check_page(read_page(text), source):
            yield Step(entry, {"title": entry.title if isinstance(entry, QuestionEntry) else ""})
        return
    for row in read_rows(text, form, kind.columns):
        entry = Refused(row.number, *row.problem) if row.problem else kind.check(row, source)
        yield Step(entry, row.raw, row.headings)


def _begin(kind: str, digest: str) -> tuple[int, dict[str, int]]:
    """Return how many rows an unfinished run of this file has done, and its counts; a finished one starts again."""
    with transaction() as session:
        run = session.scalars(
            select(ImportRun).where(ImportRun.kind == kind, ImportRun.file_digest == digest)
        ).one_or_none()
        if run is None:
            run = ImportRun(kind=kind, file_digest=digest)
            session.add(run)
        if run.finished_at or run.rows_done is None:
            run.rows_done, run.counts, run.finished_at = 0, {}, None
        return run.rows_done, dict(run.counts or {})


def _note_again(run: _Run, step: Step) -> None:
    """A row of the earlier, interrupted run: counted already; its refusal is told again so that the report is whole."""
    if isinstance(step.entry, Refused):
        _refuse(run, step.entry, step, counted=True)
    elif isinstance(run.shelf, Shelf):
        _repeated(run.shelf, step.entry)


def _refuse(run: _Run, refused: Refused, step: Step, counted: bool = False) -> None:
    if not counted:
        run.report.counts["refused"] += 1
    refused = replace(refused, column=step.headings.get(refused.column, refused.column))
    if len(run.report.refused) < KEPT:
        run.report.refused.append(refused)
    run.out.write(refused, step.raw)


def _repeated(shelf: Shelf, entry: QuestionEntry) -> Refused | None:
    """Refuse a second row with the same id and other content: which of the two is meant, only a person knows."""
    key = import_questions.short(hashlib.sha256(f"{entry.source}|{entry.external_id}".encode()).hexdigest())
    digest = import_questions.short(entry.digest)
    if shelf.seen.setdefault(key, digest) == digest:
        return None
    return Refused(
        entry.number, "id", f"编号「{entry.external_id[:40]}」在前面出现过，内容不同", "每个问题用自己的编号"
    )


def _commit(run: _Run, finished: bool = False) -> None:
    """Store the waiting rows and how far the run is, in one transaction."""
    taken: list[Step] = []
    refusals: list[tuple[Refused, Step]] = []
    for step in run.steps:
        problem = step.entry if isinstance(step.entry, Refused) else None
        if problem is None and isinstance(run.shelf, Shelf):
            problem = _repeated(run.shelf, step.entry)
        if problem:
            refusals.append((problem, step))
        else:
            taken.append(step)
    try:
        outcomes = _write(run, taken, len(refusals), finished, run.kind.store)
    except (IntegrityError, DataError, Refusal):
        run.shelf = _emptied(run)
        outcomes = _write(run, taken, len(refusals), finished, partial(_one_by_one, run))
    for step, outcome in zip(taken, outcomes, strict=True):
        if isinstance(outcome, Refused):
            refusals.append((outcome, step))
        else:
            run.report.counts[outcome] += 1
    for refused, step in sorted(refusals, key=lambda pair: pair[0].number):
        _refuse(run, refused, step)
    run.steps.clear()


def _emptied(run: _Run) -> Any:
    if isinstance(run.shelf, Shelf):
        run.shelf.forget()
        return run.shelf
    return run.kind.shelf()


def _write(
    run: _Run,
    taken: Sequence[Step],
    refusals: int,
    finished: bool,
    store: Callable[..., Sequence[str | Refused]],
) -> Sequence[str | Refused]:
    with transaction() as session:
        outcomes = store(session, run.shelf, [step.entry for step in taken]) if taken else []
        counts = dict(run.report.counts)
        counts["refused"] += refusals
        for outcome in outcomes:
            counts["refused" if isinstance(outcome, Refused) else outcome] += 1
        kind, digest = run.key
        row = session.scalars(
            select(ImportRun).where(ImportRun.kind == kind, ImportRun.file_digest == digest)
        ).one()
        row.rows_done, row.counts = run.rows, counts
        if finished:
            row.finished_at = clock.db_now(session)
        return outcomes


def _one_by_one(run: _Run, session: Session, _shelf: Any, entries: Sequence[Any]) -> list[str | Refused]:
    """Store a batch that the database refused row by row, each behind a savepoint, to find the row to blame."""
    outcomes: list[str | Refused] = []
    for entry in entries:
        savepoint = session.begin_nested()
        try:
            outcomes.extend(run.kind.store(session, run.shelf, [entry]))
            savepoint.commit()
        except (IntegrityError, DataError, Refusal) as problem:
            savepoint.rollback()
            run.shelf = _emptied(run)
            reason = problem.text if isinstance(problem, Refusal) else "数据库不接受这一行"
            outcomes.append(Refused(entry.number, "", reason, "检查这一行的长度和特殊字符"))
    return outcomes
