"""Public holidays and swapped working days of a hospital, under the hospital's own word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import holidays
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.directory.models import Closure

SATURDAY = 5
_SWAPPED = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class DayRule:
    """What a date is for templates: `closed` for those that skip holidays, its name, and the weekday it follows."""

    closed: bool
    name: str = ""
    as_weekday: int | None = None


def day_rules(session: Session, hospital_id: int, days: Iterable[date]) -> dict[date, DayRule]:
    """Return the rule of every date that is not an ordinary day.

    Source: the statutory calendar of the People's Republic of China as kept by the `holidays` library. A weekend next to
    days off is part of the holiday, as in the yearly notice of the State Council; a weekend day worked instead of another
    day (调休) follows the weekday of that day. The hospital's own `closure` rows stand over it.
    """
    wanted = sorted(set(days))
    if not wanted:
        return {}
    public = _public_rules(wanted[0].year, wanted[-1].year)
    rules = {day: public[day] for day in wanted if day in public}
    own = select(Closure).where(
        Closure.hospital_id == hospital_id, Closure.on_date >= wanted[0], Closure.on_date <= wanted[-1]
    )
    for row in session.scalars(own):
        rules[row.on_date] = DayRule(not row.is_open, row.name, row.follows_weekday)
    return rules


@lru_cache(maxsize=16)
def _public_rules(first_year: int, last_year: int) -> dict[date, DayRule]:
    """Return the public calendar's rules of whole years; the years beside them decide about weekends at the edges."""
    public = holidays.country_holidays("CN", years=range(first_year - 1, last_year + 2), language="zh_CN")
    worked = {
        date.fromisoformat(found[0]): day
        for day in public
        if (found := _SWAPPED.search(public[day])) and date.fromisoformat(found[0]) in public.weekend_workdays
    }
    rules = {day: DayRule(True, public[day]) for day in public}
    for day in sorted(public):
        for step in (-1, 1):
            beside = day + timedelta(days=step)
            while beside.weekday() >= SATURDAY and beside not in public.weekend_workdays:
                rules.setdefault(beside, DayRule(True, public[day].partition("（")[0]))
                beside += timedelta(days=step)
    for day, instead_of in worked.items():
        rules[day] = DayRule(False, "调休上班", instead_of.weekday())
    return rules
