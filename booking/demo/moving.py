"""Moving the demo's clock: forward by a span, or back to the real time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from booking import clock, wording
from booking.appointments.models import Appointment
from booking.claims import LEASE
from booking.db import db, transaction
from booking.demo.house import ZONE
from booking.errors import BadInput
from booking.notices.models import DemoLetter
from booking.outbox import Message
from booking.people.codes import CODE_PAUSE
from booking.people.models import OneTimeCode
from booking.periodic import PeriodicRun
from booking.schedule.models import ClinicSession, Place
from booking.schedule.service import advance_sessions
from booking.staff.models import StaffMember

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
FARTHEST = timedelta(days=60)
_SPAN = re.compile(r"([1-9]\d{0,4})([mhd])")


def read_span(text: str) -> timedelta:
    """Return the span of 90m, 23h or 2d. Raises BadInput for anything else."""
    found = _SPAN.fullmatch(text.strip().lower())
    if not found:
        raise BadInput("拨多少要写成 90m、23h 或 2d（分钟、小时、天）。", field="by")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def advance_clock(by: timedelta) -> datetime:
    """Move the clock forward, let sessions follow at once, return the new instant. Raises BadInput beyond 60 days.

    Due letters go out with the worker's next look, within seconds.
    """
    if clock.offset(db.session()) + by > FARTHEST:
        raise BadInput("演示时钟最多拨快 60 天，可以先复位再拨。", field="by")
    with transaction() as session:
        clock.shift(session, by)
    advance_sessions()
    return clock.db_now(db.session())


def reset_clock() -> datetime:
    """Put the clock back to the real time; a repeat changes nothing.

    Letters stay sent and visits stay booked, but nothing may go on waiting for a time that has been taken back:
    sessions that have not begun are on sale again, letters are dated now, codes, holds and closed sign-ins end.
    """
    with transaction() as session:
        clock.reset(session)
        now = clock.db_now(session)
        _put_sessions_back(session, now)
        _date_letters(session, now)
        _end_codes(session, now)
        session.execute(update(StaffMember).where(StaffMember.locked_until > now).values(locked_until=now))
        session.execute(delete(PeriodicRun).where(PeriodicRun.scheduled_for > now))
        held = Appointment.status == "held", Appointment.created_at > now
        of_place = select(Appointment.id).where(*held, Appointment.hospital_id == Place.hospital_id)
        session.execute(update(Place).where(Place.appointment_id.in_(of_place)).values(held_until=now))
        session.execute(update(Appointment).where(*held).values(held_until=now))
    return clock.db_now(db.session())


def _end_codes(session: Session, now: datetime) -> None:
    """A code of tomorrow would make today's "too soon": it ends, and counts as asked for a while ago."""
    session.execute(
        update(OneTimeCode)
        .where(OneTimeCode.created_at > now)
        .values(created_at=now - 2 * CODE_PAUSE, expires_at=now, ended_at=now)
    )


def _put_sessions_back(session: Session, now: datetime) -> None:
    ahead = update(ClinicSession).where(ClinicSession.status.in_(("running", "finished")))
    session.execute(ahead.where(ClinicSession.starts_at > now).values(status="published"))
    session.execute(
        ahead.where(ClinicSession.starts_at <= now, ClinicSession.ends_at > now).values(status="running")
    )


def _date_letters(session: Session, now: datetime) -> None:
    """Sent letters are dated now; those put ahead of time and not yet sent go out now, reminders keep their time."""
    session.execute(update(DemoLetter).where(DemoLetter.at > now).values(at=now))
    session.execute(update(Message).where(Message.sent_at > now).values(sent_at=now))
    at_once = Message.created_at > now, Message.status == "waiting", Message.kind.not_like("reminder%")
    session.execute(update(Message).where(*at_once).values(due_at=now, next_at=now))
    leased = Message.status == "sending", Message.lease_until > now + LEASE
    session.execute(update(Message).where(*leased).values(lease_until=now, next_at=now))


def moved_sentence() -> str:
    """Return 「演示时钟已拨快 23 小时，现在是 11 月 24 日 周二 14:00」, or nothing while the clock is right."""
    by = clock.offset(db.session())
    if abs(by) < timedelta(seconds=30):
        return ""
    words = {"by": span_words(abs(by)), "now": now_words()}
    if by > timedelta():
        return _("演示时钟已拨快 %(by)s，现在是 %(now)s", **words)
    return _("演示时钟已拨慢 %(by)s，现在是 %(now)s", **words)


def now_words() -> str:
    """Return the clock's time in the demo's zone: 「11 月 24 日 周二 14:00」."""
    return wording.moment(clock.local(clock.db_now(db.session()), ZONE))


def span_words(by: timedelta) -> str:
    """Return 「1 天 2 小时」 or 「90 分钟」, to the minute."""
    minutes = round(by.total_seconds() / 60)
    days, rest = divmod(minutes, 24 * 60)
    hours, left = divmod(rest, 60)
    parts = [(days, _("天")), (hours, _("小时")), (left, _("分钟"))]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
