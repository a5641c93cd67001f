"""What was sent, for the people it was sent to, for the desk, and for the demo's page."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import aliased

from booking.appointments.draw_models import DrawEntry
from booking.db import db
from booking.notices.models import DemoLetter
from booking.outbox import LIVE, Message, from_reference, reference
from booking.people.rules import mask_email, mask_phone
from booking.refs import ref


@dataclass(frozen=True)
class InAppLetter:
    """One letter on the messages page; `appointment_ref`, `wish_ref` or `draw_ref` leads on, `text` has one fact per line."""

    hospital_id: int
    id: uuid.UUID
    kind: str
    title: str
    text: str
    sent_at: datetime
    unread: bool
    appointment_ref: str | None
    wish_ref: str | None = None
    draw_ref: str | None = None

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass(frozen=True)
class LetterState:
    """What the ledger says about one letter: kind, channel and state, with words for pages. Instants are UTC.

    `at` is when it was sent, or when it is due. `tone` is ok, warn, stop or off. `merged`: another letter of the day told
    this one too, and the state is that letter's.
    """

    kind: str
    kind_label: str
    channel: str
    channel_label: str
    recipient: str
    status: str
    status_label: str
    tone: str
    at: datetime
    due_at: datetime
    error: str
    provider: str = ""
    merged: bool = False


@dataclass(frozen=True)
class ShownLetter:
    """One letter of the demo's page; `text` is empty while it waits, because it is written when it is sent."""

    kind: str
    kind_label: str
    channel: str
    channel_label: str
    to: str
    to_masked: str
    subject: str
    text: str
    status: str
    status_label: str
    tone: str
    at: datetime
    due_at: datetime | None


KINDS = {
    "confirmed": _l("预约成功"),
    "reminder_day": _l("就诊提醒（前一天）"),
    "reminder_hours": _l("就诊提醒（当天）"),
    "preparation": _l("就诊准备"),
    "moved": _l("改约"),
    "cancelled": _l("取消预约"),
    "stopped": _l("停诊通知"),
    "no_show": _l("爽约记录"),
    "excused": _l("爽约免除"),
    "appeal_declined": _l("申诉答复"),
    "wish_joined": _l("候补登记"),
    "wish_offer": _l("候补有号"),
    "wish_missed": _l("候补让号"),
    "wish_stopped": _l("候补停诊"),
    "wish_ended": _l("候补结束"),
    "draw_entered": _l("抽签报名"),
    "draw_lost": _l("抽签结果"),
    "draw_off": _l("抽签取消"),
    "coming": _l("确认会来"),
    "arrived": _l("已报到"),
    "check_in_undone": _l("撤销报到"),
    "fulfilled": _l("就诊完成"),
    "reply": _l("短信自动回复"),
    "code": _l("验证码"),
}
"""Every kind of letter there is, and what it is called: about a visit, a wish, a draw; to the hospital; to a phone."""
OF_A_HOSPITAL = tuple(kind for kind in KINDS if kind != "code")
"""The kinds a hospital sends; codes are the platform's."""


def kind_label(kind: str) -> str:
    """Return what a kind of letter is called; one that only another release puts, by its own name."""
    return str(KINDS.get(kind, kind))


def channel_label(channel: str) -> str:
    """Return what a channel is called."""
    return {
        "app": _("站内消息"),
        "sms": _("短信"),
        "email": _("邮件"),
        "wechat": _("微信"),
        "voice": _("语音电话"),
        "webhook": _("医院系统"),
    }[channel]


def status_label(status: str) -> tuple[str, str]:
    """Return the words for a letter's state and their tone. Accepted is not delivered: the provider has it."""
    return {
        "waiting": (_("等待发送"), "warn"),
        "sending": (_("正在发送"), "warn"),
        "delivered": (_("已送达"), "ok"),
        "accepted": (_("已发出"), "ok"),
        "failed": (_("没有发出"), "stop"),
        "expired": (_("已过时，没有发"), "off"),
        "superseded": (_("不再需要"), "off"),
        "suppressed": (_("没有发送"), "off"),
    }[status]


def messages_of(account_id: int, limit: int = 50, offset: int = 0) -> list[InAppLetter]:
    """Return an account's in-app letters that have arrived, newest first."""
    rows = db.session.scalars(
        select(Message)
        .where(Message.account_id == account_id, Message.channel == "app", Message.status == "delivered")
        .order_by(Message.sent_at.desc(), Message.id.desc())
        .limit(limit)
        .offset(offset)
    ).all()
    draws = _draws([row.facts["entry"] for row in rows if "entry" in row.facts])
    return [
        InAppLetter(
            hospital_id=row.hospital_id,
            id=row.id,
            kind=row.kind,
            title=row.subject or "",
            text=row.body or "",
            sent_at=row.sent_at or row.due_at,
            unread=row.read_at is None,
            appointment_ref=ref(row.hospital_id, row.appointment_id)
            if row.appointment_id and not row.wish_id
            else None,
            wish_ref=ref(row.hospital_id, row.wish_id) if row.wish_id else None,
            draw_ref=draws.get(row.facts.get("entry", "")),
        )
        for row in rows
    ]


def _draws(entries: list[str]) -> dict[str, str]:
    """Return for each entry into a draw, by the hexadecimal id that letters carry, the draw it is in."""
    if not entries:
        return {}
    found = db.session.execute(
        select(DrawEntry.hospital_id, DrawEntry.id, DrawEntry.draw_id).where(
            DrawEntry.id.in_([uuid.UUID(one) for one in entries])
        )
    )
    return {entry.hex: ref(hospital_id, draw_id) for hospital_id, entry, draw_id in found}


def unread_of(account_id: int) -> int:
    """Return how many in-app letters an account has not seen."""
    unread = select(func.count()).where(
        Message.account_id == account_id,
        Message.channel == "app",
        Message.status == "delivered",
        Message.read_at.is_(None),
    )
    return db.session.scalar(unread) or 0


def messages_about(
    hospital_id: int, appointment_ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, list[LetterState]]:
    """Return for each appointment its letters in the order they were or will be due. One query.

    Superseded ones are left out: a change ended them. One that another letter of the day told too is there, as told.
    """
    about: dict[uuid.UUID, list[LetterState]] = {one: [] for one in appointment_ids}
    carrier = aliased(Message)
    rows = db.session.execute(
        select(Message, carrier)
        .outerjoin(
            carrier,
            and_(
                carrier.hospital_id == Message.hospital_id,
                carrier.id == Message.merged_into,
                carrier.status.in_(("accepted", "delivered")),
                Message.status == "superseded",
            ),
        )
        .where(
            Message.hospital_id == hospital_id,
            Message.appointment_id.in_(list(about)),
            or_(Message.status != "superseded", carrier.id.is_not(None)),
        )
        .order_by(Message.due_at, Message.id)
    )
    for row, told_by in rows:
        if row.appointment_id:
            about[row.appointment_id].append(_state(told_by, due_at=row.due_at) if told_by else _state(row))
    return about


def sent_beside(letters: Iterable[InAppLetter]) -> dict[uuid.UUID, list[LetterState]]:
    """Return for each in-app letter about a visit what went out with it over other channels. One query."""
    listed = list(letters)
    beside = aliased(Message)
    rows = db.session.execute(
        select(Message.id, beside)
        .join(
            beside,
            and_(
                beside.hospital_id == Message.hospital_id,
                beside.appointment_id == Message.appointment_id,
                beside.kind == Message.kind,
                beside.version == Message.version,
            ),
        )
        .where(
            Message.hospital_id.in_({one.hospital_id for one in listed}),
            Message.id.in_([one.id for one in listed]),
            beside.channel.not_in(("app", "webhook")),
            beside.status != "superseded",
        )
        .order_by(beside.due_at, beside.id)
    )
    found: dict[uuid.UUID, list[LetterState]] = {}
    for letter_id, row in rows:
        found.setdefault(letter_id, []).append(_state(row))
    return found


def _state(row: Message, *, due_at: datetime | None = None) -> LetterState:
    """The state of a letter; with `due_at`, of one that was due then and that this one told too."""
    return LetterState(
        kind=row.kind,
        kind_label=kind_label(row.kind),
        channel=row.channel,
        channel_label=channel_label(row.channel),
        recipient=row.recipient,
        status=row.status,
        status_label=status_label(row.status)[0],
        tone=status_label(row.status)[1],
        at=row.sent_at or row.due_at,
        due_at=due_at or row.due_at,
        error=row.last_error,
        provider=row.provider,
        merged=due_at is not None,
    )


def demo_letters(limit: int = 50) -> list[ShownLetter]:
    """Return what would have left the building, newest first, after the letters that still wait, soonest first."""
    shown = list(db.session.scalars(select(DemoLetter).order_by(DemoLetter.id.desc()).limit(limit)))
    names = [from_reference(letter.reference) for letter in shown]
    known = {
        reference(message): message
        for message in db.session.scalars(
            select(Message).where(Message.id.in_([one[1] for one in names if one]))
        )
    }
    waiting = db.session.scalars(
        select(Message)
        .where(or_(Message.channel == "sms", Message.channel == "email"), Message.status.in_(LIVE))
        .order_by(Message.due_at)
        .limit(limit)
    )
    return [_waiting(message) for message in waiting if reference(message) not in known] + [
        _shown(letter, known.get(letter.reference)) for letter in shown
    ]


def _waiting(message: Message) -> ShownLetter:
    label, tone = status_label(message.status)
    return ShownLetter(
        kind=message.kind,
        kind_label=kind_label(message.kind),
        channel=message.channel,
        channel_label=channel_label(message.channel),
        to="",
        to_masked="",
        subject="",
        text="",
        status=message.status,
        status_label=label,
        tone=tone,
        at=message.created_at,
        due_at=message.due_at,
    )


def _shown(letter: DemoLetter, message: Message | None) -> ShownLetter:
    label, tone = status_label("accepted")
    kind = message.kind if message else ""
    masked = mask_phone(letter.to) if letter.channel == "sms" else mask_email(letter.to)
    return ShownLetter(
        kind=kind,
        kind_label=kind_label(kind),
        channel=letter.channel,
        channel_label=channel_label(letter.channel),
        to=letter.to,
        to_masked=masked,
        subject=letter.subject,
        text=letter.body,
        status="accepted",
        status_label=label,
        tone=tone,
        at=letter.at,
        due_at=None,
    )
