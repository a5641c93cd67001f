"""Verbs on templates, and the generation of dated sessions from them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from sqlalchemy import and_, select, update
from sqlalchemy.exc import IntegrityError

from booking.clock import db_now, local, utc
from booking.db import broken_constraint, db, retried, transaction
from booking.directory.calendar import DayRule, day_rules
from booking.directory.models import ClinicKind, DayPart, Doctor, Hospital, Policy, Practice
from booking.directory.policy import current_policy, release_instant
from booking.errors import NotFound
from booking.schedule.add_session import belongs, insert_session
from booking.schedule.admission import Admits, make_admits
from booking.schedule.channels import rolls_instant, tidy
from booking.schedule.models import ClinicSession, Template
from booking.schedule.rules import ensure_dates, ensure_pattern, ensure_shape, falls_on
from booking.schedule.shape import Shape, slot_times
from booking.staff.rules import SYSTEM, Actor, ensure_may
from booking.staff.trail import record


@dataclass(frozen=True)
class Planned:
    """One date a template falls on: `new`, `same` (it is there), `differs` (edited since; left alone), `holiday`, `past`."""

    template: Template
    local_date: date
    outcome: str
    note: str = ""


@dataclass
class Generated:
    """What a generation did or would do."""

    planned: list[Planned] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        return sum(one.outcome == outcome for one in self.planned)

    @property
    def created(self) -> int:
        return self.count("new")

    @property
    def unchanged(self) -> int:
        return self.count("same")

    @property
    def conflicts(self) -> int:
        return self.count("differs")

    @property
    def skipped(self) -> int:
        return self.count("holiday") + self.count("past")


@retried
def save_template(
    hospital_id: int,
    template_id: uuid.UUID | None = None,
    *,
    actor: Actor,
    practice_id: uuid.UUID,
    weekday: int,
    day_part_id: uuid.UUID,
    starts_local: time,
    ends_local: time,
    slot_minutes: int,
    places_per_slot: int,
    clinic_kind_id: uuid.UUID,
    fee_cents: int,
    room: str = "",
    channels: Mapping[str, int] | None = None,
    weeks: str = "every",
    valid_from: date | None = None,
    valid_to: date | None = None,
    skips_holidays: bool = True,
    publishes: bool = True,
    admits: Admits | None = None,
) -> Template:
    """Add a weekly pattern, or change one; dated sessions that exist are not touched. Raises BadInput, NotAllowed, NotFound.

    Saving the same values again changes nothing but the version.
    """
    ensure_may(actor, "change_template", hospital_id)
    ensure_shape(starts_local, ends_local, slot_minutes, places_per_slot, fee_cents, room)
    ensure_pattern(weekday, weeks, valid_from, valid_to)
    wanted = {
        "practice_id": practice_id,
        "weekday": weekday,
        "day_part_id": day_part_id,
        "starts_local": starts_local,
        "ends_local": ends_local,
        "slot_minutes": slot_minutes,
        "places_per_slot": places_per_slot,
        "clinic_kind_id": clinic_kind_id,
        "fee_cents": fee_cents,
        "room": room.strip(),
        "channels": tidy(channels, places_per_slot),
        "weeks": weeks,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "skips_holidays": skips_holidays,
        "publishes": publishes,
        "admits": make_admits(**(admits or {})),
        "active": True,
    }
    with transaction() as session:
        belongs(
            session,
            hospital_id,
            practice_id=(Practice, practice_id),
            day_part_id=(DayPart, day_part_id),
            clinic_kind_id=(ClinicKind, clinic_kind_id),
        )
        if template_id is None:
            row = Template(hospital_id=hospital_id, version=0)
            session.add(row)
        else:
            found = session.get(Template, (hospital_id, template_id), with_for_update=True)
            if found is None:
                raise NotFound("没有找到这个模板。")
            row = found
        change = {
            name: [None if template_id is None else str(getattr(row, name)), str(value)]
            for name, value in wanted.items()
            if template_id is None or getattr(row, name) != value
        }
        for name, value in wanted.items():
            setattr(row, name, value)
        row.version += 1
        session.flush()
        record(
            session,
            hospital_id,
            actor,
            "change_template",
            "template",
            row.id,
            now=db_now(session),
            change=change,
        )
    return row


@retried
def end_template(hospital_id: int, template_id: uuid.UUID, *, actor: Actor) -> None:
    """Stop generating from a pattern; what is generated stays. A repeat changes nothing."""
    ensure_may(actor, "change_template", hospital_id)
    with transaction() as session:
        row = session.get(Template, (hospital_id, template_id), with_for_update=True)
        if row is None:
            raise NotFound("没有找到这个模板。")
        if not row.active:
            return
        row.active, row.version = False, row.version + 1
        session.flush()
        record(session, hospital_id, actor, "end_template", "template", row.id, now=db_now(session))


def preview(
    hospital_id: int, first: date, last: date, *, template_ids: list[uuid.UUID] | None = None
) -> Generated:
    """Return what `generate` would do from `first` to `last` (both included); changes nothing.

    Patterns of a doctor or a practice that has ended ask for nothing. Raises BadInput for an impossible span.
    """
    ensure_dates(first, last)
    session = db.session()
    zone = session.get_one(Hospital, hospital_id).zone
    now = db_now(session)
    days = [first + timedelta(days=step) for step in range((last - first).days + 1)]
    rules = day_rules(session, hospital_id, days)
    patterns = (
        select(Template)
        .join(
            Practice, and_(Practice.hospital_id == Template.hospital_id, Practice.id == Template.practice_id)
        )
        .join(Doctor, and_(Doctor.hospital_id == Practice.hospital_id, Doctor.id == Practice.doctor_id))
        .where(
            Template.hospital_id == hospital_id,
            Template.active.is_(True),
            Practice.active.is_(True),
            Doctor.active.is_(True),
        )
    )
    if template_ids is not None:
        patterns = patterns.where(Template.id.in_(template_ids))
    standing = {
        (row.practice_id, row.local_date, row.day_part_id): row
        for row in session.scalars(
            select(ClinicSession).where(
                ClinicSession.hospital_id == hospital_id,
                ClinicSession.local_date >= first,
                ClinicSession.local_date <= last,
            )
        )
    }
    result, claimed = Generated(), set()
    for template in session.scalars(patterns.order_by(Template.practice_id, Template.weekday, Template.id)):
        for day in days:
            rule = rules.get(day, DayRule(False))
            if not falls_on(
                day,
                weekday=template.weekday,
                weeks=template.weeks,
                valid_from=template.valid_from,
                valid_to=template.valid_to,
                as_weekday=rule.as_weekday,
            ):
                continue
            key = (template.practice_id, day, template.day_part_id)
            existing = standing.get(key)
            if existing is not None:
                outcome = "same" if _same(existing, template) else "differs"
            elif key in claimed:
                outcome = "differs"
            elif template.skips_holidays and rule.closed:
                outcome = "holiday"
            elif utc(day, template.ends_local, zone) <= now or not _slots(template, day, zone):
                outcome = "past"
            else:
                outcome = "new"
                claimed.add(key)
            result.planned.append(Planned(template, day, outcome, rule.name))
    return result


def _slots(template: Template, day: date, zone: str) -> list[tuple[time, time]]:
    return slot_times(day, template.starts_local, template.ends_local, template.slot_minutes, zone)


def _same(row: ClinicSession, template: Template) -> bool:
    names = (
        "starts_local",
        "ends_local",
        "slot_minutes",
        "places_per_slot",
        "clinic_kind_id",
        "fee_cents",
        "room",
        "admits",
        "channels",
    )
    return all(getattr(row, name) == getattr(template, name) for name in names)


def generate(
    hospital_id: int,
    first: date,
    last: date,
    *,
    actor: Actor,
    template_ids: list[uuid.UUID] | None = None,
    publish: bool | None = None,
) -> Generated:
    """Make the dated sessions that templates ask for from `first` to `last` (both included), one transaction per date.

    `publish` None means as each template says. A session that exists is never touched, so a repeat creates nothing and
    sold places are safe; two generations at once share the work.
    """
    ensure_may(actor, "apply_template", hospital_id)
    plan = preview(hospital_id, first, last, template_ids=template_ids)
    new: dict[date, list[Template]] = {}
    for one in plan.planned:
        if one.outcome == "new":
            new.setdefault(one.local_date, []).append(one.template)
    if not new:
        return plan
    zone = db.session.get_one(Hospital, hospital_id).zone
    owner = db.session.get_one(Hospital, hospital_id).numbers_owner
    policy = current_policy(db.session(), hospital_id)
    lost: set[tuple[uuid.UUID, date]] = set()
    for day in sorted(new):
        lost |= {
            (template_id, day)
            for template_id in _generate_day(hospital_id, day, new[day], policy, zone, owner, publish, actor)
        }
    plan.planned = [
        Planned(one.template, one.local_date, "same", one.note)
        if (one.template.id, one.local_date) in lost
        else one
        for one in plan.planned
    ]
    return plan


@retried
def _generate_day(
    hospital_id: int,
    day: date,
    templates: list[Template],
    policy: Policy,
    zone: str,
    owner: str,
    publish: bool | None,
    actor: Actor,
) -> set[uuid.UUID]:
    """Write one date; return the templates another generation was faster with."""
    lost: set[uuid.UUID] = set()
    with transaction() as session:
        now = db_now(session)
        practices = {
            row.id: row
            for row in session.scalars(select(Practice).where(Practice.hospital_id == hospital_id))
        }
        made = 0
        for template in templates:
            shape = Shape(
                template.starts_local,
                template.ends_local,
                template.slot_minutes,
                template.places_per_slot,
                template.clinic_kind_id,
                template.fee_cents,
                template.room,
                template.admits,
                channels=template.channels,
            )
            try:
                with session.begin_nested():
                    insert_session(
                        session,
                        hospital_id,
                        practices[template.practice_id],
                        day,
                        template.day_part_id,
                        shape,
                        zone=zone,
                        policy_version=policy.version,
                        release_at=release_instant(policy, day, zone),
                        rolls_at=rolls_instant(policy, day, zone),
                        closing_minutes=policy.closing_minutes,
                        owner=owner,
                        publish=template.publishes if publish is None else publish,
                        template_id=template.id,
                        now=now,
                        by=actor.name,
                    )
                made += 1
            except IntegrityError as problem:
                if broken_constraint(problem) != "uq_one_session_per_practice_and_part":
                    raise
                lost.add(template.id)
        if made:
            facts = {"date": day.isoformat(), "sessions": made}
            record(session, hospital_id, actor, "apply_template", "schedule", None, now=now, change=facts)
    return lost


def generate_ahead() -> int:
    """Keep every hospital's next days generated, as far as its policy says; return how many sessions were made."""
    made = 0
    asked = select(Template.hospital_id).where(Template.active.is_(True))
    for hospital_id, zone in db.session.execute(
        select(Hospital.id, Hospital.zone).where(Hospital.id.in_(asked)).order_by(Hospital.id)
    ).all():
        today = local(db_now(db.session()), zone).date()
        ahead = current_policy(db.session(), hospital_id).generate_days
        made += generate(hospital_id, today, today + timedelta(days=ahead), actor=SYSTEM).created
    return made


@retried
def advance_sessions() -> int:
    """Move sessions along their states by the clock (published → running → finished); return how many moved."""
    with transaction() as session:
        now: datetime = db_now(session)
        over = (
            update(ClinicSession)
            .where(ClinicSession.status.in_(("published", "running")), ClinicSession.ends_at <= now)
            .values(status="finished")
        )
        begun = (
            update(ClinicSession)
            .where(ClinicSession.status == "published", ClinicSession.starts_at <= now)
            .values(status="running")
        )
        return sum(int(getattr(session.execute(step), "rowcount", 0)) for step in (over, begun))
