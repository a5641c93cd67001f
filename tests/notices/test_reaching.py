"""Whether a letter may go when its time comes: consent, quiet hours, verified addresses, receipts; and in which language."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta

import pytest
from sqlalchemy import update

from booking import outbox
from booking.appointments.cancel import cancel
from booking.appointments.reserve import confirm, hold
from booking.appointments.stop import stop_session
from booking.claims import Claimed
from booking.clock import utc
from booking.db import transaction
from booking.directory.models import ClinicKind, Hospital, Policy
from booking.notices.reply_rules import reply_code
from booking.notices.service import send_due
from booking.notices.writing import Written, write
from booking.outbox import Message
from booking.people.models import Account, Patient
from booking.staff.rules import Actor
from tests import factory
from tests.notices.posting import booked, letters, only, post, states

ZONE = "Asia/Shanghai"
OPTIONAL = ["reminder_day", "reminder_hours", "preparation"]


@pytest.fixture(autouse=True)
def demo_page(app):
    """What would leave the building lands on the demo's page."""
    app.config.update(DEMO=True)


def set_to(model, *where, **values):
    with transaction() as session:
        session.execute(update(model).where(*where).values(**values))


def staff(hospital_id: int) -> Actor:
    return Actor("admin", "staff-1", "何予", hospital_id=hospital_id)


def ends(kind: str) -> dict[tuple[str, str], str]:
    """How the letters of a kind ended: {(channel, recipient): status}."""
    return {(letter.channel, letter.recipient): letter.status for letter in letters(kind=kind)}


def wrote(letter):
    """Write a letter as the worker that had claimed it would: its address and its text."""
    (written,) = write([Claimed(**{name: getattr(letter, name) for name in Claimed.__dataclass_fields__})])
    assert isinstance(written, Written), written
    return written.address, written.letter


@pytest.fixture
def prepared(within):
    """A booked visit with something to prepare, of somebody with every address; nothing put yet."""
    (row,) = booked(email="li@example.org", own_phone="+8613800139002")
    set_to(ClinicKind, preparation="空腹来")
    return row


# --- consent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIONAL)
def test_either_may_switch_reminders_off(prepared, kind):
    set_to(Account, reminders_on=False)
    post(prepared, kind, channels=("app", "sms", "email"))
    post(prepared, kind, channels=("sms",), recipient="patient")
    send_due()
    assert ends(kind) == {
        ("app", "account"): "suppressed",
        ("sms", "account"): "suppressed",
        ("email", "account"): "suppressed",
        ("sms", "patient"): "accepted",
    }


def test_the_patient_may_switch_off_what_the_booker_keeps(prepared):
    set_to(Patient, reminders_on=False)
    post(prepared, "reminder_day", channels=("sms",))
    post(prepared, "reminder_day", channels=("sms",), recipient="patient")
    send_due()
    assert ends("reminder_day") == {("sms", "account"): "accepted", ("sms", "patient"): "suppressed"}


@pytest.mark.parametrize("kind", OPTIONAL)
def test_a_quiet_channel_gets_no_reminders_and_the_others_do(prepared, kind):
    set_to(Account, quiet_channels=["sms"])
    post(prepared, kind, channels=("app", "sms", "email"))
    send_due()
    assert ends(kind) == {
        ("app", "account"): "delivered",
        ("sms", "account"): "suppressed",
        ("email", "account"): "accepted",
    }


def test_switching_them_on_again_counts_for_what_was_booked_before(prepared):
    set_to(Account, reminders_on=False)
    post(prepared, "reminder_day", channels=("sms",), due_in=timedelta(hours=1))
    set_to(Account, reminders_on=True)
    set_to(Message, next_at=factory.now())
    send_due()
    assert only(kind="reminder_day").status == "accepted"


def test_reminders_off_never_silence_a_stop_a_move_or_a_cancellation(within):
    clinic = factory.clinic()
    opened = factory.open_session(clinic)
    who = factory.person(email="li@example.org", own_phone="+8613800139002")
    set_to(Account, reminders_on=False, quiet_channels=["app", "sms", "email"])
    set_to(Patient, reminders_on=False)
    actor = Actor("account", str(who.id), account_id=who.id)
    held = hold(clinic.id, opened.slots[0].id, holder="h", actor=actor)
    confirm(clinic.id, held.id, holder="h", actor=actor, patient_id=who.patient.id)
    stop_session(clinic.id, opened.id, actor=staff(clinic.id), reason="医生临时有急诊手术")
    send_due()
    assert ends("stopped") == {
        ("app", "account"): "delivered",
        ("sms", "account"): "accepted",
        ("email", "account"): "accepted",
        ("sms", "patient"): "accepted",
    }


@pytest.mark.parametrize("kind", ["confirmed", "moved"])
def test_what_is_no_reminder_goes_although_reminders_are_off(prepared, kind):
    set_to(Account, reminders_on=False, quiet_channels=["sms"])
    facts = {"from": {"visit_date": "2026-11-24", "starts_local": "10:00", "part": "上午"}}
    post(prepared, kind, channels=("sms",), facts=facts)
    send_due()
    assert only(kind=kind).status == "accepted"


# --- addresses -------------------------------------------------------------------------------------------------------


def test_an_address_nobody_confirmed_gets_no_letter(prepared):
    set_to(Account, email_verified_at=None)
    post(prepared, "confirmed", channels=("email",))
    send_due()
    letter = only(channel="email")
    assert (letter.status, letter.last_error) == ("suppressed", "no verified e-mail address")


# --- quiet hours -----------------------------------------------------------------------------------------------------


def at_night(now, row) -> datetime:
    """Give the hospital a night, move the clock to 23:00 before the visit; return when the quiet hours end."""
    set_to(Policy, quiet_from=time(22), quiet_to=time(7))
    night = row.visit_date - timedelta(days=1)
    now.at(utc(night, time(23), ZONE))
    return utc(row.visit_date, time(7), ZONE)


@pytest.mark.parametrize("kind", OPTIONAL)
def test_a_reminder_that_was_held_up_waits_for_the_morning(prepared, now, kind):
    post(prepared, kind, channels=("app", "sms"), lives=timedelta(days=5))
    morning = at_night(now, prepared)
    send_due()
    assert only(channel="app").status == "delivered", "a letter on the page wakes nobody"
    held_up = only(channel="sms")
    assert (held_up.status, held_up.next_at) == ("waiting", morning)
    now.at(morning + timedelta(seconds=1))
    send_due()
    assert only(channel="sms").status == "accepted"


def test_a_reminder_that_is_useless_by_the_morning_ends(prepared, now):
    night = utc(prepared.visit_date - timedelta(days=1), time(23), ZONE)
    post(prepared, "reminder_day", channels=("sms",), lives=night + timedelta(hours=2) - factory.now())
    at_night(now, prepared)
    send_due()
    assert only(channel="sms").status == "expired"


@pytest.mark.parametrize("kind", ["cancelled", "confirmed"])
def test_what_must_be_known_goes_at_night_too(prepared, now, kind):
    at_night(now, prepared)
    if kind == "cancelled":
        cancel(prepared.hospital_id, prepared.id, actor=staff(prepared.hospital_id))
    else:
        post(prepared, kind, channels=("sms",))
    send_due()
    assert {letter.status for letter in letters(kind=kind, channel="sms")} == {"accepted"}


# --- how to prepare --------------------------------------------------------------------------------------------------


def test_nothing_is_told_when_there_is_nothing_to_prepare_any_more(prepared):
    post(prepared, "preparation", channels=("sms",))
    set_to(ClinicKind, preparation=" ")
    send_due()
    assert only(kind="preparation").status == "superseded"


# --- the telephone ---------------------------------------------------------------------------------------------------


@pytest.fixture
def rung(within, now):
    """A stop told at once, with both phones to be rung; the clock stands where they are."""
    outbox.offer(["voice"])
    clinic = factory.clinic()
    opened = factory.open_session(clinic, on=factory.now().date() + timedelta(days=3))
    who = factory.person(own_phone="+8613800139002")
    now.at(utc(opened.session.local_date - timedelta(days=2), time(10), ZONE))
    actor = Actor("account", str(who.id), account_id=who.id)
    held = hold(clinic.id, opened.slots[0].id, holder="h", actor=actor)
    confirm(clinic.id, held.id, holder="h", actor=actor, patient_id=who.patient.id)
    stop_session(clinic.id, opened.id, actor=staff(clinic.id), reason="医生临时有急诊手术")
    outbox.offer([])
    send_due()
    assert states(kind="stopped", channel="voice") == {"waiting": 2}
    yield lambda: now.at(utc(opened.session.local_date - timedelta(days=2), time(10, 10, 1), ZONE))


def test_nobody_is_rung_whom_the_short_message_reached(rung):
    reached = only(kind="stopped", channel="sms", recipient="account")
    set_to(Message, Message.id == reached.id, status="delivered")
    rung()
    send_due()
    ended = {letter.recipient: letter.status for letter in letters(kind="stopped", channel="voice")}
    assert ended["account"] == "superseded"
    assert ended["patient"] == "suppressed", "wanted; these tests have no voice provider"
    assert "voice provider" in only(channel="voice", recipient="patient").last_error


def test_what_the_telephone_says_is_written_from_the_newest_rows(rung):
    letter = only(kind="stopped", channel="voice", recipient="patient")
    address, said = wrote(letter)
    assert address == "+8613800139002"
    assert "停诊" in said.text and "姓李的就诊人" in said.text and "秋禾" not in said.text


def test_a_mail_never_holds_up_what_is_urgent(rung):
    rows = letters(kind="stopped")
    at_once = {letter.due_at for letter in rows if letter.channel in ("app", "sms")}
    assert len(at_once) == 1
    assert {letter.due_at for letter in rows if letter.channel == "voice"} == {
        at_once.pop() + timedelta(minutes=10)
    }


# --- the hospital's own system ---------------------------------------------------------------------------------------


def test_the_hospital_is_told_the_newest_state_once_a_change_overtook_another(within):
    """The letters themselves are tried against a listening server in test_carriers."""
    (row,) = booked()
    set_to(Hospital, webhook_url="https://his.example.org/hook")
    post(row, "confirmed", channels=("webhook",), recipient="hospital")
    cancel(row.hospital_id, row.id, actor=staff(row.hospital_id))
    assert {one.kind: one.status for one in letters(channel="webhook")} == {
        "confirmed": "superseded",
        "cancelled": "waiting",
    }
    said = json.loads(wrote(only(channel="webhook", kind="cancelled"))[1].text)
    assert (said["type"], said["data"]["status"]) == ("appointment.cancelled", "cancelled")


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_reminder_carries_the_digits_of_the_phone_it_goes_to(app, prepared):
    app.config.update(SMS_REPLIES=True)
    post(prepared, "reminder_day", channels=("sms",))
    post(prepared, "reminder_day", channels=("sms",), recipient="patient")
    said = {one.recipient: wrote(one)[1].text for one in letters(kind="reminder_day")}
    with transaction() as session:
        booker = session.get(Account, prepared.account_id)
        patient = session.get(Patient, prepared.patient_id)
    digits = {reply_code(prepared.id, person.phone_hash) for person in (booker, patient)}
    assert len(digits) == 2
    assert f"回 T{reply_code(prepared.id, booker.phone_hash)}" in said["account"]
    assert f"回 T{reply_code(prepared.id, patient.phone_hash)}" in said["patient"]
    app.config.update(SMS_REPLIES=False)
    assert "回复" not in wrote(only(kind="reminder_day", recipient="patient"))[1].text


# --- language --------------------------------------------------------------------------------------------------------


def test_everybody_is_written_to_in_their_language(prepared):
    set_to(Account, language="en")
    post(prepared, "confirmed", channels=("app", "sms", "email"))
    post(prepared, "confirmed", channels=("sms",), recipient="patient")
    said = {(one.channel, one.recipient): wrote(one)[1].text for one in letters(kind="confirmed")}
    assert "Visit code: 1000 0000" in said[("app", "account")]
    assert "booked, code 1000 0000" in said[("sms", "account")]
    assert "This letter was sent by" in said[("email", "account")]
    assert "预约码 1000 0000" in said[("sms", "patient")]


def test_a_language_we_do_not_write_is_chinese(prepared):
    set_to(Account, language="fr")
    post(prepared, "confirmed", channels=("sms",))
    assert "预约码" in wrote(only(channel="sms"))[1].text
