"""The clinic in memory: its state, and how a place is taken, given back, and kept for the waiting list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.model.things import (
    FORGIVEN,
    KEPT,
    LAST_SALE,
    LIVE,
    WAYS,
    WINDOW,
    Offer,
    Place,
    Session,
    Slot,
    Visit,
    Wish,
)


@dataclass
class Places:
    """`now` is set before each verb; `links` are the patients of each account, `selfs` the account of a patient's own,
    `known` the patients this hospital has a chart of, `old` those from 60 years on.

    Where the database chooses (which free place, until when a hold lasts), a verb is told what it chose.
    """

    slots: list[Slot]
    places: list[Place]
    links: dict[int, list[int]]
    selfs: dict[int, int]
    known: set[int]
    old: set[int]
    now: datetime
    visits: list[Visit] = field(default_factory=list)
    keys: dict[str, tuple[Any, Visit]] = field(default_factory=dict)
    wishes: list[Wish] = field(default_factory=list)
    wish_keys: dict[tuple[int, str], tuple[Any, Wish]] = field(default_factory=dict)
    offers: list[Offer] = field(default_factory=list)
    tickets: set[tuple[int | None, Any]] = field(default_factory=set)

    # what is true now

    def over(self, one: Visit) -> bool:
        return one.status == "held" and one.until <= self.now

    def status(self, one: Visit) -> str:
        return "expired" if self.over(one) else one.status

    def held(self) -> list[Visit]:
        """The live holds of people; offers of the waiting list are none."""
        return [one for one in self.visits if self.status(one) == "held" and one.kind != "offer"]

    def of(self, where: Slot | Session) -> list[Place]:
        return [one for one in self.places if where in (one.slot, one.slot.session)]

    def resting(self, place: Place) -> bool:
        return place.rests is not None and ("rests" in place.anew or place.rests > self.now)

    def sells(self, place: Place, channel: str) -> bool:
        """Whether a place is open to a channel ("any" for all), somebody in it or not."""
        rolled = place.slot.session.rolls is not None and place.slot.session.rolls <= self.now
        fits = channel in ("any", place.channel) or (channel == "web" and place.channel in KEPT and rolled)
        return place.open and fits

    def free(self, slot: Slot) -> int:
        return sum(
            self.sells(one, "web") and not self.resting(one) and (one.by is None or self.over(one.by))
            for one in self.of(slot)
        )

    # places: taken and given back

    def _find(self, slot: Slot, channels: Iterable[str], ended: list[Visit]) -> list[Place]:
        """Return the places one of which will be taken, none when the slot is full for these channels.

        Holds that ran out are ended only when nothing else is free; they are put into `ended`. What somebody waits for
        rests as soon as its hold is ended.
        """
        places = self.of(slot)
        for channel in channels:
            for attempt in (1, 2):
                found = [one for one in places if self._can_take(one, channel, ended)]
                if found:
                    return found
                stale = [one.by for one in places if one.by is not None and self.over(one.by)]
                stale = [one for one in stale if one not in ended]
                if attempt == 2 or not any(
                    self.sells(one.place, channel) and not self.resting(one.place) for one in stale
                ):
                    break
                ended += stale
        return []

    def _can_take(self, place: Place, channel: str, ended: list[Visit]) -> bool:
        if not self.sells(place, channel):
            return False
        if place.by is None:
            return not self.resting(place)
        return place.by in ended and not self._will_rest(place, asked=place.by.kind == "offer")

    def _take(self, found: list[Place], chosen: Any) -> Place:
        place = next((one for one in found if one.id == chosen), found[0])
        assert chosen in (None, place.id), "the database took a place that the model does not have for sale"
        return place

    def _free(self, place: Place, *, asked: bool = False) -> None:
        place.by, place.rests = None, None
        place.anew.clear()
        if not asked:
            place.freed = None
        if place.channel == "extra":
            place.open, place.withdrawn = False, True
        if self._will_rest(place, asked=asked):
            place.rests, place.freed = self.now, place.freed if asked else self.now
            place.anew |= {"rests"} if asked else {"rests", "freed"}
        elif asked:
            place.freed = None

    def _will_rest(self, place: Place, *, asked: bool) -> bool:
        """Whether a place that comes back rests until the list was asked; `asked`: it comes back from an offer."""
        session = place.slot.session
        if not (asked or self.wanted(session)) or not place.open or session.stopped:
            return False
        if session.release > self.now or not self.sells(place, "web") or place.channel == "extra":
            return False
        return bool(self.rest_spans(place.slot)) and (asked or self.now < session.list_closes)

    def wanted(self, session: Session) -> bool:
        return any(one.status in LIVE and one.names(session) for one in self.wishes)

    def rest_spans(self, slot: Slot) -> list[tuple[datetime, datetime]]:
        """Return the spans in whose first the minute lies at which a place that comes back now is for everybody again."""
        spans, latest = [], slot.closes - LAST_SALE
        for day in (self.now, self.now + timedelta(days=1)):
            opens, shuts = (day.replace(hour=hour, minute=0, second=0, microsecond=0) for hour in WINDOW)
            spans.append((max(self.now, opens), min(shuts, latest)))
        spans.append((self.now, min(self.now + timedelta(hours=1), latest)))
        return [one for one in spans if one[1] - one[0] >= timedelta(minutes=1)]

    def _rest_some(self, fresh: list[Place], resting: set[Any]) -> None:
        """So many of the places a session has gained rest as people wait for it; the database chose `resting`."""
        if not fresh:
            return
        session = fresh[0].slot.session
        asked_for = sum(one.status in LIVE and one.names(session) for one in self.wishes)
        may = [one for one in fresh if self._will_rest(one, asked=False)]
        chosen = [one for one in may if one.id in resting]
        assert len(chosen) == min(asked_for, len(may)), "not as many new places rest as people wait"
        for place in chosen:
            place.rests = place.freed = self.now
            place.anew |= {"rests", "freed"}

    def _lose_turn(self, one: Visit, verb: str) -> None:
        """An offer ended: its wish waits again. Declining, or letting it run out when told, keeps the place in line once."""
        offer = next((other for other in self.offers if other.visit is one and other.outcome is None), None)
        if offer is None:
            return
        offer.outcome = {"expire": "expired", "decline": "declined"}.get(verb, "withdrawn")
        rounds = {
            other.round
            for other in self.offers
            if other.wish is offer.wish and other.round != offer.round and other.outcome == "withdrawn"
        }
        if verb == "expire" and not offer.reached and len(rounds) < FORGIVEN:
            offer.outcome = "withdrawn"
        wish = offer.wish
        if wish.status != "offered" or wish.round != offer.round:
            return
        wish.status = "waiting"
        if offer.outcome != "withdrawn":
            if wish.kept == 0:
                wish.turn = self.now
            wish.kept = max(wish.kept - 1, 0)
        if offer.outcome != "declined":
            self.supersede(one)
            one.letters[one.version, "wish_missed", "waiting"] += WAYS

    def supersede(self, one: Visit) -> None:
        for version, kind, state in list(one.letters):
            if state == "waiting":
                one.letters[version, kind, "superseded"] += one.letters.pop((version, kind, state))

    def _end(self, one: Visit, verb: str) -> None:
        one.status, one.version = "expired", one.version + 1
        self._free(one.place, asked=one.kind == "offer")
        if one.kind == "offer":
            self._lose_turn(one, verb)

    def _end_all(self, ended: Iterable[Visit]) -> None:
        for one in sorted(ended, key=self.visits.index):
            self._end(one, "expire")

    def sweep(self) -> None:
        self._end_all([one for one in self.visits if self.over(one)])
