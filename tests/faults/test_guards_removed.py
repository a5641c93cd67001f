"""Each guard of the reservation core, once in place and once taken away: without it the failure must happen.

What the code would do if it lost its own care is done here by hand, straight to the rows; the constraint refuses it.
Where the guard is a line of code, that line is replaced and the verb itself does the harm.
"""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from booking import clock
from booking.appointments import move as move_module
from booking.appointments import places, reserve
from booking.appointments import stop as stop_module
from booking.appointments.cancel import cancel
from booking.appointments.models import Appointment, AppointmentEvent, RequestKey
from booking.appointments.move import move
from booking.appointments.reserve import confirm, hold, release_hold
from booking.appointments.rules import HoldExpired, NotReleased, SlotFull
from booking.appointments.stop import stop_session
from booking.db import Model, db, new_id, transaction
from booking.errors import NotAllowed
from booking.people.models import PatientLink
from booking.schedule.models import Place, Slot
from booking.staff.models import AuditEvent
from tests import factory
from tests.faults.unguarded import without_references_and_checks, without_unique
from tests.invariants import broken
from tests.races.crowd import at_once
from tests.snapshot import every_row
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import as_account, book


@pytest.fixture
def own(another_app):
    """An application on a database that may be damaged."""
    app = another_app()
    with app.app_context():
        yield app
        db.session.rollback()


def copy_of(row, **changes):
    """Write a second appointment like `row`, with its event, past every verb."""
    table = Appointment.__table__
    with transaction() as session:
        values = dict(session.execute(select(table).where(table.c.id == row.id)).one()._mapping)
        values |= {"id": new_id(), "queue_number": None} | changes
        session.execute(insert(table).values(**values))
    return values["id"]


def scene(**words):
    at = factory.clinic()
    opened = factory.open_session(at, **words)
    who = factory.person()
    return at, opened, who, book(at, opened, who)


def refuses(harm, name):
    with pytest.raises(IntegrityError) as refused:
        harm()
    db.session.rollback()
    said = str(refused.value.orig)
    assert name in said or "FOREIGN KEY" in said or "UNIQUE" in said or "CHECK" in said


def test_r1_a_place_sold_twice(own):
    at, _opened, _, row = scene()
    other = factory.person()

    def harm():
        with transaction() as session:
            from_chart = {"hospital_id": at.id, "patient_id": other.patient.id}
            if not session.get(factory.Chart, (at.id, other.patient.id)):
                session.execute(insert(factory.Chart).values(**from_chart))
        copy_of(row, patient_id=other.patient.id, account_id=other.id, visit_code="00000001")

    refuses(harm, "uq_one_active_appointment_per_place")
    without_unique("appointment", "uq_one_active_appointment_per_place")
    refuses(harm, "fk_active_appointment_and_place_agree")  # the second guard alone still holds
    without_references_and_checks("fk_active_appointment_and_place_agree")
    harm()
    assert "R1 two active appointments on a place" in broken()


def test_r2_a_place_freed_under_its_patient(own):
    _, _, _, row = scene()

    def harm():
        with transaction() as session:
            session.execute(update(Place).where(Place.id == row.place_id).values(appointment_id=None))

    refuses(harm, "fk_active_appointment_and_place_agree")
    assert not broken()
    without_references_and_checks("fk_active_appointment_and_place_agree")
    harm()
    assert "R2 an active appointment whose place is not marked" in broken()


def test_r2_an_ended_visit_that_keeps_its_place(own):
    _, _, _, row = scene()

    def harm():
        with transaction() as session:
            ended = {"status": "fulfilled", "holds_place_id": None}
            session.execute(update(Appointment).where(Appointment.id == row.id).values(**ended))

    refuses(harm, "fk_taken_place_and_appointment_agree")
    without_references_and_checks("fk_taken_place_and_appointment_agree")
    harm()
    assert "R2 a taken place without its appointment" in broken()


def test_r3_full_is_not_said_while_the_last_place_may_come_back(own, monkeypatch):
    """The last place is locked by a transaction that then rolls back: whoever asks meanwhile must get it."""
    at = factory.clinic()
    opened = factory.open_session(at, places=1)
    assert _ask_while_locked(own, at, opened) == "held"
    if db.engine.dialect.name == "sqlite":
        return  # one writer: whoever asks second asks after the first has ended, there is no look to leave out
    release = factory.open_session(at, opened.session.local_date + timedelta(days=1), places=1)
    monkeypatch.setattr(places, "LOOKS", places.LOOKS[:2])
    assert _ask_while_locked(own, at, release) == "SlotFull"


def _ask_while_locked(app, at, opened):
    locked, asked = threading.Event(), threading.Event()

    def rolls_back():
        with transaction() as session:
            places.take_place(
                session, at.id, opened.slots[0].id, new_id(), now=factory.now(), held_until=None
            )
            locked.set()
            asked.wait(5)
            asked.wait(0.5)
            raise SlotFull(time="")

    def asks():
        locked.wait(5)
        threading.Timer(0.5, asked.set).start()
        return hold(at.id, opened.slots[0].id, holder=f"asks-{opened.id}", actor=asker)

    asker = as_account(factory.person())
    _, result = at_once(app, [rolls_back, asks], threads=2)
    return result.status if isinstance(result, Appointment) else type(result).__name__


def test_r4_one_patient_twice_in_a_session(own):
    _at, opened, _, row = scene()
    free = opened.places[opened.slots[1].id][0]

    def harm():
        with transaction() as session:
            table = Appointment.__table__
            values = dict(session.execute(select(table).where(table.c.id == row.id)).one()._mapping)
            values |= {
                "id": new_id(),
                "place_id": free.id,
                "holds_place_id": free.id,
                "visit_code": "00000001",
            }
            session.execute(update(Place).where(Place.id == free.id).values(appointment_id=values["id"]))
            session.execute(insert(table).values(**values))

    refuses(harm, "uq_one_active_appointment_per_patient_and_session")
    without_unique("appointment", "uq_one_active_appointment_per_patient_and_session")
    harm()
    assert "R4 one patient twice in a session" in broken()


def test_r5_overlapping_visits_in_parallel(own, monkeypatch):
    at = factory.clinic(policy={"per_day": 9, "per_department_day": 9})
    who = factory.person()

    def race(day=None):
        held = []
        for number in range(2):
            other = factory.another_doctor(at, f"周可{'甲乙'[number]}")
            one = factory.open_session(other, day)
            day = one.session.local_date
            held.append(hold(at.id, one.slots[0].id, holder=f"{one.id}", actor=as_account(factory.person())))
        return at_once(
            own,
            [
                lambda row=row: confirm(
                    at.id, row.id, holder=row.holder, actor=as_account(who), patient_id=who.patient.id
                )
                for row in held
            ],
            threads=2,
        )

    results = race()
    assert sorted(type(one).__name__ for one in results) == ["Appointment", "Overlap"]
    if db.engine.dialect.name == "sqlite":  # one writer at a time: there the check itself is the guard
        monkeypatch.setattr(reserve, "ensure_patient_may", lambda *_, **__: None)
    else:
        both_have_looked = threading.Barrier(2)
        look = reserve.ensure_patient_may

        def look_then_wait(*words, **more):
            look(*words, **more)
            both_have_looked.wait(10)

        real = reserve.lock_chart
        with transaction() as session:
            real(session, at.id, who.patient.id)
        monkeypatch.setattr(reserve, "lock_chart", lambda *_: None)
        monkeypatch.setattr(reserve, "ensure_patient_may", look_then_wait)
    tomorrow = results[0] if isinstance(results[0], Appointment) else results[1]
    results = race(tomorrow.visit_date + timedelta(days=1))
    assert [type(one).__name__ for one in results] == ["Appointment", "Appointment"]
    assert "R5 overlapping visits of one patient" in broken()


def test_r7_booking_for_a_patient_who_is_not_linked(own):
    at, _, _who, row = scene()
    stranger = factory.person("王陌生")
    with transaction() as session:
        session.execute(insert(factory.Chart).values(hospital_id=at.id, patient_id=stranger.patient.id))

    def harm():
        with transaction() as session:
            session.execute(
                update(Appointment).where(Appointment.id == row.id).values(patient_id=stranger.patient.id)
            )

    refuses(harm, "fk_account_books_only_for_linked_patients")
    without_references_and_checks("fk_account_books_only_for_linked_patients")
    harm()


def test_r7_a_sixth_patient(own):
    who = factory.account()
    for seat in range(1, 6):
        factory.patient(who, f"李{'一二三四五'[seat - 1]}", seat=seat)

    def harm(seat):
        factory.patient(who, "李六", seat=seat)

    refuses(lambda: harm(6), "at_most_five_patients")
    refuses(lambda: harm(5), "uq_one_patient_per_seat")
    without_references_and_checks("ck_patient_link_at_most_five_patients")
    harm(6)
    assert db.session.scalar(select(func.count()).select_from(PatientLink)) == 6


def test_r7_a_third_hold(own):
    at = factory.clinic()
    opened = factory.open_session(at)
    me = as_account(factory.person())
    first = hold(at.id, opened.slots[0].id, holder="h", actor=me)
    free = opened.places[opened.slots[1].id][0]

    def harm():
        with transaction() as session:
            table = Appointment.__table__
            values = dict(session.execute(select(table).where(table.c.id == first.id)).one()._mapping)
            values |= {
                "id": new_id(),
                "slot_id": opened.slots[1].id,
                "place_id": free.id,
                "holds_place_id": free.id,
            }
            session.execute(
                update(Place)
                .where(Place.id == free.id)
                .values(appointment_id=values["id"], held_until=first.held_until)
            )
            session.execute(insert(table).values(**values))

    refuses(harm, "seat")  # either of the two says so first
    without_unique("appointment", "uq_one_hold_per_holder_seat")
    refuses(harm, "seat")
    without_unique("appointment", "uq_one_hold_per_account_seat")
    harm()


def test_r8_r9_a_repeated_key(own, monkeypatch):
    at = factory.clinic()
    opened = factory.open_session(at)
    me = as_account(factory.person())
    monkeypatch.setattr(reserve, "claim_key", lambda *_: None)
    first = hold(at.id, opened.slots[0].id, holder="h", actor=me, key="k")
    release_hold(at.id, first.id, holder="h", actor=me)
    assert hold(at.id, opened.slots[0].id, holder="h", actor=me, key="k").id != first.id, (
        "the key meant nothing"
    )
    hold(at.id, opened.slots[1].id, holder="h", actor=me, key="k")  # another body, and nobody noticed


def test_r10_a_double_click(own):
    at = factory.clinic()
    opened = factory.open_session(at)
    me = as_account(factory.person())
    first = hold(at.id, opened.slots[0].id, holder="h", actor=me)
    free = opened.places[opened.slots[0].id][1]

    def harm():
        with transaction() as session:
            table = Appointment.__table__
            values = dict(session.execute(select(table).where(table.c.id == first.id)).one()._mapping)
            values |= {"id": new_id(), "place_id": free.id, "holds_place_id": free.id, "holder_seat": 2}
            session.execute(
                update(Place)
                .where(Place.id == free.id)
                .values(appointment_id=values["id"], held_until=first.held_until)
            )
            session.execute(insert(table).values(**values))

    refuses(harm, "uq_one_hold_per_holder_and_slot")
    without_unique("appointment", "uq_one_hold_per_holder_and_slot")
    harm()
    held = select(func.count()).where(Appointment.slot_id == first.slot_id, Appointment.status == "held")
    assert db.session.scalar(held) == 2


def test_r12_a_change_nobody_recorded(own, monkeypatch):
    at, _, who, row = scene()
    assert not broken()
    monkeypatch.setattr(places, "add_event", lambda *_, **__: None)
    cancel(at.id, row.id, actor=as_account(who))
    assert "R12 an appointment without its events" in broken()


def test_r13_an_illegal_move(own, monkeypatch):
    at, _, who, row = scene()
    done = cancel(at.id, row.id, actor=as_account(who))

    def revive():
        with transaction() as session:
            again = places.lock_appointment(session, at.id, row.id)
            places.change_status(
                session,
                again,
                "undo",
                "fulfilled",
                actor=as_account(who),
                now=factory.now(),
                cancelled_at=None,
            )

    with pytest.raises(RuntimeError, match="not a legal move"):
        revive()
    assert done.status == "cancelled"
    monkeypatch.setattr(places, "is_legal", lambda *_: True)
    revive()
    assert db.session.get(Appointment, (at.id, row.id), populate_existing=True).status == "fulfilled"


def test_r13_two_events_for_one_version(own):
    _at, _, _, row = scene()

    def harm():
        with transaction() as session:
            places.add_event(
                session,
                row,
                "again",
                "held",
                "booked",
                2,
                actor=as_account(factory_person),
                now=factory.now(),
            )

    factory_person = factory.person()
    refuses(harm, "uq_one_event_per_version")
    without_unique("appointment_event", "uq_one_event_per_version")
    harm()
    assert db.session.scalar(select(func.count()).where(AppointmentEvent.version == 2)) == 2


def test_r14_confirming_a_hold_that_ran_out(own, monkeypatch):
    at = factory.clinic()
    opened = factory.open_session(at)
    who = factory.person()
    row = hold(at.id, opened.slots[0].id, holder="h", actor=as_account(who))
    with transaction() as session:
        clock.shift(session, timedelta(minutes=11))
    words = {"holder": "h", "actor": as_account(who), "patient_id": who.patient.id}
    with pytest.raises(HoldExpired):
        confirm(at.id, row.id, **words)
    monkeypatch.setattr(reserve, "_ensure_live", lambda *_: None)
    assert confirm(at.id, row.id, **words).status == "booked"


def test_r15_a_place_returned_twice(own):
    at, opened, who, row = scene(places=1)
    cancel(at.id, row.id, actor=as_account(who))
    other = book(at, opened, factory.person(), holder="o")

    def again():
        with transaction() as session:
            places.return_place(session, at.id, row.place_id, row.id)

    with pytest.raises(RuntimeError, match="is not taken by"):
        again()

    def careless():
        with transaction() as session:
            session.execute(update(Place).where(Place.id == row.place_id).values(appointment_id=None))

    refuses(careless, "fk_active_appointment_and_place_agree")
    without_references_and_checks("fk_active_appointment_and_place_agree")
    careless()
    assert other.status == "booked" and "R2 an active appointment whose place is not marked" in broken()


def test_r16_before_the_release(own, monkeypatch):
    at = factory.clinic()
    opened = factory.open_session(at, release_at=factory.now() + timedelta(days=1))
    me = as_account(factory.person())
    with pytest.raises(NotReleased):
        hold(at.id, opened.slots[0].id, holder="h", actor=me)
    monkeypatch.setattr(reserve, "ensure_on_sale", lambda *_: None)
    assert hold(at.id, opened.slots[0].id, holder="h", actor=me).status == "held"


def test_r17_a_stopped_session_has_two_locks(own, monkeypatch):
    at, opened, _, _ = scene()
    stop_session(at.id, opened.id, actor=staff(at), reason="停电")
    me = as_account(factory.person())
    monkeypatch.setattr(reserve, "ensure_on_sale", lambda *_: None)
    with pytest.raises(SlotFull):  # the places themselves are closed
        hold(at.id, opened.slots[0].id, holder="h", actor=me)
    with transaction() as session:
        session.execute(update(Place).where(Place.session_id == opened.id).values(open=True))
    hold(at.id, opened.slots[0].id, holder="h", actor=me)
    assert "R17 an active appointment in a stopped session" in broken()


def test_r18_a_stop_that_forgets_somebody_does_not_commit(own, monkeypatch):
    at, opened, _, _row = scene()
    monkeypatch.setattr(stop_module, "_end_all", lambda *_: (0, 0))
    with pytest.raises(RuntimeError, match="could not be emptied"):
        stop_session(at.id, opened.id, actor=staff(at), reason="停电")
    monkeypatch.setattr(stop_module, "_open_places", lambda *_: 0)
    stop_session(at.id, opened.id, actor=staff(at), reason="停电")
    assert "R17 an active appointment in a stopped session" in broken()


def test_r18_somebody_who_is_not_told(own, monkeypatch):
    at, opened, _, _row = scene()
    monkeypatch.setattr(stop_module, "tell", lambda *_, **__: 0)
    assert stop_session(at.id, opened.id, actor=staff(at), reason="停电").letters == 0


def test_r20_a_move_that_keeps_both_places(own, monkeypatch):
    at, opened, who, row = scene()
    monkeypatch.setattr(move_module, "return_place", lambda *_: None)

    def harm():
        move(at.id, row.id, opened.slots[1].id, actor=as_account(who))

    refuses(harm, "fk_taken_place_and_appointment_agree")
    kept = db.session.get(Appointment, (at.id, row.id), populate_existing=True)
    assert (kept.slot_id, kept.version) == (opened.slots[0].id, 2)
    without_references_and_checks("fk_taken_place_and_appointment_agree")
    harm()
    assert "R2 a taken place without its appointment" in broken()


def test_r28_a_row_that_points_into_another_hospital(own):
    at, elsewhere = factory.clinic(), factory.clinic()
    opened = factory.open_session(elsewhere)

    def harm():
        with transaction() as session:
            table = Slot.__table__
            values = dict(
                session.execute(select(table).where(table.c.id == opened.slots[0].id)).one()._mapping
            )
            session.execute(insert(table).values(**values | {"id": new_id(), "hospital_id": at.id}))

    refuses(harm, "fk_slot_hospital_id_session_id")
    without_references_and_checks("fk_slot_hospital_id_session_id")
    harm()


def test_r28_every_key_of_an_owned_table_names_the_hospital(own):
    """No foreign key between two owned tables leaves the hospital out."""
    owned = {
        table.name for table in Model.metadata.sorted_tables if "hospital_id" in table.primary_key.columns
    }
    bare = [
        f"{table.name}.{constraint.name}"
        for table in Model.metadata.sorted_tables
        if table.name in owned
        for constraint in table.foreign_key_constraints
        if constraint.referred_table.name in owned
        and "hospital_id" not in [element.column.name for element in constraint.elements]
    ]
    assert bare == []


def test_r29_staff_without_the_right(own, monkeypatch):
    at, opened, _, _ = scene()
    with pytest.raises(NotAllowed):
        stop_session(at.id, opened.id, actor=staff(at, "desk"), reason="停电")
    assert db.session.scalar(select(func.count()).select_from(AuditEvent)) == 0
    monkeypatch.setattr(stop_module, "ensure_may", lambda *_: None)
    stop_session(at.id, opened.id, actor=staff(at, "desk"), reason="停电")
    assert db.session.scalar(select(func.count()).select_from(AuditEvent)) == 1


def test_r33_a_refused_request_leaves_nothing(own, monkeypatch):
    at, opened, who, row = scene(places=1)
    book(at, opened, factory.person(), slot=1, holder="o")
    before = every_row()

    def refused():
        with pytest.raises(SlotFull):
            move(at.id, row.id, opened.slots[1].id, actor=as_account(who), key="k")

    refused()
    assert every_row() == before
    session = db.session()
    with monkeypatch.context() as patched:
        patched.setattr(session, "rollback", session.commit)
        refused()
    assert db.session.scalar(select(func.count()).select_from(RequestKey)) == 1, (
        "the key of a refused request"
    )
