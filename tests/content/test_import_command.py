"""The command itself: its words, its signals, and what a killed run leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import func, select

from booking.content.models import Answer, ImportRun, Question
from booking.db import db
from tests import servers
from tests.conftest import fresh_database, new_app

ROWS = 4000


@pytest.fixture
def own(database):
    """A database of this test's own and an application on it: another process writes there."""
    try:
        url = fresh_database(database, f"import_{os.getpid()}_{time.monotonic_ns() % 10**6}")
    except servers.NotHere as problem:
        pytest.skip(str(problem))
    app = new_app(url)
    with app.app_context():
        yield app, url
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "many.csv"
    lines = ["标题,问题描述,科室,回答"]
    lines += [
        f"第{n}个问题怎么办,描述{n},骨科,回答{n}" if n % 1000 != 7 else ",,骨科,没有题目" for n in range(ROWS)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def begin(url, file, *options):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "flask",
            "--app",
            "booking.app:create_app",
            "import",
            "questions",
            str(file),
            *options,
        ],
        env={**os.environ, "DATABASE_URL": url, "APP_ENV": "testing"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_rows(count, process):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done = db.session.scalar(select(ImportRun.rows_done)) or 0
        db.session.rollback()
        if done >= count:
            return done
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    raise AssertionError("the import did not begin")


def again(app, file):
    """The same command once more, in this process."""
    result = app.test_cli_runner().invoke(args=["import", "questions", str(file)])
    db.session.rollback()
    return result.output


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed(own, file):
    app, url = own
    with begin(url, file, "--batch", "10") as process:
        wait_for_rows(200, process)
        process.send_signal(signal.SIGKILL)
    done = db.session.scalar(select(ImportRun.rows_done))
    stored = db.session.scalar(select(func.count()).select_from(Question))
    refused = sum(1 for n in range(done) if n % 1000 == 7)
    db.session.rollback()
    assert 200 <= done < ROWS and stored == done - refused  # whole batches, nothing half
    output = again(app, file)
    assert f"从第 {done + 1} 条开始" in output
    assert f"读入 {ROWS}，新建 {ROWS - 4}，更新 0，未变 0，拒收 4。" in output
    assert db.session.scalar(select(func.count()).select_from(Question)) == ROWS - 4
    assert db.session.scalar(select(func.count()).select_from(Answer)) == ROWS - 4
    assert f"读入 {ROWS}，新建 0，更新 0，未变 {ROWS - 4}，拒收 4。" in again(app, file)


def test_ctrl_c_stops_between_two_batches_and_says_how_to_go_on(own, file):
    _app, url = own
    with begin(url, file, "--batch", "10") as process:
        wait_for_rows(50, process)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "再运行同一条命令" in output and "Traceback" not in output


def test_the_report_is_written_in_words_and_the_refused_rows_to_a_file(app, tmp_path):
    file, refused = tmp_path / "a.csv", tmp_path / "r.csv"
    file.write_text("title,answer\n好问题一,x\n,y\n", encoding="utf-8")
    result = app.test_cli_runner().invoke(args=["import", "questions", str(file), "--refused", str(refused)])
    assert result.exit_code == 0, result.output
    assert "读入 2，新建 1，更新 0，未变 0，拒收 1。" in result.output
    assert "行 3：title 列：标题和问题都是空的。至少填写一项" in result.output
    assert refused.exists() and str(refused) in result.output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["questions", "{file}", "--refused", "{file}"], "--refused"),
        (["doctors", "{page}"], "import questions"),
        (["hospitals", "{empty}"], "空"),
        (["questions", "{file}", "--refused", "/proc/none/r.csv"], "出错"),
    ],
)
def test_a_mistake_is_one_sentence(app, tmp_path, arguments, word):
    names = {"file": tmp_path / "a.csv", "page": tmp_path / "p.txt", "empty": tmp_path / "e.csv"}
    names["file"].write_text('title\n""\n?\n', encoding="utf-8")
    names["page"].write_text("站\n首页 > 骨科\n题\n问题描述\n全部回答\n", encoding="utf-8")
    names["empty"].write_text("", encoding="utf-8")
    result = app.test_cli_runner().invoke(args=["import", *(each.format(**names) for each in arguments)])
    assert result.exit_code == 1 and word in result.output
    assert "Traceback" not in result.output
