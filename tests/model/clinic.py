"""A clinic in memory: what each verb must answer, without a database."""

from __future__ import annotations

from tests.model.desk import Desk
from tests.model.people import People
from tests.model.waiting import WaitingList


class Clinic(People, Desk, WaitingList):
    """All of its verbs, on one state."""
