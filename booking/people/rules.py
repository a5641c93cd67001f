"""What a phone, a name, an ID number and a birth date must look like; how they are masked and how old somebody is."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from functools import cache

import phonenumbers
from pypinyin import Style, pinyin
from stdnum.iso7064 import mod_11_2

RELATIONS = {"self": "本人", "spouse": "配偶", "parent": "父母", "child": "子女", "other": "其他"}
GUARDIAN_RELATIONS = {"parent": "父母", "grandparent": "祖父母或外祖父母", "other": "其他监护人"}
ID_TYPES = {
    "resident": "居民身份证",
    "passport": "护照",
    "permit": "港澳台居民通行证",
    "birth": "出生医学证明",
    "none": "暂时没有证件",
}
GUARDIAN_UNDER = 14
OLDEST = 130
# 〇, rare characters of every extension, letters with their marks
_LETTER = r"\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffffA-Za-zÀ-ÖØ-öø-ɏ"
_NAME = re.compile(rf"[{_LETTER}][{_LETTER}·•‧ .'\-]*")
_OTHER_ID = re.compile(r"[A-Z0-9]{5,20}")


@dataclass(frozen=True)
class PatientFacts:
    """A patient's checked facts: phones in E.164, the ID number in capitals, a real birth date."""

    name: str
    id_type: str
    id_number: str | None
    birth_date: date
    sex: str
    phone: str | None
    relation: str
    guardian_name: str | None
    guardian_phone: str | None
    guardian_relation: str | None


def plain_digits(text: str) -> str:
    """Return a typed number without spaces, hyphens and invisible marks (a copied contact has them), full-width signs narrow."""
    kept = []
    for one in text:
        if one.isdecimal():
            kept.append(str(int(one)))
        elif not one.isspace() and unicodedata.category(one) not in ("Pd", "Cf"):
            kept.append(chr(ord(one) - 0xFEE0) if "！" <= one <= "～" else one)
    return "".join(kept)


def read_phone(text: str) -> tuple[str | None, str]:
    """Return (E.164 phone, "") or (None, the sentence that says what is wrong). Mainland numbers need no prefix."""
    digits = plain_digits(text.strip())
    if not digits:
        return None, "请填写手机号"
    local = digits.removeprefix("+86") if digits.startswith("+86") else digits
    if local.startswith("+"):
        try:
            number = phonenumbers.parse(local)
        except phonenumbers.NumberParseException:
            return None, "手机号里有不能识别的符号，请检查"
        if not phonenumbers.is_possible_number(number):
            return None, "手机号位数不对，请检查"
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), ""
    if not (local.isascii() and local.isdecimal()):
        return None, "手机号里有不能识别的符号，请检查"
    if len(local) != 11:
        return None, f"手机号应为 11 位数字，现在是 {len(local)} 位"
    if local[0] != "1" or local[1] in "012":
        return None, "手机号应以 13 到 19 开头，请检查"
    return f"+86{local}", ""


def check_name(text: str) -> str:
    """Return the sentence that says what is wrong with a name, or ""."""
    name = text.strip()
    if not name:
        return "请填写姓名，与证件一致"
    if not _NAME.fullmatch(name):
        return "姓名里有不能识别的符号，请检查"
    if not 2 <= len(name) <= 30:
        return "姓名应为 2–30 个字"
    return ""


def check_id(id_type: str, text: str) -> tuple[str | None, str]:
    """Return (number in capitals, "") or (None, sentence).

    A resident number is judged by its ISO 7064 MOD 11-2 digit and its birth date only (GB 11643); a table of regions
    would refuse real people whose region was renamed.
    """
    if id_type == "none":
        return None, ""
    number = plain_digits(text.strip()).upper()
    if not number:
        return None, "请填写证件号码"
    if id_type != "resident":
        return (number, "") if _OTHER_ID.fullmatch(number) else (None, "证件号码应为 5–20 位字母和数字")
    if len(number) != 18:
        return None, f"身份证应为 18 位，现在是 {len(number)} 位"
    written = number.isascii() and number[:17].isdecimal()  # an X counts as ten in the last position only
    if not (written and mod_11_2.is_valid(number) and id_birth_date(number)):
        return None, "身份证号码校验不通过，请逐位核对"
    return number, ""


def id_birth_date(number: str) -> date | None:
    """Return the birth date inside an 18-digit resident number, or None when it is no date."""
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def id_sex(number: str) -> str:
    """Return "m" or "f" by the seventeenth digit of a resident number."""
    return "m" if int(number[16]) % 2 else "f"


def check_birth_date(year: str, month: str, day: str, today: date) -> tuple[date | None, str]:
    """Return (date, "") or (None, sentence) for three typed numbers."""
    parts = [plain_digits(part.strip()) for part in (year, month, day)]
    if not all(parts):
        return None, "请填写出生日期"
    if not all(part.isascii() and part.isdecimal() and len(part) <= 4 for part in parts):
        return None, "出生日期请填数字"
    y, m, d = (int(part) for part in parts)
    if not 1 <= m <= 12:
        return None, f"没有 {m} 月"
    try:
        born = date(y, m, d)
    except ValueError:
        return None, f"{m} 月没有 {d} 日" if 1 <= y <= 9999 else "出生年份不对，请检查"
    if born > today:
        return None, "出生日期不能晚于今天"
    if today.year - born.year > OLDEST:
        return None, "出生年份不对，请检查"
    return born, ""


def age(born: date, on: date) -> int:
    """Return full years at a date."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def mask_name(name: str) -> str:
    """Return a name masked as pages show it: 陈*, 陈*静, 欧**明.

    Two characters begin as the letters do (陈*); relation and age beside them tell a family apart.
    """
    name = name.strip()
    if len(name) <= 1:
        return "*"
    if len(name) == 2:
        return f"{name[0]}*"
    return f"{name[0]}{'*' * min(len(name) - 2, 3)}{name[-1]}"


def spells(typed: str, name: str) -> bool:
    """Whether two or more typed letters spell a part of a name: 「chenjing」, 「cj」 and 「chenj」 all spell 陈静.

    Every reading of a character counts, since a surname's is often the rarer one (单 shan, 曾 zeng).
    """
    letters = "".join(typed.lower().replace("ü", "v").replace("'", "").split())
    if len(letters) < 2 or not (letters.isascii() and letters.isalpha()):
        return False
    readings = [_readings(one) for one in name.lower() if not one.isspace()]
    return any(_spelt(letters, readings[start:]) for start in range(len(readings)))


@cache
def _readings(one: str) -> frozenset[str]:
    found = pinyin(one, style=Style.NORMAL, heteronym=True)[0]
    return frozenset([*found, *(reading.replace("v", "u") for reading in found)])


def _spelt(letters: str, readings: list[frozenset[str]]) -> bool:
    """Whether the letters are used up by beginnings of these readings, one after the other."""
    ends = {0}
    for those in readings:
        ends = {
            end + size
            for end in ends
            for reading in those
            for size in range(1, len(reading) + 1)
            if letters.startswith(reading[:size], end)
        }
        if len(letters) in ends:
            return True
    return False


def mask_email(address: str) -> str:
    """Return an address with all but the beginning of its name hidden: 「c***@example.org」."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}***@{domain}"


def mask_phone(phone: str) -> str:
    """Return 138****0001 for an E.164 phone."""
    digits = phone.removeprefix("+86")
    return f"{digits[:3]}****{digits[-4:]}"


def phone_tail(phone: str) -> str:
    """Return the last four digits."""
    return phone[-4:]
