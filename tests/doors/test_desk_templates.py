"""Weekly patterns at the desk, and making sessions from them."""

from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from sqlalchemy import select

from booking.db import db
from booking.schedule.models import ClinicSession, Template
from tests import factory
from tests.doors.desk_people import HOSTILE, row_counts, seat, stored, text_of, today


@pytest.fixture
def at(within):
    return factory.clinic()


@pytest.fixture
def scheduler(app, at):
    return seat(app, at, "scheduler")


def form_of(at, **changes):
    fields = {
        "practice": at.practice.id.hex,
        "weekday": "0",
        "part": at.parts["上午"].id.hex,
        "starts": "8",
        "ends": "12",
        "minutes": "30",
        "places": "3",
        "room": "305",
        "fee": "25",
        "kind": at.kind.id.hex,
        "weeks": "every",
        "valid_from": "",
        "valid_to": "",
        "publishes": "y",
    }
    return fields | {name: str(value) for name, value in changes.items()}


def patterns(at):
    db.session.rollback()
    return list(db.session.scalars(select(Template).where(Template.hospital_id == at.id)))


def sessions(at):
    db.session.rollback()
    return list(db.session.scalars(select(ClinicSession).where(ClinicSession.hospital_id == at.id)))


def next_monday(at):
    return today(at) + timedelta(days=7 - today(at).weekday())


def test_a_line_is_written_listed_changed_and_ended(at, scheduler):
    assert "还没有模板" in text_of(scheduler.get("/staff/templates"))
    assert scheduler.post("/staff/templates/new", form_of(at, weeks="odd")).status_code == 303
    row = patterns(at)[0]
    assert (row.weekday, row.starts_local, row.weeks, row.publishes, row.skips_holidays) == (
        0,
        time(8),
        "odd",
        True,
        False,
    )
    listed = text_of(scheduler.get("/staff/templates"))
    assert "沈知远" in listed and "周一上午 08:00–12:00" in listed and "每 30 分钟 3 个号·305·单周" in listed
    path = f"/staff/templates/{row.id}"
    assert 'value="305"' in scheduler.get(path).get_data(as_text=True)
    assert scheduler.post(path, form_of(at, room="306", valid_from="2030-01-07")).status_code == 303
    changed = stored(Template, at.id, row.id)
    assert (changed.room, str(changed.valid_from), changed.version) == ("306", "2030-01-07", 2)
    assert scheduler.post(f"{path}/end", page=path).status_code == 303
    assert stored(Template, at.id, row.id).active is False
    listed = scheduler.get("/staff/templates")
    assert "还没有模板" in text_of(listed) and "已停用 1 沈知远" in text_of(listed)
    assert path not in listed.get_data(as_text=True)
    assert "已停用，保存后重新启用" in text_of(scheduler.get(path))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weekday": "7"}, "请选择星期"),
        ({"weeks": "sometimes"}, "请选择每周、单周或双周"),
        ({"valid_from": "2030-01-07", "valid_to": "2030-01-01"}, "截止日期应晚于开始日期"),
        ({"valid_to": "2030-02-30"}, "请检查月份和日子"),
        ({"ends": "0810"}, "出诊时间比一段还短"),
        ({"practice": ""}, "请选择医生和科室"),
    ],
)
def test_what_cannot_be_meant_is_said_and_nothing_is_kept(at, scheduler, change, sentence):
    before = row_counts()
    answer = scheduler.post("/staff/templates/new", form_of(at, **change))
    assert answer.status_code == 422
    assert answer.get_data(as_text=True).count(sentence) >= 2
    assert row_counts() == before


@pytest.mark.parametrize("value", HOSTILE)
def test_no_field_breaks_on_what_nobody_means(at, scheduler, value):
    safe = value.encode("utf-8", "replace").decode()
    for name in form_of(at):
        answer = scheduler.post("/staff/templates/new", form_of(at, starts="12", ends="8") | {name: safe})
        assert answer.status_code == 422 or name in ("starts", "ends"), f"{name}={value[:20]!r}"
        assert answer.status_code in (303, 422)
    for name in ("first", "weeks", "dept", "act"):
        fields = {"first": next_monday(at).isoformat(), "weeks": "1", "dept": "", "act": "preview"}
        assert scheduler.post("/staff/templates/apply", fields | {name: safe}).status_code in (200, 422)
    assert sessions(at) == []


def test_applying_shows_first_then_makes_drafts_and_a_repeat_makes_nothing(at, scheduler):
    scheduler.post("/staff/templates/new", form_of(at))
    scheduler.post(
        "/staff/templates/new", form_of(at, weekday="2", part=at.parts["下午"].id.hex, starts="14", ends="17")
    )
    fields = {"first": next_monday(at).isoformat(), "weeks": "2", "dept": ""}
    shown = scheduler.post("/staff/templates/apply", fields | {"act": "preview"})
    assert shown.status_code == 200 and "新增 4 不变 0 冲突 0" in text_of(shown)
    assert sessions(at) == []
    answer = scheduler.post("/staff/templates/apply", fields | {"act": "draft"})
    assert answer.status_code == 303
    assert "新增 4 个班次" in text_of(scheduler.get(answer.headers["Location"]))
    assert {row.status for row in sessions(at)} == {"draft"} and len(sessions(at)) == 4
    again = scheduler.post("/staff/templates/apply", fields | {"act": "preview"})
    assert "新增 0 不变 4 冲突 0" in text_of(again) and "没有要新增的班次" in text_of(again)


def test_a_different_session_is_a_conflict_and_stays_as_it_is(at, scheduler):
    scheduler.post("/staff/templates/new", form_of(at))
    there = factory.open_session(at, next_monday(at), room="自己改过的")
    fields = {"first": next_monday(at).isoformat(), "weeks": "1", "dept": at.department.id.hex}
    shown = text_of(scheduler.post("/staff/templates/apply", fields | {"act": "preview"}))
    assert "冲突 1" in shown and "保持原样" in shown
    scheduler.post("/staff/templates/apply", fields | {"act": "publish"})
    assert len(sessions(at)) == 1 and stored(ClinicSession, at.id, there.id).room == "自己改过的"


def test_applied_and_published_sessions_open_their_places(at, scheduler):
    scheduler.post("/staff/templates/new", form_of(at))
    page = scheduler.get("/staff/templates/apply")
    first = re.search(rf'<option selected value="({next_monday(at)})"', page.get_data(as_text=True))[1]
    scheduler.post("/staff/templates/apply", {"first": first, "weeks": "1", "dept": "", "act": "publish"})
    assert [row.status for row in sessions(at)] == ["published"]
