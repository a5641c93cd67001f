"""What a hold asks before it takes a place, read at once: the slot, the hospital's rules, and what this person holds."""

from __future__ import annotations

import random
import uuid
from collections import namedtuple
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    true,
    union,
)
from sqlalchemy.orm import Session

from booking.appointments.facts import GONE, SlotFacts, facts_columns, facts_joined, facts_of
from booking.appointments.models import Appointment
from booking.appointments.places import end_stale_holds
from booking.appointments.rules import SignInFirst, TooManyHolds, open_seats
from booking.clock import instant, now_columns
from booking.db import constant, core
from booking.directory.models import Policy
from booking.errors import NotFound
from booking.schedule.models import Place
from booking.staff.rules import Actor

SEATS = (1, 2)
HELD, OFFER = constant("held"), constant("offer")

_Rules = namedtuple(
    "_Rules",
    "version hold_minutes hold_minutes_first holds_per_person anonymous_share sign_in_first_minutes",
)
_Mine = namedtuple("_Mine", "id slot_id holder holder_seat held_until kind")


@cache
def _look_query(sqlite: bool) -> Select[*tuple[Any, ...]]:
    """The facts of a slot, the newest rules, the clock, whether the account has booked before, and its live holds.

    One row for each hold of the person (of this browser, or of this account in another), one row when there is none.
    """
    policy, before = core(Policy), core(Appointment).alias("before")
    newest = select(func.max(policy.c.version)).where(policy.c.hospital_id == bindparam("hospital"))
    booked_before = exists().where(before.c.account_id == bindparam("account"), before.c.status != HELD)
    mine = _theirs_query().subquery("mine")

    def joined(found: FromClause) -> FromClause:
        version = and_(
            policy.c.hospital_id == bindparam("hospital"), policy.c.version == newest.scalar_subquery()
        )
        return found.join(policy, version).outerjoin(mine, true())

    return facts_joined(
        *[policy.c[name].label(f"rule_{name}") for name in _Rules._fields],
        *now_columns(sqlite),
        booked_before.label("booked_before"),
        *[mine.c[name].label(f"mine_{name}") for name in _Mine._fields],
        beside=joined,
    )


def _theirs_query() -> CompoundSelect[*tuple[Any, ...]]:
    """The live holds of this browser and of this account: one index each, where an OR would read every hold there is."""
    appointment = core(Appointment)

    def held_by(condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
        return select(*[appointment.c[name] for name in _Mine._fields]).where(
            appointment.c.hospital_id == bindparam("hospital"),
            condition,
            appointment.c.status == HELD,
            appointment.c.kind != OFFER,
        )

    return union(
        held_by(appointment.c.holder == bindparam("holder")),
        held_by(appointment.c.holder_account_id == bindparam("account")),
    )


class Look:
    """What stands before a hold at `now`: `facts` of the slot, `rules` (the newest policy), and the person's `holds`."""

    def __init__(self, rows: Sequence[Any], holder: str) -> None:
        row, at = rows[0], len(facts_columns())
        self.facts: SlotFacts = facts_of(row)
        self.rules: Any = _Rules._make(row[at : at + len(_Rules._fields)])
        at += len(_Rules._fields)
        self.now: datetime = instant(row[at], row[at + 1])
        self.booked_before: bool = bool(row[at + 2])
        self.holder = holder
        self.holds: list[Any] = [_Mine._make(one[at + 3 :]) for one in rows if one[at + 3] is not None]

    def live(self) -> uuid.UUID | None:
        """Return this browser's own live hold of the slot, if any."""
        for one in self.holds:
            if one.holder == self.holder and one.slot_id == self.facts.slot.id and one.held_until > self.now:
                found: uuid.UUID = one.id
                return found
        return None


def look(session: Session, hospital_id: int, slot_id: uuid.UUID, holder: str, account_id: int | None) -> Look:
    """Read all of it in one statement; raises NotFound when there is no such slot or its doctor has left."""
    query = _look_query(session.get_bind().dialect.name == "sqlite")
    asked = {"hospital": hospital_id, "slot": slot_id, "holder": holder, "account": account_id}
    rows = session.connection().execute(query, asked).all()
    if not rows:
        raise NotFound(GONE)
    return Look(rows, holder)


def choose_seats(session: Session, seen: Look, actor: Actor) -> tuple[int, int | None]:
    """Choose the numbers of a new hold under its caps: the person's own seat, and without sign-in one of the session's
    open seats. The unique indexes decide when two choose the same at once. Holds that have run out are ended first.

    Raises TooManyHolds, SignInFirst.
    """
    hospital_id, now = seen.facts.slot.hospital_id, seen.now
    if any(one.held_until <= now for one in seen.holds):
        end_stale_holds(session, hospital_id, now, holder=seen.holder, account_id=actor.account_id)
    used = {one.holder_seat for one in seen.holds if one.held_until > now}
    most = min(seen.rules.holds_per_person, len(SEATS)) if actor.account_id is not None else 1
    free = [seat for seat in SEATS[:most] if seat not in used]
    if not free or len(used) >= most:
        raise TooManyHolds()
    return free[0], None if actor.account_id is not None else _open_seat(session, seen)


def _open_seat(session: Session, seen: Look) -> int:
    opened, fresh = _opened_places(session, seen)
    if fresh:
        raise SignInFirst(slot_id=seen.facts.slot.id)
    unused = _unused_open_seats(session, seen, opened)
    hospital_id, session_id = seen.facts.slot.hospital_id, seen.facts.clinic.id
    if not unused and end_stale_holds(session, hospital_id, seen.now, session_id=session_id, limit=50):
        unused = _unused_open_seats(session, seen, opened)
    if not unused:
        raise SignInFirst(slot_id=seen.facts.slot.id)
    return random.choice(unused)


def _opened_places(session: Session, seen: Look) -> tuple[int, int]:
    """Count the places that are online now, and those of them that a later wave or the roll-over opened a moment ago.

    Each such opening is a small release: machines wait for it as they wait for the first.
    """
    since = seen.now - timedelta(minutes=seen.rules.sign_in_first_minutes)
    rolled = and_(Place.channel != "web", Place.rolls_at <= seen.now)
    fresh = or_(Place.opens_at > since, and_(rolled, Place.rolls_at > since))
    count, just_now = session.execute(
        select(func.count(), func.coalesce(func.sum(case((fresh, 1), else_=0)), 0)).where(
            Place.hospital_id == seen.facts.slot.hospital_id,
            Place.session_id == seen.facts.clinic.id,
            Place.withdrawn.is_(False),
            or_(Place.channel == "web", rolled),
            or_(Place.opens_at.is_(None), Place.opens_at <= seen.now),
        )
    ).one()
    return count, int(just_now)


def _unused_open_seats(session: Session, seen: Look, opened: int) -> list[int]:
    taken = set(
        session.scalars(
            select(Appointment.open_seat).where(
                Appointment.hospital_id == seen.facts.slot.hospital_id,
                Appointment.session_id == seen.facts.clinic.id,
                Appointment.status == HELD,
                Appointment.open_seat.is_not(None),
            )
        )
    )
    cap = open_seats(opened, seen.rules.anonymous_share)
    return [seat for seat in range(1, cap + 1) if seat not in taken]
