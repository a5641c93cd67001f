"""When a letter that could not be sent is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from booking.notices.rules import next_try

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LATE = {"due_at": NOW, "expires_at": NOW + timedelta(days=3)}


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 0), (2, 5), (3, 30), (4, 120), (5, 300), (6, 600), (7, 900), (8, 900), (90, 900)],
)
def test_each_try_waits_longer_than_the_one_before(attempts, seconds):
    assert next_try(attempts, NOW, **LATE) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("jitter", [-1, -0.3, 0.5, 1])
def test_jitter_moves_a_step_by_a_fifth_at_most(jitter):
    waits = (next_try(4, NOW, **LATE, jitter=jitter) - NOW).total_seconds()
    assert waits == pytest.approx(120 * (1 + jitter / 5))
    assert 96 <= waits <= 144


def test_what_the_provider_asks_for_is_never_undercut():
    assert next_try(1, NOW, **LATE, asked_wait=77, jitter=1) == NOW + timedelta(seconds=77)
    assert next_try(7, NOW, **LATE, asked_wait=77) == NOW + timedelta(seconds=900)


@pytest.mark.parametrize("asked", [1e6, 1e18, float("inf")])
def test_a_provider_that_asks_for_too_long_ends_the_letter(asked):
    assert next_try(1, NOW, **LATE, asked_wait=asked) is None


def test_a_try_that_would_come_too_late_is_not_made():
    useless = {"due_at": NOW, "expires_at": NOW + timedelta(minutes=1)}
    assert next_try(3, NOW, **useless) == NOW + timedelta(seconds=30)
    assert next_try(4, NOW, **useless) is None
    old = {"due_at": NOW - timedelta(hours=24), "expires_at": NOW + timedelta(days=9)}
    assert next_try(2, NOW, **old) is None
