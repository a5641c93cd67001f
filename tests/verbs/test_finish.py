"""Finish a visit, by hand, by the clock and by a stop; take a check-in back: on rows and letters, on both databases."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from sqlalchemy import delete, select, update

from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in, undo_check_in
from booking.appointments.desk_queries import stop_preview
from booking.appointments.finish import AFTER, AT_LEAST, LOOK_BACK, finish, finish_visits
from booking.appointments.models import AppointmentEvent
from booking.appointments.move import move
from booking.appointments.no_show import mark_no_shows, record_ticket
from booking.appointments.queries import appointment, of_account
from booking.appointments.rules import (
    ExtraFull,
    JustArrived,
    NotActive,
    NotArrived,
    NotCheckedIn,
    SeenLongAgo,
    SlotFull,
)
from booking.appointments.stop import PAGE_IS_GOOD_FOR, reopen_session, stop_session
from booking.db import db, transaction
from booking.directory.models import Hospital
from booking.errors import BadInput, NotAllowed
from booking.notices.reconcile import reconcile
from booking.outbox import Message
from booking.schedule.change_session import change_session
from booking.schedule.desk_queries import session_detail
from booking.schedule.desk_slots import free_by_channel
from booking.schedule.models import ClinicSession, Place
from booking.schedule.rules import BelowSold
from booking.schedule.sellable import USED
from booking.staff.models import AuditEvent
from tests import factory
from tests.invariants import broken
from tests.verbs.test_after import free_places, fresh, kinds, staff
from tests.verbs.test_at_desk import at_desk, extra, known, place_of
from tests.verbs.test_no_show import over, somebody_came, told
from tests.verbs.test_reserve import as_account, book, messages
from tests.verbs.test_schedule import shape

pytestmark = pytest.mark.usefixtures("within")


def desk(at):
    return staff(at, "desk")


def arrived(at, opened, now, who=None, *, slot=0, holder="h"):
    """A visit that was booked and checked in, twenty minutes before its time."""
    row = book(at, opened, who or factory.person(), slot=slot, holder=holder)
    now.at(opened.slots[slot].starts_at - timedelta(minutes=20))
    check_in(at.id, row.id, actor=desk(at))
    a_while(now)
    return row


def a_while(now):
    """As long as a patient is here at least before they can have been seen."""
    now.at(factory.now() + AT_LEAST)


def events(row):
    return db.session.scalars(
        select(AppointmentEvent)
        .where(AppointmentEvent.appointment_id == row.id)
        .order_by(AppointmentEvent.version)
    ).all()


def trail(row):
    return [
        (one.action, one.actor_name, one.change, one.reason)
        for one in db.session.scalars(
            select(AuditEvent).where(AuditEvent.object_id == row.id).order_by(AuditEvent.at, AuditEvent.id)
        )
    ]


def let_the_hospital_hear(at):
    with transaction() as session:
        session.execute(
            update(Hospital).where(Hospital.id == at.id).values(webhook_url="https://his.example.org/hook")
        )


# --- finish


@pytest.mark.parametrize("called", [False, True])
def test_whoever_was_seen_is_fulfilled_and_the_trail_says_by_whom(now, called):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = arrived(at, opened, now)
    if called:
        call(row)
    version = fresh(row).version
    letters = len(messages(row))
    done = finish(at.id, row.id, actor=desk(at))
    assert (done.status, done.version, done.holds_place_id) == ("fulfilled", version + 1, None)
    assert (fresh(row).status, fresh(row).queue_number) == ("fulfilled", 1)
    last = events(row)[-1]
    assert (last.verb, last.to_status, last.actor_kind) == ("finish", "fulfilled", "desk")
    assert len(messages(row)) == letters and kinds(row) == [], "the patient needs no letter about it"
    assert trail(row) == [("check_in", "何予", {"queue_number": 1}, ""), ("finish", "何予", {}, "")]
    assert not broken()


def call(row):
    """As a screen in front of the room would: the patient was called in."""
    with transaction() as session:
        mine = session.get_one(type(row), (row.hospital_id, row.id))
        mine.status, mine.version = "in_visit", mine.version + 1
        session.add(
            AppointmentEvent(
                hospital_id=row.hospital_id,
                appointment_id=row.id,
                version=mine.version,
                at=factory.now(),
                verb="call",
                from_status="arrived",
                to_status="in_visit",
                actor_kind="desk",
            )
        )


def test_finishing_twice_changes_nothing(now):
    at = factory.clinic()
    row = arrived(at, factory.open_session(at), now)
    finish(at.id, row.id, actor=desk(at))
    again = finish(at.id, row.id, actor=staff(at))
    assert (again.status, again.version) == ("fulfilled", fresh(row).version)
    assert [one.verb for one in events(row)] == ["hold", "confirm", "check_in", "finish"]
    assert [action for action, *_ in trail(row)] == ["check_in", "finish"]


@pytest.mark.parametrize(
    ("status", "refusal"),
    [("booked", NotArrived), ("cancelled", NotActive), ("no_show", NotActive), ("excused", NotActive)],
)
def test_only_somebody_who_is_here_can_have_been_seen(status, refusal):
    at, elsewhere = factory.clinic(), factory.clinic()
    row = factory.booked(at, factory.open_session(at), factory.person(), status=status)
    with pytest.raises(refusal):
        finish(at.id, row.id, actor=desk(at))
    for nobody in (staff(at, "scheduler"), staff(at, "doctor"), staff(elsewhere)):
        with pytest.raises(NotAllowed):
            finish(at.id, row.id, actor=nobody)
    assert fresh(row).status == status and not trail(row)


def test_a_second_press_right_after_the_check_in_finishes_nothing(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    now.at(opened.slots[0].starts_at)
    check_in(at.id, row.id, actor=desk(at))
    version, letters = fresh(row).version, len(messages(row))
    with pytest.raises(JustArrived) as refused:
        finish(at.id, row.id, actor=desk(at))
    assert "刚刚报到" in refused.value.text
    assert (fresh(row).status, fresh(row).version, len(messages(row))) == ("arrived", version, letters)
    assert [action for action, *_ in trail(row)] == ["check_in"]
    a_while(now)
    assert finish(at.id, row.id, actor=desk(at)).status == "fulfilled"


def test_a_seen_number_that_is_sold_again_is_found(now):
    at = factory.clinic()
    row = arrived(at, factory.open_session(at), now)
    finish(at.id, row.id, actor=desk(at))
    assert not broken()
    for until in (None, factory.now() + timedelta(days=1)):
        with transaction() as session:
            session.get_one(Place, (at.id, row.place_id)).rests_until = until
        assert any("somebody who was seen" in title for title in broken())
    with transaction() as session:  # finished by an earlier release, which let the number go
        session.execute(delete(AppointmentEvent).where(AppointmentEvent.verb == "finish"))
    assert not any("somebody who was seen" in title for title in broken())


def test_the_number_of_somebody_who_was_seen_is_nobody_elses(now):
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    row = arrived(at, opened, now, slot=3)
    before = free_now(opened)
    finish(at.id, row.id, actor=desk(at))
    place = place_of(row)
    assert (place.appointment_id, place.freed_at, place.rests_until) == (None, None, USED)
    assert free_now(opened) == before and session_detail(at.id, opened.id).taken == 1
    with pytest.raises(SlotFull):
        at_desk(at, opened, known(at), slot=3, via="desk")
    with pytest.raises(SlotFull):
        at_desk(at, opened, known(at), slot=3, via="desk", override="主任同意")
    assert not broken()


def free_now(opened):
    db.session.remove()
    return [line.left for line in free_by_channel(opened.session.hospital_id, opened.id, factory.now())]


def test_changing_the_session_does_not_bring_the_number_back(now):
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    row = arrived(at, opened, now, slot=3)
    finish(at.id, row.id, actor=desk(at))
    before = free_now(opened)
    wanted, version = shape(opened.session, room="305 诊室"), version_of(opened)
    change_session(at.id, opened.id, wanted, actor=staff(at), version=version)
    assert free_now(opened) == before
    with pytest.raises(SlotFull):
        at_desk(at, opened, known(at), slot=3, via="desk")


def test_the_session_keeps_as_many_numbers_as_were_seen(now):
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    rows = [book(at, opened, factory.person(), slot=3, holder=f"h{number}") for number in range(2)]
    now.at(opened.session.starts_at)
    for row in rows:
        check_in(at.id, row.id, actor=desk(at))
        a_while(now)
        finish(at.id, row.id, actor=desk(at))
    wanted, version = shape(opened.session, places_per_slot=1), version_of(opened)
    with pytest.raises(BelowSold):
        change_session(at.id, opened.id, wanted, actor=staff(at), version=version)


def version_of(opened):
    row = db.session.get_one(ClinicSession, (opened.session.hospital_id, opened.id), populate_existing=True)
    return row.version


def test_an_added_number_goes_on_counting_towards_the_cap(now):
    at = factory.clinic(policy={"extra_cap": 1})
    opened = factory.open_session(at)
    row = extra(at, opened, known(at))
    now.at(opened.session.starts_at)
    check_in(at.id, row.id, actor=desk(at))
    a_while(now)
    finish(at.id, row.id, actor=desk(at))
    with pytest.raises(ExtraFull):
        extra(at, opened, known(at, "周小满"))
    assert not broken()


def test_the_hospitals_own_system_hears_that_somebody_was_seen(now):
    at = factory.clinic()
    let_the_hospital_hear(at)
    row = arrived(at, factory.open_session(at), now)
    finish(at.id, row.id, actor=desk(at))
    heard = [one for one in messages(row) if one.channel == "webhook"]
    assert sorted((one.kind, one.version) for one in heard) == [
        ("arrived", 3),
        ("confirmed", 2),
        ("fulfilled", 4),
    ]


def test_a_visit_that_is_over_is_neither_cancelled_nor_moved_and_stands_among_the_past(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = arrived(at, opened, now, who)
    finish(at.id, row.id, actor=desk(at))
    for actor in (as_account(who), desk(at)):
        with pytest.raises(NotActive):
            cancel(at.id, row.id, actor=actor)
        with pytest.raises(NotActive):
            move(at.id, row.id, opened.slots[3].id, actor=actor)
    with pytest.raises(NotActive):
        check_in(at.id, row.id, actor=desk(at))
    with pytest.raises(NotActive):
        undo_check_in(at.id, row.id, actor=desk(at), reason="按错了")
    view = appointment(at.id, row.id)
    assert (view.status, view.can_cancel, view.can_move) == ("fulfilled", False, False)
    assert [one.id for one in of_account(who.id, "past")] == [row.id] and not of_account(who.id, "coming")
    over(now, opened)
    assert mark_no_shows() == 0 and record_ticket(at.id, row.id, actor=desk(at)).status == "fulfilled"


# --- by the clock


def test_whoever_was_here_is_finished_hours_after_the_session(now):
    at = factory.clinic()
    let_the_hospital_hear(at)
    opened = factory.open_session(at)
    still = book(at, opened, factory.person(), slot=1, holder="b")
    row = arrived(at, opened, now)
    now.at(opened.session.ends_at + AFTER - timedelta(minutes=1))
    assert finish_visits() == 0 and fresh(row).status == "arrived"
    now.at(opened.session.ends_at + AFTER)
    assert (finish_visits(), finish_visits()) == (1, 0)
    assert (fresh(row).status, fresh(still).status) == ("fulfilled", "booked")
    last = events(row)[-1]
    assert (last.verb, last.actor_kind) == ("finish", "system") and place_of(row).rests_until == USED
    assert [one.kind for one in messages(row) if one.status == "waiting"] == ["arrived", "fulfilled"]
    assert not broken()


def test_more_visits_than_one_batch_are_finished_in_every_hospital(now, monkeypatch):
    monkeypatch.setattr("booking.appointments.finish.BATCH", 2)
    rows = []
    for at, count in ((factory.clinic(), 4), (factory.clinic(), 1)):
        opened = factory.open_session(at)
        for slot in range(count):
            words = {"slot": slot, "status": "arrived", "visit_code": f"1000000{slot}"}
            rows.append(factory.booked(at, opened, factory.person(), **words))
    now.at(opened.session.ends_at + AFTER)
    assert finish_visits() == 5
    assert {fresh(row).status for row in rows} == {"fulfilled"}


def test_whom_the_desk_noted_down_afterwards_is_finished_too(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    now.at(opened.session.ends_at + AFTER)
    assert record_ticket(at.id, row.id, actor=desk(at)).status == "arrived"
    assert finish_visits() == 1 and fresh(row).status == "fulfilled"


def test_what_is_long_over_is_left_as_it_is(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = arrived(at, opened, now)
    now.at(opened.session.ends_at + LOOK_BACK + timedelta(days=1))
    assert finish_visits() == 0 and fresh(row).status == "arrived"


def test_a_hospital_with_a_broken_visit_keeps_no_other_one_waiting(now, caplog):
    rows = []
    for at in (factory.clinic(), factory.clinic()):
        opened = factory.open_session(at)
        rows.append(arrived(at, opened, now, holder=f"h{at.id}"))
    with transaction() as session:  # a next version that is there already
        first = session.get_one(type(rows[0]), (rows[0].hospital_id, rows[0].id))
        session.add(
            AppointmentEvent(
                hospital_id=first.hospital_id,
                appointment_id=first.id,
                version=first.version + 1,
                at=factory.now(),
                verb="call",
                from_status="arrived",
                to_status="in_visit",
                actor_kind="desk",
            )
        )
    now.at(opened.session.ends_at + AFTER)
    assert finish_visits() == 1
    assert [fresh(row).status for row in rows] == ["arrived", "fulfilled"]
    (said,) = [one.getMessage() for one in caplog.records if "not finished" in one.getMessage()]
    assert f"hospital {rows[0].hospital_id} " in said and "IntegrityError" in said and "INSERT" not in said


# --- a stop


def scene(now):
    """08:10 of a session that began at eight: one was here and has begun, one is here before their time, one is to come."""
    at = factory.clinic()
    opened = factory.open_session(at)
    seen, early, to_come = (
        book(at, opened, factory.person(), slot=slot, holder=f"h{slot}") for slot in (0, 2, 3)
    )
    now.at(opened.slots[0].starts_at + timedelta(minutes=10))
    for row in (seen, early):
        check_in(at.id, row.id, actor=desk(at))
    a_while(now)
    return at, opened, seen, early, to_come


def test_a_stop_leaves_alone_whoever_was_seen_before_it_when_the_desk_says_so(now):
    at, opened, seen, early, to_come = scene(now)
    done = stop_session(at.id, opened.id, actor=staff(at), reason="医生急诊手术", seen_until=factory.now())
    assert (done.count, done.letters, done.seen, done.again) == (2, 4, 1, False)
    assert [fresh(row).status for row in (seen, early, to_come)] == ["fulfilled", "cancelled", "cancelled"]
    assert kinds(seen) == [], "they are written nothing"
    assert kinds(early) == kinds(to_come) == ["stopped"]
    assert free_places(opened) == 0
    audit = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "stop_session")).one()
    assert audit.change == {"cancelled": 2, "letters": 4, "seen": 1, "finished": [seen.id.hex]}
    assert events(seen)[-1].actor_kind == "admin"
    assert not broken() and reconcile().lacking == 0


def test_a_stop_finishes_only_who_was_here_and_had_begun_when_the_list_was_looked_at(now):
    at, opened, seen, early, to_come = scene(now)
    begins = at_desk(at, opened, known(at), slot=1, via="desk")
    comes = at_desk(at, opened, known(at, "周小满"), slot=0, via="desk")
    check_in(at.id, begins.id, actor=desk(at))
    looked = factory.now()
    now.at(looked + timedelta(minutes=24))
    check_in(at.id, comes.id, actor=desk(at))
    done = stop_session(at.id, opened.id, actor=staff(at, "scheduler"), reason="急诊手术", seen_until=looked)
    assert (done.count, done.seen) == (4, 1)
    assert [fresh(row).status for row in (seen, early, to_come, begins, comes)] == [
        "fulfilled",
        *["cancelled"] * 4,
    ]
    assert kinds(begins) == kinds(comes) == ["stopped"] and not broken()


def test_an_old_or_coming_word_about_who_was_seen_stops_nothing(now):
    at, opened, seen, *_ = scene(now)
    for looked in (
        factory.now() - PAGE_IS_GOOD_FOR - timedelta(seconds=1),
        factory.now() + timedelta(hours=1),
    ):
        with pytest.raises(SeenLongAgo):
            stop_session(at.id, opened.id, actor=staff(at), reason="急诊手术", seen_until=looked)
    assert fresh(seen).status == "arrived" and version_of(opened) == opened.session.version
    assert not db.session.scalars(select(AuditEvent).where(AuditEvent.action == "stop_session")).all()


def test_a_stop_cancels_and_tells_whoever_is_here_when_the_desk_says_nothing(now):
    at, opened, seen, early, to_come = scene(now)
    done = stop_session(at.id, opened.id, actor=staff(at), reason="医生急诊手术")
    assert (done.count, done.letters, done.seen) == (3, 6, 0)
    assert [fresh(row).status for row in (seen, early, to_come)] == ["cancelled"] * 3
    assert kinds(seen) == ["stopped"] and not broken()


def test_a_stop_leaves_alone_whoever_was_finished(now):
    at, opened, seen, *_ = scene(now)
    finish(at.id, seen.id, actor=desk(at))
    done = stop_session(at.id, opened.id, actor=staff(at), reason="医生急诊手术")
    assert (done.count, fresh(seen).status, kinds(seen)) == (2, "fulfilled", [])
    assert not broken()


def test_before_a_stop_it_is_said_how_many_are_here_and_who_may_have_been_seen(now):
    at, opened, seen, *_ = scene(now)
    plain = stop_preview(at.id, opened.id, factory.now())
    assert (plain.count, plain.arrived, [line.id for line in plain.seen]) == (3, 2, [seen.id])
    ticked = stop_preview(at.id, opened.id, factory.now(), arrived_are_seen=True)
    assert (ticked.count, ticked.arrived, [line.id for line in ticked.seen]) == (2, 1, [seen.id])


def test_reopening_does_not_bring_the_number_of_whoever_was_seen_back(now):
    at, opened, seen, *_ = scene(now)
    stop_session(at.id, opened.id, actor=staff(at), reason="设备检修", seen_until=factory.now())
    assert reopen_session(at.id, opened.id, actor=staff(at)) == 11
    place = place_of(seen)
    assert (place.open, place.rests_until) == (False, USED)
    assert not broken()


# --- a check-in that was a mistake


def test_a_check_in_by_mistake_is_taken_back_and_the_reminder_is_due_again(now):
    at = factory.clinic()
    opened = factory.open_session(at, starts=time(12), ends=time(14))
    row = book(at, opened, factory.person(), slot=3)
    before = {one.due_at for one in messages(row) if one.kind == "reminder_hours"}
    now.at(opened.session.starts_at - timedelta(minutes=115))
    check_in(at.id, row.id, actor=desk(at))
    assert kinds(row) == []
    done = undo_check_in(at.id, row.id, actor=desk(at), reason="扫错了凭条")
    assert (done.status, done.queue_number, done.arrived_at, done.arrived_late) == (
        "booked",
        None,
        None,
        False,
    )
    assert kinds(row) == ["reminder_hours"], "what is over is not said again"
    waiting = [one for one in messages(row) if one.status == "waiting"]
    assert {one.due_at for one in waiting} == before and {one.version for one in waiting} == {4}
    last = events(row)[-1]
    assert (last.verb, last.reason, last.facts) == ("undo_check_in", "扫错了凭条", {"queue_number": 1})
    assert trail(row)[-1] == ("undo_check_in", "何予", {"queue_number": [1, None]}, "扫错了凭条")
    assert reconcile().lacking == 0 and not broken()


def test_a_reminder_that_came_due_while_somebody_was_here_by_mistake_goes_at_once(now):
    at = factory.clinic()
    opened = factory.open_session(at, starts=time(12), ends=time(14))
    row = book(at, opened, factory.person(), slot=3)
    now.at(opened.session.starts_at - timedelta(minutes=115))
    check_in(at.id, row.id, actor=desk(at))
    now.at(opened.slots[3].starts_at - timedelta(minutes=70))
    undo_check_in(at.id, row.id, actor=desk(at), reason="扫错了凭条")
    assert kinds(row) == ["reminder_hours"]
    waiting = [one for one in messages(row) if one.status == "waiting"]
    assert {one.due_at <= factory.now() < one.expires_at for one in waiting} == {True}
    assert reconcile().lacking == 0 and not broken()


def test_word_of_a_move_that_a_mistaken_check_in_ended_leaves_after_all(now):
    at = factory.clinic()
    opened = factory.open_session(at, starts=time(12), ends=time(14))
    row = book(at, opened, factory.person(), slot=0)
    now.at(opened.session.starts_at - timedelta(minutes=60))
    move(at.id, row.id, opened.slots[3].id, actor=desk(at), by="hospital", reason="医生调班")
    before = {one.channel: one.facts for one in messages(row) if one.kind == "moved"}
    check_in(at.id, row.id, actor=desk(at))
    assert "moved" not in kinds(row)
    undo_check_in(at.id, row.id, actor=desk(at), reason="扫错了凭条")
    again = [one for one in messages(row) if one.kind == "moved" and one.status == "waiting"]
    assert before and {one.channel: one.facts for one in again} == before
    assert {one.version for one in again} == {fresh(row).version}
    assert reconcile().lacking == 0 and not broken()


def test_whoever_comes_after_all_gets_a_new_number(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = arrived(at, opened, now)
    undo_check_in(at.id, row.id, actor=desk(at), reason="扫错了凭条")
    other = book(at, opened, factory.person(), slot=1, holder="b")
    assert check_in(at.id, other.id, actor=desk(at)).queue_number == 2, "1 was called out once"
    assert check_in(at.id, row.id, actor=desk(at)).queue_number == 3
    a_while(now)
    assert finish(at.id, row.id, actor=desk(at)).status == "fulfilled"
    assert not broken()


def test_taking_it_back_twice_changes_nothing(now):
    at = factory.clinic()
    row = arrived(at, factory.open_session(at), now)
    undo_check_in(at.id, row.id, actor=desk(at), reason="扫错了凭条")
    version, letters = fresh(row).version, len(messages(row))
    assert undo_check_in(at.id, row.id, actor=desk(at), reason="再按一次").version == version
    assert len(messages(row)) == letters and [one.verb for one in events(row)].count("undo_check_in") == 1


def test_there_must_be_a_check_in_a_reason_and_the_right(now):
    at, elsewhere = factory.clinic(), factory.clinic()
    opened = factory.open_session(at)
    booked = book(at, opened, factory.person(), slot=1, holder="b")
    row = arrived(at, opened, now)
    with pytest.raises(NotArrived):
        undo_check_in(at.id, booked.id, actor=desk(at), reason="扫错了凭条")
    with pytest.raises(BadInput):
        undo_check_in(at.id, row.id, actor=desk(at), reason="  ")
    for nobody in (staff(at, "scheduler"), staff(at, "doctor"), staff(elsewhere)):
        with pytest.raises(NotAllowed):
            undo_check_in(at.id, row.id, actor=nobody, reason="扫错了凭条")
    now.at(opened.slots[1].starts_at)
    record_ticket(at.id, booked.id, actor=desk(at))
    with pytest.raises(NotCheckedIn):
        undo_check_in(at.id, booked.id, actor=desk(at), reason="扫错了凭条")
    assert (fresh(row).status, fresh(booked).status) == ("arrived", "arrived")


def test_who_was_checked_in_for_somebody_else_and_never_came_is_judged_by_what_they_were_told_since(now):
    at = factory.clinic()
    opened = factory.open_session(at, starts=time(12), ends=time(14))
    row = book(at, opened, factory.person(), slot=3)
    told(row)
    somebody_came(at, opened)
    now.at(opened.session.starts_at - timedelta(minutes=115))
    check_in(at.id, row.id, actor=desk(at))
    undo_check_in(at.id, row.id, actor=desk(at), reason="扫错了凭条")
    over(now, opened)
    assert mark_no_shows() == 0 and fresh(row).status == "booked"
    with transaction() as session:
        mine = update(Message).where(Message.appointment_id == row.id, Message.kind == "reminder_hours")
        session.execute(mine.where(Message.version == 4).values(status="accepted", sent_at=factory.now()))
    assert mark_no_shows() == 1 and fresh(row).status == "no_show"
    assert not broken()


def test_the_hospitals_own_system_hears_that_a_check_in_was_taken_back(now):
    at = factory.clinic()
    let_the_hospital_hear(at)
    row = arrived(at, factory.open_session(at), now)
    undo_check_in(at.id, row.id, actor=desk(at), reason="扫错了凭条")
    heard = {(one.kind, one.version, one.status) for one in messages(row) if one.channel == "webhook"}
    assert heard == {
        ("confirmed", 2, "superseded"),
        ("arrived", 3, "superseded"),
        ("check_in_undone", 4, "waiting"),
    }
    assert reconcile().lacking == 0
