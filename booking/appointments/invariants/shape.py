"""The shape of one invariant, and the words its SQL shares with the models."""

from __future__ import annotations

from dataclasses import dataclass

from booking.appointments.models import ACTIVE
from booking.appointments.rules import LEGAL

LIVE, PLATFORM = "live", "platform"


@dataclass(frozen=True)
class Invariant:
    """One invariant. `rule` is its number in the domain, `name` what a broken row is, `says` the rule in plain words.

    `scope` "" is a hospital's rows; `platform` is asked once, without a hospital; `live` also needs the worker to be
    running, so that a test without one leaves it out.
    """

    rule: str
    name: str
    says: str
    query: str
    scope: str = ""

    @property
    def title(self) -> str:
        return f"{self.rule} {self.name}"


def words(some: tuple[str, ...]) -> str:
    return "(" + ", ".join(f"'{word}'" for word in some) + ")"


ACTIVE_SQL = words(ACTIVE)
WITH_PATIENT_SQL = words(tuple(word for word in ACTIVE if word != "held"))
ENDED_SQL = words(("fulfilled", "cancelled", "expired", "no_show", "excused", "entered_in_error"))
LEGAL_SQL = " OR ".join(
    f"(e.from_status = '{before}' AND e.to_status IN {words(tuple(sorted(after)))})"
    for before, after in LEGAL.items()
)
_SAME = "{b}.hospital_id = {a}.hospital_id AND {b}.{column} = {a}.id"


def of(a: str, b: str, column: str) -> str:
    """The join of a row `a` to the rows `b` that name it in `column`."""
    return _SAME.format(a=a, b=b, column=column)
