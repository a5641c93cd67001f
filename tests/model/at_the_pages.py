"""Steps of the machine: what people do at the pages, and how time passes."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st

from booking.appointments.cancel import cancel
from booking.appointments.expire import sweep_holds
from booking.appointments.models import Appointment
from booking.appointments.move import move
from booking.appointments.reserve import confirm, extend_hold, hold, release_hold
from booking.db import db
from booking.staff.rules import Actor
from tests import factory
from tests.model.steps import step
from tests.model.things import Visit
from tests.model.town import (
    A_WHILE,
    BROWSERS,
    DAY,
    Both,
    accounts,
    instant,
    keys,
    likely,
    owners_or_desk,
    slots,
    wall,
)

held = st.tuples(st.sampled_from(["held", "held", "held", "any"]), st.integers(0, 30))
booked = st.tuples(st.sampled_from(["booked", "booked", "booked", "any"]), st.integers(0, 30))
browsers = st.sampled_from(sorted(BROWSERS))
steps = st.sampled_from([1, 2, 4, 6, 11, 31, 180])
LATE = 12
"""After so many steps the days of the visits may come."""
HOURS = [(-1, 16), (-1, 16), (-1, 22), (-1, 22), (-1, 23), (0, 7), (0, 9), (0, 10), (0, 12), (1, 9)]


class AtThePages(Both):
    @step(2, browser=browsers, slot=slots, key=keys)
    def press(self, browser: str, slot: int, key: str | None) -> None:
        self.hold(browser, slot, key)

    def hold(self, browser: str, slot: int, key: str | None) -> None:
        actor, number = self.person(browser)
        minutes, (place, slot_id) = self.clinic.hold_minutes(number), self.slot(slot)

        def model(row: Appointment | None) -> Visit:
            until = wall(row.held_until) if row is not None and row.held_until else self.clinic.now
            before, chosen = len(self.clinic.visits), row and row.place_id
            made = self.clinic.hold(place, browser, number, key, until, chosen)
            if len(self.clinic.visits) > before:
                meant = self.clinic.now + timedelta(minutes=minutes)
                assert abs(until - meant) < A_WHILE, "another length of the hold"
            return made

        self.same(lambda: hold(self.at.id, slot_id, holder=browser, actor=actor, key=key), model)

    @step(
        2,
        "visits",
        which=held,
        browser=browsers,
        own=likely,
        verb=st.sampled_from(["extend", "extend", "release"]),
    )
    def keep_or_give_back(self, which: tuple[str, int], browser: str, own: bool, verb: str) -> None:
        visit, row_id = self.visit(which)
        browser = visit.holder if own and visit.holder else browser
        actor, who = self.person(browser)
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

    @step(
        2, "visits", which=held, account=st.none() | accounts, own=likely, patient=st.integers(0, 3), key=keys
    )
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
        browser = visit.holder or "elsewhere" if own else "elsewhere"
        actor = Actor("browser", browser) if account is None else self.account(account)
        words = {"holder": browser, "actor": actor, "patient_id": self.patients[patient], "key": key}
        self.same(
            lambda: confirm(self.at.id, row_id, **words),
            lambda _: self.clinic.confirm(visit, browser, account, patient, key),
        )

    @step(3, number=accounts, slot=slots, child=st.booleans())
    def book(self, number: int, slot: int, child: bool) -> None:
        """What most people do: hold a time and confirm it at once."""
        self.hold(f"h{number}", slot, None)
        visits = self.clinic.visits
        mine = [one for one in self.clinic.held() if one.holder == f"h{number}"]
        if mine:
            live = [one for one in visits if self.clinic.status(one) == "held"]
            self.confirm(("held", live.index(mine[-1])), None, True, int(child), None)

    @step(2, "visits", which=booked, account=owners_or_desk, own=likely, key=keys)
    def press_cancel(self, which: tuple[str, int], account: int | None, own: bool, key: str | None) -> None:
        visit, _ = self.visit(which)
        self.cancel(visit, visit.owner if own else account, key)

    def cancel(self, visit: Visit, account: int | None, key: str | None) -> None:
        row_id = self.ids[id(visit)]
        actor = self.staff("desk") if account is None else self.account(account)
        self.same(
            lambda: cancel(self.at.id, row_id, actor=actor, key=key),
            lambda _: self.clinic.cancel(visit, account, key),
        )

    @step(3, "visits", which=booked, slot=slots, account=owners_or_desk, own=likely, key=keys)
    def move(
        self, which: tuple[str, int], slot: int, account: int | None, own: bool, key: str | None
    ) -> None:
        (visit, row_id), (to, slot_id) = self.visit(which), self.slot(slot)
        account = visit.owner if own else account
        actor = self.staff("desk") if account is None else self.account(account)

        def model(row: Any) -> Visit:
            return self.clinic.move(visit, to, account, key, row and row.place_id)

        self.same(lambda: move(self.at.id, row_id, slot_id, actor=actor, key=key), model)

    # time

    @step(3, minutes=steps)
    def time_passes(self, minutes: int) -> None:
        self.set_clock(factory.now() + timedelta(minutes=minutes))

    @step(1, hour=st.sampled_from(HOURS))
    def a_later_hour_comes(self, hour: tuple[int, int]) -> None:
        """Of the days of the visits or of the evening before; time never goes back."""
        then = datetime.combine(DAY + timedelta(days=hour[0]), time(hour[1], 15, 1))
        if then > self.clinic.now and self.done > LATE:
            self.set_clock(instant(then))

    @step(1)
    def sweep(self) -> None:
        self.same(lambda: sweep_holds() and None, lambda _: self.clinic.sweep())
