"""What the demo's page shows of the letters: sent ones with their text, and the next to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from flask_babel import gettext as _
from sqlalchemy import select

from booking import wording
from booking.clock import db_now, local
from booking.db import db
from booking.demo.house import ZONE
from booking.notices.queries import channel_label, demo_letters, kind_label, status_label
from booking.outbox import Message
from booking.people.models import Account
from booking.people.rules import mask_phone

TONES = {"warn": "few"}


@dataclass(frozen=True)
class Shown:
    """One letter as the page draws it; `text` is empty while it waits, because it is written when it is sent."""

    at: datetime
    channel_label: str
    to_masked: str
    kind_label: str
    text: str
    status_label: str
    tone: str
    when_label: str
    due_label: str = ""


def sent_letters(limit: int = 40) -> list[Shown]:
    """Return the newest letters of every channel, in-app ones too, newest first."""
    today = local(db_now(db.session()), ZONE).date()
    left = [
        Shown(
            at=letter.at,
            channel_label=letter.channel_label,
            to_masked=letter.to_masked,
            kind_label=letter.kind_label,
            text=f"{letter.subject}\n{letter.text}" if letter.channel == "email" else letter.text,
            status_label=letter.status_label,
            tone=TONES.get(letter.tone, letter.tone),
            when_label=wording.moment_near(local(letter.at, ZONE), today),
        )
        for letter in demo_letters(limit)
        if letter.text
    ]
    rows = db.session.execute(
        select(Message, Account)
        .join(Account, Account.id == Message.account_id)
        .where(Message.channel == "app", Message.status == "delivered")
        .order_by(Message.sent_at.desc())
        .limit(limit)
    )
    inside = [_in_app(message, account, today) for message, account in rows]
    return sorted([*left, *inside], key=lambda one: one.at, reverse=True)[:limit]


def _in_app(message: Message, account: Account, today: date) -> Shown:
    at = message.sent_at or message.due_at
    label, tone = status_label(message.status)
    return Shown(
        at=at,
        channel_label=channel_label("app"),
        to_masked=mask_phone(account.phone),
        kind_label=kind_label(message.kind),
        text=message.body or "",
        status_label=label,
        tone=TONES.get(tone, tone),
        when_label=wording.moment_near(local(at, ZONE), today),
    )


def coming_letters(limit: int = 8) -> list[Shown]:
    """Return the letters that go out next, soonest first; their text is written then, from the newest rows."""
    rows = db.session.scalars(
        select(Message)
        .where(Message.status.in_(("waiting", "sending")))
        .order_by(Message.due_at, Message.channel)
        .limit(limit)
    )
    return [
        Shown(
            at=row.due_at,
            channel_label=channel_label(row.channel),
            to_masked="",
            kind_label=kind_label(row.kind),
            text="",
            status_label=status_label(row.status)[0],
            tone="few",
            when_label="",
            due_label=_("%(when)s 发出", when=wording.moment(local(row.due_at, ZONE))),
        )
        for row in rows
    ]
