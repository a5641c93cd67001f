"""A doctor's own sessions of a week: read only, with how many have booked."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.desk import grid
from booking.desk.grid import Shown, read_week, week_name
from booking.desk.house import House, house
from booking.desk.session import hospital_id, me, staff_page
from booking.schedule.desk_queries import Unit, units

blueprint = Blueprint("mine", __name__)


@blueprint.get("/mine")
@staff_page("read_own_schedule")
def mine() -> ResponseReturnValue:
    """List the signed-in doctor's sessions of a week; drafts are not theirs to see yet."""
    at, doctor_id = house(), me().doctor_id
    monday = read_week(request.args.get("w"), at.today)
    shown = Shown(monday, monday)
    found: list[Unit] = []
    if doctor_id:
        found = units(
            hospital_id(),
            shown.monday,
            shown.sunday,
            doctor_id=uuid.UUID(doctor_id),
            statuses=("published", "running", "finished", "stopped"),
        )
    week = grid.week_head(shown, at)
    for name, day in (("prev_url", -7), ("next_url", 7)):
        week[name] = url_for("desk.mine.mine", w=week_name(monday + timedelta(days=day)))
    week["this_url"] = url_for("desk.mine.mine")
    return render_template(
        "staff/mine.html",
        week=week,
        is_doctor=bool(doctor_id),
        days=[
            {
                "label": wording.day_long(day),
                "today": day == at.today,
                "rows": [_row(one, at) for one in there],
            }
            for day in shown.dates
            if (there := [one for one in found if one.local_date == day])
        ],
    )


def _row(unit: Unit, at: House) -> dict[str, Any]:
    kind, told = grid.state_of(unit, at)
    tones = {"stop": "stop", "now": "brand", "full": "wait"}
    return {
        "part": unit.part,
        "hours": f"{wording.clock(unit.starts_local)}–{wording.clock(unit.ends_local)}",
        "place": "·".join(word for word in (unit.campus, unit.room) if word),
        "kind": unit.kind,
        "taken": unit.taken,
        "capacity": unit.capacity,
        "stopped": kind == "stop",
        "state": _("停诊") if kind == "stop" else told or (_("已结束") if kind == "past" else _("可预约")),
        "tone": tones.get(kind, "ok" if kind == "open" else ""),
        "note": unit.stop_reason if kind == "stop" else "",
    }
