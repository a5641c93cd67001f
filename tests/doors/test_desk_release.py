"""The desk decides how a session's numbers open: waves, first come or draw; and sees what came of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from booking.appointments.draw import draw_due
from booking.appointments.draw_models import Draw
from booking.clock import local
from booking.db import db
from booking.desk.draws import read_wave_lines, wave_words
from booking.errors import BadInput
from booking.schedule.models import ClinicSession, Place
from tests import factory
from tests.doors.desk_people import HOSTILE, seat
from tests.verbs.test_draw import entrant, put_in

pytestmark = pytest.mark.usefixtures("within")


def scene(app, role="scheduler", hours=48):
    at = factory.clinic()
    day = local(factory.now(), at.hospital.zone).date() + timedelta(days=9)
    opened = factory.open_session(at, on=day, release_at=factory.now() + timedelta(hours=hours), places=2)
    return at, opened, seat(app, at, role), f"/staff/sessions/{opened.id}/release"


def clinic(at, opened):
    db.session.rollback()
    return db.session.get(ClinicSession, (at.id, opened.id), populate_existing=True)


def in_hours(at, hours):
    opens = local(factory.now() + timedelta(hours=hours), at.hospital.zone)
    return {"act": "draw", "entries_date": opens.date().isoformat(), "entries_time": f"{opens:%H:%M}"}


@pytest.mark.parametrize(
    ("text", "waves"),
    [
        ("30% 提前 1 天 20:00", [(30, 1, 20, 0)]),
        ("30%提前1天20:00；20% 当天 07:30", [(30, 1, 20, 0), (20, 0, 7, 30)]),
        ("５０％ 提前 2 天 ８：００", [(50, 2, 8, 0)]),
        ("", []),
    ],
)
def test_waves_are_read_as_people_type_them(text, waves):
    read = read_wave_lines(text, "own")
    assert [(wave.percent, wave.days_before, wave.at.hour, wave.at.minute) for wave in read] == waves
    assert read_wave_lines(wave_words(read), "own") == read


@pytest.mark.parametrize("text", [*HOSTILE[:3], "三成 明天", "130% 当天 07:00", "30% 提前 1 天 25:00", "30%"])
def test_what_is_no_wave_is_refused_in_words(text):
    if text.strip("\x00 "):
        with pytest.raises(BadInput):
            read_wave_lines(text, "own")


def test_the_desk_sets_waves_and_sees_when_what_opens(app):
    at, opened, desk, path = scene(app)
    assert "按医院规则" in desk.get(path).text
    assert "放号设置" in desk.get(f"/staff/sessions/{opened.id}").text
    day = opened.session.local_date - timedelta(days=1)
    saved = desk.post(path, {"act": "waves", "mode": "own", "waves": "50% 提前 1 天 20:00"})
    assert saved.status_code == 303
    shown = desk.get(path).text
    assert "50% 提前 1 天 20:00" in shown and f"{day.month} 月 {day.day} 日" in shown and "4 个号" in shown
    assert clinic(at, opened).release_waves == [{"percent": 50, "days_before": 1, "at": "20:00"}]
    wrong = desk.post(path, {"act": "waves", "mode": "own", "waves": "很多"})
    assert wrong.status_code == 422 and "分批放号看不懂" in wrong.text
    assert desk.post(path, {"act": "waves", "mode": "once", "waves": ""}).status_code == 303
    assert clinic(at, opened).release_waves == []
    assert desk.post(path, {"act": "waves", "mode": "rule", "waves": ""}).status_code == 303
    assert clinic(at, opened).release_waves is None


def test_the_desk_lets_a_session_be_drawn_and_takes_it_back(app):
    at, opened, desk, path = scene(app)
    assert desk.post(path, in_hours(at, 10)).status_code == 303
    shown = desk.get(path).text
    assert "抽签放号" in shown and "改回先到先得" in shown and clinic(at, opened).sale == "draw"
    assert desk.post(path, in_hours(at, 60)).status_code == 422, "after the release"
    assert desk.post(path, {"act": "draw", "entries_date": "", "entries_time": ""}).status_code == 422
    assert desk.post(path, {"act": "first_come"}).status_code == 303
    assert clinic(at, opened).sale == "first_come"
    assert db.session.scalars(select(Place).where(Place.opens_at.is_not(None))).all() == []


@pytest.mark.parametrize("act", [{}, {"act": ""}, {"act": "raffle"}])
def test_a_form_that_names_no_change_changes_nothing(app, act):
    at, opened, desk, path = scene(app)
    assert desk.post(path, in_hours(at, 10)).status_code == 303
    answer = desk.post(path, act)
    assert answer.status_code == 422 and "什么也没有改变" in answer.text
    assert clinic(at, opened).sale == "draw"


def test_a_running_draw_is_shown_with_its_counts_and_cannot_be_changed(app, now):
    at, opened, desk, path = scene(app)
    desk.post(path, in_hours(at, 1))
    now.shift(hours=2)
    db.session.rollback()
    draw = db.session.scalars(select(Draw)).one()
    db.session.expunge_all()
    put_in(at, draw, entrant())
    desk = seat(app, at, "scheduler")
    shown = desk.get(path).text
    assert draw.commitment in shown and "改回先到先得" not in shown and draw.seed not in shown
    fields = {"csrf_token": _token(desk), **in_hours(at, 5)}
    assert desk.send(path, fields).status_code == 409
    now.shift(hours=50)
    draw_due()
    desk = seat(app, at, "scheduler")
    assert "完成" in desk.get(path).text and clinic(at, opened).drawn_at is not None


def _token(desk):
    page = desk.get("/staff/week").text
    return page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]


def test_who_may_only_read_changes_nothing(app):
    at, opened, desk, path = scene(app, role="desk")
    shown = desk.get(path)
    assert shown.status_code == 200 and "保存批次" not in shown.text
    assert desk.send(path, {"csrf_token": _token(desk), "act": "waves", "mode": "once"}).status_code == 403
    elsewhere = factory.clinic()
    theirs = factory.open_session(elsewhere)
    assert desk.get(f"/staff/sessions/{theirs.id}/release").status_code == 404
    assert clinic(at, opened).release_waves is None
