"""Names of the directory."""

from __future__ import annotations

import re

import pytest

from booking.directory import rules


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("临澜市第一医院", "linlanshidiyiyiyuan"),
        ("青萍市中西医结合人民医院", "qpszxyjhrmyy"),
        ("沈知微", "shenzhiwei"),
        ("😀", "x"),
        ("O'Neil 林", "o-neillin"),
    ],
)
def test_slugs_are_short_words_of_a_url(name, slug):
    made = rules.slug_of(name)
    assert re.fullmatch(r"[a-z0-9-]{1,32}", made)
    assert made == slug


def test_a_taken_slug_gets_a_number():
    assert rules.numbered("lin", {"lin", "lin-2"}, 60) == "lin-3"
    assert rules.numbered("a" * 60, {"a" * 60}, 60) == "a" * 58 + "-2"


@pytest.mark.parametrize(
    ("name", "pinyin"), [("沈知微", "shen zhiwei"), ("欧阳一", "ouyang yi"), ("林", "lin"), ("!", "")]
)
def test_a_name_is_spelled_family_name_first(name, pinyin):
    assert rules.pinyin_of(name) == pinyin


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("呼吸科", "呼吸内科"),
        ("呼吸内科专业", "呼吸内科"),
        ("心血管科", "心内科"),
        ("心血管内科", "心内科"),
        ("消化科", "消化内科"),
        ("肾病学专业", "肾内科"),
        ("健康中心", "健康管理中心"),
        ("量子科", "量子科"),
    ],
)
def test_a_department_has_one_standard_name(name, standard):
    assert rules.specialty_name(name) == standard


def test_no_name_belongs_to_two_specialties():
    names = [name for group in rules.SAME_SPECIALTY for name in group]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "sees"),
    [("病理科", False), ("检验科", False), ("药学部", False), ("全科", True), ("骨科", True)],
)
def test_some_departments_have_no_clinic(name, sees):
    assert rules.sees_patients(name) is sees


@pytest.mark.parametrize(
    ("name", "medical"),
    [("某县红十字会", False), ("某市红十字会医院", True), ("某镇卫生院", True), ("某某慈善总会", False)],
)
def test_a_hospital_is_told_from_a_charity(name, medical):
    assert rules.is_medical(name) is medical


@pytest.mark.parametrize(
    ("cell", "numbers"),
    [
        ("0571-000000010571-00000002", "0571-00000001、0571-00000002"),
        ("0571-00000001，0571-00000002", "0571-00000001、0571-00000002"),
        ("总机转 3", "总机转 3"),
        ("", ""),
    ],
)
def test_telephone_numbers_run_together_are_told_apart(cell, numbers):
    assert rules.phone_list(cell) == numbers
