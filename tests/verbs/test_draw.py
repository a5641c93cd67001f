"""The fair draw on rows: who may enter when, one person once, the draw exactly once, what is left for everybody."""

from __future__ import annotations

import json
import threading
import time as time_module
from datetime import time, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from booking.appointments import draw as draw_file
from booking.appointments import draw_entries as entries_file
from booking.appointments.cancel import cancel
from booking.appointments.draw import carry_out, draw_due
from booking.appointments.draw_entries import enter, set_draw, unset_draw, withdraw
from booking.appointments.draw_models import Draw, DrawEntry
from booking.appointments.draw_queries import draw_view, entries_of, public_file
from booking.appointments.draw_rules import (
    DrawFirst,
    EntriesClosed,
    EntryNeedsId,
    NoSuchDraw,
    PersonEntered,
    SlotNotThere,
    commitment_of,
    order,
)
from booking.appointments.models import Appointment
from booking.appointments.reserve import hold
from booking.appointments.rules import AlreadyBooked, NotLinked, NotReleased
from booking.appointments.stop import reopen_session, stop_session
from booking.db import db, new_id, transaction
from booking.errors import NotAllowed, Refusal
from booking.outbox import Message
from booking.people.models import PatientLink
from booking.schedule.doctor_sessions import doctor_sessions
from booking.schedule.models import ClinicSession, Place
from booking.schedule.open_slots import next_open
from booking.schedule.rules import DrawRunning, DrawWindow, SessionOver
from booking.staff.models import AuditEvent
from booking.staff.rules import Actor
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import as_account

pytestmark = pytest.mark.usefixtures("within")


def drawn_session(*, places=2, opens_in=60, draws_in=180, at=None, **more):
    """A session whose draw takes entries in an hour and happens in three; returns clinic, session, draw."""
    at = at or factory.clinic()
    opened = factory.open_session(
        at, places=places, release_at=factory.now() + timedelta(minutes=draws_in), **more
    )
    draw = set_draw(
        at.id,
        opened.id,
        actor=staff(at, "scheduler"),
        entries_from=factory.now() + timedelta(minutes=opens_in),
    )
    return at, opened, draw


def entrant(name="李秋禾", **more):
    return factory.person(name, id_number=f"ID{new_id().hex[:14]}", **more)


def put_in(at, draw, who, *wishes):
    return enter(at.id, draw.id, actor=as_account(who), patient_id=who.patient.id, wishes=wishes)


def fresh(row):
    db.session.rollback()
    return db.session.get(type(row), (row.hospital_id, row.id), populate_existing=True)


def entries(draw, *statuses):
    db.session.rollback()
    rows = db.session.scalars(
        select(DrawEntry).where(DrawEntry.draw_id == draw.id).order_by(DrawEntry.rank)
    ).all()
    return [row for row in rows if not statuses or row.status in statuses]


def letters(kind, channel="app"):
    db.session.rollback()
    asked = select(Message).where(Message.kind == kind, Message.channel == channel)
    return list(db.session.scalars(asked.order_by(Message.created_at)))


# --- setting it up ---------------------------------------------------------------------------------------------------


def test_a_draw_seals_its_places_keeps_its_seed_and_is_in_the_audit_trail():
    at, opened, draw = drawn_session()
    clinic = db.session.get(ClinicSession, (at.id, opened.id), populate_existing=True)
    assert clinic.sale == "draw" and clinic.entries_from < clinic.release_at
    assert draw.commitment == commitment_of(draw.seed) and len(draw.seed) == 64
    stored = db.session.execute(select(Draw.__table__.c.seed)).scalar()
    with db.engine.connect() as connection:
        raw = connection.exec_driver_sql("SELECT seed FROM draw").scalar()
    assert stored == draw.seed and raw.startswith("aesgcm.") and draw.seed not in raw
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "set_draw")).one()
    assert event.change["commitment"] == draw.commitment and draw.seed not in json.dumps(event.change)
    assert db.session.scalar(select(func.count()).where(Place.opens_at.is_(None))) == 0
    assert next_open([(at.id, at.doctor.id)], factory.now())[(at.id, at.doctor.id)].slots == []


def test_only_before_entries_open_may_it_be_changed_or_taken_back(now):
    at, opened, draw = drawn_session()
    me = staff(at, "scheduler")
    again = set_draw(at.id, opened.id, actor=me, entries_from=factory.now() + timedelta(minutes=90))
    assert (again.id, again.commitment) == (draw.id, draw.commitment)
    for wrong in (timedelta(minutes=-1), timedelta(minutes=175)):
        with pytest.raises(DrawWindow):
            set_draw(at.id, opened.id, actor=me, entries_from=factory.now() + wrong)
    with pytest.raises(NotAllowed):
        set_draw(at.id, opened.id, actor=staff(at, "desk"), entries_from=factory.now() + timedelta(minutes=9))
    now.shift(minutes=91)
    for change in (
        lambda: unset_draw(at.id, opened.id, actor=me),
        lambda: set_draw(at.id, opened.id, actor=me, entries_from=factory.now() + timedelta(minutes=20)),
    ):
        with pytest.raises(DrawRunning):
            change()
    now.shift(hours=2)
    with pytest.raises(SessionOver):
        unset_draw(at.id, opened.id, actor=me)


def test_taken_back_it_sells_first_come_at_the_release_and_a_new_draw_has_a_new_seed(now):
    at, opened, draw = drawn_session()
    me = staff(at, "scheduler")
    unset_draw(at.id, opened.id, actor=me)
    unset_draw(at.id, opened.id, actor=me)
    assert fresh(draw).status == "off"
    again = set_draw(at.id, opened.id, actor=me, entries_from=factory.now() + timedelta(minutes=60))
    assert again.id != draw.id and again.commitment != draw.commitment
    unset_draw(at.id, opened.id, actor=me)
    who = as_account(factory.person())
    with pytest.raises(NotReleased):
        hold(at.id, opened.slots[0].id, holder="h", actor=who)
    now.shift(hours=4)
    assert hold(at.id, opened.slots[0].id, holder="h", actor=who).status == "held"


# --- entering --------------------------------------------------------------------------------------------------------


def test_entries_are_taken_only_in_the_window_by_the_database_clock(now):
    at, _opened, draw = drawn_session()
    who = entrant()
    with pytest.raises(EntriesClosed) as refused:
        put_in(at, draw, who)
    assert "起" not in refused.value.text and "可以报名" in refused.value.text
    now.shift(minutes=61)
    entry = put_in(at, draw, who)
    assert (entry.status, entry.commitment, len(entry.token)) == ("entered", draw.commitment, 16)
    assert [letter.account_id for letter in letters("draw_entered")] == [who.id]
    now.shift(hours=2)
    for late in (
        lambda: put_in(at, draw, entrant()),
        lambda: withdraw(at.id, draw.id, actor=as_account(who), patient_id=who.patient.id),
    ):
        with pytest.raises(EntriesClosed):
            late()


def test_the_same_account_again_changes_its_wishes_and_keeps_its_token(now):
    at, opened, draw = drawn_session()
    now.shift(minutes=61)
    who = entrant()
    first = put_in(at, draw, who)
    again = put_in(at, draw, who, opened.slots[2].id, opened.slots[0].id, opened.slots[2].id)
    assert (again.id, again.token) == (first.id, first.token)
    assert again.wishes == [opened.slots[2].id.hex, opened.slots[0].id.hex]
    withdraw(at.id, draw.id, actor=as_account(who), patient_id=who.patient.id)
    withdraw(at.id, draw.id, actor=as_account(who), patient_id=who.patient.id)
    assert [entry.status for entry in entries(draw)] == ["withdrawn"]
    assert draw_view(at.id, draw.id, factory.now()).entries == 0
    assert put_in(at, draw, who).token == first.token
    assert len(letters("draw_entered")) == 1


def test_one_person_enters_once_under_whatever_account(now):
    at, _opened, draw = drawn_session()
    now.shift(minutes=61)
    mother = factory.person("陈桂香", id_number="ID-MOTHER")
    son = factory.account()
    with transaction() as session:
        session.add(
            PatientLink(
                account_id=son.id,
                patient_id=mother.patient.id,
                seat=1,
                relation="parent",
                created_at=factory.now(),
            )
        )
    same_card = factory.person("陈桂香", id_number="ID-MOTHER")
    put_in(at, draw, mother)
    with pytest.raises(PersonEntered):
        put_in(at, draw, factory.Person(son, mother.patient))
    with pytest.raises(PersonEntered):
        put_in(at, draw, same_card)
    withdraw(at.id, draw.id, actor=as_account(mother), patient_id=mother.patient.id)
    assert put_in(at, draw, factory.Person(son, mother.patient)).account_id == son.id
    assert len(entries(draw)) == 1


def test_an_entry_needs_a_document_a_link_and_slots_of_the_session(now):
    at, _opened, draw = drawn_session()
    now.shift(minutes=61)
    with pytest.raises(EntryNeedsId):
        put_in(at, draw, factory.person())
    who, stranger = entrant(), entrant()
    with pytest.raises(NotLinked):
        put_in(at, draw, factory.Person(who.account, stranger.patient))
    with pytest.raises(SlotNotThere):
        put_in(at, draw, who, new_id())
    with pytest.raises(NoSuchDraw):
        enter(at.id, new_id(), actor=as_account(who), patient_id=who.patient.id)
    with pytest.raises(NotAllowed):
        enter(at.id, draw.id, actor=Actor("browser", "h"), patient_id=who.patient.id)
    assert not entries(draw)


def test_a_double_click_enters_once(app, now):
    at, _opened, draw = drawn_session()
    now.shift(minutes=61)
    who = entrant()
    both = at_once(app, [lambda: put_in(at, draw, who)] * 2)
    assert {entry.token for entry in both} == {entries(draw)[0].token}
    assert len(entries(draw)) == 1


def test_a_hold_before_the_draw_says_how_to_take_part(now):
    at, opened, _draw = drawn_session()
    me = as_account(factory.person())
    for step in (0, 61):
        now.shift(minutes=step)
        with pytest.raises(DrawFirst) as refused:
            hold(at.id, opened.slots[0].id, holder="h", actor=me)
        assert "抽签" in refused.value.text and refused.value.status == 409
    now.shift(hours=3)  # the release has come, the draw has not happened yet
    with pytest.raises(DrawFirst):
        hold(at.id, opened.slots[0].id, holder="h", actor=me)
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 0


# --- the draw --------------------------------------------------------------------------------------------------------


def test_winners_are_booked_in_the_published_order_and_losers_are_told(now):
    at, _opened, draw = drawn_session(places=1, starts=time(8, 30), ends=time(9, 30))
    now.shift(minutes=61)
    people = [entrant() for _ in range(5)]
    made = {put_in(at, draw, who).token: who for who in people}
    assert draw_due() == 0, "the release has not come"
    now.shift(hours=2)
    assert draw_due() == 1
    assert draw_due() == 0
    kept = fresh(draw)
    turns = order(kept.seed, made)
    assert [entry.token for entry in entries(draw)] == turns
    assert [entry.status for entry in entries(draw)] == ["won"] * 2 + ["lost"] * 3
    visits = db.session.scalars(select(Appointment)).all()
    assert {row.account_id for row in visits} == {made[token].id for token in turns[:2]}
    assert {(row.kind, row.status) for row in visits} == {("draw", "booked")}
    for channel in ("app", "sms"):
        assert {letter.account_id for letter in letters("draw_lost", channel)} == {
            made[token].id for token in turns[2:]
        }
        assert len(letters("confirmed", channel)) == 2
    assert kept.status == "drawn" and kept.list_digest
    assert not broken()


def test_wishes_are_kept_and_what_is_left_is_sold_to_whoever_comes(now):
    at, opened, draw = drawn_session(places=1)
    now.shift(minutes=61)
    first, second = entrant(), entrant()
    for who in (first, second):
        put_in(at, draw, who, opened.slots[1].id)
    now.shift(hours=2)
    draw_due()
    won, lost = entries(draw)
    assert (won.status, won.slot_id, lost.status) == ("won", opened.slots[1].id, "lost")
    views = doctor_sessions(at.id, at.doctor.id, opened.session.local_date, factory.now())
    assert [slot.left for slot in views[0].slots] == [1, 0, 1, 1]
    loser = first if lost.account_id == first.id else second
    assert hold(at.id, opened.slots[0].id, holder="h", actor=as_account(loser)).status == "held"
    row = db.session.get(Appointment, (at.id, won.appointment_id))
    winner = first if won.account_id == first.id else second
    cancel(at.id, row.id, actor=as_account(winner))
    assert hold(at.id, opened.slots[1].id, holder="h2", actor=as_account(loser)).status == "held"
    assert not broken()


def test_a_patients_own_limits_close_slots_to_them_and_the_file_says_so(now):
    at, opened, draw = drawn_session(places=1)
    now.shift(minutes=61)
    busy, free = entrant(), entrant()
    put_in(at, draw, busy)
    put_in(at, draw, free)
    elsewhere = factory.another_doctor(at)
    there = factory.open_session(elsewhere, on=opened.session.local_date)
    factory.booked(elsewhere, there, busy, slot=0)
    now.shift(hours=2)
    draw_due()
    results = {entry.account_id: entry for entry in entries(draw)}
    assert results[busy.id].status == "lost" and results[free.id].status == "won"
    assert set(results[busy.id].refused.values()) == {"SameDepartment"}
    file = public_file(draw_view(at.id, draw.id, factory.now()))
    shut = next(entry for entry in file["entries"] if entry["token"] == results[busy.id].token)
    assert shut["result"] == "" and shut["refused"]["09:00"] == "rule"
    assert set(shut["refused"].values()) == {"rule"}, "why is nobody else's business"


def test_whoever_cannot_take_part_any_more_is_told_at_the_entry(now):
    at, opened, draw = drawn_session()
    busy = entrant()
    factory.booked(at, opened, busy)
    now.shift(minutes=61)
    with pytest.raises(AlreadyBooked):
        put_in(at, draw, busy)


def test_a_link_that_ended_wins_nothing(now):
    at, _opened, draw = drawn_session()
    now.shift(minutes=61)
    who = entrant()
    put_in(at, draw, who)
    with transaction() as session:
        session.execute(
            update(PatientLink)
            .where(PatientLink.account_id == who.id)
            .values(ended_at=factory.now(), seat=None)
        )
    now.shift(hours=2)
    draw_due()
    assert [entry.status for entry in entries(draw)] == ["lost"]


def test_a_draw_without_entries_leaves_everything_to_whoever_comes(now):
    at, opened, draw = drawn_session()
    now.shift(hours=4)
    assert draw_due() == 1
    assert fresh(draw).status == "drawn"
    assert hold(at.id, opened.slots[0].id, holder="h", actor=as_account(factory.person())).status == "held"


def test_a_stopped_session_calls_the_draw_off_and_tells_everybody(now):
    at, opened, draw = drawn_session()
    now.shift(minutes=61)
    people = [entrant() for _ in range(3)]
    for who in people:
        put_in(at, draw, who)
    stop_session(at.id, opened.id, actor=staff(at), reason="外出会诊")
    assert draw_due() == 1, "at once, without waiting for the release"
    assert fresh(draw).status == "off"
    for channel in ("app", "sms"):
        assert {letter.account_id for letter in letters("draw_off", channel)} == {who.id for who in people}
    reopen_session(at.id, opened.id, actor=staff(at))
    with pytest.raises(NotReleased):
        hold(at.id, opened.slots[0].id, holder="h", actor=as_account(people[0]))
    now.shift(hours=2)
    assert hold(at.id, opened.slots[0].id, holder="h", actor=as_account(people[0])).status == "held"
    assert not broken()


def test_a_place_the_desk_gave_away_before_is_not_drawn(now):
    at, opened, draw = drawn_session(places=1, starts=time(8, 30), ends=time(9, 0))
    factory.booked(at, opened, factory.person(), kind="phone")
    now.shift(minutes=61)
    put_in(at, draw, entrant())
    now.shift(hours=2)
    draw_due()
    assert fresh(draw).capacity == {} and [entry.status for entry in entries(draw)] == ["lost"]
    assert not broken("N1"), "the factory's visit was written without letters"


# --- exactly once ----------------------------------------------------------------------------------------------------


def test_many_workers_at_once_draw_once(app, now, monkeypatch):
    monkeypatch.setattr(draw_file, "BATCH", 2)
    at, _opened, draw = drawn_session(places=2)
    now.shift(minutes=61)
    for _ in range(12):
        put_in(at, draw, entrant())
    now.shift(hours=2)
    ended = at_once(app, [lambda: carry_out(at.id, draw.id)] * 4, threads=4)
    assert sorted(ended) == [False, False, False, True]
    assert [entry.status for entry in entries(draw)] == ["won"] * 8 + ["lost"] * 4
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 8
    assert len(letters("draw_lost", "sms")) == 4
    assert not broken()


def test_a_draw_broken_off_in_the_middle_goes_on_where_it_was(now, monkeypatch):
    monkeypatch.setattr(draw_file, "BATCH", 3)
    at, _opened, draw = drawn_session(places=2)
    now.shift(minutes=61)
    for _ in range(10):
        put_in(at, draw, entrant())
    now.shift(hours=2)
    taken = []

    def dies_on_the_fifth(*words):
        taken.append(words)
        if len(taken) == 5:
            raise KeyboardInterrupt
        return booked(*words)

    booked = draw_file._book
    with monkeypatch.context() as patched:
        patched.setattr(draw_file, "_book", dies_on_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            draw_due()
    begun = fresh(draw)
    digest = begun.list_digest
    assert begun.status == "drawing"
    assert len(entries(draw, "won")) == 3, "the first batch stands, the broken one left nothing"
    assert not broken()
    before = [(entry.token, entry.rank) for entry in entries(draw)]
    assert draw_due() == 1
    after = fresh(draw)
    assert [(entry.token, entry.rank) for entry in entries(draw)] == before
    assert after.list_digest == digest and after.status == "drawn"
    assert [entry.status for entry in entries(draw)] == ["won"] * 8 + ["lost"] * 2
    assert not broken()


def test_people_who_enter_while_the_list_closes_are_in_it_or_told(app, now):
    at, _opened, draw = drawn_session(places=3)
    now.shift(minutes=61)
    people = [entrant() for _ in range(8)]
    clinic = fresh(db.session.get(ClinicSession, (at.id, draw.session_id)))
    now.at(clinic.release_at - timedelta(seconds=0.4))
    calls = [lambda who=who: put_in(at, draw, who) for who in people]
    answers = at_once(app, [*calls, *[lambda: _until_drawn(at, draw)] * 2], threads=10)[:8]
    entered = {answer.token for answer in answers if isinstance(answer, DrawEntry)}
    assert all(isinstance(answer, DrawEntry | Refusal) for answer in answers), answers
    assert {entry.token for entry in entries(draw, "won", "lost")} == entered
    assert not entries(draw, "entered")


def _until_drawn(at, draw):
    return any(carry_out(at.id, draw.id) or fresh(draw).status == "drawn" for _ in range(200))


def test_a_second_worker_waits_for_the_turns_of_the_first(app, now, monkeypatch):
    """While one worker is inside its turns, another neither takes the same ones nor gets past them."""
    at, _opened, draw = drawn_session(places=2)
    now.shift(minutes=61)
    for _ in range(3):
        put_in(at, draw, entrant())
    now.shift(hours=2)
    booked, inside, seen = draw_file._book, threading.Event(), []

    def slow(*words):
        seen.append(threading.get_ident())
        inside.set()
        time_module.sleep(0.3)
        return booked(*words)

    monkeypatch.setattr(draw_file, "_book", slow)
    second = [lambda: inside.wait(10) and carry_out(at.id, draw.id)]
    at_once(app, [lambda: carry_out(at.id, draw.id), *second], threads=2)
    assert len(seen) == 3 and len(set(seen)) == 1, "three turns, all of one worker"
    assert [entry.status for entry in entries(draw)] == ["won"] * 3
    assert not broken()


def test_the_list_closes_only_after_the_last_who_is_entering(app, now, monkeypatch, database):
    """Somebody read the clock in time and commits a little later: the draw waits for them, and they are in its list."""
    if database == "sqlite":
        return  # one writer at a time: nobody can be in the middle of entering
    at, _opened, draw = drawn_session(places=2)
    now.shift(minutes=61)
    put_in(at, draw, entrant())
    clinic = fresh(db.session.get(ClinicSession, (at.id, draw.session_id)))
    last, inside = entrant(), threading.Event()
    now.at(clinic.release_at - timedelta(seconds=0.3))
    fits = entries_file._ensure_one_fits

    def slow(*words):
        inside.set()
        time_module.sleep(1.2)
        fits(*words)

    monkeypatch.setattr(entries_file, "_ensure_one_fits", slow)
    after = [lambda: (inside.wait(10) and time_module.sleep(0.5)) or carry_out(at.id, draw.id)]
    late, ended = at_once(app, [lambda: put_in(at, draw, last), *after], threads=2)
    assert isinstance(late, DrawEntry) and ended is True
    assert len(entries(draw, "won")) == 2 and not entries(draw, "entered")


# --- what is published -----------------------------------------------------------------------------------------------


def test_once_somebody_entered_the_commitment_cannot_change(now):
    at, _opened, draw = drawn_session()
    now.shift(minutes=61)
    put_in(at, draw, entrant())
    other = commitment_of("0" * 64)

    def change():
        with transaction() as session:
            session.execute(update(Draw).where(Draw.id == draw.id).values(commitment=other, seed="0" * 64))

    with pytest.raises(IntegrityError):
        change()
    db.session.rollback()
    assert fresh(draw).commitment == draw.commitment


def test_another_seed_than_the_published_one_draws_nothing(now):
    at, _opened, draw = drawn_session()
    now.shift(minutes=61)
    put_in(at, draw, entrant())
    with transaction() as session:
        session.execute(update(Draw).where(Draw.id == draw.id).values(seed="0" * 64))
    now.shift(hours=2)
    with pytest.raises(RuntimeError, match="not the one that was published"):
        carry_out(at.id, draw.id)
    assert draw_due() == 0, "it is logged and left as it is"
    assert [entry.status for entry in entries(draw)] == ["entered"]
    assert fresh(draw).status == "waiting"


def test_the_file_shows_the_seed_only_after_the_draw_and_never_a_name(now):
    at, opened, draw = drawn_session(places=1)
    who = entrant("司徒明玥")
    before = public_file(draw_view(at.id, draw.id, factory.now()))
    assert (before["state"], before["commitment"], before["seed"]) == ("before", None, None)
    now.shift(minutes=61)
    entry = put_in(at, draw, who, opened.slots[1].id)
    during = public_file(draw_view(at.id, draw.id, factory.now()))
    assert (during["state"], during["commitment"], during["seed"]) == ("open", draw.commitment, None)
    assert during["entries"] == [{"token": entry.token, "wishes": ["09:00"]}]
    now.shift(hours=2)
    assert public_file(draw_view(at.id, draw.id, factory.now()))["state"] == "closed"
    draw_due()
    after = public_file(draw_view(at.id, draw.id, factory.now()))
    assert commitment_of(after["seed"]) == after["commitment"] == draw.commitment
    assert after["capacity"] == {"08:30": 1, "09:00": 1, "09:30": 1, "10:00": 1}
    assert after["entries"] == [
        {"token": entry.token, "wishes": ["09:00"], "rank": 1, "refused": {}, "result": "09:00"}
    ]
    text = json.dumps(after, ensure_ascii=False)
    assert "司徒" not in text and who.patient.id_number not in text
    mine = entries_of(at.id, draw.id, who.id)[0]
    assert (mine.status, f"{mine.slot:%H:%M}", mine.rank) == ("won", "09:00", 1)
