"""What the clinic in memory is made of. Instants are plain wall times of the clinic, people are numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

ACTIVE = ("held", "booked", "arrived")
COUNTED = ("booked", "arrived", "fulfilled", "no_show", "excused")
SEEN = ("arrived", "fulfilled")
LIVE = ("waiting", "offered")
KEPT = ("phone", "desk", "elder", "return", "referral")
MINUTES = {
    "hold": 5,
    "hold_first": 10,
    "sign_in_first": 10,
    "regret": 10,
    "checkin": 120,
    "late": 30,
    "offer": 60,
    "no_show_after": 60,
}
LIMITS = {
    "per_day": 2,
    "per_week": 3,
    "open_per_account": 3,
    "holds": 2,
    "wishes_per_patient": 2,
    "extra_cap": 1,
    "no_show_count": 1,
}
SLEEPS, WAKES = 22, 7  # quiet hours
WINDOW = (10, 20)  # between these hours a returned place that nobody waits for is for everybody again
TURNS_KEPT = 1
BLOCK = timedelta(days=30)
LEAST_TO_ANSWER = timedelta(minutes=10)
LAST_SALE = timedelta(hours=1)
USED = datetime(9000, 1, 1, 8)  # until then rests the place of whoever has been seen
FORGIVEN = 2  # rounds of which no phone was told
FINISHED_AFTER = timedelta(hours=4)
JUST_ARRIVED = timedelta(seconds=60)
WAYS = 2  # each letter goes to the booker's app and telephone


class Refused(Exception):
    """The name of the refusal."""


@dataclass(eq=False)
class Session:
    starts: datetime
    ends: datetime
    release: datetime
    deadline: datetime  # of cancelling without trace
    day_before: datetime  # when the first reminder is due
    list_closes: datetime
    rolls: datetime | None  # when kept places are for everybody
    doctor: int
    stopped: bool = False
    numbers: int = 0
    version: int = 1

    @property
    def day(self) -> date:
        return self.starts.date()


@dataclass(eq=False)
class Slot:
    session: Session
    starts: datetime
    ends: datetime
    closes: datetime


@dataclass(eq=False)
class Place:
    """`freed`: since when the list is asked about it. `anew`: what the last verb set, to be read from the rows."""

    id: Any
    slot: Slot
    channel: str = "web"
    open: bool = True
    withdrawn: bool = False
    by: Visit | None = None
    freed: datetime | None = None
    rests: datetime | None = None
    anew: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Visit:
    """`account` holds it, `owner` has booked it or is offered it."""

    slot: Slot
    place: Place
    holder: str | None = None
    account: int | None = None
    until: datetime = datetime.max
    seat: int | None = None
    kind: str = "web"
    status: str = "held"
    version: int = 1
    extensions: int = 0
    owner: int | None = None
    patient: int | None = None
    made_at: datetime | None = None
    booked_at: datetime | None = None
    moved: bool = False  # its newest version is a move
    late: bool = False
    queue: int | None = None
    arrived: datetime = datetime.min
    untold: int = 0  # letters about a move that its check-in ended
    seen: bool = False  # somebody has marked it as arrived
    undone: bool = False  # its newest version takes a check-in back
    letters: Counter[tuple[int, str, str]] = field(default_factory=Counter)


@dataclass(eq=False)
class Wish:
    """`doctors` None: any of the department."""

    id: Any
    account: int
    patient: int
    session: Session
    doctors: frozenset[int] | None
    first: date
    last: date
    joined: datetime
    turn: datetime
    ends: datetime
    line: int
    kept: int = TURNS_KEPT
    round: int = 0
    status: str = "waiting"
    reason: str = ""
    letters: Counter[tuple[int, str, str]] = field(default_factory=Counter)

    def names(self, session: Session) -> bool:
        doctor = self.doctors is None or session.doctor in self.doctors
        return doctor and self.first <= session.day <= self.last


@dataclass(eq=False)
class Offer:
    visit: Visit
    wish: Wish
    round: int
    made: datetime
    place: Place
    slot: Slot
    outcome: str | None = None
    reached: bool = False  # a message about it may have reached a phone
