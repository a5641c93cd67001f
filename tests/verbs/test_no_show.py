"""No-shows: evidence, once, blocks, tickets and appeals — on rows and letters, on both databases (R26, R27)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from booking.appointments import no_show, patient_rules
from booking.appointments.appeals import answer_appeal, appeal
from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in
from booking.appointments.models import Appeal, Appointment, AppointmentEvent, DeskTicket
from booking.appointments.move import move
from booking.appointments.no_show import mark_no_shows, record_ticket
from booking.appointments.no_show_rules import AlreadyAnswered, Blocked, NotANoShow
from booking.appointments.reserve import confirm, hold
from booking.appointments.rules import NoSuchAppointment, NotActive
from booking.appointments.stop import stop_session
from booking.clock import local, utc
from booking.db import db, new_id, transaction
from booking.errors import BadInput, NotAllowed
from booking.outbox import Message
from booking.schedule.models import Place
from booking.staff.models import AuditEvent
from booking.staff.rules import Actor
from tests import factory
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.verbs.test_after import fresh, kinds, staff
from tests.verbs.test_reserve import as_account, book, messages

pytestmark = pytest.mark.usefixtures("within")

ROOMY = {"per_day": 9, "per_department_day": 9, "per_week": 9}


def told(row, *, channel="sms", status="accepted", **columns):
    """The gateway took the confirmation of this visit."""
    with transaction() as session:
        session.execute(
            update(Message)
            .where(Message.appointment_id == row.id, Message.channel == channel, Message.kind == "confirmed")
            .values(status=status, sent_at=factory.now(), **columns)
        )


def somebody_came(at, opened):
    """Another patient of the day was checked in, so the desk kept its list."""
    return factory.booked(
        at,
        opened,
        factory.person("周来过"),
        slot=1,
        status="arrived",
        visit_code="10000007",
        arrived_at=opened.session.starts_at,
    )


def scene(**policy):
    """A visit that was told and that nobody has seen, in a session where somebody else was checked in."""
    at = factory.clinic(policy=policy)
    opened = factory.open_session(at)
    who = factory.person()
    row = book(at, opened, who)
    told(row)
    somebody_came(at, opened)
    return at, opened, who, row


def over(now, opened, minutes=60):
    now.at(opened.session.ends_at + timedelta(minutes=minutes))


def missed(at, opened, who, day, **columns):
    """An earlier no-show of a patient on a day, with its event."""
    past = factory.open_session(at, day, part="夜间") if opened is None else opened
    return factory.booked(
        at, past, who, status="no_show", visit_code=f"{day:%m%d}0000", kind="phone", **columns
    )


def today(at):
    return local(factory.now(), at.hospital.zone).date()


# --- judged


def test_a_visit_nobody_has_seen_becomes_a_no_show_with_its_evidence(now):
    at, opened, _who, row = scene()
    over(now, opened)
    assert mark_no_shows() == 1
    marked = fresh(row)
    assert (marked.status, marked.holds_place_id, marked.version) == ("no_show", None, 3)
    event = db.session.scalars(
        select(AppointmentEvent).where(
            AppointmentEvent.appointment_id == row.id, AppointmentEvent.version == 3
        )
    ).one()
    assert (event.verb, event.from_status, event.actor_kind) == ("no_show", "booked", "system")
    assert event.facts["policy"] == 1 and event.facts["checked_in"] is False
    assert [(one["kind"], one["channel"], one["status"]) for one in event.facts["told"]] == [
        ("confirmed", "sms", "accepted")
    ]
    assert kinds(row) == ["no_show"], "the reminders are superseded, the letter about it waits"
    place = db.session.get(Place, (at.id, row.place_id))
    assert place.appointment_id is None and not broken()


def test_it_is_judged_once_however_often_the_job_runs(now):
    _at, opened, _who, row = scene()
    over(now, opened)
    assert [mark_no_shows(), mark_no_shows(), mark_no_shows()] == [1, 0, 0]
    assert fresh(row).version == 3 and len([m for m in messages(row) if m.kind == "no_show"]) == 2


def test_it_is_judged_once_by_many_workers(app, now):
    at = factory.clinic()
    opened = factory.open_session(at, places=10)
    rows = []
    for number in range(12):
        row = book(at, opened, factory.person(), slot=number % 4, holder=f"h{number}")
        told(row)
        rows.append(row)
    somebody_came(at, opened)
    over(now, opened)
    results = at_once(app, [mark_no_shows] * 6)
    assert sum(results) == 12, results
    events = select(func.count()).where(AppointmentEvent.verb == "no_show")
    assert db.session.scalar(events) == 12 and not broken()


def test_small_batches_reach_everybody_also_behind_those_that_cannot_be_judged(now, monkeypatch):
    monkeypatch.setattr(no_show, "BATCH", 2)
    at = factory.clinic()
    opened = factory.open_session(at, places=10)
    rows = [book(at, opened, factory.person(), holder=f"h{number}") for number in range(7)]
    for row in rows[3:]:
        told(row)
    somebody_came(at, opened)
    over(now, opened)
    assert mark_no_shows() == 4
    assert [fresh(row).status for row in rows] == ["booked"] * 3 + ["no_show"] * 4


@pytest.mark.parametrize("minutes", [-120, 0, 59])
def test_nothing_is_judged_before_the_rule_time(now, minutes):
    _at, opened, _who, row = scene()
    over(now, opened, minutes)
    assert mark_no_shows() == 0 and fresh(row).status == "booked"


def test_the_rule_time_is_that_of_the_policy_the_visit_was_sold_under(now):
    at, opened, _who, row = scene(no_show_after_minutes=180)
    with transaction() as session:
        session.add(
            factory.Policy(
                hospital_id=at.id, id=new_id(), version=2, created_at=factory.now(), no_show_after_minutes=0
            )
        )
    over(now, opened, 179)
    assert mark_no_shows() == 0
    over(now, opened, 180)
    assert mark_no_shows() == 1 and fresh(row).status == "no_show"


def test_who_was_checked_in_is_no_no_show(now):
    at, opened, _who, row = scene()
    now.at(opened.session.starts_at)
    check_in(at.id, row.id, actor=staff(at, "desk"))
    over(now, opened)
    assert mark_no_shows() == 0 and fresh(row).status == "arrived"


def test_nobody_is_judged_on_a_day_when_the_desk_kept_no_list(now):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    told(row)
    over(now, opened)
    assert mark_no_shows() == 0 and fresh(row).status == "booked"


@pytest.mark.parametrize(
    ("channel", "status", "read", "marked"),
    [
        ("sms", "waiting", False, 0),
        ("sms", "failed", False, 0),
        ("sms", "suppressed", False, 0),
        ("sms", "delivered", False, 1),
        ("app", "delivered", False, 0),  # it lies in a box nobody opened
        ("app", "delivered", True, 1),
    ],
)
def test_nobody_is_judged_who_was_not_told(now, channel, status, read, marked):
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    told(row, channel=channel, status=status)
    if read:
        with transaction() as session:
            session.execute(update(Message).where(Message.channel == "app").values(read_at=factory.now()))
    somebody_came(at, opened)
    over(now, opened)
    assert mark_no_shows() == marked


@pytest.mark.parametrize(
    ("provider", "status", "marked"),
    [
        ("gateway", "accepted", 0),  # it says when a message arrives, and has not
        ("gateway", "delivered", 1),
        ("mail", "accepted", 1),
    ],
)
def test_accepted_is_no_evidence_where_the_carrier_gives_receipts(now, receipts, provider, status, marked):
    receipts(["gateway"])
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    told(row, status=status, provider=provider)
    somebody_came(at, opened)
    over(now, opened)
    assert mark_no_shows() == marked


def test_a_letter_about_the_old_time_is_no_evidence_after_a_move(now):
    at, opened, who, row = scene()
    moved = move(at.id, row.id, opened.slots[2].id, actor=as_account(who))
    over(now, opened)
    assert mark_no_shows() == 0 and fresh(row).status == "booked" and moved.version == 3


@pytest.mark.parametrize("when", ["in time", "late", "hospital"])
def test_a_cancelled_visit_never_becomes_a_no_show(now, when):
    at, opened, who, row = scene()
    if when == "late":
        now.at(opened.session.starts_at - timedelta(minutes=5))
    done = cancel(at.id, row.id, actor=staff(at) if when == "hospital" else as_account(who))
    assert done.cancelled_late is (when == "late")
    over(now, opened)
    assert mark_no_shows() == 0 and fresh(row).status == "cancelled"


def test_a_stopped_session_makes_no_no_shows(now):
    at, opened, _who, row = scene()
    stop_session(at.id, opened.id, actor=staff(at), reason="医生生病")
    over(now, opened)
    assert mark_no_shows() == 0 and fresh(row).status == "cancelled"


def test_a_visit_too_long_ago_is_left_alone(now):
    _at, opened, _who, row = scene()
    now.at(opened.session.ends_at + timedelta(days=20))
    assert mark_no_shows() == 0 and fresh(row).status == "booked"


def test_the_letter_about_it_waits_for_the_end_of_the_quiet_hours(now):
    at = factory.clinic()
    opened = factory.open_session(
        at, part="夜间", starts=factory.time(19), ends=factory.time(21, 30), places=3
    )
    row = book(at, opened, factory.person())
    told(row)
    somebody_came(at, opened)
    over(now, opened)
    assert mark_no_shows() == 1
    letter = next(one for one in messages(row) if one.kind == "no_show")
    morning = opened.session.local_date + timedelta(days=1)
    assert letter.due_at == utc(morning, factory.time(7), "Asia/Shanghai")


# --- the desk's word


def test_a_desk_ticket_before_the_rule_time_keeps_a_visit_from_being_judged(now):
    at, opened, _who, row = scene()
    with transaction() as session:
        session.add(
            DeskTicket(
                hospital_id=at.id,
                id=new_id(),
                patient_id=row.patient_id,
                visit_date=row.visit_date,
                at=factory.now(),
            )
        )
    over(now, opened)
    assert mark_no_shows() == 0 and fresh(row).status == "booked"


def test_a_number_given_at_the_counter_that_day_is_a_desk_ticket(now):
    at, opened, who, row = scene(**ROOMY)
    now.at(opened.session.starts_at)
    afternoon = factory.open_session(
        factory.another_doctor(at),
        opened.session.local_date,
        part="下午",
        starts=factory.time(14),
        ends=factory.time(16),
    )
    factory.booked(at, afternoon, who, kind="desk", visit_code="20000003")
    over(now, opened)
    assert mark_no_shows() == 0 and fresh(row).status == "booked"


def test_the_desk_says_afterwards_that_somebody_was_here(now):
    at, opened, _who, row = scene()
    over(now, opened)
    mark_no_shows()
    done = record_ticket(at.id, row.id, actor=staff(at, "desk"), note="现场补登，带了化验单")
    assert (done.status, done.version) == ("excused", 4)
    assert kinds(row) == ["excused"]
    event = db.session.scalars(
        select(AppointmentEvent).where(
            AppointmentEvent.appointment_id == row.id, AppointmentEvent.version == 4
        )
    ).one()
    assert event.reason == "现场补登，带了化验单"
    again = record_ticket(at.id, row.id, actor=staff(at, "desk"))
    assert again.version == 4 and db.session.scalar(select(func.count()).select_from(DeskTicket)) == 1
    actions = db.session.scalars(select(AuditEvent.action)).all()
    assert actions.count("excuse") == 1 and not broken()
    assert mark_no_shows() == 0


def test_a_ticket_before_the_judgement_counts_as_arrived(now):
    at, opened, _who, row = scene()
    over(now, opened, 10)
    done = record_ticket(at.id, row.id, actor=staff(at, "desk"))
    assert (done.status, done.arrived_at is not None) == ("arrived", True)
    over(now, opened)
    assert mark_no_shows() == 0 and not broken()


def test_a_ticket_needs_a_visit_that_has_begun_and_was_not_cancelled(now):
    at, opened, who, row = scene()
    with pytest.raises(BadInput):
        record_ticket(at.id, row.id, actor=staff(at))
    cancel(at.id, row.id, actor=as_account(who))
    over(now, opened)
    with pytest.raises(NotActive):
        record_ticket(at.id, row.id, actor=staff(at))
    for stranger in (as_account(who), staff(at, "doctor"), staff(at, "scheduler"), staff(factory.clinic())):
        with pytest.raises(NotAllowed):
            record_ticket(at.id, row.id, actor=stranger)


def test_the_ticket_and_the_judgement_at_once_end_well_in_either_order(app, now):
    for _ in range(4):
        at, opened, _who, row = scene()
        over(now, opened)
        at_once(app, [mark_no_shows, lambda at=at, row=row: record_ticket(at.id, row.id, actor=staff(at))])
        assert fresh(row).status in ("arrived", "excused")
        mark_no_shows()
        assert fresh(row).status in ("arrived", "excused") and not broken()
        now.shift(days=-3)


# --- blocked


def blocked_scene(now):
    """A patient with three no-shows in the last weeks, and a session ahead."""
    at = factory.clinic(policy=ROOMY)
    who = factory.person()
    base = today(at)
    for days in (30, 20, 10):
        missed(at, None, who, base - timedelta(days=days))
    return at, who, factory.open_session(at), base


def test_three_no_shows_close_online_booking_and_the_refusal_says_by_whom_why_until_when_and_how(now):
    at, who, opened, base = blocked_scene(now)
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))  # holding is free
    with pytest.raises(Blocked) as refused:
        confirm(at.id, row.id, holder="h", actor=as_account(who), patient_id=who.patient.id)
    until = base + timedelta(days=20)
    said = refused.value.text
    assert refused.value.facts["until"] == until
    for part in (
        "青梧市第一医院",
        "3 次",
        f"{until.month} 月 {until.day} 日前不能在网上预约",
        "窗口",
        "0571-000-0100",
        "申诉",
        f"{(base - timedelta(days=10)).day} 日",
    ):
        assert part in said
    assert fresh(row).status == "held" and not broken()


def test_the_block_expires_by_itself(now):
    at, who, _opened, base = blocked_scene(now)
    now.shift(days=20)
    opened = factory.open_session(at, base + timedelta(days=22))
    assert book(at, opened, who).status == "booked"


def test_another_patient_of_the_account_and_another_hospital_are_not_blocked(now):
    at, who, opened, _ = blocked_scene(now)
    child = factory.patient(who.account, "李小满", seat=2)
    assert book(at, opened, factory.Person(who.account, child)).status == "booked"
    elsewhere = factory.clinic()
    assert book(elsewhere, factory.open_session(elsewhere), who, holder="h2").status == "booked"


def test_staff_may_book_in_spite_of_a_block_and_a_kept_visit_may_still_be_moved(now):
    at, who, opened, _ = blocked_scene(now)
    row = factory.booked(at, opened, who)
    moved = move(at.id, row.id, opened.slots[1].id, actor=as_account(who))
    assert moved.slot_id == opened.slots[1].id
    with transaction() as session:
        wanted = Appointment(
            hospital_id=at.id,
            session_id=new_id(),
            department_id=at.department.id,
            visit_date=opened.session.local_date + timedelta(days=1),
            starts_at=opened.session.starts_at + timedelta(days=1),
            ends_at=opened.session.ends_at + timedelta(days=1),
            zone=opened.session.zone,
            sold={},
        )
        patient_rules.ensure_patient_may(session, at.policy, wanted, who.patient.id, by_staff=True)
        with pytest.raises(Blocked):
            patient_rules.ensure_patient_may(session, at.policy, wanted, who.patient.id)


def test_an_excused_no_show_takes_its_block_with_it(now):
    at, who, opened, base = blocked_scene(now)
    row = db.session.scalars(
        select(Appointment).where(Appointment.visit_date == base - timedelta(days=20))
    ).one()
    record_ticket(at.id, row.id, actor=staff(at))
    assert book(at, opened, who).status == "booked"


def test_late_cancellations_never_close_online_booking(now):
    at = factory.clinic(policy=ROOMY)
    who = factory.person()
    for days in range(1, 9):
        past = factory.open_session(at, today(at) - timedelta(days=days), part="夜间")
        factory.booked(at, past, who, status="cancelled", visit_code=f"{days:08d}", cancelled_late=True)
    assert book(at, factory.open_session(at), who).status == "booked"


def test_the_block_is_found_for_several_patients_in_one_look(now):
    at, who, _, base = blocked_scene(now)
    child = factory.patient(who.account, "李小满", seat=2)
    found = patient_rules.blocks_of(db.session(), at.policy, at.id, [who.patient.id, child.id], base)
    assert list(found) == [who.patient.id] and found[who.patient.id].until == base + timedelta(days=20)


# --- appeals


def no_show_scene(now):
    at, opened, who, row = scene()
    over(now, opened)
    mark_no_shows()
    return at, who, row


def test_an_appeal_is_made_once_and_accepted(now):
    at, who, row = no_show_scene(now)
    made = appeal(at.id, row.id, actor=as_account(who), reason=" 那天在 3 楼等到 11 点 ")
    assert (made.status, made.reason) == ("open", "那天在 3 楼等到 11 点")
    again = appeal(at.id, row.id, actor=as_account(who), reason="再说一遍")
    assert (again.id, again.reason) == (made.id, made.reason)
    done = answer_appeal(at.id, row.id, actor=staff(at, "desk"), accept=True)
    assert (done.status, done.decided_by) == ("accepted", "何予")
    assert fresh(row).status == "excused" and kinds(row) == ["excused"]
    assert answer_appeal(at.id, row.id, actor=staff(at), accept=True).id == made.id
    with pytest.raises(AlreadyAnswered):
        answer_appeal(at.id, row.id, actor=staff(at), accept=False, answer="不")
    assert db.session.scalars(select(AuditEvent.action)).all().count("answer_appeal") == 1 and not broken()


def test_an_appeal_is_declined_with_a_reason_and_the_patient_is_told(now):
    at, who, row = no_show_scene(now)
    appeal(at.id, row.id, actor=as_account(who), reason="来过的")
    with pytest.raises(BadInput) as refused:
        answer_appeal(at.id, row.id, actor=staff(at), accept=False, answer="  ")
    assert "answer" in refused.value.facts["errors"]
    done = answer_appeal(at.id, row.id, actor=staff(at), accept=False, answer="报到名单里没有查到")
    assert (done.status, done.answer) == ("declined", "报到名单里没有查到")
    letters = [one for one in messages(row) if one.kind == "appeal_declined"]
    assert {one.channel for one in letters} == {"app", "sms"}
    assert letters[0].facts == {"reason": "报到名单里没有查到"} and fresh(row).status == "no_show"
    with pytest.raises(AlreadyAnswered):
        answer_appeal(at.id, row.id, actor=staff(at), accept=True)
    assert record_ticket(at.id, row.id, actor=staff(at)).status == "excused", "the desk may still correct it"


def test_a_desk_ticket_ends_an_open_appeal(now):
    at, who, row = no_show_scene(now)
    appeal(at.id, row.id, actor=as_account(who), reason="来过的")
    record_ticket(at.id, row.id, actor=staff(at))
    assert db.session.scalars(select(Appeal.status)).one() == "cleared"
    assert answer_appeal(at.id, row.id, actor=staff(at), accept=True).status == "cleared"


def test_an_appeal_needs_a_no_show_of_ones_own_and_words(now):
    at, _opened, who, row = scene()
    with pytest.raises(NotANoShow):
        appeal(at.id, row.id, actor=as_account(who), reason="来过的")
    with pytest.raises(NotANoShow):
        answer_appeal(at.id, row.id, actor=staff(at), accept=True)
    over(now, _opened)
    mark_no_shows()
    with pytest.raises(NoSuchAppointment):
        appeal(at.id, row.id, actor=as_account(factory.person()), reason="来过的")
    for words in ("", "  ", "字" * 301):
        with pytest.raises(BadInput):
            appeal(at.id, row.id, actor=as_account(who), reason=words)
    by_code = Actor("code", row.id.hex)
    assert appeal(at.id, row.id, actor=by_code, reason="来过的").status == "open"
    with pytest.raises(NotAllowed):
        answer_appeal(at.id, row.id, actor=as_account(who), accept=True)


def test_an_appeal_is_kept_sealed(now):
    at, who, row = no_show_scene(now)
    appeal(at.id, row.id, actor=as_account(who), reason="那天急诊住院")
    assert "急诊" not in db.session.execute(text("SELECT reason FROM appeal")).scalar()


def test_two_appeals_and_two_answers_at_once_count_once(app, now):
    at, who, row = no_show_scene(now)
    made = at_once(
        app, [lambda n=n: appeal(at.id, row.id, actor=as_account(who), reason=f"第 {n} 遍") for n in range(4)]
    )
    assert len({one.id for one in made}) == 1
    results = at_once(
        app,
        [
            lambda accept=accept: answer_appeal(
                at.id, row.id, actor=staff(at), accept=accept, answer="核对过"
            )
            for accept in (True, False, True, False)
        ],
    )
    ended = db.session.scalars(select(Appeal.status)).one()
    refused = sum(isinstance(one, AlreadyAnswered) for one in results)
    assert refused == 2 and ended in ("accepted", "declined"), results
    assert (fresh(row).status == "excused") == (ended == "accepted") and not broken()


# --- each guard taken away


def test_without_the_evidence_a_patient_who_was_here_is_blamed(now, monkeypatch):
    monkeypatch.setattr(no_show.Evidence, "why_not", lambda _: "")
    at = factory.clinic()
    opened = factory.open_session(at)
    row = book(at, opened, factory.person())
    over(now, opened)
    assert mark_no_shows() == 1 and fresh(row).status == "no_show"


def test_without_the_rule_time_a_visit_is_judged_before_it_began(now, monkeypatch):
    _at, _opened, _who, row = scene()
    monkeypatch.setattr(no_show, "_rule_time_is_over", lambda *_: Appointment.id.is_not(None))
    no_show._mark_batch(row.hospital_id, None)
    assert fresh(row).status == "no_show"
    assert "R26 a no-show before its session had ended" in broken()


def test_without_the_look_for_tickets_the_desks_word_is_not_heard(now, monkeypatch):
    real = no_show.Evidence.why_not
    deaf = lambda found: "" if real(found) == "desk_ticket" else real(found)  # noqa: E731
    monkeypatch.setattr(no_show.Evidence, "why_not", deaf)
    at, opened, _who, row = scene()
    with transaction() as session:
        here = {"patient_id": row.patient_id, "visit_date": row.visit_date, "at": factory.now()}
        session.add(DeskTicket(hospital_id=at.id, id=new_id(), **here))
    over(now, opened)
    assert mark_no_shows() == 1
    assert "R26 a no-show in spite of a desk ticket" in broken()


def test_without_the_block_a_patient_books_on(now, monkeypatch):
    monkeypatch.setattr(patient_rules, "block", lambda *_: None)
    at, who, opened, _ = blocked_scene(now)
    assert book(at, opened, who).status == "booked"
