"""Where a chaos takes place: hospitals in zones whose clocks change, sessions whose reminders fall due during the run, people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert, text

from booking import clock
from booking.db import core, db, new_id, transaction
from booking.people.models import Account, Patient, PatientLink
from booking.staff.models import StaffMember
from booking.vault import blind_index
from tests import factory
from tests.chaos.zones import ZONES, next_change

BEFORE = 30
"""Minutes between a reminder and its visit."""
LADDER = [
    {"kind": "reminder_day", "days_before": 1, "at": "15:00", "booked_before": "13:00"},
    {"kind": "reminder_hours", "minutes_before": BEFORE, "at_least": 5},
]
POLICY: dict[str, Any] = {
    "reminders": LADDER,
    "quiet_from": time(3),
    "quiet_to": time(3),  # no quiet hours: reminders fall due whatever the local time is
    "closing_minutes": 0,
    "per_day": 999,
    "per_department_day": 999,
    "per_week": 999,
    "open_per_account": 999,
    "refuse_overlap": False,
    "sign_in_first_minutes": 0,
    "regret_minutes": 900,
    "no_show_after_minutes": 600,
}


@dataclass(frozen=True)
class House:
    """One hospital: its slots (as `near`: session and slot, `far`: on the day after the clocks change), and who administers it."""

    id: int
    zone: str
    near: list[tuple[str, str]]
    far: list[tuple[str, str]]
    admin: str


@dataclass(frozen=True)
class Town:
    houses: list[House]
    people: list[tuple[int, int]]
    """(account, patient)."""

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def read(path: Path) -> Town:
    """Return the town another process built."""
    said = json.loads(path.read_text())
    return Town([House(**house) for house in said["houses"]], [tuple(one) for one in said["people"]])


def build(app: Flask, *, people: int, sessions: int, places: int, seconds: float) -> Town:
    """Make the town. Reminders of the `near` sessions of each hospital fall due spread over the run's `seconds`."""
    with app.app_context():
        began = factory.now()
        houses = [_house(zone, began, sessions, places, seconds) for zone in ZONES]
        town = Town(houses, _people(people, began))
        db.session.remove()
    return town


def _house(zone: str, began: datetime, sessions: int, places: int, seconds: float) -> House:
    clinic = factory.clinic(hospital={"zone": zone}, policy=POLICY)
    near, far = [], []
    for number in range(sessions):
        # the first reminders come when there have been some bookings, the last before the end
        due = began + timedelta(seconds=seconds * (0.2 + 0.7 * number / max(1, sessions - 1)))
        starts = _minute(clock.local(due + timedelta(minutes=BEFORE), zone))
        if starts.time() >= time(23, 50):  # a session does not cross midnight
            starts = (starts + timedelta(minutes=15)).replace(hour=0, minute=5)
        near.append(_session(clinic if not number else factory.another_doctor(clinic), starts, places))
    day = next_change(zone, began + timedelta(days=2))
    for hour in (1, 4, 9):
        starts = datetime.combine(day, time(hour, 20))
        far.append(_session(factory.another_doctor(clinic), starts, places // 4))
    staff = StaffMember(
        hospital_id=clinic.id,
        id=new_id(),
        username=f"admin-{clinic.id}",
        name="院办",
        role="admin",
        password_hash="-",
        created_at=began,
    )
    with transaction() as session:
        session.add(staff)
        session.flush()
        session.expunge_all()
    return House(clinic.id, zone, near, far, staff.id.hex)


def _minute(at: datetime) -> datetime:
    return (at + timedelta(seconds=59)).replace(second=0, microsecond=0, tzinfo=None)


def _session(clinic: factory.Clinic, starts: datetime, places: int) -> tuple[str, str]:
    ends = (starts + timedelta(minutes=10)).time()
    opened = factory.open_session(
        clinic, on=starts.date(), starts=starts.time(), ends=ends, slot_minutes=10, places=places
    )
    return opened.id.hex, opened.slots[0].id.hex


def _people(count: int, at: datetime) -> list[tuple[int, int]]:
    """Make accounts and their patients quickly; every third has a verified address, every tenth patient a phone of its own."""
    accounts, patients = [], []
    for number in range(count):
        phone, own = f"+86138{number:08d}", f"+86139{number:08d}"
        email = f"person{number}@example.org" if number % 3 == 0 else None
        accounts.append(
            {
                "phone": phone,
                "phone_hash": blind_index("phone", phone),
                "email": email,
                "email_verified_at": at if email else None,
                "created_at": at,
                "reminders_on": True,
                "session_version": 1,
                "quiet_channels": [],
            }
        )
        patients.append(
            {
                "name": "李秋禾",
                "id_type": "none",
                "birth_date": "1958-03-09",
                "sex": "f",
                "phone": own if number % 10 == 0 else None,
                "phone_hash": blind_index("phone", own) if number % 10 == 0 else None,
                "created_at": at,
                "reminders_on": True,
            }
        )
    with transaction() as session:
        mine = list(
            session.scalars(
                insert(core(Account)).returning(core(Account).c.id, sort_by_parameter_order=True), accounts
            )
        )
        theirs = list(
            session.scalars(
                insert(core(Patient)).returning(core(Patient).c.id, sort_by_parameter_order=True), patients
            )
        )
        session.execute(
            insert(core(PatientLink)),
            [
                {"account_id": one, "patient_id": other, "seat": 1, "relation": "self", "created_at": at}
                for one, other in zip(mine, theirs, strict=True)
            ],
        )
    return list(zip(mine, theirs, strict=True))


CLAIMS_ON_POSTGRESQL = """
CREATE TABLE chaos_claim (message_id uuid, fence integer, worker text, at timestamptz);
CREATE INDEX ix_chaos_claim ON chaos_claim (message_id);
CREATE FUNCTION chaos_claimed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO chaos_claim VALUES (NEW.id, NEW.fence, NEW.worker, clock_timestamp());
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_claims AFTER UPDATE OF fence ON message FOR EACH ROW WHEN (NEW.fence > OLD.fence)
  EXECUTE FUNCTION chaos_claimed();
"""
CLAIMS_ON_SQLITE = (
    "CREATE TABLE chaos_claim (message_id TEXT, fence INTEGER, worker TEXT, at TEXT)",
    "CREATE INDEX ix_chaos_claim ON chaos_claim (message_id)",
    "CREATE TRIGGER chaos_claims AFTER UPDATE OF fence ON message WHEN NEW.fence > OLD.fence BEGIN"
    " INSERT INTO chaos_claim VALUES (NEW.id, NEW.fence, NEW.worker, strftime('%Y-%m-%d %H:%M:%f', 'now')); END",
)


def watch_claims(app: Flask) -> None:
    """Have the database itself note every claim with its own unmoved clock: the product keeps the last one only."""
    with app.app_context():
        sqlite = db.engine.dialect.name == "sqlite"
        with db.engine.begin() as connection:
            for statement in CLAIMS_ON_SQLITE if sqlite else (CLAIMS_ON_POSTGRESQL,):
                connection.execute(text(statement))
