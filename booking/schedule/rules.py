"""How times are cut from working hours, which dates a template falls on, and when numbers are released."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from booking.errors import BadInput, Refusal

MAX_PLACES = 60
MAX_FEE_CENTS = 1_000_000
MAX_ROOM, MAX_NOTE = 60, 200
FIRST_YEAR, LAST_YEAR = 2000, 2100
MAX_DAYS = 400
WEEKS = ("every", "odd", "even")


class Conflict(Refusal):
    message = "有人先保存了这个班次，请看看对方改了什么再决定。"


class BelowSold(Refusal):
    """Capacity cannot fall below what is sold (R19)."""

    message = "已约 %(sold)s 人，每段不能少于 %(need)s 个号。"


class SlotsInUse(Refusal):
    message = "%(times)s 已有预约，不能去掉这些时段或改变时长。"


class SessionExists(Refusal):
    message = "这位医生在这一天的这个时段已经有班次了，请直接修改那个班次。"


class SessionOver(Refusal):
    message = "这个班次已经结束或已停诊，不能修改。"


class DrawRunning(Refusal):
    message = "这个班次正在收抽签报名，开签时间已经公布，不能再改。"


class DrawWindow(Refusal):
    status = 422
    message = "报名开始时间应晚于现在，并且比放号时间至少早 %(minutes)s 分钟。"


WINDOW_AT_LEAST = timedelta(minutes=10)


def ensure_release_stands(
    sale: str, entries_from: datetime | None, release_at: datetime, wanted: datetime, now: datetime
) -> None:
    """Raise DrawRunning when the release of a draw would move after its entries opened, or before they do: DrawWindow."""
    if sale != "draw" or entries_from is None or wanted == release_at:
        return
    if entries_from <= now:
        raise DrawRunning()
    ensure_window(entries_from, wanted, now)


def ensure_window(entries_from: datetime, release_at: datetime, now: datetime) -> None:
    """Raise DrawWindow unless entries open in the future and long enough before the release."""
    if entries_from <= now or release_at - entries_from < WINDOW_AT_LEAST:
        raise DrawWindow(minutes=int(WINDOW_AT_LEAST.total_seconds() // 60))


def minutes(at: time) -> int:
    """Return minutes since midnight."""
    return at.hour * 60 + at.minute


def at_minute(value: int) -> time:
    """Return the time of day `value` minutes after midnight."""
    return time(value // 60, value % 60)


def cut(starts: time, ends: time, slot_minutes: int) -> list[tuple[time, time]]:
    """Cut working hours into whole slots of `slot_minutes`; a rest shorter than a slot is left over.

    >>> cut(time(8), time(9, 10), 30)
    [(datetime.time(8, 0), datetime.time(8, 30)), (datetime.time(8, 30), datetime.time(9, 0))]
    """
    first, last = minutes(starts), minutes(ends)
    return [
        (at_minute(one), at_minute(one + slot_minutes))
        for one in range(first, last - slot_minutes + 1, slot_minutes)
    ]


def ensure_shape(
    starts: time,
    ends: time,
    slot_minutes: int,
    places_per_slot: int,
    fee_cents: int,
    room: str = "",
    note: str = "",
) -> None:
    """Raise BadInput with `errors` by field when a session of this shape cannot be meant."""
    errors: dict[str, str] = {}
    if minutes(ends) <= minutes(starts):
        errors["ends_local"] = "结束时间要晚于开始时间"
    if not 10 <= slot_minutes <= 60:
        errors["slot_minutes"] = "每段时长应为 10–60 分钟"
    elif "ends_local" not in errors and minutes(ends) - minutes(starts) < slot_minutes:
        errors["ends_local"] = "出诊时间比一段还短"
    if not 1 <= places_per_slot <= MAX_PLACES:
        errors["places_per_slot"] = f"号数应为 1–{MAX_PLACES}"
    if not 0 <= fee_cents <= MAX_FEE_CENTS:
        errors["fee_cents"] = "费用应在 0–10000 元之间"
    if len(room.strip()) > MAX_ROOM:
        errors["room"] = f"诊室最多 {MAX_ROOM} 个字"
    if len(note.strip()) > MAX_NOTE:
        errors["note"] = f"备注最多 {MAX_NOTE} 个字"
    if errors:
        raise BadInput("填写的内容有误，请检查。", errors=errors)


def ensure_pattern(weekday: int, weeks: str, valid_from: date | None, valid_to: date | None) -> None:
    """Raise BadInput with `errors` by field when these are not a weekday, a week rule and a span of dates."""
    errors: dict[str, str] = {}
    if not 0 <= weekday <= 6:
        errors["weekday"] = "请选择星期"
    if weeks not in WEEKS:
        errors["weeks"] = "请选择每周、单周或双周"
    if valid_from and valid_to and valid_to < valid_from:
        errors["valid_to"] = "结束日期不能早于开始日期"
    if errors:
        raise BadInput("填写的内容有误，请检查。", errors=errors)


def ensure_dates(first: date, last: date) -> None:
    """Raise BadInput when no schedule can mean this span of dates (both included)."""
    wrong = ""
    if not (FIRST_YEAR <= first.year <= LAST_YEAR and FIRST_YEAR <= last.year <= LAST_YEAR):
        wrong = f"日期应在 {FIRST_YEAR} 到 {LAST_YEAR} 年之间"
    elif last < first:
        wrong = "结束日期不能早于开始日期"
    elif (last - first).days >= MAX_DAYS:
        wrong = f"一次最多 {MAX_DAYS} 天"
    if wrong:
        raise BadInput(wrong, errors={"local_date": wrong})


def falls_on(
    day: date,
    *,
    weekday: int,
    weeks: str,
    valid_from: date | None,
    valid_to: date | None,
    as_weekday: int | None = None,
) -> bool:
    """Whether a weekly pattern falls on `day`; odd and even weeks are ISO 8601 week numbers.

    `as_weekday` says that the day follows another weekday's pattern (调休).
    """
    if (day.weekday() if as_weekday is None else as_weekday) != weekday:
        return False
    if (valid_from and day < valid_from) or (valid_to and day > valid_to):
        return False
    number = day.isocalendar().week
    return weeks == "every" or (weeks == "odd") == (number % 2 == 1)


def is_few(left: int, capacity: int) -> bool:
    """Whether 「仅剩」 is the honest word: one left, or at most a tenth of twenty or more."""
    return left == 1 or (capacity >= 20 and left * 10 <= capacity)
