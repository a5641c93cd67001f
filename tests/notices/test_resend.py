"""Sending again: only what failed and is still true, as a letter of its own, once."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from booking.appointments.cancel import cancel
from booking.appointments.move import move
from booking.db import db, transaction
from booking.errors import NotAllowed, NotFound
from booking.notices.resend import NoLongerTrue, NotFailed, resend
from booking.notices.service import send_due
from booking.outbox import Message
from booking.staff.models import AuditEvent
from tests import factory
from tests.notices.posting import letters, only
from tests.notices.test_calls import a_visit, ended, staff
from tests.verbs.test_reserve import as_account

pytestmark = pytest.mark.usefixtures("within")


def failed(kind="confirmed", status="failed"):
    at, opened, who, row = a_visit()
    with transaction() as session:
        session.execute(
            update(Message)
            .where(Message.appointment_id == row.id, Message.kind == kind, Message.channel == "sms")
            .values(status=status, attempts=1, last_error="gateway answered 422", next_at=factory.now())
        )
    return at, opened, who, row, only(kind=kind, channel="sms", appointment_id=row.id)


@pytest.mark.parametrize("status", ["failed", "expired"])
def test_a_failed_letter_goes_out_once_more_as_another_one(status):
    at, _opened, _who, row, letter = failed(status=status)
    assert resend(at.id, letter.id, actor=staff(at)) is True
    assert resend(at.id, letter.id, actor=staff(at)) is False, "a second click sends nothing more"
    old, again = letters(kind="confirmed", channel="sms")
    assert (old.id, old.status, old.attempts) == (letter.id, status, 1)
    assert again.id != old.id and again.dedupe_key == f"{old.dedupe_key}:again"
    assert (again.status, again.attempts, again.last_error, again.repaired) == ("waiting", 0, "", False)
    assert (again.appointment_id, again.version, again.recipient, again.facts) == (
        row.id,
        old.version,
        old.recipient,
        old.facts,
    )
    (trail,) = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "resend"))
    assert (trail.object_id, trail.actor_name) == (row.id, "何予")
    assert trail.change["letter"] == old.id.hex and trail.change["again"] == again.id.hex


def test_one_that_failed_again_may_be_sent_again():
    at, _opened, _who, row, letter = failed()
    resend(at.id, letter.id, actor=staff(at))
    ended(row, "failed")
    second = next(one for one in letters(kind="confirmed", channel="sms") if one.id != letter.id)
    assert resend(at.id, second.id, actor=staff(at)) is True
    assert letters(kind="confirmed", channel="sms")[-1].dedupe_key.endswith(":again:again")


@pytest.mark.parametrize(
    "status", ["waiting", "sending", "accepted", "delivered", "superseded", "suppressed"]
)
def test_what_did_not_fail_is_not_sent_again(status):
    at, _opened, _who, _row, letter = failed()
    with transaction() as session:
        session.execute(
            update(Message).where(Message.id == letter.id).values(status=status, lease_until=factory.now())
        )
    with pytest.raises(NotFailed):
        resend(at.id, letter.id, actor=staff(at))
    assert len(letters(kind="confirmed", channel="sms")) == 1


def test_what_is_no_longer_true_is_not_sent_again(now):
    at, opened, who, row, letter = failed()
    move(at.id, row.id, opened.slots[1].id, actor=as_account(who))
    with pytest.raises(NoLongerTrue):
        resend(at.id, letter.id, actor=staff(at))
    cancel(at.id, row.id, actor=as_account(who))
    with pytest.raises(NoLongerTrue):
        resend(at.id, letter.id, actor=staff(at))
    assert len(letters(kind="confirmed", channel="sms")) == 1
    at, opened, _who, _row, letter = failed()
    now.at(opened.session.starts_at)
    with pytest.raises(NoLongerTrue):
        resend(at.id, letter.id, actor=staff(at))


def test_a_letter_sent_again_says_what_is_so_now_and_is_dropped_when_that_changes():
    at, _opened, who, row, letter = failed()
    resend(at.id, letter.id, actor=staff(at))
    cancel(at.id, row.id, actor=as_account(who))
    again = next(one for one in letters(kind="confirmed", channel="sms") if one.id != letter.id)
    assert again.status == "superseded"
    send_due()
    assert {one.status for one in letters(kind="confirmed", channel="sms")} == {"failed", "superseded"}


def test_who_may_send_again():
    at, _opened, _who, _row, letter = failed()
    other = factory.clinic()
    for actor in (staff(at, "scheduler"), staff(at, "doctor"), staff(other)):
        with pytest.raises(NotAllowed):
            resend(at.id, letter.id, actor=actor)
    with pytest.raises(NotFound):
        resend(other.id, letter.id, actor=staff(other))
    assert len(letters(kind="confirmed", channel="sms")) == 1
