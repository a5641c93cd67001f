"""The step that books a place at once, on rows and letters, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from booking.appointments import book as book_file
from booking.appointments.book import book_place
from booking.appointments.facts import slot_facts
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.rules import is_visit_code
from booking.clock import db_now
from booking.db import broken_constraint, db, transaction
from booking.directory.policy import current_policy
from booking.outbox import Message
from booking.schedule.models import Place
from booking.staff.rules import Actor
from tests import factory
from tests.invariants import broken

pytestmark = pytest.mark.usefixtures("within")


def book_at_once(at, opened, who, *, slot=0, account=True, channel="web", **more):
    with transaction() as session:
        return book_place(
            session,
            slot_facts(session, at.id, opened.slots[slot].id),
            patient_id=who.patient.id,
            account_id=who.id if account else None,
            policy=current_policy(session, at.id),
            kind="desk",
            channel=channel,
            actor=Actor("desk", "7", "周晓岚", at.id),
            now=db_now(session),
            **more,
        )


def letters_of(row):
    return db.session.scalars(select(Message).where(Message.appointment_id == row.id)).all()


def test_a_place_is_booked_at_once_with_code_event_and_letters():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    who = factory.person()
    row = book_at_once(at, opened, who, reason="电话预约", complaint=" 咳嗽 ", verb="book_at_desk")
    assert (row.status, row.version, row.kind, row.held_until) == ("booked", 1, "desk", None)
    assert (row.patient_id, row.account_id, row.complaint) == (who.patient.id, who.id, "咳嗽")
    assert is_visit_code(row.visit_code) and row.booked_at == row.created_at
    place = db.session.get(Place, (at.id, row.place_id))
    assert (place.appointment_id, place.held_until) == (row.id, None)
    event = db.session.scalars(select(AppointmentEvent)).one()
    assert (event.verb, event.from_status, event.to_status) == ("book_at_desk", None, "booked")
    assert (event.actor_kind, event.actor_id, event.reason) == ("desk", "7", "电话预约")
    assert {(m.kind, m.channel) for m in letters_of(row) if m.kind == "confirmed"} == {
        ("confirmed", "app"),
        ("confirmed", "sms"),
    }
    assert book_at_once(at, opened, factory.person()) is None, "the slot has no other place"
    assert not broken()


def test_without_an_account_the_patients_own_phone_is_told():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person(own_phone=factory.invented_phone())
    row = book_at_once(at, opened, who, account=False)
    confirmed = [letter for letter in letters_of(row) if letter.kind == "confirmed"]
    assert [(letter.channel, letter.recipient, letter.patient_id) for letter in confirmed] == [
        ("sms", "patient", who.patient.id)
    ]
    assert not broken()


def test_an_account_that_does_not_book_for_the_patient_is_refused_by_the_database():
    at = factory.clinic()
    opened = factory.open_session(at)
    who, stranger = factory.person(), factory.person()
    with pytest.raises(IntegrityError):
        book_at_once(at, opened, factory.Person(stranger.account, who.patient))
    assert not broken()


def test_a_taken_visit_code_is_not_given_again_that_day(monkeypatch):
    at = factory.clinic()
    opened = factory.open_session(at)
    first = book_at_once(at, opened, factory.person())
    codes = iter([first.visit_code, first.visit_code, "48271936"])
    monkeypatch.setattr(book_file, "new_visit_code", lambda: next(codes))
    assert book_at_once(at, opened, factory.person()).visit_code == "48271936"
    monkeypatch.setattr(book_file, "exists", lambda: _nobody())  # another transaction takes the code unseen
    codes = iter([first.visit_code, "19283740"])
    assert book_at_once(at, opened, factory.person()).visit_code == "19283740"
    assert not broken()


class _nobody:
    def where(self, *_conditions):
        return Appointment.hospital_id < 0


def test_one_patient_twice_in_a_session_is_refused_by_the_database():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    book_at_once(at, opened, who)
    with pytest.raises(IntegrityError) as refused:
        book_at_once(at, opened, who, slot=1)
    assert broken_constraint(refused.value) == "uq_one_active_appointment_per_patient_and_session"
    assert not broken()
