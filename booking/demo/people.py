"""The demo's people: the staff and the accounts that sign in, and a crowd of invented patients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import insert
from stdnum.iso7064 import mod_11_2

from booking.clock import db_now
from booking.db import db, transaction
from booking.demo.files import Say, read
from booking.demo.house import SEX, House
from booking.people.models import Patient
from booking.people.rules import age
from booking.people.service import account_for, add_patient
from booking.staff.rules import ROLES
from booking.staff.service import add_staff
from booking.vault import blind_index

PASSWORD = "qingwu-demo"
"""The password of every staff sign-in of the demo; production has no demo and so no such sign-in."""

CROWD = 2400
FIRST_PHONE, PHONES = 13800130010, 990
NO_REGION = "990000"
"""An ID number needs six digits of region; no region has these, so no invented number can be a real person's."""

RELATIONS = {
    "本人": "self",
    "母亲": "parent",
    "父亲": "parent",
    "女儿": "child",
    "儿子": "child",
    "配偶": "spouse",
}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SURNAMES = _words(
    "王 李 张 刘 陈 杨 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 林 高 罗 郑 梁 谢 宋 唐 许 韩 冯 邓 曹 彭 曾 萧 田 董 潘 袁 蔡"
    " 蒋 余 于 杜 叶 程 魏 苏 吕 丁 任 卢 姚 沈 钟 姜 崔 谭 陆 范 汪 廖 石 金 韦 贾 夏 付 方 白 邹 孟 熊 秦 邱 江 尹"
)
GIVEN = {
    "f": _words(
        "秀兰 桂英 玉珍 淑华 凤英 丽娟 惠芳 春梅 秋月 红霞 晓燕 雪梅 佳慧 雨桐 欣怡 思涵 若溪 语嫣 静怡 婉清 梦琪 诗雨 嘉宁"
        " 可欣 敏 芳 静 丽 娟 艳 霞 玲 萍 蓉 岚 颖 莹 蕾 薇 琳 瑶 洁"
    ),
    "m": _words(
        "建国 志强 国庆 永福 德明 文斌 家豪 俊杰 浩然 子轩 宇航 一鸣 思远 明哲 天佑 嘉树 承志 立群 学文 振宇 海涛 庆丰 泽民"
        " 伟 强 磊 军 勇 涛 超 鹏 杰 斌 波 辉 刚 健 明 亮 平 飞 毅"
    ),
}


@dataclass(frozen=True)
class One:
    """A patient of the crowd."""

    id: int
    birth_date: date
    sex: str


def add_sign_ins(house: House) -> None:
    """Add the staff of every hospital; all have the same password."""
    for row in read("people")["staff"]:
        doctor = house.doctors[row["doctor"]] if row["doctor"] else None
        add_staff(
            house.hospitals[row["hospital"]],
            row["username"],
            row["name"],
            row["role"],
            PASSWORD,
            doctor[1] if doctor else None,
        )


def add_accounts() -> dict[str, tuple[int, dict[str, int]]]:
    """Add the accounts with their patients; return {account holder's name: (account id, {patient's key: id})}."""
    content = read("people")
    patients = {row["key"]: row for row in content["patients"]}
    made = {}
    for row in content["accounts"]:
        with transaction() as session:
            account_id = account_for(session, f"+86{row['phone']}", db_now(session)).id
        of = {
            link["patient"]: _add_patient(account_id, patients[link["patient"]], link["relation"], patients)
            for link in reversed(row["links"])  # the one added last is offered first
        }
        made[row["name"]] = (account_id, of)
    return made


def _add_patient(
    account_id: int, row: dict[str, Any], relation: str, patients: dict[str, dict[str, Any]]
) -> int:
    guardian = patients.get(row["guardian"] or "")
    return add_patient(
        account_id,
        consent_id=True,
        consent_health=True,
        consent_guardian=guardian is not None,
        name=row["name"],
        id_type="resident",
        id_number=row["id_no"],
        birth_date=date.fromisoformat(row["birth_date"]),
        sex=SEX[row["sex"]],
        phone=row["phone"] or "",
        relation=RELATIONS[relation],
        guardian_name=guardian["name"] if guardian else "",
        guardian_phone=guardian["phone"] if guardian else "",
        guardian_relation="parent" if guardian else "",
    ).id


def add_crowd(today: date, say: Say) -> list[One]:
    """Write the crowd: people who booked at the hospitals' own desks, each with a phone and an invented ID number."""
    chance = Random("crowd")
    now = db_now(db.session())
    rows = []
    for number in range(CROWD):
        say("就诊人", number / CROWD)
        rows.append(_person(chance, number, today, now))
    with transaction() as session:
        ids = session.scalars(insert(Patient).returning(Patient.id, sort_by_parameter_order=True), rows).all()
    return [
        One(one, date.fromisoformat(row["birth_date"]), row["sex"])
        for one, row in zip(ids, rows, strict=True)
    ]


def _person(chance: Random, number: int, today: date, now: datetime) -> dict[str, Any]:
    sex = chance.choice("fm")
    name = chance.choice(SURNAMES) + chance.choice(GIVEN[sex])
    years = chance.choices(
        (chance.randint(1, 13), chance.randint(18, 59), chance.randint(60, 88)), (14, 56, 30)
    )[0]
    born = today.replace(day=1) - timedelta(days=round(years * 365.25) + chance.randint(1, 360))
    body = f"{NO_REGION}{born:%Y%m%d}{number % 499 * 2 + (sex == 'm'):03d}"
    id_number = body + mod_11_2.calc_check_digit(body)
    phone = f"+86{FIRST_PHONE + number % PHONES}"
    is_child = age(born, today) < 14
    return {
        "name": name,
        "id_type": "resident",
        "id_number": id_number,
        "id_hash": blind_index("id:resident", id_number),
        "birth_date": born.isoformat(),
        "sex": sex,
        "phone": None if is_child else phone,
        "phone_hash": None if is_child else blind_index("phone", phone),
        "guardian_name": name[0] + chance.choice(GIVEN["f"]) if is_child else None,
        "guardian_phone": phone if is_child else None,
        "guardian_relation": "parent" if is_child else None,
        "created_at": now - timedelta(days=chance.randint(20, 400)),
    }


def staff_lines() -> list[tuple[str, str]]:
    """Return (role, sign-in name) of every staff sign-in of the demo."""
    return [(ROLES[row["role"]], f"{row['username']}@{row['hospital']}") for row in read("people")["staff"]]


def phone_lines() -> list[tuple[str, str]]:
    """Return (name, phone) of the demo's accounts."""
    return [(row["name"], row["phone"]) for row in read("people")["accounts"]]
