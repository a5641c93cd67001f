"""One visit at the desk: its history in words, and the page that moves it."""

from __future__ import annotations

import re
from datetime import date, time

import pytest

from booking.appointments.cancel import cancel
from booking.appointments.models import Appointment
from booking.appointments.places import add_event
from booking.clock import utc
from booking.db import transaction
from booking.staff.rules import SYSTEM, Actor
from tests import factory
from tests.doors.desk_people import Seat, member
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
