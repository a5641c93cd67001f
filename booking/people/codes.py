"""One-time codes: made for an address, sent there by a letter, typed in once; the steps that signing in and e-mail share."""

from __future__ import annotations

import math
import secrets
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.clock import db_now
from booking.db import broken_constraint, db
from booking.errors import TooMany
from booking.outbox import PLATFORM, Letter, put
from booking.people.models import OneTimeCode
from booking.people.rules import plain_digits
from booking.vault import same, short_code

CODE_LIVES = timedelta(minutes=5)
CODE_TRIES = 5
CODE_PAUSE = timedelta(seconds=60)
CODES_PER_DAY = 10


def issue(
    session: Session,
    address: str,
    found: str,
    *,
    purpose: str,
    channel: str,
    too_many: str,
    now: datetime,
    account_id: int | None = None,
) -> None:
    """Make a one-time code for an address and put its letter, in the caller's transaction.

    `found` is the keyed hash of the address. Only a salt is stored, the digits are derived when the letter is written. A
    new code ends the one before it: one live code per address and purpose. Raises TooMany(seconds) within 60 s, and with
    the sentence `too_many` after 10 a day.
    """
    recent = list(
        session.scalars(
            select(OneTimeCode.created_at)
            .where(OneTimeCode.phone_hash == found, OneTimeCode.created_at > now - timedelta(days=1))
            .order_by(OneTimeCode.created_at.desc())
        )
    )
    if recent and recent[0] + CODE_PAUSE > now:
        seconds = math.ceil((recent[0] + CODE_PAUSE - now).total_seconds())
        raise TooMany("发送太频繁，请 %(seconds)s 秒后再试", seconds=seconds)
    if len(recent) >= CODES_PER_DAY:
        raise TooMany(too_many, seconds=3600)
    # a code younger than the pause is another request's, made since we looked: it stays, and the index refuses ours
    live = (
        OneTimeCode.phone_hash == found,
        OneTimeCode.purpose == purpose,
        OneTimeCode.ended_at.is_(None),
        OneTimeCode.created_at <= now - CODE_PAUSE,
    )
    session.execute(update(OneTimeCode).where(*live).values(ended_at=now))
    try:
        code_id = session.execute(
            insert(OneTimeCode)
            .values(
                phone=address,
                phone_hash=found,
                purpose=purpose,
                salt=secrets.token_hex(16),
                created_at=now,
                expires_at=now + CODE_LIVES,
                tries=0,
            )
            .returning(OneTimeCode.id)
        ).scalar_one()
    except IntegrityError as problem:
        if broken_constraint(problem) == "uq_one_live_code_per_phone":
            raise TooMany("发送太频繁，请 %(seconds)s 秒后再试", seconds=60) from problem
        raise
    letter = Letter("code", channel, "code", now, now + CODE_LIVES, account_id=account_id, code_id=code_id)
    put(session, PLATFORM, [letter], now=now)


def redeem(session: Session, found: str, code: str, *, purpose: str, look_at: str, now: datetime) -> str:
    """Use up the live code of an address; return "" when `code` was right, else a sentence for the person.

    The caller commits in either case: a wrong try must count although the page says no. `look_at` is the sentence for a
    wrong code. Five tries, then the code is worth nothing.
    """
    row = session.scalars(
        select(OneTimeCode)
        .where(
            OneTimeCode.phone_hash == found,
            OneTimeCode.purpose == purpose,
            OneTimeCode.ended_at.is_(None),
        )
        .with_for_update()
    ).first()
    if row is None or row.expires_at <= now or row.tries >= CODE_TRIES:
        return "验证码已过期，请重新获取"
    if not same(short_code(row.salt), plain_digits(code)):
        row.tries += 1
        session.flush()
        return "验证码输错太多次，请重新获取" if row.tries >= CODE_TRIES else look_at
    row.ended_at = now
    session.flush()
    return ""


def live_code(found: str, purpose: str) -> OneTimeCode | None:
    """Return the code of an address that works now, or None."""
    return db.session.scalars(
        select(OneTimeCode).where(
            OneTimeCode.phone_hash == found,
            OneTimeCode.purpose == purpose,
            OneTimeCode.ended_at.is_(None),
            OneTimeCode.expires_at > db_now(db.session()),
        )
    ).first()
