"""Cancel, move, check in, stop and reopen, sweep: on rows and letters, on both databases."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from sqlalchemy import func, select

from booking.appointments.announce import is_urgent
from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in
from booking.appointments.desk_queries import by_code, stop_preview, stopped_people
from booking.appointments.expire import remove_old_holds, sweep_holds
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.move import move
from booking.appointments.queries import appointment, find, of_account
from booking.appointments.reserve import confirm, hold
from booking.appointments.rules import (
    AlreadyStarted,
    HoldExpired,
    MoveTooLate,
    NoSuchAppointment,
    NotActive,
    NotReleased,
    SameTime,
    SessionStopped,
    SlotFull,
    TooEarly,
    WrongDay,
)
from booking.appointments.stop import reopen_session, stop_session
from booking.db import db
from booking.errors import BadInput, NotAllowed
from booking.outbox import Message
from booking.schedule.models import ClinicSession, Place
from booking.staff.models import AuditEvent
from booking.staff.rules import Actor
from tests import factory
from tests.invariants import broken
from tests.verbs.test_reserve import as_account, book, browser, messages

pytestmark = pytest.mark.usefixtures("within")

BY = ("patient", "hospital")


def staff(at, role="admin"):
    return Actor(role, "staff-1", "何予", hospital_id=at.id)


def fresh(row):
    return db.session.get(Appointment, (row.hospital_id, row.id), populate_existing=True)


def kinds(row, *statuses):
    return sorted({one.kind for one in messages(row) if one.status in (statuses or ("waiting",))})


def free_places(opened):
    return db.session.scalar(
        select(func.count()).where(
            Place.session_id == opened.id, Place.appointment_id.is_(None), Place.open.is_(True)
        )
    )


# --- cancel


def test_cancelling_frees_the_place_ends_the_reminders_and_tells():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    before = free_places(opened)
    done = cancel(at.id, row.id, actor=as_account(who), reason="时间不合适")
    assert (done.status, done.cancelled_by, done.cancelled_late, done.holds_place_id) == (
        "cancelled",
        "patient",
        False,
        None,
    )
    assert free_places(opened) == before + 1
    assert kinds(row) == ["cancelled"]
    assert kinds(row, "superseded") == ["confirmed", "reminder_day", "reminder_hours"]
    event = db.session.scalars(select(AppointmentEvent).order_by(AppointmentEvent.version.desc())).first()
    assert (event.verb, event.from_status, event.to_status, event.reason) == (
        "cancel",
        "booked",
        "cancelled",
        "时间不合适",
    )
    assert not broken()


def test_cancelling_twice_frees_once_and_tells_once():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    who = factory.person()
    row = book(at, opened, who)
    cancel(at.id, row.id, actor=as_account(who))
    other = book(at, opened, factory.person(), holder="h2")
    assert cancel(at.id, row.id, actor=as_account(who)).status == "cancelled"
    assert fresh(other).status == "booked", "the place now belongs to somebody else"
    assert len([one for one in messages(row) if one.kind == "cancelled"]) == 2  # app and SMS
    assert not broken()


def test_after_the_deadline_a_cancellation_is_recorded_as_late(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    now.at(appointment(at.id, row.id).cancel_deadline + timedelta(minutes=1))
    assert appointment(at.id, row.id).cancel_is_late
    assert cancel(at.id, row.id, actor=as_account(who)).cancelled_late


def test_a_fresh_booking_may_be_regretted_for_ten_minutes_whatever_the_deadline(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    now.at(opened.slots[2].starts_at - timedelta(hours=3))
    row = book(at, opened, who, slot=2)
    now.shift(minutes=9)
    assert not cancel(at.id, row.id, actor=as_account(who)).cancelled_late


def test_nobody_cancels_online_once_the_slot_has_started_but_the_desk_may(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    now.at(opened.slots[0].starts_at + timedelta(seconds=1))
    with pytest.raises(AlreadyStarted):
        cancel(at.id, row.id, actor=as_account(who))
    assert fresh(row).status == "booked"
    done = cancel(at.id, row.id, actor=staff(at, "desk"), reason="患者来电")
    assert (done.cancelled_by, done.cancelled_late) == ("hospital", False)


@pytest.mark.parametrize(("by", "late"), [("patient", True), ("hospital", False), (None, False)])
def test_the_desk_cancels_at_somebodys_wish_and_people_are_told_whose(now, by, late):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    now.at(appointment(at.id, row.id).cancel_deadline + timedelta(minutes=1))
    done = cancel(at.id, row.id, actor=staff(at, "desk"), by=by, reason="来电")
    whose = by or "hospital"
    assert (done.cancelled_by, done.cancelled_late) == (whose, late)
    assert {one.facts["by"] for one in messages(row) if one.kind == "cancelled"} == {whose}
    assert not broken()


def test_the_desk_cancels_for_a_patient_in_time_without_trace_and_nobody_cancels_for_the_hospital():
    at = factory.clinic()
    opened = factory.open_session(at)
    in_time, own = book(at, opened, factory.person()), factory.person()
    done = cancel(at.id, in_time.id, actor=staff(at, "desk"), by="patient")
    assert (done.cancelled_by, done.cancelled_late) == ("patient", False)
    other = book(at, opened, own, slot=1, holder="h2")
    assert cancel(at.id, other.id, actor=as_account(own), by="hospital").cancelled_by == "patient"


def test_only_the_hospitals_own_cancelling_on_the_day_is_urgent(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    now.at(opened.slots[0].starts_at - timedelta(minutes=5))
    fact = {whose: is_urgent(fresh(row), "cancelled", {"by": whose}, factory.now()) for whose in BY}
    assert fact == {"patient": False, "hospital": True}


def test_only_who_booked_the_found_code_or_the_desk_may_cancel():
    at, elsewhere = factory.clinic(), factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    for stranger in (as_account(factory.person()), Actor("code", "0" * 32)):
        with pytest.raises(NoSuchAppointment):
            cancel(at.id, row.id, actor=stranger)
    for nobody in (browser(), staff(at, "scheduler"), staff(at, "doctor"), staff(elsewhere, "admin")):
        with pytest.raises(NotAllowed):
            cancel(at.id, row.id, actor=nobody)
    assert fresh(row).status == "booked"
    assert cancel(at.id, row.id, actor=Actor("code", row.id.hex)).status == "cancelled"


# --- move


def test_a_move_keeps_id_and_code_and_swaps_the_places():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    who = factory.person()
    row = book(at, opened, who)
    old_place, code = row.place_id, row.visit_code
    done = move(at.id, row.id, opened.slots[2].id, actor=as_account(who))
    assert (done.id, done.visit_code, done.version, done.status) == (row.id, code, 3, "booked")
    assert done.starts_local == opened.slots[2].starts_local
    assert db.session.get(Place, (at.id, old_place), populate_existing=True).appointment_id is None
    assert kinds(row) == ["moved", "reminder_day", "reminder_hours"]
    moved = next(one for one in messages(row) if one.kind == "moved")
    assert moved.facts["from"]["starts_local"] == "08:30" and moved.version == 3
    assert not broken()


def test_a_move_to_a_full_slot_changes_nothing():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    who = factory.person()
    row = book(at, opened, who)
    book(at, opened, factory.person(), slot=2, holder="o")
    with pytest.raises(SlotFull) as refused:
        move(at.id, row.id, opened.slots[2].id, actor=as_account(who))
    assert len(refused.value.facts["alternatives"]) == 2
    assert fresh(row).version == 2 and fresh(row).slot_id == opened.slots[0].id
    assert kinds(row) == ["confirmed", "reminder_day", "reminder_hours"]
    assert not broken()


def test_moving_to_the_same_time_is_refused_and_a_repeated_move_is_the_same_answer():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    with pytest.raises(SameTime):
        move(at.id, row.id, opened.slots[0].id, actor=as_account(who))
    move(at.id, row.id, opened.slots[1].id, actor=as_account(who), key="m")
    assert move(at.id, row.id, opened.slots[1].id, actor=as_account(who), key="m").version == 3
    assert move(at.id, row.id, opened.slots[1].id, actor=as_account(who)).version == 3


def test_people_move_until_the_deadline_and_the_desk_afterwards(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    now.at(appointment(at.id, row.id).cancel_deadline + timedelta(minutes=1))
    with pytest.raises(MoveTooLate):
        move(at.id, row.id, opened.slots[1].id, actor=as_account(who))
    assert move(at.id, row.id, opened.slots[1].id, actor=staff(at, "desk")).version == 3


def test_a_move_obeys_the_release_and_the_stop():
    at = factory.clinic()
    opened = factory.open_session(at)
    day = opened.session.local_date
    later = factory.open_session(at, day + timedelta(days=7), release_at=factory.now() + timedelta(days=1))
    stopped = factory.open_session(at, day + timedelta(days=1), status="stopped")
    who = factory.person()
    row = book(at, opened, who)
    with pytest.raises(NotReleased):
        move(at.id, row.id, later.slots[0].id, actor=as_account(who))
    with pytest.raises(SessionStopped):
        move(at.id, row.id, stopped.slots[0].id, actor=as_account(who))
    assert fresh(row).version == 2


# --- check in


def test_check_in_gives_each_a_number_once(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    first, second = (
        book(at, opened, factory.person()),
        book(at, opened, factory.person(), slot=1, holder="h2"),
    )
    now.at(opened.slots[0].starts_at - timedelta(minutes=30))
    desk = staff(at, "desk")
    one, two = check_in(at.id, first.id, actor=desk), check_in(at.id, second.id, actor=desk)
    assert (one.queue_number, two.queue_number, one.late) == (1, 2, False)
    again = check_in(at.id, first.id, actor=desk)
    assert (again.queue_number, again.again) == (1, True)
    assert fresh(first).status == "arrived"
    assert kinds(first) == [], "whoever stands at the desk needs no reminder"
    assert not broken()


def test_check_in_refuses_the_wrong_day_too_early_and_cancelled_and_says_late(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    desk = staff(at, "desk")
    with pytest.raises(WrongDay):
        check_in(at.id, row.id, actor=desk)
    now.at(opened.slots[0].starts_at - timedelta(hours=3))
    with pytest.raises(TooEarly):
        check_in(at.id, row.id, actor=desk)
    now.at(opened.slots[0].starts_at + timedelta(minutes=31))
    assert check_in(at.id, row.id, actor=desk).late
    gone = factory.booked(at, opened, factory.person(), slot=1, status="cancelled", visit_code="11111113")
    with pytest.raises(NotActive):
        check_in(at.id, gone.id, actor=desk)
    with pytest.raises(NotAllowed):
        check_in(at.id, row.id, actor=staff(at, "scheduler"))


# --- stop


def test_a_stop_is_total_and_tells_everybody_once_per_channel():
    at = factory.clinic()
    opened = factory.open_session(at)
    people = [
        factory.person(),
        factory.person(own_phone="+8613800138888"),
        factory.person(email="a@example.org"),
    ]
    rows = [book(at, opened, who, slot=slot, holder=f"h{slot}") for slot, who in enumerate(people)]
    waiting = hold(at.id, opened.slots[3].id, holder="w", actor=as_account(factory.person()))
    preview = stop_preview(at.id, opened.id, factory.now())
    assert (preview.count, preview.holds, preview.elders) == (3, 1, 3)
    done = stop_session(at.id, opened.id, actor=staff(at, "scheduler"), reason="医生外出会诊", note="院内")
    assert (done.count, done.letters) == (3, 2 + 3 + 3)
    assert [fresh(row).status for row in rows] == ["cancelled"] * 3
    assert {fresh(row).cancelled_by for row in rows} == {"hospital"}
    assert fresh(waiting).status == "expired"
    assert free_places(opened) == 0
    told = db.session.execute(
        select(Message.channel, Message.recipient).where(
            Message.appointment_id == rows[1].id, Message.kind == "stopped", Message.status == "waiting"
        )
    ).all()
    assert sorted(map(tuple, told)) == [("app", "account"), ("sms", "account"), ("sms", "patient")]
    audit = db.session.scalars(select(AuditEvent)).one()
    assert (audit.action, audit.actor_name, audit.reason) == ("stop_session", "何予", "医生外出会诊")
    again = stop_session(at.id, opened.id, actor=staff(at), reason="再点一次")
    assert again.again and again.letters == 0
    assert not broken()


def test_a_stopped_session_sells_nothing_and_says_why():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))
    stop_session(at.id, opened.id, actor=staff(at), reason="医生外出会诊")
    with pytest.raises(SessionStopped):
        hold(at.id, opened.slots[1].id, holder="x", actor=as_account(factory.person()))
    with pytest.raises(SessionStopped):
        confirm(at.id, row.id, holder="h", actor=as_account(who), patient_id=who.patient.id)


def test_reopening_opens_free_places_only_and_brings_nobody_back():
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    stop_session(at.id, opened.id, actor=staff(at), reason="设备检修")
    assert reopen_session(at.id, opened.id, actor=staff(at)) == 12
    assert fresh(row).status == "cancelled"
    assert db.session.get(ClinicSession, (at.id, opened.id), populate_existing=True).status == "published"
    assert hold(at.id, opened.slots[0].id, holder="n", actor=as_account(factory.person())).status == "held"
    assert not broken()


def test_a_second_stop_lists_its_own_people():
    at = factory.clinic()
    opened = factory.open_session(at)
    first = book(at, opened, factory.person())
    stop_session(at.id, opened.id, actor=staff(at), reason="设备检修")
    assert [line.id for line in stopped_people(at.id, opened.id)] == [first.id]
    reopen_session(at.id, opened.id, actor=staff(at))
    assert stopped_people(at.id, opened.id) == []
    second = book(at, opened, factory.person(), holder="n")
    stop_session(at.id, opened.id, actor=staff(at), reason="医生外出会诊")
    assert [line.id for line in stopped_people(at.id, opened.id)] == [second.id]


def test_a_stop_needs_a_reason_and_the_right():
    at, elsewhere = factory.clinic(), factory.clinic()
    opened = factory.open_session(at)
    with pytest.raises(BadInput):
        stop_session(at.id, opened.id, actor=staff(at), reason="  ")
    for role in ("desk", "doctor"):
        with pytest.raises(NotAllowed):
            stop_session(at.id, opened.id, actor=staff(at, role), reason="x")
    with pytest.raises(NotAllowed):
        stop_session(at.id, opened.id, actor=staff(elsewhere), reason="x")
    assert free_places(opened) == 12


# --- expire and look up


def test_the_sweeper_ends_only_holds_whose_time_is_over(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    old = hold(at.id, opened.slots[0].id, holder="a", actor=browser("a"))
    now.shift(minutes=11)
    young = hold(at.id, opened.slots[1].id, holder="b", actor=browser("b"))
    assert sweep_holds() == 1
    assert (fresh(old).status, fresh(young).status) == ("expired", "held")
    assert sweep_holds() == 0
    with pytest.raises(HoldExpired):
        who = factory.person()
        confirm(at.id, old.id, holder="a", actor=as_account(who), patient_id=who.patient.id)
    assert not broken()


def test_holds_that_came_to_nothing_are_forgotten_after_thirty_days(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    old = hold(at.id, opened.slots[0].id, holder="a", actor=browser("a"))
    kept = book(at, opened, factory.person())
    now.shift(days=29)
    sweep_holds()
    assert remove_old_holds() == 0
    now.shift(days=2)
    assert (remove_old_holds(), remove_old_holds()) == (1, 0)
    assert fresh(old) is None
    assert db.session.scalar(select(func.count()).where(AppointmentEvent.appointment_id == old.id)) == 0
    assert fresh(kept).status == "booked"
    assert not broken()


def test_a_visit_is_found_by_code_and_either_phone_and_by_nothing_else():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person(own_phone="+8613800137777")
    row = book(at, opened, who)
    tail = who.account.phone[-4:]
    assert find(row.visit_code, tail) == (at.id, row.id)
    assert find(f"{row.visit_code[:4]} {row.visit_code[4:]}", "7777") == (at.id, row.id)
    assert find(row.visit_code, "0000") is None
    assert find("12345678", tail) is None
    assert by_code(at.id, row.visit_code, row.visit_date) == row.id


def test_an_account_sees_its_visits_by_tab(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    assert [view.id for view in of_account(who.id)] == [row.id]
    assert of_account(factory.person().id) == []
    now.at(opened.session.ends_at + timedelta(hours=7))
    assert of_account(who.id) == [] and [view.id for view in of_account(who.id, "past")] == [row.id]


def test_times_are_wall_times_of_the_clinic():
    at = factory.clinic(hospital={"zone": "America/New_York"})
    opened = factory.open_session(at, starts=time(8, 30))
    row = book(at, opened, factory.person())
    assert row.starts_local == time(8, 30) and row.starts_at.hour in (12, 13)
