"""Booking by telephone and at the counter, 加号, and patients entered by staff, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from booking.appointments.at_desk import book_at_desk, pools
from booking.appointments.cancel import cancel
from booking.appointments.desk_patients import find_patients, register_patient
from booking.appointments.extra import add_extra
from booking.appointments.models import Appointment, AppointmentEvent, Chart, DeskConsent
from booking.appointments.move import move
from booking.appointments.rules import (
    AlreadyBooked,
    BookingClosed,
    ExtraFull,
    KeyReused,
    Overlap,
    SameDepartment,
    SessionStopped,
    SlotFull,
)
from booking.appointments.stop import reopen_session, stop_session
from booking.clock import local
from booking.db import db, transaction
from booking.errors import BadInput, NotAllowed, NotFound
from booking.outbox import Message
from booking.people.models import Patient
from booking.people.service import PatientKnown
from booking.schedule.models import ExtraGrant, Place
from booking.staff.models import AuditEvent
from booking.staff.rules import Actor
from tests import factory
from tests.invariants import broken
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")

ID = "11010519491231002X"


def clerk(at, kind="desk"):
    return Actor(kind, "7", "周晓岚", at.id)


def known(at, name="李秋禾", **columns):
    """A patient this hospital knows, without an account."""
    who = factory.person(name, own_phone=factory.invented_phone())
    with transaction() as session:
        session.add(Chart(hospital_id=at.id, patient_id=who.patient.id))
        if columns:
            row = session.get_one(Patient, who.patient.id)
            for column, value in columns.items():
                setattr(row, column, value)
        session.flush()
        session.expunge_all()
    return who


def at_desk(at, opened, who, *, slot=0, via="phone", **more):
    return book_at_desk(
        at.id, opened.slots[slot].id, actor=clerk(at), patient_id=who.patient.id, via=via, **more
    )


def extra(at, opened, who, *, slot=0, owner="doctor", reason="复查结果异常", **more):
    return add_extra(
        at.id,
        opened.slots[slot].id,
        actor=clerk(at),
        patient_id=who.patient.id,
        owner=owner,
        reason=reason,
        **more,
    )


def place_of(row):
    return db.session.get(Place, (row.hospital_id, row.place_id), populate_existing=True)


def trail(action):
    asked = select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.at)
    return db.session.scalars(asked).all()


# --- booking ---------------------------------------------------------------------------------------------------------


def test_a_caller_gets_the_place_kept_for_the_telephone_before_the_release():
    at = factory.clinic()
    opened = factory.open_session(
        at, places=3, channels={"phone": 1, "desk": 1}, release_at=factory.now() + timedelta(hours=1)
    )
    row = at_desk(at, opened, known(at, birth_date="1988-03-09"))
    assert (row.status, row.kind, row.channel, place_of(row).channel) == ("booked", "phone", "phone", "phone")
    event = db.session.scalars(select(AppointmentEvent)).one()
    assert (event.verb, event.actor_kind, event.actor_id) == ("book_at_desk", "desk", "7")
    assert [one.change for one in trail("book_at_desk")] == [{"via": "phone", "channel": "phone"}]
    with pytest.raises(SlotFull):
        at_desk(
            at, opened, known(at, birth_date="1988-03-09")
        )  # the web's place is not released, the counter's is kept
    assert at_desk(at, opened, known(at, birth_date="1988-03-09"), via="desk").kind == "desk"
    assert not broken()


def test_a_visit_of_the_desk_that_is_moved_twice_by_a_double_click_is_moved_once():
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    row = at_desk(at, opened, known(at))
    assert row.version == 1
    to = opened.slots[2].id
    first = move(at.id, row.id, to, actor=clerk(at))
    again = move(at.id, row.id, to, actor=clerk(at))
    assert (first.version, again.version, again.slot_id) == (2, 2, to)
    assert not broken()


def test_after_the_release_a_caller_may_have_a_place_of_the_web_like_everybody():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    assert place_of(at_desk(at, opened, known(at))).channel == "web"
    with pytest.raises(SlotFull) as full:
        at_desk(at, opened, known(at))
    assert len(full.value.facts["alternatives"]) == 3
    assert not broken()


def test_an_elder_and_somebody_who_has_been_here_get_the_places_kept_for_them():
    at = factory.clinic()
    before = factory.open_session(at, local(factory.now(), "Asia/Shanghai").date() - timedelta(days=20))
    opened = factory.open_session(at, places=4, channels={"elder": 1, "return": 1, "referral": 1})
    old = known(at, birth_date="1950-01-01")
    young = known(at, birth_date="1999-01-01")
    factory.booked(at, before, young, status="fulfilled")
    assert place_of(at_desk(at, opened, old)).channel == "elder"
    assert place_of(at_desk(at, opened, young)).channel == "return"
    sent = at_desk(at, opened, known(at, birth_date="1999-01-01"), referral="ZZ-7 青梧二院")
    assert (place_of(sent).channel, sent.referral) == ("referral", "ZZ-7 青梧二院")
    assert place_of(at_desk(at, opened, known(at, birth_date="1999-01-01"))).channel == "web"
    assert not broken("N1", "R16")  # the earlier visit is written, not booked


@pytest.mark.parametrize(
    ("via", "fits", "released", "override", "order"),
    [
        ("phone", [], True, "", ["phone", "web"]),
        ("phone", [], False, "", ["phone"]),
        ("desk", ["elder"], True, "", ["elder", "desk", "web"]),
        ("desk", [], False, "急", ["desk", "web", "phone", "elder", "return", "referral"]),
    ],
)
def test_in_which_order_places_are_looked_for(via, fits, released, override, order):
    assert pools([via], fits, released=released, override=override) == order


def test_until_the_slot_ends_and_not_in_a_stopped_session(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    now.at(opened.slots[0].ends_at - timedelta(seconds=30))
    at_desk(at, opened, known(at), via="desk")
    now.at(opened.slots[0].ends_at)
    with pytest.raises(BookingClosed):
        at_desk(at, opened, known(at), via="desk")
    stop_session(at.id, opened.id, actor=clerk(at, "admin"), reason="医生临时有急诊")
    with pytest.raises(SessionStopped):
        at_desk(at, opened, known(at), slot=1)
    assert not broken()


def test_the_patients_limits_count_and_a_reason_goes_past_them_into_the_audit_trail():
    at = factory.clinic()
    morning = factory.open_session(at)
    other = factory.another_doctor(at)
    later = factory.open_session(other, morning.session.local_date, part="下午")
    who = known(at)
    at_desk(at, morning, who, slot=0)
    with pytest.raises(SameDepartment) as refused:
        at_desk(other, later, who, slot=3)
    assert refused.value.facts["overridable"]
    row = at_desk(other, later, who, slot=3, override="医生要求当天复查")
    assert row.status == "booked"
    kept = trail("book_at_desk")[-1]
    assert kept.reason == "医生要求当天复查" and "同一科室一天只能约" in kept.change["overruled"]
    assert not broken()


def test_no_reason_books_two_visits_at_once_or_one_session_twice():
    at = factory.clinic()
    opened = factory.open_session(at)
    other = factory.another_doctor(at)
    beside = factory.open_session(other, opened.session.local_date)
    who = known(at)
    at_desk(at, opened, who)
    with pytest.raises(Overlap):
        at_desk(other, beside, who, override="家属坚持")
    with pytest.raises(AlreadyBooked):
        at_desk(at, opened, who, slot=1, override="家属坚持")
    assert not broken()


def test_the_same_key_books_once_and_another_body_is_refused():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = known(at)
    first = at_desk(at, opened, who, key="k1")
    assert at_desk(at, opened, who, key="k1").id == first.id
    with pytest.raises(KeyReused):
        at_desk(at, opened, known(at), key="k1")
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1
    assert not broken()


def test_only_the_own_phone_is_told_and_the_own_account_sees_the_visit():
    at = factory.clinic()
    opened = factory.open_session(at)
    daughter = factory.account()
    mother = factory.patient(daughter, "李秋禾", phone="+8613800139991", relation="parent")
    with transaction() as session:
        session.add(Chart(hospital_id=at.id, patient_id=mother.id))
    row = at_desk(at, opened, factory.Person(daughter, mother))
    assert row.account_id is None, "the daughter did not book this one"
    letters = db.session.scalars(select(Message).where(Message.kind == "confirmed")).all()
    assert [(one.channel, one.recipient) for one in letters] == [("sms", "patient")]
    self_booked = at_desk(at, opened, known(at))
    assert self_booked.account_id is not None
    assert not broken()


def test_nobody_else_books_at_the_desk_and_nobody_unknown_is_booked():
    at, elsewhere = factory.clinic(), factory.clinic()
    opened = factory.open_session(at)
    who = known(at)
    for actor in (clerk(elsewhere), clerk(at, "scheduler"), as_account(who)):
        with pytest.raises(NotAllowed):
            book_at_desk(at.id, opened.slots[0].id, actor=actor, patient_id=who.patient.id, via="desk")
        with pytest.raises(NotAllowed):
            add_extra(
                at.id, opened.slots[0].id, actor=actor, patient_id=who.patient.id, owner="staff", reason="x"
            )
    with pytest.raises(NotFound):
        at_desk(at, opened, known(elsewhere))
    with pytest.raises(BadInput):
        at_desk(at, opened, who, via="fax")


# --- 加号 -------------------------------------------------------------------------------------------------------------


def test_an_added_place_is_booked_for_its_patient_with_owner_and_reason():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    book(at, opened, factory.person())
    who = known(at)
    row = extra(at, opened, who)
    place = place_of(row)
    assert (row.status, row.kind, place.channel, place.extra_number, place.position) == (
        "booked",
        "extra",
        "extra",
        1,
        2,
    )
    grant = db.session.scalars(select(ExtraGrant)).one()
    assert (grant.place_id, grant.owner_kind, grant.owner_name, grant.granted_by) == (
        place.id,
        "doctor",
        "沈知远",
        "7",
    )
    assert grant.reason == trail("add_extra")[0].reason == "复查结果异常"
    with pytest.raises(BadInput) as refused:
        extra(at, opened, known(at), owner="", reason=" ")
    assert set(refused.value.facts["errors"]) == {"owner", "reason"}
    assert not broken()


def test_a_session_has_no_more_added_places_than_the_cap_and_a_cancelled_one_frees_its_number():
    at = factory.clinic(policy={"extra_cap": 2})
    opened = factory.open_session(at, places=1)
    first = extra(at, opened, known(at), slot=0)
    extra(at, opened, known(at), slot=1, owner="staff")
    with pytest.raises(ExtraFull):
        extra(at, opened, known(at), slot=2)
    cancel(at.id, first.id, actor=clerk(at))
    assert (place_of(first).withdrawn, place_of(first).open) == (True, False), "it is not sold on"
    again = extra(at, opened, known(at), slot=2)
    assert place_of(again).extra_number == 1
    assert not broken()


def test_an_added_place_is_never_anybody_elses_after_cancel_move_stop_or_a_change_of_capacity(now):
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    gone = extra(at, opened, known(at), slot=0)
    moved = extra(at, opened, known(at), slot=1)
    cancel(at.id, gone.id, actor=clerk(at))
    old = moved.place_id
    move(at.id, moved.id, opened.slots[2].id, actor=clerk(at))
    assert db.session.get(Place, (at.id, old), populate_existing=True).withdrawn
    stays = extra(at, opened, known(at), slot=3)
    stop_session(at.id, opened.id, actor=clerk(at, "admin"), reason="停电")
    reopen_session(at.id, opened.id, actor=clerk(at, "admin"))
    extras = db.session.scalars(
        select(Place).where(Place.channel == "extra").execution_options(populate_existing=True)
    )
    assert all(place.withdrawn and not place.open for place in extras)
    with pytest.raises(SlotFull):
        for slot in (3, 3):
            at_desk(at, opened, known(at), slot=slot, override="家属坚持")
    assert stays.place_id and not broken()


# --- patients --------------------------------------------------------------------------------------------------------


def enter(at, **changes):
    return register_patient(
        at.id,
        actor=clerk(at),
        **{
            "name": "王若兰",
            "id_type": "resident",
            "id_number": ID,
            "phone": "13800130001",
            "consent_id": True,
            "consent_health": True,
        }
        | changes,
    )


def test_a_new_patient_is_entered_with_the_consent_given_to_staff_and_found_again():
    at, elsewhere = factory.clinic(), factory.clinic()
    row = enter(at, id_seen=True)
    assert (row.sex, row.birth_date, row.verified_at is not None) == ("f", "1949-12-31", True)
    assert sorted(db.session.scalars(select(DeskConsent.kind))) == ["health_data", "id_number"]
    today = local(factory.now(), "Asia/Shanghai").date()
    for typed in (ID, "138 0013 0001"):
        (found,) = find_patients(at.id, typed, today)
        assert (found.id, found.masked_name, found.id_tail, found.phone_tail) == (
            row.id,
            "王*兰",
            "002X",
            "0001",
        )
        assert find_patients(elsewhere.id, typed, today) == [], "another hospital does not learn of it"
    with pytest.raises(PatientKnown) as refused:
        enter(at)
    assert refused.value.facts["patient_id"] == row.id
    assert trail("register_patient")[0].change["id_seen"] is True


def test_a_verified_person_is_the_same_patient_elsewhere_only_with_the_same_name_and_phone():
    at, elsewhere = factory.clinic(), factory.clinic()
    row = enter(at, id_seen=True)
    assert enter(elsewhere, id_seen=True).id == row.id
    third = factory.clinic()
    other = enter(third, id_seen=True, name="王若蓝", phone="13800130002")
    assert other.id != row.id and other.verified_at is None


def test_without_consent_nobody_is_entered_and_a_child_needs_a_guardian():
    at = factory.clinic()
    with pytest.raises(BadInput) as refused:
        enter(at, consent_health=False, phone="1")
    assert set(refused.value.facts["errors"]) == {"consent_health", "phone"}
    born = local(factory.now(), "Asia/Shanghai").date() - timedelta(days=2000)
    child = {"id_type": "none", "id_number": "", "birth_date": born, "sex": "m", "phone": ""}
    with pytest.raises(BadInput):
        enter(at, **child)
    row = enter(
        at,
        **child,
        guardian_name="王建国",
        guardian_phone="13800130003",
        guardian_relation="parent",
        consent_guardian=True,
    )
    assert row.phone == "+8613800130003", "letters go to the guardian"
    assert db.session.scalar(select(func.count()).select_from(Chart)) == 1


def test_a_name_is_found_among_the_visits_near_today_and_a_booker_by_the_phone():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person("沈小满")
    book(at, opened, who)
    today = local(factory.now(), "Asia/Shanghai").date()
    for typed in ("小满", "shenxm", who.account.phone.removeprefix("+86")):
        assert [one.id for one in find_patients(at.id, typed, today)] == [who.patient.id], typed
    for typed in ("", "满", "%", "12345", "沈小满' OR 1=1 --"):
        assert find_patients(at.id, typed, today) == [], typed
    assert not broken()
