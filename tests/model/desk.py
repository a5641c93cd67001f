"""What the staff do in the clinic in memory: book, add a number, check in, finish, judge no-shows, stop, reopen, change places."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from tests.model.rules import Rules
from tests.model.things import (
    FINISHED_AFTER,
    JUST_ARRIVED,
    KEPT,
    LIMITS,
    MINUTES,
    SEEN,
    USED,
    WAYS,
    Place,
    Refused,
    Session,
    Slot,
    Visit,
    Wish,
)


class Desk(Rules):
    # booking

    def book_at_desk(
        self, slot: Slot, patient: int, via: str, override: bool, key: str | None, chosen: Any
    ) -> Visit:
        body = ("book_at_desk", id(slot), patient, via, override)
        if known := self._key(key, body, None):
            return known
        self._on_sale(slot, staff=True)
        if patient not in self.known:
            raise Refused("NotFound")
        self._patient_may(slot, patient, None, staff=True, override=override)
        channels = [*(["elder"] if patient in self.old else []), via]
        channels += ["web"] if slot.session.release <= self.now else []
        channels += ["web", *KEPT] if override else []
        ended: list[Visit] = []
        found = self._find(slot, channels, ended)
        if not found:
            raise Refused("SlotFull")
        self._end_all(ended)
        return self._booked(self._take(found, chosen), patient, via, key, body)

    def add_extra(self, slot: Slot, patient: int, reason: str, key: str | None, place_id: Any) -> Visit:
        """A place more for one patient: at most so many at once in a session; `place_id` is what the database calls it."""
        if not reason:
            raise Refused("BadInput")
        body = ("add_extra", id(slot), patient, reason)
        if known := self._key(key, body, None):
            return known
        self._on_sale(slot, staff=True)
        if patient not in self.known:
            raise Refused("NotFound")
        added = [one for one in self.of(slot.session) if one.channel == "extra" and not one.withdrawn]
        if len(added) >= LIMITS["extra_cap"]:
            raise Refused("ExtraFull")
        self._patient_may(slot, patient, None, staff=True)
        place = Place(place_id, slot, "extra")
        self.places.append(place)
        return self._booked(place, patient, "extra", key, body)

    def _booked(self, place: Place, patient: int, kind: str, key: str | None, body: Any) -> Visit:
        made = Visit(place.slot, place, kind=kind, status="booked", owner=self.selfs.get(patient))
        made.patient, made.made_at, made.booked_at, place.by = patient, self.now, self.now, made
        self.visits.append(made)
        self._tell(made, "confirmed")
        self._key(key, body, made)
        return made

    # the day

    def check_in(self, one: Visit) -> Visit:
        if one.status == "arrived" and one.queue is not None:
            return one
        if self.status(one) != "booked":
            raise Refused("NotActive")
        session = one.slot.session
        if session.day != self.now.date():
            raise Refused("WrongDay")
        if self.now < session.starts - timedelta(minutes=MINUTES["checkin"]):
            raise Refused("TooEarly")
        session.numbers += 1
        one.queue, one.seen, one.arrived = session.numbers, True, self.now
        one.untold = one.letters[one.version, "moved", "waiting"]
        self._change(one, "arrived")
        return one

    def undo_check_in(self, one: Visit, reason: str) -> Visit:
        """The number is not given again; what reminds of the visit is put anew."""
        if not reason:
            raise Refused("BadInput")
        if self.status(one) == "booked" and one.undone:
            return one
        if self.status(one) == "booked":
            raise Refused("NotArrived")
        if one.status != "arrived":
            raise Refused("NotActive")
        if one.queue is None:
            raise Refused("NotCheckedIn")
        one.queue, one.seen = None, False
        self._change(one, "booked", since=one.arrived)
        if one.slot.starts > self.now:
            one.letters[one.version, "moved", "waiting"] += one.untold
        one.undone = True
        return one

    def finish(self, one: Visit) -> Visit:
        if one.status == "fulfilled":
            return one
        if one.status == "booked":
            raise Refused("NotArrived")
        if one.status != "arrived":
            raise Refused("NotActive")
        if self.now < one.arrived + JUST_ARRIVED:
            raise Refused("JustArrived")
        self._finish(one)
        return one

    def finish_visits(self) -> None:
        for one in self.visits:
            if one.status == "arrived" and one.slot.session.ends + FINISHED_AFTER <= self.now:
                self._finish(one)

    def _finish(self, one: Visit) -> None:
        """Nobody is told, and the place is nobody's any more."""
        one.status, one.version = "fulfilled", one.version + 1
        one.place.by, one.place.freed, one.place.rests = None, None, USED
        one.place.anew.clear()

    def ticket(self, one: Visit) -> Visit:
        """The desk's word that the patient was here: excuses, and whoever was not judged yet counts as arrived."""
        if one.status in (*SEEN, "excused"):
            return one
        if one.status not in ("booked", "no_show"):
            raise Refused("NotActive")
        if one.slot.starts > self.now:
            raise Refused("BadInput")
        self.tickets.add((one.patient, one.slot.session.day))
        if one.status == "booked":
            one.status, one.version, one.seen, one.moved = "arrived", one.version + 1, True, False
            one.arrived = self.now
        for other in self.visits:
            same = (other.patient, other.slot.session.day) == (one.patient, one.slot.session.day)
            if same and other.status == "no_show":
                self._change(other, "excused", "excused")
        return one

    def mark_no_shows(self) -> None:
        days = {one.slot.session.day for one in self.visits if one.seen}
        missed = [one for one in self.visits if self._is_missed(one, days)]
        for one in missed:
            self._change(one, "no_show", "no_show")
            self._free(one.place)

    def _is_missed(self, one: Visit, staffed: set[date]) -> bool:
        """Only after the rule time, when the desk kept its lists, somebody told the patient, and nobody saw them that day."""
        session = one.slot.session
        judged_from = session.ends + timedelta(minutes=MINUTES["no_show_after"])
        if one.status != "booked" or self.now < judged_from or session.day not in staffed:
            return False
        if not any(
            version == one.version and state == "delivered" and count
            for (version, _, state), count in one.letters.items()
        ):
            return False
        here = [other for other in self.visits if other.patient == one.patient]
        here = [other for other in here if other.slot.session.day == session.day]
        return (one.patient, session.day) not in self.tickets and not any(
            other.status in SEEN
            or (other.kind == "desk" and other.status == "booked" and other.made_at.date() == session.day)
            for other in here
        )

    # sessions

    def stop(self, session: Session, arrived_are_seen: bool) -> None:
        if session.stopped:
            return
        if session.ends <= self.now:
            raise Refused("SessionOver")
        session.stopped, session.version = True, session.version + 1
        offered = {one.wish.id for one in self.offers if one.outcome is None}
        for one in list(self.visits):
            if one.slot.session is not session or one.status not in ("held", "booked", "arrived"):
                continue
            if one.status == "arrived" and arrived_are_seen and one.slot.starts <= self.now:
                self._finish(one)
            elif one.status == "held":
                self._end(one, "stop")
            else:
                self._change(one, "cancelled", "stopped")
                self._free(one.place)
        for place in self.of(session):
            place.open = False
        for wish in self.wishes:
            if wish.status == "waiting" and wish.id not in offered and self._waits_in_vain(wish, session):
                wish.letters[session.version, "wish_stopped", "waiting"] += WAYS

    def _waits_in_vain(self, wish: Wish, stopped: Session) -> bool:
        """Whether a wish names a session that was stopped and, among all, none that may still be had."""
        named = [one for one in {slot.session for slot in self.slots} if wish.names(one)]
        return (
            stopped in named
            and wish.ends > self.now
            and all(one.stopped or one.ends <= self.now for one in named)
        )

    def reopen(self, session: Session, resting: set[Any]) -> None:
        """Its free places open, those that were added for a patient do not; `resting`: what the database kept back."""
        if not session.stopped or session.ends <= self.now:
            raise Refused("SessionOver")
        session.stopped, session.version = False, session.version + 1
        back = [one for one in self.of(session) if not one.withdrawn and one.rests != USED]
        for place in back:
            place.open, place.rests, place.freed = True, None, None
        self._rest_some(back, resting)

    def capacity(self, session: Session, places: int, rows: list[tuple[Any, Slot, str, bool, bool]]) -> None:
        """`rows` are the places as they are now (id, slot, channel, withdrawn, whether it rests): the database chose.

        Call with the holds that ran out swept: the database counts a place as sold until somebody ends its hold.
        """
        usual = [one for one in self.of(session) if one.channel != "extra"]
        if session.stopped:
            raise Refused("SessionOver")
        mine = [slot for slot in self.slots if slot.session is session]
        sold = [one for one in usual if one.by is not None or one.rests == USED]
        if any(sum(one.slot is slot for one in sold) > places for slot in mine):
            raise Refused("BelowSold")
        known, fresh = {one.id: one for one in usual}, []
        for place_id, slot, channel, withdrawn, _ in rows:
            place = known.get(place_id) or Place(place_id, slot, withdrawn=True)
            assert place not in sold or (not withdrawn and place.channel == channel), (
                "a sold place was changed"
            )
            if place.withdrawn and not withdrawn:
                fresh.append(place)
                place.rests = place.freed = None
            if place_id not in known:
                self.places.append(place)
            place.channel, place.withdrawn, place.open = channel, withdrawn, not withdrawn
        for slot in mine:
            count = sum(one.channel != "extra" and not one.withdrawn for one in self.of(slot))
            assert count == places, "another number of places"
        session.version += 1
        self._rest_some(fresh, {place_id for place_id, *_, rests in rows if rests})
