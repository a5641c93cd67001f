"""Loading the demo the first time, emptying the system, and the addresses and sign-ins worth printing."""

from __future__ import annotations

import sys
from datetime import datetime

from flask import Flask
from sqlalchemy import func, select, text

from booking import clock
from booking.content.models import ImportRun, Question
from booking.db import Model, db, transaction
from booking.demo import people
from booking.demo.content import SOURCE, add_content
from booking.demo.days import fill_days
from booking.demo.files import Say, read
from booking.demo.house import ZONE, add_templates, build_house
from booking.demo.ledger import fill_ledger
from booking.demo.sessions import add_sessions
from booking.demo.visits import add_visits
from booking.directory.models import Hospital

RUN = "demo"
DIGEST = "demo"


def ensure_demo(app: Flask) -> list[str]:
    """Load the demo into a system that never had one; return the lines to print at the start.

    Leaves alone a system with any hospital, and one that was emptied (`flask demo clear`). A loading that was cut off
    is cleared and begun again, as long as nothing but the demo's hospitals is there.
    """
    with app.app_context():
        run = db.session.scalars(select(ImportRun).where(ImportRun.kind == RUN)).first()
        slugs = set(db.session.scalars(select(Hospital.slug)))
        ours = {row["slug"] for row in read("hospitals")}
        cut_off = run is not None and run.finished_at is None and slugs <= ours
        if cut_off or (run is None and not slugs):
            load_demo(progress())
            slugs = ours
        return lines(app.config["PUBLIC_URL"]) if ours <= slugs else _empty_lines(slugs)


def load_demo(say: Say) -> None:
    """Empty the system and load the demo, dated around the database's present; the same for the same day."""
    _empty(keep=("demo_clock",))
    now = clock.db_now(db.session())
    today = clock.local(now, ZONE).date()
    _mark(None)
    house = build_house(today, say)
    say("问答与科普", 0)
    add_content(house, today)
    people.add_sign_ins(house)
    accounts = people.add_accounts()
    crowd = people.add_crowd(today, say)
    add_templates(house, say)
    add_sessions(house, today, say)
    fill_days(house, crowd, today, say)
    fill_ledger(house, today, say)
    add_visits(house, accounts, today)
    _mark(clock.db_now(db.session()))
    say("", 1)


def clear_all() -> int:
    """Remove every row and keep the schema; return how many there were. The system stays empty at the next start."""
    with transaction() as session:
        now = clock.db_now(session)
    count = _empty()
    _mark(now)
    return count


def rows() -> int:
    """Return how many rows there are, without the demo's own note."""
    tables = [
        table for table in Model.metadata.sorted_tables if table.name not in ("import_run", "demo_clock")
    ]
    return sum(db.session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def _empty(keep: tuple[str, ...] = ()) -> int:
    tables = [table for table in Model.metadata.sorted_tables if table.name not in keep]
    with transaction() as session:
        count = sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
        if session.get_bind().dialect.name == "sqlite":
            for table in reversed(tables):
                session.execute(table.delete())
        else:  # numbers begin again, as they do on SQLite
            session.execute(text("SET LOCAL lock_timeout = '20s'"))
            names = ", ".join(f'"{table.name}"' for table in tables)
            session.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    return count


def _mark(finished_at: datetime | None) -> None:
    """Note in the list of imports that the demo was here, so that an emptied system is not filled again."""
    with transaction() as session:
        run = session.scalars(select(ImportRun).where(ImportRun.kind == RUN)).first()
        if run is None:
            run = ImportRun(kind=RUN, file_digest=DIGEST)
            session.add(run)
        run.finished_at = finished_at


def progress() -> Say:
    """Show on a terminal what is being loaded; elsewhere say it once."""
    if not sys.stdout.isatty():
        print("第一次启动：正在装入演示数据…", flush=True)
        return lambda what, share: None

    def say(what: str, share: float) -> None:
        line = f"第一次启动：正在装入演示数据  {what} {share:4.0%}" if what else ""
        print(f"\r{line:<60}" if line else "\r" + " " * 70 + "\r", end="", flush=True)

    return say


def lines(url: str) -> list[str]:
    """Return the addresses worth opening and the demo's sign-ins."""
    first = db.session.scalar(
        select(Question.id).where(Question.source == SOURCE).order_by(Question.external_id).limit(1)
    )
    pages = [
        ("首页", "/"),
        ("一条回答", f"/q/{first}"),
        ("医生出诊", "/d/shenzhiwei"),
        ("工作台", "/staff/week"),
        ("发出的消息", "/demo/outbox"),
    ]
    staff: dict[str, list[str]] = {}
    for role, name in people.staff_lines():
        staff.setdefault(role, []).append(name)
    return [
        "",
        "值得打开的页面",
        *(f"  {name}{'　' * (6 - len(name))}{url}{path}" for name, path in pages),
        "",
        "患者登录（验证码会显示在页面上）",
        *(f"  {name}{'　' * (6 - len(name))}{phone}" for name, phone in people.phone_lines()),
        "",
        f"工作台登录（密码都是 {people.PASSWORD}）",
        *(f"  {role}{'　' * (6 - len(role))}{'  '.join(names)}" for role, names in staff.items()),
        "",
        "拨快演示时钟  .venv/bin/flask --app wsgi demo advance 23h    复位  demo reset    清空  make demo-clear",
    ]


def _empty_lines(slugs: set[str]) -> list[str]:
    if slugs:
        return []
    return [
        "",
        "系统是空的。带入自己的数据：flask import hospitals 文件，flask staff add；或装入演示：flask demo load",
    ]
