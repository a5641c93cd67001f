"""The demo's dated sessions: those of the past week, those to come, and a few drafts."""

from __future__ import annotations

import uuid
from datetime import date, time, timedelta

from sqlalchemy import select, update

from booking.clock import db_now, utc
from booking.db import db, transaction
from booking.demo.files import Say
from booking.demo.house import GENERATE_DAYS, House
from booking.directory.calendar import DayRule, day_rules
from booking.directory.models import ClinicKind, DayPart, Hospital, Practice
from booking.directory.policy import current_policy, release_instant
from booking.schedule.add_session import add_session, insert_session
from booking.schedule.models import ClinicSession, Place, Template
from booking.schedule.rules import falls_on
from booking.schedule.service import advance_sessions, generate
from booking.schedule.shape import Shape
from booking.staff.models import StaffMember
from booking.staff.rules import SYSTEM, Actor

PAST_DAYS = 7
DRAFT_DOCTOR = ("yejinan", "风湿免疫科", "benbu")


def add_sessions(house: House, today: date, say: Say) -> None:
    """Make the sessions of four weeks around today and let those of the past be finished."""
    for number, hospital_id in enumerate(house.hospitals.values()):
        say("班次", number / len(house.hospitals))
        _add_past(hospital_id, today)
        generate(hospital_id, today, today + timedelta(days=GENERATE_DAYS), actor=SYSTEM)
    _add_drafts(house, today)
    advance_sessions()


def _add_past(hospital_id: int, today: date) -> None:
    """Make what the patterns would have made up to now; the verbs refuse the past, as they should."""
    days = [today - timedelta(days=back) for back in range(PAST_DAYS, -1, -1)]
    with transaction() as session:
        now = db_now(session)
        hospital = session.get_one(Hospital, hospital_id)
        policy = current_policy(session, hospital_id)
        rules = day_rules(session, hospital_id, days)
        practices = {
            row.id: row
            for row in session.scalars(select(Practice).where(Practice.hospital_id == hospital_id))
        }
        patterns = session.scalars(
            select(Template)
            .where(Template.hospital_id == hospital_id)
            .order_by(Template.practice_id, Template.weekday, Template.starts_local)
        ).all()
        for day in days:
            rule = rules.get(day, DayRule(False))
            for template in patterns:
                if template.skips_holidays and rule.closed:
                    continue
                if utc(day, template.ends_local, hospital.zone) > now or not _falls(template, day, rule):
                    continue
                insert_session(
                    session,
                    hospital_id,
                    practices[template.practice_id],
                    day,
                    template.day_part_id,
                    _shape(template),
                    zone=hospital.zone,
                    policy_version=policy.version,
                    release_at=release_instant(policy, day, hospital.zone),
                    closing_minutes=policy.closing_minutes,
                    owner=hospital.numbers_owner,
                    publish=True,
                    template_id=template.id,
                    now=release_instant(policy, day, hospital.zone) - timedelta(days=10),
                )


def _falls(template: Template, day: date, rule: DayRule) -> bool:
    return falls_on(
        day,
        weekday=template.weekday,
        weeks=template.weeks,
        valid_from=template.valid_from,
        valid_to=template.valid_to,
        as_weekday=rule.as_weekday,
    )


def _shape(template: Template) -> Shape:
    return Shape(
        template.starts_local,
        template.ends_local,
        template.slot_minutes,
        template.places_per_slot,
        template.clinic_kind_id,
        template.fee_cents,
        template.room,
        template.admits,
    )


def _add_drafts(house: House, today: date) -> None:
    """Leave two extra half-days as drafts on the next weekend, and one day far ahead unpublished."""
    slug, department, campus = DRAFT_DOCTOR
    hospital_id = house.doctors[slug][0]
    practice_id = house.practices[slug, department, campus]
    saturday = today + timedelta(days=(5 - today.weekday()) % 7 or 7)
    for part, starts, ends in (("上午", time(8), time(11)), ("下午", time(14), time(16, 30))):
        _add_draft(hospital_id, practice_id, saturday, part, starts, ends)
    with transaction() as session:
        mine = select(ClinicSession.id).where(
            ClinicSession.hospital_id == hospital_id,
            ClinicSession.practice_id == practice_id,
            ClinicSession.local_date >= today + timedelta(days=GENERATE_DAYS - 7),
        )
        ids = list(session.scalars(mine.order_by(ClinicSession.starts_at.desc()).limit(2)))
        of = (ClinicSession.hospital_id == hospital_id, ClinicSession.id.in_(ids))
        session.execute(update(ClinicSession).where(*of).values(status="draft"))
        places = (Place.hospital_id == hospital_id, Place.session_id.in_(ids))
        session.execute(update(Place).where(*places).values(open=False))


def _add_draft(
    hospital_id: int, practice_id: uuid.UUID, day: date, part: str, starts: time, ends: time
) -> None:
    session = db.session()
    of = {"hospital_id": hospital_id}
    part_id = session.scalars(select(DayPart.id).filter_by(**of, name=part)).one()
    kind = session.scalars(select(ClinicKind).filter_by(**of, name="普通门诊")).one()
    add_session(
        hospital_id,
        actor=scheduler(hospital_id),
        practice_id=practice_id,
        local_date=day,
        day_part_id=part_id,
        starts_local=starts,
        ends_local=ends,
        slot_minutes=30,
        places_per_slot=4,
        clinic_kind_id=kind.id,
        fee_cents=kind.fee_cents,
        room="310",
        note="周末加开，确认人手后发布",
    )


def scheduler(hospital_id: int) -> Actor:
    """Return the hospital's scheduler as who does something."""
    return _staff(hospital_id, "scheduler")


def desk(hospital_id: int) -> Actor:
    """Return the hospital's triage desk as who does something."""
    return _staff(hospital_id, "desk")


def _staff(hospital_id: int, role: str) -> Actor:
    of = select(StaffMember).where(StaffMember.hospital_id == hospital_id, StaffMember.role == role)
    member = db.session.scalars(of.order_by(StaffMember.username).limit(1)).one()
    return Actor(role, member.id.hex, member.name, hospital_id=hospital_id)
