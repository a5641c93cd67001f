"""The demo's ledger of letters: what its invented patients were sent, so that the delivery page has something to tell.

The letters are those the verbs would have put (`letters_of`); only how each of them ended is invented.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

from sqlalchemy import and_, insert, select, update
from sqlalchemy.orm import Session

from booking.appointments.announce import TOLD_AS, letters_of
from booking.appointments.models import Appointment, AppointmentEvent
from booking.clock import db_now
from booking.db import new_id, transaction
from booking.demo.files import Say
from booking.demo.house import House
from booking.directory.models import Policy
from booking.notices.calls import list_calls_of
from booking.outbox import Letter, Message
from booking.people.models import Patient

PROVIDER = "gateway"
KEPT = timedelta(days=15)
REMINDED_TODAY = 12
"""So many of the first hospital's later visits of today are still to be reminded."""
TROUBLE = (
    ("gateway answered 422", 5),
    ("no such number", 3),
    ("gateway: ReadTimeout; given up after 9 tries", 2),
)
"""What the ledger notes of a letter that failed, and how often one is of this kind."""


def fill_ledger(house: House, today: date, say: Say) -> None:
    """Write the letters about the crowd's visits, one transaction for each hospital, and list the calls they lead to."""
    for number, (slug, hospital_id) in enumerate(house.hospitals.items()):
        say("通知", number / len(house.hospitals))
        chance = Random(f"{today.isoformat()} {slug} letters")
        with transaction() as session:
            now = db_now(session)
            if number == 0:
                _remind_today(session, hospital_id, today)
            _fail_a_stop(session, hospital_id)
            rows = list(_rows(session, hospital_id, now, chance))
            if number == 0:
                _trouble_just_now(rows, now)
            if rows:
                session.execute(insert(Message), rows)
        list_calls_of(hospital_id)


def _remind_today(session: Session, hospital_id: int, today: date) -> None:
    """Let a few of today's later visits have their reminder still to come; the crowd's other visits want none: the
    demo's page of letters is for those of whoever looks at it."""
    later = session.scalars(
        select(Appointment.id)
        .where(
            Appointment.hospital_id == hospital_id,
            Appointment.visit_date == today,
            Appointment.status == "booked",
            Appointment.account_id.is_(None),
        )
        .order_by(Appointment.starts_at.desc(), Appointment.id)
        .limit(REMINDED_TODAY)
    ).all()
    session.execute(
        update(Appointment)
        .where(Appointment.hospital_id == hospital_id, Appointment.id.in_(later))
        .values(remind=True)
    )


def _fail_a_stop(session: Session, hospital_id: int) -> None:
    """Of the newest stop's letters two did not arrive: somebody has to call."""
    told = session.scalars(
        select(Message.id)
        .where(Message.hospital_id == hospital_id, Message.kind == "stopped", Message.channel == "sms")
        .order_by(Message.due_at.desc(), Message.id)
        .limit(2)
    ).all()
    session.execute(
        update(Message)
        .where(Message.hospital_id == hospital_id, Message.id.in_(told))
        .values(status="failed", sent_at=None, last_error=TROUBLE[0][0], provider=PROVIDER)
    )


def _rows(session: Session, hospital_id: int, now: datetime, chance: Random) -> Iterator[dict[str, Any]]:
    policies = {
        one.version: one for one in session.scalars(select(Policy).where(Policy.hospital_id == hospital_id))
    }
    about = session.execute(
        select(Appointment, AppointmentEvent, Patient)
        .join(
            AppointmentEvent,
            and_(
                AppointmentEvent.hospital_id == Appointment.hospital_id,
                AppointmentEvent.appointment_id == Appointment.id,
            ),
        )
        .join(Patient, Patient.id == Appointment.patient_id)
        .where(
            Appointment.hospital_id == hospital_id,
            Appointment.account_id.is_(None),
            AppointmentEvent.verb.in_([verb for verb in TOLD_AS if verb != "stop"]),
        )
        .order_by(Appointment.id, AppointmentEvent.version)
    ).all()
    for row, event, patient in about:
        over = row.status != "booked"
        then = SimpleNamespace(
            hospital_id=row.hospital_id,
            id=row.id,
            status=event.to_status,
            remind=row.remind or over,  # whoever was here had been reminded
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            visit_date=row.visit_date,
            zone=row.zone,
            sold=row.sold,
            account_id=None,
            patient_id=row.patient_id,
            version=event.version,
        )
        letters = letters_of(
            then,  # type: ignore[arg-type]
            TOLD_AS[event.verb],
            policy=policies[row.policy_version],
            people=(None, patient),
            now=event.at,
        )
        for letter in _still_due(letters, row, event):
            if letter.due_at > now - KEPT or not over:
                yield _row(letter, row, event.version, now, chance)


def _still_due(letters: Iterable[Letter], row: Appointment, event: AppointmentEvent) -> list[Letter]:
    """Without those that a later change of the visit ended before they were due."""
    ended = row.cancelled_at if row.status == "cancelled" and event.to_status == "booked" else None
    return [one for one in letters if ended is None or one.due_at <= ended]


def _row(letter: Letter, row: Appointment, version: int, now: datetime, chance: Random) -> dict[str, Any]:
    waits = letter.due_at > now
    ended = _ended(letter, now, chance) if not waits else {"status": "waiting", "next_at": letter.due_at}
    return {
        "hospital_id": row.hospital_id,
        "id": new_id(),
        "dedupe_key": letter.key(row.id, version),
        "kind": letter.kind,
        "channel": letter.channel,
        "recipient": letter.recipient,
        "patient_id": letter.patient_id,
        "appointment_id": row.id,
        "version": version,
        "facts": letter.facts or {},
        "created_at": min(letter.due_at, now),
        "due_at": letter.due_at,
        "expires_at": letter.expires_at,
        "attempts": 0,
        "fence": 0,
        "sent_at": None,
        "delivered_at": None,
        "provider": "",
        "provider_ref": "",
        "last_error": "",
    } | ended


def _ended(letter: Letter, now: datetime, chance: Random) -> dict[str, Any]:
    """How one letter went: nearly always within seconds, rarely later, now and then not at all."""
    took = chance.lognormvariate(0.3, 0.7) + (chance.uniform(5, 40) if chance.random() < 0.04 else 0)
    sent = min(letter.due_at + timedelta(seconds=took), now)
    tried = {"attempts": 1, "fence": 1, "provider": PROVIDER, "next_at": sent + timedelta(seconds=60)}
    luck = chance.random()
    if luck < 0.006:
        why = chance.choices([one for one, _n in TROUBLE], [n for _one, n in TROUBLE])[0]
        return tried | {"status": "failed", "last_error": why, "attempts": 9 if "given up" in why else 1}
    left = tried | {
        "sent_at": sent,
        "provider_ref": f"demo-{uuid.UUID(int=chance.getrandbits(128)).hex[:12]}",
    }
    answered = sent + timedelta(seconds=chance.uniform(2, 30))
    if luck < 0.06 or answered > now:
        return left | {"status": "accepted"}
    return left | {"status": "delivered", "delivered_at": answered}


def _trouble_just_now(rows: list[dict[str, Any]], now: datetime) -> None:
    """Let the newest confirmation of the first hospital have failed a few minutes ago: it can be sent again."""
    mine = [one for one in rows if one["kind"] == "confirmed" and one["expires_at"] > now and one["sent_at"]]
    if not mine:
        return
    newest = max(mine, key=lambda one: one["due_at"])
    newest |= {
        "status": "failed",
        "sent_at": None,
        "delivered_at": None,
        "provider_ref": "",
        "attempts": 1,
        "last_error": TROUBLE[0][0],
        "next_at": now - timedelta(minutes=4),
    }
