"""Verbs on how somebody wants to be told: in which language, over what, with reminders or without, at which e-mail address,
on which WeChat."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from booking.clock import db_now
from booking.db import db, retried, transaction
from booking.errors import BadInput, TooMany
from booking.outbox import Message
from booking.people.codes import issue, live_code, redeem
from booking.people.models import Account, Patient, PatientLink
from booking.vault import blind_index, short_code

LANGUAGES = {"zh": "中文", "en": "English"}
"""The languages letters are written in, by the names their readers give them."""
CHANNELS = ("sms", "email", "wechat")
"""Where somebody may want no reminders; in-app messages disturb nobody."""
PURPOSE = "email"
EMAIL_CODES_PER_DAY = 10
"""Codes that one account may have sent in a day, to whichever addresses: they go to people who did not ask."""
_EMAIL = re.compile(r"[^@\s,;<>\"\x00-\x20]{1,64}@[A-Za-z0-9.-]{1,180}\.[A-Za-z]{2,24}")


@retried
def set_preferences(
    account_id: int,
    *,
    language: str,
    reminders: bool,
    channels: Mapping[str, bool] | None = None,
    patients: Mapping[int, bool] | None = None,
) -> None:
    """Keep how an account wants to be told; cancellations, stops and moves are told all the same. A repeat changes nothing.

    `channels` says for some of CHANNELS whether reminders go there, the others stay as they were. `patients` says for some
    of the account's patients whether reminders go to their own phone; somebody else's are left alone. Raises
    BadInput(errors).
    """
    if language not in LANGUAGES:
        wrong = "请从列出的语言里选一种"
        raise BadInput(wrong, errors={"language": wrong})
    chosen = {name: on for name, on in (channels or {}).items() if name in CHANNELS}
    with transaction() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        quiet = {name for name in account.quiet_channels if name not in chosen}
        account.quiet_channels = sorted(quiet | {name for name, on in chosen.items() if not on})
        account.language, account.reminders_on = language, reminders
        for patient_id, on in (patients or {}).items():
            link = session.get(PatientLink, (account_id, patient_id))
            if link is not None and link.ended_at is None:
                session.execute(update(Patient).where(Patient.id == patient_id).values(reminders_on=on))
        session.flush()


@retried
def set_email(account_id: int, email: str) -> bool:
    """Set or clear (empty) the address for e-mail letters; return whether it must still be confirmed.

    Another address than before is unconfirmed, and gets no letter until `confirm_email`. Raises BadInput(errors).
    """
    email = email.strip()
    if email and not _EMAIL.fullmatch(email):
        wrong = "邮箱格式不对，例如 name@example.com"
        raise BadInput(wrong, errors={"email": wrong})
    with transaction() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        if (account.email or "") != email:
            account.email, account.email_verified_at = email or None, None
            session.flush()
        return bool(email) and account.email_verified_at is None


@retried
def request_email_code(account_id: int) -> None:
    """Send a one-time code to the account's unconfirmed address; nothing to do when there is none.

    Raises TooMany(seconds) within 60 s or after 10 codes a day, to this address or from this account.
    """
    with transaction() as session:
        now = db_now(session)
        account = session.get_one(Account, account_id, with_for_update=True)
        if account.email and account.email_verified_at is None:
            if _codes_of(session, account_id, now) >= EMAIL_CODES_PER_DAY:
                raise TooMany("今天发送的验证码太多了，请明天再试。", seconds=3600)
            issue(
                session,
                account.email,
                _found(account.email),
                purpose=PURPOSE,
                channel="email",
                too_many="这个邮箱今天收取的验证码太多了，请明天再试。",
                now=now,
                account_id=account_id,
            )


def _codes_of(session: Session, account_id: int, now: datetime) -> int:
    """How many codes this account had sent by e-mail within a day."""
    asked = select(func.count()).where(
        Message.account_id == account_id,
        Message.kind == "code",
        Message.channel == "email",
        Message.created_at > now - timedelta(days=1),
    )
    return session.execute(asked).scalar_one()


@retried
def confirm_email(account_id: int, code: str) -> None:
    """Confirm the account's address by the code that was sent there; a repeat after that changes nothing.

    Raises BadInput(errors) with the sentence: wrong (each try counts, five at most), expired, or no address at all.
    """
    wrong = ""
    with transaction() as session:
        now = db_now(session)
        account = session.get_one(Account, account_id, with_for_update=True)
        if account.email and account.email_verified_at is not None:
            return
        if account.email is None:
            wrong = "还没有填写邮箱"
        else:
            found = _found(account.email)
            look_at = "验证码不对，请再看一下邮件"
            wrong = redeem(session, found, code, purpose=PURPOSE, look_at=look_at, now=now)
            if not wrong:
                account.email_verified_at = now
                session.flush()
    if wrong:
        raise BadInput(wrong, errors={"code": wrong})


@retried
def bind_wechat(account_id: int, openid: str) -> None:
    """Send this account's letters also to the WeChat that `openid` names; it takes the place of another, a repeat changes
    nothing.

    Whoever binds it wants reminders there, whatever was said before. One WeChat may be bound to several accounts, as one
    e-mail address may: it is where letters go, never a way to sign in, and a family shares a phone.
    """
    with transaction() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        if account.wechat_openid != openid:
            account.wechat_openid = openid
            account.quiet_channels = [name for name in account.quiet_channels if name != "wechat"]
            session.flush()


@retried
def unbind_wechat(account_id: int) -> None:
    """Forget the account's WeChat; letters that wait for it end unsent. A repeat changes nothing."""
    with transaction() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        account.wechat_openid = None
        account.quiet_channels = [name for name in account.quiet_channels if name != "wechat"]
        session.flush()


def demo_email_code(account_id: int) -> str | None:
    """Return the live code of an account's address; only the demo's page may show it."""
    account = db.session.get(Account, account_id)
    row = live_code(_found(account.email), PURPOSE) if account is not None and account.email else None
    return short_code(row.salt) if row else None


def _found(email: str) -> str:
    return blind_index("email", email.lower())
