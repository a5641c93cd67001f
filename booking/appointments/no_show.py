"""No-shows (爽约): judged once, after the rule time, on evidence; and taken back by the desk's word that somebody was here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from booking.appointments.announce import tell, tell_hospital
from booking.appointments.cancel import own_appointment
from booking.appointments.models import Appeal, Appointment, DeskTicket
from booking.appointments.no_show_rules import REACHED, TOLD_BY, Evidence
from booking.appointments.patient_rules import SEEN, lock_chart
from booking.appointments.places import change_status, return_place
from booking.appointments.reminders import after_quiet
from booking.appointments.rules import STATUS_NAMES, NotActive
from booking.clock import db_now, local
from booking.db import db, end_read, new_id, retried, transaction
from booking.directory.models import Policy
from booking.directory.policy import policy_version
from booking.errors import BadInput
from booking.outbox import Message, receipts_from
from booking.schedule.models import ClinicSession
from booking.staff.rules import SYSTEM, Actor, ensure_may
from booking.staff.trail import record

BATCH = 100
LOOK_BACK = timedelta(days=14)
"""A visit that could not be judged within this time (nobody was told, the desk kept no lists) is left as it is."""


def mark_no_shows() -> int:
    """Judge every visit whose rule time is over and that nobody has seen; return how many became no-shows.

    Hospital by hospital, `BATCH` in a transaction; rows another worker has in hand are skipped, so any number of runs
    at once mark each visit once. What lacks evidence stays as it is and is looked at again by the next run.
    """
    now = db_now(db.session())
    over = select(ClinicSession.hospital_id).where(
        ClinicSession.local_date >= (now - LOOK_BACK).date(),
        ClinicSession.ends_at <= now,
        ClinicSession.status.not_in(("draft", "stopped")),
    )
    hospitals = sorted(db.session.scalars(over.distinct()))
    end_read()
    marked = 0
    for hospital_id in hospitals:
        last: uuid.UUID | None = None
        while True:
            done, last = _mark_batch(hospital_id, last)
            marked += done
            if last is None:
                break
    return marked


@retried
def _mark_batch(hospital_id: int, after: uuid.UUID | None) -> tuple[int, uuid.UUID | None]:
    """Judge the next visits behind `after`; return how many were marked and where to go on (None: there are no more)."""
    with transaction() as session:
        now = db_now(session)
        policies = {
            one.version: one
            for one in session.scalars(select(Policy).where(Policy.hospital_id == hospital_id))
        }
        due = (
            select(Appointment, ClinicSession.status)
            .join(
                ClinicSession,
                and_(
                    ClinicSession.hospital_id == Appointment.hospital_id,
                    ClinicSession.id == Appointment.session_id,
                ),
            )
            .where(
                Appointment.hospital_id == hospital_id,
                Appointment.status == "booked",
                ClinicSession.local_date >= (now - LOOK_BACK).date(),
                _rule_time_is_over(policies, now),
            )
            .order_by(Appointment.id)
            .limit(BATCH)
            .with_for_update(of=Appointment, skip_locked=True)
            .execution_options(populate_existing=True)
        )
        if after is not None:
            due = due.where(Appointment.id > after)
        found = [(row, status) for row, status in session.execute(due)]
        for patient_id in sorted({row.patient_id for row, _ in found if row.patient_id is not None}):
            lock_chart(session, hospital_id, patient_id)
        evidence = _gather(session, hospital_id, [(row, status) for row, status in found])
        marked = 0
        for row, _ in found:
            if not evidence[row.id].why_not():
                _mark(session, row, policies[row.policy_version], evidence[row.id], now)
                marked += 1
    return marked, found[-1][0].id if len(found) == BATCH else None


def _rule_time_is_over(policies: dict[int, Policy], now: datetime) -> ColumnElement[bool]:
    """`rule_time` as a predicate: each visit by the policy it was sold under."""
    versions: dict[int, list[int]] = {}
    for version, policy in policies.items():
        versions.setdefault(policy.no_show_after_minutes, []).append(version)
    return or_(
        *(
            and_(
                Appointment.policy_version.in_(some),
                ClinicSession.ends_at <= now - timedelta(minutes=minutes),
            )
            for minutes, some in versions.items()
        )
    )


def _gather(
    session: Session, hospital_id: int, found: Sequence[tuple[Appointment, str]]
) -> dict[uuid.UUID, Evidence]:
    """Collect what is known about these visits, in four statements. Their rows and charts are locked."""
    if not found:
        return {}
    rows = [row for row, _ in found]
    patients, days = {row.patient_id for row in rows}, {row.visit_date for row in rows}
    told: dict[uuid.UUID, list[dict[str, str]]] = {}
    versions = {row.id: row.version for row in rows}
    for letter in session.scalars(
        select(Message)
        .where(
            Message.hospital_id == hospital_id,
            Message.appointment_id.in_(list(versions)),
            Message.kind.in_(TOLD_BY),
            Message.status.in_(REACHED),
            or_(Message.channel != "app", Message.read_at.is_not(None)),
        )
        .order_by(Message.sent_at)
    ):
        if letter.status == "accepted" and letter.provider in receipts_from():
            continue  # its carrier says when a message arrives, and has not
        if letter.appointment_id and letter.version == versions[letter.appointment_id]:
            told.setdefault(letter.appointment_id, []).append(_as_fact(letter))
    tickets: set[tuple[int | None, date, uuid.UUID | None]] = {
        (patient_id, on, department_id)
        for patient_id, on, department_id in session.execute(
            select(DeskTicket.patient_id, DeskTicket.visit_date, DeskTicket.department_id).where(
                DeskTicket.hospital_id == hospital_id,
                DeskTicket.patient_id.in_(patients),
                DeskTicket.visit_date.in_(days),
            )
        )
    }
    for other in session.scalars(
        select(Appointment).where(
            Appointment.hospital_id == hospital_id,
            Appointment.patient_id.in_(patients),
            Appointment.visit_date.in_(days),
            or_(
                Appointment.status.in_(SEEN),
                and_(Appointment.kind == "desk", Appointment.status == "booked"),
            ),
        )
    ):
        # a number given at the counter on the day itself is a desk ticket, too
        if other.status in SEEN or local(other.created_at, other.zone).date() == other.visit_date:
            tickets.add((other.patient_id, other.visit_date, other.department_id))
    staffed = set(
        session.scalars(
            select(Appointment.visit_date)
            .where(
                Appointment.hospital_id == hospital_id,
                Appointment.visit_date.in_(days),
                Appointment.arrived_at.is_not(None),
            )
            .distinct()
        )
    )
    return {
        row.id: Evidence(
            session_stopped=status == "stopped",
            hospital_cancelled=row.status == "cancelled",
            checked_in=row.arrived_at is not None,
            desk_ticket=bool(
                tickets
                & {
                    (row.patient_id, row.visit_date, row.department_id),
                    (row.patient_id, row.visit_date, None),
                }
            ),
            desk_open=row.visit_date in staffed,
            told=tuple(told.get(row.id, ())),
        )
        for row, status in found
    }


def _as_fact(letter: Message) -> dict[str, str]:
    return {
        "kind": letter.kind,
        "channel": letter.channel,
        "status": letter.status,
        "at": letter.sent_at.isoformat() if letter.sent_at else "",
    }


def _mark(session: Session, row: Appointment, policy: Policy, found: Evidence, now: datetime) -> None:
    place_id = row.place_id
    facts: dict[str, Any] = {
        "policy": policy.version,
        "after_minutes": policy.no_show_after_minutes,
        "checked_in": False,
        "desk_ticket": False,
        "session_stopped": False,
        "desk_open": True,
        "told": list(found.told),
    }
    change_status(session, row, "no_show", "no_show", actor=SYSTEM, now=now, facts=facts, holds_place_id=None)
    return_place(session, row.hospital_id, place_id, row.id)
    due = after_quiet(now, row.zone, policy.quiet_from, policy.quiet_to)
    tell(session, row, "no_show", policy=policy, now=now, due_at=due)


@retried
def record_ticket(
    hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor, note: str = ""
) -> Appointment:
    """Record the desk's word that the patient of this visit was here that day; return the appointment.

    A no-show of that day and department is excused at once and told, also one of another visit; a visit that is still
    to be judged counts as arrived. `note` says how the desk knows. A repeat changes nothing. Raises BadInput for a visit
    that has not begun, NotActive for one that was cancelled, NoSuchAppointment, NotAllowed.
    """
    ensure_may(actor, "excuse", hospital_id)
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        now = db_now(session)
        if row.status in (*SEEN, "excused"):
            return row
        if row.status not in ("booked", "no_show") or row.patient_id is None:
            raise NotActive(status=STATUS_NAMES[row.status])
        if row.starts_at > now:
            raise BadInput("就诊时间还没有到，患者来了请直接报到。")
        lock_chart(session, hospital_id, row.patient_id)
        note = note.strip()[:200]
        session.add(
            DeskTicket(
                hospital_id=hospital_id,
                id=new_id(),
                patient_id=row.patient_id,
                visit_date=row.visit_date,
                department_id=row.department_id,
                at=now,
                actor_id=actor.id[:64],
                note=note,
            )
        )
        session.flush()
        if row.status == "booked":
            change_status(
                session, row, "was_here", "arrived", actor=actor, now=now, reason=note, arrived_at=now
            )
            tell_hospital(session, row, "arrived", now=now)
        clear_by_ticket(
            session,
            hospital_id,
            row.patient_id,
            row.visit_date,
            row.department_id,
            actor=actor,
            now=now,
            reason=note,
        )
        record(session, hospital_id, actor, "excuse", "appointment", row.id, now=now, change={}, reason=note)
        session.refresh(row)
    return row


def clear_by_ticket(
    session: Session,
    hospital_id: int,
    patient_id: int,
    visit_date: date,
    department_id: uuid.UUID,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> int:
    """Excuse every no-show of a patient on a day in a department, in the caller's transaction; return how many.

    For whatever proves that the patient was here. The patient's chart is locked by the caller.
    """
    rows = list(
        session.scalars(
            select(Appointment)
            .where(
                Appointment.hospital_id == hospital_id,
                Appointment.patient_id == patient_id,
                Appointment.visit_date == visit_date,
                Appointment.department_id == department_id,
                Appointment.status == "no_show",
            )
            .order_by(Appointment.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )
    for row in rows:
        excuse_row(session, row, actor=actor, now=now, by="desk_ticket", reason=reason)
    return len(rows)


def excuse_row(
    session: Session, row: Appointment, *, actor: Actor, now: datetime, by: str, reason: str = ""
) -> None:
    """Turn a locked no-show into excused, end an open appeal about it and tell the patient; `by` names the ground."""
    change_status(session, row, "excuse", "excused", actor=actor, now=now, reason=reason, facts={"by": by})
    session.execute(
        update(Appeal)
        .where(
            Appeal.hospital_id == row.hospital_id,
            Appeal.appointment_id == row.id,
            Appeal.status == "open",
        )
        .values(
            status="accepted" if by == "appeal" else "cleared",
            decided_at=now,
            decided_by=actor.name[:60],
            answer=reason[:200],
        )
        .execution_options(synchronize_session=False)
    )
    policy = policy_version(session, row.hospital_id, row.policy_version)
    due = after_quiet(now, row.zone, policy.quiet_from, policy.quiet_to)
    tell(session, row, "excused", policy=policy, now=now, due_at=due)
