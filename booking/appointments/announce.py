"""Which letters a change of an appointment puts into the outbox: to whom, over what, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.appointments.models import Appointment
from booking.appointments.reminders import plan, when_to_ring
from booking.clock import local
from booking.db import core
from booking.directory.models import Hospital, Policy
from booking.outbox import Letter, offers, put, supersede
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
    "confirm_coming": "coming",
    "undo_check_in": "check_in_undone",
}
"""Which letter tells of an event: the verb of its row, and the kind that was put in the same transaction."""
UNTOLD = ("coming", "check_in_undone")
"""Changes that people need no letter of their own about: the reminders go on under the new version."""
ALWAYS_FOR = timedelta(days=1)
"""Cancellations and stops are worth telling for at least this long, also when the visit's time has passed."""

_HOSPITAL, _ACCOUNT = core(Hospital), core(Account)


@dataclass(frozen=True)
class Way:
    """One channel to one recipient."""

    channel: str
    recipient: str
    account_id: int | None = None
    patient_id: int | None = None


def tell(
    session: Session,
    row: Appointment,
    kind: str,
    *,
    policy: Policy,
    now: datetime,
    facts: dict[str, Any] | None = None,
    people: People | None = None,
    hears: bool | None = None,
    first: bool = False,
    due_at: datetime | None = None,
    reminded_until: datetime | None = None,
) -> int:
    """Supersede the unsent letters about `row` and put those its new state asks for; return how many.

    `people` are the account and the patient, `hears` whether the hospital has an address for changes, where the caller
    has read them; `first` says that nothing was put before. `due_at` is for what may wait until the quiet hours are over;
    everything else goes at once. `reminded_until` as `letters_of` takes it.
    """
    if not first:
        supersede(session, row.hospital_id, row.id, now)
    people = people if people is not None else people_of(session, row)
    hears = hospital_hears(session, row.hospital_id) if hears is None else hears
    letters = letters_of(
        row,
        kind,
        policy=policy,
        people=people,
        now=now,
        facts=facts,
        due_at=due_at,
        hears=hears,
        reminded_until=reminded_until,
    )
    return put(session, row.hospital_id, letters, now=now, appointment_id=row.id, version=row.version)


def people_of(session: Session, row: Appointment) -> People:
    """Return who is told about `row`: the account that booked it and the patient, either may be missing."""
    account = session.get(Account, row.account_id) if row.account_id else None
    return account, session.get(Patient, row.patient_id) if row.patient_id else None


def tell_hospital(
    session: Session, row: Appointment, kind: str, *, now: datetime, hears: bool | None = None
) -> int:
    """Put the hospital's own letter about a change that nobody else is told of; return how many (none without address).

    `hears` as `tell` takes it.
    """
    if not (hospital_hears(session, row.hospital_id) if hears is None else hears):
        return 0
    return put(
        session,
        row.hospital_id,
        [_to_hospital(kind, now, {})],
        now=now,
        appointment_id=row.id,
        version=row.version,
    )


def letters_of(
    row: Appointment,
    kind: str,
    *,
    policy: Any,
    people: People,
    now: datetime,
    facts: dict[str, Any] | None = None,
    due_at: datetime | None = None,
    hears: bool = False,
    reminded_until: datetime | None = None,
) -> list[Letter]:
    """Return the letters that a change of `row` told as `kind` at `now` asks for; reads and writes nothing.

    The booker gets the in-app letter, SMS, e-mail at a verified address, and WeChat; the patient's own phone, when it is
    another one, gets the SMS too; a hospital that `hears` of changes gets its own. Reminders follow the policy's ladder
    while the visit stands and was booked with them; whether a person wants them is asked when they are sent. Those due since
    `reminded_until`, while nobody was reminded, go at once as long as they are of use. Who must hear at once is rung
    when no receipt says that the SMS arrived. The one answer to what is owed: `tell` puts it, the
    reconciler compares the ledger with it.
    """
    ways = ways_to(*people)
    facts, due_at = facts or {}, due_at or now
    letters: list[Letter] = []

    def add(step: str, due: datetime, until: datetime, way: Way) -> None:
        letters.append(
            Letter(
                step,
                way.channel,
                way.recipient,
                due_at=due,
                expires_at=until,
                account_id=way.account_id,
                patient_id=way.patient_id,
                facts=facts if step == kind else None,
            )
        )

    stands = row.status == "booked"
    expires = row.starts_at if stands else max(row.starts_at, due_at + ALWAYS_FOR)
    for way in ways if kind not in UNTOLD else ():
        add(kind, due_at, expires, way)
    if stands and row.remind:
        steps = plan(
            policy.reminders,
            booked_at=reminded_until or now,
            starts_at=row.starts_at,
            zone=row.zone,
            quiet_from=policy.quiet_from,
            quiet_to=policy.quiet_to,
            prepare_at=policy.prepare_time if row.sold.get("prepares") else None,
        )
        for step in steps:
            for way in ways if step.until > now else ():
                add(step.kind, max(step.at, now), step.until, way)
    if offers("voice") and is_urgent(row, kind, facts, now):
        ring = when_to_ring(
            now,
            row.starts_at,
            zone=row.zone,
            after=timedelta(minutes=policy.voice_after_minutes),
            quiet_from=policy.quiet_from,
            quiet_to=policy.quiet_to,
        )
        for way in ways:
            if way.channel == "sms":
                add(kind, ring, expires, Way("voice", way.recipient, way.account_id, way.patient_id))
    if hears:
        letters.append(_to_hospital(kind, now, facts))
    return letters


def ways_to(account: Any, patient: Any) -> list[Way]:
    """Return how the booker and the patient are reached; of addresses only is asked whether they are there."""
    ways: list[Way] = []
    if account is not None:
        channels = ["app", "sms"]
        if account.email_verified_at:
            channels.append("email")
        if account.wechat_openid and offers("wechat"):
            channels.append("wechat")
        ways += [Way(channel, "account", account_id=account.id) for channel in channels]
    own = patient is not None and patient.phone
    if own and (account is None or patient.phone_hash != account.phone_hash):
        ways.append(Way("sms", "patient", patient_id=patient.id))
    return ways


def ways_to_accounts(session: Session, ids: Iterable[int]) -> dict[int, list[Way]]:
    """Return by account how it is reached where no visit, and so no patient's own phone, is at hand; one question for all."""
    asked = select(
        _ACCOUNT.c.id,
        _ACCOUNT.c.email_verified_at,
        _ACCOUNT.c.wechat_openid.is_not(None).label("wechat_openid"),
    ).where(_ACCOUNT.c.id.in_(set(ids)))
    return {account.id: ways_to(account, None) for account in session.execute(asked)}


def is_urgent(row: Appointment, kind: str, facts: dict[str, Any], now: datetime) -> bool:
    """Whether somebody may set out for nothing: a stop, or the hospital's own change on the very day."""
    if kind == "stopped":
        return True
    if kind not in ("cancelled", "moved") or facts.get("by") != "hospital":
        return False
    days = {row.visit_date}
    if "from" in facts:
        days.add(date.fromisoformat(facts["from"]["visit_date"]))
    return local(now, row.zone).date() in days


def hospital_hears(session: Session, hospital_id: int) -> bool:
    """Whether the hospital wants its own letter about each change."""
    asked = select(_HOSPITAL.c.webhook_url.is_not(None)).where(_HOSPITAL.c.id == hospital_id)
    return bool(session.scalar(asked))


def _to_hospital(kind: str, now: datetime, facts: dict[str, Any]) -> Letter:
    return Letter(kind, "webhook", "hospital", due_at=now, expires_at=now + ALWAYS_FOR, facts=facts)
