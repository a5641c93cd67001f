"""Who is at the desk: the staff sign-in inside the cookie, apart from the patient's, and the gate before each page."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from flask import g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from booking.clock import db_now
from booking.db import db
from booking.errors import NotAllowed
from booking.staff.models import StaffMember
from booking.staff.rules import Actor, may
from booking.staff.service import actor_for

KEY = "staff"
SHIFT = timedelta(hours=12)
"""How long one sign-in lasts: a desk's computer is shared."""

View = Callable[..., ResponseReturnValue]


def keep_signed_in(member: StaffMember) -> None:
    """Write the staff member into the cookie. The patient's sign-in in the same browser stays as it is."""
    until = db_now(db.session()) + SHIFT
    _renew_forgery_token()
    session[KEY] = {
        "hospital": member.hospital_id,
        "id": member.id.hex,
        "version": member.session_version,
        "until": int(until.timestamp()),
    }


def forget() -> None:
    """Take the staff sign-in out of the cookie; a repeat changes nothing."""
    session.pop(KEY, None)
    _renew_forgery_token()


def _renew_forgery_token() -> None:
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)
    g.pop("desk_actor", None)


def now() -> datetime:
    """Return the present instant of this request, read once."""
    if "desk_now" not in g:
        g.desk_now = db_now(db.session())
    return g.desk_now


def actor() -> Actor | None:
    """Return who is signed in at the desk, or None. A raised `session_version` or a finished shift ends a sign-in."""
    if "desk_actor" not in g:
        g.desk_actor = _actor(session.get(KEY))
    return g.desk_actor


def _actor(kept: Any) -> Actor | None:
    if not isinstance(kept, dict):
        return None
    try:
        member_id, until = uuid.UUID(kept["id"]), int(kept["until"])
        hospital_id, version = int(kept["hospital"]), int(kept["version"])
    except (KeyError, TypeError, ValueError):
        return None
    if now().timestamp() >= until:
        return None
    return actor_for(hospital_id, member_id, version)


def me() -> Actor:
    """Return the signed-in staff member of a page behind `staff_page`."""
    present = actor()
    if present is None or present.hospital_id is None:
        raise NotAllowed
    return present


def hospital_id() -> int:
    """Return the hospital whose rows this page may name; ids of other hospitals are simply not found in it."""
    present = me().hospital_id
    if present is None:
        raise NotAllowed
    return present


def can(verb: str) -> bool:
    """Whether the signed-in person may do `verb` in the own hospital (booking/staff/rules.py)."""
    present = actor()
    return present is not None and present.hospital_id is not None and may(present, verb, present.hospital_id)


def staff_page(verb: str, post: str | None = None) -> Callable[[View], View]:
    """Let a view run only for staff who may do `verb` (`post`: what a POST needs, when that is more).

    Nobody signed in is sent to the sign-in page and back afterwards; somebody without the right gets 403.
    The verb itself checks again, through its actor.
    """

    def behind_the_gate(view: View) -> View:
        @wraps(view)
        def gate(*args: Any, **kwargs: Any) -> ResponseReturnValue:
            if actor() is None:
                there = request.full_path.rstrip("?") if request.method == "GET" else None
                return redirect(url_for("desk.sign_in.login", next=there), code=303)
            if not can(post if post and request.method == "POST" else verb):
                raise NotAllowed
            return view(*args, **kwargs)

        gate.needs = (verb, post or verb)  # type: ignore[attr-defined]
        return gate

    return behind_the_gate


def own_path(text: str | None, otherwise: str) -> str:
    """Return `text` when it is an address of this door, else `otherwise`; never an address elsewhere."""
    if text and text.startswith("/staff/") and "\\" not in text and not any(ord(sign) < 33 for sign in text):
        return text
    return otherwise
