"""What a claimed letter says and where it goes now: asked of the newest rows, with nothing remembered from when it was put."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from flask import current_app
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from booking.appointments.batch import appointments
from booking.appointments.queries import AppointmentView, appointment
from booking.appointments.reminders import PREPARATION
from booking.appointments.wish_queries import is_stopped, wish
from booking.claims import Claimed
from booking.clock import db_now
from booking.db import end_read
from booking.notices import discretion, draw_letters, letters
from booking.notices.day_letters import day_letter
from booking.notices.hospital_letters import hospital_letter
from booking.notices.merging import TOLD, gather
from booking.notices.reaching import NotYet, NoWay, address_of, ensure_awake, ensure_wished, language_of
from booking.notices.reply_letters import reply_letter
from booking.notices.reply_rules import reply_code
from booking.notices.senders.provider import Rendered
from booking.notices.wish_letters import ABOUT_A_WISH, wish_letter
from booking.people.codes import CODE_LIVES
from booking.people.models import Account, OneTimeCode, Patient
from booking.people.queries import by_ids
from booking.vault import short_code

WANTED = f"""
CASE WHEN message.channel = 'webhook' THEN TRUE
WHEN {TOLD} THEN FALSE
WHEN message.channel = 'voice' AND EXISTS (
    SELECT 1 FROM message s WHERE s.hospital_id = message.hospital_id AND s.appointment_id = message.appointment_id
      AND s.kind = message.kind AND s.version = message.version AND s.channel = 'sms'
      AND s.recipient = message.recipient AND s.status = 'delivered') THEN FALSE
ELSE CASE message.kind
  WHEN 'reply' THEN TRUE WHEN 'draw_entered' THEN TRUE WHEN 'draw_lost' THEN TRUE WHEN 'draw_off' THEN TRUE
  WHEN 'code' THEN EXISTS (
    SELECT 1 FROM one_time_code c WHERE c.id = message.code_id AND c.ended_at IS NULL)
  WHEN 'wish_joined' THEN EXISTS (
    SELECT 1 FROM wish w WHERE w.hospital_id = message.hospital_id AND w.id = message.wish_id
      AND w.status IN ('waiting', 'offered'))
  WHEN 'wish_missed' THEN EXISTS (
    SELECT 1 FROM wish w WHERE w.hospital_id = message.hospital_id AND w.id = message.wish_id
      AND w.status IN ('waiting', 'offered'))
  WHEN 'wish_stopped' THEN EXISTS (
    SELECT 1 FROM wish w WHERE w.hospital_id = message.hospital_id AND w.id = message.wish_id
      AND w.status = 'waiting')
  WHEN 'wish_ended' THEN EXISTS (
    SELECT 1 FROM wish w WHERE w.hospital_id = message.hospital_id AND w.id = message.wish_id
      AND w.status = 'ended')
  WHEN 'wish_offer' THEN EXISTS (
    SELECT 1 FROM appointment a WHERE a.hospital_id = message.hospital_id AND a.id = message.appointment_id
      AND a.status = 'held')
  ELSE EXISTS (
    SELECT 1 FROM appointment a
    WHERE a.hospital_id = message.hospital_id AND a.id = message.appointment_id
      AND CASE WHEN message.kind IN ('cancelled', 'stopped') THEN a.status = 'cancelled'
          WHEN message.kind IN ('no_show', 'appeal_declined') THEN a.status = 'no_show'
          WHEN message.kind = 'excused' THEN a.status = 'excused'
          ELSE a.status = 'booked' AND a.version = message.version END)
END END
"""
"""SQL over `message`, true while it should still go out: the appointment, or the wish, stands as the letter says.

Not one that another letter has told. A phone rings only while no receipt says that the same letter reached the same person
as a short message.
"""

STANDS_WHILE = {
    "cancelled": "cancelled",
    "stopped": "cancelled",
    "no_show": "no_show",
    "appeal_declined": "no_show",
    "excused": "excused",
}
"""Letters about how a visit ended, and the status in which they stay true; all others are about a booked visit."""


class NotWanted(Exception):
    """What the letter tells stopped being true after it was claimed."""


@dataclass(frozen=True)
class Written:
    """What one letter says and where it goes."""

    address: str
    letter: Rendered


Failure = NotWanted | NoWay | NotYet | Exception


@dataclass(frozen=True)
class Rows:
    """The newest rows that a batch of letters is written from, each read once."""

    now: datetime
    visits: dict[uuid.UUID, AppointmentView]
    sensitive: set[uuid.UUID]
    accounts: dict[int, Account]
    patients: dict[int, Patient]
    codes: dict[int, OneTimeCode]
    languages: dict[int, str | None]
    also: dict[uuid.UUID, list[AppointmentView]]


def write(batch: Sequence[Claimed]) -> list[Written | Failure]:
    """Return what each letter of one hospital's batch says and where it goes, from the newest rows, or why not.

    A handful of queries whatever the size of the batch (letters about a wish or a draw ask a few of their own). One
    letter that cannot be written hides nothing of the others, also when a row it needs cannot be read: then each is
    written by itself.
    """
    if not batch:
        return []
    try:
        rows = _rows(batch)
    except OperationalError:
        raise
    except Exception as problem:  # a row of somebody's cannot be read
        if len(batch) == 1:
            return [problem]
        return [written for one in batch for written in write([one])]
    return [_attempt(message, rows) for message in batch]


def _attempt(message: Claimed, rows: Rows) -> Written | Failure:
    try:
        return Written(*_write(message, rows))
    except Exception as problem:
        return problem


def _rows(batch: Sequence[Claimed]) -> Rows:
    session = end_read()
    now = db_now(session)
    accounts = by_ids(Account, (one.account_id for one in batch))
    patients = by_ids(Patient, (one.patient_id for one in batch))
    codes = by_ids(OneTimeCode, (one.code_id for one in batch))
    about = [
        one.appointment_id
        for one in batch
        if one.appointment_id and (one.kind in letters.ABOUT_A_VISIT or one.channel == "webhook")
    ]
    visits = appointments(batch[0].hospital_id, about, now)
    also = gather(batch, visits, now)
    session = end_read()
    bookers = by_ids(
        Account,
        (
            visits[one.appointment_id].account_id
            for one in batch
            if one.recipient == "patient" and one.appointment_id in visits
        ),
    )
    return Rows(
        now,
        visits,
        discretion.sensitive_among([*visits.values(), *chain.from_iterable(also.values())]),
        accounts | bookers,
        patients,
        codes,
        _languages(session, codes.values()),
        also,
    )


def _languages(session: Session, codes: Iterable[OneTimeCode]) -> dict[int, str | None]:
    """Return by code the language of whoever has the phone it goes to, as far as an account has it."""
    by_hash = {one.phone_hash: one.id for one in codes}
    if not by_hash:
        return {}
    found = session.execute(
        select(Account.phone_hash, Account.language).where(Account.phone_hash.in_(by_hash))
    )
    return {by_hash[phone_hash]: language for phone_hash, language in found}


def _write(message: Claimed, rows: Rows) -> tuple[str, Rendered]:
    """Return the address and the text of one letter. Raises NotWanted and NoWay."""
    if message.channel == "webhook":
        return _to_hospital(message, rows)
    if message.kind == "code":
        code = rows.codes.get(message.code_id or 0)
        if code is None or code.ended_at is not None or code.expires_at <= rows.now:
            raise NotWanted("the code has ended")
        return code.phone, letters.code_letter(
            short_code(code.salt),
            lives=CODE_LIVES,
            channel=message.channel,
            language=rows.languages.get(code.id) or language_of(rows.accounts.get(message.account_id or 0)),
        )
    if message.kind == "reply":
        person = _recipient(message, rows)
        return address_of(message, person), _answer(message, language_of(person))
    if message.kind in draw_letters.ABOUT_A_DRAW:
        about_draw = draw_letters.draw_letter(message, rows.now)
        if about_draw is None:
            raise NoWay("the entry or its account is no longer known")
        return about_draw
    if message.wish_id is not None and message.kind in ABOUT_A_WISH:
        return _write_wish(message, rows)
    if message.appointment_id is None or message.kind not in letters.ABOUT_A_VISIT:
        raise NoWay(f"no text for the kind {message.kind}")
    view = rows.visits.get(message.appointment_id)
    if view is None or not _stands(message, view):
        raise NotWanted("the appointment changed after the claim")
    if message.kind == PREPARATION and not view.preparation:
        raise NotWanted("there is nothing to prepare any more")
    address = _address(message, view, rows)
    person = _recipient(message, rows)
    day = sorted([view, *rows.also.get(message.id, [])], key=lambda one: one.starts_at)
    if len(day) > 1:
        return address, day_letter(
            message.channel, day, now=rows.now, language=language_of(person), sensitive=rows.sensitive
        )
    answers = message.channel == "sms" and person is not None and current_app.config["SMS_REPLIES"]
    letter = letters.visit_letter(
        message.kind,
        message.channel,
        view,
        message.facts,
        now=rows.now,
        address=address,
        sensitive=view.id in rows.sensitive,
        language=language_of(person),
        reply=reply_code(view.id, person.phone_hash or "") if answers and person else "",
    )
    return address, letter


def _to_hospital(message: Claimed, rows: Rows) -> tuple[str, Rendered]:
    """Return the hospital's number and how the appointment stands now, whatever came after the change that is told."""
    view = rows.visits.get(message.appointment_id) if message.appointment_id else None
    if view is None:
        raise NotWanted("the appointment is no longer known")
    return str(message.hospital_id), hospital_letter(message.kind, view, now=rows.now)


def _answer(message: Claimed, language: str | None) -> Rendered:
    """Return what a reply is answered, with the visit it was about as it stands now."""
    facts = message.facts
    about = uuid.UUID(facts["appointment"]) if facts["appointment"] else None
    view = appointment(message.hospital_id, about) if about else None
    return reply_letter(facts["word"], facts["reason"], view, language=language)


def _write_wish(message: Claimed, rows: Rows) -> tuple[str, Rendered]:
    """Return the address and the text of a letter about a wish. Raises NotWanted and NoWay."""
    assert message.wish_id is not None
    view = wish(message.hospital_id, message.wish_id)
    if view is None or (view.status == "ended") != (message.kind == "wish_ended"):
        raise NotWanted("the wish changed after the claim")
    if message.kind == "wish_stopped" and not view.hopeless:
        raise NotWanted("there is something to wait for again")
    about: list[AppointmentView] = []
    if message.kind == "wish_offer":
        about = [one for one in view.offers if one.held_until and one.held_until > rows.now]
        if message.appointment_id not in [one.id for one in about]:
            raise NotWanted("the offer is over")
    elif message.appointment_id is not None:
        one = appointment(message.hospital_id, message.appointment_id)
        about = [one] if one is not None else []
        if one and message.facts.get("why") == "stopped" and not is_stopped(one.hospital_id, one.session_id):
            raise NotWanted("the session was reopened")
    person = rows.accounts.get(message.account_id or 0)
    letter = wish_letter(
        message.kind,
        message.channel,
        view,
        about,
        message.facts,
        now=rows.now,
        language=language_of(person),
    )
    return address_of(message, person), letter


def _stands(message: Claimed, view: AppointmentView) -> bool:
    """The same question as WANTED, asked again of the rows the text is written from."""
    if message.kind in STANDS_WHILE:
        return view.status == STANDS_WHILE[message.kind]
    return view.status == "booked" and view.version == message.version


def _address(message: Claimed, view: AppointmentView, rows: Rows) -> str:
    """Return where the letter goes now; raises NoWay and NotYet."""
    person = _recipient(message, rows)
    ensure_wished(message, person, remind=view.remind)
    ensure_awake(message, rows.now, view.zone, view.quiet_from, view.quiet_to)
    address = address_of(message, person)
    if message.recipient == "patient" and view.account_id:
        booker = rows.accounts.get(view.account_id)
        if booker is not None and booker.phone == address:
            raise NoWay("the booker has the same number")
    return address


def _recipient(message: Claimed, rows: Rows) -> Account | Patient | None:
    if message.recipient == "account":
        return rows.accounts.get(message.account_id or 0)
    return rows.patients.get(message.patient_id or 0)
