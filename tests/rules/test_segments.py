"""How many short messages a text takes: the tables of GSM 03.38 and UCS-2, and the carriers' own examples."""

from __future__ import annotations

import pytest

from booking.notices.segments import segments_of


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 0),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the pair of escape and sign is not torn apart
        ("中" * 70, 1),
        ("中" * 71, 2),
        ("中" * 134, 2),
        ("中" * 135, 3),
        ("中" * 160, 3),  # 67, 67 and 26, as Alibaba Cloud's page says
        ("a" * 69 + "中", 1),
        ("a" * 70 + "中", 2),
        ("𠮷" * 35, 1),  # two code units each
        ("𠮷" * 36, 2),
        ("中" * 66 + "𠮷" * 2, 1),
        ("中" * 66 + "𠮷" * 3, 2),
        ("【青梧就医】验证码 123456，5 分钟内有效。不要告诉任何人。", 1),
    ],
)
def test_segments(text, segments):
    assert segments_of(text) == segments
