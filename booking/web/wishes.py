"""My wishes (候补): what the account waits for, accepting or declining an offer, leaving the list."""

from __future__ import annotations

import secrets
from datetime import date
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.answer_offer import accept_offer, decline_offer
from booking.appointments.queries import AppointmentView
from booking.appointments.wish_queries import WISH_STATUS, WishView, odds, wishes_by_code, wishes_of
from booking.appointments.wish_queries import wish as wish_of
from booking.appointments.wish_rules import NoSuchWish
from booking.appointments.wish_suits import passed_over
from booking.appointments.wishes import leave as leave_list
from booking.db import db
from booking.directory.policy import current_policy
from booking.errors import NotFound, Refusal
from booking.limits import limiter
from booking.refs import NO_SUCH_LINK, Key, parse_ref, ref
from booking.web import cards, passes
from booking.web.appointments import tabs
from booking.web.inputs import line
from booking.web.policy_words import waiting_lines
from booking.web.session import account_id, actor, browser, now, signed_in

blueprint = Blueprint("wishes", __name__)

TONES = {"waiting": "wait", "offered": "few", "served": "ok", "ended": "off"}
Problem = dict[str, Any]


@blueprint.get("/me/wishes")
@signed_in
def list_wishes() -> ResponseReturnValue:
    """Show what the account waits for, offers first, and what has ended."""
    mine = account_id() or 0
    return render_template(
        "web/wishes.html",
        tabs=tabs("wishes"),
        live=[_row(one) for one in wishes_of(mine)],
        over=[_row(one) for one in wishes_of(mine, ended=True, limit=20)],
    )


def _row(view: WishView) -> dict[str, Any]:
    note = _("第 %(n)s 位，等到 %(until)s", n=view.line, until=_until(view)) if view.line else _why_over(view)
    status, status_label = _status(view)
    if view.stopped:
        note = _stopped()
    if _standing(view):
        note = _("请在%(until)s 前确认，过时让给下一位", until=_accept_by(view))
    return {
        "url": url_for("wishes.wish", wish=view.ref),
        "title": _dates(view),
        "status_label": status_label,
        "tone": TONES[status],
        "who": "·".join(word for word in (_who(view), _("、").join(view.kinds)) if word),
        "patients": _("、").join(view.patients),
        "note": note,
    }


@blueprint.get("/me/wishes/<ref:wish>")
@signed_in
def wish(wish: Key) -> ResponseReturnValue:
    """Show one wish: the offer to accept or decline, or the place in line, the odds and what happens next."""
    return _wish_page(_own(wish), joined=bool(request.args.get("joined")))


@blueprint.get("/w/<slug:code>")
@limiter.limit("60/minute")
def link(code: str) -> ResponseReturnValue:
    """Lead the short link of a message to its wish, which asks to sign in first; changes nothing, however often it is opened."""
    found = wishes_by_code(code)
    if not found:
        raise NotFound(NO_SUCH_LINK)
    if len(found) > 1:  # two wishes of one moment: the list shows which is whose
        return redirect(url_for("wishes.list_wishes"), code=303)
    return redirect(url_for("wishes.wish", wish=found[0]), code=303)


@blueprint.post("/me/wishes/<ref:wish>/accept")
@signed_in
@limiter.limit("30/minute", key_func=browser)
def accept(wish: Key) -> ResponseReturnValue:
    """Accept the offer that was shown; leads to the booked visit, of a pair to the list of both."""
    view, offer = _own(wish), parse_ref(line(request.form.get("offer")))
    _ensure_its(offer, wish)
    referral = line(request.form.get("referral"), 120)
    key = line(request.form.get("request_key"), 80) or None
    try:
        booked = accept_offer(*offer, actor=actor(), referral=referral, key=key)
    except Refusal as refusal:
        if refusal.status == 404:
            raise
        view, text = _own(wish), refusal.text
        if view.line and not _standing(view):
            text = _("%(what)s你仍在候补，%(line)s。", what=text, line=_ahead(view))
        return _wish_page(view, [{"text": text, "href": "", "more": None}]), refusal.status
    if len(booked) > 1:
        flash(_("两位都约好了，短信里有各自的预约码。"), "ok")
        return redirect(url_for("appointments.list_appointments"), code=303)
    return redirect(url_for("appointments.detail", appointment=ref(booked[0]), done="booked"), code=303)


@blueprint.post("/me/wishes/<ref:wish>/decline")
@signed_in
def decline(wish: Key) -> ResponseReturnValue:
    """Let the offer go to the next in line; a repeat changes nothing."""
    _own(wish)
    offer = parse_ref(line(request.form.get("offer")))
    _ensure_its(offer, wish)
    decline_offer(*offer, actor=actor())
    view = _own(wish)
    if view.line:
        flash(_("已让给下一位。你仍在候补，%(line)s。", line=_ahead(view)), "ok")
    return redirect(url_for("wishes.wish", wish=view.ref), code=303)


@blueprint.post("/me/wishes/<ref:wish>/leave")
@signed_in
def leave(wish: Key) -> ResponseReturnValue:
    """Leave the waiting list; a repeat changes nothing."""
    _own(wish)
    if leave_list(*wish, actor=actor()).status == "served":
        flash(_("已经约到了，候补没有改变。不去了请取消那个预约。"), "soon")
    else:
        flash(_("已退出候补。"), "ok")
    return redirect(url_for("wishes.list_wishes"), code=303)


def _own(wish: Key) -> WishView:
    """Return the signed-in account's wish; anybody else's is not found."""
    view = wish_of(*wish)
    if view is None or view.account_id != account_id():
        raise NoSuchWish()
    return view


def _ensure_its(offer: Key, wish: Key) -> None:
    if offer[0] != wish[0]:
        raise NoSuchWish()


def _wish_page(view: WishView, problems: list[Problem] | None = None, *, joined: bool = False) -> str:
    policy = current_policy(db.session(), view.hospital_id)
    live = view.status in ("waiting", "offered")
    until = view.accept_by
    standing = _standing(view)
    status, status_label = _status(view)
    return render_template(
        "web/wish.html",
        back_url=url_for("wishes.list_wishes"),
        joined=joined and status == "waiting",
        status=status,
        status_label=status_label,
        tone=TONES[status],
        live=live,
        offers=[passes.ticket(one, now(), owner=True) for one in standing],
        offer_ref=standing[0].ref if standing else "",
        accept_until=_accept_by(view) if standing else "",
        accept_left=wording.duration((until - now()).total_seconds()) if standing and until else "",
        accept_url=url_for("wishes.accept", wish=view.ref),
        decline_url=url_for("wishes.decline", wish=view.ref),
        leave_url=url_for("wishes.leave", wish=view.ref) if live else "",
        needs_referral=view.needs_referral,
        request_key=secrets.token_hex(16),
        keeps_turn=view.turns_kept > 0,
        line=view.line,
        ahead=_ahead(view) if view.line else "",
        odds=_odds(view) if status == "waiting" and not view.stopped else "",
        facts=_facts(view),
        over=_why_over(view) if not live else _stopped() if view.stopped and not standing else "",
        again_url=cards.address(view.doctor_slug),
        doctor=view.doctor,
        passed_over=_passed_over(view) if live and not standing else [],
        rules=waiting_lines(policy) if live and not standing and not view.stopped else [],
        phone=view.hospital_phone,
        problems=problems or [],
    )


def _passed_over(view: WishView) -> list[str]:
    return [one.text for one in passed_over(view.hospital_id, view.id)]


def _standing(view: WishView) -> list[AppointmentView]:
    """Return the offers that may still be accepted; one that has run out may not have been tidied away yet."""
    return [one for one in view.offers if one.held_until and one.held_until > now()]


def _status(view: WishView) -> tuple[str, str]:
    """Return the state with its name; with its offer run out a wish waits, also before that was tidied away."""
    if view.status == "offered" and not _standing(view):
        return "waiting", WISH_STATUS["waiting"]
    return view.status, view.status_name


def _stopped() -> str:
    return _("这个班次已停诊，现在没有别的号可以等。恢复出诊时，会按原来的名次再问你；要早点看病请另约时间")


def _facts(view: WishView) -> list[tuple[str, str]]:
    doctors, departments = _("、").join(view.doctors), _("、").join(view.departments)
    return [
        (_("医生"), f"{doctors}（{view.department}）" if doctors else ""),
        (_("科室"), _("%(dept)s的医生都可以", dept=departments) if departments else ""),
        (_("医院"), view.hospital + (f"，{_('、').join(view.campuses)}" if view.campuses else "")),
        (_("日期"), f"{_dates(view)} {_('、').join(view.parts)}".strip()),
        (_("号别"), _("、").join(view.kinds)),
        (_("就诊人"), _("、").join(view.patients) + (_("（两位一起）") if view.party > 1 else "")),
        (_("候补到"), _until(view)),
    ]


def _odds(view: WishView) -> str:
    """The honest odds: counted from the hospital's own history, or that they are not known."""
    found = odds(view)
    if not found.is_known:
        return _("还没有足够的记录，说不准")
    return _(
        "过去半年排在差不多位置的 %(known)s 人里，%(served)s 人等到了",
        known=found.known,
        served=found.served,
    )


def _ahead(view: WishView) -> str:
    ahead = view.line - 1
    return _("前面还有 %(n)s 人", n=ahead) if ahead > 0 else _("排在最前面")


def _who(view: WishView) -> str:
    """Return whose sessions are waited for: 「沈知微·心血管内科」, 「沈知微、呼吸内科的医生」."""
    doctors = _("、").join(view.doctors)
    if not view.departments:
        return f"{doctors}·{view.department}"
    departments = _("%(dept)s的医生", dept=_("、").join(view.departments))
    return _("、").join(word for word in (doctors, departments) if word)


def _dates(view: WishView) -> str:
    if view.first_date == view.last_date:
        return wording.day_long(view.first_date)
    first, last = wording.day_short(view.first_date), wording.day_short(view.last_date)
    return _("%(first)s到 %(last)s", first=first, last=last)


def _until(view: WishView) -> str:
    return wording.moment(clock.local(view.ends_at, view.zone))


def _accept_by(view: WishView) -> str:
    """Return 「今天 10:12」 with the blank that stands before a digit."""
    at = view.accept_by or now()
    said = wording.moment_near(clock.local(at, view.zone), _today(view))
    return f" {said}" if said[:1].isdigit() else said


def _today(view: WishView) -> date:
    return clock.local(now(), view.zone).date()


def _why_over(view: WishView) -> str:
    return {
        "accepted": _("已约到，见我的预约"),
        "booked": _("已经约到了，候补自动结束"),
        "left": _("你退出了候补"),
        "rule": _("已到截止时间，没有等到号"),
    }.get(view.end_reason, _("候补已结束"))
