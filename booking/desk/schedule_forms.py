"""The forms of sessions and templates: hours, numbers, whom they are for, release, stop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, SelectField, StringField
from wtforms.fields import Field
from wtforms.validators import Length, NumberRange, Optional, ValidationError

from booking.desk.forms import (
    ClockField,
    CountField,
    DayField,
    Needed,
    OneOfChoices,
    YuanField,
    choice_with,
    narrow,
    offered,
    plain,
)
from booking.schedule.channels import KEPT

WEEKDAYS = [
    ("0", _l("周一")),
    ("1", _l("周二")),
    ("2", _l("周三")),
    ("3", _l("周四")),
    ("4", _l("周五")),
    ("5", _l("周六")),
    ("6", _l("周日")),
]
WEEKS = [("every", _l("每周")), ("odd", _l("单周")), ("even", _l("双周"))]
RELEASES = [("rule", _l("按医院规则")), ("own", _l("单独指定时间"))]
ROLLS = [("rule", _l("按医院规则")), ("own", _l("单独指定时间")), ("never", _l("不放到网上"))]
SEXES = [("", _l("不限")), ("f", _l("只接待女性")), ("m", _l("只接待男性"))]
VISITS = [("", _l("不限")), ("first", _l("只接待初诊")), ("return", _l("只接待复诊"))]
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = NumberRange(0, 150, _l("年龄应在 0–150 岁之间"))


class HoursForm(FlaskForm):
    """What a session and a template share: times, segments, numbers, kind, fee, room, and whom it is for."""

    starts = ClockField(_l("开始"), validators=[Needed(_l("请填写开始时间"))])
    ends = ClockField(_l("结束"), validators=[Needed(_l("请填写结束时间"))])
    minutes = CountField(
        _l("每段时长（分钟）"),
        validators=[Needed(_l("请填写每段时长")), NumberRange(10, 60, _l("每段时长应为 10–60 分钟"))],
    )
    places = CountField(
        _l("每段号数"),
        validators=[Needed(_l("请填写每段号数")), NumberRange(1, 60, _l("每段号数应为 1–60"))],
    )
    kept_phone = CountField(_l("留给电话"))
    kept_desk = CountField(_l("留给现场"))
    kept_elder = CountField(_l("留给 60 岁以上"))
    kept_return = CountField(_l("留给复诊"))
    kept_referral = CountField(_l("留给转诊"))
    room = StringField(
        _l("诊室"), validators=[Length(max=60, message=_l("诊室最多 60 个字"))], filters=[plain]
    )
    kind = SelectField(_l("号别"), **choice_with(_l("请选择号别")))
    fee = YuanField(_l("费用（元）"), validators=[Needed(_l("请填写费用，不收费填 0"))])
    age_min = CountField(_l("最小年龄（岁）"), validators=[Optional(), _YEARS])
    age_max = CountField(_l("最大年龄（岁）"), validators=[Optional(), _YEARS])
    sex = SelectField(
        _l("性别"),
        choices=offered(SEXES),
        default="",
        validate_choice=False,
        validators=[OneOfChoices(_l("请选择性别要求"))],
    )
    visit = SelectField(
        _l("初诊复诊"),
        choices=offered(VISITS),
        default="",
        validate_choice=False,
        validators=[OneOfChoices(_l("请选择初诊、复诊或不限"))],
    )
    referral = BooleanField(_l("需要转诊单"))

    def admits(self) -> dict[str, Any]:
        """Return whom a valid form asks for, as the verbs take it."""
        return {
            "age_min": self.age_min.data,
            "age_max": self.age_max.data,
            "sex": self.sex.data or "",
            "visit": self.visit.data or "",
            "referral": bool(self.referral.data),
        }

    def show_admits(self, kept: dict[str, Any] | None) -> None:
        """Put the present rules into the form."""
        rules = kept or {}
        self.age_min.data, self.age_max.data = rules.get("age_min"), rules.get("age_max")
        self.sex.data, self.visit.data = rules.get("sex", ""), rules.get("visit", "")
        self.referral.data = bool(rules.get("referral"))

    def validate_age_max(self, field: CountField) -> None:
        youngest, oldest = self.age_min.data, field.data
        if youngest is not None and oldest is not None and oldest < youngest:
            raise ValidationError(_("最大年龄不能小于最小年龄 %(n)s", n=youngest))

    def validate_ends(self, field: ClockField) -> None:
        starts, ends = self.starts.data, field.data
        if isinstance(starts, time) and isinstance(ends, time) and ends <= starts:
            raise ValidationError(_("结束时间应晚于开始时间 %(starts)s", starts=starts.strftime("%H:%M")))

    def kept(self) -> dict[str, int]:
        """Return how many of a slot's numbers are kept, by channel."""
        counts = {name: self[f"kept_{name}"].data for name in KEPT}
        return {name: count for name, count in counts.items() if count}

    def keep(self, channels: Mapping[str, int]) -> None:
        """Put the kept numbers into their fields; nothing kept is an empty field."""
        for name in KEPT:
            self[f"kept_{name}"].data = channels.get(name) or None


class SessionForm(HoursForm):
    """The editor of one session; `version` is the one the page showed."""

    version = HiddenField()
    back = HiddenField()
    release = SelectField(
        _l("放号时间"), choices=offered(RELEASES), default="rule", **choice_with(_l("请选择放号时间"))
    )
    release_date = DayField(_l("放号日期"))
    release_time = ClockField(_l("放号时刻"))
    rolls = SelectField(
        _l("留出的号没约完"),
        choices=offered(ROLLS),
        default="rule",
        **choice_with(_l("请选择留出的号怎么办")),
    )
    rolls_date = DayField(_l("上网日期"))
    rolls_time = ClockField(_l("上网时刻"))
    note = StringField(
        _l("备注（只有工作人员看得到）"),
        validators=[Length(max=200, message=_l("备注最多 200 个字"))],
        filters=[plain],
    )

    def validate_release_date(self, field: DayField) -> None:
        self._only_with_own(self.release, field, _("请填写放号日期"))

    def validate_release_time(self, field: ClockField) -> None:
        self._only_with_own(self.release, field, _("请填写放号时刻"))

    def validate_rolls_date(self, field: DayField) -> None:
        self._only_with_own(self.rolls, field, _("请填写上网日期"))

    def validate_rolls_time(self, field: ClockField) -> None:
        self._only_with_own(self.rolls, field, _("请填写上网时刻"))

    def _only_with_own(self, choice: SelectField, field: Field, sentence: str) -> None:
        if choice.data != "own":
            field.errors = []
        elif field.data is None and not field.errors:
            raise ValidationError(sentence)

    def seen_version(self) -> int:
        """Return the version the page showed; 0, which fits no row, when the page was tampered with."""
        text = narrow(self.version.data)
        return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


class NewSessionForm(SessionForm):
    """A session added outside the templates (单次加开)."""

    practice = SelectField(_l("医生和科室"), **choice_with(_l("请选择医生和科室")))
    date = DayField(_l("日期"), validators=[Needed(_l("请填写日期"))])
    part = SelectField(_l("时段"), **choice_with(_l("请选择上午、下午等时段")))


WAVE_MODES = [("rule", _l("按医院规则")), ("once", _l("放号时一次放完")), ("own", _l("单独分批"))]


class WavesForm(FlaskForm):
    """The later parts of a session's release, as a line of words."""

    mode = SelectField(_l("怎么放"), choices=offered(WAVE_MODES), **choice_with(_l("请选择怎么放号")))
    waves = StringField(
        _l("后放的批次"), validators=[Length(max=200, message=_l("批次写得太长了"))], filters=[plain]
    )


class DrawForm(FlaskForm):
    """From when entries for a draw are taken."""

    entries_date = DayField(_l("报名开始日期"), validators=[Needed(_l("请填写报名开始日期"))])
    entries_time = ClockField(_l("报名开始时刻"), validators=[Needed(_l("请填写报名开始时刻"))])


class TemplateForm(HoursForm):
    """One weekly line of a doctor's pattern."""

    practice = SelectField(_l("医生和科室"), **choice_with(_l("请选择医生和科室")))
    weekday = SelectField(_l("星期"), choices=offered(WEEKDAYS), **choice_with(_l("请选择星期")))
    part = SelectField(_l("时段"), **choice_with(_l("请选择上午、下午等时段")))
    weeks = SelectField(_l("周次"), choices=offered(WEEKS), **choice_with(_l("请选择每周、单周或双周")))
    valid_from = DayField(_l("从哪天起"))
    valid_to = DayField(_l("到哪天止"))
    skips_holidays = BooleanField(_l("法定节假日不出诊"))
    publishes = BooleanField(_l("生成后直接发布"))

    def validate_valid_to(self, field: DayField) -> None:
        if self.valid_from.data and field.data and field.data < self.valid_from.data:
            raise ValidationError(_("截止日期应晚于开始日期"))


class ApplyForm(FlaskForm):
    """For which weeks, and whose templates, become sessions. `first` is the Monday of the first week."""

    first = SelectField(_l("从哪一周开始"), **choice_with(_l("请选择开始的一周")))
    weeks = CountField(
        _l("连续几周"), validators=[Needed(_l("请填写周数")), NumberRange(1, 8, _l("一次套用 1–8 周"))]
    )
    dept = SelectField(
        _l("科室"), validate_choice=False, validators=[OneOfChoices(_l("请选择科室，或选全部"))]
    )


class StopForm(FlaskForm):
    """Why a session does not happen: what patients read, and what only staff read."""

    reason_public = StringField(
        _l("停诊原因"),
        validators=[
            Needed(_l("请填写停诊原因，患者会在通知里看到")),
            Length(max=60, message=_l("停诊原因最多 60 个字")),
        ],
        filters=[plain],
    )
    reason_internal = StringField(
        _l("内部备注"), validators=[Length(max=200, message=_l("内部备注最多 200 个字"))], filters=[plain]
    )
    arrived_are_seen = BooleanField(_l("已报到的都已经看完"))
    shown_at = HiddenField()

    def seen_until(self) -> datetime | None:
        """Return the instant at which the page was shown, when it is ticked that who was here then has been seen.

        An instant long past, which nothing accepts, when the page was tampered with.
        """
        if not self.arrived_are_seen.data:
            return None
        text = narrow(self.shown_at.data)
        return LONG_AGO + timedelta(microseconds=int(text) if re.fullmatch(r"[0-9]{1,16}", text) else 0)

    def show_at(self, now: datetime) -> None:
        """Note the instant of the list that is shown now."""
        self.shown_at.data = str((now - LONG_AGO) // timedelta(microseconds=1))
