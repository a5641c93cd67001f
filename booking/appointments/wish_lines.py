"""Where somebody stands in line, and the honest odds: counted from rows, nothing guessed."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, Uuid, and_, bindparam, case, func, or_, select
from sqlalchemy.orm import Session

from booking.appointments.wish_rules import Odds, about_the_same
from booking.clock import local
from booking.db import Instant
from booking.directory.models import Hospital, Practice
from booking.directory.policy import current_policy
from booking.schedule.models import ClinicSession
from booking.schedule.waiting_rules import first_open_date
from booking.schedule.wanted import LIVING, Wish, WishChoice, covers, with_practice

REMEMBERED = timedelta(days=180)


def line_of_session(
    session: Session, hospital_id: int, session_id: uuid.UUID, *, before: Wish | None = None
) -> int:
    """Return how many live wishes name a session; with `before` only those ahead of that wish."""
    asked: dict[str, Any] = {"hospital": hospital_id, "session": session_id}
    if before is not None:
        asked |= {"turn": before.turn_at, "wish": before.id}
    return session.connection().execute(_line_query(before is not None), asked).scalar() or 0


@cache
def _line_query(ahead_of_one: bool) -> Select[*tuple[Any, ...]]:
    query = (
        select(func.count())
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(Wish, covers())
        .where(
            ClinicSession.hospital_id == bindparam("hospital"),
            ClinicSession.id == bindparam("session"),
            Wish.status.in_(LIVING),
        )
    )
    if ahead_of_one:
        turn, wish = bindparam("turn", type_=Instant()), bindparam("wish", type_=Uuid())
        query = query.where(or_(Wish.turn_at < turn, and_(Wish.turn_at == turn, Wish.id < wish)))
    return query


def may_still_get(session: Session, wish: Wish, now: datetime) -> bool:
    """Whether any session that a wish names can still have a number for it: not stopped, its list not closed; a draft may
    be published yet."""
    return wish.id in who_may_still_get(session, wish.hospital_id, [wish], now)


def who_may_still_get(
    session: Session, hospital_id: int, wishes: Collection[Wish], now: datetime
) -> set[uuid.UUID]:
    """Return the ids of those of a hospital's wishes of which `may_still_get` is true, in one question.

    Only sessions of the doctors and departments that these wishes name are compared with them, not the whole house's.
    """
    if not wishes:
        return set()
    policy = current_policy(session, hospital_id)
    zone = session.scalar(select(Hospital.zone).where(Hospital.id == hospital_id)) or "UTC"
    opens = first_open_date(policy.wish_ends_days_before, policy.wish_ends_time, local(now, zone))
    named = [WishChoice.hospital_id == hospital_id, WishChoice.wish_id.in_([one.id for one in wishes])]
    doctors, departments = (
        select(column).where(*named, column.is_not(None))
        for column in (WishChoice.doctor_id, WishChoice.department_id)
    )
    query = (
        select(Wish.id)
        .distinct()
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(Wish, covers())
        .where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.local_date >= max(opens, min(one.first_date for one in wishes)),
            ClinicSession.local_date <= max(one.last_date for one in wishes),
            ClinicSession.status.not_in(("stopped", "finished")),
            ClinicSession.ends_at > now,
            or_(ClinicSession.doctor_id.in_(doctors), Practice.department_id.in_(departments)),
            Wish.id.in_([one.id for one in wishes]),
        )
    )
    return set(session.scalars(query))


def odds_of(session: Session, hospital_id: int, session_id: uuid.UUID, line: int, now: datetime) -> Odds:
    """Return how many earlier wishes about as far in line for the same doctor or department got a place.

    Of the last 180 days, only those that were served or ended by rule: who left has told nothing about the chances.
    """
    first, last = about_the_same(line)
    mine = (
        select(Practice.doctor_id, Practice.department_id)
        .join(ClinicSession, with_practice())
        .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id == session_id)
        .subquery()
    )
    row = session.execute(
        select(func.count(), func.sum(case((Wish.status == "served", 1), else_=0)))
        .select_from(Wish)
        .join(
            ClinicSession,
            and_(ClinicSession.hospital_id == Wish.hospital_id, ClinicSession.id == Wish.session_id),
        )
        .join(Practice, with_practice())
        .join(
            mine,
            or_(mine.c.doctor_id == ClinicSession.doctor_id, mine.c.department_id == Practice.department_id),
        )
        .where(
            Wish.hospital_id == hospital_id,
            Wish.joined_at > now - REMEMBERED,
            Wish.line_at_join.between(first, last),
            or_(Wish.status == "served", Wish.end_reason == "rule"),
        )
    ).one()
    return Odds(served=int(row[1] or 0), known=int(row[0] or 0))
