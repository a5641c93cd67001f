"""The short answers while many ask at once for what is not to be had: sold out, or not open yet. Each is drawn every
other second and given to everybody with a token of their own.

Only the database may say "yours", and it also says "full" (`appointments/full.py`); what is kept here is how that looks.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from flask import g, render_template, request, session
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, lazy_gettext
from flask_babel import gettext as _
from flask_wtf.csrf import generate_csrf

from booking import clock, gate
from booking.appointments.facts import slot_facts
from booking.appointments.full import nothing_to_be_had
from booking.appointments.rules import BookingClosed, NotReleased, SessionStopped, SlotFull
from booking.db import db
from booking.errors import Refusal
from booking.refs import Key
from booking.schedule.open_slots import nearest
from booking.web import cards, picker
from booking.web.early import for_everybody, in_seconds, rest_line
from booking.web.session import ACCOUNT, known_holder, now

LATELY_SECONDS = 5.0
DRAWN_SECONDS = 2.0
KEPT_AT_MOST = 256
_MARK = "token-of-this-browser"

Look = tuple[type[Refusal], Key, int | None, bool, str]
HEADINGS: dict[type[Refusal], LazyString] = {
    SlotFull: lazy_gettext("这个时间刚被约走了"),
    SessionStopped: lazy_gettext("这个班次停诊了"),
    BookingClosed: lazy_gettext("这个时间已经停止预约"),
}
"""What is said alike to everybody, and so may be drawn once for all; `NotReleased` has a page of its own."""


@dataclass
class _Drawn:
    """A page cut at the places where the forgery token stands, and when it was drawn (monotonic seconds)."""

    at: float
    parts: list[str]


_useless_at: OrderedDict[Key, float] = OrderedDict()
_drawn: OrderedDict[Look, _Drawn] = OrderedDict()
_drawing = threading.Lock()


def note(slot: Key) -> None:
    """Remember that nothing was to be had of the slot a moment ago: it is worth a cheap look before the next try."""
    _useless_at[slot] = time.monotonic()
    _useless_at.move_to_end(slot)
    while len(_useless_at) > KEPT_AT_MOST:
        _useless_at.popitem(last=False)


def answer(slot: Key, from_answer: int | None) -> ResponseReturnValue | None:
    """Return the short answer when a look that begins now finds nothing to be had; None means: ask the verb.

    Looks only where it is likely: the slot had nothing lately, or there is a crowd, in which most come too late.
    """
    arrived = time.monotonic()
    lately = arrived - _useless_at.get(slot, -LATELY_SECONDS) < LATELY_SECONDS
    if not lately and not gate.is_crowded(request.environ):
        return None
    seen = nothing_to_be_had(*slot, holder=known_holder(), since=gate.arrived(request.environ))
    if seen is None:
        return None
    note(slot)
    if seen.opens_in:
        return page(slot, NotReleased), NotReleased.status, {"Retry-After": in_seconds(seen.opens_in)}
    return page(slot, SlotFull, from_answer), SlotFull.status


def instead_of(slot: Key, refusal: Refusal, from_answer: int | None) -> ResponseReturnValue | None:
    """Return the short answer for what the verb refused, in a crowd; None when the whole page is to be drawn."""
    kind = type(refusal)
    if kind not in HEADINGS or not gate.is_crowded(request.environ):
        return None
    return page(slot, kind, from_answer), refusal.status


def page(slot: Key, kind: type[Refusal], from_answer: int | None = None) -> str:
    """Return the page that says so, with the nearest times at most four seconds old and this browser's own token."""
    look = (kind, slot, from_answer, ACCOUNT in session, request.cookies.get("show", ""))
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
    said = request_ctx.flashes
    request_ctx.flashes = []  # what was to be said to this browser is not for the others
    try:
        text = _draw(look)
    finally:
        request_ctx.flashes = said
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
    kind, slot, from_answer, signed_in, _show = look
    facts = slot_facts(db.session(), *slot)
    if kind is NotReleased:
        return for_everybody(facts, signed_in)
    zone = facts.clinic.zone
    times = nearest(slot[0], now(), around=facts.slot.starts_at, doctor_id=facts.doctor.id)
    said = kind(time=f"{facts.slot.starts_local:%H:%M}")
    day = cards.address(facts.doctor.slug, facts.clinic.local_date)
    links = [{"text": _("看%(name)s医生的全部时间", name=facts.doctor.name), "url": day}]
    return render_template(
        "web/error.html",
        me=signed_in,
        error={
            "code": "",
            "heading": HEADINGS[kind],
            "text": said.text,
            "retry": rest_line(facts) if kind is SlotFull else "",
        },
        near=picker.near(times, clock.local(now(), zone).date()),
        answer=from_answer,
        links=links,
    )
