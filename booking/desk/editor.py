"""The form of one session, the same beside the grid and on its own page: filled, previewed, compared."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flask import url_for
from flask_babel import gettext as _

from booking import wording
from booking.clock import utc
from booking.db import db
from booking.desk.forms import offered
from booking.desk.house import House
from booking.desk.schedule_forms import NewSessionForm, SessionForm
from booking.desk.session import can, hospital_id
from booking.directory.policy import current_policy, release_instant
from booking.schedule.admission import in_words, make_admits
from booking.schedule.change_session import CHANGEABLE
from booking.schedule.channels import kept_words, rolls_instant
from booking.schedule.desk_queries import SessionDetail
from booking.schedule.models import ClinicSession
from booking.schedule.rules import cut
from booking.schedule.shape import Shape


@dataclass
class Panel:
    """What the template draws (`view`) and the form inside it; no form for somebody who may only read."""

    view: dict[str, Any]
    form: SessionForm | None


def offer(form: SessionForm, at: House) -> None:
    """Give the form its choices."""
    form.kind.choices = offered(at.kind_choices())
    if isinstance(form, NewSessionForm):
        form.part.choices = offered(at.part_choices())


def by_rule(day: date, at: House) -> datetime:
    """When the numbers of a date are released by the hospital's rule."""
    return release_instant(current_policy(db.session(), hospital_id()), day, at.zone)


def rolls_by_rule(day: date, at: House) -> datetime | None:
    """When kept numbers of a date that are left over go online by the hospital's rule; None never."""
    return rolls_instant(current_policy(db.session(), hospital_id()), day, at.zone)


def rolls_at(form: SessionForm, day: date, at: House) -> datetime | None:
    """Return the roll-over that a valid form asks for; None never."""
    if form.rolls.data == "never":
        return None
    if form.rolls.data == "own" and form.rolls_date.data and form.rolls_time.data:
        return utc(form.rolls_date.data, form.rolls_time.data, at.zone)
    return rolls_by_rule(day, at)


def name_rule(form: SessionForm, day: date | None, at: House) -> None:
    """Say in the choice itself which date and time the hospital's rule means."""
    if day:
        rolls = rolls_by_rule(day, at)
        by = _("%(at)s起网上可约", at=wording.moment(at.wall(rolls))) if rolls else _("不放到网上")
        form.rolls.choices = offered(
            [("rule", _("按医院规则：%(by)s", by=by)), ("own", _("单独指定时间")), ("never", _("不放到网上"))]
        )
        said = wording.moment(at.wall(by_rule(day, at)))
        form.release.choices = offered(
            [("rule", _("按医院规则：%(at)s", at=said)), ("own", _("单独指定时间"))]
        )


def fill(form: SessionForm, row: ClinicSession, at: House) -> None:
    """Put a session's present values into the form."""
    form.version.data = str(row.version)
    form.starts.data, form.ends.data = row.starts_local, row.ends_local
    form.minutes.data, form.places.data = row.slot_minutes, row.places_per_slot
    form.kind.data, form.fee.data, form.room.data = row.clinic_kind_id.hex, row.fee_cents, row.room
    form.note.data = row.note
    form.show_admits(row.admits)
    form.keep(row.channels)
    rule = rolls_by_rule(row.local_date, at)
    form.rolls.data = "rule" if row.rolls_at == rule else "never" if row.rolls_at is None else "own"
    rolls = at.wall(row.rolls_at or rule or row.release_at)
    form.rolls_date.data, form.rolls_time.data = rolls.date(), rolls.time().replace(tzinfo=None)
    form.release.data = "rule" if row.release_at == by_rule(row.local_date, at) else "own"
    released = at.wall(row.release_at)
    form.release_date.data, form.release_time.data = released.date(), released.time().replace(tzinfo=None)


def shape(form: SessionForm) -> Shape:
    """Return what a valid form asks for."""
    return Shape(
        form.starts.data,
        form.ends.data,
        form.minutes.data or 0,
        form.places.data or 0,
        uuid.UUID(form.kind.data),
        form.fee.data,
        (form.room.data or "").strip(),
        make_admits(**form.admits()),
        form.kept(),
    )


def release_at(form: SessionForm, day: date, at: House) -> datetime:
    """Return the release that a valid form asks for."""
    if form.release.data == "own" and form.release_date.data and form.release_time.data:
        return utc(form.release_date.data, form.release_time.data, at.zone)
    return by_rule(day, at)


def of_session(
    detail: SessionDetail,
    at: House,
    *,
    back: str,
    form: SessionForm | None = None,
    impact: list[str] | None = None,
    refused: str = "",
    conflict: dict[str, Any] | None = None,
) -> Panel:
    """Return the editor of a session; `form` None means filled with what is stored."""
    row, idle = detail.session, form is None
    changeable = can("change_session") and row.status in CHANGEABLE and row.ends_at > at.now
    if form is None:
        form = SessionForm(formdata=None)
        fill(form, row, at)
    form.back.data = back
    offer(form, at)
    name_rule(form, row.local_date, at)
    own: dict[str, Any] = {"session_id": row.id}
    view = {
        "id": row.id.hex,
        "date": row.local_date.isoformat(),
        "idle": idle,
        "doctor": detail.practice.doctor,
        "heading": f"{detail.practice.doctor}·{wording.weekday(row.local_date)}{detail.part}",
        "date_label": wording.day_long(row.local_date),
        "place": "·".join(
            [detail.practice.department, *([detail.practice.campus] if len(at.campuses) > 1 else [])]
        ),
        "facts_label": _facts(detail),
        "facts": _read_only(detail, at),
        "state": row.status,
        "stop_reason": row.stop_reason,
        "stopped_url": url_for("desk.stops.stop", **own)
        if row.status == "stopped" and can("stop_session")
        else "",
        "url": url_for("desk.sessions.edit", **own),
        "cancel_url": back,
        "stop_url": url_for("desk.stops.stop", **own) if _stoppable(row, at) and can("stop_session") else "",
        "reopen_url": url_for("desk.stops.reopen", **own)
        if _reopenable(row, at) and can("reopen_session")
        else "",
        "impact": impact or [],
        "refused": refused,
        "was": _was(form, row) if changeable else {},
        "conflict": conflict,
        "last_change": last_change(row, at),
    }
    return Panel(view, form if changeable else None)


def of_new(
    form: NewSessionForm, at: House, *, back: str, impact: list[str] | None = None, refused: str = ""
) -> Panel:
    """Return the editor of a session that is not there yet."""
    offer(form, at)
    name_rule(form, form.date.data if isinstance(form.date.data, date) else None, at)
    form.back.data = back
    view = {
        "id": None,
        "idle": False,
        "heading": _("单次加开"),
        "date_label": _("只加这一次，不改模板"),
        "facts_label": "",
        "state": "new",
        "url": url_for("desk.sessions.new"),
        "cancel_url": back,
        "stop_url": "",
        "reopen_url": "",
        "impact": impact or [],
        "refused": refused,
        "was": {},
        "conflict": None,
        "last_change": None,
    }
    return Panel(view, form)


def say_new(form: NewSessionForm, at: House) -> list[str]:
    """Return what adding this session would do, in sentences."""
    day = form.date.data
    slots = len(cut(form.starts.data, form.ends.data, form.minutes.data or 1))
    released = release_at(form, day, at)
    when = wording.moment(at.wall(released))
    kept = kept_words(form.kept())
    return [
        _("%(slots)s 个时段，共 %(all)s 个号", slots=slots, all=slots * (form.places.data or 0)),
        *([_("每段留给：%(kept)s，其余网上可约", kept=kept)] if kept else []),
        _("发布后立即可以预约") if released <= at.now else _("%(when)s放号，之前任何人都约不到", when=when),
        *in_words(make_admits(**form.admits())),
        _("存为草稿：患者看不到，发布后才生效"),
    ]


def compare(form: SessionForm, row: ClinicSession, at: House) -> dict[str, Any]:
    """Return theirs and yours side by side, for somebody who saved second."""
    kinds = dict(at.kind_choices())
    theirs = [
        f"{wording.clock(row.starts_local)}–{wording.clock(row.ends_local)}",
        _("每 %(n)s 分钟一段", n=row.slot_minutes),
        _("每段 %(n)s 个号", n=row.places_per_slot),
        kept_words(row.channels) or _("全部网上可约"),
        row.room or _("（空）"),
        kinds.get(row.clinic_kind_id.hex, ""),
        wording.fee(row.fee_cents),
        wording.moment(at.wall(row.release_at)),
        "，".join(in_words(row.admits)) or _("不限"),
        row.note or _("（空）"),
    ]
    mine = shape(form)
    yours = [
        f"{wording.clock(mine.starts_local)}–{wording.clock(mine.ends_local)}",
        _("每 %(n)s 分钟一段", n=mine.slot_minutes),
        _("每段 %(n)s 个号", n=mine.places_per_slot),
        kept_words(mine.channels) or _("全部网上可约"),
        mine.room or _("（空）"),
        kinds.get(mine.clinic_kind_id.hex, ""),
        wording.fee(mine.fee_cents),
        wording.moment(at.wall(release_at(form, row.local_date, at))),
        "，".join(in_words(mine.admits)) or _("不限"),
        form.note.data or _("（空）"),
    ]
    names = [
        _("时间"),
        _("时长"),
        _("号数"),
        _("留出"),
        _("诊室"),
        _("号别"),
        _("费用"),
        _("放号"),
        _("接诊范围"),
        _("备注"),
    ]
    changed = last_change(row, at)
    return {
        "by": changed["text"] if changed else "",
        "rows": [
            {"name": name, "theirs": their, "yours": your, "differs": their != your}
            for name, their, your in zip(names, theirs, yours, strict=True)
        ],
    }


def last_change(row: ClinicSession, at: House) -> dict[str, str] | None:
    """Return who changed a session last and when."""
    if row.changed_at is None or not row.changed_by:
        return None
    return {"text": _("%(who)s，%(when)s", who=row.changed_by, when=at.moment(row.changed_at)), "url": ""}


def _facts(detail: SessionDetail) -> str:
    left = max(0, detail.capacity - detail.taken)
    if detail.session.status == "stopped":
        return _("停诊时通知了 %(n)s 人", n=detail.session.stopped_count)
    return _("已约 %(taken)s，共 %(all)s 号，余 %(left)s", taken=detail.taken, all=detail.capacity, left=left)


def _read_only(detail: SessionDetail, at: House) -> list[tuple[str, str]]:
    row = detail.session
    return [
        (_("时间"), f"{wording.clock(row.starts_local)}–{wording.clock(row.ends_local)}"),
        (_("号数"), _("每 %(m)s 分钟 %(n)s 个号", m=row.slot_minutes, n=row.places_per_slot)),
        (_("留出的号"), _("每段 %(kept)s", kept=kept_words(row.channels)) if row.channels else ""),
        (_("诊室"), row.room),
        (_("号别"), f"{detail.kind}，{wording.fee(row.fee_cents)}"),
        (_("放号"), wording.moment(at.wall(row.release_at))),
        (_("接诊范围"), "，".join(in_words(row.admits))),
        (_("停诊原因"), row.stop_reason),
        (_("备注"), row.note),
    ]


def _stoppable(row: ClinicSession, at: House) -> bool:
    return row.status in ("published", "running") and row.ends_at > at.now


def _reopenable(row: ClinicSession, at: House) -> bool:
    return row.status == "stopped" and row.ends_at > at.now


def _was(form: SessionForm, row: ClinicSession) -> dict[str, str]:
    stored = {
        "starts": (row.starts_local, wording.clock(row.starts_local)),
        "ends": (row.ends_local, wording.clock(row.ends_local)),
        "minutes": (row.slot_minutes, str(row.slot_minutes)),
        "places": (row.places_per_slot, str(row.places_per_slot)),
        "room": (row.room, row.room or _("（空）")),
        "fee": (row.fee_cents, wording.yuan(row.fee_cents)),
    }
    return {
        name: _("原为 %(value)s", value=said)
        for name, (value, said) in stored.items()
        if form[name].data is not None and form[name].data != value
    }
