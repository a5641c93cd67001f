"""Booking at the desk through its pages, without script: session, time, patient, confirm, code; 加号; a new patient."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.db import db, transaction
from booking.schedule.desk_slots import free_by_channel
from booking.schedule.models import Place
from tests import factory
from tests.doors.desk_people import HOSTILE, row_counts, seat, text_of
from tests.doors.visitor import hidden
from tests.invariants import broken
from tests.verbs.test_at_desk import ID, known

pytestmark = pytest.mark.usefixtures("within")


def visits():
    db.session.rollback()
    return db.session.scalars(select(Appointment)).all()


def test_a_caller_is_booked_from_the_session_to_the_code_read_aloud(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=3, channels={"phone": 1})
    who = known(at, "沈小满")
    desk = seat(app, at, "desk")
    first = desk.get("/staff/book").get_data(as_text=True)
    assert f"/staff/sessions/{opened.id}/book" in first
    times = desk.get(f"/staff/sessions/{opened.id}/book")
    assert "08:30–09:00，网上 2，电话 1，选这个时间" in times.get_data(as_text=True)
    slot = opened.slots[0].id
    typed = who.patient.phone.removeprefix("+86")
    found = desk.post(f"/staff/slots/{slot}/book", {"q": typed}).get_data(as_text=True)
    page = f"/staff/slots/{slot}/book/{who.patient.id}"
    assert page in found and "沈*满" in found
    assert re.search(r"沈小满，女，\d+ 岁", text_of(desk.get(page)))
    refused = desk.post(page, {"via": ""})
    assert refused.status_code == 422 and "请选择来电还是在现场" in text_of(refused)
    done = desk.post(page, {"via": "phone", "key": "k1"})
    assert done.status_code == 303
    (row,) = visits()
    assert db.session.get(Place, (at.id, row.place_id)).channel == "phone"
    shown = text_of(desk.get(done.headers["Location"]))
    assert f"{row.visit_code[:4]} {row.visit_code[4:]}" in shown and "预约好了" in shown
    again = desk.post(page, {"via": "phone", "key": "k1"})
    assert again.headers["Location"] == done.headers["Location"], "a second press is harmless"
    history = text_of(desk.get(f"/staff/appointment/{row.id}"))
    assert "医院代约" in history and "分诊台" in history
    assert not broken()


def test_a_form_sent_again_with_something_else_gets_a_number_of_its_own_for_the_next_press(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=2)
    desk, slot = seat(app, at, "desk"), opened.slots[0].id
    added = {"via": "desk", "owner": "doctor", "reason": "复查结果异常"}
    for kind, fields in (("book", {"via": "desk"}), ("extra", added)):
        first, second = known(at), known(at)
        desk.post(f"/staff/slots/{slot}/{kind}/{first.patient.id}", fields | {"key": f"k-{kind}"})
        page = f"/staff/slots/{slot}/{kind}/{second.patient.id}"
        refused = desk.post(page, fields | {"key": f"k-{kind}"})
        assert refused.status_code == 422 and "内容不同" in text_of(refused), kind
        fresh = hidden(refused, "key")
        assert fresh and fresh != f"k-{kind}"
        again = desk.post(page, fields | {"key": fresh})
        assert again.status_code == 303, kind


def test_a_full_slot_asks_for_a_reason_or_an_added_number(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    slot = opened.slots[0].id
    desk = seat(app, at, "desk")
    first, second = known(at), known(at)
    desk.post(f"/staff/slots/{slot}/book/{first.patient.id}", {"via": "desk"})
    full = desk.post(f"/staff/slots/{slot}/book/{second.patient.id}", {"via": "desk"})
    assert full.status_code == 409 and "由医生同意后加号" in text_of(full) and 'name="override"' in full.text
    page = f"/staff/slots/{slot}/extra/{second.patient.id}"
    wrong = desk.post(page, {"via": "desk"})
    assert wrong.status_code == 422 and "请选择是谁同意加号的" in text_of(wrong)
    done = desk.post(page, {"via": "desk", "owner": "doctor", "reason": "复查结果异常"})
    assert done.status_code == 303 and "加号预约好了" in text_of(desk.get(done.headers["Location"]))
    assert sorted(row.kind for row in visits()) == ["desk", "extra"]
    assert "含加号 1" in text_of(desk.get(f"/staff/sessions/{opened.id}/book"))
    assert not broken()


def test_a_new_patient_is_entered_on_the_way_and_a_known_one_is_offered(app):
    at = factory.clinic()
    opened = factory.open_session(at)
    desk = seat(app, at, "desk")
    page = f"/staff/slots/{opened.slots[0].id}/patient"
    wrong = desk.post(page, {"name": "王若兰", "id_type": "resident", "id_number": ID})
    assert wrong.status_code == 422 and "请勾选同意" in text_of(wrong) and "王若兰" in wrong.text
    fields = {"name": "王若兰", "id_type": "resident", "id_number": ID, "phone": "13800130001"}
    fields |= {"consent_id": "y", "consent_health": "y", "id_seen": "y"}
    made = desk.post(page, fields)
    assert made.status_code == 303 and re.search(r"/book/\d+$", made.headers["Location"])
    known_now = desk.post(page, fields)
    assert known_now.status_code == 409 and made.headers["Location"] in known_now.text


def test_patients_and_slots_of_another_hospital_do_not_exist(app):
    at, elsewhere = factory.clinic(), factory.clinic()
    opened, theirs = factory.open_session(at), factory.open_session(elsewhere)
    stranger = known(elsewhere)
    desk = seat(app, at, "desk")
    typed = stranger.patient.phone.removeprefix("+86")
    slot = opened.slots[0].id
    assert "本院没有找到" in text_of(desk.post(f"/staff/slots/{slot}/book", {"q": typed}))
    for path in (
        f"/staff/slots/{slot}/book/{stranger.patient.id}",
        f"/staff/slots/{slot}/extra/{stranger.patient.id}",
        f"/staff/slots/{theirs.slots[0].id}/book",
        f"/staff/sessions/{theirs.id}/book",
    ):
        assert desk.get(path).status_code == 404, path


def test_a_patients_number_is_posted_and_never_looked_up_from_an_address(app):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = known(at, "沈小满")
    desk = seat(app, at, "desk")
    page = f"/staff/slots/{opened.slots[0].id}/book"
    typed = who.patient.phone.removeprefix("+86")
    asked = desk.get(page, query_string={"q": typed}).get_data(as_text=True)
    assert f'value="{typed}"' not in asked and "沈*满" not in asked
    assert 'method="post" role="search"' in asked
    assert desk.send(page, {"q": typed}).status_code == 400, "without the page's token nothing is looked up"
    found = desk.post(page, {"q": typed})
    assert found.status_code == 200 and "沈*满" in found.get_data(as_text=True)


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 16, "9" * 19, "9" * 40])
def test_a_patients_id_of_any_size_is_at_most_not_found(app, number):
    at = factory.clinic()
    slot = factory.open_session(at).slots[0].id
    desk = seat(app, at, "desk")
    for step in ("book", "extra"):
        assert desk.get(f"/staff/slots/{slot}/{step}/{number}").status_code == 404, step


def test_the_slip_names_no_deadline_that_has_passed_and_reads_aloud_only_a_visit_that_stands(app, now):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = factory.booked(at, opened, known(at))
    page = f"/staff/appointment/{row.id}/done"
    shown = text_of(seat(app, at, "desk").get(page))
    assert "最晚取消" in shown and "请把预约码念给患者" in shown
    gone = factory.booked(at, opened, known(at), status="cancelled", visit_code="48271937")
    shown = text_of(seat(app, at, "desk").get(f"/staff/appointment/{gone.id}/done"))
    assert "已取消" in shown and "最晚取消" not in shown
    assert "念给患者" not in shown and "预约好了" not in shown
    now.shift(days=2)
    shown = text_of(seat(app, at, "desk").get(page))
    assert "最晚取消" not in shown and "请把预约码念给患者" in shown


def test_places_that_rest_or_open_later_are_not_counted_as_booked(app):
    at = factory.clinic()
    opened = factory.open_session(at, places=4)
    factory.booked(at, opened, known(at))
    slot = opened.slots[0].id
    with transaction() as session:
        free = session.scalars(
            select(Place)
            .where(Place.slot_id == slot, Place.appointment_id.is_(None))
            .order_by(Place.position)
        ).all()
        free[0].rests_until = factory.now() + timedelta(hours=1)
        free[1].opens_at = factory.now() + timedelta(hours=1)
    line = next(one for one in free_by_channel(at.id, opened.id, factory.now()) if one.id == slot)
    assert (line.taken, line.left) == (1, 1)


@pytest.mark.parametrize("role", ["scheduler", "doctor"])
def test_who_may_not_book_sees_neither_pages_nor_the_way_there(app, role):
    at = factory.clinic()
    opened = factory.open_session(at)
    desk = seat(app, at, role)
    assert desk.get("/staff/book").status_code == 403
    assert "/staff/book" not in desk.get("/staff/", follow_redirects=True).text
    assert desk.get(f"/staff/slots/{opened.slots[0].id}/book").status_code == 403


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_values_nobody_means_change_nothing(app):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = known(at)
    desk = seat(app, at, "admin")
    slot = opened.slots[0].id
    before = row_counts()
    for value in HOSTILE:
        search = desk.post(f"/staff/slots/{slot}/book", {"q": value.encode("utf-8", "replace")})
        assert search.status_code in (200, 400), repr(value)
        for page, fields in (
            (f"/staff/slots/{slot}/book/{who.patient.id}", {"via": value}),
            (f"/staff/slots/{slot}/extra/{who.patient.id}", {"owner": value, "via": "desk", "reason": "x"}),
            (f"/staff/slots/{slot}/patient", {"name": value, "id_type": value, "birth_date": value}),
        ):
            fields = {name: text.encode("utf-8", "replace") for name, text in fields.items()}
            assert desk.post(page, fields).status_code in (400, 422), (page, repr(value))
    assert row_counts() == before
