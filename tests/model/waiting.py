"""The waiting list of the clinic in memory, for one patient a wish. Pairs are left to tests/verbs and tests/races: with them
the model would have to know which places lie beside each other."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from tests.model.rules import Rules
from tests.model.things import (
    ACTIVE,
    BLOCK,
    LEAST_TO_ANSWER,
    LIMITS,
    LIVE,
    MINUTES,
    SEEN,
    SLEEPS,
    WAKES,
    WAYS,
    Offer,
    Place,
    Refused,
    Session,
    Slot,
    Visit,
    Wish,
)


class WaitingList(Rules):
    def join(
        self,
        session: Session,
        account: int | None,
        patient: int,
        doctors: frozenset[int] | None,
        first: date,
        last: date,
        key: str | None,
    ) -> Wish:
        if account is None:
            raise Refused("NotAllowed")
        if session.stopped:
            raise Refused("SessionStopped")
        body = (id(session), patient, doctors, first, last)
        if key and (account, key) in self.wish_keys:
            said, known = self.wish_keys[account, key]
            if said != body:
                raise Refused("KeyReused")
            return known
        if patient not in self.links[account]:
            raise Refused("NotLinked")
        live = [one for one in self.wishes if one.patient == patient and one.status in LIVE]
        here = next((one for one in live if one.session is session), None)
        if here is not None:
            if here.account == account:
                return here
            raise Refused("AlreadyWaiting")
        if len(live) >= LIMITS["wishes_per_patient"]:
            raise Refused("TooManyWishes")
        mine = [one for one in self.visits if one.patient == patient and one.slot.session is session]
        if any(self.status(one) in ACTIVE for one in mine):
            raise Refused("AlreadyBooked")
        made = Wish(
            *(None, account, patient, session, doctors, first, last, self.now, self.now),
            datetime.combine(last - timedelta(days=1), time(23)),
            1 + sum(one.status in LIVE and one.names(session) for one in self.wishes),
        )
        if last < first or first < self.now.date() or not made.names(session):
            raise Refused("BadInput")
        if session.list_closes <= self.now:
            raise Refused("ListClosed")
        slots = [one for one in self.slots if one.session is session and one.closes > self.now]
        if session.release > self.now or any(self.free(one) for one in slots):
            raise Refused("NotFull")
        if any(
            on <= self.now.date() < on + BLOCK and on + BLOCK > made.ends.date()
            for on in self.missed(patient)
        ):
            raise Refused("Blocked")
        made.letters[0, "wish_joined", "waiting"] += WAYS
        self.wishes.append(made)
        self.known.add(patient)
        if key:
            self.wish_keys[account, key] = (body, made)
        return made

    def leave(self, wish: Wish, account: int) -> Wish:
        if wish.account != account:
            raise Refused("NoSuchWish")
        if wish.status in LIVE:
            wish.status, wish.reason = "ended", "left"
            for offer in self.offers:
                if offer.wish is wish and offer.outcome is None:
                    self._end(offer.visit, "leave")
        return wish

    def end_wishes(self) -> None:
        for wish in self.wishes:
            if wish.status == "waiting" and wish.ends <= self.now:
                self._end_wish(wish, "rule")

    def _end_wish(self, wish: Wish, reason: str) -> None:
        wish.status, wish.reason = "ended", reason
        wish.letters[wish.round, "wish_ended", "waiting"] += WAYS

    # offers

    def offer_places(self) -> list[Visit]:
        """Ask the list about each place that came back, in the order in which they did; return the offers."""
        to_ask = [one for one in self.places if one.freed and one.by is None and self.resting(one)]
        if not to_ask and not any(self.over(one) and one.kind == "offer" for one in self.visits):
            return []
        self.sweep()
        to_ask = [one for one in self.places if one.freed and one.by is None and self.resting(one)]
        made = []
        for place in sorted(to_ask, key=lambda one: (one.freed, one.id)):
            visit = self._offer(place) if self._may_be_offered(place) else None
            if visit is None:
                place.freed = None
                place.anew.discard("freed")
            else:
                made.append(visit)
        return made

    def _may_be_offered(self, place: Place) -> bool:
        slot, session = place.slot, place.slot.session
        if not self.sells(place, "web") or session.stopped or session.release > self.now:
            return False
        return self.now < session.list_closes and slot.closes - self.now >= LEAST_TO_ANSWER

    def _offer(self, place: Place) -> Visit | None:
        waiting = [one for one in self.wishes if one.status == "waiting" and self._may_be_asked(one, place)]
        for wish in sorted(waiting, key=lambda one: (one.turn, one.id)):
            if self._is_served(wish):
                self._end_wish(wish, "booked")
            elif self._suits(wish, place.slot):
                return self._make_offer(wish, place)
        return None

    def _may_be_asked(self, wish: Wish, place: Place) -> bool:
        """Who had joined when it came back, was not asked about it since, and has not declined this time."""
        if not wish.names(place.slot.session) or wish.ends <= self.now or wish.joined > place.freed:
            return False
        asked = [one for one in self.offers if one.wish is wish]
        return not any(
            (one.place is place and one.made >= place.freed)
            or (one.slot is place.slot and one.outcome == "declined")
            for one in asked
        )

    def _is_served(self, wish: Wish) -> bool:
        """All sessions here are of one department: whatever the patient has booked since within the dates serves the wish."""
        return any(
            one.patient == wish.patient
            and one.status in ("booked", *SEEN)
            and wish.first <= one.slot.session.day <= wish.last
            and one.booked_at >= wish.joined
            for one in self.visits
        )

    def _suits(self, wish: Wish, slot: Slot) -> bool:
        try:
            self._patient_may(slot, wish.patient, wish.account)
        except Refused:
            return False
        return True

    def _make_offer(self, wish: Wish, place: Place) -> Visit:
        wish.status, wish.round = "offered", wish.round + 1
        until = self.answer_by(place.slot)
        made = Visit(place.slot, place, None, wish.account, until, None, "offer", owner=wish.account)
        made.patient, place.by = wish.patient, made
        made.letters[1, "wish_offer", "waiting"] += WAYS
        self.visits.append(made)
        self.offers.append(Offer(made, wish, wish.round, self.now, place, place.slot))
        return made

    def answer_by(self, slot: Slot) -> datetime:
        """Until when an offer made now stands: quiet hours take nothing from the time to answer."""
        start = self.now
        if start.hour >= SLEEPS:
            start += timedelta(days=1)
        if start.hour >= SLEEPS or start.hour < WAKES:
            start = start.replace(hour=WAKES, minute=0, second=0, microsecond=0)
        until = start + timedelta(minutes=MINUTES["offer"])
        night = start.replace(hour=SLEEPS, minute=0, second=0, microsecond=0)
        if until > night:
            until += timedelta(hours=24 - SLEEPS + WAKES)
        return min(until, slot.closes)

    def _own_offer(self, visit: Visit, account: int) -> Offer:
        offer = next((one for one in self.offers if one.visit is visit), None)
        if offer is None or offer.wish.account != account:
            raise Refused("NoSuchWish")
        return offer

    def accept(self, visit: Visit, account: int, key: str | None) -> Visit:
        offer, body = self._own_offer(visit, account), ("accept", id(visit))
        if known := self._key(key, body, None):
            return known
        if visit.status in ("booked", *SEEN):
            self._key(key, body, visit)
            return visit
        if self.status(visit) != "held":
            raise Refused("SessionStopped" if visit.slot.session.stopped else "OfferOver")
        self._patient_may(visit.slot, offer.wish.patient, account)
        visit.booked_at, offer.outcome = self.now, "accepted"
        visit.place.rests = visit.place.freed = None
        self._change(visit, "booked", "confirmed")
        offer.wish.status, offer.wish.reason = "served", "accepted"
        self._key(key, body, visit)
        return visit

    def decline(self, visit: Visit, account: int) -> Wish:
        offer = self._own_offer(visit, account)
        if visit.status == "held":
            self._end(visit, "expire" if self.over(visit) else "decline")
        return offer.wish
