"""Stop a session (停诊): total, and nobody is left without a letter; and reopen it for whoever comes next."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from booking.appointments.announce import tell
from booking.appointments.finish import finish_row
from booking.appointments.models import ACTIVE, Appointment
from booking.appointments.places import change_status, end_hold, return_place
from booking.appointments.rules import HERE, SeenLongAgo, may_be_seen
from booking.appointments.wish_stops import tell_waiting
from booking.clock import db_now
from booking.db import retried, transaction
from booking.directory.policy import policy_version
from booking.errors import BadInput, NotFound
from booking.schedule.models import ClinicSession, Place
from booking.schedule.rules import SessionOver
from booking.schedule.sellable import USED
from booking.schedule.wanted import keep_back_for_wishes
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record

PAGE_IS_GOOD_FOR = timedelta(minutes=30)
"""A word about who has been seen is taken so long after the list was shown; then it has to be looked at again."""


@dataclass(frozen=True)
class Stopped:
    """How many visits were cancelled, how many letters tell about it, and how many had been seen before; `again` when it
    was stopped before."""

    count: int
    letters: int
    again: bool
    seen: int = 0


@retried
def stop_session(
    hospital_id: int,
    session_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str,
    note: str = "",
    seen_until: datetime | None = None,
) -> Stopped:
    """Stop a session: it sells nothing any more, every active appointment in it is cancelled by the hospital and told.

    Whoever waits for it and for nothing else is told too.

    `reason` is what patients read, `note` stays inside. `seen_until` is the word of whoever stops, at the instant at which
    they saw the list: who had checked in by then and whose time had begun was seen before the stop. Their visits are
    finished, not cancelled, and they are told nothing; everybody else, and all without that word, are cancelled. Whoever
    may stop may give it, also without `finish`: the trail keeps whose visits it finished. A repeat changes nothing.
    Raises BadInput, SeenLongAgo when `seen_until` is to come or `PAGE_IS_GOOD_FOR` ago, SessionOver when the session has
    ended, NotFound, NotAllowed.

    Total also against holds that arrive at the same moment: free places are closed first (taking a place requires it
    open), then the active appointments are ended, until no open place is left.
    """
    ensure_may(actor, "stop_session", hospital_id)
    reason = reason.strip()
    if not reason:
        raise BadInput("请填写停诊原因", errors={"reason": "请填写停诊原因，患者会看到"})
    with transaction() as session:
        # FOR NO KEY UPDATE: a hold that has its place must not wait here for us while we wait for that place
        clinic = session.get(ClinicSession, (hospital_id, session_id), with_for_update={"key_share": True})
        if clinic is None:
            raise NotFound("没有找到这个班次。")
        if clinic.status == "stopped":
            return Stopped(clinic.stopped_count, 0, True)
        now = db_now(session)
        if clinic.status == "finished" or clinic.ends_at <= now:
            raise SessionOver()
        if seen_until is not None and not now - PAGE_IS_GOOD_FOR <= seen_until <= now:
            raise SeenLongAgo()
        clinic.status, clinic.stop_reason, clinic.stop_note = "stopped", reason[:200], note.strip()[:200]
        clinic.stopped_at, clinic.version = now, clinic.version + 1
        clinic.changed_at, clinic.changed_by = now, actor.name
        session.flush()
        count = letters = 0
        seen: list[str] = []
        for _ in range(50):
            _close_free_places(session, hospital_id, session_id)
            if seen_until is not None:
                seen += _finish_seen(session, hospital_id, session_id, seen_until, actor, now)
            ended, told = _end_all(session, hospital_id, session_id, actor, reason, now)
            count, letters = count + ended, letters + told
            if not _open_places(session, hospital_id, session_id):
                break
        else:
            raise RuntimeError(f"session {session_id} could not be emptied")
        letters += tell_waiting(session, clinic, now=now)
        session.execute(
            update(ClinicSession)
            .where(ClinicSession.hospital_id == hospital_id, ClinicSession.id == session_id)
            .values(stopped_count=count)
        )
        change: dict[str, Any] = {"cancelled": count, "letters": letters, "seen": len(seen)}
        change |= {"finished": seen} if seen else {}
        record(
            session,
            hospital_id,
            actor,
            "stop_session",
            "session",
            session_id,
            now=now,
            change=change,
            reason=reason,
        )
    return Stopped(count, letters, False, len(seen))


def _close_free_places(session: Session, hospital_id: int, session_id: uuid.UUID) -> None:
    session.execute(
        update(Place)
        .where(
            Place.hospital_id == hospital_id,
            Place.session_id == session_id,
            Place.open.is_(True),
            Place.appointment_id.is_(None),
        )
        .values(open=False)
        .execution_options(synchronize_session=False)
    )


def _open_places(session: Session, hospital_id: int, session_id: uuid.UUID) -> int:
    return (
        session.scalar(
            select(func.count()).where(
                Place.hospital_id == hospital_id, Place.session_id == session_id, Place.open.is_(True)
            )
        )
        or 0
    )


def _locked(
    session: Session, hospital_id: int, session_id: uuid.UUID, statuses: Sequence[str]
) -> list[Appointment]:
    return list(
        session.scalars(
            select(Appointment)
            .where(
                Appointment.hospital_id == hospital_id,
                Appointment.session_id == session_id,
                Appointment.status.in_(statuses),
            )
            .order_by(Appointment.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def _finish_seen(
    session: Session,
    hospital_id: int,
    session_id: uuid.UUID,
    seen_until: datetime,
    actor: Actor,
    now: datetime,
) -> list[str]:
    here = _locked(session, hospital_id, session_id, HERE)
    seen = [row for row in here if may_be_seen(row.starts_at, row.arrived_at, seen_until)]
    for row in seen:
        finish_row(session, row, actor=actor, now=now)
    return [row.id.hex for row in seen]


def _end_all(
    session: Session, hospital_id: int, session_id: uuid.UUID, actor: Actor, reason: str, now: datetime
) -> tuple[int, int]:
    count = letters = 0
    for row in _locked(session, hospital_id, session_id, ACTIVE):
        if row.status == "held":
            end_hold(session, row, "stop", actor=actor, now=now, reason=reason)
            continue
        if row.status not in ACTIVE:
            continue  # the other half of a pair's offer, ended with the first
        place_id = row.place_id
        change_status(
            session,
            row,
            "stop",
            "cancelled",
            actor=actor,
            now=now,
            reason=reason,
            holds_place_id=None,
            cancelled_at=now,
            cancelled_by="hospital",
            cancel_reason=reason,
        )
        return_place(session, hospital_id, place_id, row.id)
        policy = policy_version(session, hospital_id, row.policy_version)
        letters += tell(session, row, "stopped", policy=policy, now=now, facts={"reason": reason})
        count += 1
    return count, letters


@retried
def reopen_session(hospital_id: int, session_id: uuid.UUID, *, actor: Actor) -> int:
    """Publish a stopped session again; return how many free places opened. Cancelled visits stay cancelled, and the
    numbers of those who had been seen stay theirs.

    Raises SessionOver when it is not stopped or has ended, NotFound, NotAllowed.
    """
    ensure_may(actor, "reopen_session", hospital_id)
    with transaction() as session:
        clinic = session.get(ClinicSession, (hospital_id, session_id), with_for_update={"key_share": True})
        if clinic is None:
            raise NotFound("没有找到这个班次。")
        now = db_now(session)
        if clinic.status != "stopped" or clinic.ends_at <= now:
            raise SessionOver("这个班次没有停诊，或已经结束，不能恢复。")
        clinic.status = "running" if clinic.starts_at <= now else "published"
        clinic.stopped_at, clinic.version = None, clinic.version + 1
        clinic.changed_at, clinic.changed_by = now, actor.name
        session.flush()
        done = session.execute(
            update(Place)
            .where(
                Place.hospital_id == hospital_id,
                Place.session_id == session_id,
                Place.withdrawn.is_(False),
                Place.appointment_id.is_(None),
                or_(Place.rests_until.is_(None), Place.rests_until < USED),
            )
            .values(open=True, rests_until=None, freed_at=None)  # how it rested before says nothing any more
            .returning(Place.id)
            .execution_options(synchronize_session=False)
        ).all()
        opened = len(done)
        keep_back_for_wishes(session, hospital_id, session_id, [place_id for (place_id,) in done])
        record(
            session,
            hospital_id,
            actor,
            "reopen_session",
            "session",
            session_id,
            now=now,
            change={"places": opened},
        )
    return opened
