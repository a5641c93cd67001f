"""Verbs before a draw: the desk sets it up or takes it back, people enter and withdraw."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.appointments.draw import tell_entrants
from booking.appointments.draw_models import Draw, DrawEntry
from booking.appointments.draw_rules import (
    EntriesClosed,
    EntryNeedsId,
    NoSuchDraw,
    PersonEntered,
    SlotNotThere,
    commitment_of,
)
from booking.appointments.facts import slot_facts
from booking.appointments.models import Appointment
from booking.appointments.patient_rules import ensure_patient_may, lock_chart
from booking.appointments.rules import NotLinked
from booking.clock import db_now, local
from booking.db import broken_constraint, new_id, retried, transaction
from booking.directory.policy import current_policy
from booking.errors import NotFound, Refusal
from booking.people.models import Patient, PatientLink
from booking.people.rules import mask_name
from booking.schedule.models import ClinicSession, Slot
from booking.schedule.openings import assign_openings
from booking.schedule.rules import DrawRunning, SessionOver, ensure_window
from booking.staff.rules import Actor, ensure_may
from booking.staff.trail import record
from booking.wording import moment

TOKEN_BYTES = 8


@retried
def set_draw(hospital_id: int, session_id: uuid.UUID, *, actor: Actor, entries_from: datetime) -> Draw:
    """Let a session be drawn: entries are taken from `entries_from` until its release, and the draw is then.

    The seed is made here and sealed; its commitment stands from now on. Again with another `entries_from` changes only
    that, while entries have not opened. Raises DrawWindow, DrawRunning, SessionOver, NotFound, NotAllowed.
    """
    ensure_may(actor, "change_session", hospital_id)
    with transaction() as session:
        clinic, now = _changeable(session, hospital_id, session_id)
        ensure_window(entries_from, clinic.release_at, now)
        draw = _standing(session, hospital_id, session_id)
        if draw is None:
            seed = secrets.token_hex(32)
            draw = Draw(
                hospital_id=hospital_id,
                id=new_id(),
                session_id=session_id,
                seed=seed,
                commitment=commitment_of(seed),
                created_at=now,
            )
            session.add(draw)
        before = clinic.entries_from
        clinic.sale, clinic.entries_from = "draw", entries_from
        _changed(session, clinic, actor, now)
        change = {"entries_from": [str(before), str(entries_from)], "commitment": draw.commitment}
        record(session, hospital_id, actor, "set_draw", "session", session_id, now=now, change=change)
    return draw


@retried
def unset_draw(hospital_id: int, session_id: uuid.UUID, *, actor: Actor) -> None:
    """Let a session sell first come again; only before entries open. A repeat changes nothing.

    Raises DrawRunning, SessionOver, NotFound, NotAllowed.
    """
    ensure_may(actor, "change_session", hospital_id)
    with transaction() as session:
        draw = _standing(session, hospital_id, session_id)
        if draw is None:
            return
        clinic, now = _changeable(session, hospital_id, session_id)
        draw.status = "off"
        clinic.sale, clinic.entries_from = "first_come", None
        _changed(session, clinic, actor, now)
        record(session, hospital_id, actor, "unset_draw", "session", session_id, now=now)


def _standing(session: Session, hospital_id: int, session_id: uuid.UUID) -> Draw | None:
    return session.scalars(
        select(Draw).where(
            Draw.hospital_id == hospital_id, Draw.session_id == session_id, Draw.status != "off"
        )
    ).first()


def _changeable(session: Session, hospital_id: int, session_id: uuid.UUID) -> tuple[ClinicSession, datetime]:
    clinic = session.get(ClinicSession, (hospital_id, session_id), with_for_update={"key_share": True})
    if clinic is None:
        raise NotFound("没有找到这个班次。")
    now = db_now(session)
    if clinic.status not in ("draft", "published"):
        raise SessionOver()
    if clinic.release_at <= now:
        raise SessionOver("这个班次已经放号，不能再改放号方式。")
    if clinic.sale == "draw" and clinic.entries_from is not None and clinic.entries_from <= now:
        raise DrawRunning()
    return clinic, now


def _changed(session: Session, clinic: ClinicSession, actor: Actor, now: datetime) -> None:
    clinic.version, clinic.changed_at, clinic.changed_by = clinic.version + 1, now, actor.name
    session.flush()
    assign_openings(session, clinic, now=now)


def enter(
    hospital_id: int, draw_id: uuid.UUID, *, actor: Actor, patient_id: int, wishes: Sequence[uuid.UUID] = ()
) -> DrawEntry:
    """Enter one of the account's patients; `wishes` are slots in order of preference (none: any, earliest first).

    One person takes part once, whatever the account. The same account again changes the wishes, or enters anew after a
    withdrawal; the token stays. Raises EntriesClosed, EntryNeedsId, PersonEntered, SlotNotThere, NotLinked, NoSuchDraw,
    NotAllowed, and what already stands between this patient and every wished slot.
    """
    ensure_may(actor, "enter_draw", hospital_id)
    for left in (1, 0):
        try:
            return _enter(hospital_id, draw_id, actor, patient_id, list(dict.fromkeys(wishes)))
        except IntegrityError as problem:
            rule = broken_constraint(problem)
            if rule == "uq_one_entry_per_person":
                raise PersonEntered() from problem
            if rule != "uq_one_entry_per_patient" or not left:  # else: the other half of a double click
                raise
    raise AssertionError("unreachable")


@retried
def _enter(
    hospital_id: int, draw_id: uuid.UUID, actor: Actor, patient_id: int, wishes: list[uuid.UUID]
) -> DrawEntry:
    with transaction() as session:
        draw, clinic, now = _open(session, hospital_id, draw_id)
        patient = _own(session, actor, patient_id)
        if not patient.id_hash:
            raise EntryNeedsId(patient=mask_name(patient.name), patient_id=patient_id)
        known = set(
            session.scalars(
                select(Slot.id).where(Slot.hospital_id == hospital_id, Slot.session_id == clinic.id)
            )
        )
        if not known.issuperset(wishes):
            raise SlotNotThere()
        lock_chart(session, hospital_id, patient_id, actor.account_id)
        _ensure_one_fits(session, hospital_id, patient_id, wishes or sorted(known), actor, now)
        entry = _entry(session, hospital_id, draw_id, patient_id)
        if entry is None:
            entry = DrawEntry(
                hospital_id=hospital_id,
                id=new_id(),
                draw_id=draw_id,
                commitment=draw.commitment,
                account_id=actor.account_id,
                patient_id=patient_id,
                person=patient.id_hash,
                token=secrets.token_hex(TOKEN_BYTES),
                entered_at=now,
            )
            session.add(entry)
            session.flush()
            tell_entrants(session, [entry], "draw_entered", clinic, now)
        elif entry.account_id != actor.account_id:
            if entry.status == "entered":
                raise PersonEntered()
            entry.account_id = actor.account_id or 0
        if entry.status == "withdrawn":
            entry.status, entry.entered_at = "entered", now
        entry.wishes = [slot.hex for slot in wishes]
        session.flush()
    return entry


@retried
def withdraw(hospital_id: int, draw_id: uuid.UUID, *, actor: Actor, patient_id: int) -> None:
    """Take an entry back before the entries close; it can be made again. A repeat changes nothing.

    Raises EntriesClosed, NotLinked, NoSuchDraw, NotAllowed.
    """
    ensure_may(actor, "enter_draw", hospital_id)
    with transaction() as session:
        _open(session, hospital_id, draw_id)
        entry = _entry(session, hospital_id, draw_id, patient_id)
        if entry is None or entry.account_id != actor.account_id:
            raise NotLinked()
        entry.status = "withdrawn"
        session.flush()


def _open(session: Session, hospital_id: int, draw_id: uuid.UUID) -> tuple[Draw, ClinicSession, datetime]:
    """Load the draw and hold it FOR SHARE, so that it cannot close its list before this transaction ends."""
    draw = session.get(Draw, (hospital_id, draw_id), with_for_update={"read": True})
    if draw is None:
        raise NoSuchDraw()
    clinic = session.get_one(ClinicSession, (hospital_id, draw.session_id))
    now = db_now(session)
    opened = clinic.entries_from is not None and clinic.entries_from <= now < clinic.release_at
    if draw.status != "waiting" or clinic.status != "published" or not opened:
        entries = moment(local(clinic.entries_from, clinic.zone)) if clinic.entries_from else ""
        raise EntriesClosed(entries=entries, release=moment(local(clinic.release_at, clinic.zone)))
    return draw, clinic, now


def _own(session: Session, actor: Actor, patient_id: int) -> Patient:
    link = session.get(PatientLink, (actor.account_id, patient_id)) if actor.account_id else None
    if link is None or link.ended_at is not None:
        raise NotLinked()
    return session.get_one(Patient, patient_id)


def _entry(session: Session, hospital_id: int, draw_id: uuid.UUID, patient_id: int) -> DrawEntry | None:
    return session.scalars(
        select(DrawEntry)
        .where(
            DrawEntry.hospital_id == hospital_id,
            DrawEntry.draw_id == draw_id,
            DrawEntry.patient_id == patient_id,
        )
        .with_for_update()
    ).first()


def _ensure_one_fits(
    session: Session,
    hospital_id: int,
    patient_id: int,
    slots: Sequence[uuid.UUID],
    actor: Actor,
    now: datetime,
) -> None:
    """Raise the first refusal when every slot is closed to this patient already; the draw asks again in the end."""
    policy = current_policy(session, hospital_id)
    first: Refusal | None = None
    for slot_id in slots:
        facts = slot_facts(session, hospital_id, slot_id)
        wanted = Appointment(hospital_id=hospital_id, **facts.columns())
        try:
            ensure_patient_may(session, policy, wanted, patient_id, now=now, account_id=actor.account_id)
            return
        except Refusal as refusal:
            first = first or refusal
    if first is not None:
        raise first
