"""Every mutant there is, in the order in which they run."""

from __future__ import annotations

from tests.mutants.channels import CHANNELS
from tests.mutants.code import CODE
from tests.mutants.desk import DESK
from tests.mutants.inbound import INBOUND
from tests.mutants.later import LATER
from tests.mutants.ledger import LEDGER
from tests.mutants.offers import OFFERS
from tests.mutants.people import PEOPLE
from tests.mutants.release import RELEASE
from tests.mutants.schema import SCHEMA
from tests.mutants.texts import TEXTS
from tests.mutants.waiting import WAITING
from tests.mutants.watch import WATCH

MUTANTS = (
    SCHEMA
    + CODE
    + LATER
    + DESK
    + WAITING
    + OFFERS
    + RELEASE
    + INBOUND
    + CHANNELS
    + WATCH
    + LEDGER
    + TEXTS
    + PEOPLE
)
