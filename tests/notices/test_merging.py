"""Several visits of one patient on one day: one reminder tells them all, once, whatever happens to workers and letters."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta

import pytest
from sqlalchemy import update

from booking.claims import claim_due
from booking.db import db, new_id, transaction
from booking.directory.models import Campus, Practice
from booking.notices.merging import WAITS
from booking.notices.queries import messages_about
from booking.notices.service import send_due
from booking.notices.writing import WANTED, Written, write
from booking.outbox import Message
from booking.people.models import Account
from booking.refs import ref
from tests import factory, far_ends
from tests.doors.desk_people import seat, text_of
from tests.doors.test_no_shows import Patient
from tests.faults.test_sending_killed import child
from tests.notices.posting import change, letters, only, post, states

NO_QUIET = {"quiet_from": time(0), "quiet_to": time(0)}


@pytest.fixture
def gateway(app):
    with far_ends.sms_gateway() as gateway:
        app.config.update(
            SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="key-of-a-test", SEND_TIMEOUT_SECONDS=5
        )
        yield gateway


@pytest.fixture
def clinic(within):
    return factory.clinic(policy=NO_QUIET)


def day_of(clinic, who, visits: int = 2, *, on=None, kind: str = "reminder_day", **more):
    """Book so many visits of somebody on one day, each with another doctor, and put their reminders; return them."""
    rows = []
    for number in range(visits):
        seen = factory.another_doctor(clinic, name=f"医生{number}")
        opened = factory.open_session(seen, on=on, starts=time(8 + number, 30), ends=time(9 + number, 30))
        code = f"{10000000 + new_id().int % 80000000}"
        rows.append(factory.booked(seen, opened, who, visit_code=code))
    for row in rows:
        post(row, kind, channels=("sms",), **more)
    return rows


def as_it_stands(letter: Message, **columns) -> None:
    with transaction() as session:
        session.execute(update(Message).where(Message.id == letter.id).values(**columns))


def said(gateway) -> list[str]:
    return [call["text"] for call in gateway.calls]


def test_two_visits_of_a_day_are_one_message_that_names_both(clinic, gateway):
    first, second = day_of(clinic, factory.person())
    send_due()
    (text,) = said(gateway)
    for row in (first, second):
        assert f"{row.visit_code[:4]} {row.visit_code[4:]}" in text
    assert "有 2 次就诊" in text and "08:30" in text and "09:30" in text and "李*" in text
    carrier, taken = only(appointment_id=first.id), only(appointment_id=second.id)
    assert (carrier.status, taken.status, taken.merged_into) == ("accepted", "superseded", carrier.id)
    assert send_due() == 0


def test_both_visits_show_the_reminder_that_told_them_both(app, clinic, gateway):
    who = factory.person()
    first, second = day_of(clinic, who)
    send_due()
    visitor, desk = Patient(app, who), seat(app, clinic, "desk")
    for row, beside in ((first, False), (second, True)):
        for page in (
            visitor.get(f"/me/appointments/{ref(row)}"),
            desk.get(f"/staff/appointment/{row.id}"),
        ):
            shown = text_of(page)
            assert page.status_code == 200 and "就诊提醒（前一天）" in shown
            assert ("和当天的其他预约写在同一条里" in shown) is beside


def test_a_reminder_whose_carrier_never_left_is_not_shown_as_told(clinic, gateway):
    """The visit was cancelled after its reminder was taken along: nobody was told, and nothing says so."""
    first, second = day_of(clinic, factory.person())
    carrier = only(appointment_id=first.id)
    as_it_stands(only(appointment_id=second.id), status="superseded", merged_into=carrier.id)
    assert messages_about(clinic.id, [second.id]) == {second.id: []}
    as_it_stands(carrier, status="delivered", sent_at=factory.now(), lease_until=None)
    db.session.remove()
    (told,) = messages_about(clinic.id, [second.id])[second.id]
    assert (told.status, told.merged) == ("delivered", True)


def test_each_recipient_gets_one_of_their_own(clinic, gateway):
    who = factory.person(own_phone="+8613800139002")
    rows = day_of(clinic, who)
    for row in rows:
        post(row, "reminder_day", channels=("sms",), recipient="patient")
        post(row, "reminder_day", channels=("app",))
    send_due()
    assert len(said(gateway)) == 2 and len({call["to"] for call in gateway.calls}) == 2
    assert all("有 2 次就诊" in text for text in said(gateway))
    (shown,) = letters(channel="app", status="delivered")
    assert shown.subject.startswith("就诊提醒") and "2 次就诊" in shown.subject
    assert states() == {"accepted": 2, "delivered": 1, "superseded": 3}


def test_other_days_other_campuses_and_other_patients_are_told_apart(clinic, gateway):
    who = factory.person()
    (row,) = day_of(clinic, who, 1)
    day_of(clinic, who, 1, on=row.visit_date + timedelta(days=1))
    day_of(clinic, factory.person("周可"), 1)
    with transaction() as session:
        west = Campus(hospital_id=clinic.id, id=new_id(), slug="west", name="西院区")
        session.add(west)
        session.flush()
        session.expunge_all()
    (there,) = day_of(clinic, who, 1, on=row.visit_date)
    with transaction() as session:
        session.execute(
            update(Practice).where(Practice.doctor_id == there.doctor_id).values(campus_id=west.id)
        )
    send_due()
    assert len(said(gateway)) == 4 and not any("次就诊" in text for text in said(gateway))
    assert states() == {"accepted": 4}


def test_what_is_no_reminder_is_never_told_together(clinic, gateway):
    day_of(clinic, factory.person(), kind="confirmed")
    send_due()
    assert len(said(gateway)) == 2 and states() == {"accepted": 2}


def test_a_visit_cancelled_before_is_not_told(clinic, gateway):
    first, second = day_of(clinic, factory.person())
    change(second, status="cancelled")
    send_due()
    (text,) = said(gateway)
    assert "次就诊" not in text and f"{first.visit_code[:4]} {first.visit_code[4:]}" in text
    assert states() == {"accepted": 1, "superseded": 1}


def test_when_the_carriers_own_visit_is_cancelled_the_others_are_still_told(clinic, gateway):
    first, *_rest = day_of(clinic, factory.person(), 3)
    change(first, status="cancelled")
    send_due()
    (text,) = said(gateway)
    assert "有 2 次就诊" in text and f"{first.visit_code[:4]} {first.visit_code[4:]}" not in text
    assert states() == {"accepted": 1, "superseded": 2}


def test_the_later_reminder_of_the_day_is_not_sent_any_more_when_its_own_time_comes(clinic, gateway, now):
    who = factory.person()
    _first, second = day_of(clinic, who, kind="reminder_hours")
    later = only(appointment_id=second.id)
    with transaction() as session:
        due = later.due_at + timedelta(hours=1)
        session.execute(update(Message).where(Message.id == later.id).values(due_at=due, next_at=due))
    send_due()
    (text,) = said(gateway)
    assert "有 2 次就诊" in text
    assert only(appointment_id=second.id).status == "waiting"
    now.shift(hours=1, seconds=1)
    assert send_due() == 0
    assert only(appointment_id=second.id).status == "superseded" and len(said(gateway)) == 1


def test_a_visit_booked_after_the_reminder_went_has_its_own(clinic, gateway):
    who = factory.person()
    day_of(clinic, who, 1)
    send_due()
    day = letters(kind="reminder_day")[0]
    late = factory.another_doctor(clinic, name="周可")
    opened = factory.open_session(late, starts=time(14), ends=time(15), part="下午")
    row = factory.booked(late, opened, who, visit_code="55556666")
    post(row, "reminder_day", channels=("sms",))
    send_due()
    assert [day.status, only(appointment_id=row.id).status] == ["accepted", "accepted"]
    assert "5555 6666" in said(gateway)[1] and "次就诊" not in said(gateway)[1]


def test_when_the_carrier_fails_for_good_the_other_goes_by_itself(clinic, gateway):
    first, second = day_of(clinic, factory.person())
    claimed = claim_due(clinic.id, "sms", "w", 10, wanted=WANTED, waits=WAITS)
    assert [one.appointment_id for one in claimed] == [first.id], "the other waits for it"
    assert isinstance(write(claimed)[0], Written)
    assert only(appointment_id=second.id).merged_into == claimed[0].id
    with transaction() as session:
        session.execute(
            update(Message).where(Message.id == claimed[0].id).values(status="failed", lease_until=None)
        )
    send_due()
    (text,) = said(gateway)
    assert f"{second.visit_code[:4]} {second.visit_code[4:]}" in text and "次就诊" not in text


def test_reminders_switched_off_end_all_of_the_day(clinic, gateway):
    day_of(clinic, factory.person(), 3)
    with transaction() as session:
        session.execute(update(Account).values(reminders_on=False))
    send_due()
    assert states() == {"suppressed": 3} and not said(gateway)


def test_a_trouble_of_the_gateway_delays_all_and_doubles_none(clinic, gateway, now):
    day_of(clinic, factory.person(), 3)
    gateway.mode = "500"
    send_due()
    gateway.mode = "ok"
    now.shift(minutes=20)
    send_due()
    assert len(gateway.phones) == 1 and states() == {"accepted": 1, "superseded": 2}


def test_many_workers_at_once_tell_every_day_once(app, within, gateway):
    clinic = factory.clinic(policy=NO_QUIET)
    people = [factory.person() for _ in range(12)]
    for who in people:
        for number in range(3):
            seen = factory.another_doctor(clinic)
            opened = factory.open_session(seen, starts=time(8 + number, 30), ends=time(9 + number, 30))
            row = factory.booked(seen, opened, who, visit_code=f"{10000000 + new_id().int % 80000000}")
            post(row, "reminder_day", channels=("sms",))
    db.session.remove()
    ready = threading.Barrier(4)

    def work(number: int) -> int:
        with app.app_context():
            ready.wait()
            return sum(send_due(f"worker-{number}", limit=5) for _ in range(4))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == len(people)
    assert states() == {"accepted": 12, "superseded": 24}
    told = {}
    for call in gateway.calls:
        told.setdefault(call["to"], []).append(call["text"])
    assert len(told) == 12 and all(len(texts) == 1 for texts in told.values())
    assert all("有 3 次就诊" in texts[0] for texts in told.values())


@pytest.mark.parametrize(("moment", "asked_before"), [("claimed", 0), ("written", 0), ("sent", 1)])
def test_a_worker_killed_at_any_moment_tells_the_day_once(
    app, within, clinic, gateway, now, moment, asked_before
):
    first, second = day_of(clinic, factory.person())
    with child(app, moment) as worker:
        assert worker.stdout.readline() == "here\n"
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    assert sum(gateway.times().values()) == asked_before
    assert send_due("second") == 0, "the other visit's letter still waits for the dead worker's"
    now.shift(seconds=61)
    assert send_due("second") == 1
    assert len(gateway.phones) == 1 and all("有 2 次就诊" in text for text in said(gateway))
    carrier = only(appointment_id=first.id)
    assert carrier.status == "accepted" and carrier.ambiguous == 1
    assert only(appointment_id=second.id).status == "superseded"


def test_a_receipt_that_was_faster_than_its_sender_ends_the_others_too(app, clinic, gateway, now):
    """The worker died after the gateway took the letter; its receipt alone says that the day was told."""
    _first, second = day_of(clinic, factory.person())
    with child(app, "sent") as worker:
        assert worker.stdout.readline() == "here\n"
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    with transaction() as session:
        session.execute(
            update(Message)
            .where(Message.status == "sending")
            .values(status="delivered", sent_at=factory.now(), lease_until=None)
        )
    now.shift(seconds=61)
    assert send_due("second") == 0
    assert only(appointment_id=second.id).status == "superseded" and len(gateway.phones) == 1
