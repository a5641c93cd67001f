"""Any order of verbs: the product and a clinic in memory must answer the same and look the same, on both databases.

Reproducible: the same run each time. `MODEL_EXAMPLES` and `MODEL_STEPS` make it longer, `MODEL_SEED` makes it another.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from booking import clock
from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in
from booking.appointments.expire import sweep_holds
from booking.appointments.models import Appointment
from booking.appointments.move import move
from booking.appointments.reserve import confirm, extend_hold, hold, release_hold
from booking.appointments.stop import reopen_session, stop_session
from booking.clock import utc
from booking.db import db, transaction
from booking.errors import Refusal
from booking.outbox import Message
from booking.schedule.change_session import change_session
from booking.schedule.models import ClinicSession, Place
from booking.schedule.sellable import sellable
from booking.schedule.shape import Shape
from booking.staff.rules import Actor
from tests import factory
from tests.conftest import _app_of
from tests.invariants import broken
from tests.model.clinic import LIMITS, MINUTES, Clinic, Refused, Session, Slot, Visit

START = datetime(2027, 3, 1, 1, 0, tzinfo=UTC)  # a Monday, nine o'clock at the clinic
ZONE = "Asia/Shanghai"
DAY = date(2027, 3, 3)
BROWSERS = {"h0": 0, "h1": 1, "h2": 2, "b0": None, "b1": None}
"""Five browsers: three signed in, two not."""

held = st.tuples(st.sampled_from(["held", "held", "held", "any"]), st.integers(0, 30))
booked = st.tuples(st.sampled_from(["booked", "booked", "booked", "any"]), st.integers(0, 30))
slots = st.integers(0, 4)
sessions = st.integers(0, 2)
browsers = st.sampled_from(sorted(BROWSERS))
keys = st.sampled_from([None, None, None, "k1", "k2"])
accounts = st.sampled_from([0, 1, 2])
owners_or_desk = st.sampled_from([0, 1, 2, None])
likely = st.sampled_from([True, True, True, False])
steps = st.sampled_from([1, 2, 4, 6, 11, 31, 180])


class Both(RuleBasedStateMachine):
    """The product on a database beside the clinic in memory; after each step they must agree."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        app, emptied = _app_of(self.kind)
        emptied.empty()
        self.context = app.app_context()
        self.context.push()
        self._set(START)
        numbers = {name: value for name, value in LIMITS.items() if name != "holds"}
        self.at = factory.clinic(policy=numbers | {"per_department_day": 9})
        colleague = factory.another_doctor(self.at)
        release = START + timedelta(minutes=30)
        hours = {"starts": time(10), "ends": time(11), "places": 2}
        opened = [
            factory.open_session(self.at, DAY, **hours),
            factory.open_session(colleague, DAY, **hours | {"ends": time(10, 30)}),
            factory.open_session(self.at, DAY + timedelta(days=1), release_at=release, **hours),
        ]
        self.people = [factory.person() for _ in range(3)]
        child = factory.patient(self.people[0].account, "李小满", seat=2, relation="child")
        self.patients = [one.patient.id for one in self.people] + [child.id]
        self.ids: dict[int, Any] = {}
        self.opened, self.slot_ids, self.sessions, made = opened, [], [], []
        for one in opened:
            session = self._session(one)
            self.sessions.append(session)
            for row in one.slots:
                made.append(Slot(session, *map(wall, (row.starts_at, row.ends_at, row.closes_at))))
                self.slot_ids.append(row.id)
        links = {number: [number] for number in range(3)} | {0: [0, 3]}
        self.clinic = Clinic(made, links, wall(START))

    def _session(self, one: factory.OpenSession) -> Session:
        row = one.session
        before = row.local_date - timedelta(days=1)
        cap = max(1, len(one.slots) * 2 * 20 // 100)
        return Session(
            wall(row.starts_at),
            wall(row.ends_at),
            wall(row.release_at),
            wall(utc(before, time(17), ZONE)),
            wall(utc(before, time(15), ZONE)),
            2,
            cap,
        )

    def _set(self, instant: datetime) -> None:
        db.session.rollback()
        with transaction() as session:
            clock.shift(session, instant - clock.db_now(session))

    def teardown(self) -> None:
        db.session.rollback()
        self.context.pop()

    # --- one step on both sides

    def same(self, verb: Any, model: Any) -> None:
        """Run a verb and its model; both answer with a visit or with the same refusal."""
        db.session.rollback()
        self.clinic.now = wall(factory.now())
        try:
            row, said = verb(), "ok"
        except Refusal as refusal:
            row, said = None, type(refusal).__name__
        try:
            visit, expected = model(row), "ok"
        except Refused as refused:
            visit, expected = None, str(refused)
        assert said == expected, f"the product says {said}, the model {expected}"
        if isinstance(visit, Visit):
            assert self.ids.setdefault(id(visit), row.id) == row.id, "another appointment"

    def visit(self, which: tuple[str, int]) -> tuple[Visit, Any]:
        """Return one of the visits in a status, or of all when none is in it, with its id on the other side."""
        wanted, number = which
        some = [one for one in self.clinic.visits if self.clinic.status(one) == wanted] or self.clinic.visits
        return some[number % len(some)], self.ids[id(some[number % len(some)])]

    def person(self, browser: str) -> tuple[Actor, int | None]:
        number = BROWSERS[browser]
        return (Actor("browser", browser) if number is None else self.account(number)), number

    def account(self, number: int) -> Actor:
        who = self.people[number]
        return Actor("account", str(who.id), account_id=who.id)

    def staff(self, role: str = "admin") -> Actor:
        return Actor(role, "staff-1", "何予", hospital_id=self.at.id)

    def has_visits(self) -> bool:
        return bool(self.clinic.visits)

    # --- people

    @initialize(bookings=st.lists(st.tuples(accounts, slots, st.booleans()), max_size=4))
    def some_have_booked(self, bookings: list[tuple[int, int, bool]]) -> None:
        for one in bookings:
            self.book(*one)

    @rule(browser=browsers, slot=slots, key=keys)
    def press(self, browser: str, slot: int, key: str | None) -> None:
        self.hold(browser, slot, key)

    def hold(self, browser: str, slot: int, key: str | None) -> None:
        actor, number = self.person(browser)
        minutes = self.clinic.hold_minutes(number)

        def model(row: Appointment | None) -> Visit:
            until = wall(row.held_until) if row is not None and row.held_until else self.clinic.now
            before = len(self.clinic.visits)
            made = self.clinic.hold(self.clinic.slots[slot], browser, number, key, until)
            if len(self.clinic.visits) > before:
                meant = self.clinic.now + timedelta(minutes=minutes)
                assert abs(until - meant) < timedelta(seconds=20), "another length of the hold"
            return made

        self.same(lambda: hold(self.at.id, self.slot_ids[slot], holder=browser, actor=actor, key=key), model)

    @precondition(has_visits)
    @rule(which=held, browser=browsers, verb=st.sampled_from(["extend", "extend", "release"]))
    def keep_or_give_back(self, which: tuple[str, int], browser: str, verb: str) -> None:
        actor, who = self.person(browser)
        visit, row_id = self.visit(which)
        words = {"holder": browser, "actor": actor}
        if verb == "extend":
            model = self.clinic.extend
            self.same(lambda: extend_hold(self.at.id, row_id, **words), lambda _: model(visit, browser, who))
        else:
            give_back = self.clinic.release
            self.same(
                lambda: (
                    release_hold(self.at.id, row_id, **words)
                    or db.session.get(Appointment, (self.at.id, row_id))
                ),
                lambda _: give_back(visit, browser, who),
            )

    @precondition(has_visits)
    @rule(which=held, account=st.none() | accounts, own=likely, patient=st.integers(0, 3), key=keys)
    def press_confirm(
        self, which: tuple[str, int], account: int | None, own: bool, patient: int, key: str | None
    ) -> None:
        self.confirm(which, account, own, patient, key)

    def confirm(
        self, which: tuple[str, int], account: int | None, own: bool, patient: int, key: str | None
    ) -> None:
        """With `own`, as whoever holds it would: in that browser, for a patient of the account."""
        visit, row_id = self.visit(which)
        if own:
            account = visit.account if visit.account is not None else account
            patient = self.clinic.links[account or 0][patient % len(self.clinic.links[account or 0])]
        browser = visit.holder if own else "elsewhere"
        actor = Actor("browser", browser) if account is None else self.account(account)
        words = {"holder": browser, "actor": actor, "patient_id": self.patients[patient], "key": key}
        self.same(
            lambda: confirm(self.at.id, row_id, **words),
            lambda _: self.clinic.confirm(visit, browser, account, patient, key),
        )

    @rule(number=accounts, slot=slots, child=st.booleans())
    def book(self, number: int, slot: int, child: bool) -> None:
        """What most people do: hold a time and confirm it at once."""
        self.hold(f"h{number}", slot, None)
        mine = [one for one in self.clinic.held() if one.holder == f"h{number}"]
        if mine:
            which = ("held", self.clinic.held().index(mine[-1]))
            self.confirm(which, None, True, int(child), None)

    @precondition(has_visits)
    @rule(which=booked, account=owners_or_desk, own=likely, key=keys)
    def cancel(self, which: tuple[str, int], account: int | None, own: bool, key: str | None) -> None:
        visit, row_id = self.visit(which)
        account = visit.owner if own else account
        actor = self.staff("desk") if account is None else self.account(account)
        self.same(
            lambda: cancel(self.at.id, row_id, actor=actor, key=key),
            lambda _: self.clinic.cancel(visit, account, key),
        )

    @precondition(has_visits)
    @rule(which=booked, slot=slots, account=owners_or_desk, own=likely, key=keys)
    def move(
        self, which: tuple[str, int], slot: int, account: int | None, own: bool, key: str | None
    ) -> None:
        visit, row_id = self.visit(which)
        account = visit.owner if own else account
        actor = self.staff("desk") if account is None else self.account(account)
        self.same(
            lambda: move(self.at.id, row_id, self.slot_ids[slot], actor=actor, key=key),
            lambda _: self.clinic.move(visit, self.clinic.slots[slot], account, key),
        )

    # --- staff

    @precondition(has_visits)
    @rule(which=booked)
    def check_in(self, which: tuple[str, int]) -> None:
        visit, row_id = self.visit(which)
        self.same(
            lambda: check_in(self.at.id, row_id, actor=self.staff("desk")).appointment,
            lambda _: self.clinic.check_in(visit),
        )

    @rule(number=sessions, verb=st.sampled_from(["stop", "reopen", "reopen", 1, 2, 2, 3]))
    def change_session(self, number: int, verb: str | int) -> None:
        """Stop it, reopen it, or give its slots another number of places."""
        session_id, session = self.opened[number].id, self.sessions[number]
        if verb == "stop":
            self.same(
                lambda: stop_session(self.at.id, session_id, actor=self.staff(), reason="停电"),
                lambda _: self.clinic.stop(session),
            )
        elif verb == "reopen":
            self.same(
                lambda: reopen_session(self.at.id, session_id, actor=self.staff()),
                lambda _: self.clinic.reopen(session),
            )
        else:
            self._capacity(session_id, session, int(verb))

    def _capacity(self, session_id: uuid.UUID, session: Session, places: int) -> None:
        sweep_holds()
        row = db.session.get(ClinicSession, (self.at.id, session_id), populate_existing=True)
        shape = Shape(
            **{one.name: getattr(row, one.name) for one in fields(Shape) if one.name != "places_per_slot"}
            | {"places_per_slot": places}
        )
        version = row.version
        self.same(
            lambda: change_session(self.at.id, session_id, shape, actor=self.staff(), version=version),
            lambda _: self.clinic.capacity(session, places),
        )

    # --- time

    @rule(minutes=steps)
    def time_passes(self, minutes: int) -> None:
        db.session.rollback()
        with transaction() as session:
            clock.shift(session, timedelta(minutes=minutes))

    @precondition(lambda self: len(self.clinic.visits) > 5)
    @rule(hour=st.sampled_from([7, 9, 9, 10]), day=st.sampled_from([0, 0, 1]))
    def a_morning_comes(self, hour: int, day: int) -> None:
        """The day of the visits; time never goes back."""
        then = utc(DAY + timedelta(days=day), time(hour, 15), ZONE)
        if wall(then) > self.clinic.now:
            self._set(then)

    @rule()
    def sweep(self) -> None:
        sweep_holds()

    # --- they agree

    @invariant()
    def they_agree(self) -> None:
        db.session.rollback()
        now = factory.now()
        self.clinic.now = wall(now)
        self._the_same_rows(now)
        self._the_same_letters()
        self._the_same_free_places(now)
        assert not broken()

    def _the_same_rows(self, now: datetime) -> None:
        rows = {row.id: row for row in db.session.scalars(select(Appointment))}
        assert set(rows) == {self.ids[id(one)] for one in self.clinic.visits}
        for one in self.clinic.visits:
            row = rows[self.ids[id(one)]]
            over = row.status == "held" and row.held_until <= now
            seen = ("expired" if over else row.status, row.queue_number, row.cancelled_late, row.slot_id)
            slot_id = self.slot_ids[self.clinic.slots.index(one.slot)]
            assert seen == (self.clinic.status(one), one.queue, one.late, slot_id)
            if self.clinic.status(one) == "held":
                live = (row.version, row.holder_seat, row.open_seat is None, wall(row.held_until))
                assert live == (one.version, one.seat, one.account is not None, one.until)
            elif one.status != "expired" and self.clinic.status(one) != "expired":
                assert (row.version, row.patient_id) == (one.version, self.patients[one.patient])

    def _the_same_letters(self) -> None:
        put = select(Message.appointment_id, Message.version, Message.kind, Message.status, func.count())
        put = put.group_by(Message.appointment_id, Message.version, Message.kind, Message.status)
        found: dict[Any, Counter[Any]] = {}
        for row_id, version, kind, status, count in db.session.execute(put):
            found.setdefault(row_id, Counter())[version, kind, status] = count
        for one in self.clinic.visits:
            assert found.get(self.ids[id(one)], Counter()) == +one.letters

    def _the_same_free_places(self, now: datetime) -> None:
        counted = select(Place.slot_id, func.count()).where(sellable(now)).group_by(Place.slot_id)
        found = dict(db.session.execute(counted).all())
        for slot, slot_id in zip(self.clinic.slots, self.slot_ids, strict=True):
            assert found.get(slot_id, 0) == self.clinic.free(slot)


def wall(instant: datetime) -> datetime:
    """The wall time of the clinic as a plain value; the zone has no change of clocks."""
    return clock.local(instant, ZONE).replace(tzinfo=None)


def machine_for(kind: str) -> type[Both]:
    return type("Both", (Both,), {"kind": kind})


def test_the_product_does_what_the_model_does(database):
    _app_of(database)  # skips where there is none
    factory_of = machine_for(database)
    given = os.environ.get("MODEL_SEED")
    made = seed(int(given))(lambda: factory_of()) if given else factory_of
    run_state_machine_as_test(
        made,
        settings=settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", "12")),
            stateful_step_count=int(os.environ.get("MODEL_STEPS", "40")),
            derandomize=not given,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            print_blob=False,
            verbosity=Verbosity.normal,
            report_multiple_bugs=False,
        ),
    )


def test_the_model_knows_the_numbers_of_the_policy(within):
    """The model has its own numbers; they are those of a policy nobody changed."""
    policy = factory.clinic().policy
    assert {
        "hold": policy.hold_minutes,
        "hold_first": policy.hold_minutes_first,
        "sign_in_first": policy.sign_in_first_minutes,
        "regret": policy.regret_minutes,
        "checkin": policy.checkin_opens_minutes,
        "late": policy.late_minutes,
    } == MINUTES
