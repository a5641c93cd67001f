"""Steps of the machine: who waits for a place, who is asked, and what they answer."""

from __future__ import annotations

import uuid
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize
from sqlalchemy import select, update

from booking.appointments.answer_offer import accept_offer, decline_offer
from booking.appointments.models import Appointment
from booking.appointments.offers import offer_places
from booking.appointments.wish_ends import end_wishes
from booking.appointments.wishes import join, leave
from booking.db import db, transaction
from booking.outbox import Message
from booking.staff.rules import Actor
from tests.model.at_the_desk import AtTheDesk
from tests.model.at_the_pages import LATE, AtThePages
from tests.model.steps import step
from tests.model.things import Offer, Visit
from tests.model.town import A_WHILE, accounts, instant, keys, likely, sessions, wall

numbers = st.integers(0, 30)
wanted = st.sampled_from(["this"] * 6 + ["doctor", "department"] * 2 + ["colleague", "next day", "yesterday"])
answers = st.lists(
    st.sampled_from(["accept", "decline", "decline", "run out", "too late", "wait"]), max_size=3
)
meanwhile = st.sampled_from(["", "", "", "somebody joins", "the list closes"])
JOINING = st.lists(st.tuples(accounts, sessions, st.booleans(), wanted), min_size=2, max_size=5)


class OnTheList(AtThePages, AtTheDesk):
    @initialize(full=st.sampled_from([[0], [0, 1], [0, 2], [0, 1, 2]]), joining=JOINING)
    def some_wait(self, full: list[int], joining: list[tuple[int, int, bool, str]]) -> None:
        """Strangers on the telephone take what there is; others join the list."""
        left = list(self.strangers)
        for number in full:
            for slot in self.slots:
                while slot.session is self.sessions[number] and left:
                    if self.book_at_desk(self.slots.index(slot), left[-1], "phone", "", None) is None:
                        break
                    left.pop()
        for account, number, child, what in joining:
            self.join(number, account, True, int(child), what, None)

    @step(
        3,
        number=sessions,
        account=st.sampled_from([0, 0, 1, 1, 2, 2, None]),
        own=likely,
        patient=st.integers(0, 3),
        what=wanted,
        key=keys,
    )
    def press_join(
        self, number: int, account: int | None, own: bool, patient: int, what: str, key: str | None
    ) -> None:
        self.join(number, account, own, patient, what, key)

    def join(
        self, number: int, account: int | None, own: bool, patient: int, what: str, key: str | None
    ) -> None:
        """With `own`, for a patient of the account."""
        session = self.sessions[number]
        if own and account is not None:
            patient = self.clinic.links[account][patient % len(self.clinic.links[account])]
        doctors: frozenset[int] | None = frozenset([session.doctor])
        first = last = session.day
        if what in ("doctor", "department"):
            first, last = min(one.day for one in self.sessions), max(one.day for one in self.sessions)
        if what == "colleague":
            doctors = frozenset([1 - session.doctor])
        if what == "department":
            doctors = None
        if what == "next day":
            first = last = session.day + timedelta(days=1)
        if what == "yesterday":
            first = self.clinic.now.date() - timedelta(days=1)
        named = {"doctor_ids": [self.doctors[one].doctor.id for one in doctors or ()]}
        if doctors is None:
            named |= {"department_ids": [self.at.department.id]}
        actor = Actor("browser", "elsewhere") if account is None else self.account(account)
        words = {"patient_ids": [self.patients[patient]], "first_date": first, "last_date": last, "key": key}
        self.same(
            lambda: join(self.at.id, self.opened[number].id, actor=actor, **words, **named),
            lambda _: self.clinic.join(session, account, patient, doctors, first, last, key),
        )

    @step(1, "wishes", number=numbers, account=accounts, own=likely)
    def leave(self, number: int, account: int, own: bool) -> None:
        some = [one for one in self.clinic.wishes if one.reason == ""] or self.clinic.wishes
        wish = some[number % len(some)]
        account = wish.account if own else account
        self.same(
            lambda: leave(self.at.id, wish.id, actor=self.account(account)),
            lambda _: self.clinic.leave(wish, account),
        )

    def ask_the_list(self) -> None:
        self.same(offer_places, self._offered)

    def _offered(self, count: int) -> None:
        """The same places are offered to the same people, until the same time."""
        made = self.clinic.offer_places()
        db.session.rollback()
        known = set(self.ids.values())
        rows = {row.place_id: row for row in db.session.scalars(select(Appointment)) if row.id not in known}
        assert count == len(made) == len(rows)
        for offer in self.clinic.offers[len(self.clinic.offers) - count :]:
            one = offer.visit
            row = rows[one.place.id]
            offer.made = wall(row.created_at)
            assert row.patient_id == self.patients[one.patient], "somebody else was asked"
            self.ids[id(one)] = row.id
            until = wall(row.held_until)
            assert abs(until - one.until) < A_WHILE, "another time to answer"
            one.until = until
            if count % 2:  # the gateway took the message; of two at once it failed
                self._sent(row.id)
                offer.reached = True
                one.letters[1, "wish_offer", "waiting"] -= 1
                one.letters[1, "wish_offer", "accepted"] += 1

    def _sent(self, row_id: uuid.UUID) -> None:
        with transaction() as session:
            session.execute(
                update(Message)
                .where(Message.appointment_id == row_id, Message.channel == "sms")
                .values(status="accepted")
            )

    @step(5, "visits", number=numbers, account=accounts, before=meanwhile, said=answers)
    def a_place_comes_back(self, number: int, account: int, before: str, said: list[str]) -> None:
        """Somebody cancels what others wait for; the list is asked, and asked again after each answer."""
        some = [one for one in self.clinic.visits if one.status == "booked"]
        some = [one for one in some if self.clinic.wanted(one.slot.session)] or some or self.clinic.visits
        visit = some[number % len(some)]
        session = visit.slot.session
        evening = session.list_closes - timedelta(minutes=10)
        closing = before == "the list closes" and self.done > LATE and self.clinic.now < evening
        if closing:
            self.set_clock(instant(evening))
        self.cancel(visit, visit.owner, None)
        if closing:
            self.set_clock(instant(session.list_closes) + timedelta(minutes=5))
        elif before == "somebody joins":
            self.join(self.sessions.index(session), account, True, 0, "this", None)
        self.ask_the_list()
        for answer in said:
            live = [one for one in self.clinic.offers if one.outcome is None]
            if not live or answer == "wait":
                return
            self._say(answer, live[-1])
            self.ask_the_list()

    def _say(self, answer: str, offer: Offer) -> None:
        visit, account = offer.visit, offer.wish.account
        if answer in ("run out", "too late") and visit.until > self.clinic.now:
            self.set_clock(instant(visit.until) + timedelta(seconds=1))
        if answer in ("accept", "too late"):
            self.accept(visit, account, None)
        elif answer == "decline":
            self.decline(visit, account)

    @step(
        2, "offers", number=numbers, account=accounts, own=likely, live=likely, takes=st.booleans(), key=keys
    )
    def answer(self, number: int, account: int, own: bool, live: bool, takes: bool, key: str | None) -> None:
        every = self.clinic.offers
        some = [one for one in every if one.outcome is None] or every if live else every
        offer = some[number % len(some)]
        account = offer.wish.account if own else account
        if takes:
            self.accept(offer.visit, account, key)
        else:
            self.decline(offer.visit, account)

    def accept(self, visit: Visit, account: int, key: str | None) -> None:
        row_id = self.ids[id(visit)]
        self.same(
            lambda: accept_offer(self.at.id, row_id, actor=self.account(account), key=key)[0],
            lambda _: self.clinic.accept(visit, account, key),
        )

    def decline(self, visit: Visit, account: int) -> None:
        row_id = self.ids[id(visit)]
        self.same(
            lambda: decline_offer(self.at.id, row_id, actor=self.account(account)),
            lambda _: self.clinic.decline(visit, account),
        )

    @step(2, errand=st.sampled_from(["offers", "offers", "wishes"]))
    def the_worker_runs(self, errand: str) -> None:
        if errand == "offers":
            self.ask_the_list()
        else:
            self.same(lambda: end_wishes() and None, lambda _: self.clinic.end_wishes())
