"""The published algorithm of the draw: fixed answers, fair on average, nothing to choose afterwards."""

from __future__ import annotations

import hashlib
from collections import Counter

from booking.appointments.draw_rules import (
    Turn,
    choices,
    commitment_of,
    key_of,
    list_digest,
    order,
    replay,
)

SEED = "5f" * 32


def test_the_algorithm_gives_these_answers_and_no_others():
    """Anybody can compute these by hand: a change of the algorithm needs another name."""
    assert commitment_of(SEED) == hashlib.sha256(SEED.encode()).hexdigest()
    assert list_digest(["b", "a"]) == hashlib.sha256(b"a\nb").hexdigest()
    digest = list_digest(["a", "b", "c"])
    assert key_of(SEED, digest, "a") == hashlib.sha256(f"{SEED}|{digest}|a".encode()).hexdigest()
    assert order(SEED, ["a", "b", "c"]) == sorted("abc", key=lambda token: key_of(SEED, digest, token))


def test_the_order_does_not_depend_on_who_entered_first():
    tokens = [f"{number:016x}" for number in range(50)]
    assert order(SEED, tokens) == order(SEED, reversed(tokens))


def test_one_more_entry_changes_the_order_of_all():
    """So nobody can choose a token that comes early before the list is closed."""
    tokens = [f"{number:016x}" for number in range(30)]
    before = order(SEED, tokens)
    after = [token for token in order(SEED, [*tokens, "ffffffffffffffff"]) if token in tokens]
    assert before != after


def test_wishes_are_taken_in_order_and_what_is_closed_is_left_out():
    slots = ["08:00", "08:30", "09:00"]
    assert choices((), slots) == slots
    assert choices(("09:00", "08:00"), slots) == ["09:00", "08:00"]
    assert choices(("09:00", "08:00"), slots, refused=("09:00",)) == ["08:00"]
    assert choices(("07:00",), slots) == []


def test_places_are_given_in_turn_until_none_is_left():
    turns = [
        Turn("a", ("08:30",)),
        Turn("b"),
        Turn("c", ("08:30", "08:00")),
        Turn("d", ("08:00",), refused=("08:00",)),
        Turn("e"),
        Turn("f"),
    ]
    got = replay({"08:00": 2, "08:30": 1}, turns)
    assert got == {"a": "08:30", "b": "08:00", "c": "08:00", "d": "", "e": "", "f": ""}


def test_over_many_seeds_everybody_is_drawn_equally_often():
    """40 entries, 10 places, 2 000 fixed seeds: 500 wins each are expected; chi-square with 39 degrees of freedom stays
    under its 99.9 % bound (72.1), and no entry's wins lie further than 4.5 standard deviations from the mean."""
    tokens = [hashlib.sha256(f"entry {number}".encode()).hexdigest()[:16] for number in range(40)]
    wins: Counter[str] = Counter()
    for number in range(2000):
        seed = hashlib.sha256(f"seed {number}".encode()).hexdigest()
        wins.update(order(seed, tokens)[:10])
    expected = 2000 * 10 / 40
    variance = 2000 * 0.25 * 0.75
    chi_square = sum((wins[token] - expected) ** 2 / variance for token in tokens) * 39 / 40
    assert chi_square < 72.1
    assert all(abs(wins[token] - expected) < 4.5 * variance**0.5 for token in tokens)


def test_over_many_seeds_the_first_and_the_last_to_enter_meet_every_rank():
    tokens = [f"{number:016x}" for number in range(10)]
    ranks = {token: Counter() for token in (tokens[0], tokens[-1])}
    for number in range(2000):
        drawn = order(hashlib.sha256(f"seed {number}".encode()).hexdigest(), tokens)
        for token, seen in ranks.items():
            seen[drawn.index(token)] += 1
    for seen in ranks.values():
        assert (
            sum((seen[rank] - 200) ** 2 / 200 for rank in range(10)) < 27.9
        )  # 99.9 % of chi-square, 9 degrees
