"""The week and the editor of one session."""

from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from sqlalchemy import func, select

from booking.clock import local
from booking.db import db
from booking.schedule.models import ClinicSession, Place
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
        "starts": "8",
        "ends": "1200",
        "minutes": "30",
        "places": "3",
        "room": "305",
        "fee": "25",
        "kind": at.kind.id.hex,
        "release": "rule",
        "note": "",
        "act": "draft",
    }
    return fields | {name: str(value) for name, value in changes.items()}


def new_form(at, on, **changes):
    own = {"practice": at.practice.id.hex, "date": on.isoformat(), "part": at.parts["上午"].id.hex}
    return form_of(at, **own | changes)


def open_places(at, session_id):
    db.session.rollback()
    return db.session.scalar(
        select(func.count()).where(
            Place.hospital_id == at.id, Place.session_id == session_id, Place.open.is_(True)
        )
    )


def sessions(at):
    db.session.rollback()
    return list(db.session.scalars(select(ClinicSession).where(ClinicSession.hospital_id == at.id)))


# --- the week --------------------------------------------------------------------------------------------------------


def test_departments_without_clinics_have_no_rows_unless_sessions_of_theirs_exist(within):
    lab = factory.clinic(department={"name": "病理科", "has_clinic": False}, doctor={"name": "裴修远"})
    scheduler = seat(within, lab, "scheduler")
    assert "裴修远" not in text_of(scheduler.get("/staff/week"))
    assert "裴修远" not in text_of(scheduler.get("/staff/sessions/new"))
    factory.open_session(lab)
    assert "裴修远" in text_of(scheduler.get("/staff/week"))


def test_the_week_names_every_unit_in_words_and_sums_without_drafts(at, scheduler):
    on = today(at) + timedelta(days=1)
    there = factory.open_session(at, on)
    factory.booked(at, there, factory.person())
    factory.open_session(at, on, part="下午", starts=time(14), ends=time(16), status="draft")
    page = scheduler.get(f"/staff/week?w={on.isocalendar().year}-W{on.isocalendar().week:02d}&day={on}")
    body, shown = page.get_data(as_text=True), text_of(page)
    assert page.status_code == 200
    day = f"{on.month} 月 {on.day} 日"
    assert re.search(rf'aria-label="沈知远，{day} 周.上午，诊室 302 诊室，已约 1，共 12 号"', body)
    assert re.search(rf'aria-label="沈知远，{day} 周.下午，诊室 302 诊室，已约 0，共 12 号，未发布"', body)
    assert "已约/总号 1 / 12" in shown and "未发布 1 个" in shown and "发布 1 个草稿" in shown
    assert '<th scope="row">' in body and '<th scope="col"' in body


def test_an_empty_position_leads_to_a_new_session_filled_in(at, scheduler):
    on = today(at) + timedelta(days=1)
    week = scheduler.get(f"/staff/week?w={on.isocalendar().year}-W{on.isocalendar().week:02d}&day={on}")
    link = re.search(rf'href="(/staff/sessions/new\?[^"]*{on}[^"]*)"', week.get_data(as_text=True))[1]
    page = scheduler.get(link.replace("&amp;", "&")).get_data(as_text=True)
    assert f'value="{on}"' in page and 'value="08:00"' in page and 'value="12:00"' in page


def test_the_night_has_a_position_only_where_it_is_used(at, scheduler):
    on = today(at) + timedelta(days=1)
    address = f"/staff/week?w={on.isocalendar().year}-W{on.isocalendar().week:02d}"
    assert "夜间" not in scheduler.get(address).get_data(as_text=True)
    factory.open_session(at, on, part="夜间", starts=time(18), ends=time(20))
    assert "夜间" in scheduler.get(address).get_data(as_text=True)


def test_the_selected_session_stands_beside_the_week(at, scheduler):
    there = factory.open_session(at)
    on = there.session.local_date
    page = scheduler.get(
        f"/staff/week?w={on.isocalendar().year}-W{on.isocalendar().week:02d}&session={there.id}"
    ).get_data(as_text=True)
    assert f'action="/staff/sessions/{there.id}"' in page
    assert 'aria-current="true"' in page and "保存后会发生什么" in page and "放弃修改" in page


@pytest.mark.parametrize("value", HOSTILE)
def test_whatever_stands_in_the_address_the_week_comes(at, scheduler, value):
    safe = value[:3000].encode("utf-8", "replace").decode()
    for name in ("w", "day", "dept", "site"):
        assert scheduler.get("/staff/week", query_string={name: safe}).status_code == 200
    assert scheduler.get("/staff/week", query_string={"session": safe}).status_code in (200, 404)


def test_publishing_publishes_what_was_shown_once(at, scheduler):
    draft = factory.open_session(at, status="draft")
    on = draft.session.local_date
    address = f"/staff/week?w={on.isocalendar().year}-W{on.isocalendar().week:02d}"
    ids = re.search(r'name="drafts" value="([^"]*)"', scheduler.get(address).get_data(as_text=True))[1]
    answer = scheduler.post("/staff/week/publish", {"drafts": ids, "back": address}, page=address)
    assert answer.status_code == 303 and answer.headers["Location"] == address
    assert "已发布 1 个班次" in text_of(scheduler.get(address))
    assert stored(ClinicSession, at.id, draft.id).status == "published"
    assert open_places(at, draft.id) == 12
    scheduler.post("/staff/week/publish", {"drafts": ids, "back": "//elsewhere.example"}, page=address)
    assert "没有可以发布的草稿" in text_of(scheduler.get("/staff/week"))


# --- adding ----------------------------------------------------------------------------------------------------------


def test_a_new_session_is_previewed_kept_as_a_draft_and_not_doubled(at, scheduler):
    on = today(at) + timedelta(days=20)
    shown = scheduler.post("/staff/sessions/new", new_form(at, on, act="preview"))
    assert shown.status_code == 200 and "8 个时段，共 24 个号" in text_of(shown)
    assert sessions(at) == []
    assert scheduler.post("/staff/sessions/new", new_form(at, on)).status_code == 303
    made = sessions(at)[0]
    assert (made.status, made.starts_local, made.ends_local, made.fee_cents) == (
        "draft",
        time(8),
        time(12),
        2500,
    )
    assert open_places(at, made.id) == 0
    again = scheduler.post("/staff/sessions/new", new_form(at, on))
    assert again.status_code == 409 and "已经有班次了" in text_of(again)
    assert len(sessions(at)) == 1


def test_a_new_session_may_be_published_at_once_with_a_release_of_its_own(at, scheduler):
    on = today(at) + timedelta(days=20)
    release = today(at) + timedelta(days=3)
    fields = new_form(
        at, on, act="publish", release="own", release_date=release.isoformat(), release_time="2000"
    )
    assert scheduler.post("/staff/sessions/new", fields).status_code == 303
    made = sessions(at)[0]
    assert made.status == "published" and open_places(at, made.id) == 24
    wall = local(made.release_at, at.hospital.zone)
    assert (wall.date(), wall.time().replace(tzinfo=None)) == (release, time(20))


def test_by_rule_the_release_is_the_hospitals(at, scheduler):
    on = today(at) + timedelta(days=20)
    assert scheduler.post("/staff/sessions/new", new_form(at, on)).status_code == 303
    wall = local(sessions(at)[0].release_at, at.hospital.zone)
    assert (wall.date(), wall.hour, wall.minute) == (on - timedelta(days=7), 7, 30)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"starts": "8点多"}, "时间写成 8、830 或 08:30 都可以"),
        ({"starts": ""}, "请填写开始时间"),
        ({"ends": "7"}, "结束时间应晚于开始时间 08:00"),
        ({"minutes": "5"}, "每段时长应为 10–60 分钟"),
        ({"minutes": "半小时"}, "请填写整数"),
        ({"places": "0"}, "每段号数应为 1–60"),
        ({"fee": "-3"}, "费用写元"),
        ({"fee": ""}, "请填写费用，不收费填 0"),
        ({"kind": "x"}, "请选择号别"),
        ({"date": "2026-02-30"}, "请检查月份和日子"),
        ({"date": "2020-01-01"}, "这个时间已经过去，请换一天"),
        ({"release": "own"}, "请填写放号日期"),
        ({"room": "长" * 61}, "诊室最多 60 个字"),
        ({"fee": "99999"}, "费用应在 0–10000 元之间"),
    ],
)
def test_what_cannot_be_meant_is_said_twice_in_the_same_words_and_kept(at, scheduler, change, sentence):
    before = row_counts()
    answer = scheduler.post("/staff/sessions/new", new_form(at, today(at) + timedelta(days=20), **change))
    body = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert body.count(sentence) >= 2, "once in the summary, once at its field"
    assert "错误：" in body.split("</title>")[0]
    assert 'value="305"' in body or "room" in change
    assert row_counts() == before


@pytest.mark.parametrize("value", HOSTILE)
def test_no_field_breaks_on_what_nobody_means(at, scheduler, value):
    before = row_counts()
    fields = new_form(at, today(at) + timedelta(days=20), act="preview")
    safe = value.encode("utf-8", "replace").decode()
    for name in (*fields, "version", "back", "release_date", "release_time"):
        answer = scheduler.post("/staff/sessions/new", fields | {name: safe})
        assert answer.status_code in (200, 422), f"{name}={value[:20]!r}: {answer.status_code}"
    assert row_counts() == before


# --- changing --------------------------------------------------------------------------------------------------------


def test_a_preview_says_what_would_happen_and_changes_nothing(at, scheduler):
    there = factory.open_session(at)
    factory.booked(at, there, factory.person())
    path, before = f"/staff/sessions/{there.id}", row_counts()
    answer = scheduler.post(path, form_of(at, starts="830", ends="1030", places=4, act="preview", version=1))
    shown = text_of(answer)
    assert answer.status_code == 200
    assert "总号数 12 → 16" in shown and "已约的 1 人时间不变" in shown and "原为 3" in shown
    assert row_counts() == before and stored(ClinicSession, at.id, there.id).version == 1


def test_a_change_is_saved_with_who_and_when(at, scheduler):
    there = factory.open_session(at)
    path = f"/staff/sessions/{there.id}"
    fields = form_of(
        at,
        starts="8：30",
        ends="10:30",
        places=4,
        room="306",
        act="save",
        version=1,
        back="/staff/week?w=2026-W48",
    )
    answer = scheduler.post(path, fields)
    assert answer.status_code == 303 and answer.headers["Location"] == "/staff/week?w=2026-W48"
    row = stored(ClinicSession, at.id, there.id)
    assert (row.places_per_slot, row.room, row.version, row.changed_by) == (4, "306", 2, "何予")
    assert open_places(at, there.id) == 16
    assert "最近修改：何予，今天" in text_of(scheduler.get(path))


def test_a_draft_stays_a_draft_until_it_is_made_live(at, scheduler):
    there = factory.open_session(at, status="draft")
    path = f"/staff/sessions/{there.id}"
    page = text_of(scheduler.get(path))
    assert "存为草稿" in page and "保存并立即生效" in page
    fields = form_of(at, starts="830", ends="1030", version=1)
    assert scheduler.post(path, fields).status_code == 303
    assert stored(ClinicSession, at.id, there.id).status == "draft"
    assert scheduler.post(path, fields | {"act": "publish", "version": "2"}).status_code == 303
    assert stored(ClinicSession, at.id, there.id).status == "published"
    assert open_places(at, there.id) == 12


def test_fewer_numbers_than_sold_is_refused_with_the_reason(at, scheduler):
    there = factory.open_session(at)
    for name, code in (("李秋禾", "48271936"), ("周小满", "48271937")):
        factory.booked(at, there, factory.person(name), visit_code=code)
    path = f"/staff/sessions/{there.id}"
    fields = form_of(at, starts="830", ends="1030", places=1, version=1)
    for act in ("preview", "save"):
        answer = scheduler.post(path, fields | {"act": act})
        assert answer.status_code == 409
        assert "已约 2 人，每段不能少于 2 个号" in text_of(answer)
        assert 'value="1"' in answer.get_data(as_text=True)
    answer = scheduler.post(path, form_of(at, starts="9", ends="1030", version=1, act="save"))
    assert answer.status_code == 409 and "08:30 已有预约" in text_of(answer)
    assert stored(ClinicSession, at.id, there.id).version == 1


def test_who_saves_second_sees_theirs_beside_yours_and_decides(app, at, scheduler):
    there, other = factory.open_session(at), seat(app, at, "admin")
    path = f"/staff/sessions/{there.id}"
    theirs = form_of(at, starts="830", ends="1030", room="401", version=1, act="save")
    mine = form_of(at, starts="830", ends="1030", room="402", version=1, act="save")
    assert other.post(path, theirs).status_code == 303
    answer = scheduler.post(path, mine)
    body, shown = answer.get_data(as_text=True), text_of(answer)
    assert answer.status_code == 409
    assert "有人先保存了这个班次" in shown and "401" in shown and "402" in shown and "用我的覆盖" in shown
    assert stored(ClinicSession, at.id, there.id).room == "401"
    seen = re.search(r'name="version"[^>]* value="(\d+)"', body)[1]
    assert seen == "2"
    assert scheduler.post(path, mine | {"version": seen}).status_code == 303
    assert stored(ClinicSession, at.id, there.id).room == "402"


@pytest.mark.parametrize("version", ["", "x", "-1", "999999999999999999999", "0"])
def test_a_forged_version_is_a_conflict_not_a_save(at, scheduler, version):
    there = factory.open_session(at)
    answer = scheduler.post(
        f"/staff/sessions/{there.id}", form_of(at, version=version, starts="830", ends="1030", act="save")
    )
    assert answer.status_code == 409
    assert stored(ClinicSession, at.id, there.id).version == 1


def test_the_triage_desk_reads_without_a_form(app, at):
    there = factory.open_session(at)
    page = seat(app, at, "desk").get(f"/staff/sessions/{there.id}")
    body = page.get_data(as_text=True)
    assert page.status_code == 200 and "edit-form" not in body and "停诊…" not in body
    assert "08:30–10:30" in body and "看这个班次的患者" in body


def test_a_session_that_is_over_is_shown_and_not_changed(at, scheduler, now):
    there = factory.open_session(at)
    now.shift(days=4)
    path = f"/staff/sessions/{there.id}"
    assert "edit-form" not in scheduler.get(path).get_data(as_text=True)
