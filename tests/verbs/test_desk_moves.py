"""What staff move and cancel for a patient: written down in the same transaction, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from booking.appointments.cancel import cancel
from booking.appointments.models import AppointmentEvent
from booking.appointments.move import move
from booking.appointments.rules import SlotFull
from booking.db import db
from booking.staff.models import AuditEvent
from tests import factory
from tests.invariants import broken
from tests.verbs.test_at_desk import clerk, trail
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")


def written_down():
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(AuditEvent))


def newest_event(row):
    asked = select(AppointmentEvent).where(AppointmentEvent.appointment_id == row.id)
    return db.session.scalars(asked.order_by(AppointmentEvent.version.desc())).first()


# --- the audit trail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "whose"), [("patient", "patient"), ("hospital", "hospital"), (None, "hospital")]
)
def test_what_staff_cancel_stands_in_the_trail_with_whose_wish_and_why(by, whose):
    at = factory.clinic()
    row = book(at, factory.open_session(at), factory.person())
    place = row.place_id
    cancel(at.id, row.id, actor=clerk(at), by=by, reason=" 来电说不来了 ", key="k")
    cancel(at.id, row.id, actor=clerk(at), by=by, reason=" 来电说不来了 ", key="k")
    cancel(at.id, row.id, actor=clerk(at), by=by, reason="再按一次")
    (kept,) = trail("cancel")
    assert (kept.actor_kind, kept.actor_id, kept.actor_name) == ("desk", "7", "周晓岚")
    assert (kept.object_kind, kept.object_id, kept.reason) == ("appointment", row.id, "来电说不来了")
    assert kept.change == {"by": whose, "status": ["booked", "cancelled"], "place": [place.hex, None]}
    assert newest_event(row).facts == {"by": whose}
    assert not broken()


def test_what_staff_move_stands_in_the_trail_with_both_places():
    at = factory.clinic()
    opened = factory.open_session(at)
    elsewhere = factory.open_session(factory.another_doctor(at))
    row = book(at, opened, factory.person())
    day, place = row.visit_date.isoformat(), row.place_id
    for _again in range(2):
        moved = move(at.id, row.id, elsewhere.slots[1].id, actor=clerk(at), by="patient", reason="上午没空")
    (kept,) = trail("move")
    assert (kept.actor_name, kept.object_id, kept.reason) == ("周晓岚", row.id, "上午没空")
    assert kept.change["by"] == "patient" and kept.change["place"] == [place.hex, moved.place_id.hex]
    assert kept.change["starts_local"] == ["08:30", "09:00"]
    assert kept.change["doctor"][1] == "陆明溪" and day == moved.visit_date.isoformat()
    assert "visit_date" not in kept.change, "the day stayed"
    assert not broken()


def test_what_people_do_themselves_and_what_was_refused_is_no_business_of_the_trail():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    who = factory.person()
    row = book(at, opened, who)
    book(at, opened, factory.person(), slot=1, holder="h2")
    before = written_down()
    with pytest.raises(SlotFull):
        move(at.id, row.id, opened.slots[1].id, actor=clerk(at), by="patient")
    move(at.id, row.id, opened.slots[2].id, actor=as_account(who))
    cancel(at.id, row.id, actor=as_account(who))
    assert written_down() == before
