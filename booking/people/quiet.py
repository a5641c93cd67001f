"""Somebody wants no reminders on a phone (退订), or wants them again: what they wrote back or pressed on the page of a visit is
their word, like the switch on the settings page."""

from __future__ import annotations

from sqlalchemy import select, update

from booking.db import retried, transaction
from booking.people.models import Account, Patient


@retried
def stop_reminders(phone_hash: str) -> bool:
    """Switch short reminders off for whoever has this phone, as an account and as a patient; cancellations and stops still go.

    Returns whether anybody has it. A repeat changes nothing.
    """
    with transaction() as session:
        account = session.scalar(select(Account).where(Account.phone_hash == phone_hash).with_for_update())
        if account is not None and "sms" not in account.quiet_channels:
            account.quiet_channels = [*account.quiet_channels, "sms"]
        patients = session.scalars(
            update(Patient)
            .where(Patient.phone_hash == phone_hash)
            .values(reminders_on=False)
            .returning(Patient.id)
            .execution_options(synchronize_session=False)
        ).all()
        return account is not None or bool(patients)


@retried
def remind_own_phone(patient_id: int, *, on: bool) -> None:
    """Switch reminders to a patient's own phone off or on: those of visits that somebody else booked; the others still go.

    For every patient who has this phone, as a couple may share one. What an account with the same phone chose for its own
    bookings stays. A repeat changes nothing, and so does a patient who is gone or has no phone.
    """
    with transaction() as session:
        phone = select(Patient.phone_hash).where(Patient.id == patient_id).scalar_subquery()
        session.execute(
            update(Patient)
            .where(Patient.phone_hash == phone)
            .values(reminders_on=on)
            .execution_options(synchronize_session=False)
        )
