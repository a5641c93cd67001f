"""Names of rows in addresses."""

import uuid
from types import SimpleNamespace

import pytest

from booking.errors import NotFound
from booking.refs import LONGEST_CODE, SIGNS, link_code, parse_ref, read_link_code, ref
from booking.vault import set_keys

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


# --- in links of short messages ----------------------------------------------------------------------------------------


@pytest.fixture
def keys():
    set_keys(f"t1:{'ab' * 32}")


def test_the_code_of_a_link_finds_its_row_among_those_of_its_second(keys):
    code = link_code(3, ROW)
    sought = read_link_code(code)
    assert sought.hospital_id == 3 and sought.first <= ROW < sought.end and sought.is_it(ROW)
    assert (sought.end.int - sought.first.int) >> 80 == 1000, "one second of ids"
    assert not sought.is_it(uuid.UUID(int=ROW.int + 1)), "another row of that second"
    assert link_code(4, ROW) != code and read_link_code(link_code(4, ROW)).hospital_id == 4
    assert len(code) <= 12 and set(code) <= set(SIGNS)
    assert len(link_code(99_999, ROW)) <= LONGEST_CODE


def test_a_code_is_read_as_people_type_it(keys):
    code = link_code(3, ROW)
    typed = code.upper().replace("0", "O").replace("1", "l")
    assert read_link_code(typed) == read_link_code(code)


@pytest.mark.parametrize("text", ["", "u", "a-b", "1" * (LONGEST_CODE + 1), "测试", "a b", "\x00"])
def test_what_is_no_code_is_not_found(text):
    with pytest.raises(NotFound, match="链接"):
        read_link_code(text)
