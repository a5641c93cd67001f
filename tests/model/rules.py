"""What several verbs of the clinic in memory ask: request keys, the sale, the patient's limits; and who is told."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from tests.model.places import Places
from tests.model.things import ACTIVE, BLOCK, COUNTED, LIMITS, MINUTES, WAYS, Refused, Slot, Visit


class Rules(Places):
    def _key(self, key: str | None, body: Any, visit: Visit | None) -> Visit | None:
        if key in self.keys:
            said, known = self.keys[key]
            if said != body:
                raise Refused("KeyReused")
            return known
        if key and visit is not None:
            self.keys[key] = (body, visit)
        return None

    def _on_sale(self, slot: Slot, staff: bool = False) -> None:
        if slot.session.stopped:
            raise Refused("SessionStopped")
        if not staff and slot.session.release > self.now:
            raise Refused("NotReleased")
        if (slot.ends if staff else slot.closes) <= self.now:
            raise Refused("BookingClosed")

    def _patient_may(
        self,
        slot: Slot,
        patient: int,
        account: int | None,
        *,
        moving: Visit | None = None,
        staff: bool = False,
        override: bool = False,
    ) -> None:
        others = [one for one in self.visits if one.patient == patient and one is not moving]
        others = [one for one in others if one.status in COUNTED]
        active = [one for one in others if one.status in ACTIVE]
        if any(one.slot.session is slot.session for one in active):
            raise Refused("AlreadyBooked")
        missed = [one.slot.session.day for one in others if one.status == "no_show"]
        if not staff and moving is None and any(on <= self.now.date() < on + BLOCK for on in missed):
            raise Refused("Blocked")
        day = [one for one in others if one.slot.session.day == slot.session.day]
        on_day = [one for one in day if one in active]
        if any(one.slot.starts < slot.ends and slot.starts < one.slot.ends for one in on_day):
            raise Refused("Overlap")
        if len(day) >= LIMITS["per_day"] and not override:
            raise Refused("DayLimit")
        if len(others) >= LIMITS["per_week"] and not override:
            raise Refused("WeekLimit")
        ahead = [one for one in self.visits if one.owner == account and one.status == "booked"]
        ahead = [one for one in ahead if one.slot.starts > self.now]
        if account is not None and moving is None and len(ahead) >= LIMITS["open_per_account"]:
            raise Refused("AccountLimit")

    def missed(self, patient: int) -> list[date]:
        """The days on which the patient did not come."""
        return [
            one.slot.session.day for one in self.visits if one.patient == patient and one.status == "no_show"
        ]

    def _tell(self, one: Visit, kind: str | None, since: datetime | None = None) -> None:
        """Letters that wait are superseded, those of the new state wait, and reminders that came due `since`. Without an
        account nobody is told here."""
        self.supersede(one)
        due = []
        if one.status == "booked":
            session, two_hours = one.slot.session, one.slot.starts - timedelta(hours=2)
            due = [
                ("reminder_day", session.day_before, two_hours),
                ("reminder_hours", two_hours, one.slot.starts),
            ]
        kinds = [kind] if kind else []
        kinds += [name for name, at, until in due if (since or self.now) < at and self.now < until]
        for name in kinds if one.owner is not None else ():
            one.letters[one.version, name, "waiting"] += WAYS

    def _change(
        self, one: Visit, status: str, letter: str | None = None, since: datetime | None = None
    ) -> None:
        one.status, one.version, one.moved, one.undone = status, one.version + 1, letter == "moved", False
        self._tell(one, letter, since)

    def _own(self, one: Visit, holder: str, account: int | None) -> None:
        theirs = one.holder == holder or (account is not None and account in (one.account, one.owner))
        if not theirs or (one.kind == "offer" and one.status in ("held", "expired")):
            raise Refused("NoSuchAppointment")

    def _late(self, one: Visit) -> bool:
        assert one.booked_at is not None
        regret = one.booked_at + timedelta(minutes=MINUTES["regret"])
        return self.now > one.slot.session.deadline and self.now > regret
