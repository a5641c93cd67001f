"""The storm's town: hospitals, sessions, accounts and staff, made before it begins, and the browsers of all of them."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from time import sleep
from typing import Any

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import insert, text, update
from sqlalchemy.exc import DBAPIError

from booking import clock
from booking.db import db, new_id, transaction
from booking.people.models import Account, Patient, PatientLink
from booking.refs import ref
from booking.schedule.models import ClinicSession
from booking.staff.models import StaffMember
from booking.vault import blind_index
from tests import factory
from tests.storm.wire import request

POLICY = {
    "hold_minutes": 1,
    "hold_minutes_first": 1,
    "per_day": 3,
    "per_department_day": 2,
    "sign_in_first_minutes": 0,
    "checkin_opens_minutes": 600,
    "regret_minutes": 900,
    "cancel_days_before": 0,
    "cancel_time": time(9, 0),
    "offer_minutes": 10,
    "wish_turns_kept": 1,
}
BEGINS = time(7, 40)
"""The town's wall time when the storm begins; the sessions of its first day start at 10:00."""


@dataclass(frozen=True)
class SlotOf:
    """A slot as the plan names it."""

    hospital: int
    id: uuid.UUID
    session: uuid.UUID
    doctor: str
    day: int
    starts: str

    @property
    def ref(self) -> str:
        return ref(self.hospital, self.id)


@dataclass(frozen=True)
class Scarce:
    """A slot that is all there is of its session, with what a wish for it must name."""

    slot: SlotOf
    date: str
    doctor: uuid.UUID
    part: uuid.UUID
    campus: uuid.UUID


@dataclass
class SessionOf:
    """A session: its slots, how many places each has at first, when it is released (seconds after the start, or 0)."""

    hospital: int
    id: uuid.UUID
    slots: list[SlotOf]
    places: int
    starts: time
    ends: time
    kind: uuid.UUID
    release_after: float = 0.0
    day: int = 0


@dataclass
class Browser:
    """Somebody at a browser. `mine` are the appointments the storm knows this account to have."""

    number: int
    cookie: str
    token: str
    address: str
    account: int = 0
    patient: int = 0
    hospital: int = 0
    busy: bool = False
    key: str = ""
    mine: list[dict[str, Any]] = field(default_factory=list)

    def post(self, path: str, **form: str) -> bytes:
        return request("POST", path, self.cookie, self.address, {"csrf_token": self.token, **form})

    def get(self, path: str) -> bytes:
        return request("GET", path, self.cookie, self.address)


@dataclass
class Town:
    """Everything there is when the storm begins."""

    hospitals: list[int]
    sessions: list[SessionOf]
    slots: list[SlotOf]
    hot: list[SlotOf]
    scarce: list[Scarce]
    browsers: list[Browser]
    strangers: list[Browser]
    desks: dict[int, Browser]
    began: datetime
    rush: SlotOf


def build(
    app: Flask, *, hospitals: int, doctors: int, days: int, accounts: int, releases: list[float]
) -> Town:
    """Make the town and put its clock to BEGINS of tomorrow. `releases` are seconds after the start, one session each."""
    with app.app_context():
        zone = "Asia/Shanghai"
        today = clock.local(factory.now(), zone).date() + timedelta(days=1)
        with transaction() as session:
            clock.shift(session, clock.utc(today, BEGINS, zone) - clock.db_now(session))
        began = factory.now()
        sessions: list[SessionOf] = []
        desks: dict[int, int] = {}
        staff: dict[int, uuid.UUID] = {}
        hot: list[SlotOf] = []
        scarce: list[Scarce] = []
        rush: SlotOf | None = None
        for number in range(hospitals):
            first = factory.clinic(
                hospital={"slug": f"storm-{number}", "name": f"青梧市第{number + 1}医院"}, policy=POLICY
            )
            desks[first.id] = number
            staff[first.id] = _staff(first.id)
            for which in range(doctors):
                at = first if which == 0 else factory.another_doctor(first, f"陆明{which}")
                for day in range(days):
                    made = _session(at, today, day, places=1 + (which + day) % 4)
                    sessions.append(made)
                    if which == 0 and day == 1:
                        hot += made.slots[:1]
            few = [_scarce(factory.another_doctor(first, f"许候{which}"), today, days) for which in range(2)]
            scarce += [one for one, _session in few]
            sessions += [of for _scarce, of in few]
            if number == 0:
                at = factory.another_doctor(first, "沈放号")
                for step, seconds in enumerate(releases):
                    part = list(at.parts)[step % 3]
                    at_once = began + timedelta(seconds=seconds)
                    made = _session(
                        at, today, days + step // 3, places=3, part=part, release_at=at_once, after=seconds
                    )
                    sessions.append(made)
                    hot += made.slots[:1]
                crowd = factory.another_doctor(first, "温一号")
                opened = factory.open_session(
                    crowd, today + timedelta(days=days), starts=time(10), ends=time(10, 30), places=20
                )
                rush = _slots(opened, crowd, days)[0]
        sign, tokens = _signers(app)
        people = _people(accounts)
        browsers = [
            _browser(sign, tokens, number, {"account": account}, account=account, patient=patient)
            for number, (account, patient) in enumerate(people)
        ]
        for browser in browsers:
            browser.hospital = list(desks)[browser.number % hospitals]
        strangers = [_browser(sign, tokens, 1_000_000 + number, {}) for number in range(60)]
        until = int((began + timedelta(hours=11)).timestamp())
        at_desk = {
            house: _browser(
                sign,
                tokens,
                2_000_000 + house,
                {"staff": {"hospital": house, "id": staff[house].hex, "version": 1, "until": until}},
            )
            for house in desks
        }
        db.session.remove()
    assert rush is not None
    rare = {one.slot for one in scarce}
    slots = [slot for one in sessions if not one.release_after for slot in one.slots if slot not in rare]
    return Town(list(desks), sessions, slots, hot, scarce, browsers, strangers, at_desk, began, rush)


def _scarce(at: factory.Clinic, today: Any, day: int) -> tuple[Scarce, SessionOf]:
    """Open a session of one slot with two places; the waiting list is for sessions that are full as a whole."""
    on = today + timedelta(days=day)
    starts, ends = time(10), time(10, 30)
    opened = factory.open_session(at, on, starts=starts, ends=ends, part="上午", places=2)
    slots = _slots(opened, at, day)
    wanted = Scarce(slots[0], on.isoformat(), at.doctor.id, at.parts["上午"].id, at.campus.id)
    return wanted, SessionOf(at.id, opened.id, slots, 2, starts, ends, at.kind.id, 0.0, day)


def _session(
    at: factory.Clinic,
    today: Any,
    day: int,
    *,
    places: int,
    part: str = "上午",
    release_at: datetime | None = None,
    after: float = 0.0,
) -> SessionOf:
    starts, ends = {"上午": (time(10), time(13)), "下午": (time(14), time(17)), "夜间": (time(18), time(21))}[
        part
    ]
    opened = factory.open_session(
        at,
        today + timedelta(days=day),
        starts=starts,
        ends=ends,
        part=part,
        places=places,
        release_at=release_at,
    )
    slots = _slots(opened, at, day)
    return SessionOf(at.id, opened.id, slots, places, starts, ends, at.kind.id, after, day)


def _slots(opened: factory.OpenSession, at: factory.Clinic, day: int) -> list[SlotOf]:
    return [
        SlotOf(at.id, slot.id, opened.id, at.doctor.slug, day, f"{slot.starts_local:%H:%M}")
        for slot in opened.slots
    ]


def _staff(hospital: int) -> uuid.UUID:
    member = new_id()
    with transaction() as session:
        session.execute(
            insert(StaffMember).values(
                hospital_id=hospital,
                id=member,
                username="storm",
                name="风暴",
                role="admin",
                password_hash="none",
                created_at=clock.db_now(session),
            )
        )
    return member


def _people(count: int) -> list[tuple[int, int]]:
    """Write accounts with one patient each, many rows at a time; return (account, patient)."""
    with transaction() as session:
        at = clock.db_now(session)
        phones = [f"+86199{number:08d}" for number in range(count)]
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
        pairs = list(zip(accounts, patients, strict=True))
        session.execute(
            insert(PatientLink),
            [
                {"account_id": a, "patient_id": p, "seat": 1, "relation": "self", "created_at": at}
                for a, p in pairs
            ],
        )
    return pairs


def _signers(app: Flask) -> tuple[Any, Any]:
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer is not None
    return signer, URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token")


def _browser(sign: Any, tokens: Any, number: int, kept: dict[str, Any], **who: int) -> Browser:
    raw = secrets.token_hex(20)
    cookie = sign.dumps({"_permanent": True, "csrf_token": raw, "key": secrets.token_urlsafe(24), **kept})
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Browser(number, cookie, tokens.dumps(raw), address, **who)


def set_clock(app: Flask, offset: float) -> None:
    """Put the town's clock `offset` seconds before the machine's, however often the database goes away meanwhile."""
    while True:
        try:
            with app.app_context():
                with transaction() as session:
                    session.execute(
                        text("UPDATE demo_clock SET offset_seconds = :offset"), {"offset": offset}
                    )
                db.session.remove()
            return
        except DBAPIError:
            sleep(0.2)


def put_releases(town: Town, began: float) -> None:
    """Put each release to its seconds after `began` (the town's clock, seconds since 1970); needs an application context."""
    with transaction() as session:
        for one in town.sessions:
            if one.release_after:
                at = datetime.fromtimestamp(began + one.release_after, UTC)
                session.execute(
                    update(ClinicSession)
                    .where(ClinicSession.hospital_id == one.hospital, ClinicSession.id == one.id)
                    .values(release_at=at)
                )
    db.session.remove()


def observer_indexes(app: Flask) -> None:
    """Make the invariants cheap to ask ten times a second: an index of the active rows, which no rule depends on."""
    active = "status IN ('held', 'confirming', 'booked', 'arrived', 'in_visit')"
    with app.app_context():
        with transaction() as session:
            session.execute(
                text(f"CREATE INDEX storm_active ON appointment (hospital_id, place_id) WHERE {active}")
            )
            session.execute(
                text(
                    "CREATE INDEX storm_taken ON place (hospital_id, appointment_id) WHERE appointment_id IS NOT NULL"
                )
            )
        db.session.remove()
