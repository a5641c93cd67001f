"""Who waits for a session (候补), as the desk sees it: how many, in which order, who is being asked; and answering for them."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import wording
from booking.appointments.answer_offer import accept_offer, decline_offer
from booking.appointments.queries import AppointmentView
from booking.appointments.rules import KeyReused
from booking.appointments.wish_queries import Waiting, WishView, waiting_list
from booking.appointments.wish_queries import wish as wish_of
from booking.appointments.wish_rules import NoSuchWish, OfferOver
from booking.appointments.wishes import leave as leave_list
from booking.desk import labels
from booking.desk.booking_forms import OfferForm
from booking.desk.grid import read_id
from booking.desk.house import House, house
from booking.desk.session import can, hospital_id, me, staff_page
from booking.errors import NotFound, Refusal
from booking.people.rules import mask_phone
from booking.schedule.desk_queries import session_detail
from booking.schedule.wanted import LIVE_WISH, Wish

blueprint = Blueprint("waiting", __name__)


@blueprint.get("/sessions/<uuid:session_id>/waiting")
@staff_page("read_schedule")
def waiting(session_id: uuid.UUID) -> ResponseReturnValue:
    """Show the waiting list of a session in the order in which people are asked; names masked."""
    return _page(session_id)


@blueprint.route("/sessions/<uuid:session_id>/waiting/<uuid:wish_id>/accept", methods=["GET", "POST"])
@staff_page("accept_offer")
def accept(session_id: uuid.UUID, wish_id: uuid.UUID) -> ResponseReturnValue:
    """Show what is offered, to be read out to whoever rings; a POST books it and leads to the code to read out."""
    form = OfferForm()
    if request.method == "GET":
        view = _view(wish_id)
        standing = _standing(view)
        form.key.data, form.offer.data = secrets.token_hex(16), standing[0].id.hex if standing else ""
        return _accept_page(session_id, view, form)
    if not form.validate_on_submit():
        return _accept_page(session_id, _view(wish_id), form), 422
    offer = _offer(form)
    try:
        booked = accept_offer(
            hospital_id(),
            offer,
            actor=me(),
            referral=form.referral.data or "",
            key=form.key.data or None,
        )
    except NotFound:
        raise
    except Refusal as refusal:
        if isinstance(refusal, KeyReused):
            form.key.data = secrets.token_hex(16)  # what is shown now is another request
        return _accept_page(session_id, _view(wish_id), form, labels.problems(refusal)), refusal.status
    if len(booked) > 1:
        flash(_("两位都约好了，短信里有各自的预约码。"), "ok")
        return redirect(_list_url(session_id), code=303)
    return redirect(url_for("desk.booking.done", appointment_id=booked[0].id), code=303)


@blueprint.post("/sessions/<uuid:session_id>/waiting/<uuid:wish_id>/decline")
@staff_page("decline_offer")
def decline(session_id: uuid.UUID, wish_id: uuid.UUID) -> ResponseReturnValue:
    """Let the offer go to the next in line for whoever rings; a repeat changes nothing."""
    form = OfferForm()
    if not form.validate_on_submit():
        raise NoSuchWish()
    _view(wish_id)
    left = decline_offer(hospital_id(), _offer(form), actor=me())
    if left.status in LIVE_WISH:
        flash(_("已让给下一位，这位患者仍在候补。"), "ok")
    else:
        flash(_nothing_changed(left), "soon")
    return redirect(_list_url(session_id), code=303)


@blueprint.post("/sessions/<uuid:session_id>/waiting/<uuid:wish_id>/leave")
@staff_page("leave_wish")
def leave(session_id: uuid.UUID, wish_id: uuid.UUID) -> ResponseReturnValue:
    """Leave the waiting list for whoever rings; a repeat changes nothing."""
    left = leave_list(hospital_id(), wish_id, actor=me())
    if left.status == "served":
        flash(_nothing_changed(left), "soon")
    else:
        flash(_("已替患者退出候补。"), "ok")
    return redirect(_list_url(session_id), code=303)


def _nothing_changed(wish: Wish) -> str:
    if wish.status == "served":
        return _("这位患者刚才已经约到了，候补没有改变。不来了请在预约里取消。")
    return _("这个候补已经结束，没有改变。")


def _view(wish_id: uuid.UUID) -> WishView:
    found = wish_of(hospital_id(), wish_id)
    if found is None:
        raise NoSuchWish()
    return found


def _offer(form: OfferForm) -> uuid.UUID:
    offer = read_id(form.offer.data)
    if offer is None:
        raise NoSuchWish()
    return offer


def _standing(view: WishView) -> list[AppointmentView]:
    at = house()
    return [one for one in view.offers if one.held_until and one.held_until > at.now]


def _list_url(session_id: uuid.UUID) -> str:
    return url_for("desk.waiting.waiting", session_id=session_id)


# --- what the pages show ---------------------------------------------------------------------------------------------


def _page(session_id: uuid.UUID) -> str:
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
        rows=[_row(row, session_id, at) for row in rows],
        may_answer=can("accept_offer"),
        back_url=url_for("desk.sessions.edit", session_id=session_id),
    )


def _row(row: Waiting, session_id: uuid.UUID, at: House) -> dict[str, object]:
    told = _("请在 %(until)s 前确认", until=at.moment(row.accept_by)) if row.accept_by else ""
    own: dict[str, Any] = {"session_id": session_id, "wish_id": row.id}
    offered = row.offer_id is not None and can("accept_offer")
    return {
        "line": row.line,
        "patients": _("、").join(row.patients),
        "pair": len(row.patients) > 1,
        "phone": row.phone if can("accept_offer") else "",
        "joined": at.moment(row.joined_at),
        "wants": _wants(row),
        "status_label": row.status_name,
        "tone": "few" if row.status == "offered" else "wait",
        "note": told or ("" if row.turns_kept else _("名次已保留过一次")),
        "offer": row.offer_id.hex if row.offer_id else "",
        "accept_url": url_for("desk.waiting.accept", **own) if offered else "",
        "decline_url": url_for("desk.waiting.decline", **own) if offered else "",
        "leave_url": url_for("desk.waiting.leave", **own) if can("leave_wish") else "",
    }


def _wants(row: Waiting) -> str:
    """Return what they wait for: 「12 月 3 日 周四，沈知微、呼吸内科的医生，上午，普通门诊」."""
    asked = row.choices
    days = wording.day_long(row.first_date)
    if row.last_date != row.first_date:
        days = _(
            "%(first)s到 %(last)s",
            first=wording.day_short(row.first_date),
            last=wording.day_short(row.last_date),
        )
    departments = _("%(dept)s的医生", dept=_("、").join(asked.departments)) if asked.departments else ""
    who = _("、").join(word for word in (*asked.doctors, departments) if word)
    rest = (_("、").join(names) for names in (asked.parts, asked.campuses, asked.kinds))
    return "，".join(word for word in (days, who, *rest) if word)


def _accept_page(
    session_id: uuid.UUID, view: WishView, form: OfferForm, problems: list[dict[str, Any]] | None = None
) -> str:
    at, standing = house(), _standing(view)
    if problems and form.offer.data not in {one.id.hex for one in standing}:
        standing = []  # another offer by now: it was not this one that was read out
    over = ""
    if not standing and not problems:
        over = _("已约到") if view.status == "served" else OfferOver().text
    return render_template(
        "staff/waiting_accept.html",
        form=form,
        problems=problems or [],
        offers=[_shown(one) for one in standing],
        until=at.moment(view.accept_by) if standing else "",
        needs_referral=view.needs_referral,
        over=over,
        back_url=_list_url(session_id),
    )


def _shown(a: AppointmentView) -> list[tuple[str, str]]:
    who = [a.patient_name, _("女") if a.patient_sex == "f" else _("男")]
    if a.patient_age is not None:
        who.append(_("%(n)s 岁", n=a.patient_age))
    phone = a.patient_phone or a.booker_phone
    return [
        (_("患者"), "，".join(who)),
        (_("证件尾号"), a.id_tail),
        (_("手机"), mask_phone(phone) if phone else ""),
        (_("时间"), wording.when_long(a.visit_date, a.starts_local, a.part)),
        (_("医生"), f"{a.doctor} {a.doctor_title}".strip()),
        (_("地点"), "，".join(word for word in (a.campus, a.department, a.room) if word)),
        (_("费用"), f"{a.fee_name} {wording.fee(a.fee_cents)}" if a.fee_cents else ""),
    ]
