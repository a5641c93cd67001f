"""What staff move and cancel for a patient: written down in the same transaction, on both databases."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from sqlalchemy import func, select, update

from booking.appointments.cancel import cancel
from booking.appointments.models import AppointmentEvent
from booking.appointments.move import move
from booking.appointments.move_queries import slots_to_move_to
from booking.appointments.rules import AlreadyBooked, DayLimit, KeyReused, Overlap, SameDepartment, SlotFull
from booking.db import db, transaction
from booking.schedule.admission import NotThisAge
from booking.schedule.models import ClinicSession, Place
from booking.staff.models import AuditEvent
from tests import factory
from tests.invariants import broken
from tests.verbs.test_at_desk import at_desk, clerk, known, place_of, trail
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
    assert kept.change["channel"] == ["web", "web"]
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


# --- which places, in which order ------------------------------------------------------------------------------------

YOUNG, OLD = "1999-01-01", "1950-01-01"


def visit_of(at, **columns):
    """A visit of somebody whom the desk knows, with a doctor of the department of its own; returns who and the visit."""
    who = known(at, **({"birth_date": YOUNG} | columns))
    theirs = factory.another_doctor(at, "周可言")
    return who, at_desk(theirs, factory.open_session(theirs, factory.now().date() + timedelta(days=3)), who)


def later(at, **more):
    return factory.open_session(at, factory.now().date() + timedelta(days=6), **more)


def test_staff_move_into_the_places_they_book_in_the_same_order():
    at = factory.clinic()
    opened = later(at, places=4, channels={"phone": 1, "desk": 1, "elder": 1})
    channels = []
    for born in (OLD, YOUNG, YOUNG, YOUNG):
        _who, row = visit_of(at, birth_date=born)
        moved = move(at.id, row.id, opened.slots[0].id, actor=clerk(at), by="patient")
        channels.append((place_of(moved).channel, moved.channel))
    kept = [(name, name) for name in ("elder", "phone", "desk")]
    assert channels == [*kept, ("web", None)]
    assert [one.change["channel"][1] for one in trail("move")] == ["elder", "phone", "desk", "web"]
    assert not broken()


def test_a_place_kept_for_others_or_not_released_asks_for_a_reason_that_the_trail_keeps():
    at = factory.clinic()
    kept = later(at, places=1, channels={"elder": 1})
    sealed = factory.open_session(
        at, factory.now().date() + timedelta(days=7), places=1, release_at=factory.now() + timedelta(hours=1)
    )
    for opened, channel in ((kept, "elder"), (sealed, "web")):
        _who, row = visit_of(at)
        slot, before = opened.slots[0].id, written_down()
        for nothing in ("", " \t"):
            with pytest.raises(SlotFull) as refused:
                move(at.id, row.id, slot, actor=clerk(at), by="patient", override=nothing)
            assert "由医生同意后加号" in refused.value.text
        db.session.rollback()
        assert written_down() == before and row.version == 1
        moved = move(
            at.id, row.id, slot, actor=clerk(at), by="patient", override=" 医生要求 ", reason="想早点"
        )
        assert place_of(moved).channel == channel
        newest = trail("move")[-1]
        assert (newest.change["override"], newest.reason) == ("医生要求", "想早点")
        assert "overruled" not in newest.change, "no limit stood in the way"
    assert not broken()


def test_a_caller_who_was_here_before_or_has_a_referral_gets_what_is_kept_for_them():
    at = factory.clinic()
    before = factory.open_session(at, factory.now().date() - timedelta(days=20))
    opened = later(at, places=2, channels={"return": 1, "referral": 1})
    who, row = visit_of(at)
    factory.booked(at, before, who, status="fulfilled", visit_code="48271937")
    assert place_of(move(at.id, row.id, opened.slots[0].id, actor=clerk(at))).channel == "return"
    sent = known(at, birth_date=YOUNG)
    row = at_desk(at, factory.open_session(at), sent, referral="ZZ-7 青梧二院")
    assert place_of(move(at.id, row.id, opened.slots[0].id, actor=clerk(at))).channel == "referral"


def test_people_who_move_themselves_get_places_of_the_web_whatever_reason_they_give():
    at = factory.clinic()
    opened = later(at, places=1, channels={"phone": 1})
    who = factory.person()
    row = book(at, factory.open_session(at), who)
    with pytest.raises(SlotFull):
        move(at.id, row.id, opened.slots[0].id, actor=as_account(who), override="急")
    assert move(at.id, row.id, opened.slots[0].id, actor=clerk(at)).channel == "phone"
    web = later(factory.another_doctor(at))
    assert move(at.id, row.id, web.slots[0].id, actor=as_account(who)).channel is None
    assert not broken()


def test_a_place_sealed_for_a_draw_is_not_moved_into_even_with_a_reason():
    at = factory.clinic()
    opened = later(at, places=1)
    with transaction() as session:
        for place in session.scalars(select(Place).where(Place.session_id == opened.id)):
            place.opens_at = factory.now() + timedelta(days=3)
    _who, row = visit_of(at)
    with pytest.raises(SlotFull):
        move(at.id, row.id, opened.slots[0].id, actor=clerk(at), override="院领导要求")


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_limit_asks_staff_for_a_reason_and_what_it_overruled_is_kept():
    at = factory.clinic()
    morning = factory.open_session(at)
    afternoon = factory.open_session(factory.another_doctor(at), morning.session.local_date, part="下午")
    who, row = visit_of(at)
    at_desk(at, morning, who)
    with pytest.raises(SameDepartment) as refused:
        move(at.id, row.id, afternoon.slots[3].id, actor=clerk(at), by="patient")
    assert refused.value.facts["overridable"]
    moved = move(
        at.id, row.id, afternoon.slots[3].id, actor=clerk(at), by="patient", override="医生要求同日复查"
    )
    assert moved.slot_id == afternoon.slots[3].id
    (kept,) = trail("move")
    assert "同一科室一天只能约" in kept.change["overruled"] and kept.change["override"] == "医生要求同日复查"
    assert not broken()


def test_two_visits_of_the_web_that_staff_put_on_one_day_with_a_reason_break_no_rule():
    at = factory.clinic(policy={"per_day": 1, "per_department_day": 1})
    morning = factory.open_session(at)
    afternoon = factory.open_session(factory.another_doctor(at), morning.session.local_date, part="下午")
    who = factory.person()
    book(at, morning, who)
    row = book(at, later(at), who, holder="h2")
    moved = move(at.id, row.id, afternoon.slots[3].id, actor=clerk(at), override="医生要求同日复查")
    assert (moved.kind, moved.visit_date) == ("web", morning.session.local_date)
    assert not broken()
    with transaction() as session:  # as if nobody had given a reason
        session.execute(update(AuditEvent).where(AuditEvent.action == "move").values(change={}))
    assert [title for title in broken() if title.startswith("R6")]


def test_whom_a_session_is_for_may_be_overruled_and_the_visit_itself_never_counts():
    at = factory.clinic(policy={"per_day": 1, "per_department_day": 1})
    children = later(at)
    with transaction() as session:
        session.get_one(ClinicSession, (at.id, children.id)).admits = {"age_max": 14}
    _who, row = visit_of(at)
    with pytest.raises(NotThisAge):
        move(at.id, row.id, children.slots[0].id, actor=clerk(at))
    moved = move(at.id, row.id, children.slots[0].id, actor=clerk(at), override="医生同意")
    assert move(at.id, row.id, children.slots[1].id, actor=clerk(at), override="医生同意").id == moved.id
    assert len(trail("move")) == 2


def test_no_reason_moves_anybody_into_two_visits_at_once_or_twice_into_one_session():
    at = factory.clinic()
    opened = later(at)
    beside = later(factory.another_doctor(at))
    who, row = visit_of(at)
    at_desk(at, opened, who)
    for slot, refusal in ((beside.slots[0], Overlap), (opened.slots[1], AlreadyBooked)):
        with pytest.raises(refusal) as refused:
            move(at.id, row.id, slot.id, actor=clerk(at), override="家属坚持")
        assert not refused.value.facts.get("overridable")
    assert not trail("move") and not broken()


def test_a_limit_that_people_meet_themselves_is_not_passed_by_a_reason():
    at = factory.clinic(policy={"per_day": 1, "per_department_day": 9})
    who = factory.person()
    first = factory.open_session(at)
    book(at, first, who)
    row = book(at, later(at), who, holder="h2")
    other = factory.open_session(factory.another_doctor(at), first.session.local_date, part="下午")
    with pytest.raises(DayLimit):
        move(at.id, row.id, other.slots[3].id, actor=as_account(who), override="急")


def test_the_reason_belongs_to_the_request_of_a_key():
    at = factory.clinic()
    opened = later(at, places=2, channels={"elder": 2})
    _who, row = visit_of(at)
    asked = {"actor": clerk(at), "by": "patient", "key": "k"}
    assert move(at.id, row.id, opened.slots[0].id, override="急", **asked).version == 2
    assert move(at.id, row.id, opened.slots[0].id, override="急", **asked).version == 2
    with pytest.raises(KeyReused):
        move(at.id, row.id, opened.slots[0].id, override="别的", **asked)


# --- what the page lists ---------------------------------------------------------------------------------------------


def listed(at, row):
    db.session.rollback()
    own, others = slots_to_move_to(at.id, row.id, factory.now())
    return [
        {
            (one.slot.starts_local.hour, one.slot.starts_local.minute): (one.slot.free, one.asks)
            for one in part
        }
        for part in (own, others)
    ]


def test_the_slots_are_those_the_verb_gives_and_say_which_ask_for_a_reason():
    at = factory.clinic()
    other = factory.another_doctor(at)
    _who, row = visit_of(at)
    kept = later(
        other, places=3, channels={"phone": 1, "elder": 2}, release_at=factory.now() + timedelta(days=1)
    )
    at_desk(other, kept, known(at, birth_date=YOUNG))
    with transaction() as session:
        rests = select(Place).where(Place.slot_id == kept.slots[3].id)
        for place in session.scalars(rests):
            place.rests_until = factory.now() + timedelta(hours=1)
    own, others = listed(at, row)
    assert own == {(9, 0): ({"web": 3}, False), (9, 30): ({"web": 3}, False), (10, 0): ({"web": 3}, False)}
    assert others == {
        (8, 30): ({"elder": 2}, True),
        (9, 0): ({"phone": 1, "elder": 2}, False),
        (9, 30): ({"phone": 1, "elder": 2}, False),
    }
    for part in slots_to_move_to(at.id, row.id, factory.now()):
        for one in part:
            try:
                move(at.id, row.id, one.slot.slot_id, actor=clerk(at), by="patient")
                went = True
            except SlotFull:
                went = False
            assert went is not one.asks, one
    assert not broken()


def test_other_doctors_are_listed_however_many_slots_the_own_doctor_has():
    at = factory.clinic()
    other = factory.another_doctor(at)
    gone = factory.another_doctor(at, "钱多多", active=False)
    who = known(at, birth_date=YOUNG)
    day = factory.now().date() + timedelta(days=4)
    for later_by in range(2):
        crowded = factory.open_session(
            at, day + timedelta(days=later_by), starts=time(8), ends=time(15), slot_minutes=10, places=1
        )
    row = at_desk(at, crowded, who)
    for doctor in (other, gone):
        factory.open_session(doctor, day + timedelta(days=9))
    own, others = slots_to_move_to(at.id, row.id, factory.now())
    assert len(own) == 60
    assert [one.slot.doctor_id for one in others] == [other.doctor.id] * 4
