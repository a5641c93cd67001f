"""Templates, the sessions made from them, and changing a session without touching what is sold."""

from __future__ import annotations

import uuid
from datetime import date, time, timedelta

import pytest
from sqlalchemy import func, select, update

from booking.appointments.reserve import hold
from booking.clock import local, utc
from booking.db import db, transaction
from booking.directory.models import Closure, Doctor, Practice
from booking.errors import BadInput, NotAllowed, NotFound, Refusal
from booking.schedule import change_session as changing
from booking.schedule.add_session import add_session
from booking.schedule.change_session import change_session, preview_change
from booking.schedule.desk_queries import session_detail, templates, week
from booking.schedule.doctor_days import doctor_days
from booking.schedule.doctor_sessions import doctor_sessions
from booking.schedule.models import ClinicSession, Place, Slot, Template
from booking.schedule.publish import publish
from booking.schedule.rules import BelowSold, Conflict, SessionExists, SessionOver, SlotsInUse
from booking.schedule.service import (
    advance_sessions,
    end_template,
    generate,
    generate_ahead,
    preview,
    save_template,
)
from booking.schedule.shape import Shape
from booking.staff.models import AuditEvent
from booking.staff.rules import MAY, SYSTEM, Actor
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once

pytestmark = pytest.mark.usefixtures("within")

ZONE = "Asia/Shanghai"
MONDAY = date(2026, 11, 30)


@pytest.fixture(autouse=True)
def _a_november_morning(within, now):
    now.at(utc(date(2026, 11, 25), time(9), ZONE))


def scheduler(at):
    return Actor("scheduler", "s1", "许排班", hospital_id=at.id)


def line(at, **changes):
    """The values of a template: Mondays 08:00–10:00, four slots of three numbers."""
    return {
        "practice_id": at.practice.id,
        "weekday": 0,
        "day_part_id": at.parts["上午"].id,
        "starts_local": time(8),
        "ends_local": time(10),
        "slot_minutes": 30,
        "places_per_slot": 3,
        "clinic_kind_id": at.kind.id,
        "fee_cents": 2500,
        "room": "302 诊室",
    } | changes


def template(at, **changes):
    return save_template(at.id, actor=scheduler(at), **line(at, **changes))


def make(at, first=MONDAY, last=None, **more):
    return generate(at.id, first, last or first, actor=scheduler(at), **more)


def one_session(at, on=MONDAY, **more):
    make(at, on, **more)
    return db.session.scalars(
        select(ClinicSession).where(ClinicSession.hospital_id == at.id, ClinicSession.local_date == on)
    ).one()


def shape(row, **changes):
    names = [
        "starts_local",
        "ends_local",
        "slot_minutes",
        "places_per_slot",
        "clinic_kind_id",
        "fee_cents",
        "room",
    ]
    return Shape(**{name: getattr(row, name) for name in names} | changes)


def change(at, row, *, version=None, **changes):
    words = {name: changes.pop(name) for name in ("release_at", "note", "publish") if name in changes}
    return change_session(
        at.id,
        row.id,
        shape(row, **changes),
        actor=scheduler(at),
        version=version or fresh(row).version,
        **words,
    )


def fresh(row):
    return db.session.get(ClinicSession, (row.hospital_id, row.id), populate_existing=True)


def slots_of(row):
    db.session.rollback()
    return db.session.scalars(select(Slot).where(Slot.session_id == row.id).order_by(Slot.starts_at)).all()


def places(row, **only):
    db.session.rollback()
    query = select(Place).where(Place.session_id == row.id).order_by(Place.slot_id, Place.position)
    found = db.session.scalars(query.execution_options(populate_existing=True)).all()
    return [one for one in found if all(getattr(one, name) == value for name, value in only.items())]


def sell(at, row, slot=0, count=1):
    """Book `count` places of a slot, written directly, so without letters (invariant N1)."""
    opened = factory.OpenSession(row, slots_of(row), {})
    return [
        factory.booked(
            at, opened, factory.person(f"李小{number}"), slot=slot, visit_code=f"{slot}000000{number}"
        )
        for number in range(count)
    ]


def rows(model, **only):
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model).filter_by(**only))


def everything():
    """What must not change when a verb refuses."""
    db.session.rollback()
    return {
        model.__tablename__: sorted(map(repr, db.session.execute(select(model.__table__))))
        for model in (Template, ClinicSession, Slot, Place, AuditEvent)
    }


def audit(action):
    db.session.rollback()
    return db.session.scalars(
        select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.at)
    ).all()


# --- from template to places -----------------------------------------------------------------------------------------


def test_a_template_becomes_a_session_with_slots_and_places():
    at = factory.clinic()
    pattern = template(at)
    done = make(at)
    assert (done.created, done.unchanged, done.conflicts, done.skipped) == (1, 0, 0, 0)
    row = db.session.scalars(select(ClinicSession)).one()
    assert (row.status, row.template_id, row.doctor_id) == ("published", pattern.id, at.doctor.id)
    assert (row.fee_cents, row.room, row.owner, row.policy_version) == (2500, "302 诊室", "ours", 1)
    assert (row.starts_at, row.ends_at) == (utc(MONDAY, time(8), ZONE), utc(MONDAY, time(10), ZONE))
    assert [f"{slot.starts_local:%H:%M}" for slot in slots_of(row)] == ["08:00", "08:30", "09:00", "09:30"]
    assert all(slot.closes_at == slot.starts_at - timedelta(minutes=30) for slot in slots_of(row))
    assert all(slot.ends_at - slot.starts_at == timedelta(minutes=30) for slot in slots_of(row))
    made = places(row)
    assert len(made) == 12 and all(place.open and not place.withdrawn for place in made)
    assert sorted(place.position for place in made) == [1] * 4 + [2] * 4 + [3] * 4
    assert not broken("N1")


def test_numbers_are_released_so_many_calendar_days_before_at_the_policys_wall_time():
    at = factory.clinic(policy={"horizon_days": 14, "release_time": time(20), "closing_minutes": 45})
    template(at)
    row = one_session(at)
    assert row.release_at == utc(MONDAY - timedelta(days=14), time(20), ZONE)
    assert slots_of(row)[0].closes_at == utc(MONDAY, time(7, 15), ZONE)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_release_and_hours_keep_clinic_wall_time_over_a_change_of_the_clocks(zone):
    at = factory.clinic(hospital={"zone": zone})
    template(at, skips_holidays=False)
    for monday in (date(2027, 3, 15), date(2027, 3, 29), date(2027, 11, 1), date(2027, 11, 8)):
        row = one_session(at, monday)
        release = local(row.release_at, zone)
        assert (release.date(), release.time()) == (monday - timedelta(days=7), time(7, 30))
        assert local(row.starts_at, zone).time() == time(8)
        assert [local(slot.starts_at, zone).time() for slot in slots_of(row)] == [
            slot.starts_local for slot in slots_of(row)
        ]


def test_a_night_clinic_loses_the_hour_that_summer_time_skips():
    at = factory.clinic(hospital={"zone": "America/New_York"})
    template(at, weekday=6, starts_local=time(1), ends_local=time(4), skips_holidays=False)
    row = one_session(at, date(2027, 3, 14))
    assert [f"{slot.starts_local:%H:%M}" for slot in slots_of(row)] == ["01:00", "01:30", "03:00", "03:30"]
    gone = template(
        at,
        weekday=6,
        starts_local=time(2),
        ends_local=time(3),
        day_part_id=at.parts["夜间"].id,
        skips_holidays=False,
    )
    assert make(at, date(2027, 3, 14)).created == 0
    assert make(at, date(2027, 3, 21), template_ids=[gone.id]).created == 1


def test_a_template_that_does_not_publish_makes_drafts_that_sell_nothing():
    at = factory.clinic()
    template(at, publishes=False)
    row = one_session(at)
    assert row.status == "draft"
    assert len(places(row, open=False)) == 12
    assert not doctor_sessions(at.id, at.doctor.id, MONDAY, factory.now())
    slot = slots_of(row)[0]
    with pytest.raises(NotFound):
        hold(at.id, slot.id, holder="h", actor=Actor("account", "1", account_id=factory.account().id))


def test_whoever_applies_a_template_may_say_draft_or_published():
    at = factory.clinic()
    template(at, publishes=True)
    make(at, publish=False)
    make(at, MONDAY + timedelta(days=7), publish=True)
    drafts = {row.local_date: row.status for row in db.session.scalars(select(ClinicSession))}
    assert drafts == {MONDAY: "draft", MONDAY + timedelta(days=7): "published"}


def test_a_second_run_creates_nothing_and_touches_nothing():
    at = factory.clinic()
    template(at)
    template(at, weekday=2, day_part_id=at.parts["下午"].id, starts_local=time(14), ends_local=time(16))
    last = MONDAY + timedelta(days=13)
    assert make(at, MONDAY, last).created == 4
    row = db.session.scalars(select(ClinicSession).order_by(ClinicSession.starts_at)).first()
    sell(at, row, count=2)
    before = everything()
    again = make(at, MONDAY, last)
    assert (again.created, again.unchanged, again.conflicts) == (0, 4, 0)
    assert everything() == before
    assert not broken("N1")


def test_a_session_edited_by_hand_is_a_conflict_and_stays_as_it_is():
    at = factory.clinic()
    template(at)
    row = one_session(at)
    sell(at, row)
    change(at, row, places_per_slot=5, room="401 诊室")
    before = everything()
    again = make(at)
    assert (again.created, again.unchanged, again.conflicts) == (0, 0, 1)
    assert everything() == before


def test_a_template_changed_afterwards_leaves_the_sessions_it_made():
    at = factory.clinic()
    pattern = template(at)
    row = one_session(at)
    save_template(at.id, pattern.id, actor=scheduler(at), **line(at, places_per_slot=9))
    done = make(at, MONDAY, MONDAY + timedelta(days=7))
    assert (done.created, done.conflicts) == (1, 1)
    assert len(places(row)) == 12


def test_two_patterns_for_one_place_and_time_make_one_session():
    at = factory.clinic()
    template(at)
    template(at, room="9 诊室")
    done = make(at)
    assert (done.created, done.conflicts) == (1, 1)
    assert make(at).created == 0


def test_preview_says_what_generation_then_does_and_changes_nothing():
    at = factory.clinic()
    template(at)
    one_session(at, MONDAY + timedelta(days=7))
    last = MONDAY + timedelta(days=20)
    before = everything()
    told = preview(at.id, MONDAY, last)
    assert everything() == before
    done = make(at, MONDAY, last)
    assert [(one.local_date, one.outcome) for one in told.planned] == [
        (one.local_date, one.outcome) for one in done.planned
    ]
    assert (done.created, done.unchanged) == (2, 1)


def test_two_generations_at_once_share_the_work(app):
    at = factory.clinic()
    for part, starts in (("上午", 8), ("下午", 14)):
        for weekday in (0, 2, 4):
            template(
                at,
                weekday=weekday,
                day_part_id=at.parts[part].id,
                starts_local=time(starts),
                ends_local=time(starts + 1),
            )
    last = MONDAY + timedelta(days=13)
    done = at_once(app, [lambda: make(at, MONDAY, last)] * 4)
    assert not [one for one in done if isinstance(one, Exception)]
    assert sum(one.created for one in done) == 12 == rows(ClinicSession)
    assert all(one.created + one.unchanged == 12 for one in done)
    assert rows(Place) == 12 * 2 * 3
    assert sum(event.change["sessions"] for event in audit("apply_template")) == 12
    assert not broken("N1")


def test_what_is_over_is_not_generated(now):
    at = factory.clinic()
    template(at, weekday=2, ends_local=time(12))
    today = date(2026, 11, 25)
    assert make(at, today).created == 1, "a clinic that has begun still has time"
    now.at(utc(today, time(12), ZONE))
    other = factory.another_doctor(at)
    template(other, weekday=2, ends_local=time(12))
    done = make(at, today - timedelta(days=7), today)
    assert (done.created, done.unchanged, done.skipped) == (0, 1, 3)


# --- holidays --------------------------------------------------------------------------------------------------------


def dates(at, first, last, **more):
    make(at, first, last, **more)
    return sorted(
        db.session.scalars(select(ClinicSession.local_date).where(ClinicSession.hospital_id == at.id))
    )


def every_day(at, **changes):
    for weekday in range(7):
        template(at, weekday=weekday, places_per_slot=1, ends_local=time(9), **changes)


def test_the_autumn_holiday_is_left_out_with_its_weekend(now):
    now.at(utc(date(2026, 9, 25), time(9), ZONE))
    at = factory.clinic()
    every_day(at)
    made = dates(at, date(2026, 9, 30), date(2026, 10, 8))
    assert made == [date(2026, 9, 30), date(2026, 10, 8)]
    told = {one.local_date: one for one in preview(at.id, date(2026, 10, 1), date(2026, 10, 7)).planned}
    assert {one.outcome for one in told.values()} == {"holiday"}
    assert told[date(2026, 10, 1)].note == "国庆节"


def test_a_clinic_that_does_not_skip_holidays_works_through_them(now):
    now.at(utc(date(2026, 9, 25), time(9), ZONE))
    at = factory.clinic()
    every_day(at, skips_holidays=False)
    assert len(dates(at, date(2026, 10, 1), date(2026, 10, 7))) == 7


def test_a_weekend_day_worked_for_another_follows_that_days_pattern(now):
    now.at(utc(date(2026, 9, 25), time(9), ZONE))
    at = factory.clinic()
    template(at, weekday=2, room="周三诊室")
    template(at, weekday=5, room="周六诊室")
    assert dates(at, date(2026, 10, 10), date(2026, 10, 10)) == [date(2026, 10, 10)]
    row = db.session.scalars(select(ClinicSession)).one()
    assert row.room == "周三诊室", "10 October 2026 is worked for Wednesday the 7th"


def closure(at, on, **words):
    with transaction() as session:
        session.add(Closure(hospital_id=at.id, on_date=on, **words))
        session.flush()
        session.expunge_all()


def test_the_hospitals_own_word_stands_over_the_public_calendar(now):
    now.at(utc(date(2026, 9, 25), time(9), ZONE))
    at, other = factory.clinic(), factory.clinic()
    every_day(at)
    every_day(other)
    closure(at, date(2026, 10, 6), is_open=True, name="节日门诊")
    closure(at, date(2026, 10, 8), is_open=False, name="停电检修")
    closure(at, date(2026, 10, 10), is_open=True, name="照常周六")
    assert dates(at, date(2026, 10, 5), date(2026, 10, 10)) == [
        date(2026, 10, 6),
        date(2026, 10, 9),
        date(2026, 10, 10),
    ]
    assert dates(other, date(2026, 10, 5), date(2026, 10, 10)) == [
        date(2026, 10, 8),
        date(2026, 10, 9),
        date(2026, 10, 10),
    ]
    told = {one.local_date: one.note for one in preview(at.id, date(2026, 10, 6), date(2026, 10, 10)).planned}
    assert told[date(2026, 10, 8)] == "停电检修"


def test_an_open_holiday_may_follow_any_weekday():
    at = factory.clinic()
    template(at, weekday=4, room="周五诊室")
    closure(at, MONDAY, is_open=True, follows_weekday=4, name="按周五出诊")
    assert dates(at, MONDAY, MONDAY + timedelta(days=3)) == [MONDAY]


def test_odd_and_even_weeks_and_dates_of_validity():
    at = factory.clinic()
    template(at, weeks="odd")
    template(at, weekday=1, weeks="even", valid_from=date(2026, 12, 1), valid_to=date(2026, 12, 16))
    assert dates(at, MONDAY, date(2027, 1, 12)) == [
        date(2026, 11, 30),  # week 49
        date(2026, 12, 1) + timedelta(days=7),  # week 50
        date(2026, 12, 14),
        date(2026, 12, 28),
        date(2027, 1, 4),
    ]


# --- templates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"weekday": 7}, "weekday"),
        ({"weeks": "fourth"}, "weeks"),
        ({"ends_local": time(7)}, "ends_local"),
        ({"slot_minutes": 0}, "slot_minutes"),
        ({"places_per_slot": 10_000}, "places_per_slot"),
        ({"fee_cents": -5}, "fee_cents"),
        ({"room": "长" * 61}, "room"),
        ({"valid_from": date(2027, 1, 1), "valid_to": date(2026, 1, 1)}, "valid_to"),
        ({"practice_id": uuid.uuid4()}, "practice_id"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused_and_nothing_is_kept(wrong, field):
    at = factory.clinic()
    before = everything()
    with pytest.raises(BadInput) as refused:
        template(at, **wrong)
    assert set(refused.value.facts["errors"]) == {field}
    assert everything() == before


def test_a_template_of_another_hospital_cannot_be_used_or_reached():
    at, other = factory.clinic(), factory.clinic()
    pattern = template(at)
    before = everything()
    for name in ("practice_id", "day_part_id", "clinic_kind_id"):
        with pytest.raises(BadInput):
            template(at, **{name: line(other)[name]})
    with pytest.raises(NotFound):
        save_template(other.id, pattern.id, actor=scheduler(other), **line(other))
    with pytest.raises(NotFound):
        end_template(other.id, pattern.id, actor=scheduler(other))
    assert everything() == before


def test_an_ended_template_makes_nothing_more_and_ending_it_again_changes_nothing():
    at = factory.clinic()
    pattern = template(at)
    row = one_session(at)
    end_template(at.id, pattern.id, actor=scheduler(at))
    before = everything()
    end_template(at.id, pattern.id, actor=scheduler(at))
    assert everything() == before
    assert make(at, MONDAY + timedelta(days=7)).created == 0
    assert fresh(row).status == "published"
    assert not templates(at.id)


@pytest.mark.parametrize("model", [Practice, Doctor])
def test_patterns_of_somebody_who_left_make_nothing(model):
    at = factory.clinic()
    template(at)
    with transaction() as session:
        session.execute(update(model).where(model.hospital_id == at.id).values(active=False))
    assert make(at).created == 0
    with pytest.raises(BadInput) as refused:
        add(at)
    assert "practice_id" in refused.value.facts["errors"]


# --- the worker's part -----------------------------------------------------------------------------------------------


def test_the_next_days_are_kept_generated_for_every_hospital():
    at, other = factory.clinic(policy={"generate_days": 6}), factory.clinic(policy={"generate_days": 13})
    factory.clinic()
    template(at)
    template(other)
    assert generate_ahead() == 3
    assert generate_ahead() == 0
    assert rows(ClinicSession, hospital_id=other.id) == 2
    assert {event.actor_kind for event in audit("apply_template")} == {"system"}


def test_sessions_move_along_by_the_clock(now):
    at = factory.clinic()
    template(at)
    template(at, day_part_id=at.parts["下午"].id, starts_local=time(14), ends_local=time(16), publishes=False)
    make(at)
    steps = [
        (time(7, 59), "published", 0),
        (time(8), "running", 1),
        (time(9, 59), "running", 0),
        (time(10), "finished", 1),
    ]
    for moment, status, moved in steps:
        now.at(utc(MONDAY, moment, ZONE) + timedelta(seconds=1))
        assert advance_sessions() == moved
        assert rows(ClinicSession, status=status) == 1
    now.at(utc(MONDAY, time(23), ZONE))
    assert advance_sessions() == 0
    assert rows(ClinicSession, status="draft") == 1


def test_a_session_missed_while_the_worker_slept_is_finished_at_once(now):
    at = factory.clinic()
    template(at)
    row = one_session(at)
    stopped = factory.open_session(factory.another_doctor(at), MONDAY, status="stopped")
    now.at(utc(MONDAY, time(20), ZONE))
    assert advance_sessions() == 1
    assert fresh(row).status == "finished"
    assert fresh(stopped.session).status == "stopped"


# --- a single session ------------------------------------------------------------------------------------------------


def add(at, **changes):
    words = line(at, local_date=MONDAY) | changes
    words.pop("weekday")
    words["actor"] = words.get("actor", scheduler(at))
    return add_session(at.id, **words)


def test_a_session_added_by_hand_is_a_draft_until_published():
    at = factory.clinic()
    row = add(at, note=" 加开 ", release_at=utc(MONDAY, time(1), ZONE))
    assert (row.status, row.note, row.release_at) == ("draft", "加开", utc(MONDAY, time(1), ZONE))
    assert not places(row, open=True)
    assert publish(at.id, [row.id], actor=scheduler(at)) == 1
    assert (fresh(row).status, fresh(row).version, fresh(row).changed_by) == ("published", 2, "许排班")
    assert len(places(row, open=True)) == 12
    before = everything()
    assert publish(at.id, [row.id, uuid.uuid4()], actor=scheduler(at)) == 0
    assert everything() == before
    assert [event.object_id for event in audit("publish")] == [row.id]


def test_the_same_session_twice_is_refused():
    at = factory.clinic()
    add(at)
    before = everything()
    with pytest.raises(SessionExists) as refused:
        add(at, starts_local=time(10), ends_local=time(12))
    assert refused.value.text == "这位医生在这一天的这个时段已经有班次了，请直接修改那个班次。"
    assert everything() == before
    assert add(at, day_part_id=at.parts["下午"].id, starts_local=time(14), ends_local=time(15)).id


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"local_date": date(2026, 11, 24)}, "local_date"),
        ({"local_date": date(1, 1, 1)}, "local_date"),
        ({"local_date": date(9999, 12, 31)}, "local_date"),
        ({"ends_local": time(8)}, "ends_local"),
        ({"room": "长" * 61}, "room"),
        ({"note": "长" * 201}, "note"),
        ({"practice_id": uuid.uuid4()}, "practice_id"),
        ({"clinic_kind_id": uuid.uuid4()}, "clinic_kind_id"),
    ],
)
def test_a_session_that_cannot_be_meant_is_refused(wrong, field):
    at = factory.clinic()
    before = everything()
    with pytest.raises(BadInput) as refused:
        add(at, **wrong)
    assert field in refused.value.facts["errors"]
    assert everything() == before


def test_generating_an_impossible_span_is_refused():
    at = factory.clinic()
    for first, last in (
        (date(1, 1, 1), date(1, 1, 2)),
        (MONDAY, MONDAY - timedelta(days=1)),
        (MONDAY, date(2099, 1, 1)),
    ):
        with pytest.raises(BadInput):
            make(at, first, last)


# --- changing a session ----------------------------------------------------------------------------------------------


def published(at, **changes):
    template(at, **changes)
    return one_session(at)


def test_more_numbers_are_added_and_fewer_withdrawn_and_opened_again():
    at = factory.clinic()
    row = published(at)
    first = {place.id for place in places(row)}
    change(at, row, places_per_slot=5)
    assert len(places(row, open=True)) == 20 and first < {place.id for place in places(row)}
    change(at, fresh(row), places_per_slot=2)
    assert len(places(row, open=True)) == 8
    assert len(places(row, withdrawn=True)) == 12
    assert {place.position for place in places(row, open=True)} == {1, 2}, "the highest numbers go first"
    change(at, fresh(row), places_per_slot=4)
    assert len(places(row, open=True)) == 16 and len(places(row)) == 20, "withdrawn rows are used again"
    assert fresh(row).version == 4
    assert not broken("N1")


def test_a_sold_place_is_never_withdrawn_whatever_its_position():
    at = factory.clinic()
    row = published(at)
    sold = sell(at, row, count=3)
    with transaction() as session:  # the first two were given back
        for appointment in sold[:2]:
            session.execute(update(Place).where(Place.id == appointment.place_id).values(appointment_id=None))
            appointment.status, appointment.holds_place_id = "cancelled", None
            appointment.cancelled_at = appointment.created_at
            session.merge(appointment)
        session.flush()
    change(at, row, places_per_slot=1)
    slot = slots_of(row)[0]
    left = [place for place in places(row, withdrawn=False) if place.slot_id == slot.id]
    assert [place.appointment_id for place in left] == [sold[2].id]
    assert not broken("N1", "R13")


def test_capacity_below_what_is_sold_is_refused_with_the_numbers_and_nothing_changes():
    at = factory.clinic()
    row = published(at)
    sell(at, row, slot=0, count=3)
    sell(at, row, slot=2, count=1)
    before = everything()
    for attempt in (
        lambda: change(at, row, places_per_slot=2),
        lambda: preview_change(at.id, row.id, shape(row, places_per_slot=2)),
    ):
        with pytest.raises(BelowSold) as refused:
            attempt()
        assert refused.value.text == "已约 4 人，每段不能少于 3 个号。"
        assert everything() == before
    change(at, row, places_per_slot=3, room="5 诊室")


def test_slots_in_use_can_neither_go_nor_change_their_length():
    at = factory.clinic()
    row = published(at)
    sell(at, row, slot=1)
    sell(at, row, slot=3)
    before = everything()
    for changes in ({"ends_local": time(8, 30)}, {"slot_minutes": 20}, {"starts_local": time(8, 15)}):
        with pytest.raises(SlotsInUse) as refused:
            change(at, row, **changes)
        assert refused.value.text == "08:30、09:30 已有预约，不能去掉这些时段或改变时长。"
        assert everything() == before


def test_hours_may_shrink_and_grow_around_what_is_sold():
    at = factory.clinic()
    row = published(at)
    sold = sell(at, row, slot=1)[0]
    change(at, row, starts_local=time(8, 30), ends_local=time(9, 30))
    detail = session_detail(at.id, row.id)
    assert [f"{slot.starts_local:%H:%M}" for slot in detail.slots] == ["08:30", "09:00"]
    assert (detail.capacity, detail.taken) == (6, 1)
    assert (fresh(row).starts_at, fresh(row).ends_at) == (
        utc(MONDAY, time(8, 30), ZONE),
        utc(MONDAY, time(9, 30), ZONE),
    )
    change(at, fresh(row), starts_local=time(8), ends_local=time(11))
    assert [f"{slot.starts_local:%H:%M}" for slot in slots_of(row)] == [
        "08:00",
        "08:30",
        "09:00",
        "09:30",
        "10:00",
        "10:30",
    ]
    assert len(places(row, open=True)) == 18
    assert db.session.get(Place, (at.id, sold.place_id)).appointment_id == sold.id
    assert not broken("N1")


def test_without_sold_places_the_slots_may_change_their_length():
    at = factory.clinic()
    row = published(at)
    change(at, row, slot_minutes=60)
    assert [
        (f"{slot.starts_local:%H:%M}", slot.capacity) for slot in session_detail(at.id, row.id).slots
    ] == [
        ("08:00", 3),
        ("09:00", 3),
    ]
    assert [slot.ends_local for slot in slots_of(row) if slot.starts_local == time(9)] == [time(10)]
    seen = doctor_sessions(at.id, at.doctor.id, MONDAY, factory.now())[0]
    assert [f"{slot.starts_local:%H:%M}" for slot in seen.slots] == ["08:00", "09:00"]


def test_a_shortened_session_is_closed_when_its_last_slot_is(now):
    at = factory.clinic()
    row = published(at)
    change(at, row, ends_local=time(9))
    change(at, fresh(row), ends_local=time(9, 20))  # the last twenty minutes belong to no slot
    now.at(utc(MONDAY, time(8, 10), ZONE))
    day = doctor_days(at.id, at.doctor.id, factory.now())
    assert [part.status for one in day if one.day == MONDAY for part in one.parts] in ([], ["closed"])
    assert doctor_sessions(at.id, at.doctor.id, MONDAY, factory.now())[0].status == "closed"


def test_places_added_to_a_draft_stay_closed_until_it_is_published():
    at = factory.clinic()
    template(at, publishes=False)
    row = one_session(at)
    change(at, row, places_per_slot=4)
    assert len(places(row, open=False)) == 16
    change(at, fresh(row), places_per_slot=2)
    change(at, fresh(row), places_per_slot=3, publish=True)
    assert fresh(row).status == "published"
    assert len(places(row, open=True)) == 12 and len(places(row, withdrawn=True)) == 4
    assert audit("change_session")[-1].change["status"] == ["draft", "published"]
    assert not broken("N1")


def test_who_saved_second_is_told_and_shown_what_is_there_now():
    at = factory.clinic()
    row = published(at)
    change(at, row, version=1, places_per_slot=4, room="先保存")
    before = everything()
    with pytest.raises(Conflict) as refused:
        change(at, row, version=1, places_per_slot=9)
    theirs = refused.value.facts["theirs"]
    assert everything() == before
    db.session.rollback()
    assert (theirs.room, theirs.places_per_slot, theirs.version) == ("先保存", 4, 2)
    assert refused.value.text == "有人先保存了这个班次，请看看对方改了什么再决定。"


def test_two_who_save_at_once_are_one_winner_and_one_conflict(app):
    at = factory.clinic()
    row = published(at)
    done = at_once(
        app,
        [
            lambda n=n: change_session(
                at.id, row.id, shape(row, places_per_slot=n), actor=scheduler(at), version=1
            )
            for n in (4, 5, 6, 7)
        ],
    )
    winners = [one for one in done if isinstance(one, ClinicSession)]
    assert len(winners) == 1 and sum(isinstance(one, Conflict) for one in done) == 3
    assert len(places(row, open=True)) == 4 * fresh(row).places_per_slot
    assert fresh(row).version == 2


@pytest.mark.parametrize("status", ["finished", "stopped"])
def test_a_session_that_is_over_or_stopped_cannot_be_changed(status):
    at = factory.clinic()
    row = factory.open_session(at, MONDAY, status=status).session
    before = everything()
    with pytest.raises(SessionOver):
        change(at, row, room="x")
    with pytest.raises(SessionOver):
        preview_change(at.id, row.id, shape(row, room="x"))
    assert everything() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"places_per_slot": 5},
        {"places_per_slot": 2},
        {"ends_local": time(12)},
        {"starts_local": time(8, 30), "ends_local": time(9, 30)},
        {"slot_minutes": 60, "places_per_slot": 6},
        {"slot_minutes": 20},
        {"room": "9 诊室", "fee_cents": 5000},
    ],
)
@pytest.mark.parametrize("sold", [0, 1])
def test_preview_equals_what_then_happens(changes, sold):
    at = factory.clinic()
    row = published(at)
    sell(at, row, slot=1, count=sold)
    try:
        told = preview_change(at.id, row.id, shape(row, **changes))
    except Refusal as refusal:
        with pytest.raises(type(refusal)) as refused:
            change(at, row, **changes)
        assert refused.value.text == refusal.text
        return
    count = len(places(row, withdrawn=False))
    before = {place.id for place in places(row, withdrawn=False)}
    change(at, row, **changes)
    after = {place.id for place in places(row, withdrawn=False)}
    assert (told.before, told.after) == (count, len(after))
    assert (told.added, told.withdrawn) == (len(after - before), len(before - after))
    assert told.sold == sold == len([place for place in places(row) if place.appointment_id])
    assert len(places(row, open=True)) == told.after
    assert not broken("N1")


def test_preview_says_it_in_sentences():
    at = factory.clinic()
    row = published(at)
    sell(at, row, count=2)
    words = {"room": "5 诊室", "fee_cents": 9900}
    assert preview_change(at.id, row.id, shape(row, places_per_slot=5, **words)).sentences == [
        "总号数 12 → 20，立即多出 8 个号",
        "已约的 2 人时间不变，不会收到通知",
        "诊室改为 5 诊室，已约患者的凭条会显示新诊室，不另发短信",
        "新费用只对之后的预约生效，已约患者按原费用",
    ]
    assert (
        preview_change(at.id, row.id, shape(row, ends_local=time(9))).sentences[0]
        == "总号数 12 → 6，收回 6 个还没人约的号"
    )
    later = factory.now() + timedelta(days=1)
    assert preview_change(at.id, row.id, shape(row, places_per_slot=4), release_at=later).sentences[0] == (
        "总号数 12 → 16，放号时多出 4 个号"
    )


def test_a_foreign_clinic_kind_or_session_does_not_exist():
    at, other = factory.clinic(), factory.clinic()
    row = published(at)
    before = everything()
    with pytest.raises(BadInput):
        change(at, row, clinic_kind_id=other.kind.id)
    with pytest.raises(NotFound):
        change_session(other.id, row.id, shape(row), actor=scheduler(other), version=1)
    with pytest.raises(NotFound):
        preview_change(other.id, row.id, shape(row))
    with pytest.raises(NotFound):
        session_detail(other.id, row.id)
    assert publish(other.id, [row.id], actor=scheduler(other)) == 0
    assert everything() == before


def test_lowering_numbers_while_people_hold_never_sells_a_withdrawn_place(app):
    at = factory.clinic(policy={"sign_in_first_minutes": 0})
    row = published(at, places_per_slot=6)
    slot_ids = [slot.id for slot in slots_of(row)]
    accounts = [factory.account() for _ in range(16)]
    actors = [Actor("account", str(one.id), account_id=one.id) for one in accounts]
    calls = [
        lambda n=n, who=who: hold(at.id, slot_ids[n % 4], holder=f"h{n}", actor=who)
        for n, who in enumerate(actors)
    ]

    def less():
        return change_session(at.id, row.id, shape(row, places_per_slot=2), actor=scheduler(at), version=1)

    done = at_once(app, [*calls[:6], less, *calls[6:]])
    faults = [one for one in done if isinstance(one, Exception) and not isinstance(one, Refusal)]
    assert not faults
    changed = isinstance(done[6], ClinicSession)
    assert changed or isinstance(done[6], BelowSold)
    for place in places(row):
        assert not (place.withdrawn and (place.open or place.appointment_id))
    for slot_id in slot_ids:
        mine = [place for place in places(row, withdrawn=False) if place.slot_id == slot_id]
        assert len(mine) == (2 if changed else 6)
    assert not broken("N1")


def test_a_slot_that_grows_longer_is_not_sold_while_it_does(app, monkeypatch):
    """A hold that comes between the plan and the change: its visit would end before its slot does."""
    at = factory.clinic(policy={"sign_in_first_minutes": 0})
    row = published(at, places_per_slot=3)
    if db.engine.dialect.name == "sqlite":
        return  # one writer: nobody holds between the plan and the change
    first = slots_of(row)[0].id
    who = Actor("account", "0", account_id=factory.account().id)
    apply = changing.apply_layout

    def with_a_hold_before(*words):
        held = at_once(app, [lambda: hold(at.id, first, holder="h", actor=who)], threads=1)
        assert held[0].status == "held"
        return apply(*words)

    monkeypatch.setattr(changing, "apply_layout", with_a_hold_before)
    with pytest.raises(BelowSold):
        change_session(at.id, row.id, shape(row, slot_minutes=60), actor=scheduler(at), version=1)
    assert not broken()


# --- who may, and what is written down -------------------------------------------------------------------------------


def attempts(at, row, pattern, actor):
    words = {"actor": actor}
    yield "change_template", lambda: save_template(at.id, **words, **line(at, weekday=3))
    yield "change_template", lambda: save_template(at.id, pattern.id, **words, **line(at, room="x"))
    yield "change_template", lambda: end_template(at.id, pattern.id, **words)
    yield "apply_template", lambda: generate(at.id, MONDAY, MONDAY + timedelta(days=30), **words)
    yield "change_session", lambda: add(at, local_date=MONDAY + timedelta(days=1), **words)
    yield "change_session", lambda: change_session(at.id, row.id, shape(row, room="x"), version=1, **words)
    yield "publish", lambda: publish(at.id, [row.id], **words)


def strangers(at, other):
    yield from (Actor(kind, "x", "某人", hospital_id=at.id) for kind in ("desk", "doctor"))
    yield from (
        Actor(kind, "x", "某人", hospital_id=other.id) for kind in ("scheduler", "admin", "desk", "doctor")
    )
    yield Actor("scheduler", "x", "某人")
    yield from (Actor(kind, "1", account_id=1) for kind in ("account", "browser", "code", "nobody"))


def test_nobody_else_changes_the_schedule_and_nothing_changes():
    at, other = factory.clinic(), factory.clinic()
    pattern = template(at, publishes=False)
    row = one_session(at)
    before = everything()
    for actor in strangers(at, other):
        for verb, attempt in attempts(at, row, pattern, actor):
            with pytest.raises(NotAllowed) as refused:
                attempt()
            assert refused.value.facts["verb"] == verb
    assert everything() == before


def test_publishing_by_adding_or_changing_needs_the_right_to_publish(monkeypatch):
    at = factory.clinic()
    row = one_session_draft(at)
    half = Actor("half", "x", "某人", hospital_id=at.id)
    monkeypatch.setitem(MAY, "half", frozenset({"change_session"}))
    with pytest.raises(NotAllowed):
        add(at, actor=half, publish=True, local_date=MONDAY + timedelta(days=1))
    with pytest.raises(NotAllowed):
        change_session(at.id, row.id, shape(row), actor=half, version=1, publish=True)
    assert fresh(row).status == "draft"


def one_session_draft(at):
    template(at, publishes=False)
    return one_session(at)


@pytest.mark.parametrize("kind", ["scheduler", "admin"])
def test_every_change_of_staff_is_written_down_with_who_and_what(kind):
    at = factory.clinic()
    actor = Actor(kind, "ab12", "许排班", hospital_id=at.id)
    pattern = save_template(at.id, actor=actor, **line(at))
    save_template(at.id, pattern.id, actor=actor, **line(at, room="5 诊室"))
    generate(at.id, MONDAY, MONDAY, actor=actor, publish=False)
    row = db.session.scalars(select(ClinicSession)).one()
    change_session(at.id, row.id, shape(row, places_per_slot=4), actor=actor, version=1, note="早到")
    publish(at.id, [row.id], actor=actor)
    add(at, actor=actor, local_date=MONDAY + timedelta(days=1))
    end_template(at.id, pattern.id, actor=actor)
    db.session.rollback()
    events = db.session.scalars(select(AuditEvent).order_by(AuditEvent.at, AuditEvent.id)).all()
    assert [(one.action, one.object_kind) for one in events] == [
        ("change_template", "template"),
        ("change_template", "template"),
        ("apply_template", "schedule"),
        ("change_session", "session"),
        ("publish", "session"),
        ("add_session", "session"),
        ("end_template", "template"),
    ]
    assert {(one.actor_kind, one.actor_id, one.actor_name, one.hospital_id) for one in events} == {
        (kind, "ab12", "许排班", at.id)
    }
    assert events[1].change == {"room": ["302 诊室", "5 诊室"]}
    assert events[3].change == {"places_per_slot": ["3", "4"], "places": [12, 16], "note": ["", "早到"]}


def test_the_week_shows_sold_and_capacity_and_drafts_to_the_desk():
    at = factory.clinic()
    row = published(at)
    sell(at, row, count=2)
    change(at, row, places_per_slot=2)
    found = week(at.id, MONDAY)
    unit = found[0].cells[MONDAY, at.parts["上午"].id][0]
    assert (unit.taken, unit.capacity, unit.status, unit.version) == (2, 8, "published", 2)


def test_the_system_may_generate_but_reads_and_books_nothing():
    at = factory.clinic()
    template(at)
    assert generate(at.id, MONDAY, MONDAY, actor=SYSTEM).created == 1
