"""One storm from the first server to the last line of its report."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench import running
from booking import clock
from booking.db import db
from tests.faults.unguarded import without_references_and_checks, without_unique
from tests.storm import checkers, plan, report, town
from tests.storm.asking import PATIENCE, Asking
from tests.storm.crowd import LANES, Crowd
from tests.storm.desk import Desk
from tests.storm.history import History, read
from tests.storm.observer import Observer, Seen
from tests.storm.report import Story
from tests.storm.rush import rush
from tests.storm.wire import Lost, Wire
from tests.storm.world import World

GUARDS = (
    ("appointment", "uq_one_active_appointment_per_place"),
    ("appointment", "fk_active_appointment_and_place_agree"),
    ("place", "fk_taken_place_and_appointment_agree"),
)
WARM = 0.1
"""CPU is counted after this share of the time: the first requests of a process also make its templates and plans."""
JUMP = 75.0
"""Seconds by which the clock is moved on: past the end of every hold there is."""


@dataclass(frozen=True)
class Wanted:
    """What kind of storm."""

    kind: str
    seconds: float
    seed: int
    folder: Path
    operations: int = 0
    rush: int = 1000
    sabotage: bool = False
    small: bool = False
    faults: tuple[str, ...] | None = None


def storm(wanted: Wanted) -> bool:
    """Run a storm and write its report; return whether everything held."""
    command = (
        f"STORM_SEED={wanted.seed} STORM_SECONDS={wanted.seconds:g} STORM_DATABASE={wanted.kind} make storm"
    )
    print(f"seed {wanted.seed}    the same plan again: {command}", flush=True)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    world = World(wanted.kind, sabotage=wanted.sabotage)
    try:
        world.open()
        size = (
            {"hospitals": 2, "doctors": 2, "days": 2}
            if wanted.small
            else {"hospitals": 3, "doctors": 5, "days": 4}
        )
        people = max(wanted.rush + 50, 200 if wanted.small else 3000)
        place = town.build(world.app, accounts=people, releases=plan.releases(wanted.seconds), **size)
        town.observer_indexes(world.app)
        if wanted.sabotage:
            _sabotage(world)
        world.serve()
        story = Story(wanted.seed, wanted.kind, wanted.seconds, command)
        history = History(wanted.folder / "history.jsonl")
        with Observer(
            world.url if wanted.kind == "sqlite" else world.app.config["SQLALCHEMY_DATABASE_URI"],
            place.hospitals,
        ) as observer:
            run = Run(wanted, world, place, story, history, observer.seen)
            asyncio.run(run.run())
        history.close()
        print("\nthe storm is over; reading the history", flush=True)
        story.violations = checkers.decide(world.app, run.evidence())
        page = report.write(wanted.folder, story, history, observer.seen)
        _say(story, history, observer.seen, page)
        return story.passed(history, observer.seen)
    finally:
        for name in ("web", "worker", "beat"):
            log = world.folder / f"{name}.log"
            if log.exists():
                (wanted.folder / log.name).write_bytes(log.read_bytes()[-2_000_000:])
        world.close()


def _sabotage(world: World) -> None:
    with world.app.app_context():
        for table, name in GUARDS:
            if name.startswith("uq_"):
                without_unique(table, name)
            else:
                without_references_and_checks(name)
        db.session.remove()


def _say(story: Story, history: History, seen: Seen, page: Path) -> None:
    for rule, said in story.violations[:12]:
        print(f"  {rule}: {said}")
    for one in history.five_hundreds[:5]:
        print(f"  500: {one['asked']}")
    if story.rush:
        r = story.rush
        print(
            f"{r.clients} clients, a slot of 20: {r.winners} winners, {r.said['full']} told it is full, p99 {r.within(0.99):.2f} s"
        )
    count = len(story.violations) + len(seen.violations)
    print(
        f"{'PASSED' if story.passed(history, seen) else 'FAILED'}: {history.counts['all']:,} operations,"
        f" {len(story.blows)} faults, {count} violations, {history.counts['unknown']} unresolved,"
        f" {len(history.five_hundreds)} × 500; seed {story.seed}; {page}",
        flush=True,
    )


class Run:
    """The part in which everything happens at once."""

    def __init__(
        self, wanted: Wanted, world: World, place: town.Town, story: Story, history: History, seen: Seen
    ) -> None:
        self.wanted, self.world, self.town, self.story = wanted, world, place, story
        self.history, self.seen = history, seen
        self.ask = Asking(history, 3.0 if wanted.sabotage else 15.0 if wanted.small else PATIENCE)
        with world.app.app_context():
            offset = clock.offset(db.session()).total_seconds()
            db.session.remove()
        self.wall = checkers.WallTime(offset)
        self.dice = random.Random(f"{wanted.seed} luck")

    async def run(self) -> None:
        """Warm up, let the rush pass, then the storm; afterwards ask for everything that is still unknown."""
        await self._warm()
        if self.wanted.rush:
            self.story.rush = await rush(self.town, self.ask, self.world.port, self.wanted.rush)
            r = self.story.rush
            print(
                f"{r.clients} clients, a slot of 20: {r.winners} winners, p99 {r.within(0.99):.2f} s",
                flush=True,
            )
        self.story.began = self.history.began = time.time()
        self._schedule_releases()
        wanted = self.wanted
        self.crowd = Crowd(
            self.town, self.ask, self.world.port, plan.steps(wanted.seed), 8 if wanted.small else LANES
        )
        self.desk = Desk(
            self.town, self.ask, self.world.port, plan.orders(wanted.seed, wanted.seconds), self.story.began
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self.crowd.run())
            desk = group.create_task(self.desk.run())
            group.create_task(self._blows())
            group.create_task(self._watch())
            await asyncio.sleep(wanted.seconds * WARM)
            since, counted = time.time(), self.history.counts["all"]
            before, busy = self.world.cpu(), running._busy()
            await self._until_the_end()
            self.crowd.stopping = self.desk.stopping = True
            await desk
        self.story.cpu = {name: used - before[name] for name, used in self.world.cpu().items()}
        self.story.counted = self.history.counts["all"] - counted
        machine = (time.time() - since) * running.CORES
        self.story.others = max(0.0, (running._busy() - busy - sum(self.story.cpu.values())) / machine)
        for switch in self.world.switches.iterdir():
            switch.unlink(missing_ok=True)
        # a server without its guards answers some requests 500 for ever: what it broke is seen without them
        await self.ask.resolve(Wire(self.world.port, seconds=30), 0 if self.wanted.sabotage else 10)
        self.story.ended = time.time()

    async def _warm(self) -> None:
        """Let every process draw its pages and plan its statements once: hold and give back for a few seconds."""
        seconds = 1.0 if self.wanted.small else 5.0
        steps = (
            step
            for step in plan.steps(self.wanted.seed + 1)
            if step.does == "hold_and_release" and step.luck >= 0.3
        )
        crowd = Crowd(self.town, self.ask, self.world.port, steps, 8)
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.run())
            wire = Wire(self.world.port, seconds=60)
            for number in range(20):
                path = "/me/appointments" if number % 2 else "/no-such-page"
                try:
                    await wire.ask(self.town.browsers[number].get(path))
                except Lost:
                    await asyncio.sleep(0.5)
            wire.close()
            await asyncio.sleep(seconds)
            crowd.stopping = True

    def _schedule_releases(self) -> None:
        """Put the releases to seconds after this moment: setting up and the rush took a while."""
        with self.world.app.app_context():
            town.put_releases(self.town, self.story.began + self.wall.steps[-1][1])

    async def _until_the_end(self) -> None:
        wanted = self.wanted
        while time.time() < self.story.began + wanted.seconds:
            if wanted.operations and self.history.counts["all"] >= wanted.operations:
                return
            await asyncio.sleep(0.1)

    async def _watch(self) -> None:
        while not self.crowd.stopping:
            report.live(self.story, self.history, self.seen)
            await asyncio.sleep(0.5 if self.wanted.small or sys.stdout.isatty() else 10)

    async def _blows(self) -> None:
        kinds = self.wanted.faults or (
            plan.FAULTS_ON_POSTGRESQL if self.wanted.kind == "postgresql" else plan.FAULTS_ON_SQLITE
        )
        loop = asyncio.get_running_loop()
        for blow in plan.blows(self.wanted.seed, self.wanted.seconds, kinds):
            while not self.crowd.stopping and time.time() < self.story.began + blow.at:
                await asyncio.sleep(0.05)
            if self.crowd.stopping:
                return
            at = time.time() - self.story.began
            said = await loop.run_in_executor(None, self._strike, blow)
            self.story.blows.append((at, blow.does, said))

    def _strike(self, blow: plan.Blow) -> str:
        world = self.world
        match blow.does:
            case "kill_web":
                return world.kill_a_worker(random.Random(blow.luck))
            case "crash_database":
                return world.crash_the_database(0.2 + 1.5 * blow.luck)
            case "kill_broker":
                return world.kill_the_broker(0.2 + 2 * blow.luck)
            case "flush":
                return world.flush_the_broker()
            case "clock":
                town.set_clock(world.app, self.wall.steps[-1][1] + JUMP)
                self.wall.jumped(time.time(), JUMP)
                return f"the clock {JUMP:.0f} s on: every hold runs out at once"
            case _:
                point, does = plan.FAILPOINTS[(blow.number + int(blow.luck * 100)) % len(plan.FAILPOINTS)]
                return world.switch(point, does, blow.number)

    def evidence(self) -> checkers.Evidence:
        """Put together what the checkers look at."""
        sessions = {f"{one.hospital}-{one.id.hex}": one for one in self.town.sessions}
        places = {name: one.places for name, one in sessions.items()}
        session_of = {slot.ref: name for name, one in sessions.items() for slot in one.slots}
        rush = self.town.rush
        session_of[rush.ref] = f"{rush.hospital}-{rush.session.hex}"
        places[session_of[rush.ref]] = 20
        released = {
            name: self.story.began + one.release_after for name, one in sessions.items() if one.release_after
        }
        for _since, by in zip(self.wall.steps[1:], self.wall.steps, strict=False):
            jump, length = _since[0], _since[1] - by[1]
            released = {name: max(jump, at - length) if at > jump else at for name, at in released.items()}
        records = list(read(self.history.path))
        return checkers.Evidence(
            records,
            checkers.rows_of(self.world.app, self.wall),
            places,
            session_of,
            released,
            {one.slot.ref for one in self.town.scarce},
        )
