"""Names of rows in addresses."""

import uuid
from types import SimpleNamespace

import pytest

from booking.errors import NotFound
from booking.refs import parse_ref, ref

ROW = uuid.UUID("0193f5b2c1d27a6e8b9c0d1e2f3a4b5c")


def test_a_row_a_pair_and_two_values_have_the_same_name():
    name = "3-0193f5b2c1d27a6e8b9c0d1e2f3a4b5c"
    assert ref(SimpleNamespace(hospital_id=3, id=ROW)) == ref((3, ROW)) == ref(3, ROW) == name
    assert parse_ref(name) == (3, ROW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3-",
        "-0193f5b2c1d27a6e8b9c0d1e2f3a4b5c",
        "0-0193f5b2c1d27a6e8b9c0d1e2f3a4b5c",
        "3-0193F5B2C1D27A6E8B9C0D1E2F3A4B5C",
        "٣-0193f5b2c1d27a6e8b9c0d1e2f3a4b5c",
        "3-0193f5b2c1d27a6e8b9c0d1e2f3a4b5c\n",
        "99999999999999999999-0193f5b2c1d27a6e8b9c0d1e2f3a4b5c",
        "3-0193f5b2c1d27a6e8b9c0d1e2f3a4b5",
        "1 OR 1=1",
        "\x00",
    ],
)
def test_any_other_text_is_not_found(text):
    with pytest.raises(NotFound):
        parse_ref(text)
