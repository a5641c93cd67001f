"""A clinic in memory: what each verb must answer, without a database. Instants are plain datetimes, people are numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

ACTIVE = ("held", "booked", "arrived")
MINUTES = {"hold": 5, "hold_first": 10, "sign_in_first": 10, "regret": 10, "checkin": 120, "late": 30}
LIMITS = {"per_day": 2, "per_week": 3, "open_per_account": 3, "holds": 2}
WAYS = 2  # each letter goes to the booker's app and telephone


class Refused(Exception):
    """The name of the refusal."""


@dataclass
class Session:
    starts: datetime
    ends: datetime
    release: datetime
    deadline: datetime  # of cancelling without trace
    day_before: datetime  # when the first reminder is due
    capacity: int  # places of each slot
    open_seats: int  # places that may be held without sign-in
    stopped: bool = False
    numbers: int = 0


@dataclass
class Slot:
    session: Session
    starts: datetime
    ends: datetime
    closes: datetime


@dataclass
class Visit:
    slot: Slot
    holder: str
    account: int | None
    until: datetime
    seat: int
    status: str = "held"
    version: int = 1
    extensions: int = 0
    owner: int | None = None
    patient: int | None = None
    booked_at: datetime | None = None
    late: bool = False
    queue: int | None = None
    letters: Counter[tuple[int, str, str]] = field(default_factory=Counter)


@dataclass
class Clinic:
    """`now` is set before each verb; `links` are the patients of each account."""

    slots: list[Slot]
    links: dict[int, list[int]]
    now: datetime
    visits: list[Visit] = field(default_factory=list)
    keys: dict[str, tuple[Any, Visit]] = field(default_factory=dict)

    # what is true now

    def status(self, one: Visit) -> str:
        return "expired" if one.status == "held" and one.until <= self.now else one.status

    def active(self, slot: Slot) -> int:
        return sum(one.slot is slot and self.status(one) in ACTIVE for one in self.visits)

    def free(self, slot: Slot) -> int:
        return 0 if slot.session.stopped else slot.session.capacity - self.active(slot)

    def held(self) -> list[Visit]:
        return [one for one in self.visits if self.status(one) == "held"]

    # shared steps

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

    def _patient_may(self, slot: Slot, patient: int, moving: Visit | None, account: int | None) -> None:
        others = [one for one in self.visits if one.patient == patient and one is not moving]
        others = [one for one in others if one.status in ACTIVE]
        if any(one.slot.session is slot.session for one in others):
            raise Refused("AlreadyBooked")
        day = [one for one in others if one.slot.starts.date() == slot.starts.date()]
        if any(one.slot.starts < slot.ends and slot.starts < one.slot.ends for one in day):
            raise Refused("Overlap")
        if len(day) >= LIMITS["per_day"]:
            raise Refused("DayLimit")
        if len(others) >= LIMITS["per_week"]:
            raise Refused("WeekLimit")
        ahead = [one for one in self.visits if one.owner == account and one.status == "booked"]
        ahead = [one for one in ahead if one.slot.starts > self.now]
        if account is not None and len(ahead) >= LIMITS["open_per_account"]:
            raise Refused("AccountLimit")

    def _change(self, one: Visit, status: str, letter: str | None = None) -> None:
        """Another version: letters that wait are superseded, those of the new state wait."""
        one.status, one.version = status, one.version + 1
        if letter is None and status == "expired":
            return
        for version, kind, state in list(one.letters):
            if state == "waiting":
                one.letters[version, kind, "superseded"] += one.letters.pop((version, kind, state))
        due = []
        if status == "booked":
            session, two_hours = one.slot.session, one.slot.starts - timedelta(hours=2)
            due = [("reminder_day", session.day_before), ("reminder_hours", two_hours)]
        for kind in ([letter] if letter else []) + [kind for kind, at in due if self.now < at]:
            one.letters[one.version, kind, "waiting"] += WAYS

    def _own(self, one: Visit, holder: str, account: int | None) -> None:
        if one.holder != holder and (account is None or account not in (one.account, one.owner)):
            raise Refused("NoSuchAppointment")

    def _late(self, one: Visit) -> bool:
        assert one.booked_at is not None
        regret = one.booked_at + timedelta(minutes=MINUTES["regret"])
        return self.now > one.slot.session.deadline and self.now > regret

    # the verbs

    def hold(self, slot: Slot, holder: str, account: int | None, key: str | None, until: datetime) -> Visit:
        """`until` is the end the database chose; the caller compares it with `hold_minutes`."""
        body = ("hold", slot.starts, slot.session.starts, holder, id(slot))
        mine = next((one for one in self.held() if one.holder == holder and one.slot is slot), None)
        known = self._key(key, body, mine)
        if known or mine:
            return known or mine  # type: ignore[return-value]
        self._on_sale(slot)
        opening = slot.session.release + timedelta(minutes=MINUTES["sign_in_first"])
        if account is None and self.now < opening:
            raise Refused("SignInFirst")
        theirs = [one for one in self.held() if one.holder == holder]
        if account is not None:
            theirs += [one for one in self.held() if one.account == account]
        seats = {one.seat for one in theirs}
        most = LIMITS["holds"] if account is not None else 1
        if len(seats) >= most:
            raise Refused("TooManyHolds")
        anonymous = [one for one in self.held() if one.account is None and one.slot.session is slot.session]
        if account is None and len(anonymous) >= slot.session.open_seats:
            raise Refused("SignInFirst")
        if self.free(slot) < 1:
            raise Refused("SlotFull")
        made = Visit(slot, holder, account, until, min({1, 2} - seats))
        self.visits.append(made)
        self._key(key, body, made)
        return made

    def hold_minutes(self, account: int | None) -> int:
        before = account is not None and any(one.owner == account for one in self.visits)
        return MINUTES["hold" if before else "hold_first"]

    def extend(self, one: Visit, holder: str, account: int | None) -> Visit:
        self._own(one, holder, account)
        if self.status(one) != "held":
            raise Refused("HoldExpired")
        if one.extensions < 1:
            one.until, one.extensions = one.until + timedelta(minutes=MINUTES["hold"]), one.extensions + 1
        return one

    def release(self, one: Visit, holder: str, account: int | None) -> Visit:
        self._own(one, holder, account)
        if self.status(one) == "held":
            self._change(one, "expired")
        return one

    def confirm(self, one: Visit, holder: str, account: int | None, patient: int, key: str | None) -> Visit:
        if account is None:
            raise Refused("NotAllowed")
        self._own(one, holder, account)
        body = ("confirm", id(one), patient)
        if known := self._key(key, body, None):
            return known
        if one.status in ("booked", "arrived") and one.owner == account:
            self._key(key, body, one)
            return one
        if self.status(one) != "held":
            if one.slot.session.stopped:
                raise Refused("SessionStopped")
            raise Refused("HoldExpired" if self.status(one) == "expired" else "NotActive")
        if patient not in self.links[account]:
            raise Refused("NotLinked")
        self._patient_may(one.slot, patient, None, account)
        one.owner, one.patient, one.booked_at = account, patient, self.now
        self._change(one, "booked", "confirmed")
        self._key(key, body, one)
        return one

    def _cancellable(self, one: Visit, staff: bool) -> None:
        if self.status(one) not in (("booked", "arrived") if staff else ("booked",)):
            raise Refused("NotActive")
        if not staff and one.slot.starts <= self.now:
            raise Refused("AlreadyStarted")

    def cancel(self, one: Visit, account: int | None, key: str | None) -> Visit:
        """Without an account it is the desk."""
        staff, body = account is None, ("cancel", id(one))
        if not staff and one.owner != account:
            raise Refused("NoSuchAppointment")
        if known := self._key(key, body, None):
            return known
        if one.status != "cancelled":
            self._cancellable(one, staff)
            one.late = not staff and self._late(one)
            self._change(one, "cancelled", "cancelled")
        self._key(key, body, one)
        return one

    def move(self, one: Visit, slot: Slot, account: int | None, key: str | None) -> Visit:
        """Without an account it is the desk."""
        staff, body = account is None, ("move", id(one), id(slot))
        if not staff and one.owner != account:
            raise Refused("NoSuchAppointment")
        if known := self._key(key, body, None):
            return known
        if one.status == "booked" and one.slot is slot:
            if one.version <= 2:
                raise Refused("SameTime")
            self._key(key, body, one)
            return one
        self._cancellable(one, staff)
        if one.status != "booked":
            raise Refused("NotActive")
        if not staff and self._late(one):
            raise Refused("MoveTooLate")
        self._on_sale(slot, staff)
        assert one.patient is not None
        self._patient_may(slot, one.patient, one, None)
        if self.free(slot) < 1:
            raise Refused("SlotFull")
        one.slot = slot
        self._change(one, "booked", "moved")
        self._key(key, body, one)
        return one

    def check_in(self, one: Visit) -> Visit:
        if one.status == "arrived":
            return one
        if self.status(one) != "booked":
            raise Refused("NotActive")
        session = one.slot.session
        if session.starts.date() != self.now.date():
            raise Refused("WrongDay")
        if self.now < session.starts - timedelta(minutes=MINUTES["checkin"]):
            raise Refused("TooEarly")
        session.numbers += 1
        one.queue = session.numbers
        self._change(one, "arrived")
        return one

    def stop(self, session: Session) -> None:
        if session.stopped:
            return
        if session.ends <= self.now:
            raise Refused("SessionOver")
        session.stopped = True
        for one in self.visits:
            if one.slot.session is session and self.status(one) in ACTIVE:
                held = one.status == "held"
                self._change(one, "expired" if held else "cancelled", None if held else "stopped")

    def reopen(self, session: Session) -> None:
        if not session.stopped or session.ends <= self.now:
            raise Refused("SessionOver")
        session.stopped = False

    def capacity(self, session: Session, places: int) -> None:
        """Call with the holds that ran out swept: the database counts a place as sold until somebody ends its hold."""
        if session.stopped:
            raise Refused("SessionOver")
        mine = [slot for slot in self.slots if slot.session is session]
        if any(self.active(slot) > places for slot in mine):
            raise Refused("BelowSold")
        session.capacity = places
        session.open_seats = max(1, places * len(mine) * 20 // 100)
