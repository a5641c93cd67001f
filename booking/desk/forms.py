"""The desk's forms: they check the shape of what was typed and say in a sentence what is wrong; rules judge the rest."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date as Date
from datetime import time
from typing import Any, ClassVar

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    HiddenField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
)
from wtforms.fields import Field
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import Length, NumberRange, Optional, StopValidation, ValidationError
from wtforms.widgets import HiddenInput, TextInput

from booking.schedule.channels import KEPT

_CLOCK = re.compile(r"([0-9]{1,2})(?::?([0-5][0-9]))?")
_DATE = re.compile(r"([0-9]{4})(?:[-/.年])?([0-9]{1,2})(?:[-/.月])?([0-9]{1,2})")
_YUAN = re.compile(r"([0-9]{1,5})(?:[.]([0-9]{1,2}))?")
EARLIEST, LATEST = Date(2000, 1, 1), Date(2100, 12, 31)


def plain(text: str | None) -> str:
    """Return typed text on one line without control signs, full-width digits and colons made narrow.

    PostgreSQL refuses NUL in text; other invisible signs only hide something from the next reader.
    """
    if not text:
        return ""
    kept = (" " if sign.isspace() else sign for sign in text)
    shown = "".join(sign for sign in kept if unicodedata.category(sign) not in ("Cc", "Cs", "Co", "Cn"))
    return " ".join(shown.split())


def narrow(text: str | None) -> str:
    """Return `plain` text with full-width letters, digits and signs made narrow, for codes and times."""
    return unicodedata.normalize("NFKC", plain(text)).strip()


def read_clock(text: str | None) -> time | None:
    """Return the time of day meant by 「8」, 「830」, 「08:30」, 「8：30」 (24 hours), or None."""
    found = _CLOCK.fullmatch(narrow(text).replace(" ", "").replace(".", ":").replace("点", ":").rstrip(":分"))
    if not found or int(found[1]) > 23:
        return None
    return time(int(found[1]), int(found[2] or 0))


def read_yuan(text: str | None) -> int | None:
    """Return the cents of an amount in yuan such as 「25」 or 「25.5 元」, or None."""
    found = _YUAN.fullmatch(narrow(text).removesuffix("元").strip())
    if not found:
        return None
    return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))


def read_date(text: str | None) -> Date | None:
    """Return a date written 2026-11-25, 2026/11/25, 20261125 or 2026年11月25日, or None.

    Years no schedule can mean are refused like impossible dates.
    """
    found = _DATE.fullmatch(narrow(text).replace(" ", "").rstrip("日"))
    if not found:
        return None
    try:
        read = Date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None
    return read if EARLIEST <= read <= LATEST else None


class ClockField(Field):
    """A wall-clock time as people type it; shows what was typed until it is understood."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data and self.errors:
            return str(self.raw_data[0])
        return self.data.strftime("%H:%M") if isinstance(self.data, time) else ""

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        self.data = None
        if valuelist and narrow(valuelist[0]):
            self.data = read_clock(valuelist[0])
            if self.data is None:
                raise ValueError(_("时间写成 8、830 或 08:30 都可以，请用 24 小时制"))


class YuanField(Field):
    """An amount in yuan, kept in cents."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data and self.errors:
            return str(self.raw_data[0])
        if not isinstance(self.data, int):
            return ""
        return f"{self.data // 100}" if self.data % 100 == 0 else f"{self.data / 100:.2f}"

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        self.data = None
        if valuelist and narrow(valuelist[0]):
            self.data = read_yuan(valuelist[0])
            if self.data is None:
                raise ValueError(_("费用写元，例如 25 或 25.5，最多 10000"))


class DayField(Field):
    """A date; years outside a schedule's reach are refused like any other impossible date."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data and self.errors:
            return str(self.raw_data[0])
        return self.data.isoformat() if isinstance(self.data, Date) else ""

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        self.data = None
        if valuelist and narrow(valuelist[0]):
            self.data = read_date(valuelist[0])
            if self.data is None:
                raise ValueError(_("日期写成 2026-11-25 这样，请检查月份和日子"))


class CountField(IntegerField):
    """A whole number; anything else is one sentence."""

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        self.data = None
        if not valuelist or not narrow(valuelist[0]):
            return
        if not re.fullmatch(r"[0-9]{1,4}", narrow(valuelist[0])):
            raise ValueError(_("请填写整数"))
        self.data = int(narrow(valuelist[0]))


class Needed:
    """Something was typed that means something; blanks are nothing, 0 is something."""

    field_flags: ClassVar[dict[str, bool]] = {"required": True}

    def __init__(self, sentence: Any) -> None:
        self.sentence = sentence

    def __call__(self, form: FlaskForm, field: Field) -> None:
        if field.errors:
            raise StopValidation
        if field.data is None or field.data == "":
            raise StopValidation(self.sentence)


def _choice(sentence: Any) -> dict[str, Any]:
    """Words for a value that is not among the choices (an old page, or a forged one)."""
    return {"validate_choice": False, "validators": [Needed(sentence), OneOfChoices(sentence)]}


class OneOfChoices:
    """The value is one of the field's choices; WTForms' own sentence is not ours."""

    def __init__(self, sentence: Any) -> None:
        self.sentence = sentence

    def __call__(self, form: FlaskForm, field: SelectField) -> None:
        offered_values: set[str] = {choice.value for choice in field.choices or ()}  # type: ignore[union-attr]
        if str(field.data) not in offered_values:
            raise ValidationError(self.sentence)


def offered(pairs: Iterable[tuple[str, Any]]) -> list[SelectChoice]:
    """Return (value, words) pairs as the choices of a select."""
    return [SelectChoice(value, words) for value, words in pairs]


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


class SignInForm(FlaskForm):
    """Who signs in for which hospital."""

    username = StringField(
        _l("账号"),
        validators=[
            Needed(_l("请填写账号，例如 heyu@linlan-1")),
            Length(max=120, message=_l("账号太长了，请检查")),
        ],
        filters=[narrow],
    )
    password = PasswordField(
        _l("密码"), validators=[Needed(_l("请填写密码")), Length(max=200, message=_l("密码太长了，请检查"))]
    )
    next = HiddenField()


SEXES = [("", _l("不限")), ("f", _l("只接待女性")), ("m", _l("只接待男性"))]
VISITS = [("", _l("不限")), ("first", _l("只接待初诊")), ("return", _l("只接待复诊"))]
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
    kind = SelectField(_l("号别"), **_choice(_l("请选择号别")))
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
        _l("放号时间"), choices=offered(RELEASES), default="rule", **_choice(_l("请选择放号时间"))
    )
    release_date = DayField(_l("放号日期"))
    release_time = ClockField(_l("放号时刻"))
    rolls = SelectField(
        _l("留出的号没约完"), choices=offered(ROLLS), default="rule", **_choice(_l("请选择留出的号怎么办"))
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

    practice = SelectField(_l("医生和科室"), **_choice(_l("请选择医生和科室")))
    date = DayField(_l("日期"), validators=[Needed(_l("请填写日期"))])
    part = SelectField(_l("时段"), **_choice(_l("请选择上午、下午等时段")))


WAVE_MODES = [("rule", _l("按医院规则")), ("once", _l("放号时一次放完")), ("own", _l("单独分批"))]


class WavesForm(FlaskForm):
    """The later parts of a session's release, as a line of words."""

    mode = SelectField(_l("怎么放"), choices=offered(WAVE_MODES), **_choice(_l("请选择怎么放号")))
    waves = StringField(
        _l("后放的批次"), validators=[Length(max=200, message=_l("批次写得太长了"))], filters=[plain]
    )


class DrawForm(FlaskForm):
    """From when entries for a draw are taken."""

    entries_date = DayField(_l("报名开始日期"), validators=[Needed(_l("请填写报名开始日期"))])
    entries_time = ClockField(_l("报名开始时刻"), validators=[Needed(_l("请填写报名开始时刻"))])


class TemplateForm(HoursForm):
    """One weekly line of a doctor's pattern."""

    practice = SelectField(_l("医生和科室"), **_choice(_l("请选择医生和科室")))
    weekday = SelectField(_l("星期"), choices=offered(WEEKDAYS), **_choice(_l("请选择星期")))
    part = SelectField(_l("时段"), **_choice(_l("请选择上午、下午等时段")))
    weeks = SelectField(_l("周次"), choices=offered(WEEKS), **_choice(_l("请选择每周、单周或双周")))
    valid_from = DayField(_l("从哪天起"))
    valid_to = DayField(_l("到哪天止"))
    skips_holidays = BooleanField(_l("法定节假日不出诊"))
    publishes = BooleanField(_l("生成后直接发布"))

    def validate_valid_to(self, field: DayField) -> None:
        if self.valid_from.data and field.data and field.data < self.valid_from.data:
            raise ValidationError(_("截止日期应晚于开始日期"))


class ApplyForm(FlaskForm):
    """For which weeks, and whose templates, become sessions. `first` is the Monday of the first week."""

    first = SelectField(_l("从哪一周开始"), **_choice(_l("请选择开始的一周")))
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


class CheckInForm(FlaskForm):
    """The scanner's field."""

    code = StringField(_l("预约码"), validators=[Needed(_l("请扫码或输入 8 位预约码"))], filters=[narrow])

    def validate_code(self, field: StringField) -> None:
        digits = re.sub(r"[\s-]", "", field.data or "")
        if not re.fullmatch(r"[0-9]{8}", digits):
            raise ValidationError(_("预约码是 8 位数字，请再扫一次"))
        field.data = digits


class CancelForm(FlaskForm):
    """Cancelling says at whose wish, which is what people are told, and why."""

    by = RadioField(
        _l("谁要取消"),
        choices=offered([("patient", _l("患者要求")), ("hospital", _l("医院原因"))]),
        default="patient",
        **_choice(_l("请选择是患者要求还是医院原因")),
    )
    reason = StringField(
        _l("取消原因"),
        validators=[
            Needed(_l("请填写取消原因，会记入修改记录")),
            Length(max=200, message=_l("取消原因最多 200 个字")),
        ],
        filters=[plain],
    )


class MoveForm(FlaskForm):
    """The slot a patient is moved to, and at whose wish, which is what people are told."""

    by = RadioField(
        _l("谁要改约"),
        choices=offered([("patient", _l("患者要求")), ("hospital", _l("医院原因"))]),
        **_choice(_l("请选择是患者要求还是医院原因")),
    )
    slot = StringField(_l("新的时间"), validators=[Needed(_l("请选择新的时间"))], filters=[narrow])
    reason = StringField(
        _l("改约原因"), validators=[Length(max=200, message=_l("改约原因最多 200 个字"))], filters=[plain]
    )
    override = StringField(
        _l("仍要改到这里的原因"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain]
    )


class TicketForm(FlaskForm):
    """How the desk knows that somebody was here."""

    note = StringField(
        _l("怎么知道来过"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain]
    )


class CallForm(FlaskForm):
    """What came of ringing somebody; `tries` is how many tries the page showed."""

    tries = IntegerField(
        widget=HiddenInput(), default=0, validators=[NumberRange(0, 1000, message=_l("请刷新页面再试"))]
    )
    note = StringField(_l("备注"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain])


class AnswerForm(FlaskForm):
    """What the hospital answers to an appeal; `act` is accept or decline."""

    act = HiddenField()
    answer = StringField(
        _l("答复"), validators=[Length(max=200, message=_l("答复最多 200 个字"))], filters=[plain]
    )
