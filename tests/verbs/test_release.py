"""The release in waves on rows: who opens when, by the database clock, in every count and every way to a place."""

from __future__ import annotations

from collections import Counter
from datetime import date, time, timedelta

import pytest
from sqlalchemy import select, update

from booking.appointments.cancel import cancel
from booking.appointments.move import move
from booking.appointments.reserve import hold
from booking.appointments.rules import SignInFirst, SlotFull
from booking.clock import utc
from booking.db import db, transaction
from booking.directory.models import Policy
from booking.errors import BadInput
from booking.schedule.add_session import add_session
from booking.schedule.change_session import change_session
from booking.schedule.doctor_days import doctor_days
from booking.schedule.doctor_sessions import doctor_sessions
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.open_slots import nearest, next_open
from booking.schedule.openings import set_waves
from booking.schedule.publish import publish
from booking.schedule.shape import Shape
from booking.schedule.waves import Wave
from tests import factory
from tests.invariants import broken
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import as_account, book, browser

pytestmark = pytest.mark.usefixtures("within")

ZONE = "Asia/Shanghai"
DAY = date(2026, 12, 3)
RELEASE = utc(date(2026, 11, 26), time(7, 30), ZONE)
EVENING = utc(date(2026, 12, 2), time(20), ZONE)
WAVES = [Wave(50, 1, time(20))]


@pytest.fixture(autouse=True)
def _a_day_before_the_release(within, now):
    now.at(RELEASE - timedelta(days=1))


def session_of(at, *, places=2, waves=WAVES, **more):
    return add_session(
        at.id,
        actor=staff(at),
        practice_id=at.practice.id,
        local_date=DAY,
        day_part_id=at.parts["上午"].id,
        starts_local=time(8, 30),
        ends_local=time(10, 30),
        slot_minutes=30,
        places_per_slot=places,
        clinic_kind_id=at.kind.id,
        fee_cents=2500,
        room="302",
        waves=waves,
        **{"publish": True} | more,
    )


def shape(row, **changes):
    names = (
        "starts_local",
        "ends_local",
        "slot_minutes",
        "places_per_slot",
        "clinic_kind_id",
        "fee_cents",
        "room",
    )
    return Shape(**{name: getattr(row, name) for name in names} | changes)


def change(at, row, *, waves=None, release_at=None, **changes):
    if waves is not None:
        set_waves(at.id, row.id, actor=staff(at), waves=waves)
    kept = db.session.get(ClinicSession, (at.id, row.id), populate_existing=True)
    return change_session(
        at.id,
        row.id,
        shape(kept, **changes),
        actor=staff(at),
        version=kept.version,
        release_at=release_at,
    )


def openings(row):
    """How many places of each slot open at which instant."""
    db.session.rollback()
    rows = db.session.execute(
        select(Slot.starts_local, Place.opens_at)
        .join(Place, Place.slot_id == Slot.id)
        .where(Slot.session_id == row.id, Place.withdrawn.is_(False))
        .order_by(Slot.starts_at)
    )
    found: dict[str, Counter] = {}
    for starts, opens_at in rows:
        found.setdefault(f"{starts:%H:%M}", Counter())[opens_at] += 1
    return found


def slots(row):
    found = db.session.scalars(select(Slot).where(Slot.session_id == row.id).order_by(Slot.starts_at)).all()
    db.session.expunge_all()
    return list(found)


def left(at):
    """What each page of this doctor counts: the picker, the strip, the cards, the neighbours."""
    db.session.rollback()
    now = factory.now()
    views = doctor_sessions(at.id, at.doctor.id, DAY, now)
    days = [one for one in doctor_days(at.id, at.doctor.id, now) if one.day == DAY]
    card = next_open([(at.id, at.doctor.id)], now, limit=9)[(at.id, at.doctor.id)]
    around = nearest(at.id, now, around=EVENING, doctor_id=at.doctor.id, limit=9)
    return {
        "picker": sum(view.left for view in views),
        "strip": sum(part.left for day in days for part in day.parts),
        "card": card.session_left,
        "near": sum(slot.left for slot in around),
    }


def test_half_of_every_slot_opens_with_the_release_and_half_the_evening_before(now):
    at = factory.clinic()
    row = session_of(at)
    assert set(openings(row)) == {"08:30", "09:00", "09:30", "10:00"}
    assert all(slot == {None: 1, EVENING: 1} for slot in openings(row).values())
    now.at(RELEASE + timedelta(minutes=1))
    assert left(at) == dict.fromkeys(("picker", "strip", "card", "near"), 4)
    now.at(EVENING - timedelta(seconds=2))
    assert left(at) == dict.fromkeys(("picker", "strip", "card", "near"), 4)
    now.at(EVENING)
    assert left(at) == dict.fromkeys(("picker", "strip", "card", "near"), 8)


def test_in_the_first_minutes_of_a_later_wave_sign_in_comes_first(now):
    at = factory.clinic()
    first, second, *_ = slots(session_of(at))
    now.at(RELEASE + timedelta(minutes=11))
    assert hold(at.id, first.id, holder="a", actor=browser("a")).status == "held"
    now.at(EVENING)
    with pytest.raises(SignInFirst):
        hold(at.id, second.id, holder="b", actor=browser("b"))
    assert hold(at.id, second.id, holder="c", actor=as_account(factory.person())).status == "held"
    now.at(EVENING + timedelta(minutes=at.policy.sign_in_first_minutes))
    assert hold(at.id, second.id, holder="b", actor=browser("b")).status == "held"


def test_in_the_first_minutes_of_the_roll_over_sign_in_comes_first(now):
    at = factory.clinic()
    opened = factory.open_session(
        at, DAY, places=6, channels={"phone": 3}, rolls_at=EVENING, release_at=RELEASE
    )
    now.at(EVENING - timedelta(seconds=2))
    assert hold(at.id, opened.slots[0].id, holder="a", actor=browser("a")).status == "held"
    now.at(EVENING)
    with pytest.raises(SignInFirst):
        hold(at.id, opened.slots[1].id, holder="b", actor=browser("b"))
    now.at(EVENING + timedelta(minutes=at.policy.sign_in_first_minutes))
    assert hold(at.id, opened.slots[1].id, holder="b", actor=browser("b")).status == "held"


def test_places_of_a_later_wave_make_no_open_seats_before_it_opens(now):
    """A fifth without sign-in: of the 10 places that are online 2, of all 20 it would be 4."""
    at = factory.clinic(policy={"holds_per_person": 2})
    row = session_of(at, places=5, waves=[Wave(50, 1, time(20))])
    now.at(RELEASE + timedelta(minutes=11))
    online = left(at)["picker"]
    may = max(1, online * at.policy.anonymous_share // 100)
    free = [slot.id for slot in slots(row) for _ in range(2)]
    for number in range(may):
        hold(at.id, free[number], holder=f"a{number}", actor=browser(f"a{number}"))
    with pytest.raises(SignInFirst):
        hold(at.id, free[may], holder="z", actor=browser("z"))


def test_a_later_wave_is_not_held_nor_moved_into_before_its_instant(now):
    at = factory.clinic()
    row = session_of(at)
    first = slots(row)[0].id
    now.at(RELEASE + timedelta(minutes=1))
    who, other = factory.person(), factory.person()
    assert hold(at.id, first, holder="a", actor=as_account(who)).status == "held"
    with pytest.raises(SlotFull):
        hold(at.id, first, holder="b", actor=as_account(other))
    elsewhere = factory.another_doctor(at)
    booked = book(elsewhere, factory.open_session(elsewhere, on=DAY + timedelta(days=1)), other, holder="c")
    with pytest.raises(SlotFull):
        move(at.id, booked.id, first, actor=as_account(other))
    with pytest.raises(SlotFull):
        move(at.id, booked.id, first, actor=staff(at), override="患者坚持")
    now.at(EVENING + timedelta(seconds=1))
    assert hold(at.id, first, holder="d", actor=as_account(factory.person())).status == "held"
    assert not broken()


def test_every_place_of_both_waves_is_sold_in_the_end(now):
    at = factory.clinic()
    row = session_of(at, places=3, waves=[Wave(30, 1, time(20)), Wave(20, 0, time(7))])
    opened, sold = factory.OpenSession(row, slots(row), {}), 0
    for instant in (RELEASE, EVENING, utc(DAY, time(7), ZONE)):
        now.at(instant + timedelta(seconds=1))
        for number in range(4):
            while True:
                try:
                    book(at, opened, factory.person(), slot=number, holder=f"h{sold}")
                except SlotFull:
                    break
                sold += 1
    assert sold == 12


def test_the_policys_waves_hold_where_a_session_says_nothing_else():
    stored = [{"percent": 25, "days_before": 1, "at": "20:00"}]
    at = factory.clinic(policy={"release_waves": stored})
    by_policy, all_at_once = session_of(at, places=4, waves=None), None
    assert all(slot == {None: 3, EVENING: 1} for slot in openings(by_policy).values())
    other = factory.another_doctor(at)
    all_at_once = session_of(other, places=4, waves=[])
    assert all(slot == {None: 4} for slot in openings(all_at_once).values())


def test_drafts_have_their_waves_when_they_are_published(now):
    at = factory.clinic()
    row = session_of(at, publish=False)
    publish(at.id, [row.id], actor=staff(at))
    now.at(RELEASE + timedelta(minutes=1))
    assert left(at)["picker"] == 4


def test_before_the_release_waves_may_change_freely_and_a_repeat_changes_nothing():
    at = factory.clinic()
    row = session_of(at)
    change(at, row, waves=WAVES)
    assert all(slot == {None: 1, EVENING: 1} for slot in openings(row).values())
    change(at, row, waves=[])
    assert all(slot == {None: 2} for slot in openings(row).values())
    later = EVENING + timedelta(hours=1)
    change(at, row, waves=WAVES, release_at=later)
    assert all(slot == {None: 2} for slot in openings(row).values()), (
        "a wave before the release opens with it"
    )


def test_after_the_release_what_is_open_stays_open_and_new_places_join_their_waves(now):
    at = factory.clinic()
    row = session_of(at)
    now.at(RELEASE + timedelta(hours=1))
    change(at, row, waves=[Wave(100, 1, time(20))])
    assert all(slot == {None: 1, EVENING: 1} for slot in openings(row).values())
    change(at, row, waves=WAVES, places_per_slot=4)
    assert all(slot == {None: 2, EVENING: 2} for slot in openings(row).values())
    change(at, row, waves=[], places_per_slot=4)
    assert all(slot == {None: 4} for slot in openings(row).values())


def test_a_returned_place_of_an_open_wave_is_sold_again_at_once(now):
    at = factory.clinic()
    row = session_of(at, places=1, waves=[Wave(100, 1, time(20))])
    opened = factory.OpenSession(row, slots(row), {})
    now.at(EVENING + timedelta(seconds=1))
    who = factory.person()
    visit = book(at, opened, who)
    cancel(at.id, visit.id, actor=as_account(who))
    assert book(at, opened, factory.person(), holder="n").status == "booked"


def test_waves_that_cannot_be_meant_leave_the_session_as_it_was():
    at = factory.clinic()
    with transaction() as session:
        wrong = [{"percent": 150, "days_before": 1, "at": "20:00"}]
        session.execute(update(Policy).where(Policy.hospital_id == at.id).values(release_waves=wrong))
    with pytest.raises(BadInput):
        session_of(at, waves=None)
    assert db.session.scalars(select(ClinicSession)).all() == []


def test_a_place_sold_before_its_wave_is_found_afterwards(now):
    """What nobody should be able to do, written straight to the rows, is seen by the check of the bookings."""
    at = factory.clinic()
    row = session_of(at, places=1, waves=[])
    opened = factory.OpenSession(row, slots(row), {})
    now.at(RELEASE + timedelta(minutes=5))
    visit = book(at, opened, factory.person())
    assert not broken()
    with transaction() as session:
        session.execute(update(Place).where(Place.id == visit.place_id).values(opens_at=EVENING))
    assert [name for name in broken() if name.startswith("R16")]
