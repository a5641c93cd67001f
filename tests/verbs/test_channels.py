"""Channels of places: made, changed, kept from the web and rolled over, on both databases."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from booking.appointments.reserve import hold
from booking.appointments.rules import SlotFull
from booking.clock import utc
from booking.db import db
from booking.errors import BadInput
from booking.schedule.change_session import change_session, preview_change
from booking.schedule.doctor_sessions import doctor_sessions
from booking.schedule.models import Place
from booking.schedule.rules import BelowSold
from booking.schedule.shape import Shape
from tests import factory
from tests.invariants import broken
from tests.verbs.test_reserve import as_account, browser
from tests.verbs.test_schedule import MONDAY, fresh, one_session, places, scheduler, sell, slots_of, template

pytestmark = pytest.mark.usefixtures("within")


def by_channel(row, **only):
    return Counter(place.channel for place in places(row, withdrawn=False, **only))


def reshape(at, row, **changes):
    more = {name: changes.pop(name) for name in ("rolls_at",) if name in changes}
    return change_session(
        at.id, row.id, like(row, **changes), actor=scheduler(at), version=fresh(row).version, **more
    )


def like(row, **changes):
    names = Shape.__dataclass_fields__
    return Shape(**{name: getattr(fresh(row), name) for name in names} | changes)


def test_a_template_gives_its_sessions_their_channels_and_the_policys_roll_over():
    at = factory.clinic()
    template(at, places_per_slot=4, channels={"desk": 1, "phone": 1})
    row = one_session(at)
    slots = len(slots_of(row))
    assert by_channel(row) == {"web": 2 * slots, "phone": slots, "desk": slots}
    assert row.channels == {"phone": 1, "desk": 1}
    rolls = utc(MONDAY - timedelta(days=1), at.policy.roll_time, row.zone)
    assert row.rolls_at == rolls
    assert {place.rolls_at for place in places(row, channel="phone")} == {rolls}
    assert {place.rolls_at for place in places(row, channel="web")} == {None}


def test_channels_change_without_touching_what_is_sold():
    at = factory.clinic()
    template(at, places_per_slot=3)
    row = one_session(at)
    slots = len(slots_of(row))
    sell(at, row, slot=0, count=3)
    before = {place.id for place in places(row)}
    said = preview_change(at.id, row.id, like(row, channels={"phone": 2})).sentences
    assert "每段留给：电话 2，其余网上可约" in said
    reshape(at, row, channels={"phone": 2})
    assert by_channel(row) == {"web": 3 + (slots - 1), "phone": 2 * (slots - 1)}, (
        "a full slot stays as it was"
    )
    assert {place.id for place in places(row)} == before, "no place was added for it"
    reshape(at, row, channels={})
    assert by_channel(row) == {"web": 3 * slots}
    assert not broken("N1")


def test_more_and_fewer_places_fill_each_channel():
    at = factory.clinic()
    template(at, places_per_slot=2, channels={"desk": 1})
    row = one_session(at)
    slots = len(slots_of(row))
    reshape(at, row, places_per_slot=5, channels={"desk": 2, "phone": 1})
    assert by_channel(row) == {"web": 2 * slots, "desk": 2 * slots, "phone": slots}
    assert {place.rolls_at for place in places(row, channel="phone")} == {row.rolls_at}
    reshape(at, row, places_per_slot=1, channels={})
    assert by_channel(row) == {"web": slots}
    reshape(at, row, places_per_slot=3, channels={"elder": 2})
    assert by_channel(row) == {"web": slots, "elder": 2 * slots}
    assert len(places(row)) == 5 * slots, "withdrawn places came back before new ones were made"
    sell(at, row, slot=0, count=2)
    with pytest.raises(BelowSold):
        reshape(at, row, places_per_slot=1, channels={})
    with pytest.raises(BadInput):
        reshape(at, row, channels={"phone": 4})
    assert not broken("N1", "R16")  # sold past every verb, also what is kept for elders


def test_another_roll_over_reaches_every_kept_place():
    at = factory.clinic()
    template(at, places_per_slot=2, channels={"desk": 1})
    row = one_session(at)
    later = row.rolls_at + timedelta(hours=3)
    reshape(at, row, rolls_at=later)
    assert {place.rolls_at for place in places(row, channel="desk")} == {later}
    reshape(at, row, room="305")
    assert fresh(row).rolls_at == later, "left as it is unless somebody says otherwise"
    reshape(at, row, rolls_at=None)
    assert {place.rolls_at for place in places(row)} == {None}


def test_a_kept_place_is_sold_online_from_its_roll_over_on_and_not_before(now):
    at = factory.clinic()
    rolls = factory.now() + timedelta(hours=2)
    opened = factory.open_session(at, places=2, channels={"phone": 1, "desk": 1}, rolls_at=rolls)
    slot = opened.slots[0].id

    def left():
        return doctor_sessions(at.id, at.doctor.id, opened.session.local_date, factory.now())[0].slots[0].left

    now.at(rolls - timedelta(seconds=20))
    assert left() == 0
    with pytest.raises(SlotFull):
        hold(at.id, slot, holder="a", actor=browser("a"))
    now.at(rolls)
    assert left() == 2
    row = hold(at.id, slot, holder="b", actor=as_account(factory.person()))
    assert db.session.get(Place, (at.id, row.place_id)).channel in ("phone", "desk")
    assert left() == 1
    assert not broken()


def test_without_a_roll_over_a_kept_place_never_reaches_the_web(now):
    at = factory.clinic()
    opened = factory.open_session(at, places=1, channels={"desk": 1})
    now.at(opened.slots[0].closes_at - timedelta(minutes=5))
    with pytest.raises(SlotFull):
        hold(at.id, opened.slots[0].id, holder="a", actor=browser("a"))
