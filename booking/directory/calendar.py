"""Public holidays and swapped working days of a hospital, under the hospital's own word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import holidays
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.directory.models import Closure


@dataclass(frozen=True)
class DayRule:
    """What a date is for templates: `closed` for those that skip holidays, its name, and the weekday it follows."""

    closed: bool
    name: str = ""
    as_weekday: int | None = None


def day_rules(session: Session, hospital_id: int, days: Iterable[date]) -> dict[date, DayRule]:
    """Return the rule of every date that is not an ordinary day.

    Source: the statutory calendar of the People's Republic of China as kept by the `holidays` library (days off
    including 调休); the hospital's own `closure` rows stand over it.
    """
    wanted = sorted(set(days))
    if not wanted:
        return {}
    public = holidays.country_holidays(
        "CN", years=range(wanted[0].year, wanted[-1].year + 1), language="zh_CN"
    )
    rules = {day: DayRule(True, public.get(day) or "") for day in wanted if day in public}
    own = select(Closure).where(
        Closure.hospital_id == hospital_id, Closure.on_date >= wanted[0], Closure.on_date <= wanted[-1]
    )
    for row in session.scalars(own):
        rules[row.on_date] = DayRule(not row.is_open, row.name, row.follows_weekday)
    return rules
