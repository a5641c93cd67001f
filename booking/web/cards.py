"""A doctor as every page shows one: name, place, the next time or the honest reason there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from flask import url_for

from booking import clock, wording
from booking.directory.queries import doctor_cards
from booking.directory.views import DoctorCard, Key
from booking.notices.discretion import DOUBLE_SURNAMES
from booking.refs import ref
from booking.schedule.open_slots import NextOpen, OpenSlot, next_open
from booking.web import picker
from booking.web.session import now

ORDER = {"bookable": 0, "later": 1, "full": 2, "none": 3, "no_clinic": 4}


@dataclass(frozen=True)
class NextTime:
    """A doctor's next open time; `left` counts its session, the fee is in words."""

    label: str
    short: str
    left: int
    fee: str
    slot_id: str
    session_id: str
    date: date
    starts_at: datetime
    campus: str
    url: str


@dataclass(frozen=True)
class Card:
    """See templates/parts/doctors.html for what each field is shown as."""

    key: Key
    slug: str
    name: str
    title: str
    surname: str
    hospital: str
    department: str
    skill: str
    verified: bool
    url: str
    has_clinic: bool
    state: str
    fallback_url: str
    next: NextTime | None = None
    release_label: str = ""
    quick: list[picker.Quick] = field(default_factory=list)
    grade: str = ""
    bio_facts: list[tuple[str, str]] = field(default_factory=list)


def surname(name: str) -> str:
    """Return the family name, also a double one."""
    return name[:2] if name[:2] in DOUBLE_SURNAMES and len(name) > 2 else name[:1]


def address(slug: str, day: date | None = None, campus: str = "") -> str:
    """Return the doctor's page, on a day when one is given."""
    anchor = "h-day" if day else None
    return url_for(
        "doctors.doctor",
        doctor=slug,
        date=day.isoformat() if day else None,
        site=campus or None,
        _anchor=anchor,
    )


def cards(
    keys: Iterable[Key], *, times: int = 3, topic_url: str = "", rows: dict[Key, DoctorCard] | None = None
) -> list[Card]:
    """Return the doctors of `keys` in that order with their next times.

    `topic_url` is where a doctor without clinic leads to: the topic's department rather than their own.
    """
    known = doctor_cards(keys) if rows is None else rows
    nexts = next_open([key for key, row in known.items() if row.has_clinic], now(), limit=times)
    return [card(row, nexts.get(key), topic_url=topic_url) for key, row in known.items()]


def card(row: DoctorCard, found: NextOpen | None, *, topic_url: str = "") -> Card:
    """Return one doctor with what the schedule said about the next times."""
    state = "no_clinic" if not row.has_clinic else found.state if found else "none"
    zone = row.hospital.zone
    today = clock.local(now(), zone).date()
    release = ""
    if found and found.release_at:
        release = picker.release_label(found.release_at, zone, today, found.coming)
    return Card(
        key=row.key,
        slug=row.slug,
        name=row.name,
        title=row.title,
        surname=surname(row.name),
        hospital=row.hospital.name,
        department=row.department,
        skill=row.skill,
        verified=row.verified_at is not None,
        url=address(row.slug),
        has_clinic=row.has_clinic,
        state=state,
        fallback_url=topic_url if topic_url and not row.has_clinic else department_url(row),
        next=_next(row, found, today) if found and found.slots else None,
        release_label=release,
        quick=[picker.quick(slot, today) for slot in (found.slots if found else [])],
        grade=row.hospital.level,
    )


def department_url(row: DoctorCard) -> str:
    """Return where to go when this doctor cannot be booked: the department's doctors, else all departments."""
    slug = next((place.specialty_slug for place in row.practices if place.specialty_slug), "")
    return url_for("departments.department", slug=slug) if slug else url_for("departments.list_departments")


def _next(row: DoctorCard, found: NextOpen, today: date) -> NextTime:
    slot: OpenSlot = found.slots[0]
    several = len({place.campus_id for place in row.practices}) > 1
    return NextTime(
        label=wording.when_long(slot.local_date, slot.starts_local, slot.part),
        short=wording.when_short(slot.local_date, slot.starts_local, today),
        left=found.session_left,
        fee=wording.fee(slot.fee_cents) if slot.fee_cents else "",
        slot_id=ref(slot.hospital_id, slot.slot_id),
        session_id=slot.session_id.hex,
        date=slot.local_date,
        starts_at=slot.starts_at,
        campus=slot.campus if several else "",
        url=address(row.slug, slot.local_date),
    )


def soonest(found: Sequence[Card], limit: int | None = None) -> list[Card]:
    """Return doctors by their next time, then those whose numbers come later, then the rest in the order given."""
    ordered = sorted(
        found, key=lambda one: (ORDER[one.state], one.next.starts_at.timestamp() if one.next else 0.0)
    )
    return ordered[:limit]


def bookable(found: Sequence[Card], limit: int) -> list[Card]:
    """Return the soonest that can be booked now; when there is none, the soonest of the others."""
    ordered = soonest(found)
    return [one for one in ordered if one.state == "bookable"][:limit] or ordered[:limit]
