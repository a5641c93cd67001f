"""The short answer while a slot is sold out and many ask at once: drawn once a second, given to each with a token of their own.

Only the database may say "yours", and it also says "full" (`appointments/full.py`); what is kept here is how that looks.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from flask import g, render_template, request, session
from flask_babel import gettext as _
from flask_wtf.csrf import generate_csrf

from booking import clock, gate
from booking.appointments.facts import slot_facts
from booking.appointments.full import is_full
from booking.appointments.rules import SlotFull
from booking.db import db
from booking.refs import Key
from booking.schedule.queries import nearest
from booking.web import cards, early, picker
from booking.web.session import ACCOUNT, known_holder, now

LATELY_SECONDS = 5.0
DRAWN_SECONDS = 1.0
KEPT_AT_MOST = 256
_MARK = "token-of-this-browser"

Look = tuple[Key, int | None, bool, str]


@dataclass
class _Drawn:
    """A page cut at the places where the forgery token stands, and when it was drawn (monotonic seconds)."""

    at: float
    parts: list[str]


_full_at: OrderedDict[Key, float] = OrderedDict()
_drawn: OrderedDict[Look, _Drawn] = OrderedDict()
_drawing = threading.Lock()


def note(slot: Key) -> None:
    """Remember that the slot was found full a moment ago: it is worth a cheap look before the next try."""
    _full_at[slot] = time.monotonic()
    _full_at.move_to_end(slot)
    while len(_full_at) > KEPT_AT_MOST:
        _full_at.popitem(last=False)


def says_full(slot: Key) -> bool:
    """Whether the slot was full lately and a look that begins now finds it full still; False means: ask the verb."""
    arrived = time.monotonic()
    if arrived - _full_at.get(slot, -LATELY_SECONDS) >= LATELY_SECONDS:
        return False
    if not is_full(*slot, holder=known_holder(), since=gate.arrived(request.environ)):
        return False
    note(slot)
    return True


def page(slot: Key, answer: int | None) -> str:
    """Return the page that says so, with the nearest times at most two seconds old and this browser's own token."""
    look = (slot, answer, ACCOUNT in session, request.cookies.get("show", ""))
    drawn = _drawn.get(look)
    age = time.monotonic() - drawn.at if drawn else 2 * DRAWN_SECONDS
    # one of many draws anew; the others take what is there while it is not too old
    if age >= DRAWN_SECONDS and _drawing.acquire(blocking=age >= 2 * DRAWN_SECONDS):
        try:
            drawn = _newest(look)
        finally:
            _drawing.release()
    assert drawn is not None
    return generate_csrf().join(drawn.parts)


def _newest(look: Look) -> _Drawn:
    kept = _drawn.get(look)
    if kept is not None and time.monotonic() - kept.at < DRAWN_SECONDS:
        return kept
    at = time.monotonic()
    token, g.csrf_token, g.bare_frame = g.pop("csrf_token", None), _MARK, True
    try:
        text = _draw(look)
    finally:
        g.pop("csrf_token", None)
        g.pop("bare_frame", None)
        if token is not None:
            g.csrf_token = token
    _drawn[look] = fresh = _Drawn(at, text.split(_MARK))
    _drawn.move_to_end(look)
    while len(_drawn) > KEPT_AT_MOST:
        _drawn.popitem(last=False)
    return fresh


def _draw(look: Look) -> str:
    slot, answer, signed_in, _show = look
    facts = slot_facts(db.session(), *slot)
    zone = facts.clinic.zone
    times = nearest(slot[0], now(), around=facts.slot.starts_at, doctor_id=facts.doctor.id)
    said = SlotFull(time=f"{facts.slot.starts_local:%H:%M}")
    day = cards.address(facts.doctor.slug, facts.clinic.local_date)
    links = [{"text": _("看%(name)s医生的全部时间", name=facts.doctor.name), "url": day}]
    return render_template(
        "web/error.html",
        me=signed_in,
        error={
            "code": "",
            "heading": _("这个时间刚被约走了"),
            "text": said.text,
            "retry": early.rest_line(facts),
        },
        near=picker.near(times, clock.local(now(), zone).date()),
        answer=answer,
        links=links,
    )
