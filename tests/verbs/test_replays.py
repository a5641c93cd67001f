"""The same request key again: the same appointment, once, whatever happened meanwhile; another body is refused (R8, R9)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from booking.appointments.cancel import cancel
from booking.appointments.checkin import check_in
from booking.appointments.expire import sweep_holds
from booking.appointments.keys import remove_old_keys
from booking.appointments.models import Appointment, RequestKey
from booking.appointments.move import move
from booking.appointments.reserve import confirm, hold, release_hold
from booking.appointments.rules import KeyReused
from booking.appointments.stop import stop_session
from booking.db import db
from tests import factory
from tests.invariants import broken
from tests.snapshot import every_row
from tests.verbs.test_after import staff
from tests.verbs.test_reserve import as_account, book

pytestmark = pytest.mark.usefixtures("within")


class Scene:
    """A clinic, a day with four slots, a person, and each verb as that person's request with the key of its name."""

    def __init__(self) -> None:
        self.at = factory.clinic()
        self.opened = factory.open_session(self.at)
        self.who = factory.person()
        self.me = as_account(self.who)
        self.slots = [slot.id for slot in self.opened.slots]

    def hold(self, slot=0, holder="h", key="hold"):
        return hold(self.at.id, self.slots[slot], holder=holder, actor=self.me, key=key)

    def confirm(self, row, complaint="头晕", key="confirm", **more):
        words = {"holder": "h", "actor": self.me, "patient_id": self.who.patient.id} | more
        return confirm(self.at.id, row.id, complaint=complaint, key=key, **words)

    def cancel(self, row, reason="时间不合适", key="cancel"):
        return cancel(self.at.id, row.id, actor=self.me, reason=reason, key=key)

    def move(self, row, slot=1, reason="", key="move"):
        return move(self.at.id, row.id, self.slots[slot], actor=self.me, reason=reason, key=key)


@pytest.fixture
def scene():
    return Scene()


def ends_by(how, scene, row, now):
    """Let the hold or the visit come to an end in one of the ways there are."""
    if how == "released":
        release_hold(scene.at.id, row.id, holder="h", actor=scene.me)
    elif how == "ran out":
        now.shift(minutes=11)
    elif how == "swept":
        now.shift(minutes=11)
        sweep_holds()
    elif how == "confirmed":
        scene.confirm(row)
    elif how == "cancelled":
        cancel(scene.at.id, row.id, actor=scene.me)
    elif how == "cancelled by the desk":
        cancel(scene.at.id, row.id, actor=staff(scene.at, "desk"), reason="患者来电")
    elif how == "moved":
        move(scene.at.id, row.id, scene.slots[2], actor=staff(scene.at, "desk"))
    elif how == "stopped":
        stop_session(scene.at.id, scene.opened.id, actor=staff(scene.at), reason="停电")
    elif how == "arrived":
        now.at(scene.opened.slots[0].starts_at - timedelta(minutes=30))
        check_in(scene.at.id, row.id, actor=staff(scene.at, "desk"))
    else:
        assert how == "untouched"


def unchanged_by(request):
    """Run a replay and demand that it changed no row."""
    before = every_row()
    answer = request()
    assert every_row() == before
    return answer


@pytest.mark.parametrize("how", ["untouched", "released", "ran out", "swept", "confirmed", "stopped"])
def test_a_replayed_hold_names_the_same_hold_whatever_became_of_it(scene, now, how):
    row = scene.hold()
    ends_by(how, scene, row, now)
    assert unchanged_by(scene.hold).id == row.id
    assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1
    assert not broken()


AFTER_BOOKING = ["untouched", "cancelled", "cancelled by the desk", "moved", "stopped", "arrived"]


@pytest.mark.parametrize("how", AFTER_BOOKING)
def test_a_replayed_confirm_names_the_same_visit_as_it_is_now(scene, now, how):
    row = scene.confirm(scene.hold())
    ends_by(how, scene, row, now)
    again = unchanged_by(lambda: scene.confirm(row))
    assert (again.id, again.visit_code, again.complaint) == (row.id, row.visit_code, "头晕")


@pytest.mark.parametrize("how", AFTER_BOOKING)
def test_a_replayed_move_names_the_same_visit_and_moves_nobody_back(scene, now, how):
    row = scene.move(scene.confirm(scene.hold()))
    ends_by(how, scene, row, now)
    again = unchanged_by(lambda: scene.move(row))
    assert again.id == row.id
    assert how != "moved" or again.slot_id == scene.slots[2]


@pytest.mark.parametrize("how", ["untouched", "stopped"])
def test_a_replayed_cancel_cancels_once_although_the_place_is_somebody_elses(scene, now, how):
    row = scene.cancel(scene.confirm(scene.hold()))
    other = book(scene.at, scene.opened, factory.person(), holder="o")
    ends_by(how, scene, row, now)
    assert unchanged_by(lambda: scene.cancel(row)).status == "cancelled"
    kept = db.session.get(Appointment, (scene.at.id, other.id), populate_existing=True)
    assert (kept.status == "booked") == (how == "untouched")
    assert not broken()


ANOTHER_BODY = {
    "hold another slot": lambda scene, row: scene.hold(slot=1),
    "hold for another browser": lambda scene, row: scene.hold(holder="x"),
    "confirm with another complaint": lambda scene, row: scene.confirm(row, complaint="别的"),
    "confirm with another referral": lambda scene, row: scene.confirm(row, referral="转诊单 7"),
    "confirm without reminders": lambda scene, row: scene.confirm(row, remind=False),
    "confirm for another patient": lambda scene, row: scene.confirm(
        row, patient_id=factory.patient(scene.who.account, "李小满", seat=2).id
    ),
    "move elsewhere": lambda scene, row: scene.move(row, slot=3),
    "move for another reason": lambda scene, row: scene.move(row, reason="别的"),
    "cancel for another reason": lambda scene, row: scene.cancel(row, reason="别的"),
    "confirm with the key of the hold": lambda scene, row: scene.confirm(row, key="hold"),
    "move with the key of the confirm": lambda scene, row: scene.move(row, key="confirm"),
    "cancel with the key of the move": lambda scene, row: scene.cancel(row, key="move"),
}


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("other", ANOTHER_BODY)
def test_the_same_key_with_another_body_is_refused_and_changes_nothing(scene, other, ended):
    row = scene.move(scene.confirm(scene.hold()))
    if ended or "cancel for another" in other:
        scene.cancel(row)
    factory.patient(scene.who.account, "李立冬", seat=3)
    replay = ANOTHER_BODY[other]
    if "patient" not in other:
        before = every_row()
    with pytest.raises(KeyReused) as refused:
        replay(scene, row)
    assert refused.value.status == 422
    if "patient" not in other:
        assert every_row() == before


def test_a_live_hold_does_not_hide_that_the_key_meant_another_slot(scene):
    scene.hold(slot=0, key="first")
    scene.hold(slot=1, key="second")
    with pytest.raises(KeyReused):
        scene.hold(slot=1, key="first")


def test_a_key_sent_with_the_second_press_is_kept_with_the_hold_it_led_to(scene):
    row = scene.hold(key=None)
    assert scene.hold(key="late").id == row.id
    release_hold(scene.at.id, row.id, holder="h", actor=scene.me)
    assert scene.hold(key="late").id == row.id, "the key means this hold, also when it is over"


def test_a_key_means_something_else_in_another_hospital(scene):
    elsewhere = Scene()
    assert scene.hold().id != elsewhere.hold().id


def test_long_keys_that_begin_alike_are_two_keys(scene):
    start = "k" * 90
    first = scene.hold(slot=0, key=start + "1")
    assert scene.hold(slot=1, key=start + "2").id != first.id
    assert scene.hold(slot=0, key=start + "1").id == first.id


def test_keys_are_kept_for_seven_days(scene, now):
    row = scene.confirm(scene.hold())
    now.shift(days=6, hours=23)
    assert remove_old_keys() == 0
    assert scene.confirm(row).id == row.id
    now.shift(hours=2)
    assert (remove_old_keys(), remove_old_keys()) == (2, 0)
    assert db.session.scalar(select(func.count()).select_from(RequestKey)) == 0
