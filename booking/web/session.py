"""Who is at the browser: its holder key, the signed-in account, and what a visit code has opened, all in the cookie."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from flask import current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from booking.clock import db_now
from booking.db import db
from booking.limits import network
from booking.people.models import Account
from booking.people.queries import account as account_of
from booking.people.queries import sign_in_version
from booking.people.rules import mask_phone
from booking.refs import Key, ref
from booking.staff.rules import Actor

KEY, ACCOUNT, VERSION, FOUND, OWN = "key", "account", "version", "found", "own"
PHONE, WECHAT = "phone", "wechat"
FOUND_FOR = timedelta(minutes=30)
FOUND_AT_MOST = 3

View = Callable[..., ResponseReturnValue]


@dataclass(frozen=True)
class Me:
    """The signed-in person as the frame shows it."""

    account_id: int
    phone: str
    phone_masked: str
    email: str
    email_verified: bool
    reminders_on: bool
    language: str
    quiet_channels: tuple[str, ...]
    has_wechat: bool


def now() -> datetime:
    """Return the present instant of this request, read once."""
    if "web_now" not in g:
        g.web_now = db_now(db.session())
    return g.web_now


def known_holder() -> str | None:
    """Return the hash under which this browser's holds are kept, or None for one that never held anything."""
    key = session.get(KEY)
    return hashlib.sha256(key.encode()).hexdigest() if isinstance(key, str) else None


def holder() -> str:
    """Return the hash of this browser's key, making the key on first use. The key itself stays in the signed cookie."""
    if not isinstance(session.get(KEY), str):
        session[KEY] = secrets.token_urlsafe(24)
        session.permanent = True
    return hashlib.sha256(session[KEY].encode()).hexdigest()


def browser() -> str:
    """Return what the per-browser limits count by: the holder, else the cookie's own token, else the address."""
    token = session.get("csrf_token")
    return known_holder() or (token if isinstance(token, str) else network())


def me() -> Me | None:
    """Return the signed-in account, or None; an account that is gone counts as signed out."""
    if "web_me" not in g:
        kept = session.get(ACCOUNT)
        row = account_of(kept) if isinstance(kept, int) else None
        if row is not None and session.get(VERSION, 1) != row.session_version:
            row = None
        g.web_me = row and _person(row)
    return g.web_me


def _person(row: Account) -> Me:
    return Me(
        row.id,
        row.phone,
        mask_phone(row.phone),
        row.email or "",
        row.email_verified_at is not None,
        row.reminders_on,
        row.language or "zh",
        tuple(row.quiet_channels),
        row.wechat_openid is not None,
    )


def account_id() -> int | None:
    """Return the id of the signed-in account, or None; asks only whether this sign-in still counts."""
    if "web_me" in g:
        return g.web_me.account_id if g.web_me else None
    if "web_account" not in g:
        kept = session.get(ACCOUNT)
        valid = isinstance(kept, int) and sign_in_version(kept) == session.get(VERSION, 1)
        g.web_account = kept if valid else None
    return g.web_account


def actor() -> Actor:
    """Return who acts: the signed-in account, else the browser with its holder key."""
    account = account_id()
    if account is not None:
        return Actor("account", str(account), account_id=account)
    return Actor("browser", holder())


def actor_on(appointment: Key, *, owner: bool) -> Actor:
    """Return who acts on one appointment: its account, or whoever opened it with the visit code."""
    return actor() if owner or not found(appointment) else Actor("code", appointment[1].hex)


def keep_signed_in(account: int, version: int) -> None:
    """Write the account, and which of its sign-ins this is, into the cookie.

    The holder key stays, so that a hold taken before signing in is still theirs; the forgery token is made anew.
    """
    for name in (PHONE, FOUND, OWN, WECHAT, "csrf_token"):
        session.pop(name, None)
    g.pop("csrf_token", None)
    g.pop("web_me", None)
    g.pop("web_account", None)
    session[ACCOUNT], session[VERSION] = account, version
    session.permanent = True


def forget() -> None:
    """Take everything of the patient's out of the cookie; a staff sign-in in the same browser stays."""
    for name in (KEY, ACCOUNT, VERSION, FOUND, OWN, PHONE, WECHAT, "csrf_token"):
        session.pop(name, None)
    for name in ("csrf_token", "web_me", "web_account"):
        g.pop(name, None)


def open_found(appointment: Key, *, own: bool = False) -> None:
    """Remember for half an hour that the visit code and phone tail of this appointment were given here.

    `own`: the tail was that of the patient's own phone, which is not the booker's.
    """
    until = int((now() + FOUND_FOR).timestamp())
    kept = [pair for pair in _found() if pair[0] != ref(appointment)]
    session[FOUND] = [*kept[-(FOUND_AT_MOST - 1) :], [ref(appointment), until]]
    names = [name for name, _until in session[FOUND]]
    others = [name for name in session.get(OWN) or [] if name in names and name != ref(appointment)]
    session[OWN] = [*others, *([ref(appointment)] if own else [])]


def found_by_patient(appointment: Key) -> bool:
    """Whether it was opened here with the tail of the patient's own phone, and still is."""
    return found(appointment) and ref(appointment) in (session.get(OWN) or [])


def found(appointment: Key) -> bool:
    """Whether this browser has opened the appointment by its visit code within the last half hour."""
    return any(name == ref(appointment) and now().timestamp() < until for name, until in _found())


def _found() -> list[list[Any]]:
    return [pair for pair in session.get(FOUND) or [] if isinstance(pair, list) and len(pair) == 2]


def way_back() -> str:
    """Return where signing in leads back to: this page, or for an address that only takes a POST the page above it."""
    if request.method == "GET":
        return request.full_path.rstrip("?")
    adapter, path = current_app.create_url_adapter(request), request.path
    while adapter is not None and path and not adapter.test(path, "GET"):
        path = path.rpartition("/")[0]
    return path or "/"


def signed_in(view: View) -> View:
    """Let a view run only for a signed-in account; others sign in first and come back."""

    @wraps(view)
    def gate(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        if me() is None:
            return redirect(url_for("login.login", next=way_back()), code=303)
        return view(*args, **kwargs)

    return gate
