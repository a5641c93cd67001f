"""Whom a session is for: age, sex, first or return visit, referral; and the sentence that says why somebody is not admitted."""

from __future__ import annotations

from datetime import date
from typing import Any

from booking.errors import BadInput, Refusal

OLDEST = 150
VISITS = ("first", "return")
SEXES = {"f": "女", "m": "男"}


Admits = dict[str, Any]
"""Whom a session is for: `age_min` and `age_max` in full years on the day of the visit, both included; `sex` f or m; `visit`
first or return; `referral` true. What is missing excludes nobody."""


class NotAdmitted(Refusal):
    """This session is for others. `facts` carry `hospital_id` and `department_id`: where other clinics are found."""

    message = "这个门诊不接待%(patient)s这样的患者，可以看同科室的其他门诊。"


class NotThisAge(NotAdmitted):
    message = "这个门诊只接待 %(wanted)s的患者，%(patient)s就诊当天 %(age)s 岁。可以看同科室的其他门诊。"


class NotThisSex(NotAdmitted):
    message = "这个门诊只接待%(wanted)s性患者。可以换一位就诊人，或看同科室的其他门诊。"


class FirstVisitOnly(NotAdmitted):
    message = "这个门诊只接待初诊患者，%(patient)s已在%(department)s就诊过。复诊请约同科室的其他门诊。"


class ReturnVisitOnly(NotAdmitted):
    message = (
        "这个门诊只接待复诊患者，没有查到%(patient)s在%(department)s的就诊记录。"
        "如果以前来过，请打电话给医院，核对后由医院代约；没有来过，请约同科室的其他门诊。"
    )


class ReferralNeeded(Refusal):
    status = 422
    message = "这个门诊需要转诊单，请填写转诊单号和开单医院；没有转诊单，请先看同科室的其他门诊。"


class BirthDateUnknown(Refusal):
    status = 422
    message = (
        "这个门诊只接待 %(wanted)s的患者，还不知道%(patient)s的出生日期。请在「就诊人」里补上，再来确认。"
    )


class SexUnknown(Refusal):
    status = 422
    message = "这个门诊只接待%(wanted)s性患者，还不知道%(patient)s的性别。请在「就诊人」里补上，再来确认。"


def make_admits(
    age_min: int | None = None,
    age_max: int | None = None,
    sex: str = "",
    visit: str = "",
    referral: bool = False,
) -> Admits | None:
    """Return the rules of a session as kept, None when it is for everybody; raises BadInput with `errors` by field."""
    errors: dict[str, str] = {}
    for name, value in (("age_min", age_min), ("age_max", age_max)):
        if value is not None and not 0 <= value <= OLDEST:
            errors[name] = f"年龄应在 0–{OLDEST} 岁之间"
    if not errors and age_min is not None and age_max is not None and age_max < age_min:
        errors["age_max"] = "最大年龄不能小于最小年龄"
    if sex not in ("", *SEXES):
        errors["sex"] = "请选择性别要求"
    if visit not in ("", *VISITS):
        errors["visit"] = "请选择初诊、复诊或不限"
    if errors:
        raise BadInput("填写的内容有误，请检查。", errors=errors)
    made: Admits = {}
    if age_min:
        made["age_min"] = age_min
    if age_max is not None:
        made["age_max"] = age_max
    if sex:
        made["sex"] = sex
    if visit:
        made["visit"] = visit
    if referral:
        made["referral"] = True
    return made or None


def ages(admits: Admits) -> str:
    """Return 「14 岁及以下」, 「60 岁及以上」, 「3–14 岁」, or nothing when every age is admitted."""
    youngest, oldest = admits.get("age_min"), admits.get("age_max")
    if youngest is not None and oldest is not None:
        return f"{youngest} 岁" if youngest == oldest else f"{youngest}–{oldest} 岁"
    if oldest is not None:
        return f"{oldest} 岁及以下"
    return f"{youngest} 岁及以上" if youngest is not None else ""


def in_words(admits: Admits | None) -> list[str]:
    """Return whom a session is for, one fact each: 「只接待 14 岁及以下」, 「只接待初诊」, 「需要转诊单」."""
    if not admits:
        return []
    who = ages(admits)
    if admits.get("sex"):
        sex = SEXES[admits["sex"]]
        who = f"{who}的{sex}性" if who else f"{sex}性"
    said = [f"只接待 {who}患者" if who[:1].isdigit() else f"只接待{who}患者"] if who else []
    if admits.get("visit"):
        said.append({"first": "只接待初诊患者", "return": "只接待复诊患者"}[admits["visit"]])
    if admits.get("referral"):
        said.append("需要转诊单")
    return said


def ensure_admitted(
    admits: Admits | None,
    *,
    age: int | None,
    sex: str | None,
    been_before: bool | None,
    referral: str = "",
    vouched: bool = False,
    **words: Any,
) -> None:
    """Raise the refusal that says why a patient is not admitted; nothing is raised when the session is for everybody.

    `age` in full years on the day of the visit, None or an empty `sex` when unknown. `been_before`: whether a kept visit
    in the department is known, None when nobody has looked. `vouched` is staff's word for what no record here can show:
    an earlier visit elsewhere, a paper referral. `words` (patient, department, …) fill the sentences.

    Raises NotThisAge, NotThisSex, FirstVisitOnly, ReturnVisitOnly, ReferralNeeded, BirthDateUnknown, SexUnknown.
    """
    if not admits:
        return
    youngest, oldest = admits.get("age_min"), admits.get("age_max")
    if youngest is not None or oldest is not None:
        wanted = ages(admits)
        if age is None:
            raise BirthDateUnknown(wanted=wanted, **words)
        if (youngest is not None and age < youngest) or (oldest is not None and age > oldest):
            raise NotThisAge(wanted=wanted, age=age, **words)
    if admits.get("sex"):
        wanted = SEXES[admits["sex"]]
        if not sex:
            raise SexUnknown(wanted=wanted, **words)
        if sex != admits["sex"]:
            raise NotThisSex(wanted=wanted, **words)
    if vouched:
        return
    if admits.get("visit") == "first" and been_before:
        raise FirstVisitOnly(**words)
    if admits.get("visit") == "return" and been_before is False:
        raise ReturnVisitOnly(**words)
    if admits.get("referral") and not referral.strip():
        raise ReferralNeeded(**words)


def full_years(born: str | date | None, on: date) -> int | None:
    """Return the age in full years on a date, None when the birth date is unknown or cannot be read."""
    if isinstance(born, str):
        try:
            born = date.fromisoformat(born)
        except ValueError:
            return None
    if born is None or born > on:
        return None
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))
