"""One chaos from the first server to the last line of its report."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from booking.db import Instant, db
from tests.chaos import judge, plan, report, town
from tests.chaos.report import Look, Story
from tests.chaos.world import World

log = logging.getLogger(__name__)
DRAIN_SECONDS = 90.0
SOON = 8.0
"""Seconds: the judge reads while nothing is due, and nothing falls due while it reads."""


@dataclass(frozen=True)
class Wanted:
    """What kind of chaos."""

    kind: str
    seconds: float
    seed: int
    folder: Path
    per_second: float = 12.0
    sabotage: bool = False
    small: bool = False
    faults: tuple[str, ...] | None = None


def chaos(wanted: Wanted) -> bool:
    """Run a chaos and write its report; return whether everything held."""
    command = (
        f"CHAOS_SEED={wanted.seed} CHAOS_SECONDS={wanted.seconds:g} CHAOS_DATABASE={wanted.kind} make chaos"
    )
    print(f"seed {wanted.seed}    the same plan again: {command}", flush=True)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    world = World(wanted.kind, sabotage=wanted.sabotage)
    try:
        world.open()
        size = (
            {"people": 400, "sessions": 4, "places": 60}
            if wanted.small
            else {"people": 6000, "sessions": 12, "places": 250}
        )
        place = town.build(world.app, seconds=wanted.seconds, **size)
        place.write(world.folder / "town.json")
        town.watch_claims(world.app)
        world.serve()
        story = Story(wanted.seed, wanted.kind, wanted.seconds, command)
        Run(wanted, world, story).run()
        print("\nthe chaos is over; reading the ledgers", flush=True)
        seen = judge.gather(world.app, world.folder, world.steps, story.drained)
        verdict = judge.decide(seen, place)
        page = report.write(wanted.folder, story, verdict, seen)
        report.say(story, verdict, page)
        return verdict.passed
    finally:
        for path in [*world.folder.glob("*.log"), *world.folder.glob("*.jsonl")]:
            (wanted.folder / path.name).write_bytes(path.read_bytes()[-8_000_000:])
        world.close()


class Run:
    """The part in which everything happens at once."""

    def __init__(self, wanted: Wanted, world: World, story: Story) -> None:
        self.wanted, self.world, self.story = wanted, world, story
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []

    def run(self) -> None:
        """Load and blows; then mend everything and wait until nothing that is due is left."""
        wanted, world, story = self.wanted, self.world, self.story
        kinds = wanted.faults or (plan.ON_POSTGRESQL if wanted.kind == "postgresql" else plan.ON_SQLITE)
        world.start_load(wanted.seed, wanted.per_second)
        story.began = time.time()
        watching = threading.Thread(target=self._watch, daemon=True)
        watching.start()
        for blow in plan.blows(wanted.seed, wanted.seconds, kinds):
            if not self._sleep_until(story.began + blow.at):
                break
            one = threading.Thread(target=self._suffer, args=(blow,), daemon=True)
            one.start()
            self.threads.append(one)
        self._sleep_until(story.began + wanted.seconds)
        world.stop_load()
        story.ended = time.time()
        for one in self.threads:
            one.join(60)
        self._drain()
        self.over.set()
        watching.join(10)

    def _sleep_until(self, at: float) -> bool:
        while time.time() < at:
            time.sleep(min(0.2, max(0.0, at - time.time())))
            for name in self.world.look_after():
                self.story.restarts.append((time.time() - self.story.began, name))
        return True

    def _suffer(self, blow: plan.Blow) -> None:
        began = time.time() - self.story.began
        try:
            self.world.strike(blow)
            if blow.lasts:
                time.sleep(max(0.0, blow.lasts - (time.time() - self.story.began - began)))
                self.world.mend(blow)
        except Exception as problem:
            self.story.troubles.append(f"{blow.does}: {type(problem).__name__} {problem}")
        self.story.blows.append((began, time.time() - self.story.began, blow.does))

    def _drain(self) -> None:
        """Everything works again: wait until nothing is due, moving the clock on over leases and pauses between tries."""
        until = time.time() + DRAIN_SECONDS
        for name in self.world.switches.iterdir():
            name.unlink(missing_ok=True)
        jumped = time.time()
        while time.time() < until:
            self._sleep_until(time.time() + 1)
            look = self._look()
            if look is not None and not (look.live_due or look.between or look.soon):
                break
            if look is not None and not look.live_due and time.time() - jumped > 3:
                self.world.jump(60.0)
                jumped = time.time()
        self._sleep_until(time.time() + 2)  # the last receipts
        self.story.drained = time.time()

    def _watch(self) -> None:
        while not self.over.is_set():
            look = self._look()
            if look is not None:
                self.story.looks.append(look)
                report.live(self.story)
            self.over.wait(1.0 if self.wanted.small else 2.0)

    def _look(self) -> Look | None:
        """How the ledger stands; None while the database is away."""
        app = self.world.app
        try:
            with app.app_context():
                asked = text(
                    "SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM message WHERE status IN"
                    " ('accepted', 'delivered')), (SELECT count(*) FROM message WHERE status IN ('waiting', 'sending')"
                    " AND next_at <= :now), (SELECT count(*) FROM message WHERE status IN ('waiting', 'sending')"
                    " AND due_at <= :now AND next_at > :now), (SELECT count(*) FROM message WHERE status IN"
                    " ('waiting', 'sending') AND next_at <= :late AND coalesce(lease_until, next_at) <= :late), (SELECT count(*) FROM message"
                    " WHERE status = 'waiting' AND due_at > :now AND due_at <= :soon)"
                )
                at = judge.db_now(db.session())
                late = at - judge.timedelta(seconds=60)
                soon = at + judge.timedelta(seconds=SOON)
                bound = {"now": _bound(at), "late": _bound(late), "soon": _bound(soon)}
                counts = db.session.execute(asked, bound).one()
                db.session.remove()
                return Look(time.time() - self.story.began, *counts)
        except SQLAlchemyError:
            with app.app_context():
                db.session.remove()
            return None


def _bound(at: judge.datetime) -> object:
    return Instant().process_bind_param(at, db.engine.dialect)
