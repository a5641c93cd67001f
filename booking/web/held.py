"""The times this browser holds right now: shown while signing in, in the dock, in the picker."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from flask import g, url_for
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.queries import AppointmentView, live_holds
from booking.web.picker import Hold
from booking.web.session import account_id, known_holder, now


@dataclass(frozen=True)
class Waiting:
    """A held time that waits to be confirmed: `what` in full, `label` short."""

    label: str
    until: str
    url: str


def mine() -> list[AppointmentView]:
    """Return the live holds of this browser and its account, the one that ends last at the end."""
    if "web_holds" not in g:
        holder, person = known_holder(), account_id()
        g.web_holds = live_holds(holder or "", person, now()) if holder or person else []
    return g.web_holds


def by_slot() -> dict[uuid.UUID, Hold]:
    """Return the live holds by slot, for the picker."""
    live = [(one, one.held_until) for one in mine()]
    return {one.slot_id: Hold(until, url_for("reserve.book", hold=one.ref)) for one, until in live if until}


def waiting(only_time: bool = False) -> Waiting | None:
    """Return the newest held time: 「沈知微 周三 08:30」, or only 「09:30」 for the dock."""
    if not mine():
        return None
    newest = mine()[-1]
    today = clock.local(now(), newest.zone).date()
    when = wording.when_short(newest.visit_date, newest.starts_local, today)
    label = (
        wording.clock(newest.starts_local)
        if only_time
        else _("%(name)s %(when)s", name=newest.doctor, when=when)
    )
    until = wording.clock(clock.local(newest.held_until, newest.zone)) if newest.held_until else ""
    return Waiting(label, until, url_for("reserve.book", hold=newest.ref))
