"""What an import did: counts, refused rows in words, and the refused rows written back out."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

OUTCOMES = ("created", "changed", "unchanged", "duplicate", "refused")
SHOWN = 20
ERROR_COLUMN = "error"


@dataclass(frozen=True)
class Refused:
    """A row that was not taken: its number as in the file, the column to blame (may be empty), why, what to do."""

    number: int
    column: str
    reason: str
    suggestion: str = ""

    @property
    def text(self) -> str:
        where = f"{self.column} 列：" if self.column else ""
        advice = f"。{self.suggestion}" if self.suggestion else ""
        return f"{where}{self.reason}{advice}"


@dataclass
class Report:
    """The sum of a run. `duplicate` rows repeat an earlier row exactly and are part of the unchanged ones."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    refused: list[Refused] = field(default_factory=list)
    resumed_at: int = 0
    stopped: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def read(self) -> int:
        return sum(self.counts.values())

    def lines(self, unit: str) -> list[str]:
        """Return the report in words; `unit` is how the file counts (行 or 第几行的说法)."""
        counts = self.counts
        unchanged = counts["unchanged"] + counts["duplicate"]
        told = [
            f"读入 {self.read}，新建 {counts['created']}，更新 {counts['changed']}，未变 {unchanged}"
            + (f"（其中完全重复 {counts['duplicate']}）" if counts["duplicate"] else "")
            + f"，拒收 {counts['refused']}。"
        ]
        told += self.notes
        told += [f"  {unit} {row.number}：{row.text}" for row in self.refused[:SHOWN]]
        if len(self.refused) > SHOWN:
            told.append(f"  …… 另有 {counts['refused'] - SHOWN} 行，用 --refused 文件名 可全部写出。")
        return told


def safe_cell(value: object) -> str:
    """Return a cell that a spreadsheet shows and does not run: a leading = + - @ (or tab) gets a quote before it."""
    text = str(value)
    return (
        "'" + text
        if text.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
        else text
    )


class RefusedFile:
    """Writes refused rows in the form they came in, with an `error` column; writes no file when none is refused."""

    def __init__(self, path: Path | None, form: str) -> None:
        self.path, self.form = path, form
        self.file: TextIO | None = None
        self.columns: list[str] = []

    def write(self, refused: Refused, raw: Mapping[str, Any]) -> None:
        """Add one row."""
        if self.path is None:
            return
        if self.file is None:
            marked = "utf-8-sig" if self.form == "csv" else "utf-8"
            self.file = self.path.open("w", encoding=marked, errors="backslashreplace", newline="")
            self.columns = list(raw)
            if self.form == "csv":
                csv.writer(self.file).writerow([*map(safe_cell, self.columns), ERROR_COLUMN])
        error = f"第 {refused.number} 行：{refused.text}"
        if self.form == "csv":
            cells = [raw.get(column, "") for column in self.columns]
            csv.writer(self.file).writerow([safe_cell(cell) for cell in (*cells, error)])
        else:
            self.file.write(json.dumps({**raw, ERROR_COLUMN: error}, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Finish the file."""
        if self.file:
            self.file.close()
