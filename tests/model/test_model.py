"""Any order of verbs: the product and a clinic in memory must answer the same and look the same, on both databases.

Reproducible: the same run each time. `MODEL_EXAMPLES` and `MODEL_STEPS` make it longer, `MODEL_SEED` makes it another.
Two towns: in the roomy one there is mostly a place, in the crowded one people wait for what comes back.
"""

from __future__ import annotations

import os
from datetime import time

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from tests import factory
from tests.conftest import _app_of
from tests.model.at_the_desk import AtTheDesk
from tests.model.at_the_pages import AtThePages
from tests.model.on_the_list import OnTheList
from tests.model.steps import with_steps
from tests.model.things import LIMITS, MINUTES, SLEEPS, TURNS_KEPT, WAKES, WINDOW
from tests.model.town import CROWDED, ROOMY, accounts, slots


class Roomy(AtThePages, AtTheDesk):
    size = ROOMY

    @initialize(bookings=st.lists(st.tuples(accounts, slots, st.booleans()), max_size=4))
    def some_have_booked(self, bookings: list[tuple[int, int, bool]]) -> None:
        for one in bookings:
            self.book(*one)


class Crowded(OnTheList):
    size = CROWDED


TOWNS = {"roomy": (Roomy, "10", "36"), "crowded": (Crowded, "12", "40")}
"""The machine of each town, with how many examples of how many steps it runs unless told otherwise."""


@pytest.mark.parametrize("town", TOWNS)
def test_the_product_does_what_the_model_does(database, town):
    _app_of(database)  # skips where there is none
    machine, examples, steps = TOWNS[town]
    factory_of = with_steps(machine, kind=database)
    given = os.environ.get("MODEL_SEED")
    made = seed(int(given))(lambda: factory_of()) if given else factory_of
    run_state_machine_as_test(
        made,
        settings=settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", examples)),
            stateful_step_count=int(os.environ.get("MODEL_STEPS", steps)),
            derandomize=not given,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            print_blob=False,
            verbosity=Verbosity.normal,
            report_multiple_bugs=False,
        ),
    )


def test_the_model_knows_the_numbers_of_the_policy(within):
    """The model has its own numbers; they are those of a policy nobody changed."""
    policy = factory.clinic().policy
    assert {
        "hold": policy.hold_minutes,
        "hold_first": policy.hold_minutes_first,
        "sign_in_first": policy.sign_in_first_minutes,
        "regret": policy.regret_minutes,
        "checkin": policy.checkin_opens_minutes,
        "late": policy.late_minutes,
        "offer": policy.offer_minutes,
        "no_show_after": policy.no_show_after_minutes,
    } == MINUTES
    assert (policy.quiet_from, policy.quiet_to) == (time(SLEEPS), time(WAKES))
    assert (policy.return_from, policy.return_to) == tuple(map(time, WINDOW))
    assert (policy.wish_turns_kept, policy.wish_ends_time, policy.wish_ends_days_before) == (
        TURNS_KEPT,
        time(23),
        1,
    )
    assert LIMITS["holds"] == policy.holds_per_person
