"""The page for somebody who comes before the numbers are open: when, what to prepare, a reminder. Never a bare error."""

from __future__ import annotations

from typing import Any

from flask import current_app, render_template, url_for
from flask.wrappers import Response
from flask_babel import gettext as _

from booking import clock, wording
from booking.appointments.draw_queries import draw_of_session
from booking.appointments.draw_rules import DrawFirst
from booking.appointments.facts import SlotFacts, slot_facts
from booking.db import db
from booking.directory.queries import doctor_cards
from booking.errors import Refusal
from booking.people.queries import PatientView, patients_of
from booking.refs import Key
from booking.schedule.coming import slot_opens
from booking.web import cards
from booking.web.session import account_id, now


def early(slot: Key, refusal: Refusal) -> Response:
    """Return the page with the refusal's status and Retry-After: the seconds until it makes sense to come again."""
    facts = slot_facts(db.session(), *slot)
    clinic = facts.clinic
    drawn = isinstance(refusal, DrawFirst)
    draw_id = draw_of_session(slot[0], clinic.id) if drawn else None
    answer = current_app.make_response(
        (
            page(
                facts,
                text=[refusal.text] if drawn else _texts(),
                draw_url=url_for("draws.show", draw=(slot[0], draw_id)) if draw_id else "",
                drawn=drawn,
            ),
            refusal.status,
        )
    )
    opens = clinic.entries_from if drawn and clinic.entries_from and clinic.entries_from > now() else None
    answer.headers["Retry-After"] = in_seconds(((opens or clinic.release_at) - now()).total_seconds())
    return answer


def in_seconds(left: float) -> str:
    """Return the Retry-After of something that comes in `left` seconds."""
    return str(max(1, -int(-left // 1)))


def for_everybody(facts: SlotFacts, signed_in: bool) -> str:
    """Return the page without a word about whoever asks, to be drawn once for a crowd."""
    return page(facts, text=_texts(), me=signed_in, ready=_steps(_back(facts), signed_in, None))


def page(
    facts: SlotFacts,
    *,
    text: list[str],
    draw_url: str = "",
    drawn: bool = False,
    ready: list[dict[str, object]] | None = None,
    **more: Any,
) -> str:
    """Return the page of a session that does not sell yet; `ready` is what this person has prepared when it is not given."""
    clinic, zone = facts.clinic, facts.clinic.zone
    at = clock.local(clinic.release_at, zone)
    key, back = (facts.slot.hospital_id, facts.doctor.id), _back(facts)
    today = clock.local(now(), zone).date()
    return render_template(
        "web/early.html",
        when=_("这个班次抽签放号") if drawn else _("%(when)s 放号", when=wording.opening(at, today)),
        text=text,
        doctor=cards.card(doctor_cards([key])[key], None),
        session_label=f"{wording.day_long(clinic.local_date)} {facts.part.name}",
        release_at=wording.moment(at),
        ready=_ready(back) if ready is None else ready,
        remind_url=url_for("releases.reminder", session=(key[0], clinic.id)),
        back_url=back,
        draw_url=draw_url,
        **more,
    )


def _back(facts: SlotFacts) -> str:
    return cards.address(facts.doctor.slug, facts.clinic.local_date)


def rest_line(facts: SlotFacts) -> str:
    """Return 「还有 2 个号 今晚 20:00 放出…」 of a slot that is sold out for now, or "" when nothing is to come."""
    again = slot_opens(facts.slot.hospital_id, facts.slot.id, now())
    if again is None:
        return ""
    at = clock.local(again[0], facts.clinic.zone)
    when = wording.opening(at, clock.local(now(), facts.clinic.zone).date())
    return _("还有 %(n)s 个号 %(when)s 放出，之前任何人都约不到。", n=again[1], when=when)


def _texts() -> list[str]:
    return [_("还没有放号，在这之前任何人都约不到。你没有错过，也不用一直刷新，到点再来就行。")]


def _ready(back: str) -> list[dict[str, object]]:
    """What can be done beforehand: sign in, and have the patient's facts in place."""
    person = account_id()
    return _steps(back, person is not None, patients_of(person, now()) if person else [])


def _steps(back: str, signed_in: bool, people: list[PatientView] | None) -> list[dict[str, object]]:
    """The same as rows; `people` is None when nobody was asked whom this account books for."""
    if people is None and signed_in:
        patients: dict[str, object] = {"text": _("就诊人（姓名和证件）"), "done": False, "link": _("去看看")}
        patients["url"] = url_for("patients.list_patients")
    else:
        patients = {
            "text": _("已添加就诊人：%(names)s", names="、".join(one.masked_name for one in people))
            if people
            else _("添加就诊人（姓名和证件）"),
            "done": bool(people),
            "url": url_for("patients.add", next=back),
            "link": _("去添加"),
        }
    return [
        {
            "text": _("已登录") if signed_in else _("登录手机号"),
            "done": signed_in,
            "url": url_for("login.login", next=back),
            "link": _("去登录"),
        },
        patients,
    ]
