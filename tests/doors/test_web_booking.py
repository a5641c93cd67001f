"""From a time to a kept, moved, cancelled visit, over the patient pages."""

from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from sqlalchemy import func, select, update
from stdnum.iso7064 import mod_11_10

from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in
from booking.appointments.finish import finish
from booking.appointments.models import Appointment
from booking.appointments.stop import reopen_session, stop_session
from booking.db import db, transaction
from booking.directory.models import ClinicKind
from booking.gate import CROWD
from booking.notices.service import send_due
from booking.refs import ref
from booking.schedule.models import Place
from booking.staff.rules import Actor
from tests import factory
from tests.doors.visitor import Visitor, hidden, title

CODE = re.compile(r'<span class="vh">((?:\d ){7}\d)</span>')


@pytest.fixture
def clinic(app):
    with app.app_context():
        return factory.clinic()


@pytest.fixture
def session(app, clinic):
    with app.app_context():
        return factory.open_session(clinic)


@pytest.fixture
def person(app):
    with app.app_context():
        return factory.person()


@pytest.fixture
def visitor(app):
    return Visitor(app)


@pytest.fixture
def patient_visitor(app, person):
    """A returning patient who is signed in."""
    visitor = Visitor(app)
    visitor.sign_in(person.account.phone)
    return visitor


def slot_ref(session, number=0):
    return ref(session.slots[number])


def count(app, *wanted):
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Appointment).where(*wanted))


def book(visitor, session, person, number=0):
    page = visitor.follow(visitor.post("/hold", slot=slot_ref(session, number)))
    key = hidden(page, "request_key")
    path = re.search(r'action="(/book/[^"/]+)"', page.text)[1]
    return visitor.post(path, patient=str(person.patient.id), request_key=key, reminders="y")


def test_a_returning_patient_books_in_two_taps(app, clinic, session, person, patient_visitor):
    held = patient_visitor.post("/hold", slot=slot_ref(session))
    page = patient_visitor.follow(held)
    assert page.status_code == 200
    for words in (
        "确认预约",
        "沈知远",
        "东院区 302 诊室",
        "25 元",
        "李*禾（本人）",
        "前按时取消",
        "为你保留到",
    ):
        assert words in page.text
    assert "checked" in re.search(r'<input[^>]*name="patient"[^>]*>', page.text)[0]
    done = book(patient_visitor, session, person)
    success = patient_visitor.follow(done)
    assert title(success).startswith("预约成功")
    assert "保存到日历" in success.text and CODE.search(success.text)
    assert count(app, Appointment.status == "booked") == 1


def test_a_stranger_signs_in_after_the_hold_and_returns_to_it(app, session, visitor):
    held = visitor.post("/hold", slot=slot_ref(session))
    book_path = held.headers["Location"]
    asked = visitor.get(book_path)
    assert asked.status_code == 303 and asked.headers["Location"] == f"/login?next={book_path}"
    page = visitor.sign_in(to=book_path)
    assert "先添加就诊人" in page.text and "为你保留到" in page.text
    form = visitor.get(f"/me/patients/new?next={book_path}")
    assert "保存后接着确认" in form.text
    added = visitor.post(
        f"/me/patients/new?next={book_path}",
        relation="self",
        name="顾清扬",
        id_type="resident",
        id_number="11010519491231002X",
        consent_id="y",
        consent_health="y",
    )
    assert added.headers["Location"].startswith(f"{book_path}?patient=")
    back = visitor.follow(added)
    assert "顾*扬（本人）" in back.text
    patient = re.search(r'name="patient"[^>]*value="(\d+)"', back.text)[1]
    done = visitor.post(
        book_path, patient=patient, complaint="早上手指僵", request_key=hidden(back, "request_key")
    )
    assert title(visitor.follow(done)).startswith("预约成功")


def test_the_same_time_pressed_twice_is_one_hold(app, session, visitor):
    first = visitor.post("/hold", slot=slot_ref(session))
    second = visitor.post("/hold", slot=slot_ref(session))
    assert first.headers["Location"] == second.headers["Location"]
    assert count(app) == 1


def test_confirming_twice_is_one_appointment_and_both_answers_name_it(app, session, person, patient_visitor):
    page = patient_visitor.follow(patient_visitor.post("/hold", slot=slot_ref(session)))
    path = re.search(r'action="(/book/[^"/]+)"', page.text)[1]
    fields = {"patient": str(person.patient.id), "request_key": hidden(page, "request_key"), "reminders": "y"}
    answers = [patient_visitor.post(path, fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    names = {answer.headers["Location"].split("?")[0] for answer in answers}
    assert len(names) == 1
    assert count(app, Appointment.status == "booked") == 1


def test_a_lost_time_shows_the_day_with_the_nearest_times(app, clinic, person, visitor):
    with app.app_context():
        small = factory.open_session(clinic, places=1)
        factory.booked(clinic, small, person)
    lost = visitor.post("/hold", slot=slot_ref(small))
    assert lost.status_code == 409
    assert title(lost).startswith("错误：")
    assert "08:30 刚被约走了" in lost.text and "最近的时间：" in lost.text
    assert lost.text.count('class="pick"') == 3
    assert "沈知远" in lost.text and "预约须知" in lost.text


def test_a_hold_that_ran_out_keeps_what_was_typed_and_takes_the_time_again(
    app, session, person, patient_visitor, now
):
    page = patient_visitor.follow(patient_visitor.post("/hold", slot=slot_ref(session)))
    path = re.search(r'action="(/book/[^"/]+)"', page.text)[1]
    now.shift(minutes=30)
    assert "保留时间已到" in patient_visitor.get(path).text
    fields = {"patient": str(person.patient.id), "complaint": "手指晨僵两个月"}
    again = patient_visitor.post(path, fields, request_key=hidden(page, "request_key"))
    assert again.status_code == 409
    assert "已重新为你保留，点确认可继续" in again.text and "手指晨僵两个月" in again.text
    fresh = re.search(r'action="(/book/[^"/]+)"', again.text)[1]
    assert fresh != path
    done = patient_visitor.post(fresh, fields, request_key=hidden(again, "request_key"))
    assert title(patient_visitor.follow(done)).startswith("预约成功")


def test_a_hold_that_ran_out_on_a_full_slot_offers_the_nearest(app, clinic, person, patient_visitor, now):
    with app.app_context():
        small = factory.open_session(clinic, places=1)
        other = factory.person("陆明")
    page = patient_visitor.follow(patient_visitor.post("/hold", slot=slot_ref(small)))
    path = re.search(r'action="(/book/[^"/]+)"', page.text)[1]
    now.shift(minutes=30)
    rival = Visitor(app)
    rival.sign_in(other.account.phone)
    assert book(rival, small, other).status_code == 303
    lost = patient_visitor.post(path, patient=str(person.patient.id), request_key="k" * 32)
    assert lost.status_code == 409
    assert "刚被约走了" in lost.text and lost.text.count('class="pick"') == 3
    assert "看其他时间" in lost.text


def test_before_the_release_nothing_can_be_held(app, clinic, visitor, now):
    with app.app_context():
        later = factory.open_session(clinic, release_at=factory.now() + timedelta(days=1))
    refused = visitor.post("/hold", slot=slot_ref(later))
    assert refused.status_code == 409 and "还没有放号" in refused.text
    page = visitor.get(f"/d/{clinic.doctor.slug}?date={later.session.local_date}")
    assert "放号" in page.text and "在这之前任何人都约不到" in page.text
    assert 'class="slot"' not in page.text


def test_right_after_a_release_sign_in_comes_first(app, clinic, visitor):
    with app.app_context():
        fresh = factory.open_session(clinic, release_at=factory.now() - timedelta(minutes=1))
    sent = visitor.post("/hold", slot=slot_ref(fresh))
    assert sent.status_code == 303 and sent.headers["Location"].startswith("/login?next=/d/")


def test_a_stopped_session_says_so_and_sells_nothing(app, clinic, visitor):
    with app.app_context():
        stopped = factory.open_session(clinic, status="stopped")
    assert visitor.post("/hold", slot=slot_ref(stopped)).status_code == 410
    page = visitor.get(f"/d/{clinic.doctor.slug}?date={stopped.session.local_date}")
    assert "本次停诊" in page.text


def test_a_hold_is_shown_only_to_the_browser_that_took_it(app, session, visitor, patient_visitor):
    path = visitor.post("/hold", slot=slot_ref(session)).headers["Location"]
    assert patient_visitor.get(path).status_code == 404
    assert patient_visitor.post(f"{path}/extend").status_code == 404
    assert patient_visitor.post(f"{path}/release").status_code == 404
    assert count(app, Appointment.status == "held") == 1


def test_a_hold_is_extended_once_and_given_back(app, session, person, patient_visitor):
    path = patient_visitor.post("/hold", slot=slot_ref(session)).headers["Location"]
    assert "延长 5 分钟" in patient_visitor.get(path).text
    assert patient_visitor.post(f"{path}/extend").status_code == 303
    assert "延长 5 分钟" not in patient_visitor.get(path).text
    back = patient_visitor.post(f"{path}/release")
    assert back.status_code == 303 and back.headers["Location"].startswith("/d/")
    assert patient_visitor.post(f"{path}/release").status_code == 303
    assert count(app, Appointment.status == "held") == 0


def test_the_picker_and_the_dock_lead_back_to_the_hold(clinic, session, patient_visitor):
    path = patient_visitor.post("/hold", slot=slot_ref(session)).headers["Location"]
    page = patient_visitor.get(f"/d/{clinic.doctor.slug}?date={session.session.local_date}")
    assert page.text.count(path) >= 2 and "保留到" in page.text and "继续确认 08:30" in page.text


def test_a_patient_of_somebody_else_cannot_be_chosen(app, session, patient_visitor):
    with app.app_context():
        other = factory.person("陆明")
    page = patient_visitor.follow(patient_visitor.post("/hold", slot=slot_ref(session)))
    path = re.search(r'action="(/book/[^"/]+)"', page.text)[1]
    refused = patient_visitor.post(path, patient=str(other.patient.id))
    assert refused.status_code == 422 and "请选择就诊人" in refused.text
    assert title(refused).startswith("错误：")
    assert count(app, Appointment.status == "booked") == 0


def test_too_long_a_complaint_is_counted_and_kept(session, person, patient_visitor):
    page = patient_visitor.follow(patient_visitor.post("/hold", slot=slot_ref(session)))
    path = re.search(r'action="(/book/[^"/]+)"', page.text)[1]
    refused = patient_visitor.post(path, patient=str(person.patient.id), complaint="疼" * 213)
    assert refused.status_code == 422
    assert (
        refused.text.count("最多 200 字，现在是 213 字") == 2
    )  # in the summary and at the field, the same words
    assert "疼" * 213 in refused.text


def test_a_second_booking_in_the_same_session_links_to_the_first(app, session, person, patient_visitor):
    first = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    refused = book(patient_visitor, session, person, number=1)
    assert refused.status_code == 409
    assert "李*禾已预约这位医生的这个班次" in refused.text and first in refused.text
    assert count(app, Appointment.status == "booked") == 1


def test_a_visit_elsewhere_at_the_same_hour_is_warned_of(app, session, person, patient_visitor):
    with app.app_context():
        elsewhere = factory.clinic(hospital={"name": "澄江区医院"})
        factory.booked(elsewhere, factory.open_session(elsewhere), person)
    page = patient_visitor.follow(patient_visitor.post("/hold", slot=slot_ref(session)))
    assert "还有澄江区医院的预约，两边时间很近" in page.text


def test_a_visit_is_moved_through_a_page_that_shows_old_and_new(
    app, clinic, session, person, patient_visitor
):
    detail = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    picker = patient_visitor.get(f"{detail}/change")
    assert "改到什么时间？" in picker.text and f'action="{detail}/change"' in picker.text
    chosen = patient_visitor.post(f"{detail}/change", slot=slot_ref(session, 2))
    page = patient_visitor.follow(chosen)
    assert "<s>" in page.text and "08:30" in page.text and "09:30" in page.text
    moved = patient_visitor.post(chosen.headers["Location"], request_key=hidden(page, "request_key"))
    assert title(patient_visitor.follow(moved)).startswith("改约成功")
    with app.app_context():
        row = db.session.scalars(select(Appointment).where(Appointment.status == "booked")).one()
        assert (row.starts_local, row.version) == (time(9, 30), 3)


def test_moving_to_a_full_time_changes_nothing(app, clinic, session, person, patient_visitor):
    with app.app_context():
        full = factory.open_session(clinic, part="下午", starts=time(14), ends=time(15), places=1)
        factory.booked(clinic, full, factory.person("陆明"), visit_code="48271944")
    detail = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    lost = patient_visitor.post(f"{detail}/change/{slot_ref(full)}")
    assert lost.status_code == 409 and "刚被约走了" in lost.text and "改到什么时间" in lost.text
    with app.app_context():
        row = db.session.scalars(select(Appointment).where(Appointment.account_id == person.id)).one()
        assert row.slot_id == session.slots[0].id


def test_cancelling_says_what_it_means_and_is_recorded(app, session, person, patient_visitor):
    detail = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    page = patient_visitor.get(f"{detail}/cancel")
    assert "10 分钟内取消不留记录" in page.text
    assert count(app, Appointment.status == "cancelled") == 0  # a GET changes nothing
    done = patient_visitor.post(f"{detail}/cancel", reason="time", request_key=hidden(page, "request_key"))
    assert "已取消" in patient_visitor.follow(done).text
    assert patient_visitor.post(f"{detail}/cancel", reason="").status_code == 303  # a repeat changes nothing
    with app.app_context():
        row = db.session.scalars(select(Appointment).where(Appointment.status == "cancelled")).one()
        assert (row.cancelled_by, row.cancelled_late, row.cancel_reason) == ("patient", False, "时间不合适")


def test_cancelling_after_the_deadline_is_possible_and_recorded_as_late(
    app, session, person, patient_visitor, now
):
    detail = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    now.at(session.session.starts_at - timedelta(hours=3))
    page = patient_visitor.get(f"{detail}/cancel")
    assert "现在取消会记为临时取消，不算爽约" in page.text
    assert "<dt>最晚取消</dt>" not in patient_visitor.get(detail).text  # never a deadline already past
    patient_visitor.post(f"{detail}/cancel", reason="")
    assert count(app, Appointment.cancelled_late.is_(True)) == 1


def test_somebody_elses_visit_is_not_found(app, session, person, patient_visitor):
    detail = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    with app.app_context():
        other = factory.person("陆明")
    rival = Visitor(app)
    rival.sign_in(other.account.phone)
    for path in ("", "/slip", "/calendar.ics", "/cancel", "/change", f"/change/{slot_ref(session, 1)}"):
        assert rival.get(detail + path).status_code == 404, path
    assert rival.post(f"{detail}/cancel", reason="").status_code == 404
    assert rival.post(f"{detail}/change/{slot_ref(session, 1)}").status_code == 404
    assert count(app, Appointment.status == "booked", Appointment.version == 2) == 1


def test_a_visit_code_and_phone_tail_open_cancel_and_print_but_do_not_move(
    app, clinic, session, person, visitor
):
    with app.app_context():
        factory.booked(clinic, session, person, visit_code="4827193" + mod_11_10.calc_check_digit("4827193"))
        code = db.session.scalars(select(Appointment.visit_code)).one()
    wrong = visitor.post("/find", code=code, tail="0000")
    missing = visitor.post("/find", code="00000000", tail=person.account.phone[-4:])
    sentence = "没有找到。请核对 8 位预约码和手机号后四位"
    assert (wrong.status_code, missing.status_code) == (422, 422)
    assert sentence in wrong.text and sentence in missing.text
    found = visitor.post("/find", code=f"{code[:4]} {code[4:]}", tail=person.account.phone[-4:])
    page = visitor.follow(found)
    detail = found.headers["Location"]
    assert "李*禾" in page.text and "改约" not in page.text and "取消预约" in page.text
    assert visitor.get(f"{detail}/slip").status_code == 200
    assert visitor.get(f"{detail}/change").status_code == 303
    assert visitor.post(f"{detail}/cancel", reason="").status_code == 303
    assert count(app, Appointment.status == "cancelled") == 1


def test_a_visit_of_somebody_else_that_was_found_is_not_moved_by_whoever_is_signed_in(
    app, clinic, session, person, visitor
):
    code = "4827193" + mod_11_10.calc_check_digit("4827193")
    with app.app_context():
        factory.booked(clinic, session, person, visit_code=code)
        other = factory.person("陆明")
    visitor.sign_in(other.account.phone)
    detail = visitor.post("/find", code=code, tail=person.account.phone[-4:]).headers["Location"]
    assert visitor.get(detail).status_code == 200
    assert visitor.get(f"{detail}/change").status_code == 404, (
        "a redirect to the sign-in would lead back for ever"
    )
    assert visitor.post(f"{detail}/change/{slot_ref(session, 1)}").status_code == 404


def test_what_the_desk_wrote_down_about_a_cancellation_stays_at_the_desk(
    app, clinic, session, person, patient_visitor
):
    with app.app_context():
        row = factory.booked(clinic, session, person)
        desk = Actor("desk", "staff-1", "林秋", hospital_id=clinic.id)
        cancel(clinic.id, row.id, actor=desk, reason="患者来电，与家属争执")
    for _ in range(2):  # also when the whole session is stopped afterwards
        page = patient_visitor.get(f"/me/appointments/{ref(row)}").text
        assert "取消了这个预约" in page and "争执" not in page and "停诊，" not in page
        with app.app_context():
            stop_session(
                clinic.id, session.id, actor=Actor("admin", "staff-2", hospital_id=clinic.id), reason="外出"
            )


def test_whoever_has_been_seen_reads_so_and_is_offered_nothing_to_cancel_or_move(
    app, clinic, session, person, patient_visitor, now
):
    now.at(session.slots[0].starts_at - timedelta(minutes=10))
    desk = Actor("desk", "staff-1", "林秋", hospital_id=clinic.id)
    with app.app_context():
        row = factory.booked(clinic, session, person)
        check_in(clinic.id, row.id, actor=desk)
    path = f"/me/appointments/{ref(row)}"
    assert "排队号 1" in patient_visitor.get(path).text
    now.shift(minutes=2)
    with app.app_context():
        finish(clinic.id, row.id, actor=desk)
    page = patient_visitor.get(path).text
    main = page[page.index("<main") :]
    assert "已就诊" in main and "排队号" not in main
    assert f"{path}/cancel" not in main and f"{path}/change" not in main
    tabs = {tab: patient_visitor.get(f"/me/appointments?tab={tab}").text for tab in ("coming", "past")}
    assert path in tabs["past"] and path not in tabs["coming"]
    refused = patient_visitor.post(f"{path}/cancel", reason="", key="k-of-a-test")
    assert refused.status_code == 409 and "已就诊" in refused.text
    with app.app_context():
        assert db.session.get(Appointment, (clinic.id, row.id)).status == "fulfilled"


def test_a_stop_tells_its_reason_also_after_the_session_was_opened_again(
    app, clinic, session, person, patient_visitor
):
    with app.app_context():
        row = factory.booked(clinic, session, person)
        admin = Actor("admin", "staff-1", "林秋", hospital_id=clinic.id)
        stop_session(clinic.id, session.id, actor=admin, reason="外出会诊")
        reopen_session(clinic.id, session.id, actor=admin)
    page = patient_visitor.get(f"/me/appointments/{ref(row)}").text
    assert "停诊，这个预约已取消" in page and "原因：外出会诊" in page


def test_a_booking_remembers_the_answer_it_came_from_also_beyond_a_hundred_thousand(app, session, visitor):
    visitor.post("/hold", slot=slot_ref(session), answer="123456")
    with app.app_context():
        assert db.session.scalars(select(Appointment)).one().source_answer_id == 123456


def test_a_found_visit_closes_after_half_an_hour(app, clinic, session, person, visitor, now):
    code = "4827193" + mod_11_10.calc_check_digit("4827193")
    with app.app_context():
        factory.booked(clinic, session, person, visit_code=code)
    detail = visitor.post("/find", code=code, tail=person.account.phone[-4:]).headers["Location"]
    assert visitor.get(detail).status_code == 200
    now.shift(minutes=31)
    assert visitor.get(detail).headers["Location"].startswith("/login")


def test_calendar_slip_and_lists(session, person, patient_visitor):
    detail = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    calendar = patient_visitor.get(f"{detail}/calendar.ics")
    assert calendar.mimetype == "text/calendar" and "BEGIN:VEVENT" in calendar.text
    slip = patient_visitor.get(f"{detail}/slip")
    assert "预约凭条" in slip.text and "打印于" in slip.text and "李*禾" in slip.text
    mine = patient_visitor.get("/me/appointments")
    assert "下一次就诊" in mine.text and detail in mine.text
    assert detail in patient_visitor.get("/").text
    assert "还没有预约" in patient_visitor.get("/me/appointments?tab=cancelled").text


def test_the_letter_of_a_booking_is_on_the_messages_page(app, session, person, patient_visitor):
    detail = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    with app.app_context():
        send_due("test")
    page = patient_visitor.get("/me/messages")
    assert "预约成功" in page.text and detail in page.text and "全部标为已读" in page.text
    assert patient_visitor.post("/me/messages/read").status_code == 303
    assert "全部标为已读" not in patient_visitor.get("/me/messages").text


def test_how_to_prepare_stands_on_the_page_that_letters_lead_to(app, session, person, patient_visitor):
    detail = book(patient_visitor, session, person).headers["Location"].split("?")[0]
    assert "提前准备" not in patient_visitor.get(detail).text
    with app.app_context(), transaction() as writing:
        writing.execute(update(ClinicKind).values(preparation="空腹来，可以喝少量白开水。"))
    assert "空腹来，可以喝少量白开水。" in patient_visitor.get(detail).text


def test_large_print_holds_ten_minutes(app, session, visitor):
    visitor.post("/display", mode="elder", back="/")
    visitor.post("/hold", slot=slot_ref(session))
    with app.app_context():
        row = db.session.scalars(select(Appointment)).one()
        assert row.held_until - row.created_at == timedelta(minutes=10)


def test_a_slot_that_was_full_a_moment_ago_is_answered_shortly_until_it_is_free_again(
    app, clinic, person, patient_visitor
):
    with app.app_context():
        opened = factory.open_session(clinic, places=1)
        other = factory.person()
        row = factory.booked(clinic, opened, other)
        place = db.session.get(Place, (clinic.id, row.place_id))
        slot = f"{clinic.id}-{place.slot_id.hex}"
    first = patient_visitor.post("/hold", slot=slot)
    again = patient_visitor.post("/hold", slot=slot)
    assert (first.status_code, again.status_code) == (409, 409)
    assert "这个时间刚被约走了" in again.text and len(again.text) < len(first.text)
    assert "token-of-this-browser" not in again.text and 'name="slot"' in again.text
    with app.app_context():
        cancel(clinic.id, row.id, actor=Actor("account", str(other.id), account_id=other.id))
    assert patient_visitor.post("/hold", slot=slot).status_code == 303


def test_in_a_crowd_nobody_is_drawn_a_whole_page_for_a_refusal(app, clinic, session, visitor):
    with app.app_context():
        opened = factory.open_session(clinic, part="夜间", places=1)
        factory.booked(clinic, opened, factory.person())
        stopped = factory.open_session(clinic, part="下午", status="stopped")
    said = [(slot_ref(opened), 409, "这个时间刚被约走了"), (slot_ref(stopped), 410, "这个班次停诊了")]
    alone = [len(visitor.post("/hold", slot=slot).text) for slot, _status, _heading in said]
    app.wsgi_app.inside = CROWD
    try:
        answers = [visitor.post("/hold", slot=slot) for slot, _status, _heading in said]
        held = visitor.post("/hold", slot=slot_ref(session))
    finally:
        app.wsgi_app.inside = 0
    for answer, (_slot, status, heading), whole in zip(answers, said, alone, strict=True):
        assert answer.status_code == status and f"<h1>{heading}</h1>" in answer.text
        assert 'name="slot"' in answer.text, "the nearest times are there"
        assert len(answer.text) < whole
    assert held.status_code == 303, "a crowd keeps nobody from a place that is there"
