"""What a letter may name: it travels over open networks and lights up on locked screens (N19)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import or_, select

from booking.appointments.queries import AppointmentView
from booking.appointments.wish_queries import WishView
from booking.db import db
from booking.directory.models import Department, Specialty

DOUBLE_SURNAMES = (
    "欧阳 司马 诸葛 上官 夏侯 皇甫 尉迟 公孙 慕容 令狐 东方 司徒"
    " 司空 单于 长孙 宇文 申屠 轩辕 端木 南宫 独孤 钟离 闻人"
)


def short_name(name: str) -> str:
    """Return the surname and a star: 「李*」, 「欧阳*」; of a name in letters the first letter."""
    name = name.strip()
    size = 2 if name[:2] in DOUBLE_SURNAMES and len(name) > 2 else 1
    return f"{name[:size]}*"


def is_sensitive(view: AppointmentView | WishView) -> bool:
    """Whether the department, as sold or as it is now, or its standard specialty must not be named in letters."""
    if view.sensitive:
        return True
    found = db.session.scalar(
        select(Department.id)
        .outerjoin(Specialty, Specialty.id == Department.specialty_id)
        .where(
            Department.hospital_id == view.hospital_id,
            Department.id == view.department_id,
            or_(Department.sensitive, Specialty.sensitive),
        )
    )
    return found is not None


def sensitive_among(views: Iterable[AppointmentView]) -> set[uuid.UUID]:
    """Return the ids of those of one hospital's appointments for which `is_sensitive`; one query for all."""
    seen = list(views)
    if not seen:
        return set()
    found = db.session.scalars(
        select(Department.id)
        .outerjoin(Specialty, Specialty.id == Department.specialty_id)
        .where(
            Department.hospital_id == seen[0].hospital_id,
            Department.id.in_({view.department_id for view in seen}),
            or_(Department.sensitive, Specialty.sensitive),
        )
    )
    departments = set(found)
    return {view.id for view in seen if view.sensitive or view.department_id in departments}


def spot(sensitive: bool, text: str) -> str:
    """Return a room or a desk; of a sensitive department only one whose words are neutral (「门诊 302 诊室」)."""
    plain = set("0123456789 ABCDEFGHabcdefgh-－门诊楼层号室诊区栋座东南西北侧主院一二三四五六七八九十")
    return text if not sensitive or set(text) <= plain else ""
