"""How many requests of one kind a process takes from one address in a while."""

from __future__ import annotations

import pytest

from booking import limits
from booking.errors import TooMany
from booking.limits import Pace


def test_one_request_too_many_says_when_to_come_back(monkeypatch):
    monkeypatch.setattr(limits.limiter, "enabled", True)
    monkeypatch.setattr(limits, "monotonic", lambda: 125.0)
    pace = Pace(2, 60)
    pace.ensure("a")
    pace.ensure("a")
    pace.ensure("b")
    with pytest.raises(TooMany) as refused:
        pace.ensure("a")
    assert refused.value.facts["seconds"] == 55
    monkeypatch.setattr(limits, "monotonic", lambda: 180.0)
    pace.ensure("a")
