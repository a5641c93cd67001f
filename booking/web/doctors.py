"""Doctors: the list with its filters, and a doctor's three pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import clock, wording
from booking.content.queries import answers_of
from booking.db import db
from booking.directory.policy import current_policy
from booking.directory.queries import choices, doctor_keys
from booking.directory.queries import doctor as doctor_of
from booking.directory.views import RANKS, Choices, DoctorCard, DoctorFilter, Key
from booking.errors import NotFound
from booking.schedule.open_slots import NextOpen, next_open
from booking.web import cards, day_page, lists
from booking.web.forms import FilterForm, chosen
from booking.web.inputs import day, line, row_id, whole
from booking.web.session import now

blueprint = Blueprint("doctors", __name__)

PAGE = 12
CONSIDERED = 300
"""A list by the soonest time looks at so many doctors, by rank: the database is asked for their times at once."""
TIMES_LOOKED_THROUGH = 40
HALVES = ("上午", "下午", "夜间")
DAYS_OFFERED = 8

Narrowed = dict[str, str]


@blueprint.get("/doctors")
def list_doctors() -> ResponseReturnValue:
    """Show the doctors that fit the filters, soonest first; with nobody left, name the filter that helps."""
    form = FilterForm(request.args)
    wanted = _wanted(form)
    page = whole(request.args.get("page"), most=1000)
    found = _found(wanted)
    pages = max(1, -(-len(found) // PAGE))
    hint, hint_url = ("", "") if found else _hint(wanted, form)
    return render_template(
        "web/doctors.html",
        crumbs=[
            {"name": _("首页"), "url": "/"},
            {"name": _("找医生"), "url": url_for("doctors.list_doctors")},
        ],
        total=len(found),
        form=form,
        filtered=any(value for name, value in wanted.items() if name != "sort"),
        clear_url=url_for("doctors.list_doctors"),
        doctors=found[(page - 1) * PAGE : page * PAGE],
        pager=lists.pager(page, pages, "doctors.list_doctors"),
        hint=hint,
        hint_url=hint_url,
    )


def _wanted(form: FilterForm) -> Narrowed:
    """Fill the filters with what there is to choose from, and return what was chosen."""
    offered: Choices = choices()
    anything = ("", _("不限"))
    today = clock.local(now(), lists.HOME_ZONE).date()
    ahead = [today + timedelta(days=step) for step in range(DAYS_OFFERED)]
    wanted = {
        "dept": chosen(form.dept, [anything, *offered.specialties]),
        "hospital": chosen(form.hospital, [anything, *offered.hospitals]),
        "date": chosen(form.date, [anything, *((one.isoformat(), wording.day_long(one)) for one in ahead)]),
        "half": chosen(form.half, [anything, *((one, one) for one in HALVES)]),
        "title": chosen(form.title, [anything, *((one, one) for one in RANKS)]),
        "sex": chosen(form.sex, [anything, ("f", _("女")), ("m", _("男"))]),
        "sort": chosen(form.sort, [("", _("最近能约的在前")), ("rank", _("职称高的在前"))]),
    }
    return wanted


def _found(wanted: Narrowed) -> list[cards.Card]:
    """Return the doctors that fit; with a date or a half day, those with a number there and then."""
    narrow = DoctorFilter(
        dept=wanted["dept"], hospital=wanted["hospital"], title=wanted["title"], sex=wanted["sex"]
    )
    keys = doctor_keys(narrow, limit=CONSIDERED)
    found = _there_and_then(keys, wanted) if wanted["date"] or wanted["half"] else cards.cards(keys)
    return found if wanted["sort"] == "rank" else cards.soonest(found)


def _there_and_then(keys: list[Key], wanted: Narrowed) -> list[cards.Card]:
    on, half = day(wanted["date"]), wanted["half"]
    rows = cards.doctor_cards(keys)
    fitting: dict[Key, NextOpen] = {}
    for key, found in next_open(keys, now(), limit=TIMES_LOOKED_THROUGH).items():
        slots = [s for s in found.slots if (not on or s.local_date == on) and (not half or s.part == half)]
        if slots:
            fitting[key] = NextOpen(
                slots[:3], "bookable", None, sum(s.left for s in slots if _same(s, slots[0]))
            )
    return [cards.card(rows[key], found) for key, found in fitting.items()]


def _same(one: Any, other: Any) -> bool:
    return bool(one.session_id == other.session_id)


def _hint(wanted: Narrowed, form: FilterForm) -> tuple[str, str]:
    """Name the one filter whose removal helps most, 「去掉“周六”后有 4 位。」, with the address without it."""
    best, words, address = 0, "", ""
    for name, value in wanted.items():
        if not value or name == "sort":
            continue
        count = len(_found(wanted | {name: ""}))
        if count > best:
            said = next(one.label for one in form[name].choices if one.value == value)
            best, words = count, _("去掉“%(what)s”后有 %(n)s 位。", what=said, n=count)
            kept: dict[str, Any] = {key: said for key, said in wanted.items() if said and key != name}
            address = url_for("doctors.list_doctors", **kept)
    return words, address


def _doctor(slug: str) -> DoctorCard:
    found = doctor_of(slug)
    if found is None:
        raise NotFound(_("没有找到这位医生，可能已不在这家医院出诊。"))
    return found


@blueprint.get("/d/<slug:doctor>")
def doctor(doctor: str) -> ResponseReturnValue:
    """Show a doctor's times on a day."""
    args = request.args
    answer = row_id(args.get("answer"))
    return day_page.times_page(
        _doctor(doctor), day_page.Chosen(day(args.get("date")), line(args.get("site")), answer)
    )


@blueprint.get("/d/<slug:doctor>/about")
def about(doctor: str) -> ResponseReturnValue:
    """Show a doctor's training and what is checked."""
    row = _doctor(doctor)
    own = day_page.own_card(row, current_policy(db.session(), row.hospital_id))
    licence = ""
    if row.verified_at:
        licence = _("执业证书编号已于 %(day)s 核对", day=lists.day_label(row.verified_at))
    training = [(_("经历"), row.training)] if row.training else []
    places = "；".join(f"{one.department}（{one.campus}）" for one in row.practices)
    return render_template(
        "web/doctor.html",
        crumbs=day_page.crumbs(row, own),
        doctor=own,
        tab="about",
        tabs=day_page.tabs(row, "about"),
        about=[text for text in row.about.splitlines() if text.strip()],
        training=[*training, (_("出诊"), places)],
        licence_label=licence,
        rules=[],
        same=day_page.same_department(row),
        changing=None,
        taken=None,
    )


@blueprint.get("/d/<slug:doctor>/answers")
def answers(doctor: str) -> ResponseReturnValue:
    """Show the questions a doctor has answered."""
    row = _doctor(doctor)
    own = day_page.own_card(row, current_policy(db.session(), row.hospital_id))
    page = whole(request.args.get("page"))
    found = answers_of(row.key, page=page)
    return render_template(
        "web/doctor.html",
        crumbs=day_page.crumbs(row, own),
        doctor=own,
        tab="answers",
        tabs=day_page.tabs(row, "answers"),
        answers=lists.question_rows(found.questions),
        pager=lists.pager(found.page, found.pages, "doctors.answers", doctor=row.slug),
        rules=[],
        same=day_page.same_department(row),
        changing=None,
        taken=None,
    )
