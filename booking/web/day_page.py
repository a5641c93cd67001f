"""The doctor's page on a day: strip, sessions, slots. Shown by the doctor's own address, after a lost time, and when
an appointment is moved."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from flask import current_app, render_template, url_for
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.draw_queries import draws_of
from booking.appointments.facts import SlotFacts, slot_facts
from booking.appointments.rules import SlotFull
from booking.appointments.wish_lines import line_of_session
from booking.db import db
from booking.directory.models import Policy
from booking.directory.policy import current_policy
from booking.directory.queries import doctor, doctor_keys, recommended_doctors
from booking.directory.views import DoctorCard, DoctorFilter
from booking.errors import Refusal
from booking.refs import Key
from booking.schedule.doctor_days import Day, doctor_days, next_visible
from booking.schedule.doctor_sessions import SessionView, doctor_sessions
from booking.schedule.open_slots import next_open
from booking.schedule.waiting_rules import list_closes
from booking.web import cards, early, held, picker
from booking.web.cards import Card
from booking.web.policy_words import rule_lines
from booking.web.session import now

SELLING = ("open", "few")
SAME_SHOWN = 3


@dataclass(frozen=True)
class Chosen:
    """What the address asks for; `answer` is the answer the person came from."""

    day: date | None = None
    site: str = ""
    answer: int | None = None


def picker_values(
    row: DoctorCard,
    chosen: Chosen,
    address: Callable[[date | None, str], str],
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Return the picker's part of a page for a doctor: days, sessions, campuses, the nearest time when the strip is empty.

    `address` makes the link to another day or campus.
    """
    zone = row.hospital.zone
    today = clock.local(now(), zone).date()
    campuses = list({place.campus_slug: place for place in row.practices if place.has_clinic}.values())
    campus_id = next((place.campus_id for place in campuses if place.campus_slug == chosen.site), None)
    site = chosen.site if campus_id else ""
    days = doctor_days(row.hospital_id, row.id, now(), campus_id, zone=zone, policy=policy)
    day = chosen.day if chosen.day and chosen.day >= today else _first(days)
    sessions = (
        doctor_sessions(row.hospital_id, row.id, day, now(), campus_id=campus_id, held_slots=held.by_slot())
        if day
        else []
    )
    drawn = _draws(row.hospital_id, [one.id for one in sessions if one.sale == "draw"])
    nearest = (
        None if any(_sells(one) for one in days) else _nearest(row, days, today, lambda at: address(at, site))
    )
    empty = not nearest and not any(one.parts for one in days) and not sessions
    same_url = url_for("doctors.list_doctors", dept=_specialty(row) or None, hospital=row.hospital.slug)
    names = [(place.campus, place.campus_slug) for place in campuses]
    return {
        "days": [] if empty else picker.strip(days, day, today, lambda at: address(at, site), zone),
        "sessions": [
            picker.session_card(
                one,
                now=now(),
                zone=zone,
                same_dept_url=same_url,
                holds=held.by_slot(),
                remind_url=url_for("releases.reminder", session=(row.hospital_id, one.id)),
                draw=drawn.get(one.id),
                wait=_waiting(one, policy, zone),
            )
            for one in sessions
        ],
        "campuses": picker.campus_links(names, site, lambda slug: address(day, slug)),
        "campus": site,
        "month_label": _("%(n)s 月", n=(day or today).month),
        "nearest": nearest,
    }


def _draws(hospital_id: int, sessions: list[uuid.UUID]) -> dict[uuid.UUID, picker.DrawLine]:
    """Return the draws of sessions that have one; nothing is asked when there is none."""
    found = draws_of(hospital_id, sessions) if sessions else {}
    return {
        session_id: picker.DrawLine(url_for("draws.show", draw=(hospital_id, draw_id)), count)
        for session_id, (draw_id, count) in found.items()
    }


def _waiting(session: SessionView, policy: Policy | None, zone: str) -> tuple[str, int]:
    """Return where the waiting list of a full session is joined and how many are on it; nothing once it has closed."""
    if session.status != "full" or policy is None:
        return "", 0
    closes = list_closes(policy.wish_ends_days_before, policy.wish_ends_time, session.local_date, zone)
    if closes <= now():
        return "", 0
    name = (session.hospital_id, session.id)
    return url_for("waiting.join", clinic=name), line_of_session(db.session(), *name)


def _specialty(row: DoctorCard) -> str:
    return next((place.specialty_slug for place in row.practices if place.specialty_slug), "")


def _sells(one: Day) -> bool:
    return any(part.status in SELLING for part in one.parts)


def _first(days: list[Day]) -> date | None:
    """Return the day a page opens with: the first with numbers, else the first with any session."""
    wanted = [one for one in days if _sells(one)] or [one for one in days if one.parts]
    return wanted[0].day if wanted else None


def _nearest(
    row: DoctorCard, days: list[Day], today: date, address: Callable[[date], str]
) -> dict[str, str] | None:
    found = next_open([row.key], now(), limit=1)[row.key]
    if found.slots:
        slot = found.slots[0]
        label = wording.when_long(slot.local_date, slot.starts_local, slot.part)
        return {"label": label, "url": address(slot.local_date)}
    last = max((one.day for one in days if one.parts and not _waits(one)), default=today)
    ahead = next_visible(row.hospital_id, row.id, last)
    if ahead is None:
        return None
    day, part, release_at = ahead
    label = f"{wording.day_long(day)} {part}"
    if release_at > now():
        label = _(
            "%(when)s（%(release)s）",
            when=label,
            release=picker.release_label(release_at, row.hospital.zone, today),
        )
    return {"label": label, "url": address(day)}


def _waits(one: Day) -> bool:
    return any(part.status in ("later", "draw") for part in one.parts)


def tabs(row: DoctorCard, current: str) -> list[dict[str, Any]]:
    """Return the doctor's three pages."""
    return [
        {"text": _("出诊预约"), "url": cards.address(row.slug), "current": current == "times", "count": None},
        {
            "text": _("医生介绍"),
            "url": url_for("doctors.about", doctor=row.slug),
            "current": current == "about",
            "count": None,
        },
        {
            "text": _("回答"),
            "url": url_for("doctors.answers", doctor=row.slug),
            "current": current == "answers",
            "count": None,
        },
    ]


def crumbs(row: DoctorCard, own: Card) -> list[dict[str, str]]:
    """Return where the doctor's page stands: home, hospital, department, the doctor."""
    place = next((one for one in row.practices if one.specialty_slug), None)
    listed = [
        {"name": _("首页"), "url": "/"},
        {"name": row.hospital.name, "url": url_for("hospitals.hospital", slug=row.hospital.slug)},
    ]
    if place:
        listed.append(
            {"name": place.department, "url": url_for("departments.department", slug=place.specialty_slug)}
        )
    return [*listed, {"name": row.name, "url": own.url}]


def own_card(row: DoctorCard, policy: Policy) -> Card:
    """Return the doctor with the facts of the head of the page."""
    found = next_open([row.key], now())[row.key] if row.has_clinic else None
    card = cards.card(row, found)
    facts = [
        (_("放号"), _("提前 %(n)s 天 %(t)s", n=policy.horizon_days, t=wording.clock(policy.release_time)))
    ]
    if card.next and card.next.fee:
        facts.insert(0, (_("费用"), card.next.fee))
    return replace(card, bio_facts=facts if row.has_clinic else [])


def same_department(row: DoctorCard) -> list[Card]:
    """Return up to three others of the department who can be booked soonest, own hospital first."""
    department: uuid.UUID | None = row.practices[0].department_id if row.practices else None
    if department is None:
        return []
    own = [key for key in doctor_keys(DoctorFilter(department=department), limit=20) if key != row.key]
    shown = cards.bookable(cards.cards(own), SAME_SHOWN)
    if len([one for one in shown if one.state == "bookable"]) < SAME_SHOWN:
        more = recommended_doctors(row.practices[0].specialty_id, exclude=[row.key, *own], limit=12)
        shown = cards.bookable([*shown, *cards.cards(more)], SAME_SHOWN)
    return [one for one in shown if one.state == "bookable"]


def times_page(row: DoctorCard, chosen: Chosen, *, taken: picker.Taken | None = None) -> str:
    """Return the doctor's page with the picker."""
    policy = current_policy(db.session(), row.hospital_id)
    own = own_card(row, policy)
    notice = "" if row.has_clinic else _("%(name)s医生不开设门诊，可以看同类门诊。", name=row.name)

    def address(day: date | None, site: str) -> str:
        at = cards.address(row.slug, day, site)
        if not chosen.answer:
            return at
        path, mark, anchor = at.partition("#")
        return f"{path}{'&' if '?' in path else '?'}answer={chosen.answer}{mark}{anchor}"

    return render_template(
        "web/doctor.html",
        crumbs=crumbs(row, own),
        doctor=own,
        tab="times",
        tabs=tabs(row, "times"),
        **picker_values(row, chosen, address, policy),
        notice=notice,
        rules=rule_lines(policy) if row.has_clinic else [],
        calendar_url=url_for("releases.doctor_ics", slug=row.slug) if row.has_clinic else "",
        same=same_department(row),
        answer=chosen.answer,
        held=held.waiting(only_time=True),
        taken=taken,
        desk_phone=row.hospital.phone,
        changing=None,
        jsonld=jsonld(row, own),
    )


def jsonld(row: DoctorCard, own: Card) -> list[dict[str, Any]]:
    """Return what search engines read of a doctor: who and where, and where the page stands."""
    root = current_app.config["PUBLIC_URL"]
    places = [
        {"@type": "ListItem", "position": at, "name": one["name"], "item": root + one["url"]}
        for at, one in enumerate(crumbs(row, own), start=1)
    ]
    return [
        {
            "@context": "https://schema.org",
            "@type": "Physician",
            "name": row.name,
            "url": root + own.url,
            "jobTitle": row.title,
            "medicalSpecialty": row.department,
            "telephone": row.hospital.phone,
            "hospitalAffiliation": {
                "@type": "Hospital",
                "name": row.hospital.name,
                "address": row.hospital.address,
            },
        },
        {"@context": "https://schema.org", "@type": "BreadcrumbList", "itemListElement": places},
    ]


def address(slot: Key) -> str:
    """Return the doctor's page on the day of a slot."""
    facts = slot_facts(db.session(), *slot)
    return cards.address(facts.doctor.slug, facts.clinic.local_date)


def taken_box(facts: SlotFacts, refusal: Refusal) -> picker.Taken:
    """Return the box that says why a time could not be taken, with the nearest times as buttons."""
    zone = facts.clinic.zone
    today = clock.local(now(), zone).date()
    waiting = held.waiting()
    links = [{"text": _("去确认 %(what)s", what=waiting.label), "url": waiting.url}] if waiting else []
    text = refusal.text
    rest = early.rest_line(facts) if isinstance(refusal, SlotFull) else ""
    if rest:
        text = _("%(time)s 现在没有号了，%(rest)s", time=wording.clock(facts.slot.starts_local), rest=rest)
        session = (facts.slot.hospital_id, facts.clinic.id)
        links.append(
            {"text": _("加到日历，到点提醒我"), "url": url_for("releases.reminder", session=session)}
        )
    return picker.Taken(text, picker.near(refusal.facts.get("alternatives"), today), links)


def lost(slot: Key, refusal: Refusal, answer: int | None) -> str:
    """Return the doctor's day again after a time could not be held, with fresh numbers and the nearest times."""
    facts = slot_facts(db.session(), *slot)
    row = doctor(facts.doctor.slug)
    if row is None:
        raise refusal
    return times_page(row, Chosen(facts.clinic.local_date, "", answer), taken=taken_box(facts, refusal))
