"""Limits in parallel for people the hospital already knows: their chart exists, so only its lock makes them queue."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from booking.appointments.patient_rules import lock_chart
from booking.appointments.reserve import confirm, hold
from booking.clock import db_now
from booking.db import transaction
from booking.people.models import PatientLink
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_reserve import as_account, browser

pytestmark = pytest.mark.usefixtures("within")


def test_overlapping_visits_of_a_known_patient_cannot_be_booked_in_parallel(app):
    at = factory.clinic(policy={"per_day": 9, "per_department_day": 9})
    who = factory.person()
    family = [who.account] + [factory.account() for _ in range(3)]  # else the lock on one account would do
    with transaction() as session:
        lock_chart(session, at.id, who.patient.id)
        words = {"patient_id": who.patient.id, "relation": "parent", "seat": 1, "created_at": db_now(session)}
        session.add_all([PatientLink(account_id=one.id, **words) for one in family[1:]])
    day = None
    for turn in range(4):
        held = []
        for number in range(4):
            other = factory.another_doctor(at, f"周可{'甲乙丙丁'[number]}")
            one = factory.open_session(other, day)
            day = one.session.local_date
            holder = f"h{turn}-{number}"
            actor = as_account(factory.person())
            held.append(hold(at.id, one.slots[0].id, holder=holder, actor=actor))
        calls = [
            lambda row=row, one=one: confirm(
                at.id, row.id, holder=row.holder, actor=as_account(one), patient_id=who.patient.id
            )
            for row, one in zip(held, family, strict=True)
        ]
        results = at_once(app, calls)
        assert Counter(type(one).__name__ for one in results) == {"Appointment": 1, "Overlap": 3}
        day += timedelta(days=1)
    assert not broken()


def test_one_browser_that_presses_eight_times_at_once_holds_one(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=5, ends=factory.time(12, 30))
    for turn in range(4):
        me = browser(f"b{turn}")
        calls = [
            lambda slot=slot, me=me: hold(at.id, slot.id, holder=me.id, actor=me) for slot in opened.slots
        ]
        results = at_once(app, calls)
        said = Counter(type(one).__name__ for one in results)
        assert said == {"Appointment": 1, "TooManyHolds": 7}, results
    assert not broken()
