"""Sealed fields, their keys and how those are changed, keyed hashes and one-time codes."""

from __future__ import annotations

import base64

import pytest

import config
from booking import vault
from booking.vault import blind_index, open_sealed, same, seal, set_keys, short_code

OLD = "2026a:" + "11" * 32
NEW = "2027b:" + "22" * 32


@pytest.fixture(autouse=True)
def keys():
    set_keys(OLD)
    yield
    set_keys(config.Testing().FIELD_KEYS)


@pytest.mark.parametrize("clear", ["陈静", "", "a", "𬭎·" * 200, "990101195803090028", "a\x00b"])
def test_what_is_sealed_opens_again(clear):
    assert open_sealed(seal(clear)) == clear


def test_a_sealed_field_names_algorithm_and_key_and_hides_the_rest():
    sealed = seal("陈静")
    assert sealed.startswith("aesgcm.2026a.")
    assert "陈静" not in sealed and "陈静".encode() not in base64.urlsafe_b64decode(sealed.split(".")[2])
    assert seal("陈静") != sealed, "equal values must not look equal"


def test_every_changed_byte_is_noticed():
    head, body = seal("陈静").rsplit(".", 1)
    raw = base64.urlsafe_b64decode(body)
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(ValueError, match="does not open"):
            open_sealed(f"{head}.{base64.urlsafe_b64encode(changed).decode()}")


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "陈静",
        "aesgcm.2026a",
        "aesgcm.2026a.",
        "aesgcm.2026a.AAAA",
        "rot13.2026a.AAAA",
        "aesgcm.gone.AAAA",
    ],
)
def test_what_was_never_sealed_here_is_a_clear_error(broken):
    with pytest.raises(ValueError):
        open_sealed(broken)


def test_a_key_put_in_front_seals_from_then_on_and_the_old_one_still_opens():
    before = seal("陈静")
    hashed, code = blind_index("phone", "+8613800130001"), short_code("salt")
    set_keys(f"{NEW},{OLD}")
    assert open_sealed(before) == "陈静"
    after = seal("陈静")
    assert after.startswith("aesgcm.2027b.") and open_sealed(after) == "陈静"
    assert blind_index("phone", "+8613800130001") == hashed, "stored hashes stay findable"
    assert short_code("salt") == code, "a code asked for before the restart still works"


def test_without_the_old_key_its_fields_stay_closed():
    before = seal("陈静")
    set_keys(NEW)
    with pytest.raises(ValueError, match="2026a"):
        open_sealed(before)


def test_the_key_named_must_be_the_key_used():
    sealed = seal("陈静")
    set_keys(f"{NEW},{OLD}")
    with pytest.raises(ValueError, match="does not open"):
        open_sealed(sealed.replace("2026a", "2027b"))


@pytest.mark.parametrize(
    "spec",
    [
        "",
        ",",
        "11" * 32,
        "k1:",
        "k1:11",
        "k1:" + "11" * 31,
        "k1:" + "zz" * 32,
        "k1:" + "1" * 65,
        "2026.11:" + "11" * 32,
        ":" + "11" * 32,
        f"{OLD},2026a:" + "33" * 32,
        f"{OLD},oops",
    ],
)
def test_keys_that_would_lose_or_not_protect_are_refused_and_change_nothing(spec):
    sealed = seal("陈静")
    with pytest.raises(ValueError, match="64 hex digits"):
        set_keys(spec)
    assert open_sealed(sealed) == "陈静"


def test_spaces_and_a_last_comma_do_not_matter():
    set_keys(f" {NEW} , {OLD} ,")
    assert seal("x").startswith("aesgcm.2027b.")


def test_hashes_differ_by_purpose_value_and_key():
    hashes = {blind_index("phone", "1"), blind_index("id", "1"), blind_index("phone", "2")}
    set_keys(NEW)
    hashes.add(blind_index("phone", "1"))
    assert len(hashes) == 4


def test_codes_are_six_digits_and_spread():
    codes = [short_code(f"salt{number}") for number in range(2000)]
    assert all(len(code) == 6 and code.isdecimal() for code in codes)
    assert len(set(codes)) > 1990
    assert any(code.startswith("0") for code in codes)
    set_keys(NEW)
    assert short_code("salt1") != codes[1]


def test_secrets_are_compared_whole():
    assert same("123456", "123456")
    assert not same("123456", "12345")
    assert not same("123456", "１２３４５６")
    assert vault.same("", "")
