"""The demo: believable and whole, the same for the same day, gone without a trace when cleared; and its clock."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import case, func, select, text

import config
from booking import clock
from booking.app import create_app
from booking.appointments.models import ACTIVE, Appointment, AppointmentEvent
from booking.appointments.reserve import hold
from booking.content.models import Answer, Article, ImportRun, Question
from booking.db import Model, db, transaction
from booking.demo import imported, load, moving, people
from booking.directory.models import Campus, Department, Doctor, Hospital, Practice
from booking.errors import BadInput
from booking.notices.models import DemoLetter
from booking.notices.service import send_due
from booking.outbox import Message
from booking.people.models import Account, Patient
from booking.people.service import request_code
from booking.schedule.models import ClinicSession, Place, Slot, Template
from booking.schedule.open_slots import open_slots_of
from booking.schedule.sellable import USED, given_out
from booking.staff.models import StaffMember
from booking.staff.rules import ROLES, Actor
from booking.staff.service import sign_in_staff
from tests import servers
from tests.invariants import broken

pytestmark = pytest.mark.xdist_group("demo")  # loaded once, by one worker

A_MONDAY = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)  # 10:30 in the clinics


def quiet(_what: str, _share: float) -> None:
    """Load without telling how far it is."""


def count(model: type[Model], *where) -> int:
    return db.session.scalar(select(func.count()).select_from(model).where(*where)) or 0


def rows_left() -> dict[str, int]:
    counts = {table.name: db.session.scalar(select(func.count()).select_from(table)) for table in tables()}
    return {name: found for name, found in counts.items() if found}


def tables():
    return Model.metadata.sorted_tables


def at(instant: datetime) -> None:
    with transaction() as session:
        clock.shift(session, instant - clock.db_now(session))


class Loaded:
    """A database of each kind with the demo in it, loaded once, and copies of it for the tests that change it."""

    def __init__(self, folder: Path, worker: str) -> None:
        self.folder, self.worker = folder, worker
        self.apps: dict[str, Flask] = {}
        self.copies: list[Flask] = []

    def app(self, kind: str) -> Flask:
        if kind not in self.apps:
            app = application(self._address(kind, "demo"))
            with app.app_context():
                upgrade()
                db.session.remove()
                at(A_MONDAY)
                load.load_demo(quiet)
                db.session.remove()
            self.apps[kind] = app
        return self.apps[kind]

    def copy(self, kind: str) -> Flask:
        dispose(self.app(kind))  # a file is whole and a database can be copied when nobody is connected
        name = f"demo{len(self.copies)}"
        if kind == "sqlite":
            shutil.copyfile(self.folder / "demo.db", self.folder / f"{name}.db")
            url = f"sqlite:///{self.folder / name}.db"
        else:
            url = servers.make_database(servers.postgresql(), self._name(name), self._name("demo"))
        self.copies.append(application(url))
        return self.copies[-1]

    def _address(self, kind: str, name: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{self.folder / name}.db"
        return servers.make_database(servers.postgresql(), self._name(name))

    def _name(self, name: str) -> str:
        return f"booking_{name}_{self.worker}_{servers.run_folder().name.rsplit('-', 1)[-1]}"


def application(url: str) -> Flask:
    values = config.Testing()
    values.SQLALCHEMY_DATABASE_URI = config.database_url(url)
    return create_app(values)


def dispose(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    made = Loaded(tmp_path_factory.mktemp("demo"), servers.worker())
    yield made
    for app in (*made.apps.values(), *made.copies):
        dispose(app)


def _of(kind: str, take):
    try:
        return take(kind)
    except servers.NotHere as problem:
        pytest.skip(str(problem))


@pytest.fixture
def demo(database, loaded):
    """The demo, for reading only: the same one for all tests."""
    app = _of(database, loaded.app)
    with app.app_context():
        yield app
        db.session.rollback()


@pytest.fixture
def own_demo(database, loaded):
    """A copy of the demo, to be changed."""
    app = _of(database, loaded.copy)
    with app.app_context():
        yield app
        db.session.rollback()


def test_it_has_everything_a_newcomer_should_meet(demo):
    assert count(Hospital) == 3
    campuses = db.session.execute(select(func.count()).select_from(Campus).group_by(Campus.hospital_id))
    assert max(campuses.scalars()) == 2
    assert count(Department) >= 12
    assert count(Doctor) >= 30
    assert count(Answer, Answer.doctor_id.is_not(None)) >= 80
    answered = select(func.count(func.distinct(Answer.question_id)))
    assert db.session.scalar(answered) >= 80
    assert count(Article) >= 20
    assert {row.kind for row in db.session.scalars(select(Article))} == {"article", "news"}
    assert {member.role for member in db.session.scalars(select(StaffMember))} == set(ROLES)

    statuses = set(db.session.scalars(select(ClinicSession.status)))
    assert statuses == {"draft", "published", "running", "finished", "stopped"}
    now = clock.db_now(db.session())
    assert count(ClinicSession, ClinicSession.release_at > now) > 50, "some are not released yet"
    first, last = db.session.execute(
        select(func.min(ClinicSession.local_date), func.max(ClinicSession.local_date))
    ).one()
    assert (last - first).days >= 27
    assert {"booked", "arrived", "cancelled", "no_show", "fulfilled"} <= set(
        db.session.scalars(select(Appointment.status))
    )
    assert full_sessions(now), "a full session"


def full_sessions(now: datetime) -> list[str]:
    free = func.sum(func.coalesce(Place.appointment_id.is_(None), False).cast(db.Integer))
    grouped = (
        select(Place.session_id)
        .join(
            ClinicSession,
            (ClinicSession.hospital_id == Place.hospital_id) & (ClinicSession.id == Place.session_id),
        )
        .where(ClinicSession.status == "published", ClinicSession.release_at <= now)
        .group_by(Place.hospital_id, Place.session_id)
        .having(free == 0)
    )
    return [str(one) for one in db.session.scalars(grouped)]


def test_places_and_appointments_agree(demo):
    taken = dict(
        db.session.execute(
            select(Place.id, Place.appointment_id).where(Place.appointment_id.is_not(None))
        ).all()
    )
    active = dict(
        db.session.execute(
            select(Appointment.holds_place_id, Appointment.id).where(Appointment.status.in_(ACTIVE))
        ).all()
    )
    assert taken == active
    assert len(taken) > 1000
    seen = select(Appointment.place_id).where(Appointment.status == "fulfilled")
    used = select(Place.id).where(Place.rests_until == USED)
    assert len(db.session.scalars(seen).all()) > 1000
    assert set(db.session.scalars(used)) == set(db.session.scalars(seen))
    over = Appointment.status == "arrived", Appointment.visit_date < clock.db_now(db.session()).date()
    assert not count(Appointment, *over), "nobody of the days before is still waiting"

    stopped = select(ClinicSession.id).where(ClinicSession.status == "stopped")
    assert count(Appointment, Appointment.session_id.in_(stopped), Appointment.status.in_(ACTIVE)) == 0
    assert count(Place, Place.session_id.in_(stopped), Place.open.is_(True)) == 0
    drafts = select(ClinicSession.id).where(ClinicSession.status == "draft")
    assert count(Place, Place.session_id.in_(drafts), Place.open.is_(True)) == 0
    assert count(ClinicSession, ClinicSession.status == "stopped", ClinicSession.stop_reason == "") == 0


def test_every_invariant_holds_in_it(demo):
    assert not broken()


def test_every_version_has_its_event_and_nothing_is_of_tomorrow(demo):
    now = clock.db_now(db.session())
    events = dict(
        db.session.execute(
            select(AppointmentEvent.appointment_id, func.count()).group_by(AppointmentEvent.appointment_id)
        ).all()
    )
    last = dict(
        db.session.execute(
            select(AppointmentEvent.appointment_id, AppointmentEvent.to_status)
            .join(Appointment, Appointment.id == AppointmentEvent.appointment_id)
            .where(AppointmentEvent.version == Appointment.version)
        ).all()
    )
    for row in db.session.scalars(select(Appointment)):
        assert events[row.id] == row.version
        assert last[row.id] == row.status
        assert row.booked_at is None or row.created_at <= row.booked_at <= now
        assert row.arrived_at is None or row.booked_at < row.arrived_at <= now
        assert row.cancelled_at is None or row.booked_at < row.cancelled_at <= now
    assert db.session.scalar(select(func.max(AppointmentEvent.at))) <= now


def test_nobody_is_booked_before_the_release_or_twice_a_day(demo):
    too_early = (
        select(func.count())
        .select_from(Appointment)
        .join(ClinicSession, ClinicSession.id == Appointment.session_id)
        .where(Appointment.created_at < ClinicSession.release_at)
    )
    assert db.session.scalar(too_early) == 0
    twice = (
        select(Appointment.patient_id)
        .where(Appointment.status.in_(ACTIVE), Appointment.account_id.is_(None))
        .group_by(Appointment.patient_id, Appointment.visit_date)
        .having(func.count() > 1)
    )
    assert db.session.scalars(twice).all() == []


def test_the_account_of_the_demo_has_visits_before_it_and_behind_it_and_letters_on_the_way(demo):
    mine = select(Appointment).join(Account, Account.id == Appointment.account_id)
    visits = [row for row in db.session.scalars(mine)]
    coming = [row for row in visits if row.status == "booked"]
    assert len(coming) >= 3
    assert {row.status for row in visits} >= {"booked", "fulfilled", "cancelled"}
    for row in coming:
        kinds = set(db.session.scalars(select(Message.kind).where(Message.appointment_id == row.id)))
        assert "confirmed" in kinds
        assert kinds & {"reminder_day", "reminder_hours"}


def test_the_first_answer_leads_to_a_doctor_who_can_be_booked_and_who_has_a_stop(demo):
    answer = db.session.scalars(select(Answer).where(Answer.question_id == 1)).first()
    assert (answer.hospital_id, answer.doctor_id) == db.session.execute(
        select(Doctor.hospital_id, Doctor.id).where(Doctor.slug == "shenzhiwei")
    ).one()
    now = clock.db_now(db.session())
    hers = (ClinicSession.doctor_id == answer.doctor_id, ClinicSession.starts_at > now)
    assert count(ClinicSession, *hers, ClinicSession.status == "stopped") == 1
    free = (
        select(func.count())
        .select_from(Place)
        .join(ClinicSession, ClinicSession.id == Place.session_id)
        .where(
            *hers,
            ClinicSession.status == "published",
            ClinicSession.release_at <= now,
            Place.appointment_id.is_(None),
        )
    )
    assert db.session.scalar(free) >= 5


def told() -> list[tuple]:
    """What the demo says, without the ids that are made anew each time."""
    sessions = select(
        ClinicSession.local_date,
        ClinicSession.starts_local,
        ClinicSession.room,
        ClinicSession.status,
        Doctor.slug,
        func.sum(case((given_out(), 1), else_=0)),  # as the clock goes on, more of them have been seen
    )
    joined = (
        sessions.join(
            Doctor, (Doctor.hospital_id == ClinicSession.hospital_id) & (Doctor.id == ClinicSession.doctor_id)
        )
        .join(
            Place, (Place.hospital_id == ClinicSession.hospital_id) & (Place.session_id == ClinicSession.id)
        )
        .group_by(ClinicSession.hospital_id, ClinicSession.id, Doctor.slug)
    )
    people = [row.name for row in db.session.scalars(select(Patient).order_by(Patient.id).limit(200))]
    asked = db.session.execute(select(Question.title, Question.asked_at).order_by(Question.id)).all()
    return sorted(map(tuple, db.session.execute(joined).all())) + people + [tuple(row) for row in asked]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_same_day_gives_the_same_demo(own_demo):
    first = told()
    load.load_demo(quiet)
    assert told() == first


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 11, 22, 16, 30, tzinfo=UTC),  # Monday, half past midnight
        datetime(2026, 10, 1, 1, 0, tzinfo=UTC),  # the week of the National Day
    ],
)
def test_it_loads_on_every_kind_of_day(within, instant):
    at(instant)
    load.load_demo(quiet)
    now = clock.db_now(db.session())
    assert count(Appointment, Appointment.status == "booked") > 50
    assert count(Appointment, Appointment.booked_at > now) == 0
    assert count(Appointment, Appointment.account_id.is_not(None), Appointment.status == "booked") >= 1


def test_a_second_start_changes_nothing(demo):
    before, lines = rows_left(), load.ensure_demo(demo)
    assert rows_left() == before
    shown = "\n".join(lines)
    for word in ("/q/1", "/d/shenzhiwei", "/staff/week", "/demo/outbox", "13800130001", "heyu@linlan-1"):
        assert word in shown
    assert all(role in shown for role in ROLES.values())


def test_the_sign_ins_it_prints_are_true(own_demo):
    password = re.search(r"密码都是 (\S+)）", "\n".join(load.ensure_demo(own_demo)))[1]
    assert sign_in_staff("heyu@linlan-1", password).name == "何予"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_loading_that_was_cut_off_is_done_again(app, monkeypatch):
    monkeypatch.setattr(load, "fill_days", cut_off)
    with pytest.raises(KeyboardInterrupt):
        load.ensure_demo(app)
    with app.app_context():
        assert (count(Hospital), count(Appointment)) == (3, 0)
    monkeypatch.undo()
    load.ensure_demo(app)
    with app.app_context():
        assert count(Hospital) == 3
        assert count(Appointment) > 1000


def cut_off(*_: object) -> None:
    raise KeyboardInterrupt


# --- clearing --------------------------------------------------------------------------------------------------------

PAGES = (
    "/",
    "/questions",
    "/dept",
    "/doctors",
    "/h",
    "/search",
    "/search?q=关节",
    "/ask",
    "/login",
    "/find",
    "/rules",
    "/privacy",
    "/help",
    "/about",
    "/staff/login",
    "/demo/outbox",
)


def test_clear_leaves_nothing_and_every_page_still_answers(own_demo):
    answer = own_demo.test_cli_runner().invoke(args=["demo", "clear", "--yes"])
    assert answer.exit_code == 0, answer.output
    assert rows_left() == {"import_run": 1}, "only the note that the demo was here"
    assert load.ensure_demo(own_demo) and count(Hospital) == 0, "the next start leaves it empty"
    wrong = {
        page: status for page in PAGES if (status := own_demo.test_client().get(page).status_code) != 200
    }
    assert not wrong


def test_clear_asks_first_and_no_means_no(demo):
    before = rows_left()
    answer = demo.test_cli_runner().invoke(args=["demo", "clear"], input="n\n")
    assert answer.exit_code != 0
    assert rows_left() == before


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_after_clear_a_hospital_of_ones_own_is_left_alone(within):
    with transaction() as session:
        session.add(Hospital(slug="own", name="自己的医院"))
    assert load.ensure_demo(within) == []
    assert count(Hospital) == 1


@pytest.mark.parametrize("command", [["clear", "--yes"], ["load", "--yes"], ["advance", "1h"], ["reset"]])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_production_refuses_the_demo_commands(within, command):
    within.config["DEMO"] = False
    answer = within.test_cli_runner().invoke(args=["demo", *command])
    assert answer.exit_code == 1
    assert "不是演示环境" in answer.output
    assert answer.output.count("\n") == 1


# --- the clock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text_", "span"),
    [("90m", timedelta(minutes=90)), ("23h", timedelta(hours=23)), (" 2D ", timedelta(days=2))],
)
def test_a_span_is_read(text_, span):
    assert moving.read_span(text_) == span


@pytest.mark.parametrize("text_", ["", "0h", "-1h", "1", "h", "1.5h", "1w", "99999999h", "1h30m", "１h"])
def test_what_is_no_span_is_refused(text_):
    with pytest.raises(BadInput):
        moving.read_span(text_)


def test_moving_the_clock_sends_tomorrows_reminder_now(own_demo):
    send_due()
    before = count(Message, Message.kind.like("reminder%"), Message.status.in_(("delivered", "accepted")))
    answer = own_demo.test_cli_runner().invoke(args=["demo", "advance", "23h"])
    assert answer.exit_code == 0, answer.output
    assert "演示时钟已拨" in answer.output
    send_due()
    after = count(Message, Message.kind.like("reminder%"), Message.status.in_(("delivered", "accepted")))
    assert after > before


def test_sessions_follow_the_clock_and_come_back_with_it(own_demo):
    now = clock.db_now(db.session())
    tomorrow = (ClinicSession.starts_at > now, ClinicSession.ends_at < now + timedelta(hours=24))
    ahead = count(ClinicSession, *tomorrow, ClinicSession.status == "published")
    assert ahead
    moving.advance_clock(timedelta(days=1))
    assert count(ClinicSession, *tomorrow, ClinicSession.status == "finished") == ahead
    with transaction() as session:
        clock.shift(session, timedelta(days=-1))
    moving.advance_clock(timedelta(minutes=1))
    at_real = moving.reset_clock()
    wrong = (ClinicSession.status.in_(("running", "finished")), ClinicSession.starts_at > at_real)
    assert count(ClinicSession, *wrong) == 0


def test_what_was_done_ahead_of_time_waits_for_nothing_after_the_reset(own_demo):
    db.session.execute(text("UPDATE demo_clock SET offset_seconds = 0"))
    db.session.commit()
    moving.advance_clock(timedelta(days=1))
    request_code("13800130002")
    send_due()
    slot = free_slot()
    held = hold(*slot, holder="ahead", actor=Actor("browser", "ahead"))
    now = moving.reset_clock()
    db.session.expire_all()
    request_code("13800130002")  # not "too soon" because of a code of tomorrow
    assert count(DemoLetter, DemoLetter.at > now) == 0
    assert count(Message, Message.sent_at > now) == 0
    assert db.session.get(Appointment, (held.hospital_id, held.id)).held_until <= now
    place = db.session.scalars(select(Place).where(Place.appointment_id == held.id)).one()
    assert place.held_until <= now


def test_a_sign_in_closed_ahead_of_time_is_open_after_the_reset(own_demo):
    db.session.execute(text("UPDATE demo_clock SET offset_seconds = 0"))
    db.session.commit()
    moving.advance_clock(timedelta(days=1))
    for _ in range(3):
        with pytest.raises(BadInput):
            sign_in_staff("heyu@linlan-1", "wrong password")
    moving.reset_clock()
    assert sign_in_staff("heyu@linlan-1", people.PASSWORD).failures == 0


def free_slot() -> tuple:
    now = clock.db_now(db.session())
    hospital_id, doctor_id = db.session.execute(
        select(Doctor.hospital_id, Doctor.id).where(Doctor.slug == "chengmu")
    ).one()
    return hospital_id, open_slots_of(hospital_id, now, doctor_id=doctor_id)[0].slot_id


def test_the_clock_is_not_moved_farther_than_the_schedule_reaches(within):
    with pytest.raises(BadInput):
        moving.advance_clock(timedelta(days=61))
    assert moving.moved_sentence() == ""


def test_the_banner_says_how_far(within, client):
    assert "演示时钟" not in client.get("/rules").text
    moving.advance_clock(timedelta(hours=23))
    assert re.search(r"演示时钟已拨快 23 小时，现在是 \d+ 月 \d+ 日 周. \d\d:\d\d", client.get("/rules").text)
    moving.reset_clock()
    assert "演示时钟已" not in client.get("/rules").text


def test_the_page_moves_the_clock_by_post_only(within, client):
    within.config["WTF_CSRF_ENABLED"] = False
    assert client.get("/demo/clock").status_code == 405
    assert client.post("/demo/clock", data={"by": "1d"}).status_code == 303
    assert moving.moved_sentence()
    assert client.post("/demo/clock", data={"by": "99d"}).status_code == 422
    assert client.post("/demo/clock", data={"by": "reset"}).status_code == 303
    assert moving.moved_sentence() == ""


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_outside_the_demo_there_is_no_such_page(another_app):
    app = another_app(DEMO=False)
    assert app.test_client().get("/demo/outbox").status_code == 404
    assert app.test_client().post("/demo/clock").status_code in (400, 404)


def test_the_letters_are_shown_newest_first(own_demo):
    send_due()
    page = own_demo.test_client().get("/demo/outbox").text
    assert "预约成功" in page
    assert "站内消息" in page
    assert "接下来会发出" in page
    assert "138****0001" in page


# --- imported doctors ------------------------------------------------------------------------------------------------


def add_imported(slug: str, department: str) -> Doctor:
    at_ = db.session.scalars(select(Department).where(Department.name == department)).first()
    campus = db.session.scalars(select(Campus).where(Campus.hospital_id == at_.hospital_id)).first()
    with transaction() as session:
        doctor = Doctor(hospital_id=at_.hospital_id, slug=slug, name="常远", title="主任医师", imported=True)
        session.add(doctor)
        session.flush()
        session.add(
            Practice(
                hospital_id=at_.hospital_id, doctor_id=doctor.id, department_id=at_.id, campus_id=campus.id
            )
        )
    return doctor


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_imported_doctors_get_clinics_unless_their_department_has_none(own_demo):
    one, other = add_imported("changyuan", "骨科"), add_imported("changyuan-2", "病理科")
    done = imported.give_clinics(10, quiet)
    assert (done.doctors, done.without, done.left) == (1, 1, 0)
    assert done.sessions >= 4
    assert count(ClinicSession, ClinicSession.doctor_id == one.id) == done.sessions
    assert count(ClinicSession, ClinicSession.doctor_id == other.id) == 0
    again = imported.give_clinics(10, quiet)
    assert (again.doctors, again.sessions) == (0, 0)


# --- staff -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_staff_are_added_from_the_terminal(own_demo):
    run = own_demo.test_cli_runner().invoke
    made = run(
        args=["staff", "add", "--hospital", "linlan-1", "--name", "钱多", "--role", "desk", "--generate"]
    )
    assert made.exit_code == 0, made.output
    assert sign_in_staff("qianduo@linlan-1", re.search(r"密码 (\S+)", made.output)[1]).role == "desk"
    typed = run(
        args=[
            "staff",
            "add",
            "--hospital",
            "linlan-1",
            "--name",
            "孙小满",
            "--role",
            "doctor",
            "--doctor",
            "chengmu",
        ],
        input="a-long-password\na-long-password\n",
    )
    assert typed.exit_code == 0, typed.output
    assert "a-long-password" not in typed.output
    assert "钱多" in run(args=["staff", "list", "--hospital", "linlan-1"]).output
    for args in (
        ["--hospital", "nowhere", "--name", "甲乙", "--role", "desk"],
        ["--hospital", "linlan-1", "--name", "甲乙", "--role", "doctor", "--doctor", "xuwenxi"],
        ["--hospital", "linlan-1", "--name", "钱多", "--role", "desk"],
    ):
        refused = run(args=["staff", "add", *args, "--generate"])
        assert refused.exit_code == 1
        assert refused.output.startswith("Error: ")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_clear_keeps_the_schema(own_demo):
    before = db.session.execute(text("SELECT count(*) FROM sqlite_master")).scalar()
    load.clear_all()
    assert db.session.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == before
    assert count(ImportRun) == 1
    assert count(Template) + count(Slot) == 0
