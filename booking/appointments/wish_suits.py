"""Whether those who wait can use what they wait for at all: a block that outlasts the list, sessions that are for others."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from booking.appointments.patient_rules import blocked, blocks_of, ensure_patient_suits
from booking.appointments.wish_models import WishPatient
from booking.appointments.wish_rules import ASKED_WHEN_ACCEPTED
from booking.clock import db_now, local
from booking.db import db
from booking.directory.models import Department, Policy, Practice
from booking.directory.policy import current_policy
from booking.errors import Refusal
from booking.schedule.models import ClinicSession
from booking.schedule.wanted import Wish, covers, with_practice


@dataclass(frozen=True)
class Named:
    """A session that a wish names, with what the rules of whom it is for read of a visit."""

    hospital_id: int
    session_id: uuid.UUID
    department_id: uuid.UUID
    visit_date: date
    sold: dict[str, Any]


def ensure_some_use(
    session: Session, wish: Wish, patient_ids: Sequence[int], policy: Policy, *, zone: str, now: datetime
) -> None:
    """Raise what keeps a patient of a written wish from every place it could be offered; of a pair, either of the two.

    That is a block until after the list closes, or that all sessions the wish names as of now, drafts too, are for
    others: then the refusal is that of the session it was joined from. A referral is asked for with the acceptance.

    Raises Blocked and the refusals of `admission.ensure_admitted`.
    """
    last = local(wish.ends_at, zone).date()
    standing = blocks_of(session, policy, wish.hospital_id, patient_ids, local(now, zone).date())
    for patient_id in patient_ids:
        if patient_id in standing and standing[patient_id].until > last:
            raise blocked(session, policy, wish.hospital_id, patient_id, standing[patient_id])
    first: Refusal | None = None
    for one in _named(session, wish, now):
        refusal = next(iter(_refusals(session, one, patient_ids)), None)
        if refusal is None:
            return
        if first is None or one.session_id == wish.session_id:
            first = refusal
    if first is not None:
        raise first


def passed_over(hospital_id: int, wish_id: uuid.UUID) -> list[Refusal]:
    """Return why a wish will not be asked about some of what it names, each reason once, the nearest session first."""
    session = db.session()
    now, policy = db_now(session), current_policy(session, hospital_id)
    wish = session.get_one(Wish, (hospital_id, wish_id))
    patient_ids = session.scalars(
        select(WishPatient.patient_id)
        .where(WishPatient.hospital_id == wish.hospital_id, WishPatient.wish_id == wish.id)
        .order_by(WishPatient.seat)
    ).all()
    zone = session.get_one(ClinicSession, (wish.hospital_id, wish.session_id)).zone
    standing = blocks_of(session, policy, wish.hospital_id, patient_ids, local(now, zone).date())
    found: list[Refusal] = [blocked(session, policy, hospital_id, *one) for one in standing.items()]
    for one in _named(session, wish, now):
        found += _refusals(session, one, patient_ids)
    return list({refusal.text: refusal for refusal in found}.values())


def _named(session: Session, wish: Wish, now: datetime) -> list[Named]:
    """Those of the sessions a wish names that may still have a number which can differ in whom they are for, by date.

    Of each department and rule the first and the last, besides the one it was joined from: age and earlier visits only
    grow from one to the other.
    """
    rows = session.execute(
        select(
            ClinicSession.id,
            ClinicSession.local_date,
            ClinicSession.admits,
            Practice.department_id,
            Department.name,
        )
        .select_from(ClinicSession)
        .join(Practice, with_practice())
        .join(
            Department,
            and_(Department.hospital_id == Practice.hospital_id, Department.id == Practice.department_id),
        )
        .join(Wish, covers())
        .where(
            ClinicSession.hospital_id == wish.hospital_id,
            Wish.id == wish.id,
            ClinicSession.status.not_in(("stopped", "finished")),
            ClinicSession.ends_at > now,
        )
        .order_by(ClinicSession.starts_at, ClinicSession.id)
    )
    kept: dict[uuid.UUID, Named] = {}
    last: dict[tuple[uuid.UUID, str], uuid.UUID] = {}
    first = set()
    for id, day, admits, department_id, department in rows:
        rule = (department_id, json.dumps(admits, sort_keys=True))
        kept[id] = Named(
            wish.hospital_id, id, department_id, day, {"admits": admits, "department": department}
        )
        if rule not in last:
            first.add(id)
        elif last[rule] not in first and last[rule] != wish.session_id:
            del kept[last[rule]]
        last[rule] = id
    return list(kept.values())


def _refusals(session: Session, one: Named, patient_ids: Iterable[int]) -> list[Refusal]:
    found = []
    for patient_id in patient_ids:
        try:
            ensure_patient_suits(session, one, patient_id, referral=ASKED_WHEN_ACCEPTED)
        except Refusal as refusal:
            found.append(refusal)
    return found
