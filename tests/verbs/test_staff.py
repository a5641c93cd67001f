"""Staff sign-in: one sentence for every mismatch, delays that grow, and who a signed-in browser acts as."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select, update

from booking.db import db, new_id, transaction
from booking.errors import BadInput, TooMany
from booking.staff import service
from booking.staff.models import AuditEvent, StaffMember
from booking.staff.rules import Actor
from booking.staff.service import WRONG, actor_for, add_staff, delay_after, sign_in_staff
from booking.staff.trail import record
from tests import factory

pytestmark = pytest.mark.usefixtures("within")

PASSWORD = "correct horse 9"


@pytest.fixture(autouse=True)
def _light_hashes(monkeypatch):
    """The real algorithm with small parameters: these tests sign in often, the strength is the library's default."""
    light = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(service, "_hasher", light)
    monkeypatch.setattr(service, "_nobody", light.hash("nobody"))


def staff(at, username="heyu", role="scheduler", password=PASSWORD, **more):
    return add_staff(at.id, username, "何语", role, password, **more)


def login(at, username="heyu"):
    return f"{username}@{at.hospital.slug}"


def member(at):
    db.session.rollback()
    return db.session.scalars(select(StaffMember).where(StaffMember.hospital_id == at.id)).one()


def count():
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(StaffMember))


def wrong(at, times=1, password="not the password"):
    for _ in range(times):
        with pytest.raises(BadInput) as refused:
            sign_in_staff(login(at), password)
        assert (refused.value.text, refused.value.facts["errors"]) == (WRONG, {"password": WRONG})


def test_the_right_password_signs_in_and_is_kept_as_a_hash():
    at = factory.clinic()
    staff(at)
    signed = sign_in_staff(f" HeYu@{at.hospital.slug} ", PASSWORD)
    assert (signed.hospital_id, signed.role, signed.failures) == (at.id, "scheduler", 0)
    assert signed.signed_in_at is not None
    assert signed.password_hash.startswith("$argon2id$") and PASSWORD not in signed.password_hash


def test_the_same_name_in_two_hospitals_is_two_people():
    one, two = factory.clinic(), factory.clinic()
    staff(one)
    staff(two, role="desk", password="another password")
    assert sign_in_staff(login(one), PASSWORD).hospital_id == one.id
    assert sign_in_staff(login(two), "another password").hospital_id == two.id
    with pytest.raises(BadInput):
        sign_in_staff(login(two), PASSWORD)


@pytest.mark.parametrize(
    "name",
    [
        "nobody@{slug}",
        "heyu@no-such-hospital",
        "heyu",
        "heyu@",
        "@{slug}",
        "",
        "heyu@{slug}@{slug}",
        "heyu' OR '1'='1@{slug}",
        "heyu%@{slug}",
        "何语@{slug}",
        "h" * 5000 + "@" + "s" * 5000,
    ],
)
def test_every_mismatch_says_the_same(name):
    at = factory.clinic()
    staff(at)
    with pytest.raises(BadInput) as refused:
        sign_in_staff(name.format(slug=at.hospital.slug), PASSWORD)
    assert (refused.value.status, refused.value.text) == (422, WRONG)


def test_somebody_switched_off_cannot_sign_in_and_hears_the_same():
    at = factory.clinic()
    staff(at)
    switch(at, active=False)
    wrong(at, password=PASSWORD)
    assert member(at).signed_in_at is None


def switch(at, **values):
    with transaction() as session:
        session.execute(update(StaffMember).where(StaffMember.hospital_id == at.id).values(**values))


def test_the_delay_grows_to_a_quarter_of_an_hour():
    seconds = [delay_after(failures).total_seconds() for failures in range(13)]
    assert seconds == [0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]
    assert delay_after(10**6) == timedelta(minutes=15)


def test_after_three_wrong_passwords_the_sign_in_is_closed_even_for_the_right_one(now):
    at = factory.clinic()
    staff(at)
    wrong(at, 3)
    assert member(at).failures == 3
    with pytest.raises(TooMany) as refused:
        sign_in_staff(login(at), PASSWORD)
    seconds = refused.value.facts["seconds"]
    assert 8 <= seconds <= 10
    assert refused.value.text == f"连续输错太多次，请 {seconds} 秒后再试。"
    assert member(at).failures == 3, "an attempt while closed neither counts nor prolongs"
    now.shift(seconds=seconds)
    assert sign_in_staff(login(at), PASSWORD).failures == 0


def test_each_further_wrong_password_doubles_the_wait(now):
    at = factory.clinic()
    staff(at)
    wrong(at, 3)
    for expected in (20, 40, 80):
        now.shift(hours=1)
        wrong(at)
        with pytest.raises(TooMany) as refused:
            sign_in_staff(login(at), PASSWORD)
        assert expected - 3 <= refused.value.facts["seconds"] <= expected
    now.shift(hours=1)
    sign_in_staff(login(at), PASSWORD)
    wrong(at, 2)
    assert sign_in_staff(login(at), PASSWORD), "the count begins again after a sign-in"


def test_one_persons_mistakes_close_nobody_elses_sign_in():
    at, other = factory.clinic(), factory.clinic()
    staff(at)
    staff(at, "linmu")
    staff(other)
    wrong(at, 3)
    assert sign_in_staff(login(at, "linmu"), PASSWORD)
    assert sign_in_staff(login(other), PASSWORD)


def test_a_hash_of_older_strength_is_renewed_at_sign_in(monkeypatch):
    at = factory.clinic()
    staff(at)
    before = member(at).password_hash
    monkeypatch.setattr(service, "_hasher", PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    sign_in_staff(login(at), PASSWORD)
    assert member(at).password_hash != before and "t=2" in member(at).password_hash
    assert sign_in_staff(login(at), PASSWORD)


@pytest.mark.parametrize("password", ["密码密码密码密码密码", "p" * 5000, " ten spaces ", "a\ud800bcdefghij"])
def test_any_password_that_was_accepted_signs_in(password):
    at = factory.clinic()
    staff(at, password=password)
    assert sign_in_staff(login(at), password)


def test_a_damaged_hash_is_a_wrong_password_and_no_error():
    at = factory.clinic()
    staff(at)
    switch(at, password_hash="$argon2id$v=19$broken")
    wrong(at, password=PASSWORD)


# --- who a browser acts as -------------------------------------------------------------------------------------------


def test_a_signed_in_browser_acts_as_its_person_until_that_ends():
    at, other = factory.clinic(), factory.clinic()
    row = staff(at, role="doctor", doctor_id=at.doctor.id)
    acts = actor_for(at.id, row.id, 1)
    assert acts == Actor("doctor", row.id.hex, "何语", hospital_id=at.id, doctor_id=at.doctor.id.hex)
    assert actor_for(other.id, row.id, 1) is None
    assert actor_for(at.id, uuid.uuid4(), 1) is None
    assert actor_for(at.id, row.id, 2) is None
    switch(at, session_version=2)
    assert actor_for(at.id, row.id, 1) is None, "signed out everywhere"
    assert actor_for(at.id, row.id, 2) is not None
    switch(at, active=False)
    assert actor_for(at.id, row.id, 2) is None


def test_a_changed_role_counts_at_the_next_request():
    at = factory.clinic()
    row = staff(at)
    switch(at, role="desk")
    assert actor_for(at.id, row.id, 1).kind == "desk"


# --- adding somebody -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"username": "A"}, "username"),
        ({"username": "Heyu"}, "username"),
        ({"username": "he yu"}, "username"),
        ({"username": "heyu@x"}, "username"),
        ({"username": "何语"}, "username"),
        ({"username": "h" * 41}, "username"),
        ({"username": "heyu\n"}, "username"),
        ({"role": "root"}, "role"),
        ({"role": "system"}, "role"),
        ({"role": "doctor"}, "doctor"),
        ({"role": "desk", "doctor_id": "own"}, "doctor"),
        ({"role": "doctor", "doctor_id": "foreign"}, "doctor"),
        ({"password": "123456789"}, "password"),
        ({"name": "  "}, "name"),
        ({"name": "长" * 61}, "name"),
    ],
)
def test_who_cannot_be_added_is_refused_on_the_field_and_not_kept(given, field):
    at, other = factory.clinic(), factory.clinic()
    doctors = {"own": at.doctor.id, "foreign": other.doctor.id}
    words = {"username": "heyu", "name": "何语", "role": "scheduler", "password": PASSWORD} | given
    if "doctor_id" in words:
        words["doctor_id"] = doctors[words["doctor_id"]]
    with pytest.raises(BadInput) as refused:
        add_staff(at.id, **words)
    assert set(refused.value.facts["errors"]) == {field}
    assert PASSWORD not in refused.value.text
    assert count() == 0


def test_a_sign_in_name_is_given_once_in_a_hospital():
    at = factory.clinic()
    staff(at)
    with pytest.raises(BadInput) as refused:
        staff(at, role="admin", password="another password")
    assert refused.value.facts["errors"] == {"username": "这个账号已经有人用了"}
    assert count() == 1 and member(at).role == "scheduler"


# --- the trail -------------------------------------------------------------------------------------------------------


def test_the_trail_keeps_who_what_when_and_why_and_cuts_what_is_too_long():
    at = factory.clinic()
    about = new_id()
    actor = Actor("scheduler", "x" * 99, "长" * 99, hospital_id=at.id)
    moment = factory.now()
    with transaction() as session:
        record(
            session,
            at.id,
            actor,
            "stop_session",
            "session",
            about,
            now=moment,
            change={"房": ["1", None]},
            reason="病假",
        )
    row = db.session.scalars(select(AuditEvent)).one()
    assert (row.at, row.action, row.object_kind, row.object_id) == (moment, "stop_session", "session", about)
    assert (row.actor_kind, row.actor_id, row.actor_name) == ("scheduler", "x" * 40, "长" * 60)
    assert (row.change, row.reason) == ({"房": ["1", None]}, "病假")


def test_a_change_that_is_rolled_back_leaves_no_trail():
    at = factory.clinic()
    with pytest.raises(RuntimeError), transaction() as session:
        record(session, at.id, Actor("admin", "1", "某人"), "x", "session", None, now=factory.now())
        raise RuntimeError
    assert db.session.scalar(select(func.count()).select_from(AuditEvent)) == 0
