"""What people at the pages do in the clinic in memory."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.model.rules import Rules
from tests.model.things import KEPT, LIMITS, MINUTES, SEEN, Refused, Slot, Visit


class People(Rules):
    def hold(
        self, slot: Slot, holder: str, account: int | None, key: str | None, until: datetime, chosen: Any
    ) -> Visit:
        """`until` is the end the database chose; the caller compares it with `hold_minutes`."""
        body = ("hold", id(slot), holder)
        mine = next((one for one in self.held() if one.holder == holder and one.slot is slot), None)
        known = self._key(key, body, mine)
        if known or mine:
            return known or mine  # type: ignore[return-value]
        self._on_sale(slot)
        opening = slot.session.release + timedelta(minutes=MINUTES["sign_in_first"])
        if account is None and self.now < opening:
            raise Refused("SignInFirst")
        ended: list[Visit] = []
        seat = self._seat(slot, holder, account, ended)
        found = self._find(slot, ["web"], ended)
        if not found:
            raise Refused("SlotFull")
        self._end_all(ended)
        made = Visit(slot, self._take(found, chosen), holder, account, until, seat)
        made.place.by = made
        self.visits.append(made)
        self._key(key, body, made)
        return made

    def _seat(self, slot: Slot, holder: str, account: int | None, ended: list[Visit]) -> int:
        """Return the number of a new hold under the caps; holds of the person that ran out are put into `ended`."""
        mine = [
            one
            for one in self.visits
            if one.status == "held"
            and (one.holder == holder or (account is not None and one.account == account))
        ]
        if any(self.over(one) for one in mine if one.kind != "offer"):
            ended += [one for one in mine if self.over(one)]
        seats = {one.seat for one in mine if not self.over(one) and one.kind != "offer"}
        if len(seats) >= (LIMITS["holds"] if account is not None else 1):
            raise Refused("TooManyHolds")
        rolls = slot.session.rolls
        rolled = rolls is not None and rolls <= self.now
        standing = [one for one in self.of(slot.session) if not one.withdrawn]
        kept = [one for one in standing if one.channel in KEPT]
        online = [one for one in standing if one.channel == "web"] + (kept if rolled else [])
        just_now = rolls is not None and rolls > self.now - timedelta(minutes=MINUTES["sign_in_first"])
        if account is None and rolled and just_now and kept:
            raise Refused("SignInFirst")
        open_seats = max(1, len(online) * 20 // 100)
        for attempt in (1, 2) if account is None else ():
            here = [one for one in self.visits if one.slot.session is slot.session and one.status == "held"]
            taken = [one for one in here if one.account is None and one not in ended]
            if len(taken) < open_seats:
                break
            if attempt == 2:
                raise Refused("SignInFirst")
            ended += [one for one in here if self.over(one) and one not in ended]
        return min({1, 2} - seats)

    def hold_minutes(self, account: int | None) -> int:
        before = account is not None and any(
            one.owner == account and one.status != "held" for one in self.visits
        )
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
        if one.status == "held":
            self._end(one, "release")
        return one

    def confirm(self, one: Visit, holder: str, account: int | None, patient: int, key: str | None) -> Visit:
        if account is None:
            raise Refused("NotAllowed")
        self._own(one, holder, account)
        body = ("confirm", id(one), patient)
        if known := self._key(key, body, None):
            return known
        if one.status in ("booked", *SEEN) and one.owner == account:
            self._key(key, body, one)
            return one
        if self.status(one) != "held":
            if one.slot.session.stopped:
                raise Refused("SessionStopped")
            raise Refused("HoldExpired" if self.status(one) == "expired" else "NotActive")
        if patient not in self.links[account]:
            raise Refused("NotLinked")
        self._patient_may(one.slot, patient, account)
        one.owner, one.patient, one.booked_at = account, patient, self.now
        self.known.add(patient)
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
            self._free(one.place)
        self._key(key, body, one)
        return one

    def move(self, one: Visit, slot: Slot, account: int | None, key: str | None, chosen: Any) -> Visit:
        """Without an account it is the desk."""
        staff, body = account is None, ("move", id(one), id(slot))
        if not staff and one.owner != account:
            raise Refused("NoSuchAppointment")
        if known := self._key(key, body, None):
            return known
        if one.status == "booked" and one.slot is slot:
            if not one.moved:
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
        self._patient_may(slot, one.patient, None, moving=one, staff=staff)
        ended: list[Visit] = []
        found = self._find(slot, ["any" if staff else "web"], ended)
        if not found:
            raise Refused("SlotFull")
        self._end_all(ended)
        before, one.place, one.slot = one.place, self._take(found, chosen), slot
        one.place.by = one
        self._change(one, "booked", "moved")
        self._free(before)
        self._key(key, body, one)
        return one
