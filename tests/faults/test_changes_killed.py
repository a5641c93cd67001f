"""A process dies while it moves and cancels: what was acknowledged stands, the rest never happened or is told by its key
(R8, R11, R20, R33)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from booking.appointments.cancel import cancel
from booking.appointments.models import Appointment, RequestKey
from booking.appointments.move import move
from booking.db import db
from booking.outbox import Message
from booking.schedule.models import Place
from tests import factory
from tests.faults.test_sending_killed import environment
from tests.invariants import broken
from tests.verbs.test_reserve import as_account, book

ROOT = Path(__file__).resolve().parents[2]
KIND = {"move": "moved", "cancel": "cancelled"}


class Scene:
    """Three people with a visit in the first slot; four slots of three places."""

    def __init__(self) -> None:
        self.at = factory.clinic()
        self.opened = factory.open_session(self.at)
        self.people = [factory.person() for _ in range(3)]
        self.rows = [
            book(self.at, self.opened, who, holder=f"h{number}") for number, who in enumerate(self.people)
        ]
        self.ids = [row.id for row in self.rows]
        db.session.rollback()

    def changes(self, verb):
        to = [f":{self.opened.slots[2].id}" if verb == "move" else ""] * 3
        return [f"{id_}:{who.id}{slot}" for id_, who, slot in zip(self.ids, self.people, to, strict=True)]

    def again(self, verb, number):
        """Send the request with its key again, as a browser does that heard no answer."""
        key, actor = f"{verb}-{self.ids[number]}", as_account(self.people[number])
        if verb == "move":
            return move(self.at.id, self.ids[number], self.opened.slots[2].id, actor=actor, key=key)
        return cancel(self.at.id, self.ids[number], actor=actor, key=key)

    def changed(self, verb):
        """Return which of the visits show the change, by all that belongs to it."""
        db.session.rollback()
        found = []
        for number, id_ in enumerate(self.ids):
            row = db.session.get(Appointment, (self.at.id, id_), populate_existing=True)
            told = select(func.count()).where(Message.appointment_id == id_, Message.kind == KIND[verb])
            facts = {
                "version": row.version == 3,
                "state": (row.slot_id == self.opened.slots[2].id)
                if verb == "move"
                else row.status == "cancelled",
                "letters": db.session.scalar(told) == 2,
                "key": db.session.get(RequestKey, (self.at.id, f"{verb}-{id_}")) is not None,
            }
            assert len(set(facts.values())) == 1, f"half a {verb}: {facts}"
            found += [number] if facts["version"] else []
        return found


@contextmanager
def child(app, scene, verb, **more: str) -> Iterator[subprocess.Popen]:
    command = [sys.executable, str(ROOT / "tests/faults/changing_child.py"), str(scene.at.id), verb]
    with subprocess.Popen(
        [*command, *scene.changes(verb)],
        cwd=ROOT,
        env=environment(app, **more),
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("verb", ["move", "cancel"])
def test_every_acknowledged_change_survives_kill_9(app, within, verb):
    scene = Scene()
    with child(app, scene, verb) as running:
        said = [running.stdout.readline().split() for _ in range(2)]
        running.kill()  # at once after the answer: nothing is tidied up
        running.wait()
    assert [word[1] for word in said] == [str(id_) for id_ in scene.ids[:2]]
    assert scene.changed(verb)[:2] == [0, 1]
    assert not broken()


@pytest.mark.parametrize("verb", ["move", "cancel"])
@pytest.mark.parametrize(
    ("point", "happened"), [("returned_place", False), ("before_commit", False), ("after_commit", True)]
)
def test_a_change_that_died_is_whole_or_did_not_happen_and_its_key_says_which(
    app, within, tmp_path, verb, point, happened
):
    scene = Scene()
    (tmp_path / f"{point}.1").write_text("kill")
    with child(app, scene, verb, FAILPOINTS=str(tmp_path)) as running:
        assert running.stdout.readline() == "", "it died before the first answer"
        assert running.wait() == -9
    assert scene.changed(verb) == ([0] if happened else [])
    assert not broken()
    done = scene.again(verb, 0)
    assert (done.id, done.version) == (scene.ids[0], 3), "once, whether or not it had happened"
    assert scene.changed(verb) == [0]
    taken = select(func.count()).where(Place.appointment_id.is_not(None))
    assert db.session.scalar(taken) == (3 if verb == "move" else 2)
    assert not broken()
