"""Where a letter goes now, and whether it may: asked of the newest rows when it is sent, never when it was put."""

from __future__ import annotations

from datetime import datetime, time

from booking.appointments.reminders import OPTIONAL, after_quiet
from booking.claims import Claimed
from booking.people.models import Account, Patient


class NoWay(Exception):
    """The letter cannot or must not reach its recipient; the text says why."""


class NotYet(Exception):
    """The letter may go, but not before `at`."""

    def __init__(self, why: str, at: datetime) -> None:
        super().__init__(why)
        self.at = at


def address_of(message: Claimed, person: Account | Patient | None) -> str:
    """Return the recipient's address on the letter's channel as it is now; raises NoWay when there is none.

    E-mail goes only to an address whose owner typed in the code that was sent there.
    """
    if person is None:
        raise NoWay("the recipient is no longer known")
    if message.channel == "app":
        return str(person.id)
    if message.channel in ("sms", "voice"):
        address, none = person.phone, "no phone number"
    elif not isinstance(person, Account):
        address, none = None, "no account"
    elif message.channel == "email":
        address, none = person.email if person.email_verified_at else None, "no verified e-mail address"
    else:
        address, none = person.wechat_openid, "no WeChat"
    if not address:
        raise NoWay(none)
    return address


def language_of(person: Account | Patient | None) -> str | None:
    """Return the language somebody chose for letters, or None."""
    return person.language if isinstance(person, Account) else None


def ensure_wished(message: Claimed, person: Account | Patient | None, *, remind: bool) -> None:
    """Raise NoWay when a reminder is not wished for: at this visit, by this person, or on this channel.

    Cancellations, stops, moves and whatever else is no reminder always go.
    """
    if message.kind not in OPTIONAL or person is None:
        return
    if not (remind and person.reminders_on):
        raise NoWay("reminders are switched off")
    if isinstance(person, Account) and message.channel in person.quiet_channels:
        raise NoWay("no reminders on this channel")


def ensure_awake(message: Claimed, now: datetime, zone: str, quiet_from: time, quiet_to: time) -> None:
    """Raise NotYet when a reminder, due earlier and held up, would ring in the hospital's quiet hours."""
    if message.kind not in OPTIONAL or message.channel == "app":
        return
    awake = after_quiet(now, zone, quiet_from, quiet_to)
    if awake > now:
        raise NotYet("quiet hours", awake)
