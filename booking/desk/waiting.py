"""Who waits for a session (候补), as the desk sees it: how many, in which order, who is being asked."""

from __future__ import annotations

import uuid

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.appointments.wish_queries import Waiting, waiting_list
from booking.desk.house import House, house
from booking.desk.session import hospital_id, staff_page
from booking.schedule.desk_queries import session_detail

blueprint = Blueprint("waiting", __name__)


@blueprint.get("/sessions/<uuid:session_id>/waiting")
@staff_page("read_schedule")
def waiting(session_id: uuid.UUID) -> ResponseReturnValue:
    """Show the waiting list of a session in the order in which people are asked; names masked."""
    at, detail = house(), session_detail(hospital_id(), session_id)
    rows, clinic = waiting_list(hospital_id(), session_id), detail.session
    oldest = min((row.joined_at for row in rows), default=None)
    return render_template(
        "staff/waiting.html",
        title=_("候补名单"),
        notes=[
            f"{detail.practice.doctor}·{wording.day_long(clinic.local_date)} {detail.part}",
            _("已约 %(taken)s，共 %(all)s 号", taken=detail.taken, all=detail.capacity),
        ],
        sums=[
            {"label": _("在等"), "value": len(rows), "tone": "wait" if rows else ""},
            {
                "label": _("正在问"),
                "value": sum(row.status == "offered" for row in rows),
                "tone": "",
            },
            {"label": _("最早登记"), "value": at.moment(oldest) or "–", "tone": ""},
        ],
        rows=[_row(row, at) for row in rows],
        back_url=url_for("desk.sessions.edit", session_id=session_id),
    )


def _row(row: Waiting, at: House) -> dict[str, object]:
    told = _("请在 %(until)s 前确认", until=at.moment(row.accept_by)) if row.accept_by else ""
    return {
        "line": row.line,
        "patients": _("、").join(row.patients),
        "pair": len(row.patients) > 1,
        "joined": at.moment(row.joined_at),
        "status_label": row.status_name,
        "tone": "few" if row.status == "offered" else "wait",
        "note": told or ("" if row.turns_kept else _("名次已保留过一次")),
    }
