"""Replies (回复): somebody answers a reminder by a short message, to say that they come or to give the place back.

A reply is kept first and acted on afterwards, each step repeatable: whatever stops in between, `answer_replies` goes on.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from booking.appointments.cancel import cancel
from booking.appointments.coming import confirm_coming
from booking.appointments.models import Appointment
from booking.appointments.rules import NotActive
from booking.clock import db_now
from booking.db import core, db, end_read, retried, transaction
from booking.directory.models import Hospital
from booking.errors import Refusal
from booking.notices.callbacks import Word
from booking.notices.models import Reply
from booking.notices.reply_rules import (
    ANSWERS_PER_DAY,
    CODES_LIVE,
    DAY,
    WRONG_PER_DAY,
    Asked,
    read_reply,
    reply_code,
)
from booking.outbox import PLATFORM, REMOVED_AT_ONCE, Letter, put
from booking.people.models import Account, Patient
from booking.people.quiet import stop_reminders
from booking.people.rules import read_phone
from booking.staff.rules import Actor
from booking.vault import blind_index

log = logging.getLogger(__name__)

ANSWER_LIVES = timedelta(hours=1)
SILENT = ("unknown", "blocked", "cancelled")
"""What is not answered: phones that nobody here has, phones that guess, and a cancelling, which has a letter of its own."""

_REPLY = core(Reply)
_INSERT = [
    insert(_REPLY).on_conflict_do_nothing().returning(_REPLY.c.id)
    for insert in (postgresql_insert, sqlite_insert)
]


@dataclass(frozen=True)
class Did:
    """What came of a reply; `word` is what the answer says (templates/notices/reply_<word>.sms.txt)."""

    word: str
    hospital_id: int | None = None
    appointment_id: uuid.UUID | None = None
    reason: str = ""


@dataclass(frozen=True)
class Owner:
    """Whose phone it is: an account, and patients who have it as their own."""

    account_id: int | None
    patient_ids: tuple[int, ...]

    def __bool__(self) -> bool:
        return self.account_id is not None or bool(self.patient_ids)


@retried
def keep_replies(provider: str, words: Iterable[Word]) -> int:
    """Keep what came in, all or none; return how many were new. The same event is kept once. Acting on them comes after."""
    with transaction() as session:
        now = db_now(session)
        rows = []
        for word in words:
            phone, _wrong = read_phone(word.phone)
            if phone is not None:
                rows.append(
                    {
                        "provider": provider,
                        "event_id": word.id,
                        "phone_hash": blind_index("phone", phone),
                        "said": word.text,
                        "received_at": now,
                        "did": "",
                    }
                )
        if not rows:
            return 0
        insert = _INSERT[session.get_bind().dialect.name == "sqlite"]
        return len(session.connection().execute(insert, rows).all())


def answer_replies() -> int:
    """Act on the replies of the last day that wait for it, the oldest first; return how many.

    Any number of workers may run this at once: acting twice does no more than once, and one of them answers. One reply's
    trouble stays its own; it is tried again at the next run.
    """
    session = end_read()
    waiting = select(Reply.id).where(Reply.did == "", Reply.received_at > db_now(session) - DAY)
    ids = session.scalars(waiting.order_by(Reply.id).limit(500)).all()
    answered = 0
    for reply_id in ids:
        try:
            answered += bool(answer_reply(reply_id))
        except Exception:
            log.exception("reply %s not answered", reply_id)
        finally:
            db.session.remove()
    return answered


def answer_reply(reply_id: int) -> str:
    """Do what one kept reply asks for and put its answer; return what was done, or "" when it was done before.

    Confirming and cancelling are the verbs that the pages use, with the same rules and refusals, done as the booker where
    the phone is the booker's, else as somebody who has the visit's code. A wrong code changes nothing.
    """
    session = end_read()
    reply = session.get(Reply, reply_id)
    if reply is None or reply.did:
        return ""
    owner = _owner(session, reply.phone_hash)
    did = _act(session, reply, owner)
    noted = {"did": did.word, "hospital_id": did.hospital_id, "appointment_id": did.appointment_id}
    with transaction() as session:
        now = db_now(session)
        mine = update(Reply).where(Reply.id == reply_id, Reply.did == "")
        done = session.execute(mine.values(noted).execution_options(synchronize_session=False))
        if getattr(done, "rowcount", 0) != 1:
            return ""
        if did.word not in SILENT and _answers(session, reply, did.word, now) < ANSWERS_PER_DAY:
            put(session, did.hospital_id or PLATFORM, [_answer(reply_id, owner, did, now)], now=now)
    return did.word


def _act(session: Session, reply: Reply, owner: Owner) -> Did:
    if not owner:
        return Did("unknown")
    asked = read_reply(reply.said)
    if asked.does == "stop":
        stop_reminders(reply.phone_hash)
        return Did("stopped")
    if asked.does == "unclear":
        return Did("unclear")
    wrong = _count(session, reply, Reply.did.in_(("wrong", "last", "blocked")))
    if wrong >= WRONG_PER_DAY:
        return Did("blocked")
    found = _visit(session, reply.phone_hash, owner, asked)
    if found is None:
        return Did("last" if wrong + 1 >= WRONG_PER_DAY else "wrong")
    hospital_id, appointment_id, account_id = found
    ours = owner.account_id is not None and account_id == owner.account_id
    actor = (
        Actor("account", str(account_id), account_id=account_id)
        if ours
        else Actor("code", appointment_id.hex)
    )
    return _do(asked, hospital_id, appointment_id, actor, reply.received_at)


def _do(
    asked: Asked, hospital_id: int, appointment_id: uuid.UUID, actor: Actor, received_at: datetime
) -> Did:
    def did(word: str, reason: str = "") -> Did:
        return Did(word, hospital_id, appointment_id, reason)

    try:
        if asked.does == "confirm":
            confirm_coming(hospital_id, appointment_id, actor=actor)
            return did("coming")
        row = cancel(hospital_id, appointment_id, actor=actor, reason="短信回复退号")
    except Refusal as refusal:
        if isinstance(refusal, NotActive) and refusal.facts.get("status") == "已取消":
            return did("over")
        return did("refused", refusal.text)
    before = row.cancelled_at is not None and row.cancelled_at < received_at
    return did("over" if before else "cancelled")


def _visit(
    session: Session, phone_hash: str, owner: Owner, asked: Asked
) -> tuple[int, uuid.UUID, int | None] | None:
    """Return the visit of this phone that the code is about, or None: none, or (once in thousands) two that stand."""
    since = db_now(session) - CODES_LIVE
    at = core(Appointment).c
    whose = []
    if owner.account_id is not None:
        whose.append(and_(at.account_id == owner.account_id, at.starts_at > since))
    if owner.patient_ids:
        hospitals = select(core(Hospital).c.id)
        whose.append(
            and_(
                at.hospital_id.in_(hospitals),
                at.patient_id.in_(owner.patient_ids),
                at.visit_date >= (since - timedelta(days=1)).date(),
                at.starts_at > since,
            )
        )
    asked_for = select(at.hospital_id, at.id, at.account_id, at.status).where(
        or_(*whose), at.status.not_in(("held", "expired"))
    )
    found = [row for row in session.execute(asked_for) if reply_code(row.id, phone_hash) == asked.code]
    if len(found) > 1:
        found = [row for row in found if row.status == "booked"]
    return (found[0].hospital_id, found[0].id, found[0].account_id) if len(found) == 1 else None


def _owner(session: Session, phone_hash: str) -> Owner:
    account_id = session.scalar(select(Account.id).where(Account.phone_hash == phone_hash))
    patients = session.scalars(
        select(Patient.id).where(Patient.phone_hash == phone_hash).order_by(Patient.id)
    )
    return Owner(account_id, tuple(patients))


def _count(session: Session, reply: Reply, *which: Any) -> int:
    """How many replies of this phone came within the day before this one."""
    asked = select(func.count()).where(
        Reply.phone_hash == reply.phone_hash,
        Reply.received_at > reply.received_at - DAY,
        Reply.id < reply.id,
        *which,
    )
    return int(session.scalar(asked) or 0)


def _answers(session: Session, reply: Reply, word: str, now: datetime) -> int:
    """How many answers this phone had within a day; what nobody understands is answered once."""
    if word == "unclear":
        return ANSWERS_PER_DAY * _count(session, reply, Reply.did == "unclear")
    return _count(session, reply, Reply.did.not_in(("", *SILENT)))


def _answer(reply_id: int, owner: Owner, did: Did, now: datetime) -> Letter:
    ours = owner.account_id is not None
    return Letter(
        "reply",
        "sms",
        "account" if ours else "patient",
        due_at=now,
        expires_at=now + ANSWER_LIVES,
        account_id=owner.account_id,
        patient_id=None if ours else owner.patient_ids[0],
        facts={
            "word": did.word,
            "appointment": did.appointment_id.hex if did.appointment_id else "",
            "reason": did.reason,
        },
        about=uuid.UUID(int=reply_id),
    )


def remove_old(days: int = 30) -> int:
    """Delete replies that came `days` ago, a thousand in a transaction: they are somebody's words; return how many.

    Numbered as they come, the oldest are the first: no more are read than go.
    """
    removed = 0
    while True:
        with transaction() as session:
            before = db_now(session) - timedelta(days=days)
            first = select(Reply.id, Reply.received_at).order_by(Reply.id).limit(REMOVED_AT_ONCE)
            old = [row.id for row in session.execute(first) if row.received_at < before]
            session.execute(
                delete(Reply).where(Reply.id.in_(old)).execution_options(synchronize_session=False)
            )
        removed += len(old)
        if len(old) < REMOVED_AT_ONCE:
            return removed
