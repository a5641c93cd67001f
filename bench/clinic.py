"""The bench's own hospital and its people: accounts with one patient each, slots enough for all, one slot sold out."""

from __future__ import annotations

import itertools
import secrets
import time as clock
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import time, timedelta
from urllib.parse import urlencode, urlsplit

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import func, insert, select, text

from bench import client
from booking.clock import db_now
from booking.db import db, end_read, transaction
from booking.outbox import Message
from booking.people.models import Account, Patient, PatientLink
from booking.refs import ref
from booking.vault import blind_index
from tests import factory

LETTERS = 15_000
DOCTORS = 12
SLOT_MINUTES = 10
PLACES = 5
DAYS_AHEAD = 3
SOLD_OUT_PLACES = 5
CROWD_PLACES = 20


@dataclass(frozen=True)
class Person:
    """An account and its patient."""

    account: int
    patient: int


@dataclass(frozen=True)
class Visitor:
    """A browser at which an account is signed in: its cookie, its forgery token, its address."""

    person: Person
    cookie: str
    token: str
    address: str

    def hold(self, slot: str) -> bytes:
        """The request that takes a place of a slot."""
        return client.post(
            "/hold", urlencode({"slot": slot, "csrf_token": self.token}).encode(), **self.headers
        )

    def confirm(self, path: str) -> bytes:
        """The request that confirms a hold for the account's patient."""
        form = {
            "csrf_token": self.token,
            "request_key": secrets.token_hex(16),
            "patient": str(self.person.patient),
            "complaint": "咳嗽两周",
            "reminders": "y",
        }
        return client.post(path, urlencode(form).encode(), **self.headers)

    def see(self, path: str) -> bytes:
        """The request of a page."""
        return client.get(path, **self.headers)

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"qw={self.cookie}", "X_Forwarded_For": self.address, "X_Forwarded_Proto": "https"}


@dataclass
class CrowdAnswers:
    """What a crowd was told: seconds until each first answer, how many booked, were told "full", met a failure."""

    seconds: list[float] = field(default_factory=list)
    booked: int = 0
    full: int = 0
    failed: int = 0


class Clinic:
    """One hospital in the database of `app`, and the requests made of it. Build it once, `tidy` it between rounds."""

    def __init__(self, app: Flask, groups: dict[str, int]) -> None:
        self.app = app
        signer = SecureCookieSessionInterface().get_signing_serializer(app)
        assert signer is not None
        self.sign = signer.dumps
        self.tokens = URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token")
        with app.app_context():
            wanted = sum(groups.values())
            everybody = people(wanted + SOLD_OUT_PLACES)
            rest = iter(everybody[SOLD_OUT_PLACES:])
            self.people = {name: list(itertools.islice(rest, count)) for name, count in groups.items()}
            self._build(wanted, everybody[:SOLD_OUT_PLACES])
            db.session.remove()

    def _build(self, people: int, early: list[Person]) -> None:
        first = factory.clinic(hospital={"slug": "bench", "name": "青梧市测量医院"})
        self.hospital = first.id
        self.day = factory.local(factory.now(), first.hospital.zone).date() + timedelta(days=DAYS_AHEAD)
        hours = {"starts": time(7), "ends": time(19), "slot_minutes": SLOT_MINUTES}
        self.spread: list[str] = []
        every = DOCTORS * (12 * 60 // SLOT_MINUTES)
        places = max(PLACES, -(-people // every))
        for number in range(DOCTORS):
            doctor = factory.another_doctor(first, f"陆明{number}")
            opened = factory.open_session(doctor, self.day, places=places, **hours)
            self.spread += [ref(slot) for slot in opened.slots]
        hot = factory.open_session(
            factory.another_doctor(first, "沈一"),
            self.day,
            starts=time(8),
            ends=time(8, 30),
            places=people,
        )
        self.hot = ref(hot.slots[0])
        sold = factory.another_doctor(first, "温和")
        opened = factory.open_session(sold, self.day, places=SOLD_OUT_PLACES)
        self.kept = [
            factory.booked(sold, opened, _rows(one), visit_code=f"4000000{number}").id
            for number, one in enumerate(early)
        ]
        self.sold_out = ref(opened.slots[0])
        wanted = factory.open_session(
            factory.another_doctor(first, "林一"),
            self.day,
            starts=time(8),
            ends=time(8, 30),
            places=CROWD_PLACES,
        )
        self.wanted = ref(wanted.slots[0])

    def visitors(self, group: str, most: int | None = None) -> list[Visitor]:
        """Give each account of a group a browser that has never been here, with address and forgery token."""
        made = []
        for number, person in enumerate(self.people[group][:most]):
            raw = secrets.token_hex(20)
            kept = {
                "_permanent": True,
                "account": person.account,
                "csrf_token": raw,
                "key": secrets.token_urlsafe(24),
            }
            address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            made.append(Visitor(person, self.sign(kept), self.tokens.dumps(raw), address))
        return made

    def holds(
        self, visitors: list[Visitor], slots: list[str], taken: list[tuple[Visitor, str]]
    ) -> Iterator[client.Flow]:
        """One hold for each visitor, slots in turn; those that were given are added to `taken`."""
        for number, visitor in enumerate(visitors):
            yield self._hold(visitor, slots[number % len(slots)], taken)

    def _hold(self, visitor: Visitor, slot: str, taken: list[tuple[Visitor, str]]) -> client.Flow:
        answer = yield visitor.hold(slot)
        if answer.status == 303 and "/book/" in answer.location:
            taken.append((visitor, urlsplit(answer.location).path))
            return True
        return False

    def confirms(self, taken: list[tuple[Visitor, str]]) -> Iterator[client.Flow]:
        """One confirmation for each hold."""
        for visitor, path in taken:
            yield self._confirm(visitor, path)

    def _confirm(self, visitor: Visitor, path: str) -> client.Flow:
        answer = yield visitor.confirm(path)
        return answer.status == 303 and "done=booked" in answer.location

    def bookings(self, visitors: list[Visitor]) -> Iterator[client.Flow]:
        """One whole booking for each visitor: take a place, see the confirm page, confirm."""
        for number, visitor in enumerate(visitors):
            yield self._booking(visitor, self.spread[number % len(self.spread)])

    def _booking(self, visitor: Visitor, slot: str) -> client.Flow:
        answer = yield visitor.hold(slot)
        path = urlsplit(answer.location).path
        if answer.status != 303 or "/book/" not in path:
            return False
        answer = yield visitor.see(path)
        if answer.status != 200:
            return False
        answer = yield visitor.confirm(path)
        return answer.status == 303 and "done=booked" in answer.location

    def crowd(self, visitors: list[Visitor], answers: CrowdAnswers) -> Iterator[client.Flow]:
        """Everybody wants the same slot; who gets a place confirms it."""
        for visitor in visitors:
            yield self._one_of_many(visitor, answers)

    def _one_of_many(self, visitor: Visitor, answers: CrowdAnswers) -> client.Flow:
        began = clock.perf_counter()
        answer = yield visitor.hold(self.wanted)
        answers.seconds.append(clock.perf_counter() - began)
        path = urlsplit(answer.location).path
        if answer.status != 303 or "/book/" not in path:
            answers.full += answer.status == 409
            answers.failed += answer.status >= 500
            return answer.status == 409
        answer = yield visitor.see(path)
        answer = yield visitor.confirm(path)
        booked = answer.status == 303 and "done=booked" in answer.location
        answers.booked += booked
        return booked

    def late(self, visitors: list[Visitor]) -> Iterator[client.Flow]:
        """One try for each visitor at the slot that is sold out."""
        for visitor in visitors:
            yield client.one(visitor.hold(self.sold_out), 409)

    def tidy(self) -> None:
        """Take back every hold and booking of the rounds, so that the next round finds what the first one found."""
        with self.app.app_context():
            with transaction() as session:
                values = {"hospital": self.hospital, "kept": self.kept}
                for statement in (
                    "UPDATE place SET appointment_id = NULL, held_until = NULL WHERE hospital_id = :hospital"
                    " AND appointment_id IS NOT NULL AND NOT appointment_id = ANY(:kept)",
                    "DELETE FROM message WHERE hospital_id = :hospital",
                    "DELETE FROM request_key WHERE hospital_id = :hospital",
                    "DELETE FROM appointment_event WHERE hospital_id = :hospital AND NOT appointment_id = ANY(:kept)",
                    "DELETE FROM appointment WHERE hospital_id = :hospital AND NOT id = ANY(:kept)",
                ):
                    session.execute(text(statement), values)
            end_read()
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(
                    text("VACUUM ANALYZE place, appointment, appointment_event, message, request_key")
                )
            db.session.remove()

    def letters_due(self) -> int:
        """Leave only SMS letters that are due now, those of the round and as many like them as a fast worker needs.

        Returns how many. Their ids keep the time of the originals: nobody is booking now.
        """
        self._count(
            "UPDATE message SET status = 'superseded', lease_until = NULL WHERE status IN ('waiting', 'sending')"
            " AND NOT (hospital_id = :hospital AND channel = 'sms' AND kind = 'confirmed')",
            "UPDATE message SET status = 'waiting', attempts = 0, next_at = due_at, lease_until = NULL"
            " WHERE hospital_id = :hospital AND channel = 'sms' AND kind = 'confirmed'",
        )
        found = 0
        while 0 <= found < LETTERS:
            there = self._count(
                "INSERT INTO message (hospital_id, id, dedupe_key, kind, channel, recipient, account_id, appointment_id,"
                " version, facts, created_at, due_at, next_at, expires_at, status, attempts, fence, worker, provider_ref,"
                " last_error) SELECT hospital_id,"
                " overlay(gen_random_uuid()::text PLACING left(id::text, 13) FROM 1 FOR 13)::uuid,"
                " 'bench:' || gen_random_uuid(), kind, channel, recipient, account_id, appointment_id, version, facts,"
                " created_at, due_at, due_at, expires_at, 'waiting', 0, 0, '', '', '' FROM message"
                " WHERE hospital_id = :hospital AND status = 'waiting' LIMIT 5000"
            )
            found = found + there if there else -1
        return self._count(
            "UPDATE message SET facts = facts WHERE hospital_id = :hospital AND status = 'waiting'"
        )

    def end_letters(self) -> None:
        """Let no letter wait any longer."""
        self._count(
            "UPDATE message SET status = 'superseded', lease_until = NULL WHERE status IN ('waiting', 'sending')"
        )

    def _count(self, *statements: str) -> int:
        with self.app.app_context(), transaction() as session:
            count = 0
            for statement in statements:
                values = {"hospital": self.hospital} if ":hospital" in statement else {}
                count = int(getattr(session.execute(text(statement), values), "rowcount", 0))
        return count

    def open_transactions(self) -> int:
        """Return how many connections to the database have a transaction open and do nothing."""
        with self.app.app_context():
            found = db.session.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
                )
            )
            db.session.remove()
        return int(found or 0)

    def settled(self) -> int:
        """Return how many SMS letters of the bench's hospital the gateway has accepted."""
        with self.app.app_context():
            accepted = select(func.count()).where(
                Message.hospital_id == self.hospital, Message.channel == "sms", Message.status == "accepted"
            )
            found = db.session.scalar(accepted) or 0
            db.session.remove()
        return found


def people(count: int, begin: str = "+86199") -> list[Person]:
    """Write accounts with verified phones (which `begin` so) and one patient each, many rows at a time."""
    with transaction() as session:
        at = db_now(session)
        phones = [f"{begin}{number:08d}" for number in range(count)]
        accounts = session.scalars(
            insert(Account).returning(Account.id, sort_by_parameter_order=True),
            [{"phone": one, "phone_hash": blind_index("phone", one), "created_at": at} for one in phones],
        ).all()
        patients = session.scalars(
            insert(Patient).returning(Patient.id, sort_by_parameter_order=True),
            [
                {
                    "name": "李秋禾",
                    "id_type": "none",
                    "birth_date": "1958-03-09",
                    "sex": "f",
                    "created_at": at,
                }
                for _ in range(count)
            ],
        ).all()
        pairs = [Person(*pair) for pair in zip(accounts, patients, strict=True)]
        session.execute(
            insert(PatientLink),
            [
                {
                    "account_id": one.account,
                    "patient_id": one.patient,
                    "seat": 1,
                    "relation": "self",
                    "created_at": at,
                }
                for one in pairs
            ],
        )
    return pairs


def _rows(one: Person) -> factory.Person:
    return factory.Person(db.session.get_one(Account, one.account), db.session.get_one(Patient, one.patient))
