"""Appeals (申诉): a patient says that a no-show is wrong, the desk answers, and the patient is told."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.appointments.announce import tell
from booking.appointments.cancel import own_appointment
from booking.appointments.models import Appeal, Appointment
from booking.appointments.no_show import excuse_row
from booking.appointments.no_show_rules import APPEAL_LENGTH, AlreadyAnswered, NotANoShow
from booking.appointments.reminders import after_quiet
from booking.clock import db_now
from booking.db import new_id, retried, transaction
from booking.directory.policy import policy_version
from booking.errors import BadInput
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record


@retried
def appeal(hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor, reason: str) -> Appeal:
    """Write down why a no-show is wrong; return the appeal, open until the desk answers.

    One per visit: a repeat returns the first. Raises BadInput (`errors` on reason), NotANoShow, NoSuchAppointment,
    NotAllowed.
    """
    ensure_may(actor, "appeal", hospital_id)
    reason = reason.strip()
    if not reason:
        raise BadInput(
            "请写一句当时的情况", errors={"reason": "请写一句当时的情况，例如：那天来了，在 3 楼等到 11 点"}
        )
    if len(reason) > APPEAL_LENGTH:
        said = f"最多 {APPEAL_LENGTH} 字，现在是 {len(reason)} 字"
        raise BadInput(said, errors={"reason": said})
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        known = _of(session, row)
        if known is not None:
            return known
        if row.status != "no_show":
            raise NotANoShow()
        made = Appeal(
            hospital_id=hospital_id,
            id=new_id(),
            appointment_id=row.id,
            reason=reason,
            made_at=db_now(session),
        )
        session.add(made)
        session.flush()
    return made


@retried
def answer_appeal(
    hospital_id: int, appointment_id: uuid.UUID, *, actor: Actor, accept: bool, answer: str = ""
) -> Appeal:
    """Accept an appeal (the no-show is excused) or decline it with a reason the patient reads; both are told.

    The same answer again changes nothing. Raises BadInput when a refusal gives no reason, AlreadyAnswered, NotANoShow
    when there is no appeal, NoSuchAppointment, NotAllowed.
    """
    ensure_may(actor, "answer_appeal", hospital_id)
    answer = answer.strip()[:200]
    if not accept and not answer:
        raise BadInput("请写明不同意的原因", errors={"answer": "请写明不同意的原因，患者会看到"})
    with transaction() as session:
        row = own_appointment(session, hospital_id, appointment_id, actor)
        made = _of(session, row)
        if made is None:
            raise NotANoShow("这个预约没有申诉。")
        now = db_now(session)
        wanted = "accepted" if accept else "declined"
        if made.status == wanted or (accept and made.status == "cleared"):
            return made
        if made.status != "open":
            raise AlreadyAnswered()
        if accept:
            excuse_row(session, row, actor=actor, now=now, by="appeal", reason=answer)
        else:
            made.status, made.answer = "declined", answer
            made.decided_at, made.decided_by = now, actor.name[:60]
            session.flush()
            policy = policy_version(session, hospital_id, row.policy_version)
            due = after_quiet(now, row.zone, policy.quiet_from, policy.quiet_to)
            facts = {"reason": answer}
            tell(session, row, "appeal_declined", policy=policy, now=now, facts=facts, due_at=due)
        change = {"appeal": ["open", wanted]}
        record(
            session,
            hospital_id,
            actor,
            "answer_appeal",
            "appointment",
            row.id,
            now=now,
            change=change,
            reason=answer,
        )
        session.refresh(made)
    return made


def _of(session: Session, row: Appointment) -> Appeal | None:
    return session.scalars(
        select(Appeal)
        .where(Appeal.hospital_id == row.hospital_id, Appeal.appointment_id == row.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()
