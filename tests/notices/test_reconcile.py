"""The reconciler: a visit that lacks a letter it is owed gets it once, and nobody else gets anything."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from booking.appointments.announce import tell
from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in, undo_check_in
from booking.appointments.coming import confirm_coming
from booking.appointments.move import move
from booking.appointments.stop import stop_session
from booking.db import db, transaction
from booking.notices import reconcile as reconciling
from booking.notices.reconcile import reconcile, sweep, without_letters
from booking.notices.service import send_due
from booking.outbox import Message
from booking.people.models import Account, Patient
from booking.staff.rules import Actor
from booking.vault import blind_index
from tests import factory
from tests.notices.posting import letters
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")


def a_visit(who=None, days=None):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = who or factory.person("赵安宁", email="zhao@example.org", own_phone=factory.invented_phone())
    return at, opened, who, book(at, opened, who)


def lose(*conditions):
    """Remove letters from the ledger as no verb would; return their keys."""
    with transaction() as session:
        gone = session.scalars(select(Message.dedupe_key).where(*conditions)).all()
        session.execute(delete(Message).where(*conditions))
    return sorted(gone)


def staff(at):
    return Actor("desk", "0" * 32, "何予", hospital_id=at.id)


def repaired():
    return sorted(one.dedupe_key for one in letters(repaired=True))


def test_whole_visits_are_left_alone():
    at, opened, who, row = a_visit()
    move(at.id, row.id, opened.slots[1].id, actor=as_account(who))
    gone = book(at, opened, factory.person("钱多多"), slot=2, holder="g")
    cancel(at.id, gone.id, actor=staff(at))
    before = len(letters())
    found = reconcile()
    assert found.looked_at >= 2 and (found.lacking, found.put) == (0, 0)
    assert sweep(at.id).lacking == 0
    assert len(letters()) == before


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(Message.kind == "confirmed", id="the confirmation"),
        pytest.param(Message.kind.like("reminder%"), id="the reminders"),
        pytest.param(Message.recipient == "patient", id="all of one recipient"),
        pytest.param(Message.channel == "sms", id="all of one channel"),
        pytest.param(Message.id.is_not(None), id="everything"),
    ],
)
def test_what_was_lost_is_put_once_under_the_same_key(lost):
    at, _opened, _who, row = a_visit()
    gone = lose(lost)
    assert gone and sweep(at.id, repair=False).lacking == 1
    found = reconcile()
    assert (found.lacking, found.put) == (1, len(gone))
    assert repaired() == gone
    assert (reconcile().put, without_letters(at.id)) == (0, 0)
    for one in letters(repaired=True):
        assert one.due_at >= one.created_at and one.version == row.version and one.appointment_id == row.id


def test_letters_that_ended_are_not_missing():
    _at, _opened, _who, row = a_visit()
    for status in ("failed", "superseded", "suppressed", "expired", "accepted"):
        with transaction() as session:
            session.execute(update(Message).where(Message.appointment_id == row.id).values(status=status))
        assert reconcile().put == 0, status


def test_what_stops_and_cancellations_owe():
    at, opened, who, row = a_visit()
    other = book(at, opened, factory.person("钱多多"), slot=1, holder="g")
    cancel(at.id, other.id, actor=staff(at))
    stop_session(
        at.id, opened.id, actor=Actor("scheduler", "0" * 32, "何予", hospital_id=at.id), reason="外出会诊"
    )
    gone = lose(Message.kind.in_(("stopped", "cancelled")))
    assert gone
    assert reconcile().lacking == 2
    assert repaired() == gone
    assert {one.facts.get("reason") for one in letters(kind="stopped")} == {"外出会诊"}
    assert {one.facts.get("by") for one in letters(kind="cancelled")} == {"hospital"}
    send_due()
    assert "外出会诊" in next(one for one in letters(kind="stopped", channel="app")).body
    assert row.account_id == who.account.id


def test_a_move_that_lost_its_letters_tells_the_old_time_too():
    at, opened, who, row = a_visit()
    move(at.id, row.id, opened.slots[1].id, actor=as_account(who))
    gone = lose(Message.kind == "moved")
    reconcile()
    assert repaired() == gone
    assert {one.facts["from"]["starts_local"] for one in letters(kind="moved")} == {"08:30"}


@pytest.mark.parametrize("by", ["patient", "hospital"])
def test_a_move_that_lost_its_letters_is_told_as_at_the_wish_it_was_made(by):
    at, opened, _who, row = a_visit()
    move(at.id, row.id, opened.slots[1].id, actor=staff(at), by=by, reason="外出会诊")
    facts = [one.facts for one in letters(kind="moved")]
    gone = lose(Message.kind == "moved")
    reconcile()
    assert repaired() == gone
    assert [one.facts for one in letters(kind="moved")] == facts
    assert {(one["by"], one.get("reason")) for one in facts} == {
        (by, "外出会诊" if by == "hospital" else None)
    }


def test_reminders_that_are_over_and_visits_that_were_are_nobodys_debt(now):
    at, opened, _who, row = a_visit()
    lose(Message.id.is_not(None))
    now.at(opened.session.starts_at - timedelta(hours=1))
    found = sweep(at.id)
    assert found.put and {one.kind for one in letters()} == {"confirmed"}, "no reminder is put late"
    lose(Message.id.is_not(None))
    now.at(row.starts_at + timedelta(minutes=1))
    assert sweep(at.id).put == 0


def test_an_address_that_came_later_is_no_missing_letter():
    at, _opened, who, _row = a_visit(factory.person("赵安宁"))
    with transaction() as session:
        known = {"email": "zhao@example.org", "email_verified_at": factory.now()}
        session.execute(update(Account).where(Account.id == who.account.id).values(**known))
    assert sweep(at.id).lacking == 0
    lose(Message.kind == "confirmed")
    assert reconcile().put == 3, "lost altogether, it goes to every address there is now"


def test_somebody_who_was_added_later_is_told():
    _at, _opened, who, _row = a_visit(factory.person("赵安宁"))
    phone = factory.invented_phone()
    with transaction() as session:
        values = {"phone": phone, "phone_hash": blind_index("phone", phone)}
        session.execute(update(Patient).where(Patient.id == who.patient.id).values(**values))
    reconcile()
    assert {(one.recipient, one.channel) for one in letters(repaired=True)} == {("patient", "sms")}


def test_what_is_not_told_is_not_owed(now):
    """A check-in puts no letters, and whoever is there needs no reminder."""
    at, opened, _who, row = a_visit()
    now.at(opened.session.starts_at - timedelta(minutes=30))
    check_in(at.id, row.id, actor=staff(at))
    lose(Message.id.is_not(None))
    assert (reconcile().put, sweep(at.id).put) == (0, 0)


def test_a_monitor_is_told_of_visits_the_ledger_knows_nothing_of():
    at, opened, _who, _row = a_visit()
    guest = factory.person("钱多多")
    factory.booked(at, opened, guest, slot=1, account_id=None)
    assert without_letters(at.id) == 0, "nobody to tell: no account, no phone"
    lose(Message.id.is_not(None))
    assert without_letters(at.id) == 1
    assert without_letters(factory.clinic().id) == 0
    reconcile()
    assert without_letters(at.id) == 0


def test_two_at_once_put_it_once():
    at, _opened, _who, row = a_visit()
    gone = lose(Message.kind == "confirmed")
    with transaction() as session:  # somebody else is quicker between the look and the repair
        found = reconciling._told(session, at.id, [row.id])
        assert found
    assert reconciling._repair(at.id, row.id) == len(gone)
    assert reconciling._repair(at.id, row.id) == 0
    assert repaired() == gone


def test_every_date_has_its_turn(now):
    at, opened, _who, row = a_visit()
    lose(Message.kind == "confirmed")
    now.shift(minutes=1)
    seen = set()
    for _ in range(6):
        seen.add(reconciling._turn(at.id, "Asia/Shanghai"))
        now.shift(seconds=reconciling.SWEEP.total_seconds())
    assert row.visit_date in seen and len(seen) == len(reconciling._dates(at.id, "Asia/Shanghai"))
    assert opened.session.local_date == row.visit_date


def test_a_sweep_tells_how_far_it_is_and_begins_where_it_is_told():
    at, _opened, _who, row = a_visit()
    lose(Message.kind == "confirmed")
    said = []
    assert sweep(at.id, since=row.visit_date + timedelta(days=1), say=lambda *one: said.append(one)).put == 0
    assert said == []
    assert sweep(at.id, repair=False, say=lambda *one: said.append(one)).lacking == 1
    assert said[-1] == (at.hospital.slug, row.visit_date, 1, 0)
    assert letters(kind="confirmed") == []


def test_a_large_date_is_read_in_batches(monkeypatch):
    monkeypatch.setattr(reconciling, "BATCH", 2)
    at = factory.clinic()
    opened = factory.open_session(at, places=5, slot_minutes=120)
    for number in range(5):
        row = factory.booked(at, opened, factory.person(), visit_code=f"1000000{number}")
        policy = at.policy
        with transaction() as session:
            tell(session, row, "confirmed", policy=policy, now=factory.now())
    gone = lose(Message.kind == "confirmed")
    found = sweep(at.id)
    assert (found.looked_at, found.lacking, found.put) == (5, 5, len(gone))
    db.session.rollback()


def test_a_monitor_is_not_told_of_changes_that_owe_no_letter(now):
    at, opened, _who, row = a_visit()
    guest = factory.person("钱多多")
    coming = book(at, opened, guest, slot=1, holder="g")
    now.at(opened.session.starts_at - timedelta(minutes=5))
    confirm_coming(at.id, coming.id, actor=as_account(guest))
    check_in(at.id, row.id, actor=staff(at))
    undo_check_in(at.id, row.id, actor=staff(at), reason="扫错了凭条")
    lose(Message.id.is_not(None))
    assert without_letters(at.id) == 0
