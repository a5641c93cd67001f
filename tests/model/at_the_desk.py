"""Steps of the machine: what the staff do, and who is judged not to have come."""

from __future__ import annotations

import uuid
from dataclasses import fields
from datetime import datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import select

from booking.appointments.at_desk import book_at_desk
from booking.appointments.checkin import check_in, undo_check_in
from booking.appointments.expire import sweep_holds
from booking.appointments.extra import add_extra
from booking.appointments.finish import finish, finish_visits
from booking.appointments.no_show import mark_no_shows, record_ticket
from booking.appointments.stop import reopen_session, stop_session
from booking.db import db, transaction
from booking.outbox import Message
from booking.schedule.change_session import change_session
from booking.schedule.models import ClinicSession
from booking.schedule.models import Place as PlaceRow
from booking.schedule.shape import Shape
from tests import factory
from tests.model.at_the_pages import LATE, booked
from tests.model.steps import step
from tests.model.things import JUST_ARRIVED, Session, Visit
from tests.model.town import DAY, Both, instant, keys, likely, sessions, slots

patients = st.sampled_from([0, 1, 2, 3, 3, 4, 4, 5, 5])
MORNINGS = [datetime.combine(DAY + timedelta(days=later), time(9, 15, 1)) for later in (0, 1)]
JUDGED = [time(11, 45), time(12, 15), time(15, 30), None]
THEN = ["wait", "wait", "finish", "undo", "stop"]
here = st.tuples(st.sampled_from(["arrived", "arrived", "booked", "fulfilled", "any"]), st.integers(0, 30))
visits = st.tuples(st.sampled_from(["booked", "no_show", "any"]), st.integers(0, 30))


class AtTheDesk(Both):
    @step(
        3,
        slot=slots,
        patient=patients,
        via=st.sampled_from(["phone", "desk"]),
        override=st.sampled_from(["", "", "医生同意"]),
        key=keys,
    )
    def press_book(self, slot: int, patient: int, via: str, override: str, key: str | None) -> None:
        self.book_at_desk(slot, patient, via, override, key)

    def book_at_desk(self, slot: int, patient: int, via: str, override: str, key: str | None) -> Any:
        where, slot_id = self.slot(slot)
        words = {"patient_id": self.patients[patient], "via": via, "override": override, "key": key}
        model = self.clinic.book_at_desk
        return self.same(
            lambda: book_at_desk(self.at.id, slot_id, actor=self.staff("desk"), **words),
            lambda row: model(where, patient, via, bool(override), key, row and row.place_id),
        )

    @step(2, slot=slots, patient=patients, reason=st.sampled_from(["复查", "复查", "复查", ""]), key=keys)
    def add_a_number(self, slot: int, patient: int, reason: str, key: str | None) -> None:
        where, slot_id = self.slot(slot)
        words = {"patient_id": self.patients[patient], "owner": "doctor", "reason": reason, "key": key}
        model = self.clinic.add_extra
        self.same(
            lambda: add_extra(self.at.id, slot_id, actor=self.staff("desk"), **words),
            lambda row: model(where, patient, reason, key, row and row.place_id),
        )

    @step(1, "visits", which=booked)
    def press_check_in(self, which: tuple[str, int]) -> None:
        self.check_in(*self.visit(which))

    def check_in(self, visit: Visit, row_id: uuid.UUID) -> None:
        self.same(
            lambda: check_in(self.at.id, row_id, actor=self.staff("desk")).appointment,
            lambda _: self.clinic.check_in(visit),
        )

    @step(1, "visits", which=here)
    def press_finish(self, which: tuple[str, int]) -> None:
        self.finish(*self.visit(which))

    def finish(self, visit: Visit, row_id: uuid.UUID) -> None:
        self.same(
            lambda: finish(self.at.id, row_id, actor=self.staff("desk")), lambda _: self.clinic.finish(visit)
        )

    @step(1, "visits", which=here, reason=st.sampled_from(["扫错了", "扫错了", ""]))
    def take_a_check_in_back(self, which: tuple[str, int], reason: str) -> None:
        self.undo(*self.visit(which), reason)

    def undo(self, visit: Visit, row_id: uuid.UUID, reason: str) -> None:
        self.same(
            lambda: undo_check_in(self.at.id, row_id, actor=self.staff("desk"), reason=reason),
            lambda _: self.clinic.undo_check_in(visit, reason),
        )

    # who did not come

    @step(
        2, told=likely, comes=st.integers(0, 30), then=st.sampled_from(THEN), judged=st.sampled_from(JUDGED)
    )
    def a_day_passes(self, told: bool, comes: int, then: str, judged: time | None) -> None:
        """Letters arrive, the next morning of visits comes, somebody checks in and may be seen, or it was somebody else;
        towards noon who did not come is judged, in the afternoon who was here is finished."""
        morning = next((one for one in MORNINGS if one > self.clinic.now), None)
        if morning is None or self.done < LATE:
            return
        due = [one for one in self.clinic.visits if one.status == "booked"]
        due = [one for one in due if one.slot.session.day == morning.date()]
        for one in due if told else ():
            self._letter_arrives(one)
        self.set_clock(instant(morning))
        if due:
            one = due[comes % len(due)]
            self.check_in(one, self.ids[id(one)])
            if then == "finish":
                if comes % 4:
                    self.set_clock(instant(morning + 2 * JUST_ARRIVED))
                self.finish(one, self.ids[id(one)])
            elif then == "undo":
                self.undo(one, self.ids[id(one)], "扫错了")
            elif then == "stop":
                self.set_clock(instant(one.slot.starts))
                self.stop(self.sessions.index(one.slot.session), ticked=bool(comes % 2))
        if judged is not None:
            self.set_clock(instant(datetime.combine(morning.date(), judged)))
            self.judge()

    def _letter_arrives(self, visit: Visit) -> None:
        """The text message that says the visit stands, as if it had been sent and its receipt had come."""
        kind = "moved" if visit.moved else "confirmed"
        if not visit.letters[visit.version, kind, "waiting"]:
            return
        mine = (Message.appointment_id == self.ids[id(visit)], Message.version == visit.version)
        with transaction() as session:
            row = session.scalars(
                select(Message).where(*mine, Message.kind == kind, Message.channel == "sms")
            ).one()
            row.status, row.sent_at = "delivered", row.created_at
        visit.letters[visit.version, kind, "waiting"] -= 1
        visit.letters[visit.version, kind, "delivered"] += 1

    def judge(self) -> None:
        self.same(lambda: mark_no_shows() and None, lambda _: self.clinic.mark_no_shows())
        self.same(lambda: finish_visits() and None, lambda _: self.clinic.finish_visits())

    @step(1, "visits", which=visits)
    def say_they_came(self, which: tuple[str, int]) -> None:
        if self.clinic.now < MORNINGS[0]:
            return
        visit, row_id = self.visit(which)
        self.same(
            lambda: record_ticket(self.at.id, row_id, actor=self.staff("desk")),
            lambda _: self.clinic.ticket(visit),
        )

    # sessions

    @step(
        3,
        number=sessions,
        verb=st.sampled_from(["stop", "reopen", "reopen", 1, 2, 2, 3]),
        ticked=st.booleans(),
    )
    def change_session(self, number: int, verb: str | int, ticked: bool) -> None:
        """Stop it, reopen it, or give its slots another number of places."""
        session_id, session = self.opened[number].id, self.sessions[number]
        if verb == "stop":
            self.stop(number, ticked)
        elif verb == "reopen":
            self.same(
                lambda: reopen_session(self.at.id, session_id, actor=self.staff()),
                lambda _: self.clinic.reopen(
                    session, {place_id for place_id, *_, rests in self._places(number) if rests}
                ),
            )
        else:
            kept = sum(self.opened[number].session.channels.values())
            self._capacity(number, session_id, session, max(int(verb), kept))

    def stop(self, number: int, ticked: bool) -> None:
        session_id, session = self.opened[number].id, self.sessions[number]
        words = {"reason": "停电", "seen_until": factory.now() if ticked else None}
        self.same(
            lambda: stop_session(self.at.id, session_id, actor=self.staff(), **words),
            lambda _: self.clinic.stop(session, ticked),
        )

    def _capacity(self, number: int, session_id: uuid.UUID, session: Session, places: int) -> None:
        self.same(lambda: sweep_holds() and None, lambda _: self.clinic.sweep())
        row = db.session.get(ClinicSession, (self.at.id, session_id), populate_existing=True)
        shape = Shape(
            **{one.name: getattr(row, one.name) for one in fields(Shape) if one.name != "places_per_slot"}
            | {"places_per_slot": places}
        )
        version = row.version
        self.same(
            lambda: change_session(self.at.id, session_id, shape, actor=self.staff(), version=version),
            lambda _: self.clinic.capacity(session, places, self._places(number)),
        )

    def _places(self, number: int) -> list[Any]:
        """The usual places of a session as the database has them now."""
        db.session.rollback()
        mine = dict(zip(self.slot_ids, self.slots, strict=True))
        found = select(PlaceRow).where(
            PlaceRow.session_id == self.opened[number].id, PlaceRow.channel != "extra"
        )
        return [
            (row.id, mine[row.slot_id], row.channel, row.withdrawn, row.rests_until is not None)
            for row in db.session.scalars(found.execution_options(populate_existing=True))
        ]
