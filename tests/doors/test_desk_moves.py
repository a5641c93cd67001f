"""One visit at the desk: its history in words, and the page that moves it."""

from __future__ import annotations

import re
from datetime import date, time, timedelta

import pytest

from booking.appointments.at_desk import book_at_desk
from booking.appointments.cancel import cancel
from booking.appointments.models import Appointment
from booking.appointments.places import add_event
from booking.clock import utc
from booking.db import transaction
from booking.staff.rules import SYSTEM, Actor
from tests import factory
from tests.doors.desk_people import HOSTILE, Seat, member, stored, text_of
from tests.verbs.test_at_desk import at_desk, clerk, known
from tests.verbs.test_reserve import book

DAY = date(2030, 1, 8)


@pytest.fixture
def at(within, now):
    now.at(utc(DAY, time(7), "Asia/Shanghai"))
    return factory.clinic()


@pytest.fixture
def there(at):
    return factory.open_session(at, DAY)


@pytest.fixture
def desk(app, at):
    return Seat(app, member(at, "desk", "周晓岚"))


def history(desk, visit):
    """The lines of the history as they are read."""
    page = desk.get(f"/staff/appointment/{visit.id}").text
    part = re.search(r'<section[^>]*aria-labelledby="h-events".*?</section>', page, re.S)
    return [
        " ".join(re.sub(r"<[^>]+>", " ", one).split()) for one in re.findall(r"<li>(.*?)</li>", part[0], re.S)
    ]


def test_the_history_names_who_did_what_at_whose_wish_and_why(app, at, there, desk):
    visit = book(at, there, factory.person())
    page = f"/staff/appointment/{visit.id}"
    slot = there.slots[3].id.hex
    desk.post(f"{page}/move", {"slot": slot, "by": "patient", "reason": "上午要开会"})
    admin = Seat(app, member(at, "admin", "何予"))
    admin.post(f"{page}/cancel", {"by": "hospital", "reason": "医生会诊"}, page=page)
    held, confirmed, moved, cancelled = history(desk, visit)
    assert held.endswith("开始预约 患者") and confirmed.endswith("预约成功 患者")
    before = f"{at.doctor.name} 1 月 8 日 周二 上午 08:30"
    assert moved.endswith(f"改约（患者要求），原来是{before}：上午要开会 周晓岚（分诊台）")
    assert cancelled.endswith("取消（医院原因）：医生会诊 何予（管理员）")


def test_the_end_of_a_no_show_says_on_what_ground(at, there, desk, now):
    visit = factory.booked(at, there, factory.person(), status="no_show")
    now.at(there.slots[3].ends_at)
    desk.post(f"/staff/no-shows/{visit.id}/was-here", {"note": "护士记得来过"}, page="/staff/no-shows")
    assert history(desk, visit)[-1].endswith("免除爽约（现场凭证）：护士记得来过 周晓岚（分诊台）")


def test_a_hold_that_ran_out_says_so_once_and_in_the_readers_language(at, there, desk):
    visit = factory.booked(at, there, factory.person())
    with transaction() as session:
        row = session.get_one(Appointment, (at.id, visit.id))
        add_event(
            session,
            row,
            "expire",
            "held",
            "expired",
            2,
            actor=SYSTEM,
            now=factory.now(),
            reason="hold ran out",
        )
    assert history(desk, visit)[-1].endswith("保留到期 系统")


def test_whoever_is_not_of_this_hospital_is_named_by_role_alone(at, there, desk):
    stranger = member(factory.clinic(), "desk", "外院人")
    visit = factory.booked(at, there, factory.person())
    gone = Actor("desk", stranger.id.hex, "外院人", at.id)
    cancel(at.id, visit.id, actor=gone, by="patient", reason="来电")
    assert history(desk, visit)[-1].endswith("取消（患者要求）：来电 分诊台")


# --- the page that moves ---------------------------------------------------------------------------------------------


@pytest.fixture
def visit(at):
    """A visit of somebody of 30 with another doctor of the department."""
    theirs = factory.another_doctor(at)
    who = known(at, birth_date="1999-05-05")
    return at_desk(theirs, factory.open_session(theirs, DAY + timedelta(days=1)), who)


def test_the_page_lists_what_staff_have_by_channel_and_says_which_asks_for_a_reason(at, visit, desk):
    opened = factory.open_session(
        at,
        DAY + timedelta(days=2),
        places=3,
        channels={"phone": 1, "elder": 2},
        release_at=factory.now() + timedelta(days=1),
    )
    at_desk(at, opened, known(at, birth_date="1999-05-05"), slot=1)
    page = desk.get(f"/staff/appointment/{visit.id}/move")
    names = re.findall(r'value="([0-9a-f]{32})"[^>]*aria-label="([^"]+)"', page.text)
    said = dict(names)
    assert said[opened.slots[0].id.hex].endswith("1 月 10 日 周四 上午 08:30，空号：电话 1，60 岁以上 2")
    assert said[opened.slots[1].id.hex].endswith("上午 09:00，空号：60 岁以上 2，要写原因")
    assert "明天 07:00放号" in text_of(page)
    assert 'name="override"' in page.text, "some times ask for a reason"
    assert visit.slot_id.hex not in said


def test_a_time_kept_for_others_is_taken_with_a_reason_and_not_without(at, visit, desk):
    opened = factory.open_session(at, DAY + timedelta(days=2), places=1, channels={"elder": 1})
    path = f"/staff/appointment/{visit.id}/move"
    fields = {"slot": opened.slots[0].id.hex, "by": "patient"}
    refused = desk.post(path, fields)
    assert refused.status_code == 409 and "没有可以给这位患者的号了" in text_of(refused)
    assert 'name="override"' in refused.text and "写明原因，仍要改约" in text_of(refused)
    assert f'value="{fields["slot"]}" checked' in refused.text, "what was chosen stays chosen"
    assert stored(Appointment, at.id, visit.id).version == 1
    done = desk.post(path, fields | {"override": "医生要求尽早复查"})
    assert done.status_code == 303
    assert stored(Appointment, at.id, visit.id).channel == "elder"


def test_a_limit_is_passed_with_a_reason_and_two_visits_at_once_are_not(at, visit, desk):
    morning = factory.open_session(at, DAY + timedelta(days=2))
    afternoon = factory.open_session(factory.another_doctor(at), DAY + timedelta(days=2), part="下午")
    beside = factory.open_session(factory.another_doctor(at), DAY + timedelta(days=2))
    book_at_desk(at.id, morning.slots[0].id, actor=clerk(at), patient_id=visit.patient_id, via="phone")
    path = f"/staff/appointment/{visit.id}/move"
    fields = {"slot": afternoon.slots[3].id.hex, "by": "patient"}
    refused = desk.post(path, fields)
    assert refused.status_code == 409 and "同一科室一天只能约" in text_of(refused)
    assert 'name="override"' in refused.text
    never = desk.post(path, {"slot": beside.slots[0].id.hex, "by": "patient", "override": "家属坚持"})
    assert never.status_code == 409 and "两个时间重叠了" in text_of(never)
    assert desk.post(path, fields | {"override": "医生要求"}).status_code == 303


def test_what_the_patient_reads_is_never_cut_unsaid(at, visit, there, desk):
    path, long = f"/staff/appointment/{visit.id}/move", "医生外出会诊" * 6
    assert "医院原因也写进通知，所以最多 35 个字" in text_of(desk.get(path))
    fields = {"slot": there.slots[3].id.hex, "reason": long}
    refused = desk.post(path, fields | {"by": "hospital"})
    assert refused.status_code == 422 and "最多 35 个字，现在有 36 个" in text_of(refused)
    assert stored(Appointment, at.id, visit.id).version == 1
    assert desk.post(path, fields | {"by": "hospital", "reason": long[:35]}).status_code == 303
    back = {"slot": there.slots[2].id.hex, "by": "patient", "reason": long}
    assert desk.post(path, back).status_code == 303, "what stays inside may be longer"


@pytest.mark.parametrize("value", HOSTILE)
def test_no_reason_breaks_moving(at, visit, there, desk, value):
    safe = value.encode("utf-8", "replace").decode()
    path = f"/staff/appointment/{visit.id}/move"
    for field in ("reason", "override"):
        answer = desk.post(path, {"slot": there.slots[3].id.hex, "by": "hospital", field: safe}, page=path)
        assert answer.status_code in (303, 422), field
    assert "<script>alert" not in desk.get(f"/staff/appointment/{visit.id}").text
