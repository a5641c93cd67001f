"""Who could never use a place of what they wait for is told so when joining, as at a booking (R6, R27), on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from booking.appointments.no_show_rules import Blocked
from booking.appointments.offers import offer_places
from booking.appointments.wish_suits import passed_over
from booking.appointments.wishes import join
from booking.clock import local
from booking.db import db, transaction
from booking.outbox import Message
from booking.people.models import Patient
from booking.schedule.admission import BirthDateUnknown, NotThisAge, NotThisSex, ReturnVisitOnly
from booking.schedule.models import ClinicSession
from booking.schedule.wanted import Wish
from tests import factory
from tests.verbs.test_no_show import missed, today
from tests.verbs.test_reserve import as_account
from tests.verbs.test_wishes import full, give_back, offers_of, wait

pytestmark = pytest.mark.usefixtures("within")


@pytest.fixture(autouse=True)
def by_day(now):
    here = local(now(), "Asia/Shanghai")
    now.at(here.replace(hour=9, minute=30, second=0) + timedelta(days=1))


def for_some(at, admits, **words):
    """A session sold out to strangers that is for some only from now on."""
    opened, rows = full(at, **words)
    with transaction() as session:
        session.execute(update(ClinicSession).where(ClinicSession.id == opened.id).values(admits=admits))
    return opened, rows


def wishes():
    db.session.rollback()
    letters = select(func.count()).select_from(Message).where(Message.kind == "wish_joined")
    return db.session.scalar(select(func.count()).select_from(Wish)), db.session.scalar(letters)


@pytest.mark.parametrize(
    ("admits", "refusal", "said"),
    [
        ({"age_max": 14}, NotThisAge, "只接待 14 岁及以下的患者，李*禾就诊当天"),
        ({"sex": "m"}, NotThisSex, "只接待男性患者"),
        ({"visit": "return"}, ReturnVisitOnly, "没有查到李*禾在"),
    ],
)
def test_whom_the_session_is_not_for_is_refused_as_at_a_booking_and_nothing_is_written(admits, refusal, said):
    at = factory.clinic()
    opened, _ = for_some(at, admits)
    with pytest.raises(refusal) as refused:
        wait(at, opened)
    assert refused.value.status == 409 and said in refused.value.text
    assert wishes() == (0, 0)


def test_what_is_not_known_of_a_patient_is_asked_for_before_they_wait():
    at = factory.clinic()
    opened, _ = for_some(at, {"age_max": 90})
    who = factory.person()
    with transaction() as session:
        session.execute(update(Patient).where(Patient.id == who.patient.id).values(birth_date=""))
    with pytest.raises(BirthDateUnknown) as refused:
        wait(at, opened, who)
    assert refused.value.status == 422 and wishes() == (0, 0)


def test_a_referral_is_asked_for_with_the_acceptance_and_keeps_nobody_from_waiting():
    at = factory.clinic()
    opened, rows = for_some(at, {"referral": True, "age_min": 18})
    _, wish = wait(at, opened)
    assert passed_over(at.id, wish.id) == []
    give_back(at, rows)
    assert offer_places() == 1 and len(offers_of(wish)) == 1


@pytest.mark.parametrize("child_first", [True, False])
def test_both_of_a_pair_are_asked(child_first):
    at = factory.clinic()
    opened, _ = for_some(at, {"age_max": 14})
    who = factory.person()
    child = factory.patient(who.account, "李小满", seat=2, birth_date=f"{today(at).year - 6}-01-01")
    alone = join(at.id, opened.id, actor=as_account(who), patient_ids=[child.id])
    assert alone.status == "waiting"
    both = [child.id, who.patient.id] if child_first else [who.patient.id, child.id]
    other, _ = for_some(factory.another_doctor(at), {"age_max": 14})
    with pytest.raises(NotThisAge) as refused:
        join(at.id, other.id, actor=as_account(who), patient_ids=both)
    assert refused.value.facts["patient"] == "李*禾"
    assert wishes() == (1, 2), "the child alone, told by app and SMS"


def test_a_wider_wish_is_taken_while_some_of_it_can_be_used_and_says_what_will_not_be_offered():
    at = factory.clinic()
    opened, rows = for_some(at, {"age_max": 14})
    colleague = factory.another_doctor(at)
    beside, others = full(colleague)
    _, wish = wait(at, opened, doctor_ids=[at.doctor.id, colleague.doctor.id])
    assert [one.text for one in passed_over(at.id, wish.id)] == [
        "这个门诊只接待 14 岁及以下的患者，李*禾就诊当天 "
        f"{passed_over(at.id, wish.id)[0].facts['age']} 岁。可以看同科室的其他门诊。"
    ]
    give_back(at, rows)
    assert offer_places() == 0
    give_back(colleague, others)
    assert offer_places() == 1
    assert offers_of(wish)[0].session_id == beside.id


def test_a_wider_wish_all_of_which_is_for_others_is_refused():
    at = factory.clinic()
    opened, _ = for_some(at, {"age_max": 14})
    colleague = factory.another_doctor(at)
    for_some(colleague, {"sex": "m"})
    with pytest.raises(NotThisAge):  # the sentence of the session it was joined from
        wait(at, opened, doctor_ids=[colleague.doctor.id, at.doctor.id])
    assert wishes() == (0, 0)


def blocked_until(at, who, day):
    """Three no-shows whose block of 30 days ends on that day."""
    for days in (20, 10, 0):
        missed(at, None, who, day - timedelta(days=30 + days))


def test_who_is_blocked_until_the_list_closes_is_told_by_whom_why_and_until_when():
    at = factory.clinic(policy={"per_day": 9, "per_department_day": 9, "per_week": 9})
    opened, _ = full(at)
    who = factory.person()
    blocked_until(at, who, opened.session.local_date)
    with pytest.raises(Blocked) as refused:
        wait(at, opened, who)
    assert refused.value.status == 409 and "3 次预约了没有来" in refused.value.text
    assert "青梧市第一医院" in refused.value.text and "申诉" in refused.value.text
    child = factory.patient(who.account, "李小满", seat=2)
    with pytest.raises(Blocked):
        join(at.id, opened.id, actor=as_account(who), patient_ids=[child.id, who.patient.id])
    assert wishes() == (0, 0)


def test_a_block_that_ends_while_they_wait_is_said_and_keeps_nobody_from_waiting():
    at = factory.clinic(policy={"per_day": 9, "per_department_day": 9, "per_week": 9})
    opened, _ = full(at, on=today(at) + timedelta(days=5))
    who = factory.person()
    blocked_until(at, who, today(at) + timedelta(days=2))
    _, wish = wait(at, opened, who)
    assert [type(one) for one in passed_over(at.id, wish.id)] == [Blocked]
