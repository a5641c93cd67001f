"""A hospital's rules as a value, and the instants they lead to."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.clock import utc
from booking.directory.models import Policy

LADDER: list[dict[str, Any]] = [
    {"kind": "reminder_day", "days_before": 1, "at": "15:00", "booked_before": "13:00"},
    {"kind": "reminder_hours", "minutes_before": 120, "at_least": 45},
]
"""Default reminders (domain conventions): the day before at 15:00 for visits booked before 13:00 of that day, and two
hours before the visit; what falls into quiet hours moves to their end, and is skipped when under 45 minutes remain."""


def current_policy(session: Session, hospital_id: int) -> Policy:
    """Return the newest version of a hospital's rules; a hospital always has one."""
    newest = select(Policy).where(Policy.hospital_id == hospital_id).order_by(Policy.version.desc()).limit(1)
    return session.scalars(newest).one()


def policy_version(session: Session, hospital_id: int, version: int) -> Policy:
    """Return the rules an appointment was sold under."""
    return session.scalars(
        select(Policy).where(Policy.hospital_id == hospital_id, Policy.version == version)
    ).one()


def release_instant(policy: Policy, local_date: date, zone: str) -> datetime:
    """When the numbers of a date are released: that many calendar days before, at the policy's wall time."""
    return utc(local_date - timedelta(days=policy.horizon_days), policy.release_time, zone)


def cancel_deadline(policy: Policy, local_date: date, zone: str) -> datetime:
    """Until when a visit is cancelled without trace: the wall time some days before the visit."""
    return utc(local_date - timedelta(days=policy.cancel_days_before), policy.cancel_time, zone)


def regret_until(policy: Policy, booked_at: datetime) -> datetime:
    """Until when a fresh booking is cancelled without trace, whatever the deadline."""
    return booked_at + timedelta(minutes=policy.regret_minutes)
