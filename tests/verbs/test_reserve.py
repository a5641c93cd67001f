"""Hold and confirm, on rows and letters, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from booking.appointments.models import Appointment, AppointmentEvent
from booking.appointments.reserve import confirm, extend_hold, hold, release_hold
from booking.appointments.rules import (
    AlreadyBooked,
    BookingClosed,
    DayLimit,
    HoldExpired,
    KeyReused,
    NoSuchAppointment,
    NotLinked,
    NotReleased,
    Overlap,
    SameDepartment,
    SessionStopped,
    SignInFirst,
    SlotFull,
    TooManyHolds,
    is_visit_code,
)
from booking.db import db
from booking.directory.service import change_doctor, change_practice
from booking.errors import NotAllowed, NotFound
from booking.outbox import Message
from booking.schedule.models import Place
from booking.staff.rules import Actor
from tests import factory
from tests.invariants import broken

pytestmark = pytest.mark.usefixtures("within")


def as_account(who):
    return Actor("account", str(who.id), account_id=who.id)


def browser(name="browser-a"):
    return Actor("browser", name)


def book(at, opened, who, *, slot=0, holder="h", **more):
    row = hold(at.id, opened.slots[slot].id, holder=holder, actor=as_account(who))
    return confirm(at.id, row.id, holder=holder, actor=as_account(who), patient_id=who.patient.id, **more)


def messages(row):
    return db.session.scalars(
        select(Message).where(Message.appointment_id == row.id).order_by(Message.due_at)
    ).all()


def test_a_hold_takes_one_place_and_has_no_patient():
    at = factory.clinic()
    opened = factory.open_session(at)
    row = hold(at.id, opened.slots[0].id, holder="h", actor=browser(), answer_id=7)
    assert (row.status, row.patient_id, row.source_answer_id, row.version) == ("held", None, 7, 1)
    place = db.session.get(Place, (at.id, row.place_id))
    assert place.appointment_id == row.id and place.held_until == row.held_until
    assert row.held_until - row.created_at == timedelta(minutes=10), "a first-time holder gets ten minutes"
    assert row.sold["doctor"] == "沈知远" and row.sold["fee_cents"] == 2500
    assert not broken()


def test_somebody_who_has_booked_before_holds_for_five_minutes_and_ten_in_large_print():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    book(at, opened, who)
    later = factory.open_session(at, opened.session.local_date + timedelta(days=1))
    row = hold(at.id, later.slots[0].id, holder="h", actor=as_account(who))
    assert row.held_until - row.created_at == timedelta(minutes=5)
    large = hold(at.id, later.slots[1].id, holder="h2", actor=as_account(who), generous=True)
    assert large.held_until - large.created_at == timedelta(minutes=10)


def test_the_same_browser_and_slot_again_is_the_same_hold():
    at = factory.clinic()
    opened = factory.open_session(at)
    first = hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    assert hold(at.id, opened.slots[0].id, holder="h", actor=browser()).id == first.id
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1


def test_a_browser_holds_one_place_and_an_account_two():
    at = factory.clinic()
    opened = factory.open_session(at, places=10)
    hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    with pytest.raises(TooManyHolds):
        hold(at.id, opened.slots[1].id, holder="h", actor=browser())
    who = factory.person()
    hold(at.id, opened.slots[0].id, holder="x", actor=as_account(who))
    hold(at.id, opened.slots[1].id, holder="y", actor=as_account(who))
    with pytest.raises(TooManyHolds):
        hold(at.id, opened.slots[2].id, holder="z", actor=as_account(who))
    assert not broken()


def test_a_hold_that_ran_out_frees_its_seat_for_the_same_browser(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    first = hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    now.shift(minutes=11)
    second = hold(at.id, opened.slots[1].id, holder="h", actor=browser())
    assert db.session.get(Appointment, (at.id, first.id), populate_existing=True).status == "expired"
    assert second.status == "held"
    assert not broken()


def test_account_less_holds_leave_four_fifths_of_a_session():
    at = factory.clinic()
    opened = factory.open_session(at, places=5)  # 4 slots of 5: 20 places, 4 without sign-in
    for number in range(4):
        hold(at.id, opened.slots[number % 4].id, holder=f"b{number}", actor=browser(f"b{number}"))
    with pytest.raises(SignInFirst):
        hold(at.id, opened.slots[0].id, holder="b9", actor=browser("b9"))
    assert hold(at.id, opened.slots[0].id, holder="s", actor=as_account(factory.person())).status == "held"


def test_holds_that_ran_out_elsewhere_keep_nobody_without_sign_in_from_an_open_seat(now):
    at = factory.clinic()
    other = factory.open_session(at, places=20)  # 80 places, 16 without sign-in; older than the others
    opened = factory.open_session(at, other.session.local_date + timedelta(days=1), places=5)
    for number in range(16):
        hold(at.id, other.slots[number % 4].id, holder=f"a{number}", actor=browser(f"a{number}"))
    for number in range(4):
        hold(at.id, opened.slots[number % 4].id, holder=f"b{number}", actor=browser(f"b{number}"))
    now.shift(minutes=11)
    assert hold(at.id, opened.slots[0].id, holder="c", actor=browser("c")).status == "held"
    left = db.session.scalar(
        select(func.count()).where(Appointment.status == "held", Appointment.session_id == other.session.id)
    )
    assert left == 16, "the request of one visitor tidies its own session only"


def test_in_the_opening_minutes_sign_in_comes_first():
    at = factory.clinic()
    opened = factory.open_session(at, release_at=factory.now() - timedelta(minutes=5))
    with pytest.raises(SignInFirst):
        hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    assert hold(at.id, opened.slots[0].id, holder="h", actor=as_account(factory.person())).status == "held"


def test_a_full_slot_names_the_three_nearest_times_and_changes_nothing():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    book(at, opened, factory.person(), slot=1)
    with pytest.raises(SlotFull) as refused:
        hold(at.id, opened.slots[1].id, holder="z", actor=as_account(factory.person()))
    near = [slot.slot_id for slot in refused.value.facts["alternatives"]]
    assert near == [opened.slots[0].id, opened.slots[2].id, opened.slots[3].id]
    assert refused.value.text == "09:00 刚被约走了。下面是最近还能约的时间。"
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1


def test_a_place_whose_hold_ran_out_is_sold_at_once(now):
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    gone = hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    now.shift(minutes=11)
    row = hold(at.id, opened.slots[0].id, holder="other", actor=as_account(factory.person()))
    assert row.place_id == gone.place_id
    assert not broken()


def test_nothing_is_held_before_the_release_by_the_database_clock(now):
    at = factory.clinic()
    opened = factory.open_session(at, release_at=factory.now() + timedelta(hours=2))
    who = as_account(factory.person())
    with pytest.raises(NotReleased) as refused:
        hold(at.id, opened.slots[0].id, holder="h", actor=who)
    assert "开始预约" in refused.value.text
    now.shift(hours=2, minutes=1)
    assert hold(at.id, opened.slots[0].id, holder="h", actor=who).status == "held"


def test_nothing_is_held_after_closing_but_a_live_hold_may_still_be_confirmed(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    closes = opened.slots[0].closes_at
    now.at(closes - timedelta(minutes=2))
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))
    now.at(closes + timedelta(minutes=1))
    with pytest.raises(BookingClosed):
        hold(at.id, opened.slots[0].id, holder="x", actor=as_account(factory.person()))
    done = confirm(at.id, row.id, holder="h", actor=as_account(who), patient_id=who.patient.id)
    assert done.status == "booked"


def test_drafts_and_stopped_sessions_sell_nothing():
    at = factory.clinic()
    draft = factory.open_session(at, status="draft")
    stopped = factory.open_session(
        at,
        part="下午",
        starts=draft.session.ends_local,
        ends=draft.session.ends_local.replace(hour=12),
        status="stopped",
    )
    who = as_account(factory.person())
    with pytest.raises(NotFound):
        hold(at.id, draft.slots[0].id, holder="h", actor=who)
    with pytest.raises(SessionStopped):
        hold(at.id, stopped.slots[0].id, holder="h", actor=who)


@pytest.mark.parametrize("gone", ["doctor", "practice"])
def test_who_no_longer_sees_patients_here_sells_nothing(gone):
    at = factory.clinic()
    opened = factory.open_session(at)
    if gone == "doctor":
        change_doctor(at.id, at.doctor.id, active=False)
    else:
        change_practice(at.id, at.practice.id, active=False)
    with pytest.raises(NotFound):
        hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 0


def test_confirm_books_for_a_linked_patient_and_puts_the_letters():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person(email="somebody@example.org", own_phone="+8613800130999")
    row = book(at, opened, who, complaint="  咳嗽两周  ")
    assert (row.status, row.version, row.complaint) == ("booked", 2, "咳嗽两周")
    assert is_visit_code(row.visit_code)
    assert db.session.get(Place, (at.id, row.place_id), populate_existing=True).held_until is None
    put = {(one.kind, one.channel, one.recipient) for one in messages(row)}
    ways = {("app", "account"), ("sms", "account"), ("email", "account"), ("sms", "patient")}
    assert put == {(kind, *way) for kind in ("confirmed", "reminder_day", "reminder_hours") for way in ways}
    events = db.session.scalars(select(AppointmentEvent).order_by(AppointmentEvent.version)).all()
    assert [(one.verb, one.from_status, one.to_status) for one in events] == [
        ("hold", None, "held"),
        ("confirm", "held", "booked"),
    ]
    assert not broken()


def test_reminders_are_left_out_when_the_person_does_not_want_them():
    at = factory.clinic()
    row = book(at, factory.open_session(at), factory.person(), remind=False)
    assert {one.kind for one in messages(row)} == {"confirmed"}


def test_a_double_confirm_books_once_and_both_answers_name_it():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    again = confirm(at.id, row.id, holder="h", actor=as_account(who), patient_id=who.patient.id)
    assert (again.id, again.visit_code, again.version) == (row.id, row.visit_code, 2)
    assert db.session.scalar(select(func.count()).select_from(AppointmentEvent)) == 2


def test_the_same_key_gives_the_same_appointment_and_another_body_is_refused():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    me = as_account(who)
    first = hold(at.id, opened.slots[0].id, holder="h", actor=me, key="k1")
    release_hold(at.id, first.id, holder="h", actor=me)
    assert hold(at.id, opened.slots[0].id, holder="h", actor=me, key="k1").id == first.id
    with pytest.raises(KeyReused):
        hold(at.id, opened.slots[1].id, holder="h", actor=me, key="k1")
    row = hold(at.id, opened.slots[1].id, holder="h", actor=me)
    words = {"holder": "h", "actor": me, "patient_id": who.patient.id, "key": "k2"}
    done = confirm(at.id, row.id, **words, complaint="头晕")
    assert confirm(at.id, row.id, **words, complaint="头晕").id == done.id
    with pytest.raises(KeyReused):
        confirm(at.id, row.id, **words, complaint="别的")
    assert db.session.get(Appointment, (at.id, row.id), populate_existing=True).complaint == "头晕"


def test_a_refused_request_leaves_no_key():
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    other = factory.person()
    taken = hold(at.id, opened.slots[0].id, holder="o", actor=as_account(other))
    me = as_account(factory.person())
    with pytest.raises(SlotFull):
        hold(at.id, opened.slots[0].id, holder="h", actor=me, key="again")
    release_hold(at.id, taken.id, holder="o", actor=as_account(other))
    assert hold(at.id, opened.slots[0].id, holder="h", actor=me, key="again").status == "held"


def test_a_hold_that_ran_out_cannot_be_confirmed(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))
    now.shift(minutes=11)
    with pytest.raises(HoldExpired) as refused:
        confirm(at.id, row.id, holder="h", actor=as_account(who), patient_id=who.patient.id)
    assert refused.value.facts["slot_id"] == opened.slots[0].id
    assert not messages(row)


def test_a_hold_that_was_given_back_cannot_be_confirmed():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))
    release_hold(at.id, row.id, holder="h", actor=as_account(who))
    with pytest.raises(HoldExpired):
        confirm(at.id, row.id, holder="h", actor=as_account(who), patient_id=who.patient.id)
    assert not messages(row) and not broken()


def test_a_hold_is_extended_once():
    at = factory.clinic()
    opened = factory.open_session(at)
    row = hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    once = extend_hold(at.id, row.id, holder="h", actor=browser())
    assert once.held_until == row.held_until + timedelta(minutes=5)
    assert extend_hold(at.id, row.id, holder="h", actor=browser()).held_until == once.held_until
    assert not broken()


def test_somebody_elses_hold_does_not_exist():
    at = factory.clinic()
    opened = factory.open_session(at)
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(factory.person()))
    thief = factory.person()
    for attempt in (
        lambda: confirm(at.id, row.id, holder="t", actor=as_account(thief), patient_id=thief.patient.id),
        lambda: extend_hold(at.id, row.id, holder="t", actor=as_account(thief)),
        lambda: release_hold(at.id, row.id, holder="t", actor=browser("t")),
    ):
        with pytest.raises(NoSuchAppointment):
            attempt()
    with pytest.raises(NotAllowed):
        confirm(at.id, row.id, holder="h", actor=browser("h"), patient_id=thief.patient.id)


def test_an_account_books_only_for_patients_linked_to_it():
    at = factory.clinic()
    opened = factory.open_session(at)
    me, stranger = factory.person(), factory.person("王陌生")
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(me))
    with pytest.raises(NotLinked):
        confirm(at.id, row.id, holder="h", actor=as_account(me), patient_id=stranger.patient.id)
    assert db.session.get(Appointment, (at.id, row.id), populate_existing=True).status == "held"


def test_one_patient_books_a_session_once_and_a_department_once_a_day():
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person("李秋禾")
    book(at, opened, who)
    with pytest.raises(AlreadyBooked) as refused:
        book(at, opened, who, slot=1, holder="h2")
    assert refused.value.text == "李*禾已预约这位医生的这个班次，同一班次只能约一次。"
    colleague = factory.another_doctor(at)
    other = factory.open_session(
        colleague,
        opened.session.local_date,
        part="下午",
        starts=opened.session.ends_local.replace(hour=14),
        ends=opened.session.ends_local.replace(hour=16),
    )
    holder_free = factory.Person(who.account, who.patient)
    with pytest.raises(SameDepartment) as same:
        book(colleague, other, holder_free, holder="h3")
    assert same.value.text == "李*禾已预约同一天的呼吸内科，同一科室一天只能约 1 次。"


def test_visits_of_one_patient_do_not_overlap_and_a_day_has_its_limit():
    at = factory.clinic(policy={"per_department_day": 9, "per_day": 2})
    opened = factory.open_session(at)
    colleague = factory.another_doctor(at)
    beside = factory.open_session(colleague, opened.session.local_date)
    who = factory.person()
    book(at, opened, who)
    with pytest.raises(Overlap):
        book(colleague, beside, who, holder="h2")
    release_hold(
        at.id,
        hold(at.id, beside.slots[0].id, holder="h2", actor=as_account(who)).id,
        holder="h2",
        actor=as_account(who),
    )
    book(colleague, beside, who, slot=2, holder="h3")
    third = factory.another_doctor(at, "周可言")
    evening = factory.open_session(
        third,
        opened.session.local_date,
        part="夜间",
        starts=opened.session.ends_local.replace(hour=18),
        ends=opened.session.ends_local.replace(hour=20),
    )
    with pytest.raises(DayLimit):
        book(third, evening, who, holder="h4")
    assert not broken()


def test_an_unknown_slot_is_a_clear_refusal():
    at, other = factory.clinic(), factory.clinic()
    opened = factory.open_session(other)
    with pytest.raises(NotFound):
        hold(at.id, opened.slots[0].id, holder="h", actor=browser())


@pytest.mark.parametrize(("by_policy", "times"), [(0, 1), (1, 1), (3, 3)])
def test_a_hold_is_extended_at_least_once_whatever_the_policy_says_and_keeps_its_place(by_policy, times, now):
    at = factory.clinic(policy={"hold_extensions": by_policy})
    opened = factory.open_session(at, places=1)
    other = factory.person()
    row = hold(at.id, opened.slots[0].id, holder="h", actor=browser())
    place, ends = row.place_id, row.held_until
    for _ in range(times):
        now.at(ends - timedelta(seconds=20))
        row = extend_hold(at.id, row.id, holder="h", actor=browser())
        assert row.held_until > ends and row.place_id == place
        ends = row.held_until
        with pytest.raises(SlotFull):
            hold(at.id, opened.slots[0].id, holder="other", actor=as_account(other))
    assert extend_hold(at.id, row.id, holder="h", actor=browser()).held_until == ends
    assert db.session.get(Place, (at.id, place), populate_existing=True).held_until == ends
    now.at(ends)
    with pytest.raises(HoldExpired):
        extend_hold(at.id, row.id, holder="h", actor=browser())
    assert not broken()
