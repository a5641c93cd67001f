"""Whom a session admits and what no-shows lead to, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from booking.appointments.no_show_rules import (
    Evidence,
    Kept,
    block,
    block_days,
    counting_since,
    rule_time,
)
from booking.errors import BadInput
from booking.schedule.admission import (
    BirthDateUnknown,
    FirstVisitOnly,
    NotThisAge,
    NotThisSex,
    ReferralNeeded,
    ReturnVisitOnly,
    SexUnknown,
    ensure_admitted,
    full_years,
    in_words,
    make_admits,
)

# --- whom a session is for

ADMITTED = {"age": 40, "sex": "f", "been_before": False, "referral": "", "vouched": False}
CASES = [
    (None, {"age": None, "sex": None}, None),
    ({"age_max": 14}, {"age": 14}, None),
    ({"age_max": 14}, {"age": 15}, NotThisAge),
    ({"age_max": 14}, {"age": 0}, None),
    ({"age_min": 60}, {"age": 59}, NotThisAge),
    ({"age_min": 60}, {"age": 60}, None),
    ({"age_min": 3, "age_max": 14}, {"age": 2}, NotThisAge),
    ({"age_max": 14}, {"age": None}, BirthDateUnknown),
    ({"sex": "f"}, {"sex": "m"}, NotThisSex),
    ({"sex": "f"}, {"sex": "f"}, None),
    ({"sex": "f"}, {"sex": None}, SexUnknown),
    ({"sex": "f"}, {"sex": ""}, SexUnknown),
    ({"visit": "first"}, {"been_before": True}, FirstVisitOnly),
    ({"visit": "first"}, {"been_before": False}, None),
    ({"visit": "first"}, {"been_before": None}, None),
    ({"visit": "return"}, {"been_before": False}, ReturnVisitOnly),
    ({"visit": "return"}, {"been_before": True}, None),
    ({"visit": "return"}, {"been_before": False, "vouched": True}, None),
    ({"referral": True}, {"referral": "  "}, ReferralNeeded),
    ({"referral": True}, {"referral": "转 2026-118，新塘卫生院"}, None),
    ({"referral": True}, {"vouched": True}, None),
    ({"age_max": 14}, {"age": 40, "vouched": True}, NotThisAge),  # staff's word does not make anybody younger
    ({"sex": "f"}, {"sex": "m", "vouched": True}, NotThisSex),
    ({"age_max": 14, "sex": "m"}, {"age": 40, "sex": "f"}, NotThisAge),
]


@pytest.mark.parametrize(("admits", "patient", "refusal"), CASES)
def test_a_session_admits_whom_it_is_for(admits, patient, refusal):
    words = ADMITTED | patient | {"patient": "李*禾", "department": "儿科"}
    if refusal is None:
        ensure_admitted(admits, **words)
        return
    with pytest.raises(refusal) as refused:
        ensure_admitted(admits, **words)
    assert "%(" not in refused.value.text and refused.value.text.endswith("。")


def test_the_sentences_name_the_rule_and_what_to_do():
    with pytest.raises(NotThisAge) as refused:
        ensure_admitted({"age_max": 14}, age=40, sex="f", been_before=None, patient="李*禾")
    assert refused.value.text == (
        "这个门诊只接待 14 岁及以下的患者，李*禾就诊当天 40 岁。可以看同科室的其他门诊。"
    )
    with pytest.raises(BirthDateUnknown) as unknown:
        ensure_admitted({"age_min": 60}, age=None, sex="f", been_before=None, patient="李*禾")
    assert "还不知道李*禾的出生日期" in unknown.value.text and "补上" in unknown.value.text


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        ("2012-11-26", date(2026, 11, 25), 13),
        ("2012-11-26", date(2026, 11, 26), 14),
        ("2012-02-29", date(2026, 2, 28), 13),
        ("2012-02-29", date(2026, 3, 1), 14),
        (date(2026, 11, 26), date(2026, 11, 26), 0),
        ("", date(2026, 11, 26), None),
        (None, date(2026, 11, 26), None),
        ("unknown", date(2026, 11, 26), None),
        ("2027-01-01", date(2026, 11, 26), None),
    ],
)
def test_age_is_counted_on_the_day_of_the_visit(born, on, years):
    assert full_years(born, on) == years


@pytest.mark.parametrize(
    ("words", "kept", "said"),
    [
        ({}, None, []),
        ({"age_min": 0}, None, []),
        ({"age_max": 14}, {"age_max": 14}, ["只接待 14 岁及以下患者"]),
        ({"age_min": 18, "sex": "f"}, {"age_min": 18, "sex": "f"}, ["只接待 18 岁及以上的女性患者"]),
        ({"age_min": 14, "age_max": 14}, {"age_min": 14, "age_max": 14}, ["只接待 14 岁患者"]),
        ({"sex": "m"}, {"sex": "m"}, ["只接待男性患者"]),
        (
            {"visit": "return", "referral": True},
            {"visit": "return", "referral": True},
            ["只接待复诊患者", "需要转诊单"],
        ),
    ],
)
def test_rules_are_kept_small_and_said_in_words(words, kept, said):
    assert make_admits(**words) == kept
    assert in_words(kept) == said


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"age_min": -1}, "age_min"),
        ({"age_max": 151}, "age_max"),
        ({"age_min": 20, "age_max": 10}, "age_max"),
        ({"sex": "x"}, "sex"),
        ({"visit": "third"}, "visit"),
    ],
)
def test_rules_nobody_can_mean_are_refused(words, field):
    with pytest.raises(BadInput) as refused:
        make_admits(**words)
    assert list(refused.value.facts["errors"]) == [field]


# --- no-shows


@dataclass(frozen=True)
class Numbers:
    no_show_count: int = 3
    no_show_days: int = 180
    no_show_block_days: int = 30
    no_show_block_max_days: int = 120


TODAY = date(2026, 11, 26)


def ago(*days: int, status: str = "no_show", late: bool = False) -> list[Kept]:
    return [Kept(status, TODAY - timedelta(days=one), late) for one in days]


@pytest.mark.parametrize(
    ("history", "until", "count"),
    [
        ([], None, 0),
        (ago(1, 2), None, 0),
        (ago(1, 2, 3), TODAY + timedelta(days=29), 3),
        (ago(29, 60, 90), TODAY + timedelta(days=1), 3),  # the last day of it
        (ago(30, 60, 90), None, 0),  # it has expired
        (ago(1, 60, 180), TODAY + timedelta(days=29), 3),  # 179 days apart
        (ago(1, 60, 181), None, 0),  # 180 days apart: outside the window
        (ago(1, 2, 3, 4), TODAY + timedelta(days=59), 4),  # graded: one more doubles
        (ago(1, 2, 3, 4, 5), TODAY + timedelta(days=119), 5),
        (ago(1, 2, 3, 4, 5, 6), TODAY + timedelta(days=119), 6),  # never longer than the longest
        (ago(40, 50, 60, 70), TODAY + timedelta(days=20), 4),  # four of them: the longer block still stands
        (ago(1, 2) + ago(3, status="excused"), None, 0),
        (ago(1, 2) + ago(3, status="cancelled"), None, 0),
        (ago(1, 2) + ago(3, status="cancelled", late=True), None, 0),
        (ago(*range(1, 30), status="cancelled", late=True), None, 0),
        (ago(1, 2) + ago(3, status="fulfilled"), None, 0),
        (ago(1, 2) + ago(3, status="arrived"), None, 0),
        (ago(-1, -2, -3), None, 0),  # nothing of the future counts
    ],
)
def test_a_block_is_graded_and_expires(history, until, count):
    for order in (history, history[::-1]):
        found = block(order, Numbers(), TODAY)
        assert (found.until if found else None) == until
        assert (found.count if found else 0) == count


def test_the_block_follows_the_policys_numbers_and_can_be_switched_off():
    assert block(ago(1, 2), Numbers(no_show_count=2, no_show_block_days=7), TODAY).until == TODAY + timedelta(
        days=6
    )
    assert block(ago(*range(1, 40)), Numbers(no_show_count=0), TODAY) is None
    assert [block_days(count, Numbers()) for count in range(1, 8)] == [0, 0, 30, 60, 120, 120, 120]


def test_the_history_that_is_read_reaches_back_as_far_as_a_block_can():
    """A no-show older than `counting_since` changes no block of today, whatever else happened."""
    since = counting_since(Numbers(), TODAY)
    for days in range(1, 200, 7):
        recent = ago(days, days + 10, days + 20)
        older = [Kept("no_show", since - timedelta(days=1)), Kept("no_show", since - timedelta(days=2))]
        assert block(recent + older, Numbers(), TODAY) == block(recent, Numbers(), TODAY)


@pytest.mark.parametrize("missing", range(0, 40, 3))
def test_taking_one_away_never_makes_a_block_longer(missing):
    """Monotone: an excused no-show can only shorten or lift what the others lead to."""
    history = ago(3, 11, 19, 40, 44, 45, 90, 130, 171, 200, 222, 260, 300)
    whole = block(history, Numbers(), TODAY)
    less = [one for place, one in enumerate(history) if place != missing % len(history)]
    shorter = block(less, Numbers(), TODAY)
    assert shorter is None or (whole is not None and shorter.until <= whole.until)


GOOD = {
    "session_stopped": False,
    "hospital_cancelled": False,
    "checked_in": False,
    "desk_ticket": False,
    "desk_open": True,
    "told": ({"kind": "confirmed", "channel": "sms", "status": "accepted"},),
}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"session_stopped": True}, "stopped"),
        ({"hospital_cancelled": True}, "cancelled"),
        ({"checked_in": True}, "checked_in"),
        ({"desk_ticket": True}, "desk_ticket"),
        ({"desk_open": False}, "desk_closed"),
        ({"told": ()}, "not_told"),
    ],
)
def test_a_no_show_needs_every_piece_of_evidence(changed, why):
    assert Evidence(**GOOD | changed).why_not() == why


def test_the_rule_time_is_after_the_whole_session():
    ends = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)
    policy = type("Policy", (), {"no_show_after_minutes": 60})
    assert rule_time(ends, policy) == datetime(2026, 11, 26, 5, 0, tzinfo=UTC)
