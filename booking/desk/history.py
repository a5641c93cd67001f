"""The history of a visit in the desk's words: what happened, at whose wish, why, and who did it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking import wording
from booking.appointments.models import AppointmentEvent
from booking.desk.house import House
from booking.desk.labels import WISHES
from booking.staff.rules import ROLES

VERBS = {
    "hold": _l("开始预约"),
    "release": _l("放弃保留"),
    "expire": _l("保留到期"),
    "confirm": _l("预约成功"),
    "book": _l("预约成功"),
    "book_at_desk": _l("医院代约"),
    "add_extra": _l("加号"),
    "draw": _l("抽签抽中"),
    "offer": _l("候补有号，等患者答复"),
    "accept": _l("接受候补的号"),
    "decline": _l("让出候补的号"),
    "leave": _l("退出候补"),
    "confirm_coming": _l("确认会来"),
    "move": _l("改约"),
    "cancel": _l("取消"),
    "stop": _l("停诊取消"),
    "check_in": _l("报到"),
    "undo_check_in": _l("撤销报到"),
    "was_here": _l("现场确认来过"),
    "call": _l("叫号"),
    "finish": _l("看完了"),
    "no_show": _l("没有报到，记为爽约"),
    "excuse": _l("免除爽约"),
}
"""What each verb of an event is called."""
ACTORS = {"account": _l("患者"), "browser": _l("患者"), "code": _l("患者（凭预约码）"), "system": _l("系统")}
GROUNDS = WISHES | {"desk_ticket": _l("现场凭证"), "appeal": _l("同意申诉")}
"""At whose wish a visit was changed, or on what ground a no-show was excused."""


def lines(events: Iterable[AppointmentEvent], names: Mapping[str, str], at: House) -> list[dict[str, Any]]:
    """Return the lines of a visit's history; `names` are those of the staff by their actors' ids."""
    return [
        {"when_label": at.moment(event.at), "text": _text(event), "actor": _actor(event, names)}
        for event in events
    ]


def _text(event: AppointmentEvent) -> str:
    done = str(VERBS.get(event.verb, event.verb))
    ground = GROUNDS.get(event.facts.get("by", "")) if event.actor_kind in ROLES else None
    if ground:
        done = _("%(done)s（%(ground)s）", done=done, ground=ground)
    if event.facts.get("from"):
        done = _("%(done)s，原来是%(when)s", done=done, when=_before(event.facts["from"]))
    # that a hold ran out is its verb; the note beside is for the log
    return f"{done}：{event.reason}" if event.reason and event.verb != "expire" else done


def _before(old: Mapping[str, str]) -> str:
    """The doctor and the time before a move, as the verb wrote them down."""
    day, at = date.fromisoformat(old["visit_date"]), time.fromisoformat(old["starts_local"])
    return " ".join(
        word for word in (old.get("doctor"), wording.when_long(day, at, old.get("part", ""))) if word
    )


def _actor(event: AppointmentEvent, names: Mapping[str, str]) -> str:
    role = ROLES.get(event.actor_kind)
    if role is None:
        return str(ACTORS.get(event.actor_kind, event.actor_kind))
    name = names.get(event.actor_id)
    return _("%(name)s（%(role)s）", name=name, role=role) if name else role
