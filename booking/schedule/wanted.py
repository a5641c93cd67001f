"""What people wait for (候补): the wishes, and the question whoever frees a place must ask: does anybody want it?"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Select,
    String,
    UniqueConstraint,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from booking.clock import db_now
from booking.db import Instant, Model, Tenant, after_commit, constant
from booking.directory.models import Practice
from booking.directory.policy import current_policy
from booking.schedule.models import ClinicSession, Place, Slot
from booking.schedule.waiting_rules import list_closes, rest_until

WAITING = constant("waiting")
LIVE_WISH = ("waiting", "offered")
LIVING = (WAITING, constant("offered"))
"""The same in the text of a query, where partial indexes need them."""
SELLING = ("published", "running")


class Wish(Tenant, Model):
    """A wish (候补): an account waits for a place for one patient, or for two that belong together (`party` 2).

    `turn_at` is the place in line: the moment of joining, or of the second turn that was let go. `session_id` is the full
    session it was joined from, `line_at_join` the place in line seen then. `round` counts the offers made.
    """

    __tablename__ = "wish"
    __table_args__ = (
        ForeignKeyConstraint(
            ["hospital_id", "session_id"], ["clinic_session.hospital_id", "clinic_session.id"]
        ),
        UniqueConstraint("hospital_id", "account_id", "request_key", name="uq_one_wish_per_request_key"),
        CheckConstraint("status IN ('waiting', 'offered', 'served', 'ended')", name="status"),
        CheckConstraint("(status IN ('waiting', 'offered')) = (ended_at IS NULL)", name="ended_says_when"),
        CheckConstraint("party BETWEEN 1 AND 2", name="one_or_a_pair"),
        CheckConstraint("last_date >= first_date", name="dates_in_order"),
        CheckConstraint("turns_kept >= 0", name="turns_kept"),
        Index(
            "ix_wish_waiting",
            "hospital_id",
            "turn_at",
            sqlite_where=text("status = 'waiting'"),
            postgresql_where=text("status = 'waiting'"),
        ),
        Index(
            "ix_wish_live",
            "hospital_id",
            "last_date",
            sqlite_where=text("status IN ('waiting', 'offered')"),
            postgresql_where=text("status IN ('waiting', 'offered')"),
        ),
        Index("ix_wish_account", "account_id", "joined_at"),
        Index("ix_wish_session", "hospital_id", "session_id"),
    )
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    session_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    status: Mapped[str] = mapped_column(String(8), default="waiting")
    party: Mapped[int] = mapped_column(default=1)
    first_date: Mapped[date]
    last_date: Mapped[date]
    joined_at: Mapped[datetime] = mapped_column(Instant)
    turn_at: Mapped[datetime] = mapped_column(Instant)
    turns_kept: Mapped[int] = mapped_column(default=1)
    round: Mapped[int] = mapped_column(default=0)
    line_at_join: Mapped[int] = mapped_column(default=1)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    end_reason: Mapped[str] = mapped_column(String(12), default="")
    request_key: Mapped[str | None] = mapped_column(String(80))
    request_digest: Mapped[str] = mapped_column(String(64), default="")


class WishChoice(Tenant, Model):
    """One thing a wish names: a doctor, a department, a part of day, a campus or a kind.

    Doctors and departments add up (either will do); of parts, campuses and kinds none means any. `last_date` repeats the
    wish's, so that the index of what somebody wants leaves old wishes behind.
    """

    __tablename__ = "wish_choice"
    __table_args__ = (
        ForeignKeyConstraint(["hospital_id", "wish_id"], ["wish.hospital_id", "wish.id"]),
        ForeignKeyConstraint(["hospital_id", "doctor_id"], ["doctor.hospital_id", "doctor.id"]),
        ForeignKeyConstraint(["hospital_id", "department_id"], ["department.hospital_id", "department.id"]),
        ForeignKeyConstraint(["hospital_id", "day_part_id"], ["day_part.hospital_id", "day_part.id"]),
        ForeignKeyConstraint(["hospital_id", "campus_id"], ["campus.hospital_id", "campus.id"]),
        ForeignKeyConstraint(
            ["hospital_id", "clinic_kind_id"], ["clinic_kind.hospital_id", "clinic_kind.id"]
        ),
        CheckConstraint(
            "(CASE WHEN doctor_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN department_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN day_part_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN campus_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN clinic_kind_id IS NULL THEN 0 ELSE 1 END) = 1",
            name="names_one_thing",
        ),
        Index("ix_wish_choice_wish", "hospital_id", "wish_id"),
        Index(
            "ix_wish_choice_doctor",
            "hospital_id",
            "doctor_id",
            "last_date",
            sqlite_where=text("doctor_id IS NOT NULL"),
            postgresql_where=text("doctor_id IS NOT NULL"),
        ),
        Index(
            "ix_wish_choice_department",
            "hospital_id",
            "department_id",
            "last_date",
            sqlite_where=text("department_id IS NOT NULL"),
            postgresql_where=text("department_id IS NOT NULL"),
        ),
    )
    wish_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    last_date: Mapped[date]
    doctor_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    department_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    day_part_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    campus_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    clinic_kind_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)


def covers() -> ColumnElement[bool]:
    """The wishes that name the session of the surrounding query, which has `ClinicSession` and its `Practice`.

    The database does the matching: the wishes that name the doctor or the department are one list, found by index (an OR
    of two lists would be asked of every wish); a wish of it is then compared by date, part of day, campus and kind.
    """
    named = (
        select(WishChoice.wish_id)
        .where(
            WishChoice.hospital_id == ClinicSession.hospital_id,
            column == value,
            WishChoice.last_date >= ClinicSession.local_date,
        )
        .correlate(ClinicSession, Practice)
        for column, value in _names()
    )
    return and_(Wish.id.in_(union(*named)), _fits())


def _names() -> tuple[tuple[Any, Any], ...]:
    """What a wish must name, the one or the other, with what the session has of it."""
    return (
        (WishChoice.doctor_id, ClinicSession.doctor_id),
        (WishChoice.department_id, Practice.department_id),
    )


def _fits() -> ColumnElement[bool]:
    """The wishes of the session's hospital that its date, part of day, campus and kind suit."""
    rest = [
        _any_or(column, value)
        for column, value in (
            (WishChoice.day_part_id, ClinicSession.day_part_id),
            (WishChoice.campus_id, Practice.campus_id),
            (WishChoice.clinic_kind_id, ClinicSession.clinic_kind_id),
        )
    ]
    return and_(
        Wish.hospital_id == ClinicSession.hospital_id,
        Wish.first_date <= ClinicSession.local_date,
        Wish.last_date >= ClinicSession.local_date,
        *rest,
    )


def _wanted() -> ColumnElement[bool]:
    """Whether a living wish names the session of the surrounding query: from its doctor and its department, by index.

    One question for each: an OR inside would have the database ask every wish of the hospital.
    """
    named = aliased(WishChoice)
    return or_(
        *(
            select(Wish.id)
            .join(named, and_(named.hospital_id == Wish.hospital_id, named.wish_id == Wish.id))
            .where(
                named.hospital_id == ClinicSession.hospital_id,
                getattr(named, column.key) == value,
                named.last_date >= ClinicSession.local_date,
                Wish.status.in_(LIVING),
                _fits(),
            )
            .correlate(ClinicSession, Practice)
            .exists()
            for column, value in _names()
        )
    )


def _any_or(column: Any, value: Any) -> ColumnElement[bool]:
    """Whether a wish leaves this open or names the session's value.

    One look at its own choices: two EXISTS would tempt the database to read the choices of every wish there ever was.
    """
    suits = (
        select(func.max(case((column == value, 1), else_=0)))
        .where(WishChoice.hospital_id == Wish.hospital_id, WishChoice.wish_id == Wish.id, column.is_not(None))
        .correlate(Wish, ClinicSession, Practice)
        .scalar_subquery()
    )
    return func.coalesce(suits, 1) == 1


def with_practice() -> ColumnElement[bool]:
    """How a session's practice is joined."""
    return and_(Practice.hospital_id == ClinicSession.hospital_id, Practice.id == ClinicSession.practice_id)


@cache
def _freed_query() -> Select[*tuple[Any, ...]]:
    """A free place with what its resting depends on, and whether anybody waits for it."""
    return (
        select(
            ClinicSession.local_date,
            ClinicSession.zone,
            ClinicSession.release_at,
            ClinicSession.status,
            Slot.closes_at,
            Place.open,
            Place.channel,
            Place.rolls_at,
            Place.opens_at,
            _wanted().label("wanted"),
        )
        .select_from(Place)
        .join(Slot, and_(Slot.hospital_id == Place.hospital_id, Slot.id == Place.slot_id))
        .join(
            ClinicSession,
            and_(ClinicSession.hospital_id == Place.hospital_id, ClinicSession.id == Place.session_id),
        )
        .join(Practice, with_practice())
        .where(Place.hospital_id == bindparam("hospital"), Place.id == bindparam("place"))
    )


_wake: list[Callable[[], None]] = []


def on_kept_back(wake: Callable[[], None]) -> None:
    """Set the call made after a transaction that kept places back has committed; it must neither raise nor wait."""
    _wake[:] = [wake]


def _call_wake() -> None:
    for wake in _wake:
        wake()


def keep_back_if_wanted(
    session: Session, hospital_id: int, place_ids: Iterable[uuid.UUID], *, asked: bool = False
) -> int:
    """Let free places rest when a waiting wish may match; return how many. In the transaction that frees them.

    Nobody can take a resting place before the list was asked (`freed_at` says since when it is to be asked); when nobody
    there can use it, it comes back to everybody at `rests_until`, a random minute of the policy's published window.
    `asked`: the list is being asked already, this place comes back from an offer; it goes on resting in any case.
    What is not sold online, is not open yet, or whose list has closed, does not rest. A plain return costs one statement.
    """
    kept = 0
    for place_id in place_ids:
        row = session.execute(_freed_query(), {"hospital": hospital_id, "place": place_id}).first()
        if row is None or not (asked or row.wanted) or not row.open or row.status not in SELLING:
            continue
        now, policy = db_now(session), current_policy(session, hospital_id)
        online = row.channel == "web" or (row.rolls_at is not None and row.rolls_at <= now)
        opened = row.opens_at is None or row.opens_at <= now
        if row.release_at > now or not online or not opened:
            continue
        closes = list_closes(policy.wish_ends_days_before, policy.wish_ends_time, row.local_date, row.zone)
        until = rest_until(
            now,
            window_from=policy.return_from,
            window_to=policy.return_to,
            zone=row.zone,
            closes_at=row.closes_at,
            pick=random.randrange,
        )
        if until is None or (now >= closes and not asked):
            continue
        session.execute(
            update(Place)
            .where(Place.hospital_id == hospital_id, Place.id == place_id, Place.appointment_id.is_(None))
            .values(rests_until=until, **({} if asked else {"freed_at": now}))
            .execution_options(synchronize_session=False)
        )
        after_commit(session, "offers", _call_wake)
        kept += 1
    return kept


@cache
def _seats_query() -> Select[*tuple[Any, ...]]:
    """How many places the wishes that name a session wait for."""
    return (
        select(func.coalesce(func.sum(Wish.party), 0))
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(Wish, covers())
        .where(
            ClinicSession.hospital_id == bindparam("hospital"),
            ClinicSession.id == bindparam("session"),
            Wish.status.in_(LIVING),
        )
    )


def keep_back_for_wishes(
    session: Session, hospital_id: int, session_id: uuid.UUID, place_ids: Sequence[uuid.UUID]
) -> int:
    """Let so many of the places a session has just gained rest as people wait for it; return how many."""
    asked_for = {"hospital": hospital_id, "session": session_id}
    seats = (session.scalar(_seats_query(), asked_for) if place_ids else 0) or 0
    kept = 0
    for place_id in place_ids:
        if kept >= seats:
            break
        kept += keep_back_if_wanted(session, hospital_id, [place_id])
    return kept
