"""Which letters a change puts, to whom and over what; asked of the rows."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from booking import outbox
from booking.appointments.announce import is_urgent, letters_of
from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in
from booking.appointments.models import Appointment
from booking.appointments.move import move
from booking.appointments.reserve import confirm, hold
from booking.appointments.stop import stop_session
from booking.clock import utc
from booking.db import db, transaction
from booking.directory.models import ClinicKind, Hospital
from booking.people.models import Account
from booking.staff.rules import Actor
from tests import factory
from tests.notices.posting import letters

ZONE = "Asia/Shanghai"
OWN_PHONE = "+8613800139002"


@pytest.fixture
def every_channel():
    outbox.offer(["wechat", "voice"])
    yield
    outbox.offer([])


@pytest.fixture
def clinic(within):
    return factory.clinic()


def set_to(model, *where, **values):
    with transaction() as session:
        session.execute(update(model).where(*where).values(**values))


def actor_of(who) -> Actor:
    return Actor("account", str(who.id), account_id=who.id)


def booked(clinic, who, opened=None, **more):
    opened = opened or factory.open_session(clinic)
    actor = actor_of(who)
    held = hold(clinic.id, opened.slots[0].id, holder="h", actor=actor)
    row = confirm(clinic.id, held.id, holder="h", actor=actor, patient_id=who.patient.id, **more)
    return opened, row


def staff(clinic) -> Actor:
    return Actor("admin", "staff-1", "何予", hospital_id=clinic.id)


def ways(**columns):
    return sorted((letter.channel, letter.recipient) for letter in letters(**columns))


def test_booker_and_patient_are_told_over_every_way_they_have(clinic, every_channel):
    who = factory.person(email="li@example.org", own_phone=OWN_PHONE)
    set_to(Account, Account.id == who.id, wechat_openid="openid-of-a-test")
    booked(clinic, who)
    everywhere = [
        ("app", "account"),
        ("email", "account"),
        ("sms", "account"),
        ("sms", "patient"),
        ("wechat", "account"),
    ]
    for kind in ("confirmed", "reminder_day", "reminder_hours"):
        assert ways(kind=kind) == everywhere, kind


def test_an_address_that_was_not_verified_and_a_channel_without_provider_get_nothing(clinic):
    who = factory.person(email="li@example.org")
    set_to(Account, Account.id == who.id, email_verified_at=None, wechat_openid="openid-of-a-test")
    booked(clinic, who)
    assert {letter.channel for letter in letters()} == {"app", "sms"}


def test_a_visit_booked_without_reminders_has_none(clinic):
    booked(clinic, factory.person(), remind=False)
    assert {letter.kind for letter in letters()} == {"confirmed"}


def test_how_to_prepare_is_told_only_where_there_is_something_to_prepare(clinic):
    opened, row = booked(clinic, factory.person())
    assert not letters(kind="preparation")
    set_to(ClinicKind, ClinicKind.hospital_id == clinic.id, preparation="空腹来，可以喝少量白开水。")
    _, other = booked(clinic, factory.person(), opened)
    assert ways(kind="preparation") == [("app", "account"), ("sms", "account")]
    (due,) = {letter.due_at for letter in letters(kind="preparation")}
    assert due == utc(row.visit_date - timedelta(days=1), time(18), ZONE)
    move(clinic.id, other.id, opened.slots[2].id, actor=actor_of(factory_account(other)))
    live = [letter for letter in letters(kind="preparation") if letter.status == "waiting"]
    assert {letter.version for letter in live} == {3}


def factory_account(row):
    return db.session.get(Account, row.account_id)


def test_the_hospital_hears_of_every_change_when_it_wants_to(clinic, now):
    who = factory.person()
    opened, _ = booked(clinic, factory.person())
    assert not letters(channel="webhook"), "no address, no letter"
    set_to(Hospital, Hospital.id == clinic.id, webhook_url="https://his.example.org/hook")
    _, row = booked(clinic, who, opened)
    move(clinic.id, row.id, opened.slots[2].id, actor=actor_of(who))
    now.at(opened.session.starts_at - timedelta(minutes=30))
    check_in(clinic.id, row.id, actor=staff(clinic))
    cancel(clinic.id, row.id, actor=staff(clinic))
    told = sorted(letters(channel="webhook"), key=lambda letter: letter.version)
    assert [letter.kind for letter in told] == ["confirmed", "moved", "arrived", "cancelled"]
    assert {letter.recipient for letter in told} == {"hospital"}
    assert {letter.appointment_id for letter in told} == {row.id}


@pytest.mark.parametrize("offered", [True, False])
def test_a_stop_rings_those_the_message_does_not_reach(clinic, offered):
    outbox.offer(["voice"] if offered else [])
    who = factory.person(email="li@example.org", own_phone=OWN_PHONE)
    opened, row = booked(clinic, who)
    stop_session(clinic.id, opened.id, actor=staff(clinic), reason="医生临时有急诊手术")
    outbox.offer([])
    assert ways(kind="stopped", channel="voice") == (
        [("voice", "account"), ("voice", "patient")] if offered else []
    )
    at_once = [letter for letter in letters(kind="stopped") if letter.channel != "voice"]
    assert {letter.due_at for letter in at_once} == {row.cancelled_at or at_once[0].created_at}
    for letter in letters(kind="stopped", channel="voice"):
        assert letter.due_at - letter.created_at >= timedelta(minutes=10)


def test_a_change_for_another_day_rings_nobody(clinic, every_channel):
    who = factory.person()
    opened, row = booked(clinic, who)
    move(clinic.id, row.id, opened.slots[2].id, actor=staff(clinic))
    cancel(clinic.id, row.id, actor=staff(clinic))
    assert letters(kind="moved") and letters(kind="cancelled")
    assert not letters(channel="voice")


VISIT = date(2026, 11, 25)
MORNING = utc(VISIT, time(6), ZONE)
DAY_BEFORE = MORNING - timedelta(days=1)
BY_US, BY_THEM = {"by": "hospital"}, {"by": "patient"}
FROM_TODAY = {"from": {"visit_date": "2026-11-24", "starts_local": "10:00"}}


@pytest.mark.parametrize(
    ("kind", "facts", "at", "urgent"),
    [
        ("stopped", {}, DAY_BEFORE - timedelta(days=5), True),
        ("stopped", {}, MORNING, True),
        ("cancelled", BY_US, MORNING, True),
        ("cancelled", BY_US, DAY_BEFORE, False),
        ("cancelled", BY_THEM, MORNING, False),
        ("moved", BY_US, MORNING, True),
        ("moved", BY_US | FROM_TODAY, DAY_BEFORE, True),
        ("moved", BY_US | FROM_TODAY, DAY_BEFORE - timedelta(days=1), False),
        ("moved", BY_THEM | FROM_TODAY, DAY_BEFORE, False),
        ("confirmed", {}, MORNING, False),
        ("no_show", {}, MORNING, False),
    ],
)
def test_only_a_stop_and_the_hospitals_own_change_of_the_same_day_are_urgent(kind, facts, at, urgent):
    row = Appointment(visit_date=VISIT, zone=ZONE)
    assert is_urgent(row, kind, facts, at) is urgent


@pytest.mark.parametrize(
    ("told", "starts", "rings"),
    [
        ("2026-11-24 10:00", "2026-11-30 08:30", "11-24 10:10"),
        # at night the phone rings in the morning, unless that would be too late
        ("2026-11-24 21:55", "2026-11-25 08:30", "11-25 07:00"),
        ("2026-11-25 05:00", "2026-11-25 07:45", "11-25 05:10"),
    ],
)
def test_the_phone_rings_after_a_while_and_keeps_the_night_where_it_can(every_channel, told, starts, rings):
    at, begins = (utc(one.date(), one.time(), ZONE) for one in map(datetime.fromisoformat, (told, starts)))
    row = Appointment(
        status="cancelled", visit_date=begins.date(), zone=ZONE, starts_at=begins, remind=True, sold={}
    )
    policy = rules()
    account = Account(id=1, phone="+8613800130001", phone_hash="x")
    made = letters_of(row, "stopped", policy=policy, people=(account, None), now=at)
    (voice,) = [letter for letter in made if letter.channel == "voice"]
    assert voice.due_at == utc_of(rings)
    assert {letter.due_at for letter in made if letter.channel != "voice"} == {at}


def rules():
    return SimpleNamespace(
        reminders=[],
        quiet_from=time(22),
        quiet_to=time(7),
        prepare_time=time(18),
        voice_after_minutes=10,
    )


def utc_of(text: str) -> datetime:
    one = datetime.fromisoformat(f"2026-{text}")
    return utc(one.date(), one.time(), ZONE)
