"""How a session's numbers open: later waves, first come or by draw; its entries, and the result."""

from __future__ import annotations

import re
import uuid
from datetime import time, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.appointments.draw_entries import set_draw, unset_draw
from booking.appointments.draw_queries import draw_of_session, draw_view
from booking.clock import utc
from booking.desk import labels
from booking.desk.forms import narrow
from booking.desk.house import House, house
from booking.desk.schedule_forms import DrawForm, WavesForm
from booking.desk.session import can, hospital_id, me, staff_page
from booking.errors import NotFound, Refusal
from booking.refs import ref
from booking.schedule.desk_queries import SessionDetail, session_detail
from booking.schedule.openings import set_waves
from booking.schedule.releases import releases
from booking.schedule.waves import Wave, read_waves

blueprint = Blueprint("draws", __name__)

_WAVE = re.compile(r"(\d{1,3})%(?:提前)?(?:(\d{1,2})天前?|当天)(\d{1,2}):?(\d{2})")
DAY = timedelta(days=1)


@blueprint.route("/sessions/<uuid:session_id>/release", methods=["GET", "POST"])
@staff_page("read_schedule", post="change_session")
def release(session_id: uuid.UUID) -> ResponseReturnValue:
    """Show how a session's numbers open; on POST change its waves, let it be drawn, or let it sell first come again."""
    at, detail = house(), session_detail(hospital_id(), session_id)
    act = request.form.get("act")
    waves_form = WavesForm() if act == "waves" else WavesForm(formdata=None)
    draw_form = DrawForm() if act == "draw" else DrawForm(formdata=None)
    if request.method == "GET":
        _fill(waves_form, draw_form, detail, at)
        return _page(detail, at, waves_form, draw_form)
    if act not in ("waves", "draw", "first_come"):
        _fill(waves_form, draw_form, detail, at)
        unclear = {
            "text": _("没有收到要改什么，什么也没有改变。请重新选择后保存。"),
            "href": "",
            "more": None,
        }
        return _page(detail, at, waves_form, draw_form, [unclear]), 422
    mine = {"actor": me()}
    try:
        if act == "waves":
            waves = read_wave_lines(waves_form.waves.data, waves_form.mode.data)
            if not waves_form.validate():
                return _page(detail, at, waves_form, draw_form), 422
            set_waves(hospital_id(), session_id, **mine, waves=waves)
        elif act == "draw":
            if not draw_form.validate():
                return _page(detail, at, waves_form, draw_form), 422
            opens = utc(draw_form.entries_date.data, draw_form.entries_time.data, at.zone)
            set_draw(hospital_id(), session_id, **mine, entries_from=opens)
        else:
            unset_draw(hospital_id(), session_id, **mine)
    except NotFound:
        raise
    except Refusal as refusal:
        detail = session_detail(hospital_id(), session_id)
        found = labels.problems(refusal, waves_form if act == "waves" else draw_form)
        return _page(detail, at, waves_form, draw_form, found), refusal.status
    said = {"waves": _("放号批次已保存。"), "draw": _("已改为抽签放号。")}
    flash(said.get(act, _("已改为先到先得。")), "ok")
    return redirect(url_for("desk.draws.release", session_id=session_id), code=303)


def read_wave_lines(text: str | None, mode: str | None) -> list[Wave] | None:
    """Return the waves typed as 「30% 提前 1 天 20:00」, parts separated by 「；」 or lines; None for the hospital's rule.

    Raises BadInput for what cannot be read.
    """
    if mode != "own":
        return [] if mode == "once" else None
    stored: list[dict[str, Any]] = []
    for part in re.split(r"[;；\n]", text or ""):
        plain = re.sub(r"[\s,，:：]", lambda sign: ":" if sign[0] in ":：" else "", narrow(part))
        if not plain:
            continue
        found = _WAVE.fullmatch(plain)
        at = f"{int(found[3]):02d}:{found[4]}" if found else ""
        stored.append(
            {"percent": found[1], "days_before": found[2] or 0, "at": at} if found else {"percent": None}
        )
    return read_waves(stored)


def wave_words(waves: list[Wave]) -> str:
    """Return waves as they are typed."""
    return "；".join(
        f"{wave.percent}% "
        + (_("提前 %(n)s 天", n=wave.days_before) if wave.days_before else _("当天"))
        + f" {wave.at:%H:%M}"
        for wave in waves
    )


def _fill(waves_form: WavesForm, draw_form: DrawForm, detail: SessionDetail, at: House) -> None:
    row = detail.session
    waves_form.mode.data = "rule" if row.release_waves is None else "own" if row.release_waves else "once"
    waves_form.waves.data = wave_words(read_waves(row.release_waves))
    opens = at.wall(row.entries_from or row.release_at - DAY)
    draw_form.entries_date.data = opens.date()
    draw_form.entries_time.data = time(opens.hour, opens.minute)


def _page(
    detail: SessionDetail,
    at: House,
    waves_form: WavesForm,
    draw_form: DrawForm,
    problems: list[dict[str, Any]] | None = None,
) -> str:
    row = detail.session
    draw_id = draw_of_session(row.hospital_id, row.id)
    view = draw_view(row.hospital_id, draw_id, at.now) if draw_id and row.status != "draft" else None
    plan = releases(row.hospital_id, at.now, session_id=row.id)
    changeable = can("change_session") and row.status in ("draft", "published", "running")
    fixed = row.release_at <= at.now or (
        row.sale == "draw" and bool(row.entries_from and row.entries_from <= at.now)
    )
    return render_template(
        "staff/release.html",
        heading=f"{detail.practice.doctor}·{wording.weekday(row.local_date)}{detail.part}",
        date_label=wording.day_long(row.local_date),
        back_url=url_for("desk.sessions.edit", session_id=row.id),
        sale=row.sale,
        release_label=wording.moment(at.wall(row.release_at)),
        entries_label=wording.moment(at.wall(row.entries_from)) if row.entries_from else "",
        openings=[(wording.moment(at.wall(one.at)), one.places) for found in plan for one in found.openings],
        waves_form=waves_form if changeable and row.sale != "draw" else None,
        draw_form=draw_form if changeable and not fixed else None,
        draw=view,
        drawn_label=wording.moment(at.wall(view.drawn_at)) if view and view.drawn_at else "",
        public_url=f"/draw/{ref(row.hospital_id, draw_id)}" if view and draw_id else "",
        problems=problems or [],
    )
