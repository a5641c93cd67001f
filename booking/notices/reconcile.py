"""The reconciler (对账): does every visit have the letters its last change owes? What is missing is put, and counted.

What is owed is not decided here: `letters_of` says it, the same function that a verb puts letters by. A missing letter is
put under the dedupe key its verb would have used, so this can never make a second one, whoever else is at work.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from booking.appointments.announce import TOLD_AS, UNTOLD, People, hospital_hears, letters_of, people_of
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.places import lock_appointment
from booking.appointments.reminders import after_quiet
from booking.clock import db_now, local
from booking.db import db, end_read, new_id, retried, transaction
from booking.directory.models import Hospital, Policy
from booking.directory.policy import policy_version
from booking.outbox import Letter, Message, put_missing
from booking.people.models import Account, Patient
from booking.staff.rules import ROLES

log = logging.getLogger(__name__)

OWING = tuple(verb for verb, kind in TOLD_AS.items() if kind not in UNTOLD)
"""The verbs that owe a letter of their own, whatever reminders are still to come."""
TOLD = ("booked", "cancelled", "no_show", "excused")
BATCH = 500
RECENT = timedelta(minutes=20)
SWEEP = timedelta(minutes=5)
CAN_WAIT = ("no_show", "excused")
"""Letters that do not go out in quiet hours; all others about a change go at once."""
LATER_CHANNELS = ("email", "wechat", "voice", "webhook")
"""Ways that a person may open after the letter was put: it is not missing there as long as it was put elsewhere."""
Say = Callable[[str, date, int, int], None]
"""Told while a sweep runs: hospital, date, visits looked at, letters put."""


@dataclass
class Found:
    """What a look found: visits looked at, visits that lacked a letter, letters put for them."""

    looked_at: int = 0
    lacking: int = 0
    put: int = 0

    def add(self, other: Found) -> None:
        self.looked_at += other.looked_at
        self.lacking += other.lacking
        self.put += other.put


def reconcile(repair: bool = True) -> Found:
    """Look at what changed within the last minutes, and at one date of each hospital; put what is missing.

    Cheap enough for every few minutes. The dates take turns by the clock, so that every date to come is looked at once
    in a few hours, whichever worker runs this and however often: nothing is remembered between two runs. A repeat finds
    nothing left.
    """
    found = Found()
    session = end_read()
    for hospital_id, zone in session.execute(select(Hospital.id, Hospital.zone).order_by(Hospital.id)).all():
        found.add(_look(hospital_id, [_recent(hospital_id)], repair))
        day = _turn(hospital_id, zone)
        if day is not None:
            found.add(_look(hospital_id, _of_date(hospital_id, day), repair))
    if found.lacking:
        log.error("%s visits lacked %s letters, put now: %s", found.lacking, found.put, repair)
    return found


def sweep(
    hospital_id: int, *, repair: bool = True, since: date | None = None, say: Say | None = None
) -> Found:
    """Look at every visit of a hospital from yesterday (or `since`) on, date by date; put what is missing.

    May be cut off at any time and begun again: what was put stays, and `since` skips the dates that were done.
    """
    found = Found()
    session = end_read()
    name, zone = session.execute(select(Hospital.slug, Hospital.zone).where(Hospital.id == hospital_id)).one()
    for day in _dates(hospital_id, zone):
        if since is not None and day < since:
            continue
        found.add(_look(hospital_id, _of_date(hospital_id, day), repair))
        if say is not None:
            say(name, day, found.looked_at, found.put)
    return found


def without_letters(hospital_id: int) -> int:
    """Return how many visits changed within the last minutes of whom the ledger knows nothing at all.

    For a monitor: one statement over indexes. What the reconciler finds is finer, and is counted as repaired.
    """
    known = exists().where(
        Message.hospital_id == Appointment.hospital_id,
        Message.appointment_id == Appointment.id,
        Message.version == Appointment.version,
    )
    query = (
        select(func.count())
        .select_from(Appointment)
        .join(AppointmentEvent, _is_last_event())
        .outerjoin(Patient, Patient.id == Appointment.patient_id)
        .where(
            AppointmentEvent.hospital_id == hospital_id,
            AppointmentEvent.id >= _id_of(RECENT),
            AppointmentEvent.verb.in_(OWING),
            Appointment.status.in_(TOLD),
            or_(Appointment.account_id.is_not(None), Patient.phone_hash.is_not(None)),
            ~known,
        )
    )
    return db.session.scalar(query) or 0


# --- which visits ----------------------------------------------------------------------------------------------------


def _recent(hospital_id: int) -> Select[Any]:
    """Visits whose event rows are new. Ids are made in the order of time: the primary key finds them."""
    return (
        select(AppointmentEvent.appointment_id)
        .where(
            AppointmentEvent.hospital_id == hospital_id,
            AppointmentEvent.id >= _id_of(RECENT),
            AppointmentEvent.verb.in_(TOLD_AS),
        )
        .distinct()
    )


def _id_of(ago: timedelta) -> uuid.UUID:
    """The id that was made so long ago: their first 48 bits are milliseconds (RFC 9562)."""
    return uuid.UUID(int=new_id().int - (int(ago.total_seconds() * 1000) << 80))


def _is_last_event() -> Any:
    return and_(
        AppointmentEvent.hospital_id == Appointment.hospital_id,
        AppointmentEvent.appointment_id == Appointment.id,
        AppointmentEvent.version == Appointment.version,
    )


def _of_date(hospital_id: int, day: date) -> Iterator[Select[Any]]:
    """The visits of one date in batches, in the order of the index over date and code; each knows where it begins."""
    after = ""
    while True:
        codes = db.session.scalars(
            select(Appointment.visit_code)
            .where(
                Appointment.hospital_id == hospital_id,
                Appointment.visit_date == day,
                Appointment.visit_code > after,
            )
            .order_by(Appointment.visit_code)
            .limit(BATCH)
        ).all()
        if not codes:
            return
        yield select(Appointment.id).where(
            Appointment.hospital_id == hospital_id,
            Appointment.visit_date == day,
            Appointment.visit_code > after,
            Appointment.visit_code <= codes[-1],
        )
        after = codes[-1] or ""


def _dates(hospital_id: int, zone: str) -> list[date]:
    """The dates from yesterday on to the last one with a visit."""
    session = end_read()
    first = local(db_now(session), zone).date() - timedelta(days=1)
    last = session.scalar(
        select(func.max(Appointment.visit_date)).where(Appointment.hospital_id == hospital_id)
    )
    return (
        [first + timedelta(days=n) for n in range((last - first).days + 1)] if last and last >= first else []
    )


def _turn(hospital_id: int, zone: str) -> date | None:
    dates = _dates(hospital_id, zone)
    turn = int(db_now(db.session()).timestamp() // SWEEP.total_seconds())
    return dates[turn % len(dates)] if dates else None


# --- what is missing -------------------------------------------------------------------------------------------------


def _look(hospital_id: int, batches: Iterable[Select[Any]], repair: bool) -> Found:
    found = Found()
    for chosen in batches:
        session = end_read()
        rows = _told(session, hospital_id, chosen)
        found.looked_at += len(rows)
        for row_id, _missing in _missing_of(session, hospital_id, rows):
            found.lacking += 1
            if repair:
                found.put += _repair(hospital_id, row_id)
    end_read()
    return found


Told = tuple[Appointment, AppointmentEvent]


def _told(session: Session, hospital_id: int, chosen: Any) -> list[Told]:
    """The chosen visits whose last change is one that people are told of, with its event."""
    rows = session.execute(
        select(Appointment, AppointmentEvent)
        .join(AppointmentEvent, _is_last_event())
        .where(
            Appointment.hospital_id == hospital_id,
            Appointment.id.in_(chosen),
            Appointment.status.in_(TOLD),
            AppointmentEvent.verb.in_(TOLD_AS),
        )
    )
    return [(row, event) for row, event in rows]


def _missing_of(
    session: Session, hospital_id: int, rows: Sequence[Told]
) -> Iterator[tuple[uuid.UUID, list[Letter]]]:
    if not rows:
        return
    now = db_now(session)
    there = _letters_there(session, hospital_id, rows)
    hears = hospital_hears(session, hospital_id)
    accounts = _by_id(session, Account, {row.account_id for row, _ in rows})
    patients = _by_id(session, Patient, {row.patient_id for row, _ in rows})
    policies = {
        one.version: one
        for one in session.scalars(
            select(Policy).where(
                Policy.hospital_id == hospital_id,
                Policy.version.in_({row.policy_version for row, _ in rows}),
            )
        )
    }
    for row, event in rows:
        people = accounts.get(row.account_id), patients.get(row.patient_id)
        owed = _owed(row, event, policies[row.policy_version], people, hears, now)
        missing = _missing(row, owed, there.get(row.id, {}))
        if missing:
            yield row.id, missing


def _by_id(session: Session, kind: Any, ids: set[int | None]) -> dict[int | None, Any]:
    found = session.scalars(select(kind).where(kind.id.in_([one for one in ids if one is not None])))
    return {one.id: one for one in found}


There = dict[str, tuple[str, str]]
"""The letters there are about one version of a visit: dedupe key -> (kind, recipient)."""


def _letters_there(session: Session, hospital_id: int, rows: Sequence[Told]) -> dict[uuid.UUID, There]:
    found: dict[uuid.UUID, There] = {}
    for appointment_id, key, kind, recipient in session.execute(
        select(Message.appointment_id, Message.dedupe_key, Message.kind, Message.recipient).where(
            Message.hospital_id == hospital_id, Message.appointment_id.in_([row.id for row, _ in rows])
        )
    ):
        if appointment_id is not None:
            found.setdefault(appointment_id, {})[key] = (kind, recipient)
    return found


def _owed(
    row: Appointment, event: AppointmentEvent, policy: Policy, people: People, hears: bool, now: datetime
) -> list[Letter]:
    """The letters that the last change of a visit asks for and that are still of use at `now`.

    A reminder whose time is over is not put late: the visit's other letters have told of it.
    """
    kind = TOLD_AS[event.verb]
    facts = _facts(row, event)
    letters = letters_of(row, kind, policy=policy, people=people, now=event.at, facts=facts, hears=hears)
    return [one for one in letters if one.expires_at > now and (one.kind == kind or one.due_at > now)]


def _facts(row: Appointment, event: AppointmentEvent) -> dict[str, Any] | None:
    """What the verb wrote into its letters, read from what it wrote into its event."""
    if event.verb == "stop":
        return {"reason": event.reason}
    if event.verb == "cancel":
        return {"by": row.cancelled_by}
    if event.verb == "move":
        if "by" not in event.facts:  # moved by an earlier release, which told nobody the reason
            return event.facts | {"by": "hospital" if event.actor_kind in ROLES else "patient"}
        why = {"reason": event.reason} if event.facts["by"] == "hospital" and event.reason else {}
        return event.facts | why
    return None


def _missing(row: Appointment, owed: list[Letter], there: There) -> list[Letter]:
    """The owed letters that the ledger lacks, whatever became of those it has."""
    version = f":{row.version}:"
    put = {told for key, told in there.items() if version in key}
    return [
        one
        for one in owed
        if one.key(row.id, row.version) not in there
        and not (one.channel in LATER_CHANNELS and (one.kind, one.recipient) in put)
    ]


@retried
def _repair(hospital_id: int, appointment_id: uuid.UUID) -> int:
    """Put what one visit lacks, with the visit locked and everything read again; return how many letters."""
    with transaction() as session:
        row = lock_appointment(session, hospital_id, appointment_id)
        if row is None:
            return 0
        told = _told(session, hospital_id, [appointment_id])
        if not told:
            return 0
        _row, event = told[0]
        now = db_now(session)
        policy = policy_version(session, hospital_id, row.policy_version)
        owed = _owed(row, event, policy, people_of(session, row), hospital_hears(session, hospital_id), now)
        there = _letters_there(session, hospital_id, told).get(row.id, {})
        quiet = row.zone, policy.quiet_from, policy.quiet_to
        at_once = after_quiet(now, *quiet) if TOLD_AS[event.verb] in CAN_WAIT else now
        letters = [replace(one, due_at=max(one.due_at, at_once)) for one in _missing(row, owed, there)]
        return put_missing(session, hospital_id, letters, now=now, appointment_id=row.id, version=row.version)
