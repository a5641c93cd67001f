"""Deadlines of visits in a zone whose clocks change: wall times stay, instants move with them (R31)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from booking.appointments.cancel import cancel
from booking.appointments.queries import appointment
from tests import factory
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")

PARIS = ZoneInfo("Europe/Paris")
CHANGES = [date(2027, 3, 28), date(2027, 10, 31)]
"""Sundays on which the clocks go forward at 02:00 and back at 03:00."""


@pytest.mark.parametrize("change", CHANGES)
def test_the_deadline_of_a_visit_is_a_wall_time_also_when_the_clocks_change_before_it(now, change):
    saturday = change - timedelta(days=1)
    now.at(datetime.combine(saturday - timedelta(days=3), time(12), PARIS))
    at = factory.clinic(hospital={"zone": "Europe/Paris"}, policy={"cancel_time": time(17)})
    opened = factory.open_session(at, change, places=2)
    people = [factory.person() for _ in range(2)]
    rows = [book(at, opened, who, holder=who.account.phone) for who in people]
    first, second = [row.id for row in rows]
    starts_at = rows[0].starts_at
    view = appointment(at.id, first)
    assert view.cancel_deadline == datetime.combine(saturday, time(17), PARIS)
    assert starts_at == datetime.combine(change, time(8, 30), PARIS)
    real = starts_at - view.cancel_deadline
    assert real == timedelta(hours=14.5 if change.month == 3 else 16.5), "15½ by the wall"
    now.at(datetime.combine(saturday, time(16, 59), PARIS))
    assert not cancel(at.id, first, actor=as_account(people[0])).cancelled_late
    now.at(datetime.combine(saturday, time(17, 1), PARIS))
    assert cancel(at.id, second, actor=as_account(people[1])).cancelled_late
