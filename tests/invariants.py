"""The invariants that every committed state must satisfy, asked of the database under test."""

from __future__ import annotations

from booking.appointments.checkup import check_up
from booking.appointments.invariants import PLATFORM
from booking.db import db


def broken(*leave_out: str) -> dict[str, list[tuple[object, ...]]]:
    """Return what is broken: the title of each invariant that does not hold, with its rows; `leave_out` names rules."""
    db.session.rollback()
    found: dict[str, list[tuple[object, ...]]] = {}
    for finding in check_up(scopes=("", PLATFORM)):
        assert not finding.unread, finding.invariant.title
        if finding.rows and finding.invariant.rule not in leave_out:
            found.setdefault(finding.invariant.title, []).extend(finding.rows)
    return found
