"""A hint that may say "full" or "not open yet" and nothing else: one look at the database shared by all who wait for it.

What makes a hint honest (R3: "full" is answered only if at some instant of the request no sellable place was free; R16:
"not yet" only if at some instant of the request the release was still to come):

- A look is a read of committed rows. It begins at `began`, just before its statement is sent, so its snapshot is of an
  instant after `began` and before the answer.
- A request uses a look only when it arrived no later than `began`. So the snapshot's instant lies within the request.
  There is no "250 ms old is good enough": somebody who gives a place back and asks again at once is never told "full"
  because of what was true before. The 250 ms are only an upper bound on top of that rule; a look that is older is of
  use to nobody but a request that stood in the queue since.
- The snapshot is judged by a clock that is ahead of it: the same statement reads the clock and adds `MARGIN`; a look that
  took longer than that says nothing. Places become sellable by the clock alone (a hold runs out, a rest ends, a wave opens),
  never the other way round, so what is not sellable by the later clock was not sellable at the snapshot either.
- Session and slot must be on sale by the true clock and still by the later one. Draft, stopped and closed have answers of
  their own, which the verb gives; so has a session whose places are drawn.
- "Not open yet" is judged by the true clock: it is read after the snapshot, so what is to come by it was to come then.
- Rows that another transaction is changing are read as they were committed: a place being taken is still free here
  (the verb decides), a place being given back is still taken, and was.
- A browser that holds a place of the slot is told neither: a repeat of its click must lead to its hold (R10). Its
  hold was committed before the snapshot, then the same statement shows its holder; or after, then the place was still
  free in the snapshot. It does not know request keys: a request that carries one asks the verb.

Nobody is given anything here: None means "ask the verb", also when the database does not answer.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, bindparam, exists, or_, select, true
from sqlalchemy.exc import SQLAlchemyError

from booking.appointments.models import Appointment
from booking.clock import instant, now_columns, sql_now
from booking.db import constant, core, db, read_once
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.sellable import SELLING, sellable

KEPT_SECONDS = 0.25
WAIT_SECONDS = 1.0
MARGIN = timedelta(seconds=1)
KEPT_AT_MOST = 512

SlotKey = tuple[int, uuid.UUID]


class Seen(NamedTuple):
    """What a look found: nothing to be had of the slot, for anybody but the `holders` of its live holds.

    `opens_in`: the seconds until its release; 0 when it is released and full.
    """

    holders: frozenset[str] = frozenset()
    opens_in: float = 0.0


class _Look:
    """One read: when it began (monotonic seconds), whether it is over, what it found (None: ask the verb)."""

    def __init__(self) -> None:
        self.began = float("inf")
        self.over = threading.Event()
        self.seen: Seen | None = None

    def for_(self, holder: str | None) -> Seen | None:
        return None if self.seen is None or holder in self.seen.holders else self.seen


class Looks:
    """Shared looks, by slot. `read` returns what it found, None when a place may be had."""

    def __init__(self, read: Callable[[int, uuid.UUID], Seen | None]) -> None:
        self.read = read
        self.lock = threading.Lock()
        self.running: dict[SlotKey, _Look] = {}
        self.coming: dict[SlotKey, _Look] = {}
        self.kept: dict[SlotKey, _Look] = {}

    def ask(self, slot: SlotKey, holder: str | None, since: float) -> Seen | None:
        """Return what a look that began after `since` found; waits for one or makes one."""
        with self.lock:
            kept = self.kept.get(slot)
            if kept is not None and kept.began >= since and time.monotonic() - kept.began <= KEPT_SECONDS:
                return kept.for_(holder)
            before = self.running.get(slot)
            usable = before if before is not None and before.began >= since else self.coming.get(slot)
            mine = usable is None
            look = usable or _Look()
            if mine:
                self.coming[slot] = look
        if mine:
            if before is not None:
                before.over.wait(WAIT_SECONDS)
            self._run(slot, look)
        else:
            look.over.wait(WAIT_SECONDS)
        return look.for_(holder)

    def _run(self, slot: SlotKey, look: _Look) -> None:
        """Make a look. Whoever asks from now on came after it began and waits for the next one."""
        with self.lock:
            if self.coming.get(slot) is look:
                del self.coming[slot]
            self.running[slot] = look
            look.began = time.monotonic()
        try:
            seen = self.read(*slot)
            if time.monotonic() - look.began < MARGIN.total_seconds():
                look.seen = seen
        except SQLAlchemyError:
            pass  # it says nothing; the verb meets the same trouble and the door answers it
        finally:
            with self.lock:
                if self.running.get(slot) is look:
                    del self.running[slot]
                self.kept.pop(slot, None)
                if look.seen is not None:
                    self._tidy()
                    self.kept[slot] = look
            look.over.set()

    def _tidy(self) -> None:
        if len(self.kept) >= KEPT_AT_MOST:
            oldest = time.monotonic() - KEPT_SECONDS
            self.kept = {slot: look for slot, look in self.kept.items() if look.began > oldest}


@cache
def _query(sqlite: bool) -> Select[*tuple[Any, ...]]:
    """Rows when the slot sells nothing: it is on sale now and `MARGIN` later, and nothing of it is sellable then; or its
    release is still to come. The holders of its live holds, one row with None when there is none."""
    now, soon = sql_now(sqlite), sql_now(sqlite, MARGIN)
    slot, clinic, place, held = core(Slot), core(ClinicSession), core(Place), core(Appointment)
    free = exists().where(
        place.c.hospital_id == slot.c.hospital_id, place.c.slot_id == slot.c.id, sellable(soon)
    )
    taken = place.join(
        held, and_(held.c.hospital_id == place.c.hospital_id, held.c.id == place.c.appointment_id)
    )
    holders = (
        select(held.c.holder)
        .select_from(taken)
        .where(
            place.c.hospital_id == bindparam("hospital"),
            place.c.slot_id == bindparam("slot"),
            held.c.status == constant("held"),
            held.c.holder.is_not(None),
        )
        .subquery("holders")
    )
    undrawn = and_(clinic.c.sale == constant("draw"), clinic.c.drawn_at.is_(None))
    return (
        select(holders.c.holder, clinic.c.release_at, *now_columns(sqlite))
        .select_from(
            slot.join(
                clinic, and_(clinic.c.hospital_id == slot.c.hospital_id, clinic.c.id == slot.c.session_id)
            ).outerjoin(holders, true())
        )
        .where(
            slot.c.hospital_id == bindparam("hospital"),
            slot.c.id == bindparam("slot"),
            clinic.c.status.in_([constant(status) for status in SELLING]),
            or_(
                and_(clinic.c.release_at <= now, slot.c.closes_at > soon, ~free),
                and_(clinic.c.release_at > now, ~undrawn),
            ),
        )
    )


def _read(hospital_id: int, slot_id: uuid.UUID) -> Seen | None:
    """Read a slot apart from the request's transaction, which may have begun before this look."""
    query = _query(db.engine.dialect.name == "sqlite")
    rows = read_once(query, {"hospital": hospital_id, "slot": slot_id})
    if not rows:
        return None
    release_at, at, moved = (rows[0][column] for column in (1, 2, 3))
    opens_in = (release_at - instant(at, moved)).total_seconds()
    return Seen(frozenset(row[0] for row in rows if row[0] is not None), max(0.0, opens_in))


_looks = Looks(_read)


def nothing_to_be_had(
    hospital_id: int, slot_id: uuid.UUID, *, holder: str | None = None, since: float | None = None
) -> Seen | None:
    """Return what makes it useless to ask for the slot, at some instant after `since`: full, or not released yet.

    `since` is when the request arrived, by `time.monotonic()` of this process; without it, now. `holder` is the
    browser's hash, None for one that has never held anything. None says nothing: ask the verb. Raises nothing, changes
    nothing; a repeat looks again.
    """
    return _looks.ask((hospital_id, slot_id), holder, time.monotonic() if since is None else since)


def is_full(
    hospital_id: int, slot_id: uuid.UUID, *, holder: str | None = None, since: float | None = None
) -> bool:
    """Whether the slot is released and had no sellable place at some instant after `since`; see `nothing_to_be_had`."""
    seen = nothing_to_be_had(hospital_id, slot_id, holder=holder, since=since)
    return seen is not None and not seen.opens_in
