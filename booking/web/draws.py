"""A draw: what it is, entering and withdrawing, the result and the file that anybody can check."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.draw_entries import enter as enter_draw
from booking.appointments.draw_entries import withdraw as withdraw_entry
from booking.appointments.draw_queries import DrawView, EntryView, draw_view, entries_of, public_file
from booking.directory.queries import doctor
from booking.errors import NotFound, Refusal
from booking.limits import limiter
from booking.people.queries import PatientView, patients_of
from booking.refs import Key, ref
from booking.web import cards
from booking.web.forms import DrawForm, offered
from booking.web.inputs import line, row_id
from booking.web.session import account_id, actor, browser, now, signed_in

blueprint = Blueprint("draws", __name__)

ANY = "any"
Problem = dict[str, Any]


@blueprint.get("/draw/<ref:draw>")
def show(draw: Key) -> ResponseReturnValue:
    """Show a draw as it stands, with the account's own entries."""
    view = draw_view(*draw, now())
    return _page(view, _form(view))


@blueprint.post("/draw/<ref:draw>/enter")
@limiter.limit("20/minute", key_func=browser)
@signed_in
def enter(draw: Key) -> ResponseReturnValue:
    """Enter one of the account's patients; the same again changes the wished times."""
    view = draw_view(*draw, now())
    form = _form(view)
    if not form.validate():
        return _page(view, form), 422
    try:
        enter_draw(*draw, actor=actor(), patient_id=int(form.patient.data), wishes=_wishes(view, form))
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(draw_view(*draw, now()), form, [_problem(refusal, draw)]), refusal.status
    flash(_("报名成功。到点自动抽签，结果发短信，不用守着。"), "ok")
    return redirect(url_for("draws.show", draw=draw), code=303)


@blueprint.post("/draw/<ref:draw>/withdraw")
@signed_in
def withdraw(draw: Key) -> ResponseReturnValue:
    """Take an entry back; a repeat changes nothing."""
    try:
        withdraw_entry(*draw, actor=actor(), patient_id=row_id(request.form.get("patient")) or 0)
    except NotFound:
        raise
    except Refusal as refusal:
        view = draw_view(*draw, now())
        return _page(view, _form(view), [_problem(refusal, draw)]), refusal.status
    flash(_("已撤回报名。抽签前还可以再报。"), "ok")
    return redirect(url_for("draws.show", draw=draw), code=303)


@blueprint.get("/draw/<ref:draw>.json")
@limiter.limit("60/minute")
def file(draw: Key) -> ResponseReturnValue:
    """Return the published file; what it says after the draw never changes."""
    view = draw_view(*draw, now())
    answer = jsonify(public_file(view))
    answer.cache_control.public = True
    answer.cache_control.max_age = 3600 if view.state == "drawn" else 15
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    answer.set_etag(hashlib.sha256(answer.get_data()).hexdigest()[:32])
    answer.make_conditional(request)
    return answer


def _problem(refusal: Refusal, draw: Key) -> Problem:
    more = None
    if "patient_id" in refusal.facts:
        url = url_for(
            "patients.change", patient=refusal.facts["patient_id"], next=url_for("draws.show", draw=draw)
        )
        more = {"text": _("去补证件"), "url": url}
    return {"text": refusal.text, "href": "#patient-0", "more": more}


def _people() -> list[PatientView]:
    person = account_id()
    return patients_of(person, now()) if person else []


def _form(view: DrawView) -> DrawForm:
    form = DrawForm() if request.method == "POST" else DrawForm(formdata=None)
    people = _people()
    form.patient.choices = offered(
        (str(one.id), _("%(name)s（%(relation)s）", name=one.masked_name, relation=one.relation_name))
        for one in people
    )
    times = [(slot_id.hex, wording.clock(starts)) for slot_id, starts, places in view.slots if places]
    form.first.choices = offered([(ANY, _("都可以")), *times])
    if request.method == "GET":
        waiting = [one for one in people if one.id not in _entered(view)] or people
        form.patient.data = str(waiting[0].id) if waiting else None
        form.first.data, form.others.data = ANY, True
    return form


def _entered(view: DrawView) -> set[int]:
    """The patients of this account that take part at present."""
    person = account_id()
    mine = entries_of(view.hospital_id, view.id, person) if person else []
    return {one.patient_id for one in mine if one.status != "withdrawn"}


def _wishes(view: DrawView, form: DrawForm) -> list[uuid.UUID]:
    """The wished slots in order: the first one, then the others when they are welcome too; none means any."""
    if line(form.first.data) == ANY:
        return []
    first = uuid.UUID(form.first.data)
    others = [slot_id for slot_id, _starts, _places in view.slots if slot_id != first]
    return [first, *(others if form.others.data else [])]


def _page(view: DrawView, form: DrawForm, problems: list[Problem] | None = None) -> str:
    person = account_id()
    people = _people()
    mine = entries_of(view.hospital_id, view.id, person) if person else []
    key = (view.hospital_id, view.id)
    row = doctor(view.doctor_slug)
    # a doctor who has left has no page of their own; the draw keeps its page
    back = cards.address(view.doctor_slug, view.visit_date) if row else url_for("doctors.list_doctors")
    tokens = {one.token for one in mine}
    listed = public_file(view)["entries"] if view.state == "drawn" else []
    return render_template(
        "web/draw.html",
        d={
            "state": view.state,
            "heading": _heading(view, mine),
            "lede": _lede(view, mine),
            "doctor": cards.card(row, None) if row else None,
            "doctor_name": view.doctor,
            "session_label": f"{wording.day_long(view.visit_date)} {view.part}",
            "place": " ".join(one for one in (view.hospital, view.campus, view.room) if one),
            "entries_label": _("%(from)s 起", **{"from": _moment(view, view.entries_from)}),
            "draws_label": _moment(view, view.draws_at),
            "entries": view.entries,
            "places": view.places,
            "commitment": view.commitment,
            "seed": view.seed,
            "list_digest": view.list_digest,
            "file_url": url_for("draws.file", draw=key),
            "enter_url": url_for("draws.enter", draw=key),
            "withdraw_url": url_for("draws.withdraw", draw=key),
            "remind_url": url_for("releases.reminder", session=(view.hospital_id, view.session_id)),
            "back_url": back,
            "others_url": cards.department_url(row) if row else url_for("doctors.list_doctors"),
        },
        mine=[_mine(one, view) for one in mine if one.status != "withdrawn" or view.state == "open"],
        form=form if person and people else None,
        notes={str(one.id): _("证件尾号 %(t)s", t=one.id_tail) for one in people if one.id_tail},
        problems=problems or [],
        signed_in=person is not None,
        no_patients=not people,
        all_in=bool(people) and all(one.id in _entered(view) for one in people),
        login_url=url_for("login.login", next=url_for("draws.show", draw=key)),
        add_patient_url=url_for("patients.add", next=url_for("draws.show", draw=key)),
        list=[one | {"mine": one["token"] in tokens} for one in listed],
    )


def _moment(view: DrawView, at: Any) -> str:
    return wording.moment(clock.local(at, view.zone))


def _heading(view: DrawView, mine: list[EntryView]) -> str:
    if view.state == "drawn" and any(one.status == "won" for one in mine):
        return _("抽中了")
    if view.state == "drawn" and any(one.status == "lost" for one in mine):
        return _("这次没有抽中")
    return {
        "before": _("抽签放号，还没开始报名"),
        "open": _("正在报名抽签"),
        "closed": _("报名已截止，正在抽签"),
        "drawing": _("正在抽签"),
        "drawn": _("抽签结果"),
        "off": _("抽签已取消"),
    }[view.state]


def _lede(view: DrawView, mine: list[EntryView]) -> str:
    today = clock.local(now(), view.zone).date()
    draws = wording.opening(clock.local(view.draws_at, view.zone), today)
    entries = wording.opening(clock.local(view.entries_from, view.zone), today)
    if view.state == "drawn":
        if any(one.status == "won" for one in mine):
            return _("已为你约好，短信也发了。来不了请按时取消，把号留给别人。")
        if any(one.status == "lost" for one in mine):
            return _("很抱歉。没有抽中不影响下次，剩下的号和别的时间现在就可以直接约。")
        return _("%(entries)s 人报名，%(won)s 人抽中。", entries=view.entries, won=view.winners)
    return {
        "before": _(
            "%(entries)s 起报名，%(draws)s 抽签。先报后报机会一样，不用抢。", entries=entries, draws=draws
        ),
        "open": _("先报后报机会一样，不用抢。%(draws)s 抽签，结果发短信。", draws=draws),
        "closed": _("一般一分钟内出结果，也会发短信，不用守着。"),
        "drawing": _("一般一分钟内出结果，也会发短信，不用守着。"),
        "off": _("这个班次不再抽签。报过名的人已经发短信告知，不影响下次。"),
    }[view.state]


def _mine(one: EntryView, view: DrawView) -> dict[str, Any]:
    label, tone = {
        "entered": (_("已报名"), "ok"),
        "withdrawn": (_("已撤回"), "off"),
        "won": (_("抽中 %(time)s", time=wording.clock(one.slot)) if one.slot else _("抽中"), "ok"),
        "lost": (_("没有抽中"), "wait"),
    }[one.status]
    return {
        "name": one.masked_name,
        "patient": one.patient_id,
        "token": one.token,
        "status": one.status,
        "status_label": label,
        "tone": tone,
        "wishes": "、".join(wording.clock(at) for at in one.wishes) or _("都可以"),
        "rank": one.rank if view.state == "drawn" else None,
        "closed": "、".join(one.refused) if one.status == "lost" else "",
        "visit_url": url_for("appointments.detail", appointment=ref(view.hospital_id, one.appointment_id))
        if one.appointment_id
        else "",
    }
