"""Which letters a change of an appointment puts into the outbox: to whom, over what, and when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from booking.appointments.models import Appointment
from booking.appointments.reminders import plan
from booking.directory.models import Policy
from booking.outbox import Letter, put, supersede
from booking.people.models import Account, Patient

People = tuple[Any, Any]
"""The account and the patient (either may be None), or what has their columns."""
TOLD_AS = {
    "confirm": "confirmed",
    "accept": "confirmed",
    "book": "confirmed",
    "book_at_desk": "confirmed",
    "add_extra": "confirmed",
    "draw": "confirmed",
    "move": "moved",
    "cancel": "cancelled",
    "stop": "stopped",
    "no_show": "no_show",
    "excuse": "excused",
}
"""Which letter tells of an event: the verb of its row, and the kind that was put in the same transaction."""
ALWAYS_FOR = timedelta(days=1)
"""Cancellations and stops are worth telling for at least this long, also when the visit's time has passed."""


def tell(
    session: Session,
    row: Appointment,
    kind: str,
    *,
    policy: Policy,
    now: datetime,
    facts: dict[str, Any] | None = None,
    people: People | None = None,
    first: bool = False,
    due_at: datetime | None = None,
) -> int:
    """Supersede the unsent letters about `row` and put those its new state asks for; return how many.

    The booker gets the in-app letter, SMS, and e-mail when an address is kept; the patient's own phone, when it is
    another one, gets the SMS too. Reminders follow the policy's ladder while the visit stands and the person wants them.
    `people` are the account and the patient when the caller has read them; `first` says that nothing was put before.
    `due_at` is for what may wait until the quiet hours are over; everything else goes at once.
    """
    if not first:
        supersede(session, row.hospital_id, row.id, now)
    people = people if people is not None else people_of(session, row)
    letters = letters_of(row, kind, policy=policy, people=people, now=now, facts=facts, due_at=due_at)
    return put(session, row.hospital_id, letters, now=now, appointment_id=row.id, version=row.version)


def people_of(session: Session, row: Appointment) -> People:
    """Return who is told about `row`: the account that booked it and the patient, either may be missing."""
    account = session.get(Account, row.account_id) if row.account_id else None
    return account, session.get(Patient, row.patient_id) if row.patient_id else None


def letters_of(
    row: Appointment,
    kind: str,
    *,
    policy: Policy,
    people: People,
    now: datetime,
    facts: dict[str, Any] | None = None,
    due_at: datetime | None = None,
) -> list[Letter]:
    """Return the letters that a change of `row` told as `kind` at `now` asks for; reads and writes nothing.

    The one answer to what is owed: `tell` puts it, the reconciler compares the ledger with it.
    """
    account, patient = people
    ways: list[dict[str, Any]] = []
    if account is not None:
        channels = ["app", "sms", *(["email"] if account.email else [])]
        wants = account.reminders_on
        ways += [
            {"channel": channel, "recipient": "account", "account_id": account.id, "wants": wants}
            for channel in channels
        ]
    own = (
        patient is not None
        and patient.phone
        and (account is None or patient.phone_hash != account.phone_hash)
    )
    if patient is not None and own:
        ways.append(
            {
                "channel": "sms",
                "recipient": "patient",
                "patient_id": patient.id,
                "wants": patient.reminders_on,
            }
        )
    steps = [(kind, due_at or now)]
    expires = row.starts_at
    if row.status == "booked":
        if row.remind:
            steps += plan(
                policy.reminders,
                booked_at=now,
                starts_at=row.starts_at,
                zone=row.zone,
                quiet_from=policy.quiet_from,
                quiet_to=policy.quiet_to,
            )
    else:
        expires = max(row.starts_at, (due_at or now) + ALWAYS_FOR)
    return [
        Letter(
            step, due_at=due, expires_at=expires, facts=facts if step == kind else None, **_without_wants(way)
        )
        for step, due in steps
        for way in ways
        if step == kind or way["wants"]
    ]


def _without_wants(way: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in way.items() if name != "wants"}
