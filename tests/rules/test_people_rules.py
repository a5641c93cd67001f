"""Phones, names, ID numbers and birth dates as people type them; masks that tell a family apart."""

from __future__ import annotations

from datetime import date

import pytest
from stdnum.iso7064 import mod_11_2

from booking.people.rules import (
    age,
    check_birth_date,
    check_id,
    check_name,
    id_birth_date,
    id_sex,
    mask_name,
    mask_phone,
    phone_tail,
    plain_digits,
    read_phone,
    spells,
)


@pytest.mark.parametrize(
    "typed",
    [
        "13800130001",
        " 138 0013 0001 ",
        "138-0013-0001",
        "１３８００１３０００１",
        "１３８ ００１３ ０００１",
        "138\u30000013\u30000001",
        "138\u00a00013\u20030001",
        "+8613800130001",
        "+86 138 0013 0001",
        "＋８６１３８００１３０００１",
        "+86-138-0013-0001",
        "138－0013－0001",
        "138–0013–0001",
        "\u202d138 0013 0001\u202c",  # as copied from a contact
        "\t13800130001\n",
    ],
)
def test_a_mainland_phone_is_read_however_it_is_typed(typed):
    assert read_phone(typed) == ("+8613800130001", "")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "请填写手机号"),
        ("   ", "请填写手机号"),
        ("\u3000", "请填写手机号"),
        ("1380013000", "手机号应为 11 位数字，现在是 10 位"),
        ("138001300011", "手机号应为 11 位数字，现在是 12 位"),
        ("+861380013000", "手机号应为 11 位数字，现在是 10 位"),
        ("8613800130001", "手机号应为 11 位数字，现在是 13 位"),
        ("1", "手机号应为 11 位数字，现在是 1 位"),
        ("12800130001", "手机号应以 13 到 19 开头，请检查"),
        ("23800130001", "手机号应以 13 到 19 开头，请检查"),
        ("1380013000a", "手机号里有不能识别的符号，请检查"),
        ("138(0013)0001", "手机号里有不能识别的符号，请检查"),
        ("一三八〇〇一三〇〇〇一", "手机号里有不能识别的符号，请检查"),
        ("13800130001;DROP", "手机号里有不能识别的符号，请检查"),
        ("138001300\x0001", "手机号里有不能识别的符号，请检查"),
        ("²³800130001", "手机号里有不能识别的符号，请检查"),
        ("+", "手机号里有不能识别的符号，请检查"),
        ("+1", "手机号里有不能识别的符号，请检查"),
        ("+1415", "手机号位数不对，请检查"),
        ("+" + "9" * 400, "手机号里有不能识别的符号，请检查"),
    ],
)
def test_a_phone_that_cannot_be_one_gets_its_sentence(typed, sentence):
    assert read_phone(typed) == (None, sentence)


def test_a_foreign_phone_keeps_its_country():
    assert read_phone("+1 415 555 2671") == ("+14155552671", "")
    assert read_phone("+852 5123 4567") == ("+85251234567", "")


@pytest.mark.parametrize(
    "name",
    [
        "陈静",
        "欧阳秋禾",
        "阿依古丽·买买提",
        "迪丽热巴•迪力木拉提",
        "李〇",
        "王䶮",
        "张㛃",
        "赵𬭎",
        "刘𠅤",
        "﨑山",
        "Anna O'Neill-Smith",
        "José Núñez",
        "J. Smith",
        "王 小明",
        " 陈静 ",
    ],
)
def test_a_name_may_be_rare_or_foreign(name):
    assert check_name(name) == ""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "请填写姓名，与证件一致"),
        (" \u3000 ", "请填写姓名，与证件一致"),
        ("陈", "姓名应为 2–30 个字"),
        ("陈" * 31, "姓名应为 2–30 个字"),
        ("陈静1", "姓名里有不能识别的符号，请检查"),
        ("<b>陈静</b>", "姓名里有不能识别的符号，请检查"),
        ("陈静\x00", "姓名里有不能识别的符号，请检查"),
        ("陈\n静", "姓名里有不能识别的符号，请检查"),
        ("陈静😀", "姓名里有不能识别的符号，请检查"),
        ("··", "姓名里有不能识别的符号，请检查"),
        ("--", "姓名里有不能识别的符号，请检查"),
        ("';DROP TABLE patient;--", "姓名里有不能识别的符号，请检查"),
        ("\u202e静陈", "姓名里有不能识别的符号，请检查"),
    ],
)
def test_a_name_that_is_none_gets_its_sentence(name, sentence):
    assert check_name(name) == sentence


def resident(body: str) -> str:
    return body + mod_11_2.calc_check_digit(body)


GOOD = resident("99010119580309002")


def test_a_resident_number_is_read_in_every_spelling():
    ends_in_x = next(
        number for number in (resident(f"99010119580309{n:03d}") for n in range(100)) if number.endswith("X")
    )
    wide = "".join(chr(ord(one) + 0xFEE0) for one in ends_in_x)
    for typed in (
        ends_in_x,
        ends_in_x.lower(),
        f" {ends_in_x[:6]} {ends_in_x[6:14]} {ends_in_x[14:]} ",
        wide,
        wide.lower(),
    ):
        assert check_id("resident", typed) == (ends_in_x, "")


def test_no_table_of_regions_refuses_anybody():
    for region in ("110101", "990101", "000000", "659004"):
        assert check_id("resident", resident(f"{region}19580309002"))[1] == ""


def test_every_wrong_digit_and_every_swap_of_neighbours_is_noticed():
    wrong = {GOOD[:at] + digit + GOOD[at + 1 :] for at in range(18) for digit in "0123456789X"}
    swaps = {GOOD[:at] + GOOD[at + 1] + GOOD[at] + GOOD[at + 2 :] for at in range(17)}
    for number in (wrong | swaps) - {GOOD}:
        assert check_id("resident", number) == (None, "身份证号码校验不通过，请逐位核对"), number


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "请填写证件号码"),
        (GOOD[:17], "身份证应为 18 位，现在是 17 位"),
        (GOOD + "1", "身份证应为 18 位，现在是 19 位"),
        ("110101580309001", "身份证应为 18 位，现在是 15 位"),
        (resident("99010119580230002"), "身份证号码校验不通过，请逐位核对"),
        (resident("99010119581301002"), "身份证号码校验不通过，请逐位核对"),
        (resident("99010100000101002"), "身份证号码校验不通过，请逐位核对"),
        ("陈" * 18, "身份证号码校验不通过，请逐位核对"),
    ],
)
def test_a_resident_number_that_cannot_be_one_gets_its_sentence(typed, sentence):
    assert check_id("resident", typed) == (None, sentence)


def test_an_x_counts_as_ten_in_the_last_position_only():
    body = "990101195803090"
    fooling = [
        number
        for two in range(11)
        for last in range(11)
        if mod_11_2.is_valid(number := f"{body}{'X' if two == 10 else two}X{'X' if last == 10 else last}")
    ]
    assert fooling, "numbers with an X inside that only the check digit would let pass"
    for number in fooling:
        assert check_id("resident", number)[0] is None


def test_birth_date_and_sex_stand_in_the_number():
    assert id_birth_date(GOOD) == date(1958, 3, 9)
    assert (id_sex(GOOD), id_sex(resident("99010119580309001"))) == ("f", "m")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("e12345678", "E12345678"),
        (" H 1234 5678 ", "H12345678"),
        ("Ｅ１２３４５", "E12345"),
        ("A" * 20, "A" * 20),
    ],
)
def test_other_documents_are_letters_and_digits(typed, kept):
    assert check_id("passport", typed) == (kept, "")


@pytest.mark.parametrize("typed", ["1234", "A" * 21, "E1234#", "护照12345", "E1234\x00"])
def test_other_documents_of_another_shape_are_refused(typed):
    assert check_id("passport", typed) == (None, "证件号码应为 5–20 位字母和数字")


def test_without_a_document_there_is_no_number():
    assert check_id("none", "whatever") == (None, "")


TODAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (("1958", "3", "9"), (date(1958, 3, 9), "")),
        (("１９５８", "０３", "０９"), (date(1958, 3, 9), "")),
        (("2026", "11", "25"), (TODAY, "")),
        (("2024", "2", "29"), (date(2024, 2, 29), "")),
        (("", "3", "9"), (None, "请填写出生日期")),
        (("1958", "", ""), (None, "请填写出生日期")),
        (("1958", "2", "30"), (None, "2 月没有 30 日")),
        (("2023", "2", "29"), (None, "2 月没有 29 日")),
        (("1958", "4", "31"), (None, "4 月没有 31 日")),
        (("1958", "4", "0"), (None, "4 月没有 0 日")),
        (("1958", "13", "1"), (None, "没有 13 月")),
        (("1958", "0", "1"), (None, "没有 0 月")),
        (("2026", "11", "26"), (None, "出生日期不能晚于今天")),
        (("58", "3", "9"), (None, "出生年份不对，请检查")),
        (("0000", "3", "9"), (None, "出生年份不对，请检查")),
        (("1895", "3", "9"), (None, "出生年份不对，请检查")),
        (("19 58", "三", "9"), (None, "出生日期请填数字")),
        (("99999", "3", "9"), (None, "出生日期请填数字")),
        (("1e3", "3", "9"), (None, "出生日期请填数字")),
        (("²019", "3", "9"), (None, "出生日期请填数字")),
    ],
)
def test_three_typed_numbers_become_a_date_or_a_sentence(typed, answer):
    assert check_birth_date(*typed, today=TODAY) == answer


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        (date(2012, 11, 26), TODAY, 13),
        (date(2012, 11, 25), TODAY, 14),
        (date(2012, 2, 29), date(2026, 2, 28), 13),
        (date(2012, 2, 29), date(2026, 3, 1), 14),
        (TODAY, TODAY, 0),
    ],
)
def test_age_counts_full_years(born, on, years):
    assert age(born, on) == years


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("陈静", "陈*"),
        ("陈小静", "陈*静"),
        ("欧阳秋禾", "欧**禾"),
        ("阿依古丽·买买提", "阿***提"),
        ("李", "*"),
        ("", "*"),
        (" 陈静 ", "陈*"),
        ("赵𬭎", "赵*"),
    ],
)
def test_a_masked_name_hides_most_of_it(name, masked):
    assert mask_name(name) == masked


@pytest.mark.parametrize(
    "family",
    [
        ["李明", "李小明", "李小娜"],
        ["陈建国", "陈建华", "周桂英", "陈一"],
        ["王静", "王小静", "王小小静"],
    ],
)
def test_masks_tell_a_family_apart(family):
    masked = [mask_name(name) for name in family]
    assert len(set(masked)) == len(family)
    assert all(mask != name for mask, name in zip(masked, family, strict=True))


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("chenjing", "陈静"),
        ("cj", "陈静"),
        ("CJ", "陈静"),
        ("chen jing", "陈静"),
        ("chenj", "陈静"),
        ("csj", "陈思静"),
        ("sijing", "陈思静"),
        ("shanxiao", "单晓"),
        ("zq", "曾琴"),
        ("lvmei", "吕梅"),
        ("lümei", "吕梅"),
        ("anna", "Anna Li"),
    ],
)
def test_letters_spell_a_name(typed, name):
    assert spells(typed, name)


@pytest.mark.parametrize("typed", ["", "c", "cq", "chenjingg", "jc", "13", "陈静", "c-j", "a" * 3000])
def test_other_letters_do_not(typed):
    assert not spells(typed, "陈静")


def test_a_masked_phone_keeps_three_and_four_digits():
    assert mask_phone("+8613800130001") == "138****0001"
    assert phone_tail("+8613800130001") == "0001"
    assert "555" not in mask_phone("+14155552671")


def test_typed_numbers_lose_only_what_means_nothing():
    assert plain_digits("48 27－19 36") == "48271936"
    assert plain_digits("4827x1936") == "4827x1936"
