"""The product on a database beside the clinic in memory: one step on both sides, and what must be the same afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import func, select

from booking import clock
from booking.appointments.models import Appointment, Chart
from booking.appointments.wish_models import WishOffer
from booking.clock import utc
from booking.db import db, transaction
from booking.errors import Refusal
from booking.outbox import Message
from booking.people.models import PatientLink
from booking.schedule.models import Place as PlaceRow
from booking.schedule.sellable import sellable
from booking.schedule.wanted import Wish as WishRow
from booking.staff.rules import Actor
from tests import factory
from tests.conftest import _app_of
from tests.invariants import broken
from tests.model.clinic import Clinic
from tests.model.things import LIMITS, Place, Refused, Session, Slot, Visit, Wish

START = datetime(2027, 3, 1, 1, 0, tzinfo=UTC)  # a Monday, nine o'clock at the clinic
ZONE = "Asia/Shanghai"
DAY = date(2027, 3, 3)
BROWSERS = {"h0": 0, "h1": 1, "h2": 2, "b0": None, "b1": None}
"""Five browsers: three signed in, two not."""
STRANGERS = 6
A_WHILE = timedelta(seconds=20)
"""By so much later may a busy machine do a step than the model thinks."""
CHILD = 3
"""Patients 0 to 2 are the accounts' own, 3 a child of the first two, the others come without an account."""

slots = st.integers(0, 4)
sessions = st.integers(0, 2)
accounts = st.sampled_from([0, 1, 2])
owners_or_desk = st.sampled_from([0, 1, 2, None])
keys = st.sampled_from([None] * 6 + ["k1", "k2"])
likely = st.sampled_from([True, True, True, False])


@dataclass(frozen=True)
class Size:
    """How many places a slot of the first doctor, of the colleague (with those kept) and of the next day has."""

    first: int
    colleague: int
    kept: dict[str, int]
    next_day: int
    list_open: bool  # whether the next day is released from the beginning


ROOMY = Size(2, 2, {}, 2, False)
CROWDED = Size(1, 3, {"phone": 1, "elder": 1}, 1, True)


class Both(RuleBasedStateMachine):
    """Two doctors of one department: two slots and one on the first day, two on the next."""

    kind, size = "sqlite", ROOMY
    compared, looks, done = False, 0, 0

    def __init__(self) -> None:
        super().__init__()
        app, emptied = _app_of(self.kind)
        emptied.empty()
        self.context = app.app_context()
        self.context.push()
        self.set_clock(START)
        numbers = {name: value for name, value in LIMITS.items() if name != "holds"}
        self.at = factory.clinic(policy=numbers | {"per_department_day": 9})
        self.doctors = [self.at, factory.another_doctor(self.at)]
        self.opened, self.sessions = [], []
        self._open_sessions()
        self._let_people_in()
        self.slots, self.slot_ids, places = [], [], []
        for one, session in zip(self.opened, self.sessions, strict=True):
            for row in one.slots:
                slot = Slot(session, *map(wall, (row.starts_at, row.ends_at, row.closes_at)))
                self.slots.append(slot)
                self.slot_ids.append(row.id)
                places += [Place(place.id, slot, place.channel) for place in one.places[row.id]]
        links = {0: [0, CHILD], 1: [1, CHILD], 2: [2]}
        selfs, old = {0: 0, 1: 1, 2: 2}, {0, 1, 2}
        self.clinic = Clinic(self.slots, places, links, selfs, set(self.strangers), old, wall(START))
        self.ids: dict[int, Any] = {}

    def _open_sessions(self) -> None:
        size, next_day = self.size, DAY + timedelta(days=1)
        hours = {"starts": time(10), "ends": time(11)}
        rolls = utc(DAY - timedelta(days=1), time(17), ZONE) if size.kept else None
        release = START + timedelta(minutes=-60 if size.list_open else 30)
        first, colleague = self.doctors
        self._open(first, 0, DAY, places=size.first, **hours)
        words = hours | {"ends": time(10, 30), "channels": size.kept, "rolls_at": rolls}
        self._open(colleague, 1, DAY, places=size.colleague, **words)
        ends = {"ends": time(10, 30)} if size.list_open else {}
        self._open(first, 0, next_day, places=size.next_day, release_at=release, **hours | ends)

    def _open(self, at: factory.Clinic, doctor: int, on: date, **words: Any) -> None:
        one = factory.open_session(at, on, **words)
        row, before = one.session, on - timedelta(days=1)
        evening = [wall(utc(before, at, ZONE)) for at in (time(17), time(15), time(23))]
        rolls = wall(row.rolls_at) if row.rolls_at else None
        self.opened.append(one)
        self.sessions.append(
            Session(*map(wall, (row.starts_at, row.ends_at, row.release_at)), *evening, rolls, doctor)
        )

    def _let_people_in(self) -> None:
        self.people = [factory.person() for _ in range(3)]
        young = {"birth_date": "2019-06-01"}
        child = factory.patient(self.people[0].account, "李小满", seat=2, relation="child", **young)
        rows = [one.patient.id for one in self.people] + [child.id]
        with transaction() as session:
            at = {"created_at": factory.now()}
            other = {"account_id": self.people[1].id, "patient_id": child.id, "seat": 2, "relation": "child"}
            session.add(PatientLink(**other, **at))
            for number in range(STRANGERS):
                stranger = factory.Patient(
                    name=f"陌{number}", id_type="none", birth_date="1990-01-01", sex="f", **at
                )
                session.add(stranger)
                session.flush()
                session.add(Chart(hospital_id=self.at.id, patient_id=stranger.id))
                rows.append(stranger.id)
        self.patients, self.strangers = rows, range(CHILD + 1, CHILD + 1 + STRANGERS)

    def set_clock(self, instant: datetime) -> None:
        db.session.rollback()
        with transaction() as session:
            clock.shift(session, instant - clock.db_now(session))
        self.compared = False

    def teardown(self) -> None:
        try:
            assert not (self.compared and broken())
        finally:
            db.session.rollback()
            self.context.pop()

    # one step on both sides

    def same(self, verb: Callable[[], Any], model: Callable[[Any], Any]) -> Any:
        """Run a verb and its model; both answer with the same visit or wish, or with the same refusal. Return the model's."""
        db.session.rollback()
        self.clinic.now, self.compared = wall(factory.now()), False
        try:
            row, said = verb(), "ok"
        except Refusal as refusal:
            row, said = None, type(refusal).__name__
        try:
            answer, expected = model(row), "ok"
        except Refused as refused:
            answer, expected = None, str(refused)
        assert said == expected, f"the product says {said}, the model {expected}"
        if isinstance(answer, (Visit, Wish)):
            assert self.ids.setdefault(id(answer), row.id) == row.id, "another one"
            if isinstance(answer, Wish):
                answer.id = row.id
        self._read_anew()
        return answer

    def _read_anew(self) -> None:
        """Read what the verb has just set and the model cannot know: since when a place is asked about, its random minute."""
        db.session.rollback()
        fresh = [one for one in self.clinic.places if one.anew]
        found = select(PlaceRow).where(PlaceRow.id.in_([one.id for one in fresh]))
        rows = {row.id: row for row in db.session.scalars(found)} if fresh else {}
        for one in fresh:
            row = rows[one.id]
            if "freed" in one.anew:
                assert row.freed_at is not None and self.clinic.now <= wall(row.freed_at)
                one.freed = wall(row.freed_at)
            opens, shuts = self.clinic.rest_spans(one.slot)[0]
            assert row.rests_until is not None and opens < wall(row.rests_until) <= shuts + A_WHILE
            one.rests = wall(row.rests_until)
            one.anew.clear()

    def visit(self, which: tuple[str, int]) -> tuple[Visit, Any]:
        """Return one of the visits in a status, or of all when none is in it, with its id on the other side."""
        wanted, number = which
        some = [one for one in self.clinic.visits if self.clinic.status(one) == wanted] or self.clinic.visits
        return some[number % len(some)], self.ids[id(some[number % len(some)])]

    def slot(self, number: int) -> tuple[Slot, Any]:
        """Return one of the slots with its id on the other side."""
        return self.slots[number % len(self.slots)], self.slot_ids[number % len(self.slots)]

    def person(self, browser: str) -> tuple[Actor, int | None]:
        number = BROWSERS[browser]
        return (Actor("browser", browser) if number is None else self.account(number)), number

    def account(self, number: int) -> Actor:
        who = self.people[number]
        return Actor("account", str(who.id), account_id=who.id)

    def staff(self, role: str = "admin") -> Actor:
        return Actor(role, "staff-1", "何予", hospital_id=self.at.id)

    # they agree

    @invariant()
    def they_agree(self) -> None:
        if self.compared:
            return
        db.session.rollback()
        now = factory.now()
        self.clinic.now = wall(now)
        self._the_same_places()
        self._the_same_visits(now)
        self._the_same_wishes()
        self._the_same_letters()
        self._the_same_free_places(now)
        self.compared, self.looks = True, self.looks + 1
        if self.looks % 3 == 0:  # they cost as much as everything else together
            assert not broken()

    def _the_same_visits(self, now: datetime) -> None:
        rows = {row.id: row for row in db.session.scalars(select(Appointment))}
        assert set(rows) == {self.ids[id(one)] for one in self.clinic.visits}
        for one in self.clinic.visits:
            row = rows[self.ids[id(one)]]
            over = row.status == "held" and row.held_until <= now
            assert (row.kind, row.place_id, row.slot_id) == (
                one.kind,
                one.place.id,
                self.slot_ids[self.slots.index(one.slot)],
            )
            seen = ("expired" if over else row.status, row.queue_number, row.cancelled_late)
            assert seen == (self.clinic.status(one), one.queue, one.late)
            if self.clinic.status(one) == "held":
                live = (row.version, row.holder_seat, row.open_seat is None, wall(row.held_until))
                assert live == (one.version, one.seat, one.account is not None, one.until)
            if one.patient is not None:
                assert row.patient_id == self.patients[one.patient]
            assert row.status == one.status and row.version == one.version
            owner = None if one.owner is None else self.people[one.owner].id
            assert row.account_id == owner

    def _the_same_places(self) -> None:
        rows = {row.id: row for row in db.session.scalars(select(PlaceRow))}
        assert set(rows) == {one.id for one in self.clinic.places}
        for one in self.clinic.places:
            row, by = rows[one.id], None if one.by is None else self.ids[id(one.by)]
            freed, rests = (at and wall(at) for at in (row.freed_at, row.rests_until))
            seen = (row.channel, row.open, row.withdrawn, row.appointment_id, freed, rests)
            assert seen == (one.channel, one.open, one.withdrawn, by, one.freed, one.rests)

    def _the_same_wishes(self) -> None:
        rows = {row.id: row for row in db.session.scalars(select(WishRow))}
        assert set(rows) == {one.id for one in self.clinic.wishes}
        for one in self.clinic.wishes:
            row = rows[one.id]
            seen = (row.status, row.end_reason, row.round, row.turns_kept, row.line_at_join)
            assert seen == (one.status, one.reason, one.round, one.kept, one.line)
        outcomes = dict(db.session.execute(select(WishOffer.appointment_id, WishOffer.outcome)).all())
        assert outcomes == {self.ids[id(one.visit)]: one.outcome for one in self.clinic.offers}

    def _the_same_letters(self) -> None:
        about = func.coalesce(Message.appointment_id, Message.wish_id)
        put = select(about, Message.version, Message.kind, Message.status, func.count())
        put = put.group_by(about, Message.version, Message.kind, Message.status)
        found: dict[Any, Counter[Any]] = {}
        for row_id, version, kind, status, count in db.session.execute(put):
            found.setdefault(row_id, Counter())[version, kind, status] = count
        for one in [*self.clinic.visits, *self.clinic.wishes]:
            assert found.pop(self.ids[id(one)], Counter()) == +one.letters
        assert not found

    def _the_same_free_places(self, now: datetime) -> None:
        counted = select(PlaceRow.slot_id, func.count()).where(sellable(now)).group_by(PlaceRow.slot_id)
        found = dict(db.session.execute(counted).all())
        for slot, slot_id in zip(self.slots, self.slot_ids, strict=True):
            assert found.get(slot_id, 0) == self.clinic.free(slot)


def wall(instant: datetime) -> datetime:
    """The wall time of the clinic as a plain value; the zone has no change of clocks."""
    return clock.local(instant, ZONE).replace(tzinfo=None)


def instant(at: datetime) -> datetime:
    """The instant of a wall time of the clinic."""
    return utc(at.date(), at.time(), ZONE)
