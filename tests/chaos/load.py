"""People at work: `python -m tests.chaos.load FOLDER LANE SEED PER_SECOND` calls the verbs until the file FOLDER/stop appears.

Every attempt becomes a line in FOLDER/load-LANE.jsonl: what, when asked and answered (this machine's clock), and whether it was
done, refused, or nobody knows because the database went away.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from booking.appointments.cancel import cancel
from booking.appointments.coming import confirm_coming
from booking.appointments.models import Appointment
from booking.appointments.move import move
from booking.appointments.reserve import confirm, hold
from booking.appointments.stop import stop_session
from booking.db import db
from booking.errors import Refusal
from booking.staff.rules import Actor
from tests.chaos.plan import Step, steps
from tests.chaos.town import House, Town, read
from worker.app import flask_app

FAR = 0.06
"""The share of bookings on days after the clocks change."""


@dataclass
class Mine:
    """A visit this lane has booked."""

    house: House
    id: uuid.UUID
    account: int
    session: str


class Lane:
    """One lane of the load: its own part of the people, one thing at a time."""

    def __init__(self, town: Town, lane: int, lanes: int, out: Path) -> None:
        self.town, self.people = town, town.people[lane::lanes]
        self.lane = lane
        self.mine: list[Mine] = []
        self.out = out.open("a", buffering=1)

    def do(self, step: Step) -> None:
        """Do one thing and write down what came of it."""
        does = step.does if self.mine or step.does == "stop" else "book"
        began = time.time()
        line: dict[str, Any] = {"op": does, "began": began}
        try:
            line |= {"result": "ok"} | getattr(self, f"_{does}")(step.luck)
        except Refusal as refusal:
            line |= {"result": "refused", "why": type(refusal).__name__}
        except SQLAlchemyError as problem:
            line |= {"result": "unknown", "why": type(problem).__name__}
            time.sleep(0.2)
        line["done"] = time.time()
        db.session.remove()
        self.out.write(json.dumps(line) + "\n")

    def _book(self, luck: tuple[float, float, float]) -> dict[str, Any]:
        account, patient = self.people[int(luck[0] * len(self.people))]
        house = self.town.houses[int(luck[1] * len(self.town.houses))]
        slots = house.far if luck[2] < FAR else house.near
        session, slot = slots[int(luck[2] * 7919) % len(slots)]
        actor, holder = Actor("account", str(account), account_id=account), secrets.token_hex(32)
        held = hold(house.id, uuid.UUID(slot), holder=holder, actor=actor)
        row = confirm(house.id, held.id, holder=holder, actor=actor, patient_id=patient)
        self.mine.append(Mine(house, row.id, account, session))
        return _told(row)

    def _take(self, luck: float) -> tuple[int, Mine, Actor]:
        where = int(luck * len(self.mine))
        mine = self.mine[where]
        return where, mine, Actor("account", str(mine.account), account_id=mine.account)

    def _cancel(self, luck: tuple[float, float, float]) -> dict[str, Any]:
        where, mine, actor = self._take(luck[0])
        del self.mine[where]
        return _told(cancel(mine.house.id, mine.id, actor=actor))

    def _move(self, luck: tuple[float, float, float]) -> dict[str, Any]:
        _where, mine, actor = self._take(luck[0])
        session, slot = mine.house.near[int(luck[1] * len(mine.house.near))]
        row = move(mine.house.id, mine.id, uuid.UUID(slot), actor=actor)
        mine.session = session
        return _told(row)

    def _coming(self, luck: tuple[float, float, float]) -> dict[str, Any]:
        _where, mine, actor = self._take(luck[0])
        return _told(confirm_coming(mine.house.id, mine.id, actor=actor))

    def _stop(self, luck: tuple[float, float, float]) -> dict[str, Any]:
        house = self.town.houses[int(luck[0] * len(self.town.houses))]
        session, _slot = house.near[int(luck[1] * len(house.near))]
        actor = Actor("admin", house.admin, hospital_id=house.id)
        stop_session(house.id, uuid.UUID(session), actor=actor, reason="医生临时有急诊手术")
        self.mine = [one for one in self.mine if one.session != session]
        return {"hospital": house.id, "session": session}


def _told(row: Appointment) -> dict[str, Any]:
    return {"hospital": row.hospital_id, "appointment": row.id.hex, "version": row.version}


def main(folder: Path, lane: int, lanes: int, seed: int, per_second: float) -> None:
    """Do things at a steady rate until told to stop."""
    with flask_app.app_context():
        work = Lane(read(folder / "town.json"), lane, lanes, folder / f"load-{lane}.jsonl")
        next_at = time.monotonic()
        for step in steps(seed, lane):
            if (folder / "stop").exists():
                return
            work.do(step)
            next_at = max(next_at + 1 / per_second, time.monotonic() - 2)
            time.sleep(max(0.0, next_at - time.monotonic()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
