"""Limits per patient and account, and whom a session is for: on rows, on both databases, also in parallel (R5–R7)."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pytest
from sqlalchemy import event, func, select, text, update

from booking.appointments import patient_rules, reserve
from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.move import move
from booking.appointments.reserve import confirm, hold
from booking.appointments.rules import AccountLimit, AlreadyBooked, WeekLimit
from booking.db import db, transaction
from booking.outbox import Message
from booking.people.models import Patient
from booking.schedule.admission import (
    BirthDateUnknown,
    FirstVisitOnly,
    NotAdmitted,
    NotThisAge,
    NotThisSex,
    ReferralNeeded,
    ReturnVisitOnly,
)
from booking.schedule.models import ClinicSession
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")

ROOMY = {"per_day": 9, "per_department_day": 9, "per_week": 9, "refuse_overlap": False}


def a_monday():
    """A Monday at least two days ahead."""
    today = factory.local(factory.now(), "Asia/Shanghai").date()
    return today + timedelta(days=(7 - today.weekday()) % 7 or 7) + timedelta(days=7)


def sessions(at, days):
    """One session of another doctor on each of these dates."""
    made = []
    for number, day in enumerate(days):
        other = factory.another_doctor(at, f"周可{'甲乙丙丁戊己庚辛壬癸'[number % 10]}")
        made.append(factory.open_session(other, day))
    return made


def held_ones(at, opened, who):
    """A hold of an account of its own on each session, given over to `who`: caps on holds stay out of the way."""
    rows = []
    for one in opened:
        row = hold(at.id, one.slots[0].id, holder=f"h{one.id}", actor=as_account(factory.person()))
        rows.append(row)
    return [
        lambda row=row: confirm(
            at.id, row.id, holder=row.holder, actor=as_account(who), patient_id=who.patient.id
        )
        for row in rows
    ]


def how_many(**columns):
    db.session.rollback()
    return db.session.scalar(
        select(func.count()).select_from(Appointment).filter_by(status="booked", **columns)
    )


# --- per week


def test_the_week_is_full_and_the_next_one_is_not():
    at = factory.clinic(policy=ROOMY | {"per_week": 3})
    who = factory.person()
    monday = a_monday()
    opened = sessions(at, [monday, monday + timedelta(days=3), monday + timedelta(days=6)])
    for number, one in enumerate(opened):
        book(at, one, who, holder=f"h{number}")
    [again, later, before] = sessions(
        at, [monday + timedelta(days=4), monday + timedelta(days=7), monday - timedelta(days=1)]
    )
    letters = db.session.scalar(select(func.count()).select_from(Message))
    with pytest.raises(WeekLimit) as refused:
        book(at, again, who, holder="h4")
    said = refused.value.text
    assert "一周最多 3 个" in said and "先取消" in said and f"{monday.month} 月 {monday.day} 日" in said
    assert db.session.scalar(select(func.count()).select_from(Message)) == letters
    book(at, later, who, holder="h5")
    book(at, before, who, holder="h6")


def test_a_cancelled_visit_no_longer_counts_in_its_week_and_a_move_counts_once():
    at = factory.clinic(policy=ROOMY | {"per_week": 2})
    who = factory.person()
    monday = a_monday()
    first, second, third = sessions(at, [monday, monday + timedelta(days=1), monday + timedelta(days=2)])
    kept = book(at, first, who)
    factory.booked(at, second, who, status="cancelled")
    booked = book(at, second, who, holder="h2")
    moved = move(at.id, kept.id, third.slots[0].id, actor=as_account(who))
    assert (moved.version, moved.visit_date) == (3, monday + timedelta(days=2))
    assert booked.status == "booked" and not broken()


def test_the_limit_of_the_week_holds_in_parallel(app):
    at = factory.clinic(policy=ROOMY | {"per_week": 3})
    who = factory.person()
    calls = held_ones(at, sessions(at, [a_monday() + timedelta(days=day) for day in range(7)]), who)
    results = at_once(app, calls)
    assert sorted(type(one).__name__ for one in results) == ["Appointment"] * 3 + ["WeekLimit"] * 4, results
    assert how_many(patient_id=who.patient.id) == 3 and not broken()


@pytest.mark.parametrize(
    ("limit", "refused"), [("per_day", "DayLimit"), ("per_department_day", "SameDepartment")]
)
def test_the_limits_of_the_day_hold_in_parallel(app, limit, refused):
    at = factory.clinic(policy=ROOMY | {limit: 2})
    who = factory.person()
    results = at_once(app, held_ones(at, sessions(at, [a_monday()] * 5), who))
    assert sorted(type(one).__name__ for one in results) == sorted(["Appointment"] * 2 + [refused] * 3), (
        results
    )
    assert how_many(patient_id=who.patient.id) == 2


# --- per account


def family(size=4):
    """One account with several patients, as persons."""
    first = factory.person("李秋禾")
    others = [
        factory.Person(first.account, factory.patient(first.account, f"李小{'甲乙丙丁'[n]}", seat=n + 2))
        for n in range(size - 1)
    ]
    return [first, *others]


def test_an_account_has_a_limit_over_all_its_patients():
    at = factory.clinic(policy={"open_per_account": 2})
    people = family()
    opened = sessions(at, [a_monday() + timedelta(days=day) for day in range(3)])
    book(at, opened[0], people[0])
    kept = book(at, opened[1], people[1], holder="h2")
    with pytest.raises(AccountLimit) as refused:
        book(at, opened[2], people[2], holder="h3")
    assert "最多同时有 2 个" in refused.value.text and "先取消" in refused.value.text
    [later] = sessions(at, [a_monday() + timedelta(days=9)])
    moved = move(at.id, kept.id, later.slots[0].id, actor=as_account(people[1]))  # a move adds none
    assert moved.visit_date == a_monday() + timedelta(days=9)
    elsewhere = factory.clinic(policy={"open_per_account": 2})
    book(elsewhere, factory.open_session(elsewhere), people[3], holder="h4")


def test_a_visit_that_is_over_no_longer_counts_against_the_account(now):
    at = factory.clinic(policy={"open_per_account": 1})
    people = family(2)
    book(at, factory.open_session(at), people[0])
    now.shift(days=3)
    later = factory.open_session(at)
    assert book(at, later, people[1], holder="h2").status == "booked"


def test_the_limit_of_the_account_holds_in_parallel_over_its_patients(app):
    at = factory.clinic(policy={"open_per_account": 2})
    people = family()
    opened = sessions(at, [a_monday() + timedelta(days=day) for day in range(4)])
    calls = [held_ones(at, [one], who)[0] for one, who in zip(opened, people, strict=True)]
    results = at_once(app, calls)
    assert sorted(type(one).__name__ for one in results) == ["AccountLimit"] * 2 + ["Appointment"] * 2, (
        results
    )
    assert how_many(account_id=people[0].id) == 2 and not broken()


def test_two_accounts_and_two_patients_in_parallel_do_not_wait_for_each_other(app):
    """Charts are locked before accounts, by everybody: a family of two booking across never deadlocks."""
    at = factory.clinic(policy=ROOMY | {"open_per_account": 50})
    [one, _] = family(2)
    other = factory.person("李春生")
    with transaction() as session:
        seat = {"account_id": other.id, "patient_id": one.patient.id, "seat": 2}
        session.add(factory.PatientLink(**seat, relation="parent", created_at=factory.now()))
    shared = factory.Person(other.account, one.patient)
    opened = sessions(at, [a_monday() + timedelta(days=day) for day in range(4)])
    who = [one, shared, other, one]
    results = at_once(
        app, [held_ones(at, [place], person)[0] for place, person in zip(opened, who, strict=True)]
    )
    assert [type(row).__name__ for row in results] == ["Appointment"] * 4, results


def test_confirming_asks_the_database_little(within):
    """The patient's and the account's limits are two reads, however many visits there are."""
    at = factory.clinic(policy=ROOMY)
    who = factory.person()
    opened = sessions(at, [a_monday() + timedelta(days=day) for day in range(5)])
    for number, one in enumerate(opened[:4]):
        book(at, one, who, holder=f"h{number}")
    row = hold(at.id, opened[4].slots[0].id, holder="h9", actor=as_account(who))
    seen = []
    from_here = lambda *words: seen.append(words[2])  # noqa: E731
    with transaction() as session:
        policy = db.session.get_one(factory.Policy, (at.id, at.policy.id))
        when = factory.now()
        event.listen(session.connection(), "before_cursor_execute", from_here)
        patient_rules.ensure_patient_may(session, policy, row, who.patient.id, now=when, account_id=who.id)
    assert len(seen) == 2, seen


# --- whom a session is for


def for_some(at, admits, **words):
    opened = factory.open_session(at, **words)
    with transaction() as session:
        session.execute(update(ClinicSession).where(ClinicSession.id == opened.id).values(admits=admits))
    return opened


def born(who, day):
    with transaction() as session:
        session.execute(update(Patient).where(Patient.id == who.patient.id).values(birth_date=day))


REFUSED = [
    ({"age_max": 14}, NotThisAge, "只接待 14 岁及以下的患者"),
    ({"sex": "m"}, NotThisSex, "只接待男性患者"),
    ({"visit": "return"}, ReturnVisitOnly, "只接待复诊患者"),
    ({"referral": True}, ReferralNeeded, "需要转诊单"),
]


@pytest.mark.parametrize(("admits", "refusal", "said"), REFUSED)
def test_confirm_refuses_whom_the_session_is_not_for_and_changes_nothing(admits, refusal, said):
    at = factory.clinic()
    opened = for_some(at, admits)
    who = factory.person()
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))
    with pytest.raises(refusal) as refused:
        confirm(at.id, row.id, holder="h", actor=as_account(who), patient_id=who.patient.id)
    assert said in refused.value.text
    kept = db.session.get(Appointment, (at.id, row.id), populate_existing=True)
    assert (kept.status, kept.patient_id, kept.version) == ("held", None, 1)
    assert not db.session.scalar(select(func.count()).select_from(Message)) and not broken()


def test_a_referral_is_kept_sealed_with_the_visit():
    at = factory.clinic()
    opened = for_some(at, {"referral": True})
    who = factory.person()
    booked = book(at, opened, who, referral=" 2026-118，新塘卫生院 ")
    assert booked.referral == "2026-118，新塘卫生院"
    sealed = db.session.execute(text("SELECT referral FROM appointment")).scalar()
    assert "新塘" not in sealed


def test_a_birth_date_nobody_knows_is_asked_for_kindly():
    at = factory.clinic()
    who = factory.person()
    born(who, "")
    with pytest.raises(BirthDateUnknown) as refused:
        book(at, for_some(at, {"age_min": 60}), who)
    assert "请在「就诊人」里补上" in refused.value.text


def test_age_counts_on_the_day_of_the_visit():
    at = factory.clinic()
    opened = for_some(at, {"age_min": 60})
    day: date = opened.session.local_date
    who = factory.person()
    born(who, day.replace(year=day.year - 60).isoformat())
    assert book(at, opened, who).status == "booked"


def test_first_and_return_visits_are_told_apart_by_kept_visits_in_the_department():
    at = factory.clinic(policy=ROOMY)
    who = factory.person()
    past = factory.open_session(at, a_monday() - timedelta(days=20), release_at=factory.now())
    first = for_some(at, {"visit": "first"}, on=a_monday())
    again = for_some(factory.another_doctor(at), {"visit": "return"}, on=a_monday() + timedelta(days=1))
    factory.booked(at, past, who, status="cancelled")
    with pytest.raises(ReturnVisitOnly):
        book(at, again, who)
    factory.booked(at, past, who, status="fulfilled", visit_code="48271944")
    with pytest.raises(FirstVisitOnly) as refused:
        book(at, first, who, holder="h2")
    assert "已在呼吸内科就诊过" in refused.value.text
    db.session.execute(update(Appointment).where(Appointment.status == "held").values(holder_seat=None))
    db.session.commit()
    assert book(at, again, who, slot=1, holder="h3").status == "booked"


def test_a_move_is_judged_by_the_session_it_leads_to():
    at = factory.clinic(policy=ROOMY)
    who = factory.person()
    row = book(at, factory.open_session(at), who)
    children = for_some(factory.another_doctor(at), {"age_max": 14})
    with pytest.raises(NotThisAge):
        move(at.id, row.id, children.slots[0].id, actor=as_account(who))
    with pytest.raises(NotThisAge):
        move(at.id, row.id, children.slots[0].id, actor=staff(at))
    returning = for_some(factory.another_doctor(at, "周可言"), {"visit": "return"})
    with pytest.raises(NotAdmitted):
        move(at.id, row.id, returning.slots[0].id, actor=as_account(who))
    moved = move(at.id, row.id, returning.slots[0].id, actor=staff(at))  # staff have seen the old record
    assert moved.session_id == returning.id


def test_the_rules_a_place_was_held_under_stand_at_confirm():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))
    with transaction() as session:
        session.execute(
            update(ClinicSession).where(ClinicSession.id == opened.id).values(admits={"age_max": 14})
        )
    booked = confirm(at.id, row.id, holder="h", actor=as_account(who), patient_id=who.patient.id)
    assert booked.status == "booked" and "admits" not in booked.sold


def test_already_booked_is_said_before_anything_else():
    at = factory.clinic(policy={"open_per_account": 1, "per_week": 1})
    opened = factory.open_session(at)
    who = factory.person()
    book(at, opened, who)
    with pytest.raises(AlreadyBooked):
        book(at, opened, who, slot=1, holder="h2")


# --- each guard taken away


def test_without_the_lock_on_the_account_its_limit_is_passed(app, monkeypatch):
    """The second guard of the account: on PostgreSQL two confirms both look before either writes."""
    if db.engine.dialect.name == "sqlite":
        monkeypatch.setattr(patient_rules, "_ensure_account_may", lambda *_: None)
    else:
        real = patient_rules.lock_chart
        monkeypatch.setattr(reserve, "lock_chart", lambda *words: real(*words[:3]))
        _look_together(monkeypatch, "_ensure_account_may")
    at = factory.clinic(policy={"open_per_account": 1})
    people = family(2)
    opened = sessions(at, [a_monday(), a_monday() + timedelta(days=1)])
    calls = [held_ones(at, [one], who)[0] for one, who in zip(opened, people, strict=True)]
    assert [type(one).__name__ for one in at_once(app, calls, threads=2)] == ["Appointment"] * 2
    assert how_many(account_id=people[0].id) == 2


def test_without_the_lock_on_the_chart_the_week_is_passed(app, monkeypatch):
    at = factory.clinic(policy=ROOMY | {"per_week": 1})
    who = factory.person()
    calls = held_ones(at, sessions(at, [a_monday(), a_monday() + timedelta(days=1)]), who)
    if db.engine.dialect.name == "sqlite":
        monkeypatch.setattr(patient_rules, "_ensure_limits", lambda *_: None)
    else:
        with transaction() as session:
            patient_rules.lock_chart(session, at.id, who.patient.id)
        monkeypatch.setattr(reserve, "lock_chart", lambda *_: None)
        _look_together(monkeypatch, "_ensure_limits")
    assert [type(one).__name__ for one in at_once(app, calls, threads=2)] == ["Appointment"] * 2
    assert how_many(patient_id=who.patient.id) == 2


def test_without_the_check_a_session_admits_anybody(monkeypatch):
    monkeypatch.setattr(patient_rules, "ensure_patient_suits", lambda *_, **__: None)
    at = factory.clinic()
    booked = book(at, for_some(at, {"age_max": 14}), factory.person())
    assert booked.status == "booked"
    events = select(func.count()).where(AppointmentEvent.appointment_id == booked.id)
    assert db.session.scalar(events) == 2


def _look_together(monkeypatch, name):
    """Let two threads both pass a check before either writes."""
    both = threading.Barrier(2)
    look = getattr(patient_rules, name)

    def look_then_wait(*words):
        look(*words)
        both.wait(10)

    monkeypatch.setattr(patient_rules, name, look_then_wait)
