"""Guards over the source text: names, time, queues, paths, homes of the verbs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
VERBS = {
    "hold": "booking.appointments",
    "confirm": "booking.appointments",
    "cancel": "booking.appointments",
    "move": "booking.appointments",
    "check_in": "booking.appointments",
    "undo_check_in": "booking.appointments",
    "finish": "booking.appointments",
    "stop_session": "booking.schedule or booking.appointments",
}
FORBIDDEN_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "manager",
    "handler",
    "handlers",
    "base",
    "common",
    "data",
    "process",
}
DOORS = ("web", "desk", "api", "cli", "demo", "cli.py")
# Written in two parts so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:wo" r"rk|ho" r"me|Us" r"ers|ro" r"ot)/[\w.-]+")


def code(*folders: str) -> list[Path]:
    """Return the Python files of the product, without tests."""
    found = [ROOT / "config.py", ROOT / "wsgi.py"]
    for folder in folders or ("booking", "worker"):
        found += sorted((ROOT / folder).rglob("*.py"))
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tracked() -> list[Path]:
    """Return the files that git knows (or every file outside .venv where there is no git)."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
        return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        ours = ("booking", "worker", "tests", "templates", "static", "migrations", "docs", "deploy", "bench")
        return [path for folder in ours for path in (ROOT / folder).rglob("*") if path.is_file()]


def public_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def called(tree: ast.AST) -> list[tuple[int, str]]:
    """Return (line, dotted name) of every call."""
    return [(node.lineno, ast.unparse(node.func)) for node in ast.walk(tree) if isinstance(node, ast.Call)]


ALONE = """
import os, sys
import celery, flask, flask_babel, flask_migrate, flask_sqlalchemy, flask_wtf, gunicorn, sqlalchemy, wtforms
waiting, running, broken = sys.argv[1:], {}, []
while waiting or running:
    if waiting and len(running) < 4:
        name = waiting.pop()
        child = os.fork()
        if child == 0:
            try:
                __import__(name)
            except BaseException as problem:
                print(f"{name}: {type(problem).__name__}: {problem}", flush=True)
                os._exit(1)
            os._exit(0)
        running[child] = name
        continue
    child, status = os.wait()
    name = running.pop(child)
    if status:
        broken.append(name)
sys.exit(bool(broken))
"""


def test_every_module_imports_alone():
    """Without a circle of imports each module can be the first; only packages that import in `__init__` are really tried.

    Importing any module of such a package begins with its `__init__`, so that one stands for all of them.
    """
    graph = grimp.build_graph("booking", "worker", exclude_type_checking_imports=True, cache_dir=None)
    left = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    while leaves := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left, f"these import each other, or lead into the circle: {sorted(left)}"
    begins = [
        module_name(path) for path in code() if path.name == "__init__.py" and "import " in path.read_text()
    ]
    names = sorted({*begins, "booking.app", "worker.app", "config"})
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *names], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_one_verb_has_one_home(verb):
    """A door's view may carry the verb's name (endpoint = verb); among the slices the definition is unique."""
    homes = [
        f"{module_name(path)}:{function.lineno}"
        for path in code("booking")
        if path.is_relative_to(ROOT / "booking") and path.relative_to(ROOT / "booking").parts[0] not in DOORS
        if path.name not in ("rules.py", "queries.py")
        for function in public_functions(ast.parse(path.read_text()))
        if function.name == verb
    ]
    allowed = VERBS[verb].split(" or ")
    assert len(homes) == 1, f"{verb} should be defined exactly once, in {VERBS[verb]}; found: {homes}"
    assert homes[0].startswith(tuple(allowed)), f"{verb} lives in {homes[0]}, its home is {VERBS[verb]}"


def test_a_door_calls_no_commit_and_writes_no_row():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for door in ("web", "desk", "api")
        for path in sorted((ROOT / "booking" / door).rglob("*.py"))
        for line, name in called(ast.parse(path.read_text()))
        if name.endswith((".commit", ".add", ".flush", ".delete")) and "session" in name
    ]
    assert not wrong, "doors parse, call one verb or query, render: " + ", ".join(wrong)


def test_no_file_or_folder_has_a_name_that_says_nothing():
    wrong = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix == ".py" and not path.is_relative_to(ROOT / "migrations")
        for part in (*path.relative_to(ROOT).parts[:-1], path.stem)
        if part.lower() in FORBIDDEN_NAMES
    ]
    assert not wrong, f"forbidden names: {wrong}"


def test_no_naive_time_outside_the_clock():
    naive = re.compile(r"(?:^|\.)(?:now|utcnow|today)$|^time\.time$|fromtimestamp$")
    allowed = {ROOT / "booking/clock.py"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {name}()"
        for path in code()
        if path not in allowed
        for line, name in called(ast.parse(path.read_text()))
        if naive.search(name) and not _aware(path, line)
        if name.split(".")[0] in ("datetime", "date", "time", "dt")
    ]
    assert not wrong, f"time comes from booking/clock.py: {wrong}"


def _aware(path: Path, line: int) -> bool:
    text = path.read_text().splitlines()[line - 1]
    return "fromtimestamp" in text and "tz=" in text


def test_no_task_is_put_off_by_the_queue():
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in code()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and {keyword.arg for keyword in node.keywords} & {"eta", "countdown"}
    ]
    assert not wrong, f"times are rows (due_at), never eta or countdown: {wrong}"


def test_no_import_hides_inside_a_function():
    wrong = [
        f"{path.relative_to(ROOT)}:{inner.lineno}"
        for path in code()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert not wrong, f"imports stand at the top of a file: {wrong}"


def test_every_module_says_what_it_is_for():
    wrong = [module_name(path) for path in code() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not wrong, f"modules without a sentence: {wrong}"


def test_no_tracked_file_names_a_folder_of_somebodys_machine():
    wrong = []
    for path in tracked():
        if path.suffix in (".png", ".jpg", ".ico", ".woff2", ".gz") or path.name == "LICENSE":
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if MACHINE_PATHS.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number} {MACHINE_PATHS.search(line)[0]}")
    assert not wrong, f"absolute paths of one machine: {wrong[:20]}"


def test_the_locks_name_no_index():
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        assert lines and not [line for line in lines if line.startswith("-") or "://" in line], name
        pins = [line for line in lines if re.match(r"[a-z0-9]", line, re.IGNORECASE)]
        assert all("==" in line for line in pins), name


PLACES = ROOT / "booking/appointments/places.py"
PATHS: dict[str, set[str]] = {
    "take_place": {
        "reserve._hold",  # hold
        "move._take",  # move
        "book.book_place",  # staff booking, 加号, draw: see below
    },
    "take_kept_place": {
        "offers._make_offer",  # a place that rests for the waiting list
    },
    "return_place": {
        "cancel.cancel",
        "no_show._mark",  # nobody came by the rule time: the place of a slot that is over
        "move._move",
        "places.end_hold",
        "stop._end_all",  # stop_session
    },
    "use_up_place": {
        "finish.finish_row",  # the patient has been seen
    },
    "finish_row": {
        "finish.finish",
        "finish._finish_batch",  # hours after the session ended
        "stop._finish_seen",  # stop_session: whoever was seen before it
    },
    "end_hold": {
        "places.end_stale_holds",  # a hold that ran out: expired, by whoever comes first
        "reserve.release_hold",
        "stop._end_all",  # stop_session
        "answer_offer.decline_offer",
        "wishes.leave",  # with an offer standing
    },
    "book_place": {
        "at_desk._book",  # book_at_desk
        "extra.add_extra",
        "draw._book",
    },
}
"""Every path that takes or gives back a place: the private step, and the functions of booking/appointments that call it.

A new caller is added here on purpose, after asking whether it holds R1, R2, R15 and R19.
"""


def functions_of(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {function.name: function for function in public_functions(tree)}


def test_every_path_that_takes_or_gives_back_a_place_is_listed():
    found: dict[str, set[str]] = {step: set() for step in PATHS}
    for path in code("booking", "worker"):
        home = path.relative_to(ROOT / "booking/appointments") if path.is_relative_to(PLACES.parent) else path
        for name, function in functions_of(ast.parse(path.read_text())).items():
            for _line, called_name in called(function):
                step = called_name.rpartition(".")[2]
                if step in found and step != name:
                    found[step].add(f"{home.with_suffix('')}.{name}")
    for step, callers in PATHS.items():
        assert found[step] == callers, (
            f"{step}: not listed {sorted(found[step] - callers)}, listed but gone {sorted(callers - found[step])}"
        )


def marks(tree: ast.AST, path: Path) -> list[str]:
    """Return where a statement or an assignment writes `place.appointment_id`, or SQL text that changes a place does."""
    wrong = []
    for node in ast.walk(tree):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".values"):
            written = {keyword.arg for keyword in node.keywords}
            table = ast.unparse(node.func)
            of_place = re.search(r"\b(?:update|insert)\(.*\b_?(?:Place|PLACE)\b", table)
            unsaid = not re.search(
                r"\b(?:update|insert)\(", table
            )  # a statement kept under a name may be a place's
            if "appointment_id" in written and (of_place or unsaid):
                wrong.append(where)
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(one, ast.Attribute) and one.attr == "appointment_id" for one in targets):
            wrong.append(where)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):  # noqa: SIM102
            if re.search(r"\bUPDATE\s+place\b[^;]*\bappointment_id\s*=", node.value, re.IGNORECASE):
                wrong.append(where)
    return wrong


def test_only_the_two_private_steps_mark_a_place():
    wrong = [
        where
        for path in code("booking", "worker")
        if path
        not in (PLACES, ROOT / "booking/demo/bookings.py")  # the demo writes visits that were, not verbs
        for where in marks(ast.parse(path.read_text()), path)
    ]
    assert not wrong, f"a place is marked in booking/appointments/places.py only: {wrong}"
    assert marks(ast.parse(PLACES.read_text()), PLACES), "this guard no longer sees what it guards"


@pytest.mark.parametrize(
    "line",
    [
        "session.execute(update(Place).where(Place.id == x).values(appointment_id=None))",
        "place.appointment_id = row.id",
        "MARK = KEPT_STATEMENT.values(appointment_id=None)",
        "session.execute(text('UPDATE place SET open = true, appointment_id = NULL'))",
        "session.execute(insert(Place).values(hospital_id=1, appointment_id=row.id))",
    ],
)
def test_another_way_to_mark_a_place_would_be_seen(line):
    """The guard above, with its subject broken on purpose."""
    assert marks(ast.parse(line), PLACES)
