"""What stands between a patient and one more appointment (R4–R6, R27): overlap, limits, whom the session is for, a block."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from booking.appointments.models import ACTIVE, Appointment, Chart
from booking.appointments.no_show_rules import Block, Blocked, Kept, block, counting_since
from booking.appointments.rules import (
    AccountLimit,
    AlreadyBooked,
    DayLimit,
    Overlap,
    SameDepartment,
    WeekLimit,
    overlaps,
)
from booking.clock import db_now, local
from booking.db import Instant, core
from booking.directory.models import Hospital, Policy
from booking.people.models import Account, Patient
from booking.people.rules import mask_name
from booking.schedule.admission import ensure_admitted, full_years
from booking.wording import day_short

NOBODY = uuid.UUID(int=0)
COUNTED = ("confirming", "booked", "arrived", "in_visit", "fulfilled", "no_show", "excused")
"""An offer of the waiting list names its patient while it is held; it counts once it is accepted."""
SEEN = ("arrived", "in_visit", "fulfilled")
_A = core(Appointment).c
_OTHERS = select(
    _A.id,
    _A.status,
    _A.session_id,
    _A.department_id,
    _A.visit_date,
    _A.starts_local,
    _A.starts_at,
    _A.ends_at,
    _A.sold,
).where(
    _A.hospital_id == bindparam("hospital"),
    _A.patient_id == bindparam("patient"),
    _A.visit_date >= bindparam("since"),
    _A.id != bindparam("but"),
    or_(
        and_(
            _A.visit_date >= bindparam("monday"), _A.visit_date <= bindparam("sunday"), _A.status.in_(COUNTED)
        ),
        _A.status == "no_show",
    ),
)
_AHEAD = select(func.count()).where(
    _A.hospital_id == bindparam("hospital"),
    _A.account_id == bindparam("account"),
    _A.starts_at > bindparam("now", type_=Instant()),
    _A.status.in_(("booked", "confirming")),
)


def lock_chart(session: Session, hospital_id: int, patient_id: int, account_id: int | None = None) -> None:
    """Make the patient's chart at this hospital when there is none, and lock it until the transaction ends.

    Two bookings for one patient therefore see each other: limits and overlaps cannot be passed in parallel. With
    `account_id` the account is locked after the chart, so that its limit holds in the same way;
    always in this order, so that nobody waits in a circle. NO KEY UPDATE: rows that only point here need not wait.
    """
    link = session.connection()
    statement = _LOCK_CHART[session.get_bind().dialect.name == "sqlite"]
    link.execute(statement, {"hospital_id": hospital_id, "patient_id": patient_id})
    if account_id is not None:
        link.execute(_LOCK_ACCOUNT, {"account": account_id})


def _lock_chart(insert: Any) -> Any:
    """Insert, or write the same again: either way the row is ours until the end, in one statement."""
    row = insert(core(Chart))
    same = {"patient_id": row.excluded.patient_id}
    return row.on_conflict_do_update(index_elements=["hospital_id", "patient_id"], set_=same)


_LOCK_CHART = (_lock_chart(postgresql_insert), _lock_chart(sqlite_insert))
_LOCK_ACCOUNT = (
    select(core(Account).c.id)
    .where(core(Account).c.id == bindparam("account"))
    .with_for_update(key_share=True)
)


def ensure_patient_may(
    session: Session,
    policy: Policy,
    wanted: Appointment | Any,
    patient_id: int,
    *,
    except_id: Any = None,
    now: datetime | None = None,
    account_id: int | None = None,
    by_staff: bool = False,
    referral: str = "",
) -> None:
    """Raise what stands against one more visit; `wanted` has hospital, session, department, date, times, zone and `sold`.

    Call with the chart locked, and with the account locked when `account_id` is given: then its limit counts too.
    `except_id` is the appointment being moved: it is not counted, and neither a block nor the account's limit stands in
    its way, because it adds no visit. `by_staff`: the hospital may book in spite of a block, and its word counts for an
    earlier visit or a referral. `now` is read from the database when it is not given.

    Raises AlreadyBooked, Blocked, SameDepartment, Overlap, DayLimit, WeekLimit, AccountLimit and the refusals of
    `admission.ensure_admitted`. Two statements at most, unless something is refused or the session is not for everybody.
    """
    now = now or db_now(session)
    monday = wanted.visit_date - timedelta(days=wanted.visit_date.weekday())
    sunday = monday + timedelta(days=6)
    today = local(now, wanted.zone).date()
    asked = {"hospital": wanted.hospital_id, "patient": patient_id, "but": except_id or NOBODY}
    asked |= {"since": min(monday, counting_since(policy, today)), "monday": monday, "sunday": sunday}
    rows = session.connection().execute(_OTHERS, asked).all()
    in_week = [row for row in rows if monday <= row.visit_date <= sunday]
    _ensure_not_booked(session, wanted, patient_id, in_week)
    adds_one = except_id is None and not by_staff
    if adds_one:
        found = block((Kept(row.status, row.visit_date) for row in rows), policy, today)
        if found:
            raise blocked(session, policy, wanted.hospital_id, patient_id, found)
    ensure_patient_suits(session, wanted, patient_id, by_staff=by_staff, referral=referral)
    _ensure_limits(session, policy, wanted, patient_id, in_week, (monday, sunday))
    if adds_one and account_id is not None:
        _ensure_account_may(session, policy, wanted.hospital_id, account_id, now)


def _ensure_not_booked(
    session: Session, wanted: Appointment, patient_id: int, others: Sequence[Row[Any, *tuple[Any, ...]]]
) -> None:
    for other in others:
        if other.session_id == wanted.session_id and other.status in ACTIVE:
            raise AlreadyBooked(
                patient=_masked(session, patient_id),
                appointment_id=other.id,
                hospital_id=wanted.hospital_id,
            )


def _ensure_limits(
    session: Session,
    policy: Policy,
    wanted: Appointment,
    patient_id: int,
    in_week: Sequence[Row[Any, *tuple[Any, ...]]],
    week: tuple[date, date],
) -> None:
    on_day = [other for other in in_week if other.visit_date == wanted.visit_date]
    in_department = [other for other in on_day if other.department_id == wanted.department_id]
    if len(in_department) >= policy.per_department_day:
        first = in_department[0]
        raise SameDepartment(
            patient=_masked(session, patient_id),
            department=first.sold.get("department", ""),
            limit=policy.per_department_day,
            appointment_id=first.id,
            hospital_id=wanted.hospital_id,
        )
    for other in on_day:
        if not policy.refuse_overlap or other.status not in ACTIVE:
            continue
        if overlaps(other.starts_at, other.ends_at, wanted.starts_at, wanted.ends_at):
            raise Overlap(
                patient=_masked(session, patient_id),
                time=f"{other.starts_local:%H:%M}",
                doctor=other.sold.get("doctor", ""),
                appointment_id=other.id,
                hospital_id=wanted.hospital_id,
            )
    if len(on_day) >= policy.per_day:
        raise DayLimit(patient=_masked(session, patient_id), count=len(on_day), limit=policy.per_day)
    if len(in_week) >= policy.per_week:
        raise WeekLimit(
            patient=_masked(session, patient_id),
            first=day_short(week[0]),
            last=day_short(week[1]),
            count=len(in_week),
            limit=policy.per_week,
        )


def _ensure_account_may(
    session: Session, policy: Policy, hospital_id: int, account_id: int, now: datetime
) -> None:
    """Raise AccountLimit when the account already has as many visits ahead at this hospital as the policy allows."""
    asked = {"hospital": hospital_id, "account": account_id, "now": now}
    ahead = session.connection().execute(_AHEAD, asked).scalar()
    if (ahead or 0) >= policy.open_per_account:
        raise AccountLimit(count=ahead, limit=policy.open_per_account)


def ensure_patient_suits(
    session: Session,
    wanted: Appointment | Any,
    patient_id: int,
    *,
    by_staff: bool = False,
    referral: str = "",
) -> None:
    """Raise the refusal of a session that is not for this patient; no statement when it is for everybody.

    The rules are those `wanted.sold` carries: as they stood when the place was held.
    """
    admits = (wanted.sold or {}).get("admits")
    if not admits:
        return
    patient = session.get_one(Patient, patient_id)
    ensure_admitted(
        admits,
        age=full_years(patient.birth_date, wanted.visit_date),
        sex=patient.sex,
        been_before=_been_before(session, wanted, patient_id) if admits.get("visit") else None,
        referral=referral,
        vouched=by_staff,
        patient=mask_name(patient.name),
        department=(wanted.sold or {}).get("department", ""),
        hospital_id=wanted.hospital_id,
        department_id=wanted.department_id,
    )


def _been_before(session: Session, wanted: Appointment, patient_id: int) -> bool:
    """Whether a kept visit of the patient in this department is known."""
    kept = exists().where(
        Appointment.hospital_id == wanted.hospital_id,
        Appointment.patient_id == patient_id,
        Appointment.department_id == wanted.department_id,
        Appointment.visit_date <= wanted.visit_date,
        Appointment.status.in_(SEEN),
    )
    return bool(session.scalar(select(kept)))


def blocks_of(
    session: Session, policy: Policy, hospital_id: int, patient_ids: Iterable[int], today: date
) -> dict[int, Block]:
    """Return the block that stands on `today` for each of these patients that has one. One statement."""
    missed: dict[int, list[Kept]] = {}
    rows = session.execute(
        select(Appointment.patient_id, Appointment.visit_date).where(
            Appointment.hospital_id == hospital_id,
            Appointment.patient_id.in_(list(patient_ids)),
            Appointment.status == "no_show",
            Appointment.visit_date >= counting_since(policy, today),
        )
    )
    for patient_id, on in rows:
        assert patient_id is not None  # it is one of those asked for
        missed.setdefault(patient_id, []).append(Kept("no_show", on))
    found = {patient_id: block(history, policy, today) for patient_id, history in missed.items()}
    return {patient_id: one for patient_id, one in found.items() if one}


def blocked(session: Session, policy: Policy, hospital_id: int, patient_id: int, found: Block) -> Blocked:
    """Return the refusal that tells a patient of a block: by whom, why, until when, and what to do."""
    hospital = session.get_one(Hospital, hospital_id)
    return Blocked(
        hospital=hospital.name,
        hospital_id=hospital_id,
        phone=f"（{hospital.phone}）" if hospital.phone else "",
        patient=_masked(session, patient_id),
        days=policy.no_show_days,
        count=found.count,
        dates="、".join(day_short(day) for day in found.dates),
        until=found.until,
        until_text=day_short(found.until),
    )


def _masked(session: Session, patient_id: int) -> str:
    return mask_name(session.get_one(Patient, patient_id).name)
