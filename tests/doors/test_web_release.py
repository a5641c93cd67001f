"""When numbers open, on pages without script: strip, panels, cards, the page for who comes too early, calendars, the draw."""

from __future__ import annotations

import json
from datetime import date, time, timedelta
from urllib.parse import unquote

import pytest
from icalendar import Calendar
from sqlalchemy import update

from booking.appointments.draw import draw_due
from booking.appointments.draw_entries import set_draw
from booking.clock import utc
from booking.db import transaction
from booking.directory.models import Doctor
from booking.refs import ref
from booking.schedule.models import Place
from booking.vault import blind_index
from tests import factory
from tests.doors.visitor import TOKEN, Visitor, title
from tests.verbs.test_after import staff
from tests.verbs.test_draw import put_in
from tests.verbs.test_reserve import book

ZONE = "Asia/Shanghai"
DAY = date(2026, 12, 3)
RELEASE = utc(date(2026, 11, 26), time(20), ZONE)
EVENING = utc(date(2026, 12, 2), time(20), ZONE)


@pytest.fixture
def here(app):
    """Call something in a context of its own: a request must not find another's values."""

    def call(what, *words, **more):
        with app.app_context():
            return what(*words, **more)

    return call


@pytest.fixture
def scene(here, now):
    """Afternoon of the release day: the doctor's only session opens tonight at 20:00."""
    now.at(RELEASE - timedelta(hours=4))
    at = here(factory.clinic)
    return at, here(factory.open_session, at, on=DAY, places=2, release_at=RELEASE)


@pytest.fixture
def visitor(app):
    return Visitor(app)


def page(at, day=DAY):
    return f"/d/{at.doctor.slug}?date={day.isoformat()}"


def later_wave(opened, position=2):
    with transaction() as session:
        rows = update(Place).where(Place.session_id == opened.id, Place.position >= position)
        session.execute(rows.values(opens_at=EVENING))


def hold(visitor, at, opened, slot=0):
    return visitor.post("/hold", slot=ref(at.id, opened.slots[slot].id))


def test_a_session_that_is_not_open_yet_says_when_everywhere(scene, visitor, client):
    at, opened = scene
    shown = visitor.get(page(at)).text
    assert "今晚 20:00 放号" in shown and "11 月 26 日 周四 20:00，在这之前任何人都约不到" in shown
    assert "12 月 3 日 周四，上午 11 月 26 日 周四 20:00 放号" in shown, "the strip, read aloud"
    assert f"/release/{ref(at.id, opened.id)}.ics" in shown
    assert "今晚 20:00 放号" in client.get("/").text and "第 7 天" not in shown
    assert "今晚 20:00 放号" in client.get("/doctors").text


def test_whoever_comes_too_early_gets_a_page_that_helps_and_nothing_is_held(scene, visitor):
    at, opened = scene
    answer = hold(visitor, at, opened)
    assert answer.status_code == 409 and title(answer).startswith("今晚 20:00 放号")
    assert 4 * 3600 - 60 < int(answer.headers["Retry-After"]) <= 4 * 3600
    assert "你没有错过" in answer.text and "登录手机号" in answer.text and "添加就诊人" in answer.text
    assert f"/release/{ref(at.id, opened.id)}.ics" in answer.text
    visitor.sign_in()
    again = hold(visitor, at, opened)
    assert again.status_code == 409 and "已登录" in again.text


def test_a_crowd_that_comes_too_early_shares_a_page_without_anybody_s_names(scene, app, here):
    at, opened = scene
    one, other, stranger = Visitor(app), Visitor(app), Visitor(app)
    here(a_patient)
    one.sign_in()
    other.sign_in("13800130902")
    assert "陈*" in hold(one, at, opened).text, "the first one sees whom this account books for"
    shared = hold(one, at, opened)
    assert shared.status_code == 409 and title(shared).startswith("今晚 20:00 放号")
    assert 4 * 3600 - 60 < int(shared.headers["Retry-After"]) <= 4 * 3600
    assert "已登录" in shared.text and "陈*" not in shared.text and "/me/patients" in shared.text
    mine, yours = (TOKEN.findall(hold(who, at, opened).text) for who in (one, other))
    assert len(mine) > 1 and not {*mine} & {*yours}, "each has the token of its own browser"
    assert "登录手机号" in hold(stranger, at, opened).text


def test_what_was_to_be_said_to_one_browser_is_not_said_to_the_crowd(scene, app, visitor):
    at, opened = scene
    hold(visitor, at, opened)
    form = {"csrf_token": visitor.token(), "slot": ref(at.id, opened.slots[0].id)}
    with visitor.client.session_transaction() as kept:
        kept["_flashes"] = [("ok", "只对一个人说的话")]
    assert "只对一个人说的话" not in visitor.client.post("/hold", data=form).text
    assert "只对一个人说的话" in visitor.get("/about").text, "it waits for a page of its own"


def test_at_the_release_the_same_button_holds(scene, visitor, now):
    at, opened = scene
    visitor.sign_in()
    assert [hold(visitor, at, opened).status_code for _ in range(2)] == [409, 409]
    now.at(RELEASE)
    assert hold(visitor, at, opened).status_code == 303


def test_the_rest_of_a_session_says_how_many_open_when(scene, visitor, client, now, here):
    at, opened = scene
    here(later_wave, opened)
    now.at(EVENING - timedelta(hours=3))
    shown = visitor.get(page(at)).text
    assert "还有 4 个号 今晚 20:00 放出" in shown and "还剩 4 个号" in shown
    for slot in range(4):
        here(lambda slot=slot: book(at, opened, factory.person(), slot=slot, holder=f"h{slot}"))
    shown = visitor.get(page(at)).text
    assert "还有号待放" in shown and "今晚 20:00再放" in shown
    assert "上午 现在没有号，12 月 2 日 周三 20:00 再放" in shown
    assert "今晚 20:00 放 4 个号" in client.get("/").text
    visitor.sign_in()
    refused = hold(visitor, at, opened)
    assert refused.status_code == 409 and "还有 1 个号 今晚 20:00 放出，之前任何人都约不到" in refused.text
    now.at(EVENING)
    assert hold(visitor, at, opened).status_code == 303


# --- calendars -------------------------------------------------------------------------------------------------------


def events(answer):
    assert answer.status_code == 200 and answer.mimetype == "text/calendar"
    calendar = Calendar.from_ical(answer.get_data())
    return calendar, list(calendar.walk("VEVENT"))


def test_the_calendar_is_read_back_by_the_library(scene, client, here):
    at, opened = scene
    here(later_wave, opened)
    calendar, found = events(client.get(f"/h/{at.hospital.slug}/releases.ics"))
    assert [one.get("UID").split("@")[0] for one in found] == [
        f"release-{ref(at.id, opened.id)}",
        f"wave-1-{ref(at.id, opened.id)}",
    ]
    assert [one.decoded("DTSTART") for one in found] == [RELEASE, EVENING]
    assert found[0].get("DTSTART").params["TZID"] == ZONE
    assert [zone.get("TZID") for zone in calendar.walk("VTIMEZONE")] == [ZONE]
    assert "4 个号" in str(found[0].get("SUMMARY")) and at.doctor.name in str(found[0].get("SUMMARY"))
    assert calendar.get("VERSION") == "2.0" and not calendar.walk("VALARM")
    _, mine = events(client.get(f"/d/{at.doctor.slug}/releases.ics"))
    assert [one.get("UID") for one in mine] == [one.get("UID") for one in found]
    _, one = events(client.get(f"/release/{ref(at.id, opened.id)}.ics"))
    assert one[0].walk("VALARM")[0].get("TRIGGER").dt == timedelta(minutes=-10)


def test_the_calendar_for_programs_names_every_opening(scene, client, here):
    at, opened = scene
    here(later_wave, opened)
    said = client.get(f"/h/{at.hospital.slug}/releases.json").get_json()
    assert said["format"] == "qingwu-releases/1" and said["hospital"]["slug"] == at.hospital.slug
    (session,) = said["sessions"]
    assert session["openings"] == [
        {"name": "release", "at": "2026-11-26T20:00:00+08:00", "places": 4},
        {"name": "wave-1", "at": "2026-12-02T20:00:00+08:00", "places": 4},
    ]
    assert client.get(f"/d/{at.doctor.slug}/releases.json").get_json()["sessions"] == said["sessions"]


@pytest.mark.parametrize("name", ["releases.ics", "releases.json"])
def test_a_calendar_may_be_kept_and_asked_for_again_cheaply(scene, client, name):
    at, _opened = scene
    url = f"/h/{at.hospital.slug}/{name}"
    first = client.get(url)
    assert "public" in first.headers["Cache-Control"] and "max-age=300" in first.headers["Cache-Control"]
    assert "Set-Cookie" not in first.headers and first.headers["Access-Control-Allow-Origin"] == "*"
    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.get_data()
    for unknown in (f"/h/nobody/{name}", f"/d/nobody/{name}"):
        assert client.get(unknown).status_code == 404


def test_what_anybody_may_keep_carries_nobodys_cookie(drawn, visitor, here, now):
    at, opened, draw = drawn
    visitor.sign_in()
    for path in (
        f"/h/{at.hospital.slug}/releases.json",
        f"/release/{ref(at.id, opened.id)}.ics",
        f"/draw/{ref(at.id, draw.id)}.json",
    ):
        headers = visitor.get(path).headers
        assert "public" in headers["Cache-Control"] and "Set-Cookie" not in headers, path


def test_a_stopped_or_past_release_is_not_in_the_calendar(scene, client, now):
    at, opened = scene
    now.at(RELEASE + timedelta(days=2))
    assert client.get(f"/h/{at.hospital.slug}/releases.json").get_json()["sessions"] == []
    assert client.get(f"/release/{ref(at.id, opened.id)}.ics").status_code == 404


# --- the draw --------------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(scene, here, now):
    at, opened = scene
    opens = now() + timedelta(minutes=30)
    draw = here(set_draw, at.id, opened.id, actor=staff(at, "scheduler"), entries_from=opens)
    return at, opened, draw


def a_patient(visitor_phone="13800130901"):
    """The account that signs in with this phone, with a patient whose ID number is known."""
    phone = f"+86{visitor_phone}"
    account = factory.account(phone=phone)
    number = "110101195803090021"
    columns = {"id_type": "resident", "id_number": number, "id_hash": blind_index("id:resident", number)}
    return factory.Person(account, factory.patient(account, "陈桂香", **columns))


def test_a_session_that_is_drawn_leads_to_its_page_also_from_a_hold(drawn, visitor, now):
    at, opened, draw = drawn
    where = f"/draw/{ref(at.id, draw.id)}"
    shown = visitor.get(page(at)).text
    assert "抽签放号" in shown and where in shown and "今天 16:30 起报名，今晚 20:00 抽签" in shown
    answer = hold(visitor, at, opened)
    assert answer.status_code == 409 and where in answer.text and "抽签前任何人都约不到" in answer.text
    assert 1700 < int(answer.headers["Retry-After"]) <= 1800, "until entries open"
    before = visitor.get(where)
    assert (
        before.status_code == 200 and "还没开始报名" in title(before) and draw.commitment not in before.text
    )
    now.shift(minutes=31)
    during = visitor.get(where)
    assert draw.commitment in during.text and draw.seed not in during.text and "登录后报名" in during.text


def test_entering_withdrawing_and_entering_again_on_the_page(drawn, visitor, now, here):
    at, opened, draw = drawn
    who, where = here(a_patient), f"/draw/{ref(at.id, draw.id)}"
    now.shift(minutes=31)
    first = visitor.post(f"{where}/enter")
    assert first.status_code == 303, "sign in first"
    assert unquote(first.headers["Location"]).endswith(f"next={where}"), "a page that can be opened"
    visitor.sign_in()
    assert visitor.post(f"{where}/enter", patient="", first="any").status_code == 422
    slot = opened.slots[1].id.hex
    done = visitor.follow(visitor.post(f"{where}/enter", patient=str(who.patient.id), first=slot, others="y"))
    assert "报名成功" in done.text and "09:00、08:30、09:30、10:00" in done.text and "已报名" in done.text
    gone = visitor.follow(visitor.post(f"{where}/withdraw", patient=str(who.patient.id)))
    assert "已撤回" in gone.text
    again = visitor.follow(visitor.post(f"{where}/enter", patient=str(who.patient.id), first="any"))
    assert "都可以" in again.text


def test_the_result_page_names_my_token_and_lets_anybody_check(drawn, visitor, now, here):
    at, opened, draw = drawn
    who, where = here(a_patient), f"/draw/{ref(at.id, draw.id)}"
    now.shift(minutes=31)
    mine = here(put_in, at, draw, who, opened.slots[2].id)
    now.at(RELEASE)
    assert "正在抽签" in visitor.get(where).text
    here(draw_due)
    visitor.sign_in()
    result = visitor.get(where)
    assert title(result).startswith("抽中了") and mine.token in result.text and "抽中 09:30" in result.text
    assert draw.seed in result.text and draw.commitment in result.text and "怎么自己核对" in result.text
    assert "看预约和预约码" in result.text and "陈桂香" not in result.text
    file = visitor.get(f"{where}.json")
    assert file.get_json()["seed"] == draw.seed and "max-age=3600" in file.headers["Cache-Control"]
    assert visitor.get(f"{where}.json", headers={"If-None-Match": file.headers["ETag"]}).status_code == 304
    assert "这个班次已经抽签" in visitor.get(page(at)).text
    stranger = Visitor(visitor.client.application).get(where)
    assert title(stranger).startswith("抽签结果") and "你的" not in stranger.text


def test_the_page_of_a_draw_stays_when_the_doctor_has_left(drawn, visitor, here):
    at, _opened, draw = drawn

    def leave():
        with transaction() as session:
            session.execute(update(Doctor).where(Doctor.id == at.doctor.id).values(active=False))

    here(leave)
    shown = visitor.get(f"/draw/{ref(at.id, draw.id)}")
    assert shown.status_code == 200 and at.doctor.name in shown.text
    assert f"/d/{at.doctor.slug}" not in shown.text, "no way to a page that is gone"


def test_too_late_is_said_on_the_page(drawn, visitor, now, here):
    at, _opened, draw = drawn
    who, where = here(a_patient), f"/draw/{ref(at.id, draw.id)}"
    visitor.sign_in()
    now.at(RELEASE)
    answer = visitor.post(f"{where}/enter", patient=str(who.patient.id), first="any")
    assert answer.status_code == 409 and "现在不在报名时间内" in answer.text


def test_the_calendar_names_the_window_of_a_draw(drawn, client):
    at, opened, _draw = drawn
    _, found = events(client.get(f"/d/{at.doctor.slug}/releases.ics"))
    names = {
        one.get("UID").rpartition(f"-{ref(at.id, opened.id)}")[0]: one.decoded("DTSTART") for one in found
    }
    assert names["draw"] == RELEASE and RELEASE - timedelta(hours=4) < names["entries"] < RELEASE
    (session,) = json.loads(client.get(f"/d/{at.doctor.slug}/releases.json").text)["sessions"]
    assert session["sale"] == "draw" and session["openings"][0]["places"] == 8
