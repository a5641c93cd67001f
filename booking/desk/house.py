"""The signed-in person's hospital as the pages need it: its lists for the choices, its zone, its date of today."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time

from flask import g
from flask_babel import gettext as _

from booking import wording
from booking.clock import local
from booking.db import db
from booking.desk.session import hospital_id, now
from booking.directory.models import Hospital
from booking.schedule.desk_queries import PracticeView, clinic_kinds, day_parts, practices

Choices = list[tuple[str, str]]


@dataclass(frozen=True)
class Part:
    """A part of the day with its usual hours."""

    id: uuid.UUID
    name: str
    starts_local: time
    ends_local: time


@dataclass(frozen=True)
class Kind:
    """A clinic kind with its usual fee."""

    id: uuid.UUID
    name: str
    fee_cents: int


@dataclass(frozen=True)
class House:
    """A hospital's name, zone, date and lists, read once per request; plain values, since a verb ends loaded rows."""

    name: str
    zone: str
    now: datetime
    today: date
    clock: time
    practices: list[PracticeView]
    parts: list[Part]
    kinds: list[Kind]

    @property
    def departments(self) -> dict[uuid.UUID, str]:
        """Departments with at least one doctor seeing patients, in the hospital's order."""
        return {one.department_id: one.department for one in self.practices}

    @property
    def campuses(self) -> dict[uuid.UUID, str]:
        """Campuses where at least one doctor sees patients."""
        return {one.campus_id: one.campus for one in self.practices}

    @property
    def first_campus(self) -> str:
        """The campus where most doctors practise: it needs no tag in the grid."""
        names = [one.campus for one in self.practices]
        return max(names, key=names.count, default="")

    @property
    def doctors(self) -> dict[uuid.UUID, str]:
        """Doctors who see patients."""
        return {one.doctor_id: one.doctor for one in self.practices}

    def practice_choices(self, doctor_id: uuid.UUID | None = None) -> Choices:
        """Return 「沈知微·风湿免疫科·本部」 for every practice, of one doctor when that has any."""
        own = [one for one in self.practices if one.doctor_id == doctor_id] or self.practices
        sites = len(self.campuses) > 1
        return [
            (one.id.hex, "·".join([one.doctor, one.department, *([one.campus] if sites else [])]))
            for one in own
        ]

    def part_choices(self) -> Choices:
        """Return the hospital's parts of the day with their usual hours."""
        return [(part.id.hex, part.name) for part in self.parts]

    def kind_choices(self) -> Choices:
        """Return the hospital's clinic kinds with their usual fee."""
        return [
            (kind.id.hex, _("%(kind)s（通常 %(fee)s）", kind=kind.name, fee=wording.fee(kind.fee_cents)))
            for kind in self.kinds
        ]

    def practice_name(self, practice_id: uuid.UUID) -> str:
        """Return 「沈知微·风湿免疫科」; a practice that ended keeps no name here."""
        return next(
            (f"{one.doctor}·{one.department}" for one in self.practices if one.id == practice_id), _("已停用")
        )

    def part_name(self, part_id: uuid.UUID) -> str:
        """Return 「上午」."""
        return next((part.name for part in self.parts if part.id == part_id), "")

    def wall(self, at: datetime) -> datetime:
        """Return an instant as the hospital's wall clock shows it."""
        return local(at, self.zone)

    def moment(self, at: datetime | None) -> str:
        """Return 「今天 09:06」 or 「11 月 23 日 周一 07:30」; nothing for no instant."""
        return wording.moment_near(self.wall(at), self.today) if at else ""


def house() -> House:
    """Return the signed-in person's hospital."""
    if "desk_house" not in g:
        at = db.session.get_one(Hospital, hospital_id())
        present = local(now(), at.zone)
        g.desk_house = House(
            at.name,
            at.zone,
            now(),
            present.date(),
            present.time(),
            practices(at.id),
            [Part(one.id, one.name, one.starts_local, one.ends_local) for one in day_parts(at.id)],
            [Kind(one.id, one.name, one.fee_cents) for one in clinic_kinds(at.id)],
        )
    return g.desk_house
