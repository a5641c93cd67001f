"""The week: doctors by seven days, a position for every part of the day in use, and the editor beside it."""

from __future__ import annotations

import re
import uuid

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.desk import editor, grid
from booking.desk.grid import Shown
from booking.desk.house import House, house
from booking.desk.session import can, hospital_id, me, own_path, staff_page
from booking.schedule import desk_queries
from booking.schedule.publish import publish as publish_sessions

blueprint = Blueprint("week", __name__)


@blueprint.get("/week")
@staff_page("read_schedule")
def week() -> ResponseReturnValue:
    """Show one week of the hospital, of a department, of a campus; `session` opens that session beside it."""
    at, shown = house(), grid.read_shown(house())
    found = desk_queries.week(hospital_id(), shown.monday, department_id=shown.dept, campus_id=shown.site)
    rows = grid.rows(found, shown, at, can_edit=can("change_session"))
    drafts = grid.drafts(found)
    panel = None
    if shown.session:
        detail = desk_queries.session_detail(hospital_id(), shown.session)
        panel = editor.of_session(detail, at, back=shown.url(session=None))
    return render_template(
        "staff/week.html",
        week=grid.week_head(shown, at),
        filters=_filters(shown, at),
        hidden={"w": grid.week_name(shown.monday), "day": shown.day.isoformat()},
        days=grid.days(shown, hospital_id(), at),
        rows=rows,
        department_name=at.departments.get(shown.dept, "") if shown.dept else "",
        sums=grid.sums(found),
        alerts=[],
        drafts=len(drafts) if can("publish") else 0,
        draft_ids=" ".join(one.hex for one in drafts),
        here=shown.url(),
        publish_url=url_for("desk.week.publish"),
        template_url=url_for("desk.templates.apply", first=shown.monday.isoformat())
        if can("apply_template")
        else "",
        panel=panel.view if panel else None,
        form=panel.form if panel else None,
        problems=[],
        last_change=panel.view["last_change"] if panel else None,
    )


@blueprint.post("/week/publish")
@staff_page("publish")
def publish() -> ResponseReturnValue:
    """Publish the drafts that the page showed; what was published meanwhile is left as it is."""
    ids = [uuid.UUID(text) for text in re.findall(r"\b[0-9a-f]{32}\b", request.form.get("drafts", ""))]
    count = publish_sessions(hospital_id(), ids, actor=me()) if ids else 0
    if count:
        flash(_("已发布 %(n)s 个班次，到放号时间患者就能约。", n=count), "ok")
    else:
        flash(_("没有可以发布的草稿，可能已有人发布过了。"), "soon")
    return redirect(own_path(request.form.get("back"), url_for("desk.week.week")), code=303)


def _filters(shown: Shown, at: House) -> list[dict[str, object]]:
    every = [("", _("全部"))]
    picks: list[dict[str, object]] = [
        {
            "id": "f-dept",
            "name": "dept",
            "label": _("科室"),
            "options": every + [(str(key), name) for key, name in at.departments.items()],
            "value": shown.dept or "",
        }
    ]
    if len(at.campuses) > 1:
        picks.append(
            {
                "id": "f-site",
                "name": "site",
                "label": _("院区"),
                "options": every + [(str(key), name) for key, name in at.campuses.items()],
                "value": shown.site or "",
            }
        )
    return picks
